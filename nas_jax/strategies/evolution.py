"""Regularized (aging) evolution.

Reference: Real et al., arXiv 1802.01548, Algorithm 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.strategies import random_search


class EvolutionState(NamedTuple):
  """The population, a ring: child n lives in slot n % P for P children."""
  population: jax.Array  # int32[P, L]
  rewards: jax.Array  # float32[P]
  count: jax.Array  # int32[], children told so far


class Slots(NamedTuple):
  """Where the children of a round will live."""
  slots: jax.Array  # int32[B]


def regularized_evolution(
    space: base.Space,
    *,
    population_size: int = 100,
    sample_size: int = 25,
    identity_probability: float = 0.05,
    aging: bool = True,
    batch_size: int = 1,
) -> base.Strategy:
  """Mutates the best of a random sample of the last P children.

  The first P children are those of `random_search` under the same keys.
  Every later child has the best of S members, drawn uniformly with
  replacement, for a parent. It takes the place of the oldest member, however
  good that is.

  Args:
    space: where to search.
    population_size: P.
    sample_size: S.
    identity_probability: chance that a child is a copy of its parent.
    aging: False removes the worst of the sample instead of the oldest (the
      paper's non-aging variant).
    batch_size: B, children per round. All of a round see the population as
      it was before it, as B parallel workers do.

  Raises:
    ValueError: an argument out of range; P not a multiple of B; a batch
      without aging.

  Note: the paper's search is asynchronous; rounds of B children are not.
  """
  _check(population_size, sample_size, identity_probability, aging, batch_size)
  p, s, b = population_size, sample_size, batch_size
  # A probability as a threshold on 32 random bits.
  identity_below = np.uint32(min(round(identity_probability * 2**32),
                                 2**32 - 1))

  def init(key: base.Key) -> EvolutionState:
    del key
    return EvolutionState(
        population=jnp.zeros((p, len(space.choices)), jnp.int32),
        rewards=jnp.full(p, -jnp.inf, jnp.float32),
        count=jnp.zeros((), jnp.int32))

  def breed(key: base.Key, state: EvolutionState):
    pick_key, mutate_key = jax.random.split(key)
    bits = jax.random.bits(pick_key, (s + 1,))
    members = discrete.random_below(bits[:s], np.uint32(p))
    rewards = state.rewards[members]
    parent = state.population[members[jnp.argmax(rewards)]]
    child = space.mutate(mutate_key, parent)
    child = jnp.where(bits[s] < identity_below, parent, child)
    return child, members[jnp.argmin(rewards)]

  def ask(key: base.Key, state: EvolutionState) -> base.Proposals:
    oldest = state.count % p + jnp.arange(b)

    def start():
      return random_search.sample(key, space, b), oldest

    def evolve():
      keys = jax.random.split(key, b)
      children, worst = jax.vmap(breed, (0, None))(keys, state)
      return children, oldest if aging else worst

    genomes, slots = jax.lax.cond(state.count < p, start, evolve)
    return base.Proposals(genomes, () if aging else Slots(slots))

  def tell(
      key: base.Key,
      state: EvolutionState,
      proposals: base.Proposals,
      rewards: base.Rewards,
  ) -> EvolutionState:
    del key
    # B children in a row: P is a multiple of B, so they never wrap around.
    start = state.count % p if aging else proposals.aux.slots[0]
    update = jax.lax.dynamic_update_slice_in_dim
    return EvolutionState(
        population=update(state.population, proposals.genomes, start, 0),
        rewards=update(state.rewards, rewards, start, 0),
        count=state.count + b)

  return base.Strategy(init, ask, tell)


def _check(population_size, sample_size, identity_probability, aging,
           batch_size) -> None:
  if batch_size < 1 or sample_size < 1:
    raise ValueError(f'batch_size {batch_size} and sample_size {sample_size} '
                     'must be at least 1')
  if not 1 <= population_size <= 65536:
    raise ValueError(f'population_size {population_size} is not in 1..65536')
  if population_size % batch_size:
    raise ValueError(
        f'population_size {population_size} is not a multiple of batch_size '
        f'{batch_size}')
  if not 0 <= identity_probability <= 1:
    raise ValueError(
        f'identity_probability {identity_probability} is not in 0..1')
  if not aging and batch_size != 1:
    raise ValueError(
        f'aging=False needs batch_size=1, got {batch_size}: two children of '
        'one round could replace the same member')
