"""Which strategies beat random search on NAS-Bench-201, and by how much?

python -m benchmarks.merit --table=nasbench201.npz [--seeds=500] [--output=F]

All have equally many evaluations, by default 150, and 300. Compared is the
cell with the best validation accuracy after 12 epochs, which is what searches
see: by that accuracy, and by its test accuracies after 200 epochs. Differences
are from random search, of means over searches, with 95 % intervals. One above
0 is a win, one below 0 a loss; otherwise neither is shown.
"""

import argparse
from collections.abc import Sequence
import os
import time

import jax
import numpy as np

from benchmarks import reinforcement
from benchmarks import result_file
from nas_jax import base
from nas_jax import on_tables
from nas_jax import pages
from nas_jax import runs as runs_lib
from nas_jax import tables
from nas_jax.evaluators import tabular

MEASURES = ('cifar10_val_12', 'cifar10_test_200', 'cifar100_test_200',
            'imagenet16_120_test_200')
_RANDOM = 'random_search'
_VERDICTS = {'wins': 'wins', 'loses': 'loses', 'open': 'not shown'}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--table', required=True, help='see nas_jax/tables.py')
  parser.add_argument('--strategies', default='all')
  parser.add_argument('--seeds', type=int, default=500)
  parser.add_argument('--host_seeds', type=int, default=100,
                      help='of strategies that run one search at a time')
  parser.add_argument('--evaluations', default='150,300')
  parser.add_argument('--devices', type=int, default=2, help='virtual')
  parser.add_argument('--output', help='JSON file for the results')
  args = parser.parse_args()
  if min(args.seeds, args.host_seeds) < 2:
    parser.error('an interval needs at least 2 searches')
  jax.config.update('jax_num_cpu_devices', args.devices)
  load = os.getloadavg()
  table = tables.load(args.table)
  evaluator = tabular.benchmark(table, signal=MEASURES[0])
  names = on_tables.resolve(args.strategies)
  found = {}
  for evaluations in map(int, args.evaluations.split(',')):
    found[evaluations] = study(
        names, table, evaluator, evaluations=evaluations, num_seeds=args.seeds,
        host_seeds=args.host_seeds, num_devices=args.devices,
        measures=MEASURES)
    print(f'\n{evaluations} evaluations')
    print(text(found[evaluations]), flush=True)
  result_file.save(
      args.output, load, unit='percent', settings=vars(args), intervals=(
          '95 %, of the difference from random search'), found=found)


def study(
    names: Sequence[str],
    table: tables.Table,
    evaluator: base.Evaluator,
    *,
    evaluations: int,
    num_seeds: int,
    host_seeds: int,
    measures: Sequence[str],
    num_devices: int = 1,
) -> dict[str, dict]:
  """Means of every strategy and measure, and differences from random search.

  Strategies do not share seeds: the differences are of independent means.
  """
  others = [name for name in names if name != _RANDOM]
  found, random = {}, None
  for i, name in enumerate([_RANDOM, *others]):
    began = time.perf_counter()
    strategy = on_tables.recipes()[name].make(table, evaluations)
    for runs in on_tables.run(
        jax.random.key(i), name, table, evaluator,
        num_searches=num_seeds if strategy.jittable else host_seeds,
        num_evaluations=evaluations, measures=measures,
        num_devices=num_devices):
      pass
    random = runs if random is None else random
    found[name] = {
        'seeds': len(runs.rewards),
        'seconds': round(time.perf_counter() - began, 1),
        'measures': {m: compare(runs, random, m) for m in measures}}
  return found


def compare(runs: runs_lib.Runs, random: runs_lib.Runs, measure: str) -> dict:
  """The mean, and for all but random search itself the difference."""
  ours, others = (runs_lib.final(r, measure).astype(np.float64)
                  for r in (runs, random))
  row = {'mean': float(ours.mean()), 'std': float(ours.std(ddof=1))}
  if runs is not random:
    gain = reinforcement.difference(ours, others)
    row |= {'difference': gain.mean, 'low': gain.low, 'high': gain.high,
            'verdict': _VERDICTS[gain.verdict]}
  return row


def text(found: dict[str, dict]) -> str:
  """A study for the terminal, the best by the first measure first."""
  lines = []
  for measure in next(iter(found.values()))['measures']:
    rows = [[measure, 'seeds', 'mean', 'std', 'more than random', '95 %', '']]
    for name, row in sorted(
        found.items(), key=lambda x: -x[1]['measures'][measure]['mean']):
      values = row['measures'][measure]
      rows.append([name, row['seeds'], f'{values["mean"]:.2f}',
                   f'{values["std"]:.2f}', *(
                       (f'{values["difference"]:+.2f}',
                        f'{values["low"]:+.2f} to {values["high"]:+.2f}',
                        values['verdict']) if 'verdict' in values else
                       ('-', '-', '-'))])
    lines.append(pages.table(rows))
  return '\n\n'.join(lines)


if __name__ == '__main__':
  main()
