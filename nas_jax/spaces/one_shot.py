"""Cells of choice blocks, the space of the one-shot model.

Block i of a cell reads some of the states before it and sums some operations
of what it reads. States 0 and 1 are the outputs of the cell before the last
and of the last cell; state 2 + i is block i.

Reference: Bender et al., Understanding and Simplifying One-Shot Architecture
Search, ICML 2018, sec. 3.
"""

from collections.abc import Sequence
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete

OPERATIONS = (
    'skip_connect', 'sep_conv_3x3', 'sep_conv_5x5', 'sep_conv_7x7',
    'conv_1x7_7x1', 'max_pool_3x3', 'avg_pool_3x3')

# (states of block 0, its operations, states of block 1, ...)
Genotype = tuple[tuple[Any, ...], ...]


class Paths(NamedTuple):
  """Which paths of a cell of N blocks are on; O operations."""
  inputs: jax.Array  # bool[N, N + 1], of block i from state s
  operations: jax.Array  # bool[N, O]


def space(
    operations: Sequence[str] = OPERATIONS,
    *,
    num_blocks: int = 4,
    max_inputs: int = 2,
    max_operations: int = 2,
) -> base.Space:
  """The space of one cell, which a network repeats.

  A genome holds, for each block, the number of a set of states and the number
  of a set of operations; sets are in the order of their sizes. All pairs of
  sets are equally likely.

  Args:
    operations: their names.
    num_blocks: N.
    max_inputs: states that a block reads, at least one and at most so many.
    max_operations: the same of its operations.

  Raises:
    ValueError: an argument out of range.

  Note: the paper's text was not at hand. That blocks see both inputs of the
  cell and all blocks before them, and the sets of one or two, make up a space
  of 1,659,571,200 cells; that number is of this reading.
  """
  for name, value in (('num_blocks', num_blocks), ('max_inputs', max_inputs),
                      ('max_operations', max_operations),
                      ('the number of operations', len(operations))):
    if value < 1:
      raise ValueError(f'{name} is {value}, expected at least 1')
  choices = []
  for i in range(num_blocks):
    choices += [subsets(range(i + 2), max_inputs),
                subsets(operations, max_operations)]
  inputs = _table(choices[::2], range(num_blocks + 1))
  of_operations = _table([choices[1]], operations)[0]

  def decode(genome: base.Genome) -> Paths:
    return Paths(
        jnp.asarray(inputs)[np.arange(num_blocks), genome[::2]],
        jnp.asarray(of_operations)[genome[1::2]])

  return discrete.space(choices, decode=decode)


def subsets(values: Sequence[Any], most: int) -> tuple[tuple[Any, ...], ...]:
  """Those of 1 to `most` values, in the order of their sizes."""
  return tuple(itertools.chain.from_iterable(
      itertools.combinations(values, size) for size in range(1, most + 1)))


def num_inputs(num_blocks: int) -> np.ndarray:
  """How many states each block may read, int[N]."""
  return np.arange(num_blocks) + 2


def all_paths(operations: Sequence[str] = OPERATIONS, num_blocks: int = 4
              ) -> Genotype:
  """Every path of every block."""
  return tuple(itertools.chain.from_iterable(
      (tuple(range(i + 2)), tuple(operations)) for i in range(num_blocks)))


def live(paths: Paths) -> Paths:
  """Without what carries nothing; jittable.

  A block that reads nothing, or has no operation, is zeros; the paths from it
  are off, and so are its own.
  """
  num_blocks = paths.inputs.shape[0]
  on = [jnp.ones((), bool)] * 2  # Whether each state is more than zeros.
  inputs, operations = [], []
  for i in range(num_blocks):
    read = jnp.stack([on[s] & paths.inputs[i, s] if s < i + 2
                      else jnp.zeros((), bool) for s in range(num_blocks + 1)])
    both = jnp.any(read) & jnp.any(paths.operations[i])
    on.append(both)
    inputs.append(read & both)
    operations.append(paths.operations[i] & both)
  return Paths(jnp.stack(inputs), jnp.stack(operations))


def genotype_of(paths: Paths, operations: Sequence[str] = OPERATIONS
                ) -> Genotype:
  """The genotype of any set of paths, also one that no genome says."""
  found = []
  for inputs, chosen in zip(*map(np.asarray, paths)):
    found += [tuple(np.flatnonzero(inputs).tolist()),
              tuple(op for op, on in zip(operations, chosen) if on)]
  return tuple(found)


def check(genotype: Any) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
  """The blocks of a genotype, (states, operations) each; both may be empty.

  Raises:
    ValueError: it is none.
  """
  if (not isinstance(genotype, (tuple, list)) or not genotype
      or len(genotype) % 2 or not all(
          isinstance(part, (tuple, list)) for part in genotype)):
    raise ValueError('a genotype of choice blocks is (states, operations) of '
                     f'each block in turn, got {genotype!r}')
  blocks = list(zip(map(tuple, genotype[::2]), map(tuple, genotype[1::2])))
  for i, (states, operations) in enumerate(blocks):
    if not set(states) <= set(range(i + 2)):
      raise ValueError(f'block {i} reads states {states}, expected some of '
                       f'0..{i + 1}')
    for name, part in (('states', states), ('operations', operations)):
      if len(set(part)) < len(part):
        raise ValueError(f'block {i} names one of its {name} twice: {part}')
  return blocks


def _table(positions, values) -> np.ndarray:
  """bool[positions, most choices, values]: which values a choice holds."""
  table = np.zeros((len(positions), max(map(len, positions)), len(values)),
                   bool)
  for i, choices in enumerate(positions):
    for j, chosen in enumerate(choices):
      table[i, j] = [v in chosen for v in values]
  return table
