"""Directed acyclic graphs as bits: which earlier node feeds which later one.

The bits are the columns of the strictly upper triangle of the adjacency
matrix, one after the other: node i has the bits i (i - 1) / 2 up to
i (i + 1) / 2, one for each node before it (`adjvec` of AutoDL Design).

Reference: PaddlePaddle/AutoDL, inception_train/models/inception.py.
"""

from collections.abc import Iterable, Sequence

Edge = tuple[int, int]  # (from, to), from < to


def num_bits(num_nodes: int) -> int:
  """N (N - 1) / 2."""
  return num_nodes * (num_nodes - 1) // 2


def edges(bits: Sequence[int], num_nodes: int) -> tuple[Edge, ...]:
  """The edges whose bit is 1, in the order of the bits.

  Args:
    bits: 0 or 1, `num_bits(num_nodes)` of them.
    num_nodes: N.

  Raises:
    ValueError: too few or too many bits, or another value.
  """
  expected = num_bits(num_nodes)
  if len(bits) != expected:
    raise ValueError(f'{num_nodes} nodes have {expected} adjacency bits, got '
                     f'{len(bits)}')
  for i, bit in enumerate(bits):
    if bit not in (0, 1):
      raise ValueError(f'adjacency bit {i} is {bit!r}, expected 0 or 1')
  pairs = ((j, i) for i in range(num_nodes) for j in range(i))
  return tuple(pair for pair, bit in zip(pairs, bits) if bit)


def bits(pairs: Iterable[Edge], num_nodes: int) -> tuple[int, ...]:
  """The inverse of `edges`; the order of the pairs does not matter.

  Raises:
    ValueError: a pair that is no edge of such a graph.
  """
  found = [0] * num_bits(num_nodes)
  for j, i in pairs:
    if not 0 <= j < i < num_nodes:
      raise ValueError(f'the edge {j} -> {i} does not lead to a later one of '
                       f'the nodes 0..{num_nodes - 1}')
    found[num_bits(i) + j] = 1
  return tuple(found)


def inputs(bits: Sequence[int], num_nodes: int) -> tuple[tuple[int, ...], ...]:
  """For each node the nodes that feed it, in ascending order.

  Raises:
    ValueError: see `edges`.
  """
  found = edges(bits, num_nodes)
  return tuple(tuple(j for j, k in found if k == i) for i in range(num_nodes))


def leaves(bits: Sequence[int], num_nodes: int) -> tuple[int, ...]:
  """The nodes that feed no other, in ascending order.

  Raises:
    ValueError: see `edges`.
  """
  read = {j for j, _ in edges(bits, num_nodes)}
  return tuple(i for i in range(num_nodes) if i not in read)
