"""Trained networks, one by one and as an ensemble."""

import jax
import numpy as np
import pytest

from experiments import evaluate
from experiments import flags
from nas_jax import evaluation
from nas_jax import records
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.training import classify

_CELL = (('conv_1x1', 0), ('max_pool_3x3', 1))
_PRESET = presets.Preset(
    'nasnet', genotypes.Genotype(_CELL, (2,), _CELL, (2,)))


@pytest.fixture(scope='module')
def digits():
  return image_data.load('digits')


def _write(folder, data, seed):
  folder.mkdir(parents=True)
  config = trained.describe(
      _PRESET, data, classify.task_of(data), network='cifar', features=4,
      num_cells=1, style={}, num_reductions=0)
  trained.save_config(folder, config)
  trained.save_weights(folder, config, graph.init(
      jax.random.key(seed), trained.build(config)), 1)


@pytest.fixture(scope='module')
def runs(digits, tmp_path_factory):
  """A run, and one of two seeds; none has learnt anything."""
  folder = tmp_path_factory.mktemp('runs')
  _write(folder / 'one', digits, 0)
  _write(folder / 'two' / 'seed_0', digits, 1)
  _write(folder / 'two' / 'seed_1', digits, 2)
  return folder


def test_an_ensemble_is_the_mean_of_the_softmax_outputs(runs, digits):
  found = evaluation.evaluate([runs / 'one', runs / 'two'])
  folders = [runs / 'one', runs / 'two/seed_0', runs / 'two/seed_1']
  assert [row['workdir'] for row in found['networks']] == list(
      map(str, folders))
  outputs = [trained.probabilities(trained.load(f), digits.test.images)
             for f in folders]
  labels = digits.test.labels
  assert [row['accuracy'] for row in found['networks']] == [
      np.mean(output.argmax(-1) == labels) for output in outputs]
  predicted = np.mean(outputs, 0).argmax(-1)
  assert found['ensemble']['accuracy'] == pytest.approx(
      np.mean(predicted == labels))
  assert found['ensemble']['num_params'] == 3 * found['networks'][0][
      'num_params']
  confusion = np.array(found['confusion'])
  assert confusion.sum() == found['num_images'] == 359
  assert confusion.trace() == (predicted == labels).sum()
  assert [c['count'] for c in found['classes']] == np.bincount(labels).tolist()
  # A class that nobody predicts has no precision.
  never = [c['name'] for c in found['classes'] if c['precision'] is None]
  assert never == [str(c) for c in range(10) if c not in predicted]


def test_one_network_alone(runs, capsys, tmp_path):
  found = evaluate.main(evaluate.Settings(
      workdirs=str(runs / 'one'), output=str(tmp_path / 'out')))
  assert 'ensemble' not in found
  assert records.read_json(tmp_path / 'out/evaluation.json') == found
  page = (tmp_path / 'out/evaluation.html').read_text()
  said = capsys.readouterr().out
  assert said.startswith('digits, 359 test images\n')
  for words in ('95 % interval', 'precision', 'recall'):
    assert words in said and words in page
  assert said.endswith(f'report: {tmp_path}/out/evaluation.html\n')


def test_validation_images_were_seen(runs):
  found = evaluation.evaluate([runs / 'one'], split='validation')
  assert found['num_images'] == 144
  assert evaluation.text(found).endswith(
      'note: validation images were among the training images of a final '
      'training')


def test_a_confusion_matrix_of_many_classes_is_only_on_the_page(runs):
  found = evaluation.evaluate([runs / 'one'])
  assert 'column: predicted' in evaluation.text(found)
  many = found | {'class_names': [str(i) for i in range(21)]}
  assert 'column: predicted' not in evaluation.text(many)


def _error(**settings):
  with pytest.raises(SystemExit) as e:
    with flags.errors_in_one_line():
      evaluate.main(evaluate.Settings(**settings))
  assert '\n' not in e.value.code
  return e.value.code


def test_bad_input_is_one_line(runs, tmp_path):
  one = str(runs / 'one')
  assert _error() == ('error: --workdirs is not set: name the folders of '
                      'finished trainings, separated by commas')
  assert _error(workdirs=one, split='train') == (
      "error: split is 'train', expected one of test, validation")
  assert _error(workdirs=f'{one},{tmp_path}') == (
      f'error: {tmp_path} holds no trained network: it has no network.json. '
      'Name the --workdir of a training or of a search')
  assert _error(workdirs=one, dataset='digits', image_size=16) == (
      f'error: {one} is for images of 8 x 8 x 1, but digits has images of 16 x '
      '16 x 1; --image_size resizes them')
  rng = np.random.default_rng(0)
  arrays = {f'x_{part}': rng.integers(0, 256, (30, 8, 8, 1), np.uint8)
            for part in ('train', 'test')}
  np.savez(tmp_path / 'three.npz', **arrays, y_train=np.arange(30) % 3,
           y_test=np.arange(30) % 3)
  assert _error(workdirs=one, dataset=f'npz:{tmp_path}/three.npz') == (
      f'error: {one} tells 10 classes apart, but npz:{tmp_path}/three.npz has '
      '3')
