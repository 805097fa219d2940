"""NAO on NAS-Bench-201: does its predictor rank, do its steps improve cells?

python -m benchmarks.nao_table --table=FILE.npz [--trials=10] [--seeds=20]
    [--output=F.json] [--figure=F.svg]

Of models trained on random cells: the Hamming distance of the decoded ones
from those learned from (published: 0.0) and from others; the share of pairs
in the right order (published: 0.78 to 0.80 in NAO's own space); and what the
table says a cell has gained by a step of the gradient, by step size, from all
cells that were learned from and from the best tenth. Means over trials, 95 %
intervals. The figure is of the gain.

Then whole searches by NAO and by random search, with equally many evaluations.
Rewards are validation accuracies after 12 epochs; the test accuracy after 200
epochs of the best is looked up afterwards.
"""

import argparse
from collections.abc import Sequence
import os
import pathlib
import time
from typing import Any

import jax
import numpy as np

from benchmarks import result_file
from nas_jax import base
from nas_jax import pages
from nas_jax import search
from nas_jax import statistics
from nas_jax import svg
from nas_jax import tables
from nas_jax.evaluators import tabular
from nas_jax.predictors import encoder_decoder
from nas_jax.predictors import nao_settings
from nas_jax.spaces import discrete
from nas_jax.spaces import sequences
from nas_jax.strategies import nao
from nas_jax.strategies import random_search

_SIGNAL, _WORTH = 'cifar10_val_12', 'cifar10_test_200'
STEP_SIZES = (0., .5, 1., 2., 3., 5., 10., 20., 30.)
PUBLISHED = {'hamming_learned': 0., 'pairs_unseen': (.78, .80)}
_NUM_UNSEEN = 1000
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 280, 60, 44, 30


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--table', required=True)
  parser.add_argument('--settings', default='pytorch_v1')
  parser.add_argument('--cells', type=int, default=600)
  parser.add_argument('--epochs', type=int, default=300)
  parser.add_argument('--trials', type=int, default=10)
  parser.add_argument('--seeds', type=int, default=20)
  parser.add_argument('--evaluations', type=int, default=300)
  parser.add_argument('--output', help='JSON file for the results')
  parser.add_argument('--figure', help='SVG file')
  args = parser.parse_args()
  if args.seeds < 2 or args.trials < 2:
    parser.error('intervals need at least 2 seeds and 2 trials')
  load = os.getloadavg()
  table = tables.load(args.table)
  settings = nao_settings.load(args.settings, epochs=args.epochs)
  found = models(table, settings, args.cells, args.trials)
  print(models_table(found), flush=True)
  if args.figure:
    pathlib.Path(args.figure).write_text(figure(found))
  searched = searches(table, args.settings, args.seeds, args.evaluations)
  print(searches_table(searched), flush=True)
  result_file.save(
      args.output, load, settings={
          'settings': args.settings, 'cells': args.cells,
          'epochs': args.epochs, 'trials': args.trials, 'seeds': args.seeds,
          'evaluations': args.evaluations, 'intervals': '95 %'},
      published=PUBLISHED, models=found, searches=searched)


def models(table: tables.Table, settings: nao_settings.Settings,
           num_cells: int, num_trials: int) -> dict[str, Any]:
  """What trained models can do: by name, mean and interval.

  Args:
    table: of NAS-Bench-201.
    settings: of the model.
    num_cells: learned from.
    num_trials: each with cells and a model of its own.
  """
  code = sequences.of_space(table.space)
  model = encoder_decoder.model(code, settings)
  fit, encode = jax.jit(model.fit), jax.jit(model.encode)
  improve = jax.jit(lambda params, memory, size: sequences.to_genomes(
      code, model.decode(params, *model.improve(params, memory, size))))
  sizes = discrete.sizes_of(table.space.choices)
  rows, seconds = [], []
  for trial in range(num_trials):
    numbers = np.random.default_rng(trial).permutation(
        discrete.size(table.space.choices))[:num_cells + _NUM_UNSEEN]
    genomes = np.array([discrete.from_index(sizes, int(i)) for i in numbers])
    scores = _scores(table, genomes)
    tokens = np.asarray(sequences.to_tokens(code, genomes))
    old, new = slice(num_cells), slice(num_cells, None)
    start = time.perf_counter()
    params = jax.block_until_ready(fit(
        jax.random.key(trial), tokens[old], scores[old], num_cells))
    seconds.append(time.perf_counter() - start)
    memory, e = encode(params, tokens)
    predicted = np.asarray(model.predict(params, e))
    decoded = np.asarray(model.decode(params, memory, e))
    row = {}
    for name, part in (('learned', old), ('unseen', new)):
      row[f'hamming_{name}'] = encoder_decoder.hamming_distance(
          decoded[part], tokens[part])
      row[f'pairs_{name}'] = encoder_decoder.pairwise_accuracy(
          predicted[part], scores[part])
    best = np.argsort(-scores[old], kind='stable')[:max(num_cells // 10, 1)]
    for size in STEP_SIZES:
      moved = np.asarray(improve(params, memory[old], size))
      gain = 100 * (_scores(table, moved) - scores[old])
      row[f'gain_all_{size:g}'] = gain.mean()
      row[f'gain_best_{size:g}'] = gain[best].mean()
      row[f'changed_{size:g}'] = (moved != genomes[old]).any(1).mean()
    rows.append(row)
  return {name: _mean([row[name] for row in rows]) for name in rows[0]} | {
      'fit_seconds': float(np.median(seconds))}


def searches(table: tables.Table, settings: str, num_seeds: int,
             num_evaluations: int) -> dict[str, Any]:
  """What NAO and random search find: means and intervals.

  Args:
    table: of NAS-Bench-201.
    settings: of NAO, by name.
    num_seeds: searches of each kind.
    num_evaluations: of each search.
  """
  quarter = max(1, num_evaluations // 4)
  strategies = {
      'random search': random_search.random_search(table.space),
      'NAO': nao.nao(
          table.space, settings=settings, num_initial=quarter,
          num_seeds=max(1, quarter // 3), num_new=quarter, epochs=100,
          capacity=num_evaluations + quarter)}
  worth = table.columns[_WORTH].reshape(len(table.columns[_WORTH]), -1)
  worth = np.nanmean(worth, axis=1)
  evaluator = tabular.benchmark(table, signal=_SIGNAL)
  found, last = {}, {}
  for name, strategy in strategies.items():
    start, rewards, rows = time.perf_counter(), [], []
    for seed in range(num_seeds):
      history = _history(seed, strategy, evaluator, num_evaluations)
      rewards.append([record['reward'] for record in history])
      rows.append([int(record['metrics']['row']) for record in history])
    rewards, rows = np.array(rewards), np.array(rows)
    chosen = rows[np.arange(num_seeds), np.argmax(rewards, axis=1)]
    last[name] = rewards.max(axis=1)
    found[name] = {
        'best_reward': _mean(last[name]), 'test_accuracy': _mean(worth[chosen]),
        # Of the random children of NAO, and of its last ones.
        'first_quarter': _mean(rewards[:, :quarter].mean(1)),
        'last_quarter': _mean(rewards[:, -quarter:].mean(1)),
        'seconds_per_search': (time.perf_counter() - start) / num_seeds}
  return found | {'p_of_equal_best_rewards': statistics.rank_sum_p(
      last['NAO'], last['random search'])}


def _history(seed: int, strategy: base.Strategy, evaluator: base.Evaluator,
             num_evaluations: int) -> list[dict[str, Any]]:
  # The name is not looked at: the row says all.
  return search.run(
      jax.random.key(seed), strategy, evaluator, num_rounds=num_evaluations,
      genotype=lambda genome: ())[1]


def figure(found: dict[str, Any]) -> str:
  """The gain by step size, with intervals."""
  values = [found[f'gain_{kind}_{size:g}'][part] for size in STEP_SIZES
            for kind in ('all', 'best') for part in ('low', 'high')]
  low, high = min(*values, 0.), max(*values, 0.)
  right, bottom = _WIDTH - 20, _HEIGHT - _BOTTOM

  def place(i: int, value: float) -> tuple[float, float]:
    return (_LEFT + 20 + i * (right - _LEFT - 40) / (len(STEP_SIZES) - 1),
            bottom - (value - low) / ((high - low) or 1.) * (bottom - _TOP))

  zero = place(0, 0.)[1]
  parts = [svg.tag('line', x1=_LEFT, x2=right, y1=zero, y2=zero,
                   stroke='gray')]
  for value in (low, 0., high):
    parts.append(svg.text(_LEFT - 6, place(0, value)[1] + 4, f'{value:+.1f}',
                          anchor='end'))
  for i, size in enumerate(STEP_SIZES):
    parts.append(svg.text(place(i, low)[0], bottom + 16, f'{size:g}',
                          anchor='middle'))
  for n, (kind, color, label) in enumerate((
      ('all', 'steelblue', 'from all cells learned from'),
      ('best', 'darkorange', 'from the best tenth'))):
    points = []
    for i, size in enumerate(STEP_SIZES):
      value = found[f'gain_{kind}_{size:g}']
      x, y = place(i, value['mean'])
      points.append(f'{x:.1f},{y:.1f}')
      parts.append(svg.tag(
          'line', x1=x, x2=x, y1=place(i, value['low'])[1],
          y2=place(i, value['high'])[1], stroke=color))
    parts.append(svg.tag('polyline', points=' '.join(points), fill='none',
                         stroke=color))
    parts.append(svg.tag('line', x1=_LEFT + 200 * n, x2=_LEFT + 200 * n + 12,
                         y1=13, y2=13, stroke=color))
    parts.append(svg.text(_LEFT + 200 * n + 15, 17, label))
  parts.append(svg.text((_LEFT + right) / 2, _HEIGHT - 8,
                        'step size; gain in points of accuracy, 95 % intervals',
                        anchor='middle'))
  return svg.svg(_WIDTH, _HEIGHT, parts, 'True gain of a gradient step')


def models_table(found: dict[str, Any]) -> str:
  """For the terminal."""
  rows = [['cells', 'Hamming distance', 'pairs in order']]
  for name in ('learned', 'unseen'):
    rows.append([name, _text(found[f'hamming_{name}'], 3),
                 _text(found[f'pairs_{name}'], 3)])
  steps = [['step size', 'cells changed', 'gain of all', 'of the best tenth']]
  for size in STEP_SIZES:
    steps.append([f'{size:g}', _text(found[f'changed_{size:g}'], 2),
                  *(_text(found[f'gain_{kind}_{size:g}'], 2)
                    for kind in ('all', 'best'))])
  return (pages.table(rows) + '\npublished, in NAO\'s own space: distance 0.0, '
          '0.78 to 0.80 of pairs\n' + pages.table(steps)
          + f'\none training: {found["fit_seconds"]:.1f} s')


def searches_table(found: dict[str, Any]) -> str:
  """For the terminal."""
  rows = [['search', 'best reward', 'test accuracy', 'first quarter',
           'last quarter', 'seconds']]
  for name in ('random search', 'NAO'):
    row = found[name]
    rows.append([name, _text(row['best_reward'], 4),
                 _text(row['test_accuracy'], 2),
                 _text(row['first_quarter'], 3), _text(row['last_quarter'], 3),
                 f'{row["seconds_per_search"]:.1f}'])
  return pages.table(rows) + (
      f'\np of equal best rewards: {found["p_of_equal_best_rewards"]:.2g}')


def _scores(table: tables.Table, genomes: np.ndarray) -> np.ndarray:
  """What a search sees of genomes, float32[n]."""
  return np.asarray(
      table.columns[_SIGNAL][np.asarray(table.number(genomes))] / 100,
      np.float32)


def _mean(values: Sequence[float]) -> dict[str, float]:
  low, high = statistics.mean_interval(values)
  return {'mean': float(np.mean(values)), 'low': low, 'high': high}


def _text(value: dict[str, float], digits: int) -> str:
  mean, low, high = (f'{value[k]:.{digits}f}' for k in ('mean', 'low', 'high'))
  return f'{mean} [{low}, {high}]'


if __name__ == '__main__':
  main()
