"""Which cells of Progressive NAS are the same, and what they grow into.

Two cells are the same where the halves of blocks are exchanged and the blocks
relabelled. A canonical genome names each once; spaces/progressive_cell.py says
what genomes are, spaces/progressive_count.py how many there are.
"""

from collections.abc import Iterator, Sequence
import itertools

import numpy as np

_CHUNK = 1 << 18  # cells that are put into canonical form together


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
  genomes = np.unique(canonical(genomes, num_operations), axis=0)
  depth, length = int(genomes[0, 0]) + 1, genomes.shape[1]
  old = genomes[:, 1:].reshape(len(genomes), -1, 4)[:, :depth]
  new = _all_blocks(depth, num_operations)
  keys = []
  step = max(1, _CHUNK // len(new))
  for i in range(0, len(old), step):
    part = old[i:i + step]
    found, ties = _inserted(part, new, num_operations)
    cells, blocks = np.nonzero(ties)
    found[ties] = _keys(np.concatenate(
        [part[cells], new[blocks][:, None]], axis=1), num_operations)
    keys.append(np.unique(found))
  return _genomes(np.unique(np.concatenate(keys)), depth + 1, num_operations,
                  length)


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


def _inserted(cells: np.ndarray, new: np.ndarray, num_operations: int
              ) -> tuple[np.ndarray, np.ndarray]:
  """Keys of canonical cells with one block more, and where they do not hold.

  Nobody reads the new block, so that the others keep their order: it comes
  before the first one that is larger, but after those that it reads. What
  follows it is relabelled. Where equal blocks can tie, that may not be so.

  Args:
    cells: int32[n, b, 4].
    new: int32[m, 4], halves in order.
    num_operations: K.

  Returns:
    int64[n, m]; bool[n, m], where `_keys` must be asked.
  """
  n, b, _ = cells.shape
  inputs = cells[..., :2].astype(np.int64)
  halves = inputs * num_operations + cells[..., 2:]  # [n, b, 2]
  code = new[:, :2].astype(np.int64) * num_operations + new[:, 2:]  # [m, 2]
  sizes = (np.arange(b + 1) + 2) * num_operations
  larger = np.zeros((n, len(new), b), bool)
  equal = np.zeros((n, len(new), b), bool)
  for k in range(b):
    low, high = halves[:, k, :1], halves[:, k, 1:]
    equal[..., k] = (low == code[:, 0]) & (high == code[:, 1])
    larger[..., k] = (code[:, 0] < low) | (
        (code[:, 0] == low) & (code[:, 1] < high))
    larger[..., k] &= new[:, :2].max(1) < k + 2
  place = np.where(larger.any(-1), larger.argmax(-1), b)
  # By place: what comes before, and after it with labels moved up.
  before = np.zeros((n, b + 1), np.int64)
  after = np.zeros((n, b + 1), np.int64)
  for j in range(b + 1):
    for k in range(b):
      moved = halves[:, k] + num_operations * (inputs[:, k] >= j + 2)
      target, size = (before, sizes[k]) if k < j else (after, sizes[k + 1])
      target[:, j] = (target[:, j] * size + moved[:, 0]) * size + moved[:, 1]
  rest = np.array([np.prod(sizes[j + 1:]**2) for j in range(b + 1)])
  rows = np.arange(n)[:, None]
  size = sizes[place]
  keys = (before[rows, place] * size + code[:, 0]) * size + code[:, 1]
  keys = keys * rest[place] + after[rows, place]
  states = np.arange(b) + 2
  twin = (halves[:, :, None] == halves[:, None]).all(-1).sum(-1) > 1  # [n, b]
  read = (inputs[:, :, :, None] == states).any((1, 2))  # [n, b]
  reads = (new[:, :2, None] == states).any(1)  # [m, b]
  ties = (twin & read).any(1)[:, None] | (twin[:, None] & reads).any(-1) | (
      equal & read[:, None]).any(-1)
  return keys, ties


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
