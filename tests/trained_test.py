import re

import jax
import numpy as np
import pytest

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


def _config(digits, **changes):
  return trained.describe(
      _PRESET, digits, classify.task_of(digits), network='cifar', features=4,
      num_cells=1, style={}, num_reductions=0) | changes


def _write(folder, digits, seed=0, finished=True, **changes):
  """As a training does; the weights are those of the beginning."""
  folder.mkdir(parents=True)
  config = _config(digits, **changes)
  trained.save_config(folder, config)
  variables = graph.init(jax.random.key(seed), trained.build(config))
  if finished:
    trained.save_weights(folder, config, variables, 3)
  return variables


def test_what_is_saved_is_loaded(tmp_path, digits):
  variables = _write(tmp_path / 'a', digits)
  found = trained.load(tmp_path / 'a')
  assert found.preset == _PRESET
  assert found.class_names == tuple('0123456789')
  assert found.task == classify.task_of(digits)
  for a, b in zip(jax.tree.leaves(variables),
                  jax.tree.leaves(found.variables), strict=True):
    np.testing.assert_array_equal(a, b)
  images = digits.test.images[:7]
  logits = trained.logits_fn(found)(images)
  expected = graph.GraphNet(found.net).apply(
      variables._asdict(), classify.normalise(found.task, images)).main
  np.testing.assert_allclose(logits, expected, atol=1e-5)
  assert logits.dtype == np.float32
  softmax = trained.probabilities(found, images, batch_size=3)
  np.testing.assert_allclose(softmax, jax.nn.softmax(logits), atol=1e-5)


def test_the_auxiliary_head_is_not_kept(tmp_path, digits):
  config = _config(digits)
  variables = graph.init(jax.random.key(0), trained.build(config))
  more = graph.Variables(*({**tree, 'auxiliary': {'w': np.zeros(2)}}
                           for tree in variables))
  tmp_path.mkdir(exist_ok=True)
  trained.save_config(tmp_path, config)
  trained.save_weights(tmp_path, config, more, 1)
  assert set(trained.load(tmp_path).variables.params) == set(variables.params)


def test_a_family_of_the_zoo(digits):
  net = trained.build(trained.describe(
      presets.load('DARTS_V2'), digits, classify.Task((16, 16, 3), (0.,) * 3,
                                                      (1.,) * 3),
      network='cifar', features=4, num_cells=3, style={'dtype': 'bfloat16'}))
  assert net.image_shape == (16, 16, 3) and net.dtype == 'bfloat16'
  assert net.nodes[-1].shape == (10,) and net.auxiliary is None


def test_a_run_of_several_seeds(tmp_path, digits):
  for seed in (0, 1, 10, 2):
    _write(tmp_path / f'seed_{seed}', digits, seed)
  assert [p.name for p in trained.members(tmp_path)] == [
      'seed_0', 'seed_1', 'seed_2', 'seed_10']
  assert trained.members(tmp_path / 'seed_1') == [tmp_path / 'seed_1']
  with pytest.raises(ValueError, match=re.escape(
      f'{tmp_path} holds 4 trained networks: name one of them, such as '
      f'{tmp_path}/seed_0')):
    trained.load(tmp_path)


def _message(folder):
  with pytest.raises(ValueError) as e:
    trained.load(folder)
  return str(e.value)


def test_folders_without_a_finished_training(tmp_path, digits):
  assert _message(tmp_path) == (
      f'{tmp_path} holds no trained network: it has no network.json. Name the '
      '--workdir of a training or of a search')
  _write(tmp_path / 'begun', digits, finished=False)
  assert _message(tmp_path / 'begun') == (
      f'the training in {tmp_path}/begun is not finished: the command in its '
      'config.json goes on')


def test_weights_of_another_architecture(tmp_path, digits):
  _write(tmp_path / 'a', digits)
  trained.save_config(tmp_path / 'a', _config(digits, features=8))
  assert _message(tmp_path / 'a').startswith(
      f'{tmp_path}/a has the weights of another architecture than its '
      'network.json: leaf ')


@pytest.mark.parametrize('value, message', [
    ([], " has no 'family'"), ({'family': 'darts'}, " has no 'genotype'"),
    ({'family': 'lstm', 'genotype': []},
     ' describes a language model, no network for images')])
def test_a_file_that_describes_no_network(tmp_path, value, message):
  records.write_json(tmp_path / 'network.json', value)
  assert f'network.json{message}' in _message(tmp_path)


def test_a_network_that_cannot_be_built(tmp_path, digits):
  _write(tmp_path / 'a', digits)
  trained.save_config(tmp_path / 'a', _config(digits, num_reductions=5))
  assert _message(tmp_path / 'a').startswith(
      f'{tmp_path}/a/network.json: an image of 8 x 8 pixels cannot be halved')


def test_networks_that_make_no_ensemble(tmp_path, digits):
  names = tuple('abcdefghij')
  for name, changes in [
      ('a', {}), ('b', {}), ('three', dict(
          num_classes=3, class_names=['x', 'y', 'z'])),
      ('large', dict(image_shape=[16, 16, 1])),
      ('other', dict(class_names=list(names)))]:
    _write(tmp_path / name, digits, **changes)
  nets = {p.name: trained.load(p) for p in sorted(tmp_path.iterdir())}
  trained.check_alike([nets['a'], nets['b']], ['a', 'b'])
  for name, message in [
      ('three', 'the first is for 10 classes, the other for 3'),
      ('large', 'the first is for 8 x 8 x 1 images, the other for 16 x 16 x '
       '1'),
      ('other', "the first is for ['0', '1', ")]:
    with pytest.raises(ValueError, match=re.escape(
        f'a and {name} make no ensemble: {message}')):
      trained.check_alike([nets['a'], nets[name]], ['a', name])


def test_images_of_another_kind(tmp_path, digits):
  _write(tmp_path / 'a', digits, image_shape=[16, 16, 1])
  found = trained.load(tmp_path / 'a')
  with pytest.raises(ValueError, match=re.escape(
      'a is for images of 16 x 16 x 1, but digits has images of 8 x 8 x 1; '
      '--image_size resizes them')):
    trained.check_data(found, 'a', digits)
  _write(tmp_path / 'b', digits, num_classes=3, class_names=['x', 'y', 'z'])
  with pytest.raises(ValueError, match=re.escape(
      'b tells 3 classes apart, but digits has 10')):
    trained.check_data(trained.load(tmp_path / 'b'), 'b', digits)


def test_a_score_by_hand():
  found = trained.score(np.array([0, 1, 1, 2, 1]), np.array([0, 0, 1, 1, 1]), 4)
  assert found.accuracy == .6
  assert found.confusion.tolist() == [
      [1, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
  np.testing.assert_allclose(found.precision, [1, 2 / 3, 0, np.nan])
  np.testing.assert_allclose(found.recall, [.5, 2 / 3, np.nan, np.nan])
