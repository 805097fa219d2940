"""Cells of NAS-Bench-201 and widths of NATS-Bench, and their strings.

A cell has nodes 0 (its input) to 3 (its output) and an operation on each of
the six edges between them; a node is the sum of what reaches it. As a string:
'|op~0|+|op~0|op~1|+|op~0|op~1|op~2|', where 'op~j' reads node j and the groups
are nodes 1, 2, 3.

References:
  Dong, Yang, NAS-Bench-201, arXiv 2001.00326.
  Dong et al., NATS-Bench, arXiv 2009.00437.
"""

from collections.abc import Sequence
import re

# (from, to), in the order of the string and of a genotype.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ('none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3',
              'avg_pool_3x3')
WIDTHS = tuple(range(8, 65, 8))  # of each of five layers in the size space

Cell = tuple[str, ...]  # an operation per edge


def check(cell: Sequence[str]) -> Cell:
  """A cell, given as a sequence of operations.

  Raises:
    ValueError: not six operations; says which.
  """
  if len(cell) != len(EDGES):
    raise ValueError(f'a cell has {len(EDGES)} operations, one per edge, got '
                     f'{len(cell)}: {list(cell)!r}')
  for name, (source, target) in zip(cell, EDGES):
    if name not in OPERATIONS:
      raise ValueError(f'unknown operation {name!r} from node {source} to node '
                       f'{target}, expected one of {", ".join(OPERATIONS)}')
  return tuple(cell)


def parse(text: str) -> Cell:
  """The cell of a string.

  Raises:
    ValueError: not such a string; says what is wrong.
  """
  groups = text.strip().split('+')
  if len(groups) != 3:
    raise ValueError(f'{text!r} has {len(groups)} groups joined by +, expected '
                     'one for each of nodes 1, 2, 3')
  cell = []
  for target, group in enumerate(groups, 1):
    if not re.fullmatch(r'\|([^|]+\|)+', group):
      raise ValueError(f'node {target} is {group!r}, expected |op~0|...|')
    parts = group[1:-1].split('|')
    if len(parts) != target:
      raise ValueError(f'node {target} has {len(parts)} operations, expected '
                       f'{target}: {group!r}')
    for source, part in enumerate(parts):
      name, _, read = part.partition('~')
      if read != str(source):
        raise ValueError(f'operation {source} of node {target} is {part!r}, '
                         f'expected it to end in ~{source}')
      cell.append(name)
  return check(cell)


def to_string(cell: Sequence[str]) -> str:
  """The inverse of `parse`.

  Raises:
    ValueError: see `check`.
  """
  groups = ['', '', '']
  for name, (source, target) in zip(check(cell), EDGES):
    groups[target - 1] += f'|{name}~{source}'
  return '+'.join(group + '|' for group in groups)


def parse_widths(text: str) -> tuple[int, ...]:
  """Five widths of the size space, from '8:8:8:16:32'.

  Raises:
    ValueError: not such a string.
  """
  parts = text.strip().split(':')
  if not all(re.fullmatch('[0-9]+', part) for part in parts):
    raise ValueError(f'{text!r} is not a list of widths joined by :')
  return check_widths(tuple(map(int, parts)))


def check_widths(widths: Sequence[int]) -> tuple[int, ...]:
  """Five widths of the size space.

  Raises:
    ValueError: another number of widths, or one that is not a choice.
  """
  if len(widths) != 5:
    raise ValueError(f'there are five widths, got {len(widths)}: '
                     f'{list(widths)!r}')
  for width in widths:
    if width not in WIDTHS:
      raise ValueError(f'{width!r} is not a width, expected one of '
                       f'{", ".join(map(str, WIDTHS))}')
  return tuple(widths)


def canonical(cell: Sequence[str], zeros: bool = True) -> str:
  """Equal for cells that are equal by simple rules (App. of NAS-Bench-201).

  The order of a sum does not matter and a skip is its source.

  Args:
    cell: an operation per edge.
    zeros: whether also what follows from nothing is nothing.
  """
  nodes = ['0']
  for target in (1, 2, 3):
    terms = []
    for name, (source, to) in zip(cell, EDGES):
      if to != target:
        continue
      if zeros and (name == 'none' or nodes[source] == '#'):
        terms.append('#')
      elif name == 'skip_connect':
        terms.append(nodes[source])
      else:
        terms.append(f'({nodes[source]})@{name}')
    nodes.append('+'.join(sorted(terms)))
  return nodes[-1]


def is_connected(cell: Sequence[str]) -> bool:
  """Whether a path without 'none' leads from the input to the output."""
  reached = {0}
  for name, (source, target) in zip(cell, EDGES):
    if name != 'none' and source in reached:
      reached.add(target)
  return 3 in reached
