"""Cells of NAS-Bench-101: a matrix of edges and an operation per vertex.

A cell is a directed acyclic graph of at most 7 vertices, the first its input
and the last its output, and at most 9 edges. Two cells that differ only in
vertices that lead nowhere, or in the numbering of the vertices, compute the
same function; `prune` and `fingerprint` tell.

Reference: Ying et al., NAS-Bench-101, arXiv 1902.09635, sec. 2 and S1;
  google-research/nasbench.
"""

from collections.abc import Iterator, Sequence
import hashlib
import itertools
from typing import NamedTuple

INPUT, OUTPUT = 'input', 'output'
# The order is part of the fingerprint.
OPERATIONS = ('conv3x3-bn-relu', 'conv1x1-bn-relu', 'maxpool3x3')
MAX_VERTICES = 7
MAX_EDGES = 9

Matrix = tuple[tuple[int, ...], ...]


class Cell(NamedTuple):
  """A cell of V vertices, numbered in topological order."""
  matrix: Matrix  # [V][V] of 0 and 1; 1 at [i][j]: an edge from i to j > i
  operations: tuple[str, ...]  # [V], INPUT first, OUTPUT last


def cell(matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> Cell:
  """The pruned cell of the benchmark.

  Args:
    matrix: [V][V], upper triangular.
    operations: [V], 'input', then names of `OPERATIONS`, then 'output'.

  Raises:
    ValueError: not a cell, or not one of the benchmark.
  """
  pruned = prune(*_checked(matrix, operations))
  vertices, edges = len(pruned.operations), sum(map(sum, pruned.matrix))
  if vertices > MAX_VERTICES:
    raise ValueError(f'the cell has {vertices} vertices after pruning, at most '
                     f'{MAX_VERTICES} are allowed')
  if edges > MAX_EDGES:
    raise ValueError(f'the cell has {edges} edges after pruning, at most '
                     f'{MAX_EDGES} are allowed')
  return pruned


def prune(matrix: Matrix, operations: tuple[str, ...]) -> Cell:
  """Without vertices that are on no path from the input to the output.

  Raises:
    ValueError: there is no such path.
  """
  count = len(matrix)
  after, before = {0}, {count - 1}
  for i in range(count):
    if i in after:
      after |= {j for j in range(count) if matrix[i][j]}
  for j in reversed(range(count)):
    if j in before:
      before |= {i for i in range(count) if matrix[i][j]}
  kept = sorted(after & before)
  if count - 1 not in after:
    raise ValueError('no path leads from the input to the output of the cell')
  return Cell(tuple(tuple(matrix[i][j] for j in kept) for i in kept),
              tuple(operations[i] for i in kept))


def fingerprint(found: Cell) -> str:
  """Equal for cells that are equal up to the numbering of their vertices.

  V rounds of hashing every vertex with its neighbours (S1 of the paper), as
  32 hexadecimal digits: the key of the benchmark's records.

  Args:
    found: a pruned cell.
  """
  matrix = found.matrix
  labels = [-1, *map(OPERATIONS.index, found.operations[1:-1]), -2]
  every = range(len(matrix))
  sources = [[i for i in every if matrix[i][j]] for j in every]
  targets = [[j for j in every if matrix[i][j]] for i in every]
  hashes = [_md5(str((len(targets[i]), len(sources[i]), labels[i])))
            for i in every]
  for _ in every:
    hashes = [
        _md5('|'.join((''.join(sorted(hashes[j] for j in sources[i])),
                       ''.join(sorted(hashes[j] for j in targets[i])),
                       hashes[i])))
        for i in every]
  return _md5(str(sorted(hashes)))


def channels(matrix: Matrix, inputs: int, outputs: int) -> tuple[int, ...]:
  """Channels of every vertex.

  The vertices that feed the output share its channels, the first ones taking
  the remainder; any other has as many as the widest vertex that it feeds.

  Args:
    matrix: of a pruned cell of V vertices.
    inputs: channels of the cell's input.
    outputs: channels of the cell's output.

  Returns:
    [V].

  Raises:
    ValueError: fewer output channels than vertices that feed the output.
  """
  count = len(matrix)
  widths = [inputs, *[0] * (count - 2), outputs]
  feeders = [i for i in range(1, count - 1) if matrix[i][-1]]
  if outputs < len(feeders):
    raise ValueError(f'{outputs} channels cannot be shared by {len(feeders)} '
                     'vertices that feed the output')
  for n, i in enumerate(feeders):
    widths[i] = outputs // len(feeders) + (n < outputs % len(feeders))
  for i in reversed(range(1, count - 1)):
    if i not in feeders:
      widths[i] = max(widths[j] for j in range(i + 1, count - 1)
                      if matrix[i][j])
  return tuple(widths)


def matrix_of(bits: int, vertices: int) -> Matrix:
  """The matrix whose edge from x to y > x is bit x + y (y - 1) / 2."""
  return tuple(
      tuple(int(x < y and bits >> (x + y * (y - 1) // 2) & 1)
            for y in range(vertices)) for x in range(vertices))


def is_full(matrix: Matrix) -> bool:
  """Whether pruning keeps every vertex."""
  return all(map(any, matrix[:-1])) and all(
      any(row[j] for row in matrix) for j in range(1, len(matrix)))


def cells(vertices: int) -> Iterator[Cell]:
  """All cells of so many vertices that pruning leaves alone, numbered."""
  for bits in range(2 ** (vertices * (vertices - 1) // 2)):
    if bits.bit_count() > MAX_EDGES:
      continue
    matrix = matrix_of(bits, vertices)
    if is_full(matrix):
      for inner in itertools.product(OPERATIONS, repeat=vertices - 2):
        yield Cell(matrix, (INPUT, *inner, OUTPUT))


def _checked(matrix: Sequence[Sequence[int]], operations: Sequence[str]
             ) -> tuple[Matrix, tuple[str, ...]]:
  matrix = tuple(tuple(int(x) for x in row) for row in matrix)
  operations = tuple(operations)
  count = len(matrix)
  if count < 2 or any(len(row) != count for row in matrix):
    raise ValueError('the matrix has rows of lengths '
                     f'{[len(row) for row in matrix]}, expected a square of at '
                     'least 2 x 2')
  for i, j in itertools.product(range(count), repeat=2):
    if matrix[i][j] not in (0, 1):
      raise ValueError(f'the matrix has {matrix[i][j]} in row {i}, column {j}, '
                       'expected 0 or 1')
    if matrix[i][j] and i >= j:
      raise ValueError(f'the matrix has an edge from vertex {i} to vertex {j}, '
                       'expected it to be upper triangular')
  if len(operations) != count:
    raise ValueError(f'{len(operations)} operations are named for a matrix of '
                     f'{count} vertices')
  for i, name in enumerate(operations):
    expected = (INPUT,) if i == 0 else (
        (OUTPUT,) if i == count - 1 else OPERATIONS)
    if name not in expected:
      raise ValueError(f'vertex {i} is {name!r}, expected '
                       f'{" or ".join(expected)}')
  return matrix, operations


def _md5(text: str) -> str:
  return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
