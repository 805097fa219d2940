"""Cells of one to B blocks: the space of Progressive NAS.

State 0 of a cell is the output of the cell before the last, state 1 that of
the last cell, and state 2 + k that of block k (the numbering of DARTS). A
block (I1, I2, O1, O2) applies two operations to two earlier states and adds
the results. One cell serves with stride 1 and with stride 2.

Reference: Liu et al., Progressive Neural Architecture Search, arXiv
  1712.00559, sec. 3.1 and 4.1; tensorflow/models pnasnet.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes
from nas_jax.spaces import progressive_count

OPERATIONS = (
    'sep_conv_3x3', 'sep_conv_5x5', 'sep_conv_7x7', 'conv_1x7_7x1',
    'skip_connect', 'avg_pool_3x3', 'max_pool_3x3', 'dil_conv_3x3')

_CONCATS = ('nodes', 'loose')


class Cell(NamedTuple):
  """A decoded genome."""
  num_blocks: jax.Array  # int32[]
  inputs: jax.Array  # int32[B, 2], states; 0 beyond the last block
  operations: jax.Array  # int32[B, 2]; 0 beyond the last block
  output: jax.Array  # bool[B + 2], states that make up the output


def space(
    operations: Sequence[str] = OPERATIONS,
    *,
    num_blocks: int = 5,
    concat: str = 'nodes',
) -> base.Space:
  """The space of cells of 1 to B blocks; samples are uniform over it.

  A genome holds the number of blocks less one, then for each block input 1,
  input 2, operation 1, operation 2; positions beyond the last block hold 0.
  Nearly all cells have B blocks. A mutation gives one position of an existing
  block, or the number of blocks, another value; new blocks are drawn.

  Args:
    operations: their names, K.
    num_blocks: B.
    concat: the output of a cell is made up of all blocks ('nodes') or of
      those that no block reads ('loose').

  Raises:
    ValueError: an argument out of range; or so many cells that they cannot
      be told apart by 63 bits.

  Note: by the text of the paper the output is that of the unused blocks; the
  released PNASNet-5 has all five in it, which is the default here.
  """
  operations = tuple(operations)
  _check(operations, num_blocks, concat)
  choices = choices_of(operations, num_blocks)
  sizes = discrete.sizes_of(choices)
  plain = discrete.space(choices)
  numbers = [progressive_count.count(len(operations), b).ordered
             for b in range(1, num_blocks + 1)]
  # Of 2^32 random bits, those below threshold b - 1 mean at most b blocks.
  thresholds = np.array([
      (sum(numbers[:b]) << 32) // sum(numbers) for b in range(1, num_blocks)],
                        np.uint32)

  def sample(key: base.Key) -> base.Genome:
    depth_key, key = jax.random.split(key)
    bits = jax.random.bits(depth_key)
    genome = plain.sample(key).at[0].set(
        jnp.sum(bits >= thresholds, dtype=jnp.int32))
    return _cut(genome)

  def mutate(key: base.Key, genome: base.Genome) -> base.Genome:
    new_key, edit_key = jax.random.split(key)
    end = 1 + 4 * (genome[0] + 1)
    filled = jnp.where(
        jnp.arange(len(sizes)) < end, genome, plain.sample(new_key))
    return _cut(discrete.mutate_one(
        edit_key, filled, sizes, [False] * len(sizes), end))

  def decode(genome: base.Genome) -> Cell:
    genome = _cut(genome)
    blocks = genome[1:].reshape(num_blocks, 4)
    exists = np.arange(num_blocks + 2) < genome[0] + 3
    output = exists & (np.arange(num_blocks + 2) > 1)
    if concat == 'loose':
      reads = blocks[:, :2, None] == np.arange(num_blocks + 2)
      output &= ~jnp.any(reads & exists[2:, None, None], axis=(0, 1))
    return Cell(genome[0] + 1, blocks[:, :2], blocks[:, 2:], output)

  def genotype(genome: base.Genome) -> genotypes.Genotype:
    depth, *rest = discrete.check(choices, genome)
    pairs = []
    for k in range(depth + 1):
      input_1, input_2, op_1, op_2 = rest[4 * k:4 * k + 4]
      pairs += (operations[op_1], input_1), (operations[op_2], input_2)
    cell = tuple(pairs), _output(pairs, concat)
    return genotypes.Genotype(*cell, *cell)

  def encode(value: genotypes.Genotype) -> base.Genome:
    value = genotypes.canonical(genotypes.Genotype(*value))
    cell = value.normal, tuple(value.normal_concat)
    if cell != (value.reduce, tuple(value.reduce_concat)):
      raise ValueError('this space has one cell, but the reduce cell differs '
                       'from the normal cell')
    if value.normal_combine:
      raise ValueError('blocks of this space add, but this cell has '
                       f'{value.normal_combine}')
    pairs = value.normal
    if len(pairs) not in range(2, 2 * num_blocks + 1, 2):
      raise ValueError(f'the cell has {len(pairs)} (operation, state) pairs, '
                       f'expected two for each of 1..{num_blocks} blocks')
    expected = _output(pairs, concat)
    if cell[1] != expected:
      raise ValueError(f'normal_concat is {cell[1]}, but in this space the '
                       f'blocks imply {expected}')
    genome = [len(pairs) // 2 - 1] + [0] * (4 * num_blocks)
    for i, (operation, state) in enumerate(pairs):
      if operation not in operations:
        raise ValueError(f'unknown operation {operation!r} in block {i // 2}, '
                         f'expected one of {", ".join(operations)}')
      if state not in range(i // 2 + 2):
        raise ValueError(f'block {i // 2} reads state {state}, expected '
                         f'0..{i // 2 + 1}')
      first = 1 + 4 * (i // 2) + i % 2
      genome[first], genome[first + 2] = state, operations.index(operation)
    return jnp.array(genome, jnp.int32)

  return base.Space(choices, sample, mutate, decode, genotype, encode)


def choices_of(operations: Sequence[str], num_blocks: int) -> discrete.Choices:
  """The values of every position of a genome."""
  found = [tuple(range(1, num_blocks + 1))]
  for k in range(num_blocks):
    states = tuple(range(k + 2))
    found += [states, states, tuple(operations), tuple(operations)]
  return tuple(found)


def _cut(genome: base.Genome) -> base.Genome:
  """The genome with 0 beyond its last block."""
  return jnp.where(
      jnp.arange(genome.shape[0]) < 1 + 4 * (genome[0] + 1), genome, 0)


def _output(pairs, concat: str) -> tuple[int, ...]:
  read = {state for _, state in pairs} if concat == 'loose' else ()
  return tuple(s for s in range(2, len(pairs) // 2 + 2) if s not in read)


def _check(operations, num_blocks, concat) -> None:
  if not operations or len(set(operations)) != len(operations):
    raise ValueError('operations must be different and at least one, got '
                     f'{operations}')
  if num_blocks < 1:
    raise ValueError(f'num_blocks must be at least 1, got {num_blocks}')
  if concat not in _CONCATS:
    raise ValueError(f'unknown concat {concat!r}, expected one of '
                     f'{", ".join(map(repr, _CONCATS))}')
  counts = progressive_count.count(len(operations), num_blocks)
  if counts.ordered >= 2**63:
    raise ValueError(
        f'num_blocks {num_blocks} with {len(operations)} operations make more '
        'than 2^63 cells: choose fewer')
