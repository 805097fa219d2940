"""How many cells of Progressive NAS there are, exactly.

Reference: Liu et al., Progressive Neural Architecture Search, arXiv
  1712.00559, sec. 3.1 and 4.1; spaces/progressive_cell.py says what a cell is.
"""

from collections.abc import Iterator
import math
from typing import NamedTuple


class Counts(NamedTuple):
  """How many cells of so many blocks there are."""
  ordered: int  # all (I1, I2, O1, O2)
  unordered: int  # with the halves of a block exchangeable
  unique: int  # and the blocks in any order


def count(num_operations: int, num_blocks: int) -> Counts:
  """How many cells there are, exactly; unique ones by Burnside's lemma.

  Relabelling the blocks is an action of the symmetric group on the acyclic
  cells whose blocks have names in any order: the number of its orbits is the
  mean number of cells that a permutation leaves as they are.
  """
  halves = [(k + 2) * num_operations for k in range(num_blocks)]
  total = sum(_num_fixed(cycles, num_operations) * size
              for cycles, size in _cycle_types(num_blocks))
  return Counts(math.prod(h * h for h in halves),
                math.prod(h * (h + 1) // 2 for h in halves),
                total // math.factorial(num_blocks))


def num_candidates(num_operations: int, num_cells: int, num_blocks: int
                   ) -> tuple[int, int]:
  """Cells with one more block: ordered and with exchangeable halves.

  Args:
    num_operations: K.
    num_cells: that are expanded.
    num_blocks: that they will have.
  """
  halves = (num_blocks + 1) * num_operations
  return num_cells * halves**2, num_cells * halves * (halves + 1) // 2


def _cycle_types(n: int) -> Iterator[tuple[tuple[int, ...], int]]:
  """Lengths of the cycles of permutations, and how many have them."""
  def partitions(rest, largest):
    if not rest:
      yield ()
    for part in range(min(rest, largest), 0, -1):
      for others in partitions(rest - part, part):
        yield part, *others

  for cycles in partitions(n, n):
    centralizer = math.prod(
        length**cycles.count(length) * math.factorial(cycles.count(length))
        for length in set(cycles))
    yield cycles, math.factorial(n) // centralizer


def _num_fixed(cycles: tuple[int, ...], num_operations: int) -> int:
  """Acyclic cells that a permutation with such cycles leaves as they are.

  The blocks of one cycle follow from one of them, and none reads another.
  Summed are, with alternating signs, sets of cycles that nobody reads.
  """
  def blocks(length: int, sources: tuple[int, ...]) -> int:
    """Of the first in a cycle, if it may read those cycles and the inputs.

    After `length` steps of the permutation it is the same again: each half
    is, or the two are exchanged.
    """
    kept = num_operations * (2 + sum(c for c in sources if length % c == 0))
    swapped = num_operations * sum(
        c // 2 for c in sources if c == 2 * math.gcd(c, length))
    return kept * (kept + 1) // 2 + swapped

  found = {0: 1}
  for members in range(1, 1 << len(cycles)):
    total, unread = 0, members
    while unread:
      rest = members & ~unread
      sources = tuple(c for i, c in enumerate(cycles) if rest >> i & 1)
      sign = -1 if unread.bit_count() % 2 == 0 else 1
      total += sign * found[rest] * math.prod(
          blocks(c, sources) for i, c in enumerate(cycles) if unread >> i & 1)
      unread = (unread - 1) & members
    found[members] = total
  return found[(1 << len(cycles)) - 1]
