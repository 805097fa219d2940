"""Random search: children drawn uniformly, without learning."""

from typing import NamedTuple

import jax

from nas_jax import base


class RandomState(NamedTuple):
  """Nothing to remember."""


def random_search(space: base.Space, *, batch_size: int = 1) -> base.Strategy:
  """Proposes uniformly random genomes.

  Args:
    space: where to search.
    batch_size: B, children per round.

  Raises:
    ValueError: batch_size below 1.
  """
  if batch_size < 1:
    raise ValueError(f'batch_size must be at least 1, got {batch_size}')

  def ask(key: base.Key, state: RandomState) -> base.Proposals:
    del state
    return base.Proposals(sample(key, space, batch_size))

  def tell(key, state, proposals, rewards) -> RandomState:
    del key, proposals, rewards
    return state

  return base.Strategy(lambda key: RandomState(), ask, tell)


def sample(key: base.Key, space: base.Space, batch_size: int) -> base.Genome:
  """B random genomes, int32[B, L]; other strategies begin with the same."""
  return jax.vmap(space.sample)(jax.random.split(key, batch_size))
