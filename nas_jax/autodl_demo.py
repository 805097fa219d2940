"""The demo of AutoDL Design: its controller learns to choose operation 1.

The reward of an architecture is how many of its 20 operations are number 1;
the bits of the adjacency are sampled and learned, but earn nothing.

Reference: PaddlePaddle/AutoDL, AutoDL Design, simple_main.py, and the
hyper-parameters of autodl.py.
"""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

from nas_jax import base
from nas_jax import pages
from nas_jax.controllers import tokens as controllers
from nas_jax.evaluators import toy
from nas_jax.spaces import tokens
from nas_jax.strategies import reinforce

NUM_NODES, NUM_TOKENS = 10, 10
BATCH_SIZE = 10
TANH_CONSTANT = 2.5
NUM_ROUNDS = 1006  # 1000, and what its mean over neighbours reads
WINDOW = 11  # rounds of such a mean

# Mean, least and greatest of 5 seeds of an independent computation of the
# public code with NumPy, by round; means over 11 neighbouring rounds.
REFERENCE = {
    0: (1.97, 1.92, 2.02), 50: (2.12, 2.00, 2.28), 100: (7.74, 7.33, 8.14),
    150: (11.44, 10.98, 12.19), 200: (13.89, 13.59, 14.37),
    250: (15.41, 15.16, 15.78), 300: (15.96, 15.69, 16.13),
    350: (16.47, 16.38, 16.54), 400: (16.78, 16.63, 16.91),
    450: (17.00, 16.94, 17.08), 460: (17.13, 16.96, 17.21),
    500: (17.30, 17.17, 17.37), 600: (17.78, 17.70, 17.89),
    800: (18.26, 18.00, 18.50), 1000: (18.44, 18.22, 18.75)}
REFERENCE_NAME = 'independent NumPy computation of the public code, 5 seeds'
# The log in its README: mean rewards of single batches of 10.
PUBLISHED = {0: 2.5, 450: 17.1, 460: 17.}


class Row(NamedTuple):
  """One round of the curve beside the reference."""
  round: int
  mean: float  # over seeds and neighbouring rounds
  error: float  # standard error of the mean
  reference: float
  least: float
  greatest: float
  published: float | None

  @property
  def inside(self) -> bool:
    return self.least <= self.mean <= self.greatest

  @property
  def outside(self) -> float:
    """How far from the seeds of the reference; 0 inside."""
    return max(self.least - self.mean, self.mean - self.greatest, 0.)


def space() -> base.Space:
  return tokens.space(num_nodes=NUM_NODES)


def evaluator(found: base.Space) -> base.Evaluator:
  return toy.number_of_ones(found, positions=2 * NUM_NODES)


def strategy(found: base.Space) -> base.Strategy:
  """REINFORCE as the demo has it: linear advantage, Adam, nothing else."""
  return reinforce.reinforce(
      found,
      controller=controllers.controller(
          num_nodes=NUM_NODES, num_tokens=NUM_TOKENS,
          tanh_constant=TANH_CONSTANT),
      batch_size=BATCH_SIZE, learning_rate=1e-3, baseline_decay=.9,
      baseline_update='before', advantage='linear')


def bound() -> float:
  """The mean reward that no policy of this controller exceeds.

  Its logits lie within +-c, so that P(token) <= e^c / (e^c + (K - 1) e^-c).
  """
  most = math.exp(TANH_CONSTANT)
  return 2 * NUM_NODES * most / (most + (NUM_TOKENS - 1) / most)


def compare(curve: Mapping[str, Sequence[float]]) -> list[Row]:
  """A curve of `statistics.over_seeds` beside the reference."""
  mean, error = curve['mean'], curve['error']
  return [Row(i, mean[i], error[i], *found, PUBLISHED.get(i))
          for i, found in REFERENCE.items() if i + WINDOW // 2 < len(mean)]


def comparison(curve: Mapping[str, Sequence[float]]) -> str:
  """The same as a table for the terminal, with the bound."""
  rows = [['round', 'mean', 'error', 'reference', 'its seeds', 'inside', 'log']]
  for row in compare(curve):
    inside = 'yes' if row.inside else f'no, by {row.outside:.2f}'
    rows.append([row.round, f'{row.mean:.2f}', f'{row.error:.2f}',
                 f'{row.reference:.2f}', f'{row.least:.2f}..{row.greatest:.2f}',
                 inside, row.published and f'{row.published:.3f}'])
  return (f'{pages.table(rows)}\n'
          f'mean: over our seeds and {WINDOW} neighbouring rounds, and its '
          f'standard error; reference: {REFERENCE_NAME}, least..greatest; log: '
          f'published, single batches of {BATCH_SIZE}\n'
          f'greatest mean {max(curve["mean"]):.3f}, bound {bound():.3f}')


def reference_curves() -> dict[str, dict]:
  """What `plot.reward_curve` shows beside a curve."""
  mean, low, high = zip(*REFERENCE.values())
  return {
      'bound': bound(),
      'reference': {'label': 'reference', 'rounds': list(REFERENCE),
                    'mean': mean, 'low': low, 'high': high},
      'published': {'label': 'published log, batches of 10',
                    'rounds': list(PUBLISHED),
                    'mean': list(PUBLISHED.values())}}
