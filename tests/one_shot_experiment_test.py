"""The one-shot search, from flags to the network."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments import flags
from experiments import one_shot
from nas_jax import records
from nas_jax import trained
from nas_jax import workflow
from nas_jax.networks import graph
from nas_jax.spaces import genotypes
from nas_jax.spaces import one_shot as spaces
from nas_jax.training import recipes

_TINY = one_shot.SMOKE | dict(
    scale='smoke', max_train=60, epochs=2, batch_size=20, num_ghosts=2,
    num_cells=1, features=2, num_children=6, children_per_round=3,
    random_epochs=1, num_finalists=1, final_epochs=1, final_batch_size=20,
    final_features=2, final_num_cells=1)
# Few things to compile: three layers of NAS-Bench-Macro would be more.
_FAIR = dict(space='nasbench201', sampling='fair', search='evolution')


def _settings(**options):
  return one_shot.Settings(**_TINY | options)


@pytest.mark.slow
def test_a_run_ends_with_a_network_and_goes_on_where_it_stopped(
    tmp_path, monkeypatch):
  whole = one_shot.main(tmp_path / 'whole', _settings())
  stop = lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt)
  with monkeypatch.context() as patch:
    patch.setattr(workflow, 'search_children', stop)
    with pytest.raises(KeyboardInterrupt):
      one_shot.main(tmp_path / 'cut', _settings())
  again = one_shot.main(tmp_path / 'cut', _settings())
  assert again['result'] == whole['result']
  assert again['shared_weights'] == whole['shared_weights']
  history = records.read(tmp_path / 'whole' / 'history.jsonl')
  assert len({str(r['genotype']) for r in history}) == 6
  for record in history:
    assert set(record['metrics']) == {
        'validation_accuracy', 'validation_loss', 'failed', 'num_params',
        'divergence'}
    spaces.check(genotypes.from_json(record['genotype']))
  # As many epochs of training in all: two architectures of one epoch.
  random = records.read(tmp_path / 'whole' / 'random_search/history.jsonl')
  assert len(random) == 2 and random[0]['metrics']['epochs'] == 1
  assert trained.load(tmp_path / 'whole').preset.family == 'one_shot'


@pytest.mark.slow
def test_fair_sampling_and_evolution(tmp_path):
  settings = _settings(**_FAIR, max_params=2300)
  summary = one_shot.main(tmp_path, settings)
  assert summary['search']['num_children'] == 6
  history = records.read(tmp_path / 'history.jsonl')
  assert len({str(r['genotype']) for r in history}) == 6
  assert all(r['metrics']['num_params'] <= 2300 for r in history)
  # A step takes every image five times.
  assert len(records.read(tmp_path / 'random_search/history.jsonl')) == 10


def test_paper_scale_is_the_published_search():
  settings = one_shot.Settings(**one_shot.PAPER)
  assert (settings.num_cells, settings.features, settings.drop_rate,
          settings.num_ghosts, settings.num_children, settings.num_finalists,
          settings.statistics) == (8, 32, .05, 32, 20_000, 10, 'batch')
  recipe = recipes.load(settings.recipe)
  assert (recipe.batch_size, recipe.learning_rate, recipe.momentum,
          recipe.nesterov) == (1024, .1, .9, True)
  # 45,000 images: between 5,000 and 10,000 steps.
  assert 5_000 <= recipe.epochs * 45_000 // recipe.batch_size <= 10_000
  assert settings.batch_size is None and settings.epochs is None


def test_random_architectures_train_for_as_many_epochs():
  recipe = recipes.Recipe(epochs=12)
  settings = _settings(random_epochs=4, num_finalists=2)
  assert one_shot.num_random(recipe, settings, 1) == 3
  assert one_shot.num_random(recipe, settings, 5) == 15
  few = dataclasses.replace(settings, num_finalists=8)
  assert one_shot.num_random(recipe, few, 1) == 8


def test_what_is_found_is_summarised():
  history = [{'metrics': {
      'validation_accuracy': a, 'num_params': p, 'divergence': d, 'failed': f}}
             for a, p, d, f in ((.1, 1., 9., 0.), (.5, 2., 5., 0.),
                                (.9, 3., 1., 0.), (0., 0., 0., 1.))]
  assert one_shot.findings(history)['shared_weights'] == {
      'lowest_one_shot_accuracy': .1, 'median_one_shot_accuracy': .5,
      'highest_one_shot_accuracy': .9,
      'rank_correlation_of_accuracy_and_num_params': pytest.approx(1.),
      'rank_correlation_of_accuracy_and_divergence': pytest.approx(-1.)}


def test_evolution_and_random_search_meet_the_limit():
  family, _ = one_shot.make(_settings())
  for search in one_shot.SEARCHES:
    settings = _settings(search=search, max_params=400)
    strategy = one_shot.strategy_of(family, settings)
    queue = np.asarray(strategy.init(jax.random.key(0)).queue)
    assert len(queue) == 3
    for genome in queue:
      net = family.build(family.space.genotype(genome))
      assert graph.num_params(net) <= 400


@pytest.mark.parametrize('name', one_shot.FAMILIES)
def test_what_is_scored_can_be_trained_alone(name):
  """By the network of the same size, with norms that may be affine."""
  family, problem = one_shot.make(_settings(space=name, sampling='spos'))
  assert problem.family == name
  genotype = family.space.genotype(family.space.sample(jax.random.key(3)))
  shared, alone = family.build(genotype), problem.child(genotype)
  assert graph.num_params(shared) <= graph.num_params(alone) < 1.5 * (
      graph.num_params(shared))


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(one_shot.Settings)}
  assert fields == set(flags.help_of(one_shot.Settings))
  for scale, values in one_shot.SCALES.items():
    assert set(values) <= fields
    one_shot.Settings(**values | {'scale': scale})


@pytest.mark.parametrize('options, message', [
    (dict(space='nas'), "space is 'nas', expected one of one_shot, "),
    (dict(sampling='all'), "sampling is 'all', expected one of path_dropout, "),
    (dict(space='nasbench201'), 'in the space nasbench201 it has no meaning: '
     'choose spos or fair'),
    (dict(num_ghosts=0), 'num_ghosts is 0, expected at least 1'),
])
def test_bad_settings(options, message):
  with pytest.raises(ValueError, match=message):
    _settings(**options)


@pytest.mark.parametrize('options, message', [
    (dict(num_ghosts=3), 'batch_size 20 does not split into num_ghosts 3'),
    (dict(sampling='fair'), 'strict fairness needs as many choices'),
    (dict(search='evolution', max_params=9), 'meets the constraint'),
])
def test_what_does_not_fit_is_found_before_anything_is_written(
    tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    one_shot.main(tmp_path / 'run', _settings(**options))
  assert not (tmp_path / 'run').exists()
