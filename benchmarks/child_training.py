"""Children per minute of the `scratch` evaluator, and where the time goes.

python -m benchmarks.child_training [--children=2] [--output=FILE]

Random children are trained in two rounds. In the first, everything has to be
compiled; in the second, 'blocks' finds the modules that it has met before.
Every variant runs in a process of its own, without a compilation cache on
the disk. With compile_ahead the seconds of compiling overlap with training.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import jax
import numpy as np

from benchmarks import result_file
from nas_jax import base
from nas_jax.data import images as image_data
from nas_jax.evaluators import scratch
from nas_jax.networks import image
from nas_jax.spaces import cell
from nas_jax.training import recipes

_VARIANTS = [(execution, ahead) for execution in ('blocks', 'whole')
             for ahead in (True, False)]
_ROUNDS = ('first', 'second')
_TASKS = ('digits', 'random32')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--tasks', default='digits,random32')
  parser.add_argument('--children', type=int, default=2, help='per round')
  parser.add_argument('--nodes', type=int, default=2, help='per cell')
  parser.add_argument('--features', type=int, default=8)
  parser.add_argument('--epochs', type=int, default=1)
  parser.add_argument('--images', type=int, default=256, help='to train on')
  parser.add_argument('--output', help='JSON file of the results')
  parser.add_argument('--variant', help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.variant:
    print(json.dumps(_measure(args, *json.loads(args.variant))))
    return

  load = os.getloadavg()
  print(f'{jax.devices()[0].device_kind}, 2 x {args.children} children, '
        f'{args.epochs} epochs of {args.images} images')
  print('data      execution ahead  round   children/min  ratio  compile s  '
        'train s')
  rows = []
  for task in args.tasks.split(','):
    reference = None
    for execution, ahead in _VARIANTS:
      found = _in_a_process(task, execution, ahead)
      reference = reference or found
      for name in _ROUNDS:
        row = found[name]
        row['ratio'] = round(
            row['children_per_minute'] /
            reference[name]['children_per_minute'], 3)
        rows.append({'data': task, 'execution': execution,
                     'compile_ahead': ahead, 'round': name, **row,
                     'load_after': os.getloadavg()[0]})
        print(f'{task:9} {execution:9} {"yes" if ahead else "no":5}  '
              f'{name:6}  {row["children_per_minute"]:12.1f} '
              f'{row["ratio"]:6.2f} {row["compile_seconds"]:10.1f} '
              f'{row["train_seconds"]:8.1f}', flush=True)
      # After every variant: a run cut short keeps its rows.
      result_file.save(args.output, load, rows=rows, settings={
          k: v for k, v in vars(args).items()
          if k not in ('output', 'variant')})


def _in_a_process(task, execution, ahead) -> dict:
  env = {k: v for k, v in os.environ.items()
         if k != 'JAX_COMPILATION_CACHE_DIR'}
  done = subprocess.run(
      [sys.executable, '-m', 'benchmarks.child_training', *sys.argv[1:],
       f'--variant={json.dumps([task, execution, ahead])}'],
      check=True, capture_output=True, text=True, env=env)
  return json.loads(done.stdout.splitlines()[-1])


def _measure(args, task, execution, ahead) -> dict:
  data = _data(task, args.images)
  space = cell.space(cell.AMOEBANET_OPERATIONS, num_nodes=args.nodes)
  recipe = recipes.Recipe(
      epochs=args.epochs, batch_size=64, crop_padding=1, flip=False,
      eval_batch_size=100)
  evaluator = scratch.scratch(
      lambda genotype: image.cifar_net(
          tuple(genotype), image_shape=data.train.images.shape[1:],
          num_classes=10, num_cells=1, features=args.features,
          num_reductions=1),
      space.genotype, data, recipe, seed=0, execution=execution,
      compile_ahead=ahead)
  found = {}
  for i, name in enumerate(_ROUNDS):
    keys = jax.random.split(jax.random.fold_in(jax.random.key(0), i),
                            args.children)
    proposals = base.Proposals(np.stack([space.sample(k) for k in keys]))
    start = time.perf_counter()
    evaluation, _ = evaluator.evaluate(
        jax.random.key(0), evaluator.init(jax.random.key(0)), proposals)
    wall = time.perf_counter() - start
    assert not evaluation.metrics['failed'].any()
    found[name] = {
        'children_per_minute': round(60 * args.children / wall, 2),
        'wall_seconds': round(wall, 2),
        **{f'{part}_seconds': round(
            float(evaluation.metrics[f'{part}_seconds'].sum()), 2)
           for part in ('compile', 'train')}}
  return found


def _data(task: str, size: int) -> image_data.ImageData:
  if task == 'digits':
    return image_data.load('digits', max_train=size + 100, validation_size=100)
  if task != 'random32':
    raise ValueError(f'unknown data {task!r}, expected one of {_TASKS}')
  rng = np.random.default_rng(0)
  split = lambda n: image_data.Split(
      rng.integers(0, 256, (n, 32, 32, 3), np.uint8),
      rng.integers(0, 10, n).astype(np.int32))
  return image_data.ImageData(
      task, split(size), split(100), split(100), 10,
      tuple(map(str, range(10))), np.full(3, .5, np.float32),
      np.full(3, .3, np.float32))


if __name__ == '__main__':
  main()
