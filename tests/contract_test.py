"""What every registered strategy must do, on spaces of unequal positions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import search
from nas_jax.controllers import sequence
from nas_jax.evaluators import toy
from nas_jax.spaces import cell
from nas_jax.spaces import discrete
from nas_jax.strategies import STRATEGIES

_ROUNDS = 14
_SPACES = {
    'one_to_six': lambda: discrete.space([range(s) for s in (2, 1, 6, 3)]),
    'values': lambda: discrete.space([('a', 'b', 'c'), (1, 2)]),
    'cell': lambda: cell.space(('a', 'b', 'c'), num_nodes=2),
}
# Options under which a strategy learns within a few rounds; a registered
# name that is not here runs with its defaults.
_VARIANTS = {
    'random_search': [{}, {'batch_size': 3}],
    'regularized_evolution': [
        {'population_size': 6, 'sample_size': 3},
        {'population_size': 6, 'sample_size': 3, 'batch_size': 3},
        {'population_size': 6, 'sample_size': 3, 'aging': False}],
    # hidden_size is that of a controller of the space.
    'reinforce': [
        {'hidden_size': 4, 'batch_size': 3},
        {'hidden_size': 4, 'batch_size': 2, 'num_replicas': 3,
         'num_shards': 2, 'accumulate': 4, 'entropy_in': 'reward',
         'entropy_weight': .1}],
    'ppo': [{'hidden_size': 4, 'batch_size': 3}],
    # The memory is full within the run.
    'q_learning': [
        {'batch_size': 4, 'epsilon_schedule': ((1., 5), (.2, 9)),
         'capacity': 25},
        {'batch_size': 3, 'num_updates': 2, 'shaping': False}],
}
# The first variant meets every space, the others the most unequal one.
_CASES = [(name, options, space) for name in STRATEGIES
          for i, options in enumerate(_VARIANTS.get(name, [{}]))
          for j, space in enumerate(_SPACES) if not i or not j]


class Case(NamedTuple):
  space: base.Space
  strategy: base.Strategy  # ask and tell jitted
  evaluator: base.Evaluator
  traces: dict[str, int]
  scanned: tuple[search.SearchState, search.History]
  hosted: tuple[search.SearchState, list[dict[str, Any]]]


def _id(case):
  name, options, space = case
  return '-'.join([name, *(f'{k}={v}' for k, v in options.items()), space])


@pytest.fixture(scope='module', params=_CASES, ids=_id)
def case(request):
  name, options, space_name = request.param
  space = _SPACES[space_name]()
  evaluator = toy.nk(space, num_interactions=1, seed=0)
  if 'hidden_size' in options:
    options = {**options, 'controller': sequence.controller(
        space.choices, hidden_size=options['hidden_size'])}
    del options['hidden_size']
  plain = STRATEGIES[name](space, **options)
  traces = {'ask': 0, 'tell': 0}

  def counted(which):
    def f(*args):
      traces[which] += 1
      return getattr(plain, which)(*args)
    return jax.jit(f)

  strategy = plain._replace(ask=counted('ask'), tell=counted('tell'))
  evaluator = evaluator._replace(evaluate=jax.jit(evaluator.evaluate))
  key = jax.random.key(11)
  hosted = search.run(key, strategy, evaluator, num_rounds=_ROUNDS,
                      genotype=space.genotype)
  scanned = jax.jit(lambda k: search.scan(
      k, plain, evaluator, num_rounds=_ROUNDS))(key)
  return Case(space, strategy, evaluator, traces, scanned, hosted)


def _assert_same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    assert x.dtype == y.dtype and x.shape == y.shape
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_ask_and_tell_compile_once(case):
  # 14 rounds ran on the host; `search.init` looks at the shape of ask once.
  assert case.traces['tell'] == 1
  assert case.traces['ask'] <= 2


def test_asking_twice_is_safe(case):
  state = case.hosted[0].strategy
  before = jax.tree.map(jnp.copy, state)
  first, second = (case.strategy.ask(jax.random.key(3), state)
                   for _ in range(2))
  _assert_same(first, second)
  _assert_same(state, before)


def test_states_keep_their_shapes_and_dtypes(case):
  start = case.strategy.init(jax.random.key(0))
  end = case.hosted[0].strategy
  assert jax.tree.structure(start) == jax.tree.structure(end)
  for x, y in zip(jax.tree.leaves(start), jax.tree.leaves(end)):
    assert (x.shape, x.dtype) == (y.shape, y.dtype)
    # A weak type would compile everything once more.
    assert not x.weak_type and not y.weak_type


def test_all_genomes_are_legal(case):
  genomes = case.scanned[1].genomes
  assert genomes.dtype == jnp.int32
  assert genomes.shape[::2] == (_ROUNDS, len(case.space.choices))
  assert bool(jnp.all(discrete.is_legal(case.space.choices, genomes)))


def test_children_vary(case):
  genomes = np.asarray(case.scanned[1].genomes)
  assert len(np.unique(genomes.reshape(-1, genomes.shape[-1]), axis=0)) > 3


def test_scan_equals_the_host_loop(case):
  state, history = case.scanned
  hosted_state, records = case.hosted
  _assert_same(state, hosted_state)
  flat = history.genomes.reshape(-1, history.genomes.shape[-1])
  assert len(records) == len(flat)
  assert [r['reward'] for r in records] == history.rewards.ravel().tolist()
  assert [r['child'] for r in records] == list(range(len(flat)))
  for record, genome in zip(records, flat):
    assert record['metrics'] == {'failed': 0.}
  assert state.best_reward == history.rewards.max()
  best = int(jnp.argmax(history.rewards.ravel()))
  assert (state.best_genome == flat[best]).all()


def test_resumed_run_equals_the_uninterrupted_one(case, tmp_path):
  key = jax.random.key(11)

  def run(num_rounds):
    return search.run(key, case.strategy, case.evaluator, workdir=tmp_path,
                      num_rounds=num_rounds, genotype=case.space.genotype)

  run(5)
  state, records = run(_ROUNDS)
  _assert_same(state, case.hosted[0])
  assert records == case.hosted[1]


def test_scan_goes_on_from_a_state(case):
  key = jax.random.key(11)

  @jax.jit
  def half(state):
    return search.scan(key, case.strategy, case.evaluator,
                       num_rounds=_ROUNDS // 2, state=state)

  state, first = half(search.init(key, case.strategy, case.evaluator))
  state, second = half(state)
  _assert_same((state, jax.tree.map(
      lambda *x: jnp.concatenate(x), first, second)), case.scanned)


def test_seeds_are_a_vmap(case):
  keys = jax.random.split(jax.random.key(0), 3).at[1].set(jax.random.key(11))
  state, history = jax.jit(jax.vmap(lambda k: search.scan(
      k, case.strategy, case.evaluator, num_rounds=_ROUNDS)))(keys)
  assert history.rewards.shape[:2] == (3, _ROUNDS)
  # The same children as alone; sums may round otherwise in a larger batch.
  assert (history.genomes[1] == case.scanned[1].genomes).all()
  np.testing.assert_allclose(
      state.best_reward[1], case.scanned[0].best_reward, rtol=1e-6)
  assert (history.genomes[0] != history.genomes[1]).any()
