"""What every registered strategy must do, on spaces of unequal positions."""

import functools
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
from nas_jax.spaces import genotypes
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
    # The levels are not multiples of the batch; the search ends in the run.
    'pnas': [
        {'beam_size': 5, 'batch_size': 3, 'epochs': 3,
         'num_predictors': 2, 'capacity': 30},
        {'beam_size': 4, 'predictor': 'rnn', 'epochs': 3,
         'num_predictors': 1}],
    # The pool is full within the run; sizes that no batch divides.
    'nao': [
        {'settings': 'pytorch_v1', 'num_initial': 10, 'num_seeds': 4,
         'num_new': 5, 'batch_size': 3, 'capacity': 20, 'epochs': 2,
         'hidden_size': 8, 'layers': (6,), 'step_sizes': (1., 30.)},
        {'num_initial': 6, 'num_seeds': 3, 'num_new': 4, 'num_random': 2,
         'epochs': 2, 'hidden_size': 8}],
}
# The first variant meets every space, the others the most unequal one.
_CASES = [(name, options, space) for name in STRATEGIES
          for i, options in enumerate(_VARIANTS.get(name, [{}]))
          for j, space in enumerate(_SPACES) if not i or not j]
# Those that run on the host: no scan, no vmap, nothing to compile.
_ON_HOST = ('pnas', 'nao')


class Case(NamedTuple):
  space: base.Space
  strategy: base.Strategy  # ask and tell jitted, unless it runs on the host
  evaluator: base.Evaluator
  traces: dict[str, int]
  scanned: tuple[search.SearchState, search.History] | None  # not on the host
  hosted: tuple[search.SearchState, list[dict[str, Any]]]
  genomes: np.ndarray  # int32[T, B, L], those of the records


def _id(case):
  name, options, space = case
  return '-'.join([name, *(f'{k}={v}' for k, v in options.items()), space])


@pytest.fixture(scope='module', params=range(len(_CASES)),
                ids=lambda i: _id(_CASES[i]))
def case(request):
  return _make(request.param)


@pytest.fixture(scope='module', ids=lambda i: _id(_CASES[i]), params=[
    i for i, (name, *_) in enumerate(_CASES) if name not in _ON_HOST])
def jitted(request):
  return _make(request.param)


@functools.cache
def _make(number):
  name, options, space_name = _CASES[number]
  space = _SPACES[space_name]()
  evaluator = toy.nk(space, num_interactions=1, seed=0)
  if 'hidden_size' in options and name not in _ON_HOST:
    options = {**options, 'controller': sequence.controller(
        space.choices, hidden_size=options['hidden_size'])}
    del options['hidden_size']
  plain = STRATEGIES[name](space, **options)
  assert plain.jittable == (name not in _ON_HOST)
  traces = {'ask': 0, 'tell': 0}

  def counted(which):
    def f(*args):
      traces[which] += 1
      return getattr(plain, which)(*args)
    return jax.jit(f) if plain.jittable else f

  strategy = plain._replace(ask=counted('ask'), tell=counted('tell'))
  evaluator = evaluator._replace(evaluate=jax.jit(evaluator.evaluate))
  key = jax.random.key(11)
  hosted = search.run(key, strategy, evaluator, num_rounds=_ROUNDS,
                      genotype=space.genotype)
  scanned = jax.jit(lambda k: search.scan(
      k, plain, evaluator, num_rounds=_ROUNDS))(key) if plain.jittable else None
  genomes = np.stack([space.encode(genotypes.from_json(record['genotype']))
                      for record in hosted[1]])
  return Case(space, strategy, evaluator, traces, scanned, hosted,
              genomes.reshape(_ROUNDS, -1, genomes.shape[-1]))


def _assert_same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    assert x.dtype == y.dtype and x.shape == y.shape
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def _assert_alike(a, b):
  """The same but for the rounding of different programs."""
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), a, b)


def test_ask_and_tell_compile_once(jitted):
  # 14 rounds ran on the host; `search.init` looks at the shape of ask once.
  assert jitted.traces['tell'] == 1
  assert jitted.traces['ask'] <= 2


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
  asked = case.strategy.ask(jax.random.key(3), case.hosted[0].strategy)
  assert asked.genomes.dtype == jnp.int32
  genomes = case.genomes
  assert genomes.shape[1:] == asked.genomes.shape
  assert genomes.shape[::2] == (_ROUNDS, len(case.space.choices))
  for found in genomes, asked.genomes:
    assert bool(jnp.all(discrete.is_legal(case.space.choices, found)))


def test_children_vary(case):
  length = case.genomes.shape[-1]
  assert len(np.unique(case.genomes.reshape(-1, length), axis=0)) > 3


def test_scan_equals_the_host_loop(jitted):
  state, history = jitted.scanned
  hosted_state, records = jitted.hosted
  _assert_alike(state, hosted_state)
  assert (history.genomes == jitted.genomes).all()
  flat = history.genomes.reshape(-1, history.genomes.shape[-1])
  assert len(records) == len(flat)
  _assert_alike(jnp.array([r['reward'] for r in records]),
                history.rewards.ravel())
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


def test_scan_goes_on_from_a_state(jitted):
  key = jax.random.key(11)

  @jax.jit
  def half(state):
    return search.scan(key, jitted.strategy, jitted.evaluator,
                       num_rounds=_ROUNDS // 2, state=state)

  state, first = half(search.init(key, jitted.strategy, jitted.evaluator))
  state, second = half(state)
  _assert_same((state, jax.tree.map(
      lambda *x: jnp.concatenate(x), first, second)), jitted.scanned)


def test_seeds_are_a_vmap(jitted):
  keys = jax.random.split(jax.random.key(0), 3).at[1].set(jax.random.key(11))
  state, history = jax.jit(jax.vmap(lambda k: search.scan(
      k, jitted.strategy, jitted.evaluator, num_rounds=_ROUNDS)))(keys)
  assert history.rewards.shape[:2] == (3, _ROUNDS)
  # The same children as alone; sums may round otherwise in a larger batch.
  assert (history.genomes[1] == jitted.scanned[1].genomes).all()
  np.testing.assert_allclose(
      state.best_reward[1], jitted.scanned[0].best_reward, rtol=1e-6)
  assert (history.genomes[0] != history.genomes[1]).any()
