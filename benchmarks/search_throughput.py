"""Evaluations per second of evolution on a toy, against plain Python.

python -m benchmarks.search_throughput [--seeds=1000] [--evaluations=1000]

All seeds are one jitted call: a vmap of `search.scan`. The target is 600,000
evaluations per second on two CPU cores.
"""

import argparse
import collections
import os
import random
import time

import jax
import numpy as np

from benchmarks import result_file
from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.strategies import evolution

_SIZES = tuple(2 + i % 5 for i in range(20))
_POPULATION, _SAMPLE, _IDENTITY = 100, 25, 0.05


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--seeds', type=int, default=1000)
  parser.add_argument('--evaluations', type=int, default=1000)
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--python_seeds', type=int, default=5)
  parser.add_argument('--output', help='JSON file for the results')
  args = parser.parse_args()
  load = os.getloadavg()

  space = discrete.space([range(size) for size in _SIZES])
  strategy = evolution.regularized_evolution(
      space, population_size=_POPULATION, sample_size=_SAMPLE,
      identity_probability=_IDENTITY)
  evaluator = toy.number_of_ones(space)

  @jax.jit
  def all_seeds(keys):
    return jax.vmap(lambda key: search.scan(
        key, strategy, evaluator, num_rounds=args.evaluations,
        rewards_only=True))(keys)

  keys = jax.random.split(jax.random.key(0), args.seeds)
  start = time.perf_counter()
  compiled = all_seeds.lower(keys).compile()
  print(f'compile: {time.perf_counter() - start:.1f} s on '
        f'{jax.devices()[0].device_kind}')
  seconds = []
  for _ in range(args.repeats):
    start = time.perf_counter()
    state, _ = jax.block_until_ready(compiled(keys))
    seconds.append(time.perf_counter() - start)
  count = args.seeds * args.evaluations
  fast = count / np.median(seconds)
  print(f'scan: {count} evaluations, {fast:,.0f} per second (median of '
        f'{args.repeats}; best {count / min(seconds):,.0f}); mean best reward '
        f'{np.mean(state.best_reward):.2f} of {len(_SIZES)}')

  start = time.perf_counter()
  best = [_python(seed, args.evaluations) for seed in range(args.python_seeds)]
  slow = args.python_seeds * args.evaluations / (time.perf_counter() - start)
  print(f'plain Python: {slow:,.0f} per second; mean best reward '
        f'{np.mean(best):.2f}')
  print(f'ratio: {fast / slow:.0f}')
  result_file.save(
      args.output, load, unit='evaluations per second', settings=vars(args),
      scan=round(fast), scan_best=round(count / min(seconds)),
      plain_python=round(slow), ratio=round(fast / slow, 1))


def _python(seed: int, evaluations: int) -> int:
  """The same algorithm as it is usually written."""
  rng = random.Random(seed)
  population = collections.deque()
  best = 0
  for _ in range(evaluations):
    if len(population) < _POPULATION:
      child = [rng.randrange(size) for size in _SIZES]
    else:
      sample = [rng.choice(population) for _ in range(_SAMPLE)]
      child = list(max(sample, key=lambda member: member[0])[1])
      if rng.random() >= _IDENTITY:
        t = rng.randrange(len(_SIZES))
        child[t] = rng.choice([v for v in range(_SIZES[t]) if v != child[t]])
      population.popleft()
    reward = child.count(1)
    population.append((reward, child))
    best = max(best, reward)
  return best


if __name__ == '__main__':
  main()
