"""Many searches of a table by every strategy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import on_tables
from nas_jax import parallel
from nas_jax import runs as runs_lib
from nas_jax import search
from nas_jax import tables
from nas_jax.evaluators import tabular
from nas_jax.spaces import discrete
from nas_jax.strategies import STRATEGIES
from nas_jax.strategies import random_search

_KEY = jax.random.key(5)
_SIZES = (3, 4, 2, 3)


@pytest.fixture(scope='module')
def table():
  """72 rows; the reward is the sum of the choices, row n costs n seconds."""
  space = discrete.space([range(n) for n in _SIZES])
  radices = np.array(discrete.radices(_SIZES), np.int32)
  genomes = np.indices(_SIZES).reshape(4, -1).T
  accuracy = 10. * genomes.sum(1).astype(np.float32)
  return tables.Table(
      'sums', space, None,
      lambda g: jnp.sum(jnp.asarray(g) * radices, axis=-1),
      {'accuracy': accuracy, 'seconds': np.arange(72, dtype=np.float32),
       'twice': 2 * accuracy, 'seeds': np.stack([accuracy] * 2, 1)})


@pytest.fixture(scope='module')
def evaluator(table):
  return tabular.benchmark(
      table, signal='accuracy', seconds=table.columns['seconds'])


def _runs(name, table, evaluator, **settings):
  *_, runs = on_tables.run(_KEY, name, table, evaluator, **{
      'num_searches': 3, 'num_evaluations': 25,
      'measures': ('twice', 'seconds'), **settings})
  return runs


@pytest.mark.parametrize(
    'name', [n for n in on_tables.recipes() if n not in ('pnas', 'nao')])
def test_what_runs_hold_is_of_the_rows(name, table, evaluator):
  runs = runs_lib.check(_runs(name, table, evaluator))
  assert runs.strategy == name
  assert runs.rewards.shape == (3, 25) and runs.rewards.dtype == np.float32
  np.testing.assert_allclose(runs.values['twice'], 200 * runs.rewards,
                             rtol=1e-5)
  np.testing.assert_array_equal(runs.values['seconds'], runs.seconds)
  # Searches differ, and none stays at one cell.
  assert len(np.unique(runs.seconds, axis=0)) == 3
  assert all(len(np.unique(row)) > 3 for row in runs.seconds)


def test_every_strategy_that_there_is_searches_tables():
  assert set(STRATEGIES) <= set(on_tables.recipes())


def test_a_search_has_its_own_key_whatever_is_done_at_once(
    table, evaluator, monkeypatch):
  whole = _runs('regularized_evolution', table, evaluator, num_searches=5)
  monkeypatch.setitem(
      on_tables._RECIPES, 'regularized_evolution',
      on_tables.recipes()['regularized_evolution']._replace(chunk=2))
  parts = list(on_tables.run(
      _KEY, 'regularized_evolution', table, evaluator, num_searches=5,
      num_evaluations=25))
  assert [len(p.rewards) for p in parts] == [2, 4, 5]
  np.testing.assert_array_equal(parts[-1].rewards, whole.rewards)
  strategy = STRATEGIES['regularized_evolution'](
      table.space, population_size=10, sample_size=3, identity_probability=0.)
  _, history = jax.jit(lambda key: search.scan(
      key, strategy, evaluator, num_rounds=25))(jax.random.fold_in(_KEY, 3))
  np.testing.assert_array_equal(history.rewards.ravel(), whole.rewards[3])


def test_searches_go_on_where_they_were(table, evaluator):
  whole = _runs('reinforce', table, evaluator, num_searches=4)
  start = _runs('reinforce', table, evaluator, num_searches=1)
  resumed = _runs('reinforce', table, evaluator, num_searches=4, start=start)
  np.testing.assert_array_equal(resumed.seconds, whole.seconds)
  np.testing.assert_allclose(resumed.rewards, whole.rewards)
  done = list(on_tables.run(
      _KEY, 'reinforce', table, evaluator, num_searches=4, num_evaluations=25,
      measures=('twice', 'seconds'), start=whole))
  assert done == []


def test_strategies_on_the_host_equal_compiled_ones(
    table, evaluator, monkeypatch):
  compiled = _runs('random_search', table, evaluator)
  recipe = on_tables.recipes()['random_search']
  strategy = random_search.random_search(table.space, batch_size=25)
  monkeypatch.setitem(on_tables._RECIPES, 'random_search', recipe._replace(
      make=lambda table, planned: strategy._replace(jittable=False)))
  parts = list(on_tables.run(
      _KEY, 'random_search', table, evaluator, num_searches=3,
      num_evaluations=25, measures=('twice', 'seconds')))
  assert [len(p.rewards) for p in parts] == [1, 2, 3]
  for name in ('rewards', 'seconds'):
    np.testing.assert_array_equal(
        getattr(parts[-1], name), getattr(compiled, name))


def test_a_genome_without_a_row_is_worth_nothing(table):
  holes = table._replace(number=lambda g: jnp.where(
      g[..., 0] == 0, -1, table.number(g)))
  evaluator = tabular.benchmark(holes, signal='accuracy')
  runs = _runs('random_search', holes, evaluator)
  missing = np.isnan(runs.values['twice'])
  assert missing.any() and not missing.all()
  assert (runs.rewards[missing] == 0).all()
  assert not runs.seconds.any()


def test_names():
  assert on_tables.resolve('random, rea,ppo') == [
      'random_search', 'regularized_evolution', 'ppo']
  assert on_tables.resolve('all') == list(on_tables.recipes())
  with pytest.raises(ValueError, match="unknown strategy 'annealing'"):
    on_tables.resolve('random,annealing')
  with pytest.raises(ValueError, match='names random_search twice'):
    on_tables.resolve('random,rs')


@pytest.mark.parametrize('settings, message', [
    ({'name': 'annealing'}, "unknown strategy 'annealing'"),
    ({'num_searches': 0}, 'num_searches 0 and num_evaluations 25 must be'),
    ({'measures': ('seeds',)}, "no column 'seeds' of one number per row"),
    ({'measures': ('height',)}, 'expected some of accuracy, seconds, twice')])
def test_refused(settings, message, table, evaluator):
  settings = {'name': 'random_search', **settings}
  with pytest.raises(ValueError, match=message):
    _runs(settings.pop('name'), table, evaluator, **settings)


def test_a_start_of_another_kind_is_refused(table, evaluator):
  start = _runs('random_search', table, evaluator)
  with pytest.raises(ValueError, match='3 searches of 25 evaluations by '
                     'random_search, not 3 of 25 by reinforce'):
    _runs('reinforce', table, evaluator, start=start)


def test_searches_may_be_spread_over_devices(table, evaluator):
  one = on_tables.searches(
      random_search.random_search(table.space, batch_size=25), evaluator, 25)
  keys = on_tables.key_data(_KEY, range(3))
  rewards, rows, seconds = parallel.pmap_rows(one, num_devices=1)(keys)
  runs = _runs('random_search', table, evaluator)
  np.testing.assert_array_equal(rewards, runs.rewards)
  np.testing.assert_array_equal(rows, seconds)
