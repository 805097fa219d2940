"""Cells as the token sequences that NAO's encoder reads and decoder writes.

Two cells, the normal one first. An input is token 1 + state: 1 is the output
of the cell before the last, 2 of the last cell, 3 the first node. 0 starts a
sequence and is not part of it.

Reference: Luo et al., arXiv 1808.07233, sec. 3.2; the codes of NAO (60 tokens:
input, type, size for each of two branches of five nodes) and of NAO-WS
(40 tokens: input, operation).
"""

from collections.abc import Mapping, Sequence

from nas_jax.spaces import arcs
from nas_jax.spaces import genotypes

TYPES: Mapping[int, str] = {
    7: 'identity', 8: 'sep_conv', 9: 'conv', 10: 'dil_sep_conv',
    11: 'avg_pool', 12: 'max_pool', 13: 'min_pool'}
SIZES: Mapping[int, str] = {
    14: '1x1', 15: '2x2', 16: '3x3', 17: '5x5', 18: '7x7', 19: '1x3_3x1',
    20: '1x7_7x1'}
VOCABULARY = 21
WS_OPERATIONS: Mapping[int, str] = {
    7 + i: name for i, name in arcs.ENAS.items()}
WS_VOCABULARY = 12

_SIZES_OF = {
    'identity': ('1x1',), 'sep_conv': ('3x3', '5x5', '7x7'),
    'conv': ('1x1', '3x3', '5x5', '7x7', '1x3_3x1', '1x7_7x1'),
    'dil_sep_conv': ('3x3', '5x5', '7x7')}
_POOL_SIZES = ('2x2', '3x3', '5x5', '7x7')
# (type, size) -> the name of the operation; other pairs mean nothing.
OPERATIONS: Mapping[tuple[int, int], str] = {
    (t, s): 'skip_connect' if kind == 'identity' else f'{kind}_{size}'
    for t, kind in TYPES.items() for s, size in SIZES.items()
    if size in _SIZES_OF.get(kind, _POOL_SIZES)}


def parse(tokens: str | Sequence[int]) -> genotypes.Genotype:
  """The cells that tokens of vocabulary 21 mean, six for each node.

  Raises:
    ValueError: tokens that mean no cells; says which.
  """
  return _parse(tokens, 3, OPERATIONS)


def tokens(genotype: genotypes.Genotype) -> tuple[int, ...]:
  """The inverse of `parse`.

  Raises:
    ValueError: cells that cannot be said.
  """
  return _tokens(genotype, {name: pair for pair, name in OPERATIONS.items()})


def parse_ws(tokens: str | Sequence[int]) -> genotypes.Genotype:
  """The cells that tokens of vocabulary 12 mean, four for each node.

  Raises:
    ValueError: tokens that mean no cells; says which.
  """
  return _parse(tokens, 2, {(i,): name for i, name in WS_OPERATIONS.items()})


def tokens_ws(genotype: genotypes.Genotype) -> tuple[int, ...]:
  """The inverse of `parse_ws`.

  Raises:
    ValueError: cells that cannot be said.
  """
  return _tokens(genotype, {name: (i,) for i, name in WS_OPERATIONS.items()})


def _parse(tokens, length: int, operations) -> genotypes.Genotype:
  numbers = arcs.to_integers(tokens)
  if not numbers or len(numbers) % (4 * length):
    raise ValueError(f'{len(numbers)} tokens, expected {2 * length} for each '
                     'node of two cells of one size')
  half = len(numbers) // 2
  cells = []
  for start in (0, half):
    pairs = []
    for i in range(start, start + half, length):
      first, *rest = numbers[i:i + length]
      node = (i - start) // (2 * length)
      if not 1 <= first <= node + 2:
        raise ValueError(f'token {i} is {first}, expected an input 1..'
                         f'{node + 2}')
      if tuple(rest) not in operations:
        raise ValueError(f'tokens {i + 1}.. are {rest}, which is no operation')
      pairs.append((operations[tuple(rest)], first - 1))
    cells += tuple(pairs), arcs.loose_ends(pairs)
  return genotypes.Genotype(*cells)


def _tokens(genotype, codes) -> tuple[int, ...]:
  return tuple(
      token for name, state in arcs.checked_pairs(genotype, codes)
      for token in (state + 1, *codes[name]))
