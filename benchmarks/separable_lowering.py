"""Milliseconds of a separable convolution under each of its lowerings.

python -m benchmarks.separable_lowering [--sizes=32x16,8x64] [--output=FILE]

Forward, and forward with all gradients. The lowerings run in turn, so that a
busy machine slows all of them; the ratios are to the one that `auto` picks.
"""

import argparse
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import result_file
from nas_jax.networks import separable

_LOWERINGS = ('grouped', 'merged', 'shifted')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--sizes', default='32x16,16x32,8x16,8x64,8x128',
                      help='height x channels, separated by commas')
  parser.add_argument('--kernels', default='3,5,7')
  parser.add_argument('--batch_size', type=int, default=16)
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument('--output', help='JSON file of the results')
  args = parser.parse_args()

  load = os.getloadavg()
  picked = separable._pick()
  print(f'{jax.devices()[0].device_kind}, batch {args.batch_size}, median of '
        f'{args.repeats}, ms (ratio to {picked})')
  print('  H    C  k  pass      ' + ''.join(f'{n:>18}' for n in _LOWERINGS))
  rows = []
  for size in args.sizes.split(','):
    height, channels = map(int, size.split('x'))
    for kernel in map(int, args.kernels.split(',')):
      for backward in (False, True):
        row = _measure(height, channels, kernel, backward, args)
        rows.append(row)
        print(f'{height:3} {channels:4} {kernel:2}  '
              f'{"backward" if backward else "forward":8}  ' + ''.join(
                  f'{row[n]:10.2f} ({row[n] / row[picked]:5.2f})'
                  for n in _LOWERINGS), flush=True)
  result_file.save(args.output, load, picked=picked, unit='milliseconds',
                   rows=rows)


def _measure(height, channels, size, backward, args) -> dict:
  rng = np.random.default_rng(0)
  shapes = ((args.batch_size, height, height, channels),
            (size, size, channels), (channels, channels))
  arguments = [jnp.asarray(rng.standard_normal(shape), jnp.float32)
               for shape in shapes]
  programs, seconds, compile_seconds = {}, {}, {}
  for name in _LOWERINGS:
    def forward(*a, name=name):
      return separable.separable(*a, lowering=name)

    def with_gradients(*a, forward=forward):
      y, pullback = jax.vjp(forward, *a)
      return pullback(y)

    start = time.perf_counter()
    programs[name] = jax.jit(with_gradients if backward else forward).lower(
        *arguments).compile()
    compile_seconds[name] = round(time.perf_counter() - start, 2)
    jax.block_until_ready(programs[name](*arguments))
    seconds[name] = []
  for _ in range(args.repeats):
    for name in _LOWERINGS:
      start = time.perf_counter()
      jax.block_until_ready(programs[name](*arguments))
      seconds[name].append(time.perf_counter() - start)
  return {'height': height, 'channels': channels, 'kernel': size,
          'backward': backward, 'compile_seconds': compile_seconds,
          **{n: round(1e3 * float(np.median(s)), 3)
             for n, s in seconds.items()}}


if __name__ == '__main__':
  main()
