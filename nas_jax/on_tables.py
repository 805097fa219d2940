"""Strategies by name as they search tables, and many searches of one at once.

Settings are published ones where there are any: the algorithms that
NAS-Bench-201 was introduced with (Dong, Yang, arXiv 2001.00326; the authors'
code, AutoDL-Projects) are random search, regularized evolution with a
population of 10 and samples of 3, and REINFORCE over logits with Adam at 0.01
and an average of rewards that keeps 0.9.

Note: that code mutates a cell by drawing a node, then an edge into it, where
`spaces.graph` draws an edge, as the article says. The other strategies were
published for searches of thousands of children. Here their settings follow
the number of evaluations, or are those of benchmarks/reinforcement.py.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from nas_jax import base
from nas_jax import keys
from nas_jax import parallel
from nas_jax import runs as runs_lib
from nas_jax import search
from nas_jax import tables
from nas_jax.controllers import logits
from nas_jax.controllers import sequence
from nas_jax.strategies import q_learning
from nas_jax.strategies import STRATEGIES

_HIDDEN_SIZE = 32  # of LSTM controllers
_MOST_AT_ONCE = 500  # children of a round of random search
_ROUND = 10  # children per round of strategies that learn from batches


class Recipe(NamedTuple):
  """How a strategy searches tables."""
  # (table, evaluations that a search is planned to have) -> strategy
  make: Callable[[tables.Table, int], base.Strategy]
  about: str  # its settings, for readers
  chunk: int = 1000  # searches at once on a device


def recipes() -> dict[str, Recipe]:
  """All strategies that search tables, by name; random search is the first."""
  return {name: recipe for name, recipe in _RECIPES.items()
          if name not in _OPTIONAL or name in STRATEGIES}


def resolve(names: str) -> list[str]:
  """The names of strategies in 'a,b', or of all of them for 'all'.

  Raises:
    ValueError: an unknown name, one twice, or none.
  """
  known = recipes()
  if names.strip() == 'all':
    return list(known)
  found = [_ALIASES.get(n.strip(), n.strip()) for n in names.split(',')]
  for name in found:
    if name not in known:
      raise ValueError(
          f'unknown strategy {name!r}, expected all, or some of '
          f'{", ".join([*known, *_ALIASES])}, joined by commas')
    if found.count(name) > 1:
      raise ValueError(f'strategies names {name} twice')
  return found


def run(
    key: base.Key,
    name: str,
    table: tables.Table,
    evaluator: base.Evaluator,
    *,
    num_searches: int,
    num_evaluations: int,
    planned: int | None = None,
    measures: Sequence[str] = (),
    num_devices: int = 1,
    start: runs_lib.Runs | None = None,
) -> Iterator[runs_lib.Runs]:
  """Many searches by one strategy, all done so far after each part of them.

  Search s has the key fold_in(key, s), whatever is done at once. Strategies
  that can are compiled into one program, and vectorised over searches; others
  run on the host, a search at a time.

  Args:
    key: of all searches.
    name: of the strategy, see `recipes`.
    table: what is searched.
    evaluator: `tabular.benchmark` of the table: its metrics are the number of
      the row and, if evaluations cost anything, their simulated seconds.
    num_searches: S.
    num_evaluations: T of each. The last round of a strategy is cut there.
    planned: of these, how many the settings are made for; by default all.
    measures: columns of the table, what the evaluated rows are worth.
    num_devices: how many local devices share the searches.
    start: searches done before.

  Yields:
    The first searches, more each time, at last all S.

  Raises:
    ValueError: an unknown strategy, a column that is not there, a number
      below 1, or a start that does not fit.
  """
  _check(name, table, num_searches, num_evaluations, measures, start)
  recipe = recipes()[name]
  strategy = recipe.make(table, planned or num_evaluations)
  done = 0 if start is None else len(start.rewards)
  parts = [] if start is None else [start]
  found = (_vectorised if strategy.jittable else _one_by_one)(
      key, recipe, table, strategy, evaluator, range(done, num_searches),
      num_evaluations, num_devices)
  for rewards, rows, seconds in found:
    parts.append(runs_lib.Runs(name, rewards, seconds, {
        m: _worth(table.columns[m], rows) for m in measures}))
    parts = [_join(parts)]
    yield parts[0]


def _check(name, table, num_searches, num_evaluations, measures, start):
  if name not in recipes():
    raise ValueError(f'unknown strategy {name!r}, expected one of '
                     f'{", ".join(recipes())}')
  if min(num_searches, num_evaluations) < 1:
    raise ValueError(f'num_searches {num_searches} and num_evaluations '
                     f'{num_evaluations} must be at least 1')
  for measure in measures:
    if np.ndim(table.columns.get(measure)) != 1:
      raise ValueError(
          f'{table.name} has no column {measure!r} of one number per row, '
          f'expected some of {", ".join(single_columns(table))}')
  if start is not None and (
      start.strategy != name or set(start.values) != set(measures)
      or start.rewards.shape[1] != num_evaluations
      or len(start.rewards) > num_searches):
    raise ValueError(
        f'what is to go on are {start.rewards.shape[0]} searches of '
        f'{start.rewards.shape[1]} evaluations by {start.strategy}, not '
        f'{num_searches} of {num_evaluations} by {name}')


def single_columns(table: tables.Table) -> list[str]:
  """The names of columns that hold one number per row."""
  return [k for k, v in table.columns.items() if np.ndim(v) == 1]


def round_size(strategy: base.Strategy) -> int:
  """Children per round of a strategy that can be compiled."""
  key = jax.random.key(0)
  return jax.eval_shape(
      lambda k: strategy.ask(k, strategy.init(k)).genomes, key).shape[0]


def searches(
    strategy: base.Strategy,
    evaluator: base.Evaluator,
    num_evaluations: int,
) -> Callable[[jax.Array], tuple[jax.Array, jax.Array, jax.Array]]:
  """One search: uint32[2], a key, to rewards, rows and seconds, float32[T].

  Args:
    strategy: jittable.
    evaluator: see `run`.
    num_evaluations: T.
  """
  num_rounds = -(-num_evaluations // round_size(strategy))

  def one(key):
    _, history = search.scan(
        keys.unrolled(key), strategy, evaluator,
        num_rounds=num_rounds)
    rewards = history.rewards
    seconds = history.metrics.get('simulated_seconds')
    if seconds is None:
      seconds = 0 * rewards
    return tuple(x.reshape(-1)[:num_evaluations] for x in (
        rewards, history.metrics['row'], seconds))

  return one


def key_data(key: base.Key, numbers: Sequence[int]) -> np.ndarray:
  """The keys of some searches, uint32[S, 2]."""
  return np.asarray(jax.vmap(lambda i: jax.random.key_data(
      jax.random.fold_in(key, i)))(np.asarray(numbers, np.uint32)))


def _vectorised(key, recipe, table, strategy, evaluator, numbers,
                num_evaluations, num_devices):
  del table
  one = searches(strategy, evaluator, num_evaluations)
  mapped = (jax.jit(jax.vmap(one)) if num_devices == 1 else
            parallel.pmap_rows(one, num_devices=num_devices))
  data = key_data(key, numbers)
  size = min(recipe.chunk * num_devices, len(data))
  for first in range(0, len(data), size or 1):
    part = data[first:first + size]
    # One shape, one compilation: the last part repeats some searches.
    full = np.resize(part, (size, *part.shape[1:]))
    yield [np.asarray(x)[:len(part)] for x in mapped(full)]


def _one_by_one(key, recipe, table, strategy, evaluator, numbers,
                num_evaluations, num_devices):
  del recipe, num_devices
  batch = strategy.ask(key, strategy.init(key)).genomes.shape[0]
  for number in numbers:
    _, records = search.run(
        jax.random.fold_in(key, number), strategy, evaluator,
        num_rounds=-(-num_evaluations // batch), genotype=table.space.genotype)
    records = records[:num_evaluations]
    yield [np.array([values], np.float32) for values in (
        [r['reward'] for r in records],
        [r['metrics']['row'] for r in records],
        [r['seconds'].get('simulated', 0.) for r in records])]


def _worth(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """What each row is worth; nothing, NaN, where there is none."""
  rows = rows.astype(np.int64)
  return np.where(rows < 0, np.nan, column[rows]).astype(np.float32)


def _join(parts: Sequence[runs_lib.Runs]) -> runs_lib.Runs:
  """Searches by one strategy, one after the other."""
  return runs_lib.Runs(
      parts[0].strategy, *(np.concatenate([getattr(p, k) for p in parts])
                           for k in ('rewards', 'seconds')),
      {m: np.concatenate([p.values[m] for p in parts])
       for m in parts[0].values})


def _random(table, planned):
  # Nothing is learned: how many are drawn at once does not matter.
  return STRATEGIES['random_search'](
      table.space, batch_size=min(planned, _MOST_AT_ONCE))


def _evolution(table, planned):
  del planned
  return STRATEGIES['regularized_evolution'](
      table.space, population_size=10, sample_size=3, identity_probability=0.)


def _reinforce(table, planned):
  del planned
  return STRATEGIES['reinforce'](
      table.space, controller=logits.controller(table.space.choices),
      batch_size=1, learning_rate=.01, baseline_decay=.9,
      baseline_average='corrected')


def _reinforce_lstm(table, planned):
  del planned
  return STRATEGIES['reinforce'](
      table.space, controller=_lstm(table), batch_size=_ROUND,
      learning_rate=.01, baseline_decay=.9)


def _ppo(table, planned):
  del planned
  # As far per round: it takes four steps.
  return STRATEGIES['ppo'](
      table.space, controller=_lstm(table), batch_size=_ROUND,
      learning_rate=.003, baseline_decay=.9)


def _q_learning(table, planned):
  return q_learning.q_learning(
      table.space, batch_size=_ROUND, num_updates=64, learning_rate=.1,
      epsilon_schedule=q_learning.scaled_schedule(
          max(1, planned // _ROUND)))


def _lstm(table):
  return sequence.controller(table.space.choices, hidden_size=_HIDDEN_SIZE)


def _plain(name):
  return lambda table, planned: STRATEGIES[name](table.space)


def _pnas(table, planned):
  # Three beams after the cells of one block, and room for what follows.
  return STRATEGIES['pnas'](
      table.space, beam_size=max(1, planned // 4), capacity=2 * planned)


def _nao(table, planned):
  # A quarter is random; three iterations of a quarter each.
  quarter = max(1, planned // 4)
  return STRATEGIES['nao'](
      table.space, settings='pytorch_v1', num_initial=quarter,
      num_seeds=max(1, quarter // 3), num_new=quarter, epochs=100,
      capacity=planned + quarter)


_LSTM = f'LSTM of {_HIDDEN_SIZE}, rounds of {_ROUND}, '
_RECIPES = {
    'random_search': Recipe(_random, 'uniform'),
    'regularized_evolution': Recipe(
        _evolution, 'population 10, samples of 3 (NAS-Bench-201)'),
    'reinforce': Recipe(
        _reinforce, 'a softmax per position, one child per step, Adam at '
        '0.01, average of rewards 0.9 (NAS-Bench-201)'),
    'q_learning': Recipe(
        _q_learning, f'rounds of {_ROUND}, 64 updates each at 0.1, the '
        'schedule of BlockQNN scaled to the number of evaluations'),
    'reinforce_lstm': Recipe(
        _reinforce_lstm, f'{_LSTM}Adam at 0.01, average 0.9', 50),
    'ppo': Recipe(_ppo, f'{_LSTM}four steps of Adam at 0.003, average 0.9', 50),
    'pnas': Recipe(
        _pnas, 'five MLP predictors, beams of a quarter of the evaluations'),
    'nao': Recipe(
        _nao, 'the model of its first PyTorch code, 100 epochs; a quarter of '
        'the evaluations random, then three iterations'),
}
_OPTIONAL = ('pnas', 'nao')  # Where they are registered.
_ALIASES = {
    'random': 'random_search', 'rs': 'random_search',
    'evolution': 'regularized_evolution', 'rea': 'regularized_evolution',
    'reinforce_logits': 'reinforce', 'lstm': 'reinforce_lstm',
    'q': 'q_learning'}
