"""Progressive NAS on NAS-Bench-201: do its predictors rank, does it save?

python -m benchmarks.pnas_table --table=FILE.npz [--seeds=100] [--output=F]

Two questions, with the published answers for PNAS's own space beside:

Rank correlations (Spearman) of predictors trained on cells of up to b nodes:
on those that they learned from (`hat b`), on others of b nodes (`same b`), and
on cells with one node more (`tilde b+1`); means over trials, 95 % intervals.
Level 1 is all 5 cells of one node; of levels 2 and 3 random ones are learned
from. Predicted are the rest of level 2 or up to 10,000 others of level 3.

Evaluations until the best reward reaches what random search has on average
after all its evaluations: PNAS with trained predictors, PNAS whose predictors
are not trained (so that only its way through the space is left), and random
search itself. Rewards are validation accuracies after 12 epochs; the test
accuracy after 200 epochs of the best is looked up afterwards. Searches that do
not get there count as all evaluations, which favours them.

The file has `ops`, `op_names`, `cifar10_val_12` and `cifar10_test_200`, see
nas_jax/tables.py.
"""

import argparse
from collections.abc import Mapping, Sequence
import os
import time
from typing import Any

import jax
import numpy as np
from scipy import stats

from benchmarks import result_file
from nas_jax import pages
from nas_jax import search
from nas_jax import statistics
from nas_jax import tables
from nas_jax.evaluators import tabular
from nas_jax.predictors import surrogate
from nas_jax.spaces import progressive
from nas_jax.strategies import pnas
from nas_jax.strategies import random_search

_SIGNAL, _WORTH = 'cifar10_val_12', 'cifar10_test_200'
# Kind and number of predictors.
PREDICTORS = {'MLP': ('mlp', 1), 'RNN': ('rnn', 1),
              'MLP-ensemble': ('mlp', 5), 'RNN-ensemble': ('rnn', 5)}
# As recalled from the paper's table of rank correlations (K = 256, 20 trials),
# in its own space: hat 1, tilde 2, hat 2, tilde 3, hat 3.
PUBLISHED_RANKS = {
    'MLP': (.938, .113, .857, .450, .714),
    'RNN': (.970, .198, .996, .424, .693),
    'MLP-ensemble': (.975, .164, .786, .532, .634),
    'RNN-ensemble': (.972, .164, .906, .418, .801)}
# Of its table of efficiency, also recalled: fewer models than reinforcement
# learning needs for the mean of the top 1, 5 and 25.
PUBLISHED_FACTORS = {'top 1': 5., 'top 5': 3.5, 'top 25': 3.2}
_NOT_TRAINED = 1e-12  # a learning rate
_MOST_UNSEEN = 10_000


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--table', required=True)
  parser.add_argument('--seeds', type=int, default=100)
  parser.add_argument('--trials', type=int, default=20)
  parser.add_argument('--evaluations', type=int, default=300)
  parser.add_argument('--beam_size', type=int, default=64)
  parser.add_argument('--output', help='JSON file for the results')
  args = parser.parse_args()
  if args.seeds < 2 or args.trials < 2:
    parser.error('intervals need at least 2 seeds and 2 trials')
  load = os.getloadavg()
  table = tables.load(args.table)
  ranks = correlations(table, args.trials, args.beam_size)
  print(rank_table(ranks), flush=True)
  saved = savings(table, args.seeds, args.evaluations, args.beam_size)
  print(savings_table(saved), flush=True)
  result_file.save(
      args.output, load, settings={
          'seeds': args.seeds, 'trials': args.trials,
          'evaluations': args.evaluations, 'beam_size': args.beam_size,
          'intervals': '95 %'},
      rank_correlations=ranks, recalled_rank_correlations=PUBLISHED_RANKS,
      savings=saved, recalled_factors=PUBLISHED_FACTORS)


def correlations(
    table: tables.Table, num_trials: int, num_learned: int,
    predictors: Mapping[str, tuple[str, int]] = PREDICTORS,
) -> dict[str, dict[str, Any]]:
  """By predictor and level: mean and interval.

  Args:
    table: of NAS-Bench-201.
    num_trials: each with cells and predictors of its own.
    num_learned: cells of each level but the first that are learned from.
    predictors: kind and number, by name.
  """
  growth = progressive.growth_of(table.space)
  levels = [growth.first()]
  for level in (2, 3):
    levels.append(growth.expand(levels[-1], level))
  scores = [rewards_of(table, genomes) for genomes in levels]
  tokens = [growth.tokens(genomes, np.full(len(genomes), b))
            for b, genomes in enumerate(levels, 1)]
  found = {}
  for name, (kind, number) in predictors.items():
    model = surrogate.ensemble(
        growth.vocabulary, kind=kind, num_members=number)
    start, rows = time.perf_counter(), []
    for trial in range(num_trials):
      rows.append(_trial(model, trial, tokens, scores, num_learned))
    seconds = (time.perf_counter() - start) / num_trials
    found[name] = {key: _mean([row[key] for row in rows]) for key in rows[0]}
    found[name]['seconds_per_trial'] = round(seconds, 1)
  return found


def _trial(model, trial, tokens, scores, num_learned) -> dict[str, float]:
  """Correlations of one sequence of predictors."""
  rng = np.random.default_rng(trial)
  capacity = len(tokens[0]) + 2 * num_learned
  seen_tokens = np.zeros((0, *tokens[0].shape[1:]), np.int32)
  seen_scores, row = np.zeros(0, np.float32), {}
  for b in range(3):
    order = rng.permutation(len(tokens[b]))
    learned = order[:num_learned] if b else order
    if b:
      others = order[num_learned:][:_MOST_UNSEEN]
      unseen = order[:_MOST_UNSEEN]
      row[f'tilde {b + 1}'] = _rank(
          model.predict(params, tokens[b][unseen]), scores[b][unseen])
    seen_tokens = np.concatenate([seen_tokens, tokens[b][learned]])
    seen_scores = np.concatenate([seen_scores, scores[b][learned]])
    rest = capacity - len(seen_scores)
    params = model.fit(
        jax.random.fold_in(jax.random.key(trial), b),
        np.pad(seen_tokens, ((0, rest), (0, 0), (0, 0))),
        np.pad(seen_scores, (0, rest)), len(seen_scores),
        .002 if b else .01)
    row[f'hat {b + 1}'] = _rank(
        model.predict(params, tokens[b][learned]), scores[b][learned])
    if b:
      row[f'same {b + 1}'] = _rank(
          model.predict(params, tokens[b][others]), scores[b][others])
  return row


def savings(table: tables.Table, num_seeds: int, num_evaluations: int,
            beam_size: int) -> dict[str, Any]:
  """How many evaluations each search needs, and what it finds.

  Args:
    table: of NAS-Bench-201.
    num_seeds: searches of PNAS; random search has ten times as many.
    num_evaluations: of each search.
    beam_size: K of PNAS.
  """
  options = dict(beam_size=beam_size, capacity=num_evaluations)
  strategies = {
      'random search': random_search.random_search(table.space),
      'PNAS': pnas.pnas(table.space, **options),
      'PNAS, not trained': pnas.pnas(
          table.space, first_learning_rate=_NOT_TRAINED,
          learning_rate=_NOT_TRAINED, **options)}
  worth = table.columns[_WORTH].reshape(len(table.columns[_WORTH]), -1)
  worth = np.nanmean(worth, axis=1)
  curves, found = {}, {}
  for name, strategy in strategies.items():
    start = time.perf_counter()
    run = _scanned if strategy.jittable else _hosted
    rewards, rows = run(strategy, table, num_seeds, num_evaluations)
    best = np.maximum.accumulate(rewards, axis=1)
    curves[name] = best
    chosen = rows[np.arange(len(rows)), np.argmax(rewards, axis=1)]
    found[name] = {
        'reward': _mean(best[:, -1]), 'test_accuracy': _mean(worth[chosen]),
        'searches': len(rows), 'seconds_per_search': round(
            (time.perf_counter() - start) / len(rows), 3)}
  goal = float(curves['random search'][:, -1].mean())
  for name, best in curves.items():
    reached = best >= goal
    needed = np.where(
        reached.any(1), reached.argmax(1) + 1, num_evaluations)
    mean = _mean(needed)
    found[name] |= {
        'reached': float(reached.any(1).mean()), 'evaluations': mean,
        'median': float(np.median(needed)),
        'factor': {'mean': num_evaluations / mean['mean'],
                   'low': num_evaluations / mean['high'],
                   'high': num_evaluations / mean['low']}}
  return {'goal': goal, 'searches': found}


def _scanned(strategy, table, num_seeds, num_evaluations):
  """Rewards and rows of the table, both [S, T], of ten times the seeds."""
  evaluator = tabular.benchmark(table, signal=_SIGNAL)

  @jax.jit
  @jax.vmap
  def run(key):
    _, history = search.scan(
        key, strategy, evaluator, num_rounds=num_evaluations)
    return history.rewards[:, 0], history.metrics['row'][:, 0]

  rewards, rows = run(jax.random.split(jax.random.key(0), 10 * num_seeds))
  return np.asarray(rewards), np.asarray(rows).astype(int)


def _hosted(strategy, table, num_seeds, num_evaluations):
  """The same on the host, one seed after the other."""
  evaluator = tabular.benchmark(table, signal=_SIGNAL)
  rewards = np.zeros((num_seeds, num_evaluations))
  rows = np.zeros((num_seeds, num_evaluations), int)
  for seed in range(num_seeds):
    # The name is not looked at: the row says all.
    _, history = search.run(
        jax.random.key(seed), strategy, evaluator, num_rounds=num_evaluations,
        genotype=lambda genome: ())
    rewards[seed] = [record['reward'] for record in history]
    rows[seed] = [record['metrics']['row'] for record in history]
  return rewards, rows


def rewards_of(table: tables.Table, genomes: np.ndarray) -> np.ndarray:
  """What a search sees of genomes, float32[n]."""
  return np.asarray(
      table.columns[_SIGNAL][np.asarray(table.number(genomes))] / 100,
      np.float32)


def _rank(predicted: np.ndarray, true: np.ndarray) -> float:
  """Spearman's; 0 where all predictions are equal."""
  if np.ptp(predicted) == 0:
    return 0.
  return float(stats.spearmanr(predicted, true)[0])


def _mean(values: Sequence[float]) -> dict[str, float]:
  low, high = statistics.mean_interval(values)
  return {'mean': float(np.mean(values)), 'low': low, 'high': high}


def rank_table(found: dict[str, dict[str, Any]]) -> str:
  """For the terminal."""
  names = ('hat 1', 'tilde 2', 'hat 2', 'same 2', 'tilde 3', 'hat 3', 'same 3')
  published = ('hat 1', 'tilde 2', 'hat 2', 'tilde 3', 'hat 3')
  rows = [['predictor', *names, 'seconds']]
  for name, row in found.items():
    rows.append([name, *(_text(row[key], 2) for key in names),
                 row['seconds_per_trial']])
    recalled = dict(zip(published, PUBLISHED_RANKS[name]))
    rows.append(['  published (recalled), other space', *(
        f'{recalled[key]:.2f}' if key in recalled else '' for key in names),
                 ''])
  return pages.table(rows)


def savings_table(found: dict[str, Any]) -> str:
  """For the terminal."""
  rows = [['search', 'best reward', 'test accuracy', 'reached',
           f'evaluations to {found["goal"]:.4f}', 'median', 'times fewer',
           'seconds']]
  for name, row in found['searches'].items():
    rows.append([
        name, _text(row['reward'], 4), _text(row['test_accuracy'], 2),
        f'{row["reached"]:.0%}', _text(row['evaluations'], 0),
        f'{row["median"]:.0f}', _text(row['factor'], 1),
        row['seconds_per_search']])
  factors = ', '.join(f'{value:g} ({name})'
                      for name, value in PUBLISHED_FACTORS.items())
  return pages.table(rows) + (
      '\npublished (recalled), against reinforcement learning in its own '
      f'space: {factors} times fewer models')


def _text(value: dict[str, float], digits: int) -> str:
  mean, low, high = (f'{value[k]:.{digits}f}' for k in ('mean', 'low', 'high'))
  return f'{mean} [{low}, {high}]'


if __name__ == '__main__':
  main()
