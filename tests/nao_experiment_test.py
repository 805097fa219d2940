"""NAO's search, from flags to the network."""

import dataclasses

import pytest

from experiments import flags
from experiments import nao
from nas_jax import records
from nas_jax import trained
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.training import recipes

_TINY = nao.SMOKE | dict(
    scale='smoke', max_train=100, num_children=6, children_per_round=2,
    num_nodes=1, num_initial=4, num_seeds=2, num_new=2, predictor_epochs=2,
    features=4, epochs=1, batch_size=20, final_features=4, final_epochs=1,
    final_batch_size=20)


def _settings(**options):
  return nao.Settings(**_TINY | options)


def test_a_run_ends_with_a_network(tmp_path, monkeypatch):
  # Every operation at every size is a few programs to compile.
  _, *others = nao._VERSIONS['pytorch_v2']
  monkeypatch.setitem(nao._VERSIONS, 'pytorch_v2', (
      ('avg_pool_3x3', 'skip_connect'), *others))
  summary = nao.main(tmp_path, _settings(version='pytorch_v2'))
  assert summary['search']['num_children'] == 6
  assert set(summary['result']) == set(summary['random_search'])
  history = records.read(tmp_path / 'history.jsonl')
  found = {genotypes.from_json(record['genotype']) for record in history}
  assert len(found) == 6
  network = trained.load(tmp_path)
  assert network.preset == presets.load(tmp_path)
  assert network.preset.family == 'nao_pytorch_v2'
  page = (tmp_path / 'report.html').read_text()
  assert 'nao on digits' in page and '<svg' in page


def test_paper_scale_is_the_published_search():
  settings = nao.Settings(**nao.PAPER)
  assert (settings.num_initial, settings.num_seeds, settings.num_new,
          settings.num_children) == (600, 100, 300, 600 + 3 * 300)
  assert (settings.num_cells, settings.features, settings.final_features,
          settings.trade_off, settings.predictor_epochs) == (
              3, 32, 128, .8, 1000)
  child = recipes.load(settings.recipe)
  assert (child.epochs, child.schedule_epochs, child.batch_size,
          child.learning_rate, child.drop_path_keep, child.dropout_keep,
          child.auxiliary_weight, child.cutout_length, child.clip_norm) == (
              25, 100, 128, .024, .7, 1., .4, 0, 5.)
  result = recipes.load(settings.final_recipe)
  assert (result.epochs, result.cutout_length, result.dropout_keep) == (
      600, 16, .6)


@pytest.mark.parametrize('version, family', [
    ('nao', 'nao'), ('pytorch_v1', 'nao_pytorch'),
    ('pytorch_v2', 'nao_pytorch_v2')])
def test_every_operation_of_a_version_can_be_built(version, family):
  space = nao.space_of(_settings(version=version, num_nodes=5))
  operations = space.choices[1]
  for i in range(0, len(operations), 2):
    # Operations i and i + 1 on the inputs, and again after them.
    j = min(i + 1, len(operations) - 1)
    genome = [0, i, 1, j] * 10
    made = zoo.build(
        presets.Preset(family, space.genotype(genome)),
        image_shape=(16, 16, 3), num_classes=10, features=4, num_cells=1)
    assert made.nodes[-1].shape == (10,)


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(nao.Settings)}
  assert fields == set(flags.help_of(nao.Settings))
  for scale, values in nao.SCALES.items():
    assert set(values) <= fields
    settings = nao.Settings(**values | {'scale': scale})
    assert not nao.strategy(nao.space_of(settings), settings).jittable


@pytest.mark.parametrize('options, message', [
    (dict(num_initial=6), 'num_children 6 are all random: choose more than '
     'num_initial 6'),
    (dict(version='v3'), "version is 'v3', expected one of nao, pytorch_v1, "
     'pytorch_v2'),
    (dict(num_seeds=0), 'num_seeds is 0, expected at least 1'),
])
def test_bad_settings(options, message):
  with pytest.raises(ValueError) as e:
    _settings(**options)
  assert str(e.value) == message
