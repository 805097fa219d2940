"""Cells of AutoDL Design: operations and an adjacency vector.

A cell is (tokens, bits): N operations as numbers 0..9, and the N (N - 1) / 2
bits of adjacency.py. A genotype is (normal cell, reduction cell).

Reference: PaddlePaddle/AutoDL, inception_train/models/inception.py.
"""

from collections.abc import Sequence

from nas_jax.spaces import adjacency

Cell = tuple[tuple[int, ...], tuple[int, ...]]
Code = tuple[Cell, Cell]

OPERATIONS = (
    'conv_1x1', 'conv_3x3', 'conv_5x5', 'dil_conv_3x3', 'conv_1x3_3x1',
    'conv_1x5_5x1', 'max_pool_3x3', 'max_pool_5x5', 'avg_pool_3x3',
    'avg_pool_5x5')


def check(code: Code) -> None:
  """Looks for what cannot be built.

  Raises:
    ValueError: not such a tuple; says which cell is wrong.
  """
  if not (isinstance(code, tuple) and len(code) == 2):
    raise ValueError(f'expected (normal cell, reduction cell), got {code!r}')
  for name, cell in zip(('normal', 'reduction'), code):
    if not (isinstance(cell, tuple) and len(cell) == 2):
      raise ValueError(f'the {name} cell is {cell!r}, expected (tokens, bits)')
    tokens, bits = cell
    if not tokens:
      raise ValueError(f'the {name} cell has no node')
    for i, token in enumerate(tokens):
      if token not in range(len(OPERATIONS)):
        raise ValueError(f'node {i} of the {name} cell has token {token!r}, '
                         f'expected 0..{len(OPERATIONS) - 1}')
    try:
      adjacency.edges(bits, len(tokens))
    except ValueError as e:
      raise ValueError(f'{name} cell: {e}') from e


def split(tokens: Sequence[int], bits: Sequence[int]) -> Code:
  """Cells from what the agent emits: normal first, reduction second.

  Args:
    tokens: 2 N operations.
    bits: N (N - 1) bits.

  Raises:
    ValueError: odd numbers, or see `check`.
  """
  if len(tokens) % 2 or len(bits) % 2:
    raise ValueError(f'{len(tokens)} tokens and {len(bits)} bits do not make '
                     'two cells of equal size')
  n, e = len(tokens) // 2, len(bits) // 2
  code = ((tuple(tokens[:n]), tuple(bits[:e])),
          (tuple(tokens[n:]), tuple(bits[e:])))
  check(code)
  return code
