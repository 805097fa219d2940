"""ENAS, from flags to the network."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments import enas
from experiments import flags
from nas_jax import enas_search
from nas_jax import records
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.spaces import presets
from nas_jax.supernets import alternating
from nas_jax.training import recipes

_TINY = enas.SMOKE | dict(
    scale='smoke', space='macro', max_train=60, num_layers=3, epochs=2,
    batch_size=20, features=4, num_children=2, children_per_round=2,
    controller_rounds=1, samples_per_round=2, controller_size=4,
    final_epochs=1, final_batch_size=20, final_features=4)


def _settings(**options):
  return enas.Settings(**_TINY | options)


def test_a_run_ends_with_a_network_and_is_not_done_twice(tmp_path):
  summary = enas.main(tmp_path, _settings())
  assert set(summary['result']) == set(summary['random_search'])
  log = records.read(tmp_path / alternating.FILE)
  assert [line['epoch'] for line in log] == [0, 1]
  assert {'reward', 'baseline', 'entropy', 'skip_rate'} <= set(log[0])
  assert summary['curve']['mean'] == [line['reward'] for line in log]
  assert summary['num_scored'] == 4
  other = records.read(tmp_path / 'random_search' / alternating.FILE)
  assert [line['epoch'] for line in other] == [0, 1]
  assert 'reward' not in other[0]
  # The best of those sampled in the end is the result.
  children = records.read(tmp_path / 'history.jsonl')
  best = max(children, key=lambda child: child['reward'])
  found = trained.load(tmp_path)
  assert found.preset == presets.load(tmp_path)
  assert found.preset.family == 'enas_macro'
  assert [list(row) for row in found.preset.genotype] == best['genotype']
  data = image_data.load('digits', max_train=60)
  predicted = trained.probabilities(found, data.test.images).argmax(-1)
  assert np.mean(predicted == data.test.labels) == pytest.approx(
      summary['result']['test_accuracy'])
  page = (tmp_path / 'report.html').read_text()
  assert 'enas on digits' in page and 'Mean reward by round' in page
  before = (tmp_path / 'summary.json').read_bytes()
  assert enas.main(tmp_path, _settings()) == summary
  assert (tmp_path / 'summary.json').read_bytes() == before


@pytest.mark.parametrize('space, sizes, controller, samples', [
    ('macro', (36, None, 96, None), (1e-3, 1.5), 1000),
    ('micro', (20, 2, 36, 5), (3.5e-3, 1.1), 300)])
def test_paper_scale_is_the_published_search(space, sizes, controller, samples):
  found = enas.Settings(**enas.PAPER, space=space).filled()
  assert (found.features, found.num_cells, found.final_features,
          found.final_num_cells) == sizes
  assert (found.controller_learning_rate, found.tanh_constant) == controller
  assert found.controller_rounds * found.samples_per_round == samples
  assert (found.entropy_weight, found.baseline_decay, found.skip_weight,
          found.skip_target, found.controller_size, found.temperature) == (
              1e-4, .99, .8, .4, 64, None)
  assert found.decay == 'all' and found.recipe == f'enas_{space}_search'


def test_shared_weights_have_the_published_recipes():
  macro, micro = (recipes.load(f'enas_{space}_search')
                  for space in ('macro', 'micro'))
  # Their penalties are 2.5e-4 and 1e-4 times the sum of squares.
  assert [(r.epochs, r.batch_size, r.weight_decay, r.auxiliary_weight)
          for r in (macro, micro)] == [
              (310, 128, 5e-4, 0.), (150, 160, 2e-4, .4)]
  for recipe in macro, micro:
    assert (recipe.learning_rate, recipe.final_learning_rate, recipe.schedule,
            recipe.restart_epochs, recipe.nesterov, recipe.dropout_keep,
            recipe.drop_path_keep, recipe.clip_norm) == (
                .05, .0005, 'restarts', 10, True, .9, 1., None)


@pytest.mark.parametrize('space', enas.PUBLISHED)
def test_the_controller_fits_the_space(space):
  settings = _settings(space=space, num_layers=5, num_nodes=2).filled()
  space_, policy = enas.space_of(settings), enas.policy_of(settings)
  for strategy in policy.strategy, enas_search.chosen_by(
      enas_search.uniform(space_), (), 2):
    proposals = jax.eval_shape(
        strategy.ask, jax.random.key(0),
        jax.eval_shape(strategy.init, jax.random.key(0)))
    assert proposals.genomes.shape == (2, len(space_.choices))


def test_what_is_set_is_not_replaced():
  found = enas.Settings(space='macro', features=10, recipe='fast').filled()
  assert (found.features, found.recipe, found.final_recipe) == (
      10, 'fast', 'enas_macro')


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(enas.Settings)}
  assert fields == set(flags.help_of(enas.Settings))
  for scale, values in enas.SCALES.items():
    assert set(values) <= fields
    for space in enas.PUBLISHED:
      enas.Settings(**values | {'scale': scale, 'space': space}).filled()


@pytest.mark.parametrize('options, message', [
    (dict(space='rnn'), "space is 'rnn', expected"),
    (dict(decay='some'), "decay is 'some', expected"),
    (dict(num_layers=2), 'two halvings need at least 3 layers, got 2'),
    (dict(controller_rounds=0), 'controller_rounds'),
    (dict(skip_target=0.), 'skip_target is 0.0'),
    (dict(controller_size=0), 'hidden_size is 0'),
])
def test_bad_settings(tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    enas.main(tmp_path / 'run', _settings(**options))
  assert not (tmp_path / 'run').exists()
