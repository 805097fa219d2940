"""Seconds of a training step of a DARTS network, here and in PyTorch.

python -m benchmarks.final_network [--features=16] [--num_cells=5] [--output=F]

One step of the recipe of DARTS without augmentation: forward, cross-entropy,
backward, clipping, SGD with momentum. Both run in one call, in turn; ratios
are to PyTorch's better memory format. On a CPU the programs of this project
keep freed memory (nas_jax/memory.py), as its experiments do. They do not where
a variable of malloc is set, such as MALLOC_TOP_PAD_=0: so one sees the gain.
"""

import argparse
import os
import time

import jax
import numpy as np

from benchmarks import result_file
from benchmarks import torch_process
from nas_jax import memory
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.training import classify
from nas_jax.training import recipes


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--architecture', default='DARTS_V2')
  parser.add_argument('--features', type=int, default=16)
  parser.add_argument('--num_cells', type=int, default=5)
  parser.add_argument('--batch_size', type=int, default=64)
  parser.add_argument('--executions', default='blocks,whole')
  parser.add_argument('--lowerings', default='auto',
                      help='of separable convolutions, separated by commas')
  parser.add_argument('--dtypes', default='float32')
  torch_process.add_arguments(parser, rounds=6, repeats=4)
  args = parser.parse_args()

  load = os.getloadavg()
  kept = memory.keep_freed_memory()
  contenders, details = {}, {}
  for dtype in args.dtypes.split(','):
    for layout in torch_process.LAYOUTS if args.torch else ():
      name = f'PyTorch {layout} {dtype}'
      process = _torch(args, layout, dtype)
      contenders[name], details[name] = process.time, process.description
    for execution in args.executions.split(','):
      for lowering in args.lowerings.split(','):
        name = f'nas_jax {execution} {lowering} {dtype}'
        contenders[name], details[name] = _ours(
            args, execution, lowering, dtype)
  params = {d['params'] for d in details.values()}
  if len(params) > 1:
    raise RuntimeError(f'the networks differ: {params} parameters')
  seconds = torch_process.in_turn(contenders, args.rounds, args.repeats)
  medians = {name: float(np.median(s)) for name, s in seconds.items()}
  best = min((m for name, m in medians.items() if name.startswith('PyTorch')),
             default=None)
  print(f'{args.architecture}, {args.features} features, {args.num_cells} '
        f'cells, {params.pop():,} parameters, batch {args.batch_size}, '
        f'{jax.devices()[0].device_kind}')
  rows = []
  for name, median in medians.items():
    row = {'name': name, 'median_seconds': round(median, 4),
           'images_per_second': round(args.batch_size / median, 1),
           'ratio': round(median / best, 3) if best else None,
           'quartiles': [round(float(q), 4) for q in np.quantile(
               seconds[name], [.25, .75])], **details[name]}
    rows.append(row)
    print(f'{name:40} {1e3 * median:9.1f} ms   ratio {row["ratio"]}')
  result_file.save(args.output, load, rows=rows, settings=vars(args),
                   freed_memory_kept=kept)


def _torch(args, layout, dtype) -> torch_process.Process:
  genotype = genotypes.to_json(presets.load(args.architecture).genotype)
  device = 'cpu' if jax.default_backend() == 'cpu' else 'cuda'
  return torch_process.Process(torch_process.interpreter(args), {
      'genotype': genotype, 'features': args.features,
      'num_cells': args.num_cells, 'batch_size': args.batch_size,
      'layout': layout, 'dtype': dtype, 'device': device})


def _ours(args, execution, lowering, dtype):
  """A function of a number of repeats, and what to say about it."""
  net = zoo.build(
      presets.load(args.architecture), features=args.features,
      num_cells=args.num_cells, lowering=lowering,
      dtype=None if dtype == 'float32' else dtype)
  recipe = recipes.Recipe(
      epochs=1, batch_size=args.batch_size, learning_rate=.025,
      weight_decay=3e-4, crop_padding=0, flip=False)
  task = classify.Task(net.image_shape, (.5,) * 3, (.25,) * 3)
  trainer = classify.compile_trainer(net, recipe, task, execution=execution)
  rng = np.random.default_rng(0)
  images = jax.device_put(rng.integers(
      0, 256, (args.batch_size, *net.image_shape), np.uint8))
  labels = jax.device_put(
      rng.integers(0, 10, args.batch_size).astype(np.int32))
  key = jax.random.key(0)
  state = trainer.init(key)

  def run(repeats):
    nonlocal state
    seconds = []
    for _ in range(repeats):
      start = time.perf_counter()
      state, metrics = trainer.step(
          state, images, labels, key, np.float32(.025), np.float32(0))
      jax.block_until_ready((state, metrics))
      seconds.append(time.perf_counter() - start)
    return seconds

  return run, {'params': graph.num_params(net),
               'compile_seconds': round(trainer.compile_seconds, 1)}


if __name__ == '__main__':
  main()
