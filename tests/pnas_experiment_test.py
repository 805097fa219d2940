"""PNAS's search, from flags to the network."""

import dataclasses

import numpy as np
import pytest

from experiments import flags
from experiments import pnas
from nas_jax import cost
from nas_jax import problem
from nas_jax import records
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.training import recipes

_TINY = pnas.SMOKE | dict(
    scale='smoke', max_train=100, num_children=4, children_per_round=2,
    operations='skip_connect,max_pool_3x3', num_blocks=2, first_size=2,
    beam_size=2, features=4, epochs=1, batch_size=20, predictor_epochs=2,
    final_features=4, final_epochs=1, final_batch_size=20)


def _settings(**options):
  return pnas.Settings(**_TINY | options)


def test_a_run_ends_with_a_network(tmp_path):
  summary = pnas.main(tmp_path, _settings())
  assert summary['search']['num_children'] == 4
  assert set(summary['result']) == set(summary['random_search'])
  history = records.read(tmp_path / 'history.jsonl')
  found = [genotypes.from_json(record['genotype']) for record in history]
  assert [len(g.normal) for g in found] == [2, 2, 4, 4]
  assert all(g.normal == g.reduce for g in found)
  assert len(records.read(tmp_path / 'random_search' / 'history.jsonl')) == 4
  network = trained.load(tmp_path)
  assert network.preset == presets.load(tmp_path)
  assert network.preset.family == 'pnasnet'
  data = image_data.load('digits', max_train=100)
  predicted = trained.probabilities(network, data.test.images).argmax(-1)
  assert np.mean(predicted == data.test.labels) == pytest.approx(
      summary['result']['test_accuracy'])
  page = (tmp_path / 'report.html').read_text()
  assert 'pnas on digits' in page and '<svg' in page


def test_paper_scale_is_the_published_search():
  settings = pnas.Settings(**pnas.PAPER)
  assert (settings.dataset, settings.num_children, settings.beam_size,
          settings.num_blocks, settings.first_size) == (
              'cifar10', 136 + 4 * 256, 256, 5, None)
  assert (settings.num_cells, settings.features) == (2, 24)
  assert len(pnas.space_of(settings).choices) == 21
  assert settings.num_children % settings.children_per_round == 0
  child = recipes.load(settings.recipe)
  assert (child.epochs, child.learning_rate, child.schedule,
          child.auxiliary_weight, child.drop_path_keep) == (
              20, .01, 'cosine', 0., 1.)
  # Of 45,000 images: 0.9 million examples per model, 1.0 billion in all.
  assert child.epochs * 45_000 == 900_000
  assert settings.num_children * child.epochs * 45_000 == 1_044_000_000
  result = recipes.load(settings.final_recipe)
  assert (result.epochs, result.learning_rate, result.auxiliary_weight,
          result.drop_path_keep) == (600, .025, .4, .6)


def test_the_result_is_as_large_as_published():
  settings = pnas.Settings(**pnas.PAPER)
  space = pnas.space_of(settings)
  genotype = space.genotype(space.encode(presets.load('PNASNet-5').genotype))
  assert settings.final_features is settings.final_num_cells is None
  assert cost.count(zoo.build(presets.Preset('pnasnet', genotype))
                    ).params == 3_189_082


def test_every_cell_can_be_built():
  space = pnas.space_of(_settings(operations=pnas.Settings.operations))
  for place in range(8):
    genome = [0, 0, 1, place, 7 - place] + [0] * 4
    made = zoo.build(
        presets.Preset('pnasnet', space.genotype(np.array(genome))),
        image_shape=(8, 8, 1), num_classes=10, features=4, num_cells=1)
    # Three cells, of which two have stride 2, and no others.
    shapes = {node.name: node.shape for node in made.nodes}
    assert [shapes[f'cell{i}_node0'] for i in range(3)] == [
        (8, 8, 4), (4, 4, 8), (2, 2, 16)]
    assert 'cell3_node0' not in shapes
  assert problem.example(space).normal_concat == (2,)


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(pnas.Settings)}
  assert fields == set(flags.help_of(pnas.Settings))
  for scale, values in pnas.SCALES.items():
    assert set(values) <= fields
    settings = pnas.Settings(**values | {'scale': scale})
    assert not pnas.strategy(pnas.space_of(settings), settings).jittable
    if settings.dataset == 'digits':  # All that a run builds.
      made = pnas.make(settings)
      assert made.child_recipe.epochs == values['epochs']
      job, = made.final_jobs(problem.example(made.space))
      assert job.recipe.epochs == values['final_epochs']


@pytest.mark.parametrize('options, message', [
    (dict(num_children=2), 'num_children 2 is too few: cells of 2 blocks come '
     'after 2 of one block and 0 of the levels between. Choose more than 2, '
     'or a smaller first_size, beam_size or num_blocks'),
    (dict(predictor='tree'), "predictor is 'tree', expected one of mlp, rnn"),
    (dict(num_blocks=0), 'num_blocks is 0, expected at least 1'),
    (dict(concat='all'),
     "unknown concat 'all', expected one of 'nodes', 'loose'"),
])
def test_bad_settings(tmp_path, options, message):
  with pytest.raises(ValueError) as e:
    pnas.main(tmp_path / 'run', _settings(**options))
  assert str(e.value) == message
  assert not (tmp_path / 'run').exists()


def test_an_unknown_operation_is_named(tmp_path):
  with pytest.raises(ValueError, match='conv_9x9'):
    pnas.main(tmp_path / 'run', _settings(operations='conv_9x9'))
