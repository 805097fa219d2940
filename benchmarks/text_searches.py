"""Do searches of recurrent cells find better ones than chance?

python -m benchmarks.text_searches --workdir=DIR [--dataset=grammar|ptb|...]
    [--data_dir=DIR] [--max_train=N] [--methods=nas_rl,...] [--seeds=3]
    [--output=FILE]

Each method is its experiment with the settings of --scale=smoke, once per
seed: what it found is trained from scratch and tested once, beside what random
search found with as many evaluations (for DARTS: the best of as many random
cells) and an LSTM of as many parameters, trained in the same way. Finished
runs are kept in the workdir; the same command goes on.
"""

import argparse
import os
import pathlib

import numpy as np

from benchmarks import result_file
from experiments import darts_rnn
from experiments import enas_text
from experiments import nao_text
from experiments import nao_ws_text
from experiments import nas_rl_text
from nas_jax import memory
from nas_jax import statistics

_METHODS = {
    'nas_rl': (nas_rl_text, {}), 'nao': (nao_text, {}),
    'enas': (enas_text, {}), 'nao_ws': (nao_ws_text, {}),
    'darts': (darts_rnn, {'order': 'first'}),
    'darts_second': (darts_rnn, {'order': 'second'})}
_LSTM = 'LSTM of equal size'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--workdir', required=True, type=pathlib.Path)
  parser.add_argument('--dataset', default='grammar')
  parser.add_argument('--data_dir')
  parser.add_argument('--max_train', type=int)
  parser.add_argument('--methods', default=','.join(_METHODS))
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument('--output', help='JSON file of the results')
  args = parser.parse_args()

  memory.keep_freed_memory()
  load = os.getloadavg()
  rows = []
  for seed in range(args.seeds):
    for method in args.methods.split(','):
      rows.append(_run(args, method, seed))
      print(f'seed {seed} {method:14}' + ''.join(
          f'{name} {rows[-1][name]["test_perplexity"]:.2f}  '
          for name in ('result', 'random_search', 'lstm')), flush=True)
  summary = [_summary(rows, method) for method in args.methods.split(',')]
  for line in summary:
    print(f'{line["method"]:14}' + '   '.join(
        f'{name} {line[name][0]:.2f} +- {line[name][1]:.2f}'
        for name in ('result', 'random_search', 'lstm'))
        + f'   against random: p = {line["p"]:.2f}')
  result_file.save(
      args.output, load, dataset=args.dataset.split(os.sep)[-1],
      max_train=args.max_train, summary=summary, rows=rows)


def _run(args, method, seed) -> dict:
  """One run of an experiment, or what is kept of it."""
  module, changes = _METHODS[method]
  settings = module.Settings(**module.SMOKE | changes | dict(
      scale='smoke', dataset=args.dataset, data_dir=args.data_dir,
      max_train=args.max_train, seed=seed))
  found = module.main(args.workdir / method / str(seed), settings)
  return {'method': method, 'seed': seed, 'result': found['result'],
          'random_search': found['random_search'],
          'lstm': found['beside'][_LSTM], 'others': {
              name: value for name, value in found['beside'].items()
              if name != _LSTM},
          'best_possible_perplexity': found['best_possible_perplexity'],
          'cost': found['cost']}


def _summary(rows, method) -> dict:
  """Mean and standard deviation; p of a two-sided rank-sum test."""
  of = lambda name: np.array([
      row[name]['test_perplexity'] for row in rows if row['method'] == method])
  spread = lambda x: [float(x.mean()),
                      float(x.std(ddof=1)) if len(x) > 1 else 0.]
  names = ('result', 'random_search', 'lstm')
  return {'method': method, 'runs': len(of('result')),
          **{name: spread(of(name)) for name in names},
          'p': float(statistics.rank_sum_p(of('result'),
                                           of('random_search')))}


if __name__ == '__main__':
  main()
