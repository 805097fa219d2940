"""Milliseconds of each operation of DARTS, here and in PyTorch.

python -m benchmarks.operations [--sizes=32x16,16x32,8x64] [--output=FILE]

Forward and backward of one operation at stride 1 and 2, every lowering of the
separable ones, and PyTorch in both memory formats, all in one run and in turn.
Ratios are to PyTorch's better memory format.
"""

import argparse
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import result_file
from benchmarks import torch_process
from nas_jax import memory
from nas_jax.networks import graph
from nas_jax.networks import initializers
from nas_jax.networks import ops
from nas_jax.networks import tables

_OPERATIONS = ('max_pool_3x3', 'avg_pool_3x3', 'skip_connect', 'sep_conv_3x3',
               'sep_conv_5x5', 'dil_conv_3x3', 'dil_conv_5x5')
_LOWERINGS = ('grouped', 'merged', 'shifted')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--operations', default=','.join(_OPERATIONS))
  parser.add_argument('--sizes', default='32x16,16x32,8x64',
                      help='height x features, separated by commas')
  parser.add_argument('--strides', default='1,2')
  parser.add_argument('--batch_size', type=int, default=64)
  torch_process.add_arguments(parser, rounds=3, repeats=3)
  args = parser.parse_args()

  load = os.getloadavg()
  kept = memory.keep_freed_memory()
  columns = [f'torch {layout}' for layout in torch_process.LAYOUTS] + [
      *_LOWERINGS]
  print(f'{jax.devices()[0].device_kind}, batch {args.batch_size}, ms (ratio)')
  print(f'{"operation":14} {"size":>6} stride'
        + ''.join(f'{name:>22}' for name in columns))
  processes = [
      torch_process.Process(torch_process.interpreter(args), request)
      for request in (_request(args, layout, 'skip_connect', 8, 8, 1)
                      for layout in torch_process.LAYOUTS)]
  rows = []
  for size in args.sizes.split(','):
    height, features = map(int, size.split('x'))
    for operation in args.operations.split(','):
      for stride in map(int, args.strides.split(',')):
        if operation == 'skip_connect' and stride == 1:
          continue  # Nothing is computed.
        row = _measure(args, processes, operation, height, features, stride)
        rows.append(row)
        print(f'{operation:14} {size:>6} {stride:6}' + ''.join(
            f'{row["milliseconds"][name]:13.2f} ({row["ratios"][name]:6.2f})'
            for name in columns if name in row['ratios']), flush=True)
  result_file.save(args.output, load, rows=rows, settings=vars(args),
                   freed_memory_kept=kept)


def _measure(args, processes, operation, height, features, stride) -> dict:
  contenders = {}
  for layout, process in zip(torch_process.LAYOUTS, processes):
    process.ask(_request(args, layout, operation, height, features, stride))
    contenders[f'torch {layout}'] = process.time
  compiling = {}
  lowerings = _LOWERINGS if '_conv_' in operation else ('shifted',)
  for lowering in lowerings:
    contenders[lowering], compiling[lowering] = _ours(
        args, operation, height, features, stride, lowering)
  seconds = torch_process.in_turn(contenders, args.rounds, args.repeats)
  medians = {k: 1e3 * float(np.median(v)) for k, v in seconds.items()}
  best = min(v for k, v in medians.items() if k.startswith('torch'))
  return {'operation': operation, 'height': height, 'features': features,
          'stride': stride,
          'milliseconds': {k: round(v, 3) for k, v in medians.items()},
          'ratios': {k: round(v / best, 3) for k, v in medians.items()},
          'compile_seconds': compiling}


def _request(args, layout, operation, size, features, stride):
  return {'operation': operation, 'features': features, 'stride': stride,
          'size': size, 'batch_size': args.batch_size, 'layout': layout}


def _ours(args, operation, height, features, stride, lowering):
  module = tables.DARTS[operation](
      features=features, stride=stride,
      style=ops.Style(padding='symmetric', lowering=lowering))
  shape = (args.batch_size, height, height, features)
  variables = initializers.draw(jax.random.key(0), 0, graph.variable_shapes(
      module, (jax.ShapeDtypeStruct(shape, jnp.float32),)))
  x = jnp.asarray(
      np.random.default_rng(0).standard_normal(shape), jnp.float32)
  params = variables.pop('params', {})

  def step(params, x):
    y, pullback, updates = jax.vjp(
        lambda params, x: module.apply(
            {'params': params, **variables}, x, True, mutable=['batch_stats']),
        params, x, has_aux=True)
    return y, pullback(y), updates

  start = time.perf_counter()
  compiled = jax.jit(step).lower(params, x).compile()
  seconds = round(time.perf_counter() - start, 2)

  def run(repeats):
    found = []
    for _ in range(repeats):
      start = time.perf_counter()
      jax.block_until_ready(compiled(params, x))
      found.append(time.perf_counter() - start)
    return found

  return run, seconds


if __name__ == '__main__':
  main()
