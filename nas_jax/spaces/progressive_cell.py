"""Cells of one to B blocks: the space of Progressive NAS.

State 0 of a cell is the output of the cell before the last, state 1 that of
the last cell, and state 2 + k that of block k (the numbering of DARTS). A
block (I1, I2, O1, O2) applies two operations to two earlier states and adds
the results. One cell serves with stride 1 and with stride 2.

Two cells are the same where the halves of blocks are exchanged and the blocks
relabelled. `canonical` names each once, `progressive_count` says how many there are.

Reference: Liu et al., Progressive Neural Architecture Search, arXiv
  1712.00559, sec. 3.1 and 4.1; tensorflow/models pnasnet.py.
"""

from collections.abc import Iterator, Sequence
import itertools
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
_CHUNK = 1 << 18  # cells that are put into canonical form together


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


def canonical(genomes: np.ndarray, num_operations: int) -> np.ndarray:
  """One genome for all that are the same cell, int32[n, L].

  Args:
    genomes: int32[n, L], of any numbers of blocks.
    num_operations: K.
  """
  genomes = np.asarray(genomes, np.int32)
  found = np.zeros(genomes.shape, np.int32)
  for depth in np.unique(genomes[:, 0]):
    rows = np.flatnonzero(genomes[:, 0] == depth)
    blocks = genomes[rows, 1:].reshape(len(rows), -1, 4)[:, :depth + 1]
    found[rows] = _genomes(_keys(blocks, num_operations), depth + 1,
                           num_operations, genomes.shape[1])
  return found


def first(num_operations: int, num_blocks: int) -> np.ndarray:
  """All different cells of one block, int32[n, 1 + 4 B]."""
  blocks = _all_blocks(0, num_operations)[:, None]
  return _genomes(np.unique(_keys(blocks, num_operations)), 1, num_operations,
                  1 + 4 * num_blocks)


def expand(genomes: np.ndarray, num_operations: int) -> np.ndarray:
  """All different cells with one block more, int32[m, L].

  Args:
    genomes: int32[n, L], all of the same number of blocks.
    num_operations: K.
  """
  genomes = np.asarray(genomes, np.int32)
  depth, length = int(genomes[0, 0]) + 1, genomes.shape[1]
  old = genomes[:, 1:].reshape(len(genomes), -1, 4)[:, :depth]
  new = _all_blocks(depth, num_operations)
  keys = []
  step = max(1, _CHUNK // len(new))
  for i in range(0, len(old), step):
    part = old[i:i + step]
    blocks = np.concatenate([
        np.repeat(part, len(new), axis=0),
        np.tile(new, (len(part), 1))[:, None]], axis=1)
    keys.append(np.unique(_keys(blocks, num_operations)))
  return _genomes(np.unique(np.concatenate(keys)), depth + 1, num_operations,
                  length)


def _cut(genome: base.Genome) -> base.Genome:
  """The genome with 0 beyond its last block."""
  return jnp.where(
      jnp.arange(genome.shape[0]) < 1 + 4 * (genome[0] + 1), genome, 0)


def _output(pairs, concat: str) -> tuple[int, ...]:
  read = {state for _, state in pairs} if concat == 'loose' else ()
  return tuple(s for s in range(2, len(pairs) // 2 + 2) if s not in read)


def _all_blocks(num_earlier: int, num_operations: int) -> np.ndarray:
  """Blocks after so many others, halves in order, int32[m, 4]."""
  halves = np.arange((num_earlier + 2) * num_operations)
  first_, second = np.triu_indices(len(halves))
  return np.stack([
      first_ // num_operations, second // num_operations,
      first_ % num_operations, second % num_operations], 1).astype(np.int32)


def _keys(blocks: np.ndarray, num_operations: int) -> np.ndarray:
  """A number for each cell, equal for the same cells: int32[n, b, 4] -> int64.

  Blocks are put in order one at a time: of those whose inputs are in place,
  the one with the smallest halves comes next. Only blocks that are equal can
  tie; where another block reads one of them, every order of theirs is tried,
  and the smallest key counts.
  """
  n, b, _ = blocks.shape
  halves = np.sort(blocks[..., :2].astype(np.int32) * num_operations
                   + blocks[..., 2:], axis=-1)
  inputs, ops = halves // num_operations, halves % num_operations
  same = (halves[:, :, None] == halves[:, None]).all(-1)
  group = np.argmax(same, axis=2)  # the first block that is equal
  twin = same.sum(axis=2) > 1
  read = (inputs[:, None] == np.arange(b)[:, None, None] + 2).any((2, 3))
  hard = (twin & read).any(axis=1)
  keys = np.empty(n, np.int64)
  easy = np.flatnonzero(~hard)
  keys[easy] = _greedy(inputs[easy], ops[easy], num_operations,
                       np.arange(b, dtype=np.int32))
  hard = np.flatnonzero(hard)
  patterns, which = np.unique(group[hard], axis=0, return_inverse=True)
  for i, pattern in enumerate(patterns):
    rows = hard[which.ravel() == i]
    keys[rows] = np.min([
        _greedy(inputs[rows], ops[rows], num_operations, priority)
        for priority in _orders(pattern)], axis=0)
  return keys


def _greedy(inputs, ops, num_operations, priority) -> np.ndarray:
  """Keys of cells whose equal blocks have this order."""
  n, b, _ = inputs.shape
  rows, never = np.arange(n), np.int32(b + 2)
  labels = np.full((n, b + 2), never)
  labels[:, :2] = 0, 1
  placed = np.zeros((n, b), bool)
  flat, keys = inputs.reshape(n, 2 * b), np.zeros(n, np.int64)
  base_ = int(never + 1) * num_operations
  for k in range(b):
    halves = (np.take_along_axis(labels, flat, 1).reshape(inputs.shape)
              * num_operations + ops)
    low, high = halves.min(-1), halves.max(-1)
    rank = (low * base_ + high) * b + priority
    rank[placed | (high >= never * num_operations)] = np.iinfo(np.int32).max
    chosen = np.argmin(rank, axis=1)
    placed[rows, chosen] = True
    labels[rows, chosen + 2] = k + 2
    size = (k + 2) * num_operations
    keys = (keys * size + low[rows, chosen]) * size + high[rows, chosen]
  return keys


def _orders(group: Sequence[int]) -> Iterator[np.ndarray]:
  """All priorities of blocks that differ in the order of equal ones."""
  members = [np.flatnonzero(group == g) for g in np.unique(group)]
  for orders in itertools.product(*map(itertools.permutations, members)):
    priority = np.empty(len(group), np.int32)
    for places, order in zip(members, orders):
      priority[list(order)] = places
    yield priority


def _genomes(keys, num_blocks, num_operations, length) -> np.ndarray:
  """The cells of keys, int32[n, L]."""
  genomes = np.zeros((len(keys), length), np.int32)
  genomes[:, 0] = num_blocks - 1
  for k in reversed(range(num_blocks)):
    for side in (1, 0):
      keys, half = np.divmod(keys, (k + 2) * num_operations)
      genomes[:, 1 + 4 * k + side] = half // num_operations
      genomes[:, 3 + 4 * k + side] = half % num_operations
  return genomes


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
