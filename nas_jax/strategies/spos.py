"""Evolution of the best so far, under a constraint (Single Path One-Shot).

Reference: Guo et al., Single Path One-Shot Neural Architecture Search with
Uniform Sampling, arXiv 1904.00420, sec. 3.4 and Algorithm 1, and its public
code (src/Search).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete


class SposState(NamedTuple):
  """What was evaluated, and the population that is."""
  genomes: jax.Array  # int32[C, L], evaluated ones in their order
  rewards: jax.Array  # float32[C]
  count: jax.Array  # int32[], evaluated
  queue: jax.Array  # int32[P, L], the population
  queue_size: jax.Array  # int32[]
  position: jax.Array  # int32[], of it asked for and told


def spos(
    space: base.Space,
    *,
    population_size: int = 50,
    num_parents: int = 10,
    num_mutations: int = 25,
    num_crossovers: int = 25,
    mutation_probability: float = .1,
    max_tries: int = 10,
    feasible: Callable[[np.ndarray], bool] | None = None,
    batch_size: int = 1,
    capacity: int = 1050,
) -> base.Strategy:
  """Mutates and crosses the best of all that were evaluated.

  The first population is random. Each later one has mutations of the best,
  crossovers of pairs of the best, and random genomes up to P; nobody who does
  not meet the constraint or was evaluated before.

  It runs on the host.

  Args:
    space: where to search; any combination of its choices must be legal.
    population_size: P, of an epoch of the evolution.
    num_parents: how many of the best.
    num_mutations: of a parent, at most.
    num_crossovers: at most.
    mutation_probability: chance that a gene is drawn anew, from all choices.
    max_tries: attempts per mutation, crossover and random genome; those that
      find nothing are left out. Random ones fill what others leave.
    feasible: genome int32[L] -> whether it meets the constraint.
    batch_size: children per round. Where it does not divide a population,
      the last round begins the population again, and what repeats is not
      learned from.
    capacity: C, evaluations to remember; later ones are not learned from. By
      default those of 20 epochs after the first population.

  Raises:
    ValueError: an argument out of range; when called, no random genome that
      meets the constraint.

  Note: random genomes have max_tries * P attempts in all, without an end in
  the public code. Where nobody new is found, the last children repeat, which
  is not learned from.
  """
  _check(population_size, num_parents, batch_size, max_tries, capacity,
         num_mutations, num_crossovers, mutation_probability)
  sizes = np.array(discrete.sizes_of(space.choices))
  length = len(sizes)
  suits = feasible or (lambda genome: True)

  def init(key: base.Key) -> SposState:
    first = fill([], set(), _random(key))
    if not first:
      raise ValueError(
          f'none of {max_tries * population_size} random architectures meets '
          'the constraint: choose a looser one')
    return _on_device(SposState(
        np.zeros((capacity, length)), np.zeros(capacity), 0,
        *queue_of(first), 0))

  def ask(key: base.Key, state: SposState) -> base.Proposals:
    del key
    rows = (int(state.position) + np.arange(batch_size)) % int(state.queue_size)
    return base.Proposals(jnp.asarray(np.asarray(state.queue)[rows]))

  def tell(
      key: base.Key,
      state: SposState,
      proposals: base.Proposals,
      rewards: base.Rewards,
  ) -> SposState:
    state = SposState(*map(np.array, state))
    left = int(min(state.queue_size - state.position, capacity - state.count))
    new = min(batch_size, max(left, 0))
    rows = slice(state.count, state.count + new)
    state.genomes[rows] = np.asarray(proposals.genomes)[:new]
    state.rewards[rows] = np.asarray(rewards)[:new]
    state = state._replace(count=state.count + new,
                           position=state.position + batch_size)
    if state.position >= state.queue_size:
      if found := breed(state, _random(key)):
        queue, size = queue_of(found)
        state = state._replace(queue=queue, queue_size=size, position=0)
    return _on_device(state)

  def breed(state: SposState, rng: np.random.Generator) -> list[np.ndarray]:
    """The next population."""
    count = int(state.count)
    order = np.argsort(-state.rewards[:count], kind='stable')
    best = state.genomes[:count][order[:num_parents]]
    met = set(map(bytes, state.genomes[:count]))

    def mutate():
      parent = best[rng.integers(len(best))]
      drawn = rng.random(length) < mutation_probability
      return np.where(drawn, rng.integers(sizes), parent)

    def cross():
      first, second = best[rng.integers(len(best), size=2)]
      return np.where(rng.integers(2, size=length), first, second)

    found = collect(mutate, num_mutations, met)
    found += collect(cross, num_crossovers, met)
    return fill(found[:population_size], met, rng)

  def fill(found: list[np.ndarray], met: set[bytes],
           rng: np.random.Generator) -> list[np.ndarray]:
    """With random ones up to P."""
    return found + collect(
        lambda: rng.integers(sizes), population_size - len(found), met,
        max_tries * population_size)

  def collect(draw: Callable[[], np.ndarray], wanted: int, met: set[bytes],
              tries: int | None = None) -> list[np.ndarray]:
    """New ones that suit; they count as met from now on."""
    found = []
    for _ in range(max_tries * wanted if tries is None else tries):
      if len(found) >= wanted:
        break
      genome = draw().astype(np.int32)
      if genome.tobytes() not in met and suits(genome):
        met.add(genome.tobytes())
        found.append(genome)
    return found

  def queue_of(genomes: list[np.ndarray]) -> tuple[np.ndarray, int]:
    padding = ((0, population_size - len(genomes)), (0, 0))
    return np.pad(np.stack(genomes), padding), len(genomes)

  return base.Strategy(init, ask, tell, jittable=False)


def _random(key: base.Key) -> np.random.Generator:
  return np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))


def _on_device(state: SposState) -> SposState:
  return SposState(*(
      jnp.asarray(x, jnp.float32 if name == 'rewards' else jnp.int32)
      for name, x in state._asdict().items()))


def _check(population_size, num_parents, batch_size, max_tries, capacity,
           num_mutations, num_crossovers, mutation_probability) -> None:
  for least, numbers in (
      (1, dict(population_size=population_size, num_parents=num_parents,
               batch_size=batch_size, max_tries=max_tries,
               capacity=capacity)),
      (0, dict(num_mutations=num_mutations, num_crossovers=num_crossovers))):
    for name, value in numbers.items():
      if value < least:
        raise ValueError(f'{name} is {value}, expected at least {least}')
  if num_mutations + num_crossovers > population_size:
    raise ValueError(
        f'num_mutations {num_mutations} and num_crossovers {num_crossovers} '
        f'are more than the population of {population_size}')
  if not 0 <= mutation_probability <= 1:
    raise ValueError(f'mutation_probability is {mutation_probability}, '
                     'expected a number in 0..1')
