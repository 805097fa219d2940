"""Updates of controllers by REINFORCE per second, beside PyTorch and numpy.

python -m benchmarks.controllers [--seeds=64] [--demo_seeds=20] [--output=F]

An update samples a batch of architectures, counts ones, and takes a step of
Adam along the gradient. Here all seeds are one vmap, or `--chunk` seeds at a
time are (what more seeds keep for the backward pass leaves the caches), and
`--updates` updates of all seeds are one call. PyTorch (LSTM controllers of the
same size in their usual form; ratios are to the better of one thread and one
per core) and numpy (the same arithmetic, its gradient by hand, checked first)
update one seed after the other. All are timed in one run, in turn.
"""

import argparse
import os
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import numpy_autodl
from benchmarks import result_file
from benchmarks import torch_process
from nas_jax import base
from nas_jax.controllers import anchors
from nas_jax.controllers import sequence
from nas_jax.controllers import tokens
from nas_jax.spaces import chain

# Of each of five blocks of NASNet's two cells: two of the states so far, an
# operation for each, how to combine them.
_NASNET = tuple(
    size for _ in range(2) for b in range(2, 7) for size in (b, b, 13, 13, 2))


class _Case(NamedTuple):
  """One controller."""
  controller: base.Controller
  batch_size: int
  condition: tuple[Any, ...]
  counted: slice  # the tokens of a genome
  arguments: dict[str, Any]  # of its counterpart


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--seeds', type=int, default=64)
  parser.add_argument('--demo_seeds', type=int, default=20)
  parser.add_argument('--chunk', type=int, default=16)
  parser.add_argument('--updates', type=int, default=20, help='per call')
  parser.add_argument('--cases', default='autodl,nas_rl,nasnet')
  torch_process.add_arguments(parser)
  parser.add_argument('--devices', type=int, default=1,
                      help='virtual devices that share the seeds')
  args = parser.parse_args()
  if args.devices > 1:
    jax.config.update('jax_num_cpu_devices', args.devices)

  load = os.getloadavg()
  cases = {name: case for name, case in _cases().items()
           if name in args.cases.split(',')}
  contenders, per_call, details = {}, {}, {}

  def add(name, run, updates, description):
    contenders[name], per_call[name], details[name] = run, updates, description

  for name, case in cases.items():
    chunks = {f'{name}, {args.seeds} seeds': (args.seeds, args.seeds),
              f'{name}, {args.seeds} seeds, {args.chunk} at a time': (
                  args.seeds, args.chunk)}
    if name == 'autodl':
      chunks[f'{name}, {args.demo_seeds} seeds'] = (args.demo_seeds,) * 2
    for label, (count, chunk) in chunks.items():
      add(label, *_ours(case, count, chunk, args.updates, args.devices))
    for threads in {1, os.cpu_count()} if args.torch else ():
      process = torch_process.Process(
          torch_process.interpreter(args), {
              'controller': name, 'batch_size': case.batch_size,
              'arguments': case.arguments, 'threads': threads},
          'torch_controllers.py')
      add(f'{name}, PyTorch, threads: {threads}',
          _many(process.time, args.updates), args.updates, process.description)
  difference = None
  if 'autodl' in cases:
    controller = cases['autodl'].controller
    difference = _gradient_difference(controller)
    print(f'largest difference of a gradient from numpy\'s: {difference:.1e}')
    if difference > 1e-5:
      raise RuntimeError('the gradients differ')
    add('autodl, numpy', _many(_numpy(controller), args.updates),
        args.updates, {})

  seconds = torch_process.in_turn(contenders, args.rounds, args.repeats)
  rows = _rows(seconds, per_call, details)
  for row in rows:
    print(', '.join(f'{k}: {v}' for k, v in row.items()))
  result_file.save(
      args.output, load, unit='updates of one seed per second', rows=rows,
      settings=vars(args), gradient_difference=difference)


def _cases() -> dict[str, _Case]:
  return {
      'autodl': _Case(tokens.controller(), 10, (), slice(20), {}),
      'nas_rl': _Case(
          anchors.controller(chain.layout(depths=(20,))), 8, (jnp.int32(0),),
          slice(1, None), {'depth': 20}),
      'nasnet': _Case(
          sequence.controller([range(size) for size in _NASNET]), 20, (),
          slice(None), {'sizes': _NASNET})}


def _rows(seconds, per_call, details):
  speed = {name: per_call[name] / float(np.median(s))
           for name, s in seconds.items()}
  rows = []
  for name, value in speed.items():
    row = {'name': name, 'updates_per_second': round(value, 1),
           'quartiles': [round(per_call[name] / float(q), 1) for q in
                         np.quantile(seconds[name], [.75, .25])],
           **details[name]}
    for other in ('PyTorch', 'numpy'):
      beside = [v for n, v in speed.items()
                if n.startswith(f'{name.split(",")[0]}, {other}')]
      if ' seeds' in name and beside:
        row[f'ratio_to_{other}'] = round(value / max(beside), 2)
    rows.append(row)
  return rows


def _ours(case: _Case, num_seeds: int, chunk: int, updates: int,
          num_devices: int):
  """A function of a number of repeats, updates per call, what to say of it."""
  optimizer = optax.adam(1e-3)
  controller = case.controller

  def start(key):
    params = controller.init(key)
    return key, params, optimizer.init(params), jnp.float32(0), jnp.int32(0)

  def update(state, _):
    key, params, moments, baseline, count = state
    keys = jax.random.split(jax.random.fold_in(key, count), case.batch_size)
    genomes, _ = jax.vmap(
        lambda key: controller.sample(params, key, *case.condition))(keys)
    rewards = jnp.sum(genomes[:, case.counted] == 1, 1).astype(jnp.float32)
    mean = rewards.mean()
    baseline = jnp.where(count == 0, mean, .9 * baseline + .1 * mean)
    grads = jax.grad(_loss)(params, controller, genomes, rewards - baseline)
    steps, moments = optimizer.update(grads, moments)
    params = optax.apply_updates(params, steps)
    return (key, params, moments, baseline, count + 1), mean

  def many(states):
    return jax.lax.map(
        lambda state: jax.lax.scan(update, state, None, updates), states,
        batch_size=chunk)

  state = jax.jit(jax.vmap(start))(
      jax.random.split(jax.random.key(0), num_seeds))
  compiled = jax.jit(many, donate_argnums=0)
  if num_devices > 1:
    state = jax.tree.map(
        lambda x: x.reshape(num_devices, -1, *x.shape[1:]), state)
    compiled = jax.pmap(many, donate_argnums=0)
  began = time.perf_counter()
  compiled = compiled.lower(state).compile()
  compile_seconds = time.perf_counter() - began
  params = sum(p.size for p in jax.tree.leaves(state[1])) // num_seeds

  def run(repeats):
    nonlocal state
    seconds = []
    for _ in range(repeats):
      began = time.perf_counter()
      state, means = compiled(state)
      jax.block_until_ready((state, means))
      seconds.append(time.perf_counter() - began)
    return seconds

  return run, num_seeds * updates, {
      'params': params, 'compile_seconds': round(compile_seconds, 1)}


def _loss(params, controller, genomes, advantages):
  score = jax.vmap(controller.score, (None, 0))(params, genomes)
  return -jnp.mean(jnp.sum(score.log_probs, 1) * advantages)


def _numpy(controller: base.Controller):
  params = jax.tree.map(np.array, controller.init(jax.random.key(0)))
  demo = numpy_autodl.Demo(params, seed=0)

  def run(repeats):
    seconds = []
    for _ in range(repeats):
      began = time.perf_counter()
      demo.step()
      seconds.append(time.perf_counter() - began)
    return seconds

  return run


def _many(run, updates):
  """The same of calls of several updates."""
  return lambda repeats: [sum(run(updates)) for _ in range(repeats)]


def _gradient_difference(controller: base.Controller) -> float:
  keys = jax.random.split(jax.random.key(1), 11)
  # Larger weights, so that all gates matter.
  params = jax.tree.map(lambda p: 3 * p, controller.init(keys[0]))
  genomes, _ = jax.vmap(controller.sample, (None, 0))(params, keys[1:])
  advantages = np.linspace(-1, 2, 10, dtype=np.float32)
  grads = jax.grad(_loss)(params, controller, genomes, advantages)
  arrays = jax.tree.map(np.array, params)
  _, _, tape = numpy_autodl.forward(
      arrays, 10, numpy_autodl.given(np.array(genomes)))
  expected = numpy_autodl.backward(arrays, tape, advantages)
  return max(jax.tree.leaves(jax.tree.map(
      lambda a, b: float(np.abs(a - b).max()), expected, dict(grads))))


if __name__ == '__main__':
  main()
