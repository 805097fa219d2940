"""Milliseconds of the convolutions that leave one state of a search network.

python -m benchmarks.supernet_designs [--sizes=32x16] [--output=FILE]

Four edges leave the state, each with the four convolutions of DARTS. The
designs compute one function of one set of parameters, in turn in one run:

  edges: edge by edge, depthwise convolutions as shifted products; what
    supernets/mixed.py does.
  stacked: the same with an axis of edges, one program for all four.
  merged: depthwise and pointwise as one dense kernel, the edges' kernels
    beside each other where they read the same state.
  first_merged: so for what reads the state; shifted for the second half of
    separable convolutions.
  grouped: edge by edge, convolutions with as many groups as channels.

Passes: forward; gates, with the gradients of input and gates (a step of the
alphas); all, with those of the weights too.
"""

import argparse
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import result_file
from nas_jax import memory
from nas_jax.networks import norm
from nas_jax.networks import ops
from nas_jax.networks import separable

_EDGES = 4
# Size, dilation, how often in a row.
_OPERATIONS = ((3, 1, 2), (5, 1, 2), (3, 2, 1), (5, 2, 1))
_PASSES = ('forward', 'gates', 'all')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--sizes', default='32x16,16x32,8x64',
                      help='height x channels, separated by commas')
  parser.add_argument('--designs', default=','.join(_DESIGNS))
  parser.add_argument('--batch_size', type=int, default=16)
  parser.add_argument('--repeats', type=int, default=9)
  parser.add_argument('--output', help='JSON file of the results')
  args = parser.parse_args()

  memory.keep_freed_memory()
  load = os.getloadavg()
  print(f'{jax.devices()[0].device_kind}, batch {args.batch_size}, median of '
        f'{args.repeats}, ms (ratio to edges; seconds to compile)')
  rows = []
  for size in args.sizes.split(','):
    height, channels = map(int, size.split('x'))
    for row in _measure(height, channels, args):
      rows.append(row)
      print(f'{height:3} {channels:4} {row["pass"]:8} ' + ''.join(
          f'{name:>14} {row[name]:6.1f} ({row[name] / row["edges"]:4.2f}; '
          f'{row["compile_seconds"][name]:4.1f})'
          for name in args.designs.split(',')), flush=True)
  result_file.save(args.output, load, unit='milliseconds', rows=rows)


def _measure(height, channels, args) -> list[dict]:
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(
      .2 * rng.standard_normal(shape), jnp.float32)
  x = draw(args.batch_size, height, height, channels)
  cotangent = draw(_EDGES, *x.shape)
  gates = draw(_EDGES, len(_OPERATIONS))
  params = [[(draw(_EDGES, k, k, channels), draw(_EDGES, channels, channels))
             for _ in range(repeats)] for k, _, repeats in _OPERATIONS]
  found = []
  for which in _PASSES:
    programs, seconds, compiling, results = {}, {}, {}, {}
    for name in args.designs.split(','):
      start = time.perf_counter()
      programs[name] = jax.jit(_passes(_DESIGNS[name], cotangent)[which]).lower(
          params, gates, x).compile()
      compiling[name] = round(time.perf_counter() - start, 1)
      results[name] = programs[name](params, gates, x)
      seconds[name] = []
    first, *others = results.values()
    for other in others:  # Designs that differ are no comparison.
      for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other)):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-2)
    for _ in range(args.repeats):
      for name, program in programs.items():
        start = time.perf_counter()
        jax.block_until_ready(program(params, gates, x))
        seconds[name].append(time.perf_counter() - start)
    found.append({
        'height': height, 'channels': channels, 'pass': which,
        'compile_seconds': compiling,
        **{n: round(1e3 * float(np.median(s)), 2)
           for n, s in seconds.items()}})
  return found


def _passes(design, cotangent):
  def gradient(argnums):
    return jax.grad(lambda *args: jnp.vdot(design(*args), cotangent), argnums)

  return dict(zip(_PASSES, (design, gradient((1, 2)), gradient((0, 1, 2)))))


def _norm(x, scale):
  """Batch norm of the last axis, without trainable scale and bias."""
  one = jnp.ones(x.shape[-1])
  return norm.normalise(x, one * scale, 0 * one, 1e-5, None)[0]


def _edge(params, gates, x, lowering):
  total = 0.
  for i, (_, dilation, repeats) in enumerate(_OPERATIONS):
    y = x
    for j, (depthwise, pointwise) in enumerate(params[i]):
      y = separable.separable(
          ops.relu(y), depthwise, pointwise, dilation=dilation,
          padding='symmetric', lowering=lowering)
      y = _norm(y, gates[i] if j + 1 == repeats else 1.)
    total = total + y
  return total


def _edges(params, gates, x, lowering='shifted'):
  return jnp.stack([
      _edge(jax.tree.map(lambda p: p[e], params), gates[e], x, lowering)
      for e in range(_EDGES)])


def _stacked(params, gates, x):
  return jax.vmap(lambda p, g: _edge(p, g, x, 'shifted'))(params, gates)


def _grouped(params, gates, x):
  return _edges(params, gates, x, 'grouped')


def _merged(params, gates, x, second='merged'):
  channels = x.shape[-1]
  of_edge = lambda y, e: y[..., e * channels:(e + 1) * channels]
  totals = [0.] * _EDGES
  for i, (_, dilation, repeats) in enumerate(_OPERATIONS):
    depthwise, pointwise = params[i][0]
    kernel = depthwise[..., None] * pointwise[:, None, None]
    y = separable.convolution(
        ops.relu(x), jnp.concatenate(list(kernel), -1), dilation=dilation,
        padding='symmetric')
    y = _norm(y, jnp.repeat(gates[:, i], channels) if repeats == 1 else 1.)
    for e in range(_EDGES):
      z = of_edge(y, e)
      if repeats > 1:
        depthwise, pointwise = params[i][1]
        z = _norm(separable.separable(
            ops.relu(z), depthwise[e], pointwise[e], dilation=dilation,
            padding='symmetric', lowering=second), gates[e, i])
      totals[e] = totals[e] + z
  return jnp.stack(totals)


def _first_merged(params, gates, x):
  return _merged(params, gates, x, 'shifted')


_DESIGNS = dict(edges=_edges, stacked=_stacked, merged=_merged,
                first_merged=_first_merged, grouped=_grouped)

if __name__ == '__main__':
  main()
