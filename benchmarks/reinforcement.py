"""Do the strategies that learn by rewards beat random search?

python -m benchmarks.reinforcement [--table=nasbench201.npz] [--seeds=100]

For every task and strategy: the reward of the best child, and the mean reward
of the last tenth of the children, as differences from random search with
equally many children; means over seeds with 95 % intervals. An interval above
0 is a win, one below 0 a loss; otherwise the line says that neither is shown.

The published learning rates are for tens of thousands of children. Here the
options are scaled to the number of children; they are in `strategies`.

Tasks: the number of ones, and an NK landscape, on 20 positions of 2 to 6
choices; AutoDL Design's demo with its own settings; and, with --table, all
cells of NAS-Bench-201, which earn their validation accuracy on CIFAR-10 after
12 or 200 epochs. The file has `ops`, int[15625, 6], `op_names`,
`cifar10_val_12`, float[15625], and `cifar10_val_200_seeds`, float[15625, 3].
"""

import argparse
from collections.abc import Callable
import os
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import result_file
from nas_jax import autodl_demo
from nas_jax import base
from nas_jax import pages
from nas_jax import search
from nas_jax.controllers import sequence
from nas_jax.controllers import tokens
from nas_jax.evaluators import tabular
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.strategies import ppo
from nas_jax.strategies import q_learning
from nas_jax.strategies import random_search
from nas_jax.strategies import reinforce

_BATCH_SIZE = 10
Strategies = dict[str, base.Strategy]  # of 10 children per round each


class Task(NamedTuple):
  """Where strategies are compared."""
  space: base.Space
  evaluator: base.Evaluator
  num_children: int
  strategies: Callable[[base.Space, int], Strategies]
  unit: float = 1.  # what rewards are multiplied by when shown


class Outcome(NamedTuple):
  """What became of every seed; float32[S] each."""
  best: jax.Array
  first: jax.Array  # mean reward of the first tenth of the children
  last: jax.Array  # of the last tenth


class Difference(NamedTuple):
  """Of two means, with its 95 % interval."""
  mean: float
  low: float
  high: float

  @property
  def verdict(self) -> str:
    return 'wins' if self.low > 0 else 'loses' if self.high < 0 else 'open'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--table', help='npz file of NAS-Bench-201')
  parser.add_argument('--seeds', type=int, default=100)
  parser.add_argument('--only', help='the task to do; by default all')
  parser.add_argument('--output', help='JSON file for the results')
  args = parser.parse_args()
  if args.seeds < 100:
    parser.error('an interval needs at least 100 seeds')
  load = os.getloadavg()
  found = {}
  for name, task in tasks(args.table).items():
    if args.only in (None, name):
      found[name] = study(task, args.seeds)
      print(f'\n{name}: {task.num_children} children, {args.seeds} seeds')
      print(table(found[name]), flush=True)
  result_file.save(
      args.output, load, settings={
          'seeds': args.seeds, 'intervals': '95 %, of the difference from '
          'random search'}, tasks=found)


def tasks(path: str | None) -> dict[str, Task]:
  """All tasks by name; those of the table if there is one."""
  plain = discrete.space([range(2 + i % 5) for i in range(20)])
  demo = autodl_demo.space()
  found = {
      'number of ones': Task(
          plain, toy.number_of_ones(plain, scale='mean'), 2000, strategies, 20),
      'nk': Task(plain, toy.nk(plain, num_interactions=2, seed=0), 2000,
                 strategies),
      'autodl demo': Task(
          demo, toy.number_of_ones(demo, positions=20, scale='mean'), 2000,
          demo_strategies, 20)}
  if path:
    file = np.load(path)
    space = discrete.space([file['op_names'].tolist()] * 6)
    sizes = discrete.sizes_of(space.choices)
    numbers = [discrete.index(sizes, ops) for ops in file['ops']]
    for epochs, accuracies in (
        (12, file['cifar10_val_12']),
        (200, np.nanmean(file['cifar10_val_200_seeds'], axis=1))):
      rewards = np.zeros(len(numbers))
      rewards[numbers] = accuracies / 100
      for num_children in (100, 500):
        found[f'nasbench201 {epochs} epochs, {num_children}'] = Task(
            space, tabular.tabular(space, rewards), num_children, strategies,
            100)
  return found


def strategies(space: base.Space, num_children: int) -> Strategies:
  """With options for a few hundred or thousand children."""
  policy = sequence.controller(space.choices, hidden_size=32)
  common = dict(controller=policy, batch_size=_BATCH_SIZE, baseline_decay=.9)
  return {
      'random search': random_search.random_search(
          space, batch_size=_BATCH_SIZE),
      'reinforce': reinforce.reinforce(space, learning_rate=.01, **common),
      # As far per round: it takes four steps.
      'ppo': ppo.ppo(space, learning_rate=.003, **common),
      'q_learning': _q_learning(space, num_children)}


def demo_strategies(space: base.Space, num_children: int) -> Strategies:
  """REINFORCE as the demo has it; PPO with the same controller."""
  policy = tokens.controller()
  return {
      'random search': random_search.random_search(
          space, batch_size=_BATCH_SIZE),
      'reinforce': autodl_demo.strategy(space),
      'ppo': ppo.ppo(
          space, controller=policy, batch_size=_BATCH_SIZE, learning_rate=1e-3,
          baseline_decay=.9),
      'q_learning': _q_learning(space, num_children)}


def _q_learning(space, num_children):
  return q_learning.q_learning(
      space, batch_size=_BATCH_SIZE, num_updates=64, learning_rate=.1,
      epsilon_schedule=q_learning.scaled_schedule(
          num_children // _BATCH_SIZE))


def study(task: Task, num_seeds: int) -> dict[str, dict]:
  """Outcomes of every strategy, and their differences from random search."""
  found = {}
  random = None
  for name, strategy in task.strategies(
      task.space, task.num_children).items():
    start = time.perf_counter()
    # Seeds of their own: the differences are of independent means.
    keys = jax.random.split(jax.random.key(len(found)), num_seeds)
    outcome = jax.tree.map(
        lambda x: task.unit * np.asarray(x, np.float64), jax.block_until_ready(
            outcomes(keys, strategy, task.evaluator,
                     task.num_children // _BATCH_SIZE)))
    random = outcome if random is None else random
    row = {k: float(v.mean()) for k, v in outcome._asdict().items()}
    if outcome is not random:
      for k in ('best', 'last'):
        gain = difference(getattr(outcome, k), getattr(random, k))
        row[f'{k}_gain'] = {**gain._asdict(), 'verdict': gain.verdict}
    found[name] = {**row, 'seconds': round(time.perf_counter() - start, 1)}
  return found


def outcomes(
    keys: jax.Array, strategy: base.Strategy, evaluator: base.Evaluator,
    num_rounds: int) -> Outcome:
  """Searches once for every key."""

  @jax.jit
  @jax.vmap
  def run(key):
    state, history = search.scan(
        key, strategy, evaluator, num_rounds=num_rounds, rewards_only=True)
    rewards = history.rewards.ravel()
    tenth = len(rewards) // 10
    return Outcome(state.best_reward, jnp.mean(rewards[:tenth]),
                   jnp.mean(rewards[-tenth:]))

  return run(keys)


def difference(ours: np.ndarray, others: np.ndarray) -> Difference:
  """Of the means of independent samples, normal approximation."""
  mean = float(np.mean(ours) - np.mean(others))
  error = float(np.sqrt(np.var(ours, ddof=1) / len(ours)
                        + np.var(others, ddof=1) / len(others)))
  return Difference(mean, mean - 1.96 * error, mean + 1.96 * error)


def table(found: dict[str, dict]) -> str:
  """A study for the terminal."""
  rows = [['strategy', 'best', 'more than random', '', 'last tenth',
           'more than random', '', 'first tenth', 'seconds']]
  for name, row in found.items():
    cells = [name]
    for k in ('best', 'last'):
      gain = row.get(f'{k}_gain')
      cells += [f'{row[k]:.3f}', gain and (
          f'{gain["mean"]:+.3f} [{gain["low"]:+.3f}, {gain["high"]:+.3f}]'),
                gain and gain['verdict']]
    rows.append([*cells, f'{row["first"]:.3f}', row['seconds']])
  return pages.table(rows)


if __name__ == '__main__':
  main()
