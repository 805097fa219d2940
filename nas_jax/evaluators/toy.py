"""Evaluators that cost nothing: for tests and for studying strategies."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import block_code
from nas_jax.spaces import discrete

_LARGEST_ENUMERATION = 1 << 22
_LARGEST_TABLE = 1 << 24
_SCALES = ('count', 'mean')


def number_of_ones(
    space: base.Space,
    *,
    positions: int | None = None,
    scale: str = 'count',
    noise: float = 0.,
    clip: tuple[float, float] | None = None,
) -> base.Evaluator:
  """Rewards every position that holds its choice of index 1.

  With scale='mean', noise=0.01 and clip=(0, 1) on 100 positions of 2 choices
  this is the toy problem of Real et al., arXiv 1802.01548, supplement C. With
  positions=20 on spaces/tokens.py it is the demo of PaddlePaddle/AutoDL,
  where the bits after the 20 operations do not count.

  Args:
    space: whose genomes to score.
    positions: how many positions count, from the first; by default all L.
    scale: 'count', the number of ones, or 'mean', that number divided by
      `positions`.
    noise: standard deviation of Gaussian noise, drawn anew for every child.
    clip: smallest and largest reward, noise included.

  Raises:
    ValueError: no or too many positions, an unknown scale, negative noise,
      or an empty range.
  """
  length = len(space.choices)
  positions = length if positions is None else positions
  if not 1 <= positions <= length:
    raise ValueError(f'positions {positions} is not in 1..{length}')
  if scale not in _SCALES:
    raise ValueError(f'unknown scale {scale!r}, expected one of '
                     f'{", ".join(_SCALES)}')
  if not noise >= 0:
    raise ValueError(f'noise must not be negative, got {noise}')
  if clip is not None and not clip[0] < clip[1]:
    raise ValueError(f'clip must be (lower, higher), got {clip}')
  unit = positions if scale == 'mean' else 1

  def score(key: base.Key, genomes: base.Genome) -> base.Rewards:
    ones = jnp.sum(genomes[:, :positions] == 1, axis=-1)
    rewards = ones.astype(jnp.float32) / unit
    if noise:
      rewards += noise * jax.random.normal(key, rewards.shape)
    return rewards if clip is None else jnp.clip(rewards, *clip)

  return _evaluator(score)


def block_depth(
    space: base.Space,
    *,
    low: float = 0.1,
    high: float = 0.9,
    scale: float = 3.,
    noise: float = 0.,
) -> base.Evaluator:
  """Rewards deep blocks like an accuracy that saturates.

  The reward is high - (high - low) exp(-D / scale) with D convolutions on the
  longest path of the block.

  Args:
    space: of spaces/block.py.
    low: reward without a convolution.
    high: what more and more of them approach.
    scale: convolutions after which all but 1 / e of it is reached.
    noise: standard deviation of Gaussian noise, drawn anew for every child.

  Raises:
    ValueError: low not below high, a scale not positive, negative noise.
  """
  if not low < high or not scale > 0 or not noise >= 0:
    raise ValueError(f'expected low < high, a positive scale and noise of at '
                     f'least 0, got {low}, {high}, {scale} and {noise}')

  def depth(genome: base.Genome) -> jax.Array:
    layers = space.decode(genome).layers
    # Of each layer, 0 being the block input; a second predecessor that is
    # none is 0 and changes nothing.
    depths = jnp.zeros(len(layers) + 1, jnp.int32)
    for i, (_, kind, _, first, second) in enumerate(layers, 1):
      depths = depths.at[i].set(
          jnp.maximum(depths[first], depths[second])
          + (kind == block_code.CONV))
    return jnp.max(depths)

  def score(key: base.Key, genomes: base.Genome) -> base.Rewards:
    d = jax.vmap(depth)(genomes).astype(jnp.float32)
    rewards = high - (high - low) * jnp.exp(-d / scale)
    if noise:
      rewards += noise * jax.random.normal(key, rewards.shape)
    return rewards

  return _evaluator(score)


def nk(
    space: base.Space, *, num_interactions: int, seed: int
) -> base.Evaluator:
  """An NK landscape: K tunes how rugged it is.

  The contribution of a position depends on itself and on K other positions;
  it is looked up in a table of uniform random numbers in 0..1. The reward is
  the mean contribution.

  Args:
    space: whose genomes to score; positions may differ in size.
    num_interactions: K, in 0..L-1.
    seed: non-negative; names the landscape.

  Raises:
    ValueError: K out of range, or tables of more than 2^24 numbers.

  Reference: Kauffman and Levin, J. Theor. Biol. 128, 1987.
  """
  sizes = np.array(discrete.sizes_of(space.choices))
  length = len(sizes)
  if not 0 <= num_interactions < length:
    raise ValueError(f'num_interactions {num_interactions} is not in '
                     f'0..{length - 1}')
  rng = np.random.default_rng(seed)
  # Row i: the position i itself, then K others.
  positions = np.array([
      [i, *rng.choice(np.delete(np.arange(length), i), num_interactions,
                      replace=False)] for i in range(length)])
  widths = [math.prod(row) for row in sizes[positions].tolist()]
  if sum(widths) > _LARGEST_TABLE:
    raise ValueError(
        f'num_interactions {num_interactions} needs tables of {sum(widths)} '
        f'numbers, more than {_LARGEST_TABLE}')
  table = jnp.asarray(rng.random(sum(widths)), jnp.float32)
  offsets = np.cumsum([0, *widths[:-1]])
  radices = np.array([discrete.radices(row)
                      for row in sizes[positions].tolist()])

  def score(key: base.Key, genomes: base.Genome) -> base.Rewards:
    del key
    # [B, L, K + 1] -> [B, L]
    rows = jnp.sum(genomes[:, positions] * radices, axis=-1) + offsets
    return jnp.mean(table[rows], axis=-1)

  return _evaluator(score)


def nk_optimum(
    space: base.Space, *, num_interactions: int, seed: int
) -> tuple[np.ndarray, float]:
  """The best genome of an `nk` landscape, int32[L], and its reward.

  Raises:
    ValueError: the space has more than 2^22 genomes to go through.
  """
  sizes = discrete.sizes_of(space.choices)
  total = math.prod(sizes)
  if total > _LARGEST_ENUMERATION:
    raise ValueError(f'the space has {total} genomes, more than the '
                     f'{_LARGEST_ENUMERATION} that can be gone through')
  evaluator = nk(space, num_interactions=num_interactions, seed=seed)
  score = jax.jit(lambda genomes: evaluator.evaluate(
      None, (), base.Proposals(genomes))[0].rewards)
  radices = np.array(discrete.radices(sizes))
  best = (-np.inf, 0)
  for start in range(0, total, 1 << 16):
    numbers = np.arange(start, min(start + (1 << 16), total))
    rewards = score(jnp.asarray(numbers[:, None] // radices % np.array(sizes),
                                jnp.int32))
    i = int(np.argmax(rewards))
    best = max(best, (float(rewards[i]), -(start + i)))
  return discrete.from_index(sizes, -best[1]), best[0]


def _evaluator(score) -> base.Evaluator:
  """An evaluator without a state, whose children never fail."""

  def evaluate(key, state, proposals):
    rewards = score(key, proposals.genomes)
    metrics = {'failed': jnp.zeros_like(rewards)}
    return base.Evaluation(rewards, metrics), state

  return base.Evaluator(lambda key: (), evaluate)
