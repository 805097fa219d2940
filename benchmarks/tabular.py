"""Searches of NAS-Bench-201 per second, against plain Python.

python -m benchmarks.tabular --table=nasbench201.npz [--devices=2] [--output=F]

All searches of a strategy, by default 1,000 of 500 evaluations each, are one
compiled program, or a few if `on_tables` splits them; virtual devices share
them. The targets on two cores, after compilation: 3 s each, and 30 s for
strategies with an LSTM. Ratios are to plain Python (python_searches.py) in the
same run, timed in turn; strategies with an LSTM have no such counterpart.
"""

import argparse
import functools
import os
import time

import jax
import numpy as np

from benchmarks import python_searches
from benchmarks import result_file
from nas_jax import on_tables
from nas_jax import pages
from nas_jax import parallel
from nas_jax import tables
from nas_jax.evaluators import tabular
from nas_jax.strategies import q_learning

_SIGNAL, _COST = 'cifar10_val_12', 'cifar10_train_time_s'
_STRATEGIES = ('random_search,regularized_evolution,reinforce,q_learning,'
               'reinforce_lstm,ppo')
_LSTM = ('reinforce_lstm', 'ppo')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--table', required=True, help='see nas_jax/tables.py')
  parser.add_argument('--strategies', default=_STRATEGIES)
  parser.add_argument('--seeds', type=int, default=1000)
  parser.add_argument('--evaluations', type=int, default=500)
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--python_seeds', type=int, default=20)
  parser.add_argument('--devices', type=int, default=2, help='virtual')
  parser.add_argument('--output', help='JSON file for the results')
  args = parser.parse_args()
  if args.evaluations % 10:
    parser.error('evaluations must be a multiple of 10, the longest round')
  jax.config.update('jax_num_cpu_devices', args.devices)
  load = os.getloadavg()
  table = tables.load(args.table)
  rows = [study(name, table, args)
          for name in on_tables.resolve(args.strategies)]
  print(pages.table([list(rows[0]), *(
      [_show(v) for v in row.values()] for row in rows)]))
  result_file.save(
      args.output, load, unit='evaluations per second', settings=vars(args),
      rows=rows)


def study(name: str, table: tables.Table, args: argparse.Namespace) -> dict:
  """Times a strategy and its counterpart in turn."""
  seconds_of_row = .06 * table.columns[_COST]
  evaluator = tabular.benchmark(table, signal=_SIGNAL, seconds=seconds_of_row)
  recipe = on_tables.recipes()[name]
  one = on_tables.searches(
      recipe.make(table, args.evaluations), evaluator, args.evaluations)
  keys = on_tables.key_data(jax.random.key(0), range(args.seeds))
  size = min(recipe.chunk * args.devices, args.seeds)
  mapped = parallel.pmap_rows(one, num_devices=args.devices)

  def ours():
    parts = [mapped(keys[i:i + size]) for i in range(0, args.seeds, size)]
    return np.concatenate([np.asarray(rewards) for rewards, _, _ in parts])

  began = time.perf_counter()
  ours()
  first = time.perf_counter() - began
  plain = counterpart(name, table, seconds_of_row, args.evaluations)
  fast, slow = [], []
  for _ in range(args.repeats):
    began = time.perf_counter()
    rewards = ours()
    fast.append(time.perf_counter() - began)
    began = time.perf_counter()
    histories = [plain(seed) for seed in range(args.python_seeds)
                 ] if plain else None
    slow.append(time.perf_counter() - began)
  count = args.seeds * args.evaluations
  row = {'strategy': name, 'seconds': round(float(np.median(fast)), 4),
         'best_seconds': round(min(fast), 4),
         'compile_seconds': round(first - min(fast), 1),
         'target': 30 if name in _LSTM else 3,
         'per_second': round(count / float(np.median(fast))),
         'mean_best': round(float(rewards.max(1).mean()), 4),
         'python_per_second': None, 'python_mean_best': None, 'ratio': None}
  if plain:
    python = args.python_seeds * args.evaluations / float(np.median(slow))
    row |= {'python_per_second': round(python),
            'python_mean_best': round(float(np.mean(
                [max(h)[0] for h in histories])), 4),
            'ratio': round(row['per_second'] / python, 1)}
  return row


def counterpart(name: str, table: tables.Table, seconds: np.ndarray,
                evaluations: int):
  """The same in plain Python, a function of the seed; None if there is none."""
  searches = {
      'random_search': python_searches.random_search,
      'regularized_evolution': python_searches.evolution,
      'reinforce': python_searches.reinforce,
      'q_learning': functools.partial(
          python_searches.q_learning,
          schedule=q_learning.scaled_schedule(evaluations // 10))}
  if name not in searches:
    return None
  sizes = [len(c) for c in table.space.choices]
  genomes = np.indices(sizes).reshape(len(sizes), -1).T
  numbers = np.asarray(table.number(genomes.astype(np.int32)))
  rows = python_searches.table(
      [table.space.genotype(g) for g in genomes],
      table.columns[_SIGNAL][numbers] / 100, seconds[numbers])
  return lambda seed: searches[name](seed, evaluations, rows)


def _show(value):
  return f'{value:,}' if isinstance(value, int) else value


if __name__ == '__main__':
  main()
