import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import search
from nas_jax import tables
from nas_jax.evaluators import tabular
from nas_jax.spaces import discrete
from nas_jax.strategies import random_search

_SIZES = (2, 3, 1, 4)


def _space():
  return discrete.space([range(s) for s in _SIZES])


def _evaluate(evaluator, genomes):
  key = jax.random.key(0)
  evaluation, state = jax.jit(evaluator.evaluate)(
      key, evaluator.init(key), base.Proposals(genomes))
  assert state == ()
  assert evaluation.rewards.dtype == jnp.float32
  assert evaluation.metrics['failed'].dtype == jnp.float32
  return evaluation


def test_rewards_are_in_lexical_order():
  rewards = np.linspace(0, 1, 24) ** 2
  genomes = np.array(list(itertools.product(*map(range, _SIZES))), np.int32)
  found = _evaluate(tabular.tabular(_space(), rewards), genomes)
  np.testing.assert_array_equal(found.rewards, rewards.astype(np.float32))
  assert found.metrics['failed'].tolist() == [0.] * 24
  # By hand: 1 * 12 + 2 * 4 + 0 + 3.
  assert discrete.index(_SIZES, [1, 2, 0, 3]) == 23
  one = _evaluate(tabular.tabular(_space(), range(24)), genomes[[13, 6]])
  assert one.rewards.tolist() == [13., 6.]


def test_failed_entries_get_the_floor():
  rewards = np.arange(24.)
  rewards[[3, 7]] = np.nan, -np.inf
  genomes = np.stack([discrete.from_index(_SIZES, n) for n in (3, 7, 8)])
  found = _evaluate(
      tabular.tabular(_space(), rewards, failed_reward=-1.), genomes)
  assert found.rewards.tolist() == [-1., -1., 8.]
  assert found.metrics['failed'].tolist() == [1., 1., 0.]


def test_a_search_of_several_seeds_in_one_table():
  rewards = np.random.default_rng(0).random(24)
  evaluator = tabular.tabular(_space(), rewards)
  strategy = random_search.random_search(_space(), batch_size=8)
  state, history = jax.jit(jax.vmap(lambda key: search.scan(
      key, strategy, evaluator, num_rounds=100)))(
          jax.random.split(jax.random.key(0), 4))
  assert history.rewards.shape == (4, 100, 8)
  np.testing.assert_allclose(state.best_reward, rewards.max(), rtol=1e-6)
  best = discrete.from_index(_SIZES, int(np.argmax(rewards)))
  assert (state.best_genome == best).all()


@pytest.mark.parametrize('rewards, options, message', [
    (np.zeros(23), {}, r'has 24 genomes, but the rewards are of shape \(23,\)'),
    (np.zeros((4, 6)), {}, r'the rewards are of shape \(4, 6\)'),
    ([0.] * 5 + [np.nan] * 19, {}, 'reward 5 is nan: without a failed_reward'),
    (np.zeros(24), {'failed_reward': np.inf},
     'failed_reward must be finite, got inf'),
])
def test_tables_are_checked(rewards, options, message):
  with pytest.raises(ValueError, match=message):
    tabular.tabular(_space(), rewards, **options)


def test_spaces_too_large_for_a_table():
  with pytest.raises(ValueError, match='the space has 1267650600228229401496'):
    tabular.tabular(discrete.space([range(2)] * 100), [0.])


@pytest.fixture(scope='module')
def table():
  """Two positions of two choices; one architecture is missing."""
  return tables.of_choices('tiny', np.array([[0, 0], [0, 1], [1, 0]]), {
      'val': [50., np.nan, 70.], 'seconds': [1., 2., 3.],
      'runs': [[10., 20., np.nan], [30., np.nan, np.nan], [1., 2., 3.]]})


_ALL = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def _benchmark(table, num_draws=1, **options):
  evaluator = tabular.benchmark(table, **options)
  keys = jax.random.split(jax.random.key(0), num_draws)
  found = jax.jit(jax.vmap(lambda k: evaluator.evaluate(
      k, (), base.Proposals(_ALL))[0]))(keys)
  return np.asarray(found.rewards), {
      k: np.asarray(v)[0].tolist() for k, v in found.metrics.items()}


def test_a_benchmark_says_what_training_gave_and_cost(table):
  rewards, metrics = _benchmark(
      table, signal='val', seconds=table.columns['seconds'], failed_reward=.1)
  np.testing.assert_allclose(rewards[0], [.5, .1, .7, .1])
  assert metrics == {'failed': [0, 1, 0, 1], 'row': [0, 1, 2, -1],
                     'simulated_seconds': [1, 2, 3, 0]}


def test_each_training_is_as_likely(table):
  rewards, _ = _benchmark(table, 4000, signal='runs', scale=1.)
  for column, values in ((0, [10, 20]), (1, [30]), (2, [1, 2, 3])):
    found, counts = np.unique(rewards[:, column], return_counts=True)
    assert found.tolist() == values
    expected = 4000 / len(values)
    assert (abs(counts - expected) < 5 * expected**.5 + 1e-9).all()


def test_noise_has_the_deviation_of_its_row(table):
  rewards, _ = _benchmark(
      table, 4000, signal='val', scale=1., noise=[2., 9., 0.])
  assert abs(rewards[:, 0].mean() - 50) < 5 * 2 / 4000**.5
  assert abs(rewards[:, 0].std() - 2) < .15
  assert (rewards[:, 2] == 70).all() and (rewards[:, 1] == 0).all()


def test_the_spread_of_equal_cells(shared_data):
  table = tables.load(shared_data / 'nasbench201.npz')
  spread = tabular.spread_of_equal_cells(table, 'cifar10_val_12')
  signal = table.columns['cifar10_val_12']
  assert spread.shape == (15_625,)
  # The best differ less than those in the middle.
  assert .2 < spread[signal > 84].mean() < .35
  assert .8 < spread[(signal > 66) & (signal < 70)].mean() < 1.2
  # Noise of a known size comes out; 6,466 classes of 2.4 cells on average.
  rng = np.random.default_rng(0)
  known = table._replace(columns={'x': rng.normal(
      0, .5, 15_625).astype(np.float32)})
  assert np.sqrt(np.mean(tabular.spread_of_equal_cells(known, 'x')**2)
                 ) == pytest.approx(.5, rel=.02)
  for wrong in (table._replace(family=None), table._replace(columns={})):
    with pytest.raises(ValueError, match='has no column'):
      tabular.spread_of_equal_cells(wrong, 'cifar10_val_12')


@pytest.mark.parametrize('options, message', [
    (dict(signal='test'), "no column 'test', only val, seconds, runs"),
    (dict(signal='val', seconds=[1., 2.]), r'seconds is of shape \(2,\)'),
    (dict(signal='val', seconds=[1., 2., np.nan]), 'seconds must be finite'),
    (dict(signal='val', noise=-1.), 'noise must be finite and at least 0'),
    (dict(signal='val', failed_reward=np.inf), 'failed_reward must be finite')])
def test_benchmarks_that_cannot_be(table, options, message):
  with pytest.raises(ValueError, match=message):
    tabular.benchmark(table, **options)
