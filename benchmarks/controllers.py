"""Updates of controllers by REINFORCE per second, beside PyTorch and numpy.

python -m benchmarks.controllers [--seeds=64] [--demo_seeds=20] [--output=F]

An update samples a batch of architectures, counts ones, and takes a step of
Adam along the gradient. Here all seeds are one vmap and `--updates` updates
one call; PyTorch (an LSTM controller of the same size, in its usual form) and
numpy (the same arithmetic, its gradient by hand, checked first) update one
seed after the other. All are timed in one run, in turn.
"""

import argparse
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import numpy_autodl
from benchmarks import result_file
from benchmarks import torch_process
from nas_jax import base
from nas_jax.controllers import sequence
from nas_jax.controllers import tokens

# Of each of five blocks of NASNet's two cells: two of the states so far, an
# operation for each, how to combine them.
_NASNET = tuple(
    size for _ in range(2) for b in range(2, 7) for size in (b, b, 13, 13, 2))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--seeds', type=int, default=64)
  parser.add_argument('--demo_seeds', type=int, default=20)
  parser.add_argument('--updates', type=int, default=20, help='per call')
  parser.add_argument('--rounds', type=int, default=4)
  parser.add_argument('--repeats', type=int, default=2)
  parser.add_argument('--torch', default='torch==2.13.0',
                      help='requirement of pip; empty to leave PyTorch out')
  parser.add_argument('--output', help='JSON file of the results')
  args = parser.parse_args()

  load = os.getloadavg()
  ours = {
      'autodl': (tokens.controller(), 10, {}),
      'nasnet': (sequence.controller([range(s) for s in _NASNET]), 20,
                 {'sizes': _NASNET})}
  difference = _gradient_difference(ours['autodl'][0])
  print(f'largest difference of a gradient from numpy\'s: {difference:.1e}')
  if difference > 1e-5:
    raise RuntimeError('the gradients differ')
  contenders, per_call, details = {}, {}, {}
  for name, (controller, batch_size, more) in ours.items():
    seeds = ((args.seeds, args.demo_seeds) if name == 'autodl' else
             (args.seeds,))
    for count in dict.fromkeys(seeds):
      label = f'{name}, {count} seeds'
      contenders[label], details[label] = _ours(
          controller, batch_size, count, args.updates)
      per_call[label] = count * args.updates
    if args.torch:
      label = f'{name}, PyTorch'
      process = torch_process.Process(
          torch_process.python(args.torch),
          {'controller': name, 'batch_size': batch_size, **more},
          'torch_controllers.py')
      contenders[label] = _many(process.time, args.updates)
      details[label] = process.description
      per_call[label] = args.updates
  contenders['autodl, numpy'] = _many(
      _numpy(ours['autodl'][0]), args.updates)
  details['autodl, numpy'] = {}
  per_call['autodl, numpy'] = args.updates

  seconds = torch_process.in_turn(contenders, args.rounds, args.repeats)
  speed = {name: per_call[name] / float(np.median(s))
           for name, s in seconds.items()}
  rows = []
  for name, value in speed.items():
    row = {'name': name, 'updates_per_second': round(value, 1),
           'quartiles': [round(per_call[name] / float(q), 1) for q in
                         np.quantile(seconds[name], [.75, .25])],
           **details[name]}
    for other in ('PyTorch', 'numpy'):
      beside = f'{name.split(",")[0]}, {other}'
      if 'seeds' in name and beside in speed:
        row[f'ratio_to_{other}'] = round(value / speed[beside], 2)
    rows.append(row)
    print(', '.join(f'{k}: {v}' for k, v in row.items()))
  result_file.save(
      args.output, load, unit='updates of one seed per second', rows=rows,
      settings=vars(args), gradient_difference=difference)


def _ours(controller: base.Controller, batch_size: int, num_seeds: int,
          updates: int):
  """A function of a number of repeats, and what to say about it."""
  optimizer = optax.adam(1e-3)

  def start(key):
    params = controller.init(key)
    return key, params, optimizer.init(params), jnp.float32(0), jnp.int32(0)

  def update(state, _):
    key, params, moments, baseline, count = state
    keys = jax.random.split(jax.random.fold_in(key, count), batch_size)
    genomes, _ = jax.vmap(controller.sample, (None, 0))(params, keys)
    tokens_only = genomes[:, :50]  # the edges of AutoDL Design come later
    if genomes.shape[1] > 50:
      tokens_only = genomes[:, :20]
    rewards = jnp.sum(tokens_only == 1, 1).astype(jnp.float32)
    mean = rewards.mean()
    baseline = jnp.where(count == 0, mean, .9 * baseline + .1 * mean)
    grads = jax.grad(_loss)(params, controller, genomes, rewards - baseline)
    steps, moments = optimizer.update(grads, moments)
    params = optax.apply_updates(params, steps)
    return (key, params, moments, baseline, count + 1), mean

  def many(state):
    return jax.lax.scan(update, state, None, updates)

  state = jax.jit(jax.vmap(start))(
      jax.random.split(jax.random.key(0), num_seeds))
  began = time.perf_counter()
  compiled = jax.jit(jax.vmap(many), donate_argnums=0).lower(state).compile()
  compile_seconds = time.perf_counter() - began
  params = sum(p[0].size for p in jax.tree.leaves(state[1]))

  def run(repeats):
    nonlocal state
    seconds = []
    for _ in range(repeats):
      began = time.perf_counter()
      state, means = compiled(state)
      jax.block_until_ready((state, means))
      seconds.append(time.perf_counter() - began)
    return seconds

  return run, {'params': params, 'compile_seconds': round(compile_seconds, 1)}


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
