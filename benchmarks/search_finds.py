"""Do searches with shared weights find better cells than chance?

python -m benchmarks.search_finds --workdir=DIR --dataset=digits \
    [--data_dir=DIR] [--methods=darts,...] [--seeds=5] [--output=FILE]

Each method searches once per seed; what it finds is trained from scratch once
and tested once. Beside it as many random cells of the same space are trained
in the same way, which differ from seed to seed in the cell, the initial
weights and the order of images. Finished runs are kept in the workdir; the
same command goes on.
"""

import argparse
import os
import pathlib
import time

import jax
import numpy as np

from benchmarks import result_file
from experiments import darts_cnn
from experiments import enas
from experiments import one_shot
from nas_jax import enas_search
from nas_jax import finals
from nas_jax import gradient_on_images
from nas_jax import memory
from nas_jax import problem as problems
from nas_jax import records
from nas_jax import statistics
from nas_jax import supernet_search
from nas_jax import workdir as workdirs
from nas_jax import workflow
from nas_jax.evaluators import shared as evaluators
from nas_jax.spaces import genotypes
from nas_jax.supernets import shared
from nas_jax.training import classify

# Beside what --scale=smoke has: searches long enough to learn something.
_GRADIENT = dict(
    num_searches=1, search_epochs=20, search_features=4, search_num_cells=3,
    search_batch_size=32, alpha_learning_rate=3e-3, eigenvalue='off',
    final_features=8, final_num_cells=3, final_epochs=12)
_ENAS_EPOCHS = 70  # 10, 30, 70, ... end a cycle of its learning rate
_ONE_SHOT = dict(epochs=40, num_children=200)
# Network of the found cell -> how a method searches it.
_SPACES = dict(darts=('darts', 'pc_darts'), enas=('enas',),
               one_shot=('one_shot',))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--workdir', required=True, type=pathlib.Path)
  parser.add_argument('--dataset', default='digits')
  parser.add_argument('--data_dir')
  parser.add_argument('--image_size', type=int)
  parser.add_argument('--methods', default='darts,pc_darts,enas,one_shot')
  parser.add_argument('--seeds', type=int, default=5)
  parser.add_argument('--enas_epochs', type=int, default=_ENAS_EPOCHS)
  parser.add_argument('--output', help='JSON file of the results')
  args = parser.parse_args()

  memory.keep_freed_memory()
  args.workdir.mkdir(parents=True, exist_ok=True)
  workdirs.use_compilation_cache(args.workdir)
  load = os.getloadavg()
  wanted = args.methods.split(',')
  rows = []
  for seed in range(args.seeds):
    for space, methods in _SPACES.items():
      of_space = [m for m in methods if m in wanted]
      for method in of_space + [f'random_{space}'] * bool(of_space):
        rows.append(_run(args, space, method, seed))
        print(f'seed {seed} {method:16} {rows[-1]["test_accuracy"]:.4f}  '
              f'{rows[-1]["num_params"]:,} parameters', flush=True)
  summary = [_summary(rows, space, method) for space, methods in
             _SPACES.items() for method in (*methods, f'random_{space}')
             if any(r['method'] == method for r in rows)]
  for line in summary:
    print(f'{line["method"]:16} {100 * line["mean"]:.2f} +- '
          f'{100 * line["std"]:.2f} %' + (
              '' if line['p'] is None else
              f'   against random: p = {line["p"]:.3f}'))
  result_file.save(
      args.output, load, dataset=args.dataset.split(os.sep)[-1],
      image_size=args.image_size,
      settings=dict(gradient=_GRADIENT, enas=dict(epochs=args.enas_epochs),
                    one_shot=_ONE_SHOT),
      summary=summary, rows=rows)


def _summary(rows, space, method):
  """Mean and standard deviation; p of a two-sided rank-sum test."""
  of = lambda name: [r['test_accuracy'] for r in rows if r['method'] == name]
  found, random = of(method), of(f'random_{space}')
  return {'method': method, 'runs': len(found), 'mean': float(np.mean(found)),
          'std': float(np.std(found, ddof=1)) if len(found) > 1 else 0.,
          'p': None if method.startswith('random') else float(
              statistics.rank_sum_p(np.array(found), np.array(random)))}


def _run(args, space, method, seed) -> dict:
  """One search and one training, or what is kept of them."""
  folder = args.workdir / method / str(seed)
  path = folder / 'result.json'
  if not path.exists():
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    problem, genotype = _SEARCHES[space](args, folder, method, seed)
    seconds = time.perf_counter() - start
    (job, *_) = problem.final_jobs(genotype)
    result, training = finals.train_and_test(
        folder / 'final', job, problem.data, f'{method} {seed}')
    records.write_json(path, result | {
        'method': method, 'seed': seed, 'search_seconds': seconds,
        'training_seconds': training,
        'genotype': genotypes.to_json(genotype)})
  return records.read_json(path)


def _common(args, seed):
  return dict(dataset=args.dataset, data_dir=args.data_dir, seed=seed,
              image_size=args.image_size)


def _random(problem: problems.Problem, seed: int):
  return problem.space.genotype(problem.space.sample(jax.random.fold_in(
      jax.random.key(seed), 3)))


def _gradient(args, folder, method, seed):
  # A quarter of the channels of PC-DARTS takes part.
  wide = {'search_features': 8} if method == 'pc_darts' else {}
  settings = gradient_on_images.Settings(
      **darts_cnn.SMOKE | _GRADIENT | wide | _common(args, seed) | dict(
          method='darts' if method.startswith('random') else method))
  made = gradient_on_images.make(settings)
  if method.startswith('random'):
    return made.images, _random(made.images, seed)
  found = supernet_search.run(folder, made.plans[0], f'{method} {seed}')
  return made.images, found.genotype


def _enas(args, folder, method, seed):
  settings = enas.Settings(
      **enas.SMOKE | dict(epochs=args.enas_epochs)
      | _common(args, seed)).filled()
  made = enas.make(settings)
  if method.startswith('random'):
    return made, _random(made, seed)
  family, policy = enas.family_of(settings, made), enas.policy_of(settings)
  weights = shared.make(
      family, made.child_recipe,
      classify.task_of(made.data, made.child_recipe.standardise),
      decay=settings.decay)
  state, _ = enas.train(folder, settings, made, weights, policy,
                        settings.controller_rounds, f'enas {seed}')
  size = min(made.child_recipe.batch_size, len(made.data.validation.labels))
  batch = evaluators.batches_of(made.data.validation, size, 1, seed=seed)
  history = workflow.search_children(
      folder / 'choice', enas_search.chosen_by(
          policy, state.policy, settings.children_per_round),
      evaluators.shared(family.space.genotype, weights, state.weights, batch),
      family.space, settings, f'enas {seed}: choosing')
  return made, _best(history)


def _one_shot(args, folder, method, seed):
  settings = one_shot.Settings(
      **one_shot.SMOKE | _ONE_SHOT | _common(args, seed))
  family, problem = one_shot.make(settings)
  if method.startswith('random'):
    return problem, _random(problem, seed)
  choose, _ = one_shot.sampler(family.space, settings)
  weights = shared.make(
      family, problem.child_recipe, classify.task_of(
          problem.data, problem.child_recipe.standardise),
      statistics=settings.statistics)
  state, _ = one_shot.train_weights(
      folder / 'shared_weights', weights, choose, problem, settings)
  history = workflow.search_children(
      folder / 'choice', one_shot.strategy_of(family, settings),
      one_shot.evaluator_of(family, weights, state, problem, settings),
      family.space, settings, f'one-shot {seed}')
  return problem, _best(history)


def _best(history):
  best = max(history, key=lambda r: r['reward'])
  return genotypes.from_json(best['genotype'])


_SEARCHES = dict(darts=_gradient, enas=_enas, one_shot=_one_shot)

if __name__ == '__main__':
  main()
