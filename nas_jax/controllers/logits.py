"""Logits of every choice, each position on its own: no network at all.

Reference: Dong, Yang, NAS-Bench-201, arXiv 2001.00326, whose REINFORCE has a
  softmax over five operations for each of six edges (AutoDL-Projects,
  exps/algos/reinforce.py): logits start at 0.001 times normal noise.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.controllers import recurrent


class Logits(NamedTuple):
  """The parameters; a position with fewer choices has idle ones."""
  logits: jax.Array  # float32[L, C]


def controller(
    choices: Sequence[Sequence[Any]], *, init_scale: float = 1e-3
) -> base.Controller:
  """A policy whose choices do not depend on each other.

  Args:
    choices: of each position, as `base.Space.choices`.
    init_scale: standard deviation of the logits at the start.

  Raises:
    ValueError: no position, a position without a choice, or a negative scale.
  """
  sizes = tuple(map(len, choices))
  if not sizes or not all(sizes):
    raise ValueError('every position needs a choice, and there must be one; '
                     f'got positions of {sizes} choices')
  if not init_scale >= 0:
    raise ValueError(f'init_scale must not be negative, got {init_scale}')
  shape = len(sizes), max(sizes)
  possible = np.arange(shape[1]) < np.array(sizes)[:, None]  # bool[L, C]

  def init(key: base.Key) -> Logits:
    return Logits(init_scale * jax.random.normal(key, shape))

  def sample(params: Logits, key: base.Key) -> tuple[base.Genome, base.Score]:
    logits = recurrent.masked(params.logits, possible)
    # One number per position, where Gumbel noise takes one per choice.
    sums = jnp.cumsum(jax.nn.softmax(logits), axis=-1)
    below = jax.random.uniform(key, shape[:1]) * sums[:, -1]
    genome = jnp.sum(sums <= below[:, None], axis=-1).astype(jnp.int32)
    genome = jnp.minimum(genome, np.array(sizes) - 1)
    return genome, base.Score(*recurrent.categorical(logits, genome))

  def score(params: Logits, genome: base.Genome) -> base.Score:
    return base.Score(*recurrent.categorical(
        recurrent.masked(params.logits, possible), genome))

  return base.Controller(init, sample, score)
