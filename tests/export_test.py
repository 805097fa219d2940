import functools
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from nas_jax import export
from nas_jax import loader
from nas_jax import trained
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.training import classify
from scripts import export as script

_SHAPE = (8, 8, 3)


@functools.lru_cache
def _trained(seed=0, class_names=('cat', 'dog', 'ship'), **style):
  preset = presets.PRESETS['DARTS_V2']
  net = zoo.build(preset, image_shape=_SHAPE, num_classes=3, features=4,
                  num_cells=2, **style)
  variables = graph.init(jax.random.key(seed), net)
  _, updates = graph.GraphNet(net).apply(  # Statistics that are not the first.
      variables._asdict(), jax.random.normal(jax.random.key(1), (8, *_SHAPE)),
      train=True, mutable=['batch_stats'])
  return trained.Trained(
      net, variables._replace(
          batch_stats={**variables.batch_stats, **updates['batch_stats']}),
      classify.Task(_SHAPE, (.5, .4, .3), (.2, .25, .3)), class_names, preset,
      {})


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  """A folder, and what was said of it."""
  folder = tmp_path_factory.mktemp('exported')
  return folder, export.export(_trained(), folder)


def _images(*sizes):
  return np.random.default_rng(1).integers(0, 256, sizes, np.uint8)


def test_the_files_say_what_they_are(exported):
  folder, about = exported
  assert sorted(path.name for path in folder.iterdir()) == [
      'load.py', 'model.json', 'model.stablehlo']
  assert json.loads((folder / 'model.json').read_text()) == about
  assert {k: v for k, v in about.items()
          if k not in ('sha256', 'difference', 'architecture')} == {
              'format': 1, 'artifact': 'model.stablehlo',
              'image_shape': [8, 8, 3], 'batch_size': None, 'num_classes': 3,
              'class_names': ['cat', 'dog', 'ship'],
              'platforms': ['cpu', 'cuda', 'tpu'], 'jax': jax.__version__}
  assert len(about['sha256']) == 64 and about['difference'] <= 1e-5
  assert about['architecture']['family'] == 'darts'
  assert about['architecture']['genotype']['normal_concat'] == [2, 3, 4, 5]


@pytest.mark.parametrize('size', [1, 5])
def test_any_number_of_images_has_the_logits_of_the_network(exported, size):
  images = _images(size, *_SHAPE)
  expected = trained.logits_fn(_trained())(images)
  assert size == 1 or np.ptp(expected, 0).min() > 1e-3
  np.testing.assert_allclose(
      loader.load(exported[0])(images), expected, rtol=1e-4, atol=1e-5)


_PROGRAM = '''
import sys
class Block:
  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] in ('nas_jax', 'flax', 'optax'):
      raise ImportError(name + ' is not here')
sys.meta_path.insert(0, Block())
import numpy as np
import load
logits = load.load()(np.load('images.npy'))
np.save('logits.npy', logits)
assert not {'nas_jax', 'flax'} & set(sys.modules)
'''


def test_the_files_need_neither_this_package_nor_flax(exported):
  folder, _ = exported
  images = _images(4, *_SHAPE)
  np.save(folder / 'images.npy', images)
  try:
    subprocess.run([sys.executable, '-c', _PROGRAM], cwd=folder, check=True)
    found = np.load(folder / 'logits.npy')
  finally:
    for name in ('images.npy', 'logits.npy'):
      (folder / name).unlink(missing_ok=True)
  np.testing.assert_array_equal(found, loader.load(folder)(images))


def test_a_batch_size_can_be_fixed(tmp_path):
  about = export.export(_trained(), tmp_path, platforms=['cpu'], batch_size=2)
  assert about['batch_size'] == 2 and about['platforms'] == ['cpu']
  model = loader.load(tmp_path)
  assert model(_images(2, *_SHAPE)).shape == (2, 3)
  with pytest.raises(ValueError, match=r'images uint8\[2, 8, 8, 3\], got '):
    model(_images(3, *_SHAPE))


@pytest.mark.parametrize('images, got', [
    (np.zeros((2, 9, 8, 3), np.uint8), r'uint8\[2, 9, 8, 3\]'),
    (np.zeros((8, 8, 3), np.uint8), r'uint8\[8, 8, 3\]'),
    (np.zeros((2, 8, 8, 3), np.float32), r'float32\[2, 8, 8, 3\]'),
])
def test_other_images_are_refused(exported, images, got):
  with pytest.raises(ValueError, match=rf'uint8\[B, 8, 8, 3\], got {got}'):
    loader.load(exported[0])(images)


def _copy(folder, target, **changes):
  for path in folder.iterdir():
    (target / path.name).write_bytes(path.read_bytes())
  about = json.loads((target / 'model.json').read_text()) | changes
  (target / 'model.json').write_text(json.dumps(about))


def test_a_damaged_artifact_is_refused(exported, tmp_path):
  _copy(exported[0], tmp_path)
  path = tmp_path / 'model.stablehlo'
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  with pytest.raises(ValueError, match='model.stablehlo is damaged'):
    loader.load(tmp_path)


@pytest.mark.parametrize('changes', [
    {'num_classes': 4}, {'class_names': ['cat', 'dog']},
    {'image_shape': [9, 9, 3]}])
def test_a_description_of_another_network_is_refused(
    exported, tmp_path, changes):
  _copy(exported[0], tmp_path, **changes)
  with pytest.raises(ValueError, match='does not fit together'):
    loader.load(tmp_path)


def test_an_artifact_of_another_network_is_found(exported):
  with pytest.raises(ValueError, match='differs from the trained one by'):
    export.check(_trained(seed=1), exported[0])


def test_nothing_is_left_where_the_check_fails(tmp_path):
  with pytest.raises(ValueError, match='does not fit together'):
    export.export(_trained(class_names=('cat', 'dog')), tmp_path,
                  platforms=['cpu'])
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('settings, message', [
    (dict(platforms=['cpu', 'abacus']), "'abacus'], expected some of cpu"),
    (dict(platforms=[]), 'expected some of cpu, cuda, tpu'),
    (dict(batch_size=0), 'batch_size is 0'),
])
def test_settings_out_of_range_are_refused(tmp_path, settings, message):
  with pytest.raises(ValueError, match=message):
    export.export(_trained(), tmp_path / 'new', **settings)
  assert not (tmp_path / 'new').exists()


def _save(folder, config_net):
  """A finished training of the test's network under a network.json."""
  network = _trained()
  genotype = network.preset.genotype
  config = dict(
      family='darts', genotype=json.loads(json.dumps(genotype._asdict())),
      network='cifar', features=4, num_cells=2, image_shape=list(_SHAPE),
      num_classes=3, class_names=list(network.class_names),
      mean=list(network.task.mean), std=list(network.task.std), style={})
  trained.save_weights(folder, config, network.variables, 1)
  trained.save_config(folder, config | config_net)


def test_the_script_exports_a_workdir(tmp_path, capsys):
  _save(tmp_path / 'run', {})
  script.main(script.Settings(
      str(tmp_path / 'run'), str(tmp_path / 'out'), platforms='cpu'))
  out = capsys.readouterr().out
  assert 'model.stablehlo' in out
  assert 'uint8[B, 8, 8, 3] -> float32[B, 3]' in out
  images = _images(3, *_SHAPE)
  np.testing.assert_allclose(
      loader.load(tmp_path / 'out')(images),
      trained.logits_fn(_trained())(images), rtol=1e-4, atol=1e-5)


def test_the_script_says_what_is_missing(tmp_path):
  with pytest.raises(ValueError, match='--workdir is not set'):
    script.main(script.Settings(output='x'))
  with pytest.raises(ValueError, match='--output is not set'):
    script.main(script.Settings(workdir='x'))
  with pytest.raises(ValueError, match='holds no trained network'):
    script.main(script.Settings(str(tmp_path), str(tmp_path / 'out')))
  _save(tmp_path, {'features': 6})
  with pytest.raises(ValueError, match='weights of another architecture'):
    script.main(script.Settings(str(tmp_path), str(tmp_path / 'out')))
  assert not (tmp_path / 'out').exists()
