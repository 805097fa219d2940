"""What reward shaping does to the depth of the blocks that Q-learning finds.

python -m benchmarks.q_shaping [--seeds=100] [--output=FILE] [--picture=FILE]

BlockQNN's Q-learning on a toy: the reward of a block grows with the number of
convolutions on its longest path and saturates, with Gaussian noise. Its range
matters, because Q begins at 0.5: where even shallow blocks earn more, the
terminal action, which alone gets the whole reward without shaping, soon has
the highest Q. After every iteration the greedy policy is looked at: mean
length and noise-free reward of its blocks.

Reference: Zhong et al., arXiv 1708.05552, sec. 3.2 and figure 5.
"""

import argparse
from collections.abc import Callable
import os
import pathlib
import time
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import result_file
from nas_jax import base
from nas_jax import pages
from nas_jax import plot
from nas_jax import svg
from nas_jax.evaluators import toy
from nas_jax.spaces import block
from nas_jax.strategies import q_learning

# Smallest and largest reward of the toy.
RANGES = {
    'all above 0.5': (0.5, 0.7), 'all above 0.5, narrow': (0.6, 0.7),
    'on both sides': (0.1, 0.9), 'all below 0.5': (0.1, 0.3)}
VARIANTS = {
    'shaping': {}, 'no shaping': {'shaping': False},
    'by maximum': {'shaping_by': 'maximum'}}
_NOISE, _GREEDY = 0.01, 16


class Curves(NamedTuple):
  """What the policies do after every iteration; float[S, T] of S seeds."""
  sampled_length: jax.Array  # layers before the terminal one
  greedy_length: jax.Array
  greedy_reward: jax.Array


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--seeds', type=int, default=100)
  parser.add_argument('--max_index', type=int, default=8)
  parser.add_argument('--rounds', type=int, default=178)
  parser.add_argument('--output', help='JSON file for the results')
  parser.add_argument('--picture', help='SVG or PNG file for the curves')
  args = parser.parse_args()
  load, start = os.getloadavg(), time.perf_counter()
  schedule = q_learning.scaled_schedule(args.rounds)
  explored = schedule[0][1]
  when = {'at the end of the random phase': explored - 1,
          'halfway to the end': (explored + args.rounds) // 2 - 1,
          'at the end': args.rounds - 1}
  runs = {variant: compiled(args.max_index, schedule, options)
          for variant, options in VARIANTS.items()}
  keys = jax.random.split(jax.random.key(0), args.seeds)
  results, rows, panels = {}, [], []
  for name, (low, high) in RANGES.items():
    found = {variant: jax.tree.map(np.asarray, run(keys, low, high))
             for variant, run in runs.items()}
    results[name] = {'low': low, 'high': high} | {
        variant: summary(curves) for variant, curves in found.items()}
    difference = (found['shaping'].greedy_length
                  - found['no shaping'].greedy_length)
    results[name]['difference'] = {}
    for moment, i in when.items():
      mean, error = _mean_error(difference)
      longer = int((difference[:, i] > 0).sum())
      results[name]['difference'][moment] = {
          'mean': round(float(mean[i]), 3), 'error': round(float(error[i]), 3),
          'seeds_longer': longer}
      rows.append([
          f'{low} to {high}', moment,
          *(f'{found[v].greedy_length[:, i].mean():.2f}' for v in VARIANTS),
          f'{mean[i]:+.2f} +- {1.96 * error[i]:.2f}',
          *(f'{found[v].greedy_reward[:, i].mean():.4f}' for v in VARIANTS)])
    for title, field in (('greedy length', 'greedy_length'),
                         ('greedy reward', 'greedy_reward')):
      panels.append(plot.Panel(
          f'{title}, rewards {low} to {high}',
          [_band(getattr(found[v], field)) for v in list(VARIANTS)[:2]]))
    print(f'{name}: {time.perf_counter() - start:.0f} s', flush=True)
  header = ['rewards', 'iteration', *(f'length, {v}' for v in VARIANTS),
            'shaping - none', *(f'reward, {v}' for v in VARIANTS)]
  print(pages.table([header, *rows]))
  if args.picture:
    picture = plot.panels(panels, list(VARIANTS), 'iteration',
                          'middle 80 % of the seeds')
    path = pathlib.Path(args.picture)
    path.write_bytes(svg.png(picture) if path.suffix == '.png'
                     else picture.encode())
  result_file.save(
      args.output, load, settings=vars(args), noise=_NOISE, results=results)


def compiled(max_index: int, schedule: q_learning.Schedule, options: dict
             ) -> Callable[[base.Key, float, float], Curves]:
  """Q-learning of several seeds, its policy looked at after every round.

  What is returned takes S keys, and the smallest and largest reward.
  """
  space = block.space(max_index=max_index)
  evaluator = toy.block_depth(space, low=0., high=1.)
  strategy = q_learning.q_learning(
      space, is_end=block.is_terminal, epsilon_schedule=schedule, **options)
  greedy = q_learning.q_learning(
      space, is_end=block.is_terminal, epsilon_schedule=((0., 1),),
      batch_size=_GREEDY)

  def length(genomes):
    return block.num_layers(space.choices, genomes).mean()

  def one(key, low, high):
    init_key, run_key = jax.random.split(key)

    def exact(proposals):
      rewards = evaluator.evaluate(key, (), proposals)[0].rewards
      return low + (high - low) * rewards

    def step(state, key):
      ask_key, noise_key, tell_key, greedy_key = jax.random.split(key, 4)
      proposals = strategy.ask(ask_key, state)
      rewards = exact(proposals)
      rewards += _NOISE * jax.random.normal(noise_key, rewards.shape)
      state = strategy.tell(tell_key, state, proposals, rewards)
      best = greedy.ask(greedy_key, state)
      return state, Curves(length(proposals.genomes), length(best.genomes),
                           exact(best).mean())

    num_rounds = sum(n for _, n in schedule)
    return jax.lax.scan(step, strategy.init(init_key),
                        jax.random.split(run_key, num_rounds))[1]

  return jax.jit(jax.vmap(one, (0, None, None)))


def summary(curves: Curves) -> dict[str, list[float]]:
  """The mean over seeds of every curve."""
  return {name: [round(v, 4) for v in values.mean(0).tolist()]
          for name, values in curves._asdict().items()}


def _band(values: np.ndarray) -> list[np.ndarray]:
  return [values.mean(0), *np.quantile(values, (.1, .9), axis=0)]


def _mean_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  return values.mean(0), values.std(0, ddof=1) / len(values)**.5


if __name__ == '__main__':
  main()
