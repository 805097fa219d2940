"""Spaces given by their choices alone: any combination is legal."""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base

Choices = tuple[tuple[Any, ...], ...]

_MOST_CHOICES = 1 << 16


class Decoded(NamedTuple):
  """A decoded genome."""
  choices: jax.Array  # int32[L]


def space(
    choices: Sequence[Sequence[Any]],
    *,
    decode: Callable[[base.Genome], base.PyTree] = Decoded,
    same_allowed: Sequence[bool] | None = None,
) -> base.Space:
  """The space of all combinations of the choices.

  Samples are uniform; a mutation changes one position. A genotype is the
  tuple of the chosen values.

  Args:
    choices: for each of the L positions, its different values.
    decode: from int32[L] to a NamedTuple of arrays, jittable.
    same_allowed: see `mutate_one`; by default nowhere.

  Raises:
    ValueError: no position, a position without a choice or with more than
      65536, or with one value twice.
  """
  choices = tuple(map(tuple, choices))
  _check_choices(choices)
  sizes = sizes_of(choices)
  allowed = [False] * len(sizes) if same_allowed is None else same_allowed
  if len(allowed) != len(sizes):
    raise ValueError(f'same_allowed has {len(allowed)} entries for '
                     f'{len(sizes)} positions')
  indices = [{value: i for i, value in enumerate(c)} for c in choices]

  def sample(key: base.Key) -> base.Genome:
    bits = jax.random.bits(key, (len(sizes),))
    return random_below(bits, np.array(sizes, np.uint32))

  def mutate(key: base.Key, genome: base.Genome) -> base.Genome:
    return mutate_one(key, genome, sizes, allowed)

  def genotype(genome: base.Genome) -> tuple[Any, ...]:
    genome = check(choices, genome)
    return tuple(c[i] for c, i in zip(choices, genome))

  def encode(value: tuple[Any, ...]) -> base.Genome:
    if len(value) != len(sizes):
      raise ValueError(f'a genotype of this space has {len(sizes)} values, '
                       f'got {len(value)}: {value!r}')
    for t, v in enumerate(value):
      if v not in indices[t]:
        raise ValueError(f'position {t} holds {v!r}, expected one of '
                         f'{", ".join(map(repr, choices[t]))}')
    return jnp.array([i[v] for i, v in zip(indices, value)], jnp.int32)

  return base.Space(choices, sample, mutate, decode, genotype, encode)


def mutate_one(
    key: base.Key,
    genome: base.Genome,
    sizes: Sequence[int],
    same_allowed: Sequence[bool],
    num_active: jax.Array | None = None,
) -> base.Genome:
  """Gives one position a new value.

  The position is uniform over those with more than one choice; where there
  is none, the genome stays as it is.

  Args:
    key: consumed.
    genome: int32[L].
    sizes: L static numbers of choices.
    same_allowed: L static flags. Where True the new value is uniform among
      all values, the present one included; otherwise among all others.
    num_active: int32[], only the first so many positions may change; by
      default all.

  Returns:
    int32[L].
  """
  free = np.flatnonzero(np.asarray(sizes) > 1)
  if not free.size:
    return genome
  num_free = np.uint32(free.size)
  if num_active is not None:
    num_free = jnp.sum(free < num_active, dtype=jnp.uint32)
  bits = jax.random.bits(key, (2,))
  # One row per position that can change; looked up once.
  others = np.array(sizes)[free] - ~np.array(same_allowed, bool)[free]
  table = np.stack([free, others, np.array(same_allowed)[free]], 1)
  row = random_below(bits[0], num_free)
  position, count, same = jnp.asarray(table, jnp.int32)[row]
  here = (jnp.arange(len(sizes)) == position) & (num_free > 0)
  value = random_below(bits[1], count.astype(jnp.uint32))
  # Among the other values, those from the present one on move up by one.
  skip = (1 - same) * (value >= genome).astype(jnp.int32)
  return jnp.where(here, value + skip, genome)


def random_below(bits: jax.Array, size: jax.Array) -> jax.Array:
  """floor(bits * size / 2^32), int32: uniform below `size`.

  Args:
    bits: uint32[...], random.
    size: uint32[...], 1..65536. The chance of a value differs from 1 / size
      by less than 2^-32.
  """
  low = ((bits & 0xffff) * size) >> 16
  return (((bits >> 16) * size + low) >> 16).astype(jnp.int32)


def sizes_of(choices: Choices) -> tuple[int, ...]:
  """The number of choices of every position."""
  return tuple(map(len, choices))


def size(choices: Choices) -> int:
  """The number of genomes."""
  return math.prod(sizes_of(choices))


def is_legal(choices: Choices, genome: base.Genome) -> jax.Array:
  """Whether int32[..., L] holds choices at every position, bool[...]."""
  sizes = np.array(sizes_of(choices))
  if genome.shape[-1:] != sizes.shape:
    return jnp.zeros(genome.shape[:-1], bool)
  return jnp.all((genome >= 0) & (genome < sizes), axis=-1)


def check(choices: Choices, genome: base.Genome) -> list[int]:
  """The genome as a list, on the host.

  Raises:
    ValueError: not integers of shape [L], or not a choice of its position.
  """
  genome = np.asarray(genome)
  if genome.shape != (len(choices),) or genome.dtype.kind not in 'iu':
    raise ValueError(
        f'a genome of this space is int32[{len(choices)}], got '
        f'{genome.dtype}{list(genome.shape)}')
  for t, (value, choice) in enumerate(zip(genome.tolist(), choices)):
    if not 0 <= value < len(choice):
      raise ValueError(f'position {t} of the genome holds {value}, expected '
                       f'0..{len(choice) - 1}')
  return genome.tolist()


def radices(sizes: Sequence[int]) -> list[int]:
  """What one step at each position adds to `index`; 1 at the last."""
  return [math.prod(sizes[i + 1:]) for i in range(len(sizes))]


def index(sizes: Sequence[int], genome: base.Genome) -> int:
  """The number of a genome in lexical order, from 0; exact at any size."""
  number = 0
  for s, value in zip(sizes, np.asarray(genome).tolist(), strict=True):
    number = number * s + value
  return number


def from_index(sizes: Sequence[int], number: int) -> np.ndarray:
  """The genome with that number, int32[L]; the inverse of `index`.

  Raises:
    ValueError: the space has no such number.
  """
  total = math.prod(sizes)
  if not 0 <= number < total:
    raise ValueError(f'index {number} is not in 0..{total - 1}')
  genome = []
  for s in reversed(sizes):
    number, value = divmod(number, s)
    genome.append(value)
  return np.array(genome[::-1], np.int32)


def _check_choices(choices: Choices) -> None:
  if not choices:
    raise ValueError('a space needs at least one position')
  for t, c in enumerate(choices):
    if not 1 <= len(c) <= _MOST_CHOICES:
      raise ValueError(f'position {t} has {len(c)} choices, expected '
                       f'1..{_MOST_CHOICES}')
    if len(set(c)) != len(c):
      raise ValueError(f'position {t} names a choice twice: {c!r}')
