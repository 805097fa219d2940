"""Training one architecture, as its users see it."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from experiments import flags
from experiments import train_image
from nas_jax import finals
from nas_jax import networks_on_images
from nas_jax import records
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.training import classify
from nas_jax.training import recipes

_TINY = train_image.SMOKE | dict(
    scale='smoke', features=4, num_cells=1, epochs=2, max_train=200,
    batch_size=50, image_size=4)
_CELL = [['skip_connect', 0], ['sep_conv_3x3', 1]]
_GENOTYPE = dict(family='nasnet', normal=_CELL, normal_concat=[2],
                 reduce=_CELL, reduce_concat=[2])


def _settings(architecture='DARTS_V2', **options):
  return networks_on_images.Settings(
      **_TINY | {'architecture': architecture} | options)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
  """Of a small architecture that compiles fast."""
  path = tmp_path_factory.mktemp('architecture') / 'genotype.json'
  records.write_json(path, _GENOTYPE)
  return str(path)


@pytest.fixture(scope='module')
def two_seeds(file, tmp_path_factory):
  """A finished run of two seeds: its folder and its summary."""
  folder = tmp_path_factory.mktemp('runs') / 'two'
  return folder, train_image.main(folder, _settings(file, num_seeds=2, seed=3))


def test_a_run_of_two_seeds(two_seeds):
  folder, summary = two_seeds
  accuracies = [seed['test_accuracy'] for seed in summary['seeds']]
  result = summary['result']
  assert [seed['seed'] for seed in summary['seeds']] == [3, 4]
  assert result['test_accuracy'] == pytest.approx(np.mean(accuracies))
  assert result['std_test_accuracy'] == pytest.approx(
      np.std(accuracies, ddof=1))
  assert result['test_error_percent'] == pytest.approx(
      100 - 100 * np.mean(accuracies))
  assert result['num_seeds'] == 2 and result['num_test'] == 359
  assert summary['recipe']['name'] == 'fast'
  assert summary['recipe']['epochs'] == 2
  assert summary['hardware']['num_devices'] == 1
  config = records.read_json(folder / 'seed_4' / 'network.json')
  assert (config['seed'], config['family'], config['features']) == (
      4, 'nasnet', 4)
  found = [trained.load(member) for member in trained.members(folder)]
  data = image_data.load('digits', image_size=4)
  for network, accuracy in zip(found, accuracies):
    predicted = trained.probabilities(network, data.test.images).argmax(-1)
    assert np.mean(predicted == data.test.labels) == pytest.approx(accuracy)
    assert graph.num_params(network.net) == result['num_params']
  assert 'standard deviation' in (folder / 'report.html').read_text()


def test_a_killed_seed_goes_on(two_seeds, file, tmp_path, monkeypatch):
  """The first seed is not trained again; the second ends with equal bits."""
  folder, expected = two_seeds
  train, calls = finals.train, []

  def stop(place, *args):
    calls.append(place.name)
    if calls == ['seed_3', 'seed_4']:
      raise KeyboardInterrupt
    return train(place, *args)

  monkeypatch.setattr(finals, 'train', stop)
  settings = _settings(file, num_seeds=2, seed=3)
  with pytest.raises(KeyboardInterrupt):
    train_image.main(tmp_path, settings)
  summary = train_image.main(tmp_path, settings)
  assert calls == ['seed_3', 'seed_4', 'seed_4']
  if jax.default_backend() == 'cpu':
    assert summary['seeds'] == expected['seeds']
  # The third call only tells.
  assert train_image.main(tmp_path, settings) == summary
  assert len(calls) == 3


def test_a_workdir_is_an_architecture(two_seeds):
  folder, _ = two_seeds
  preset = presets.load(folder)
  assert preset.family == 'nasnet'
  job = networks_on_images.job_of(
      _settings(str(folder)), preset, networks_on_images.load(_settings()))
  assert job.config['genotype']['normal'] == _CELL


def _job(architecture, data, **options):
  settings = networks_on_images.Settings(
      architecture=architecture, dataset='npz:none', **options)
  return networks_on_images.job_of(settings, presets.load(architecture), data)


def _images(size, channels=3):
  """A data set of few images, of which only shapes matter."""
  part = image_data.Split(np.zeros((400, size, size, channels), np.uint8),
                          np.arange(400, dtype=np.int32) % 10)
  return image_data.ImageData(
      'none', part, part, part, 10, tuple('abcdefghij'),
      np.full(channels, .5, np.float32), np.full(channels, .25, np.float32))


def test_the_paper_scale_is_the_paper():
  job = _job('DARTS_V2', _images(32))
  assert job.recipe == dataclasses.replace(
      recipes.load('darts'), eval_batch_size=400)
  assert graph.num_params(job.net) == 3_349_342
  assert job.net.auxiliary and job.net.drop_path_keep == .8
  assert job.config['recipe']['name'] == 'darts'
  assert job.config['features'] is job.config['num_cells'] is None


# The first architecture of each family that is made for small images.
_EACH_FAMILY = list({
    preset.family: name for name, preset in reversed(presets.PRESETS.items())
    if preset.family in zoo.FAMILIES and
    'cifar' in zoo.FAMILIES[preset.family].defaults}.values())


@pytest.mark.parametrize('name', [
    'DARTS_V2', 'NASNet-A', 'PNASNet-5', 'NAONet', 'ENAS-micro', 'NAS-RL-v1',
    'ENAS-macro', 'BlockQNN-resnet-like', 'AutoDL-Design', 'ResNet-20',
    'NAS-Bench-201:ResNet'])
def test_every_family_can_be_trained(name):
  """Small, by our recipe; what the family has not is left out."""
  job = _job(name, _images(32), recipe='fast', scale='smoke')
  assert bool(job.net.auxiliary) == (job.recipe.auxiliary_weight > 0)
  assert job.net.drop_path_keep == job.recipe.drop_path_keep
  assert trained.build(job.config).nodes[-1].shape == (10,)


def test_every_family_has_an_example():
  assert len(_EACH_FAMILY) > 15
  assert {name for name, _ in recipes.OF_FAMILY} <= set(zoo.FAMILIES)


def test_what_is_set_and_missing_is_an_error():
  with pytest.raises(ValueError, match=(
      '^cannot build ResNet-20: networks of the family resnet have no '
      'auxiliary classifier$')):
    _job('ResNet-20', _images(32), auxiliary_weight=.4)


def test_crops_and_squares_follow_the_image():
  for size, padding, length in [(32, 4, 16), (16, 2, 8), (8, 1, 4),
                                (64, 8, 32)]:
    recipe = networks_on_images.recipe_of(
        networks_on_images.Settings(architecture='DARTS_V2', recipe='darts'),
        presets.load('DARTS_V2'), _images(size))
    assert (recipe.crop_padding, recipe.cutout_length) == (padding, length)
  assert not recipe.flip  # The default data set is of digits.
  set_ = networks_on_images.recipe_of(
      networks_on_images.Settings(
          architecture='DARTS_V2', crop_padding=3, cutout_length=6, flip=True),
      presets.load('DARTS_V2'), _images(8))
  assert (set_.crop_padding, set_.cutout_length, set_.flip) == (3, 6, True)


def test_styles_of_the_network():
  job = _job('NAS-Bench-201:ResNet', _images(32), compute_dtype='bfloat16',
             scale='smoke')
  assert job.net.dtype == 'bfloat16' and job.config['style'] == {
      'dtype': 'bfloat16'}
  uniform = _job('NASNet-A', _images(32), drop_path_uniform=True,
                 scale='smoke', recipe='nasnet')
  assert {node.depth for node in uniform.net.nodes} == {0., 1.}


def _error(folder, make):
  with pytest.raises(SystemExit) as e:
    with flags.errors_in_one_line(folder):
      train_image.main(folder, make())
  assert '\n' not in e.value.code
  return e.value.code


@pytest.mark.parametrize('options, message', [
    (dict(architecture=None), 'error: --architecture is not set: name a '
     'published one such as DARTS_V2, a genotype.json, or the workdir of a '
     'search'),
    (dict(architecture='DARTS_V3'),
     'error: DARTS_V3 is neither a file nor a known architecture. Did you mean '
     'DARTS_V2'),
    (dict(architecture='DARTS_V2_RNN'), 'error: a recurrent cell (family '
     'rnn_chain) is no network for images: train it on text with '
     'experiments/train_language.py'),
    (dict(recipe='fats'), "error: recipe is 'fats', expected one of darts, "),
    (dict(network='imagenet21k'), 'error: cannot build DARTS_V2: the family '
     "darts has no network 'imagenet21k', expected one of cifar, imagenet"),
    (dict(batch_size=500),
     'error: batch_size is 500, but digits has 200 training images'),
    (dict(cutout_length=10),
     'error: cutout_length is 10, but images have 4 pixels'),
    (dict(auxiliary_weight=.4), 'error: cannot build DARTS_V2: the auxiliary '
     'head pools 5 x 5 pixels but its input has '),
    (dict(network='imagenet'), 'error: cannot build DARTS_V2: an image of 4 x '
     '4 pixels cannot be halved '),
    (dict(num_devices=9, batch_size=90),
     'error: 9 devices asked for, this host has '),
    (dict(compute_dtype='int8'), "error: compute_dtype is 'int8', expected one "
     'of float32, bfloat16'),
    (dict(patience=3), 'error: patience is 3, but all images except those of '
     'the test are trained on: there are none to stop by'),
    (dict(accumulate=3),
     'error: batch_size 50 does not split into 3 parts (accumulate)'),
    (dict(num_seeds=0), 'error: num_seeds is 0, expected at least 1'),
])
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, options, message):
  folder = tmp_path / 'run'
  found = _error(folder, lambda: _settings(
      **{'architecture': 'DARTS_V2', **options}))
  assert found.startswith(message)
  assert not folder.exists()


@pytest.mark.parametrize('value, message', [
    (_GENOTYPE | dict(normal=[['skip_connect', 0], ['conv_9x9', 1]]),
     "error: cannot build FILE: unknown operation 'conv_9x9', expected one "),
    (_GENOTYPE | dict(reduce=[['skip_connect', 0], ['conv_1x1', 2]]),
     'error: FILE: reduce[1] reads state 2, but node 0 may read states 0..1'),
    ({'family': 'nasnet', 'normal': _CELL},
     "error: FILE: the genotype has no 'normal_concat'"),
])
def test_bad_architectures(tmp_path, value, message):
  path = tmp_path / 'genotype.json'
  records.write_json(path, value)
  found = _error(tmp_path / 'run', lambda: _settings(str(path)))
  assert found.replace(str(path), 'FILE').startswith(message)
  assert not (tmp_path / 'run').exists()


def test_a_workdir_of_another_architecture(two_seeds):
  folder, _ = two_seeds
  assert _error(folder, lambda: _settings('DARTS_V1', num_cells=3)) == (
      f'error: {folder}/genotype.json is another architecture than DARTS_V1. '
      'Choose another --workdir, or delete it')


@pytest.mark.parametrize('error', [
    MemoryError('no room'), jax.errors.JaxRuntimeError(
        'RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.\nmore')])
def test_too_little_memory_says_what_to_change(
    tmp_path, file, monkeypatch, error):
  def fail(*args, **kwargs):
    raise error
  monkeypatch.setattr(classify, 'compile_trainer', fail)
  assert _error(tmp_path, lambda: _settings(file, accumulate=2)) == (
      'error: out of memory with 25 images at a time on each of 1 devices '
      f'({str(error).splitlines()[0]}). Choose --accumulate=4, a --batch_size '
      'below 50, or --compute_dtype=bfloat16')


def test_any_other_error_is_a_defect(tmp_path, file, monkeypatch):
  def fail(*args, **kwargs):
    raise jax.errors.JaxRuntimeError('INTERNAL: a defect')
  monkeypatch.setattr(classify, 'compile_trainer', fail)
  with pytest.raises(jax.errors.JaxRuntimeError, match='a defect'):
    train_image.main(tmp_path, _settings(file))


def test_the_memory_of_a_step_is_said(tmp_path, file, capsys):
  train_image.main(tmp_path, _settings(
      file, execution='whole', epochs=1, max_train=100))
  assert re.search(r'train_image: a step needs 0\.\d\d .*GiB of memory',
                   capsys.readouterr().out)
