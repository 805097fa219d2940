"""Cells as the integers of ENAS' and NAO's scripts.

A node is four numbers: input, operation, input, operation; the normal cell
comes first, then the reduction cell. Inputs are numbered as states here: 0 is
the output of the cell before the last. The output of a cell is made up of the
states that no node reads.

References:
  melodyguan/enas cifar10_micro_final.sh; Luo et al., arXiv 1808.07233, and its
  network in PyTorch.
"""

from collections.abc import Mapping, Sequence

from nas_jax.spaces import genotypes

# Operations by number: ENAS' micro space, NAO with weight sharing, NAO-V2.
ENAS: Mapping[int, str] = dict(enumerate((
    'sep_conv_3x3', 'sep_conv_5x5', 'avg_pool_3x3', 'max_pool_3x3',
    'skip_connect')))
# NAO's own space in its PyTorch code.
NAO: Mapping[int, str] = dict(enumerate((
    'skip_connect', 'conv_1x1', 'conv_3x3', 'conv_1x3_3x1', 'conv_1x7_7x1',
    'max_pool_2x2', 'max_pool_3x3', 'max_pool_5x5', 'avg_pool_2x2',
    'avg_pool_3x3', 'avg_pool_5x5'), 5))

Pairs = Sequence[tuple[str, int]]


def parse(text: str, operations: Mapping[int, str] = ENAS
          ) -> genotypes.Genotype:
  """The cells that a string of integers means.

  Args:
    text: integers with blanks between, four for each node of two cells.
    operations: names by number.

  Raises:
    ValueError: not such a string; says which number.
  """
  numbers = to_integers(text)
  if not numbers or len(numbers) % 8:
    raise ValueError(f'{len(numbers)} numbers, expected 4 for each node of two '
                     'cells of one size')
  half = len(numbers) // 2
  cells = []
  for kind, cell in (('normal', numbers[:half]), ('reduction', numbers[half:])):
    pairs = []
    for i in range(0, half, 2):
      state, op = cell[i:i + 2]
      node = i // 4
      if not 0 <= state < node + 2:
        raise ValueError(f'node {node} of the {kind} cell reads state {state}, '
                         f'expected 0..{node + 1}')
      if op not in operations:
        raise ValueError(
            f'operation {op} in node {node} of the {kind} cell, expected one '
            f'of {", ".join(map(str, operations))}')
      pairs.append((operations[op], state))
    cells += tuple(pairs), loose_ends(pairs)
  return genotypes.Genotype(*cells)


def format(genotype: genotypes.Genotype,
           operations: Mapping[int, str] = ENAS) -> str:
  """The inverse of `parse`.

  Raises:
    ValueError: cells that such a string cannot say.
  """
  ids = {name: i for i, name in operations.items()}
  numbers = []
  for name, state in checked_pairs(genotype, ids):
    numbers += state, ids[name]
  return ' '.join(map(str, numbers))


def loose_ends(pairs: Pairs) -> tuple[int, ...]:
  """The states that no node reads, those of the two inputs among them."""
  read = {state for _, state in pairs}
  return tuple(s for s in range(len(pairs) // 2 + 2) if s not in read)


def checked_pairs(genotype: genotypes.Genotype, names) -> list[tuple[str, int]]:
  """(operation, state) of both cells in turn.

  Args:
    genotype: of the cells.
    names: of the operations that can be said.

  Raises:
    ValueError: another operation, a node that does not add, or an output
      other than the loose ends.
  """
  for kind in ('normal', 'reduce'):
    genotypes.node_combinations(genotype, kind, ('add',))
  normal, normal_concat, reduce, reduce_concat, *_ = genotype
  for kind, pairs, concat in (('normal', normal, normal_concat),
                              ('reduction', reduce, reduce_concat)):
    for name, _ in pairs:
      if name not in names:
        raise ValueError(f'the {kind} cell has {name!r}, expected one of '
                         f'{", ".join(names)}')
    if tuple(sorted(concat)) != loose_ends(pairs):
      raise ValueError(
          f'the output of the {kind} cell is {tuple(concat)}, but the states '
          f'that no node reads are {loose_ends(pairs)}')
  return [*normal, *reduce]


def to_integers(text: str | Sequence[int]) -> list[int]:
  """Integers with blanks between; a sequence of them is taken as it is.

  Raises:
    ValueError: something else in the text.
  """
  if not isinstance(text, str):
    return list(text)
  for word in text.split():
    if not word.isdecimal():
      raise ValueError(f'{word!r} is not a number')
  return [int(word) for word in text.split()]
