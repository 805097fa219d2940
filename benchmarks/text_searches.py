"""Do searches of recurrent cells find better ones than chance?

python -m benchmarks.text_searches --workdir=DIR [--dataset=grammar|ptb|...]
    [--data_dir=DIR] [--unit=word|character] [--max_train=N]
    [--max_validation=N] [--max_vocabulary=N] [--sizes=smoke|word|character]
    [--methods=nas_rl,...] [--seeds=3] [--output=FILE]

Each method is its experiment with the settings of --scale=smoke, once per
seed: what it found is trained from scratch and tested once, beside what random
search found with as many evaluations (for DARTS: the best of some random
cells) and an LSTM of as many parameters, trained in the same way. Finished
runs are kept in the workdir; the same command goes on.

With --sizes=word or character the children are small, many, and trained just
long enough for two trainings of one cell to agree more than those of two cells:
of 60,000 words of Penn Treebank with --max_vocabulary=1000, or of 200,000 of
its characters. Where children are trained from scratch, those of the second
half of a search are compared with all random ones, too.
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
from nas_jax import records
from nas_jax import statistics

_METHODS = {
    'nas_rl': (nas_rl_text, {}), 'nao': (nao_text, {}),
    'enas': (enas_text, {}), 'nao_ws': (nao_ws_text, {}),
    'darts': (darts_rnn, {'order': 'first'}),
    'darts_second': (darts_rnn, {'order': 'second'})}
_LSTM = 'LSTM of equal size'
_NAMES = ('result', 'random_search', 'lstm')
_WORST = 1e6  # stands for a training that diverged
_FROM_SCRATCH = ('nas_rl', 'nao', 'darts', 'darts_second')
# Units, epochs of a child and steps of its windows; epochs of shared weights
# and of the search network.
_SIZES = {'word': (32, 3, 20, 40, 10), 'character': (24, 2, 40, 24, 6)}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--workdir', required=True, type=pathlib.Path)
  parser.add_argument('--dataset', default='grammar')
  parser.add_argument('--data_dir')
  parser.add_argument('--unit', default='word')
  parser.add_argument('--max_train', type=int)
  parser.add_argument('--max_validation', type=int)
  parser.add_argument('--max_vocabulary', type=int)
  parser.add_argument('--sizes', default='smoke', choices=['smoke', *_SIZES])
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
          f'{name} {_tested(rows[-1], name):.2f}  ' for name in _NAMES),
            flush=True)
  summary = [_summary(rows, method) for method in args.methods.split(',')]
  for line in summary:
    print(f'{line["method"]:14}' + '   '.join(
        f'{name} {line[name][0]:.2f} +- {line[name][1]:.2f}'
        + f' ({line["diverged"][name]} diverged)' * (
            line['diverged'][name] > 0) for name in _NAMES)
        + f'   against random: p = {line["p"]:.2f}')
    if 'children' in line:
      print('  children: median of the second half '
            f'{line["children"]["late"]:.2f}, of random ones '
            f'{line["children"]["random"]:.2f}, '
            f'p = {line["children"]["p"]:.2g}')
  result_file.save(
      args.output, load, **_corpus(args) | {
          'dataset': args.dataset.split(os.sep)[-1]}, sizes=args.sizes,
      summary=summary, rows=rows)


def _run(args, method, seed) -> dict:
  """One run of an experiment, or what is kept of it."""
  module, changes = _METHODS[method]
  settings = module.Settings(
      **module.SMOKE | _changes(args.sizes, method) | changes | _corpus(args),
      scale='smoke', data_dir=args.data_dir, seed=seed)
  folder = args.workdir / method / str(seed)
  found = module.main(folder, settings)
  return {'method': method, 'seed': seed, 'result': found['result'],
          'random_search': found['random_search'],
          'lstm': found['beside'][_LSTM], 'others': {
              name: value for name, value in found['beside'].items()
              if name != _LSTM},
          'best_possible_perplexity': found['best_possible_perplexity'],
          'cost': found['cost'], 'children': {
              name: [_perplexity(child['metrics'])
                     for child in records.read(place / 'history.jsonl')]
              for name, place in (
                  ('result', folder),
                  ('random_search', folder / 'random_search'))}}


def _perplexity(metrics) -> float | None:
  return None if metrics['failed'] else round(
      metrics['validation_perplexity'], 3)


def _corpus(args) -> dict:
  return {name: getattr(args, name) for name in (
      'dataset', 'unit', 'max_train', 'max_validation', 'max_vocabulary')}


def _changes(sizes, method) -> dict:
  """Settings that differ from those of the scale smoke."""
  if sizes == 'smoke':
    return {}
  hidden, epochs, bptt, shared_epochs, search_epochs = _SIZES[sizes]
  found = dict(
      hidden=hidden, epochs=epochs, bptt=bptt, final_hidden=hidden,
      final_epochs=2 * epochs, final_bptt=bptt, final_learning_rate=.02)
  if method in _FROM_SCRATCH:
    found |= dict(learning_rate=.02)
  else:
    found |= dict(epochs=shared_epochs)
  return found | {
      # Trees differ so much that one epoch shows it.
      'nas_rl': dict(epochs=1, num_children=80),
      'nao': dict(num_nodes=4, num_children=32, num_initial=16, num_seeds=8,
                  num_new=8),
      'enas': dict(num_nodes=4, num_children=40),
      'nao_ws': dict(num_nodes=4, update_every=shared_epochs // 4)}.get(
          method, dict(num_nodes=4, num_children=12, search_hidden=hidden,
                       search_epochs=search_epochs, search_bptt=bptt))


def _tested(row, name) -> float:
  found = row[name]['test_perplexity']
  return _WORST if found is None else found


def _summary(rows, method) -> dict:
  """Mean and standard deviation; p of a two-sided rank-sum test.

  Trainings that diverged are counted, and in p worse than any other.
  """
  of = {name: np.array([_tested(row, name) for row in rows
                        if row['method'] == method]) for name in _NAMES}

  def spread(values):
    kept = values[values < _WORST]
    return [float(kept.mean()) if len(kept) else _WORST,
            float(kept.std(ddof=1)) if len(kept) > 1 else 0.]

  line = {'method': method, 'runs': len(of['result']),
          **{name: spread(of[name]) for name in _NAMES},
          'diverged': {name: int(np.sum(of[name] >= _WORST))
                       for name in _NAMES},
          'p': float(statistics.rank_sum_p(of['result'],
                                           of['random_search']))}
  if method in _FROM_SCRATCH:
    line['children'] = _children(
        [row['children'] for row in rows if row['method'] == method],
        first=method in ('nas_rl', 'nao'))
  return line


def _children(found, first) -> dict:
  """The second half of a search (DARTS: all cells) beside random cells.

  A child that failed counts as worse than any other.
  """
  numbers = lambda children: [_WORST if p is None else p for p in children]
  late, random = [], []
  for run in found:
    children = numbers(run['result'])
    late += children[len(children) // 2 if first else 0:]
    random += numbers(run['random_search'])
  return {'late': float(np.median(late)), 'random': float(np.median(random)),
          'p': float(statistics.rank_sum_p(np.array(late), np.array(random)))}


if __name__ == '__main__':
  main()
