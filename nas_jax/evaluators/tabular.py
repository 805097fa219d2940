"""Evaluators that look the reward of every genome up in a table."""

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from nas_jax import base
from nas_jax.spaces import discrete

_LARGEST_TABLE = 1 << 28


def tabular(
    space: base.Space,
    rewards: npt.ArrayLike,
    *,
    failed_reward: float | None = None,
) -> base.Evaluator:
  """Rewards by the number of the genome in lexical order.

  Args:
    space: whose genomes to score; N in number.
    rewards: float[N]; entry n is that of `discrete.from_index(sizes, n)`.
    failed_reward: the floor. With it, entries that are not finite are
      children that fail.

  Raises:
    ValueError: not N entries, more than 2^28, one that is not finite without
      a `failed_reward`, or a `failed_reward` that is not finite.
  """
  sizes = discrete.sizes_of(space.choices)
  size = discrete.size(space.choices)
  if size > _LARGEST_TABLE:
    raise ValueError(f'the space has {size} genomes, more than the '
                     f'{_LARGEST_TABLE} of which a table can be made')
  values = np.asarray(rewards, np.float32)
  if values.shape != (size,):
    raise ValueError(f'the space has {size} genomes, but the rewards are of '
                     f'shape {values.shape}')
  bad = ~np.isfinite(values)
  if failed_reward is None:
    if bad.any():
      where = int(np.argmax(bad))
      raise ValueError(f'reward {where} is {values[where]}: without a '
                       'failed_reward all must be finite')
  elif not np.isfinite(failed_reward):
    raise ValueError(f'failed_reward must be finite, got {failed_reward}')
  table = np.where(bad, failed_reward or 0., values).astype(np.float32)
  radices = np.array(discrete.radices(sizes), np.int32)

  def evaluate(key, state, proposals):
    del key
    numbers = jnp.sum(proposals.genomes * radices, axis=-1)
    found = jnp.asarray(table)[numbers]
    failed = jnp.asarray(bad)[numbers].astype(jnp.float32)
    return base.Evaluation(found, {'failed': failed}), state

  return base.Evaluator(lambda key: (), evaluate)
