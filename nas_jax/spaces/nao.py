"""The cells that NAO searches, and the sequences that its encoder reads.

Two cells of five nodes; a node adds two operations on earlier states, and the
output of a cell is made up of the states that no node reads.

Reference: Luo et al., Neural Architecture Optimization, arXiv 1808.07233; its
  code without weight sharing (60 tokens of 21) and those with weight sharing
  and in PyTorch (40 tokens of 12 for five operations).
"""

from collections.abc import Sequence

import numpy as np

from nas_jax import base
from nas_jax.spaces import arcs
from nas_jax.spaces import cell
from nas_jax.spaces import discrete
from nas_jax.spaces import nao_tokens
from nas_jax.spaces import sequences

# Eleven of NAO itself; five of ENAS, of NAO with weight sharing.
OPERATIONS: tuple[str, ...] = tuple(arcs.NAO.values())
WS_OPERATIONS: tuple[str, ...] = tuple(arcs.ENAS.values())


def space(operations: Sequence[str] = OPERATIONS, *, num_nodes: int = 5
          ) -> base.Space:
  """The space of pairs of cells.

  A genome holds, for each cell and each node, input a, operation a, input b,
  operation b, as the strings of integers of NAO's scripts do: all are uniform
  in a sample. A mutation is AmoebaNet's: NAO has none.

  Args:
    operations: their names.
    num_nodes: per cell.

  Raises:
    ValueError: an argument out of range.
  """
  cells = cell.space(tuple(operations), num_nodes=num_nodes)
  # From (input a, input b, operation a, operation b) and back.
  order = np.array([4 * n + i for n in range(2 * num_nodes)
                    for i in (0, 2, 1, 3)])
  choices = tuple(cells.choices[i] for i in order)

  def genotype(genome: base.Genome) -> base.Genotype:
    return cells.genotype(np.array(discrete.check(choices, genome))[order])

  return base.Space(
      choices,
      sample=lambda key: cells.sample(key)[order],
      mutate=lambda key, genome: cells.mutate(key, genome[order])[order],
      decode=lambda genome: cells.decode(genome[order]),
      genotype=genotype,
      encode=lambda value: cells.encode(value)[order])


def short_code(space_: base.Space) -> sequences.Code:
  """Two tokens per operation: its input and its number.

  Args:
    space_: from `space`.
  """
  return sequences.of_space(space_, _swaps(space_))


def long_code(space_: base.Space) -> sequences.Code:
  """Three tokens per operation: its input, its type, its size.

  The size is one that, with the type before it, is an operation of the space.

  Args:
    space_: from `space`.

  Raises:
    ValueError: an operation without type and size, more than six inputs.
  """
  pairs = {name: pair for pair, name in nao_tokens.OPERATIONS.items()}
  first_type = min(nao_tokens.TYPES)
  choices = []
  for values in space_.choices:
    if not isinstance(values[0], str):
      if max(values) + 1 >= first_type:
        raise ValueError(f'there is no token for input {max(values)}: at most '
                         'five nodes can be written')
      choices.append([(state + 1,) for state in values])
      continue
    for name in values:
      if name not in pairs:
        raise ValueError(f'{name!r} has no type and size, expected some of '
                         f'{", ".join(pairs)}')
    choices.append([pairs[name] for name in values])
  return sequences.code(choices, nao_tokens.VOCABULARY, _swaps(space_))


def _swaps(space_: base.Space) -> np.ndarray:
  """Orders that exchange the operations of a node, [2, nodes, L]."""
  length = len(space_.choices)
  orders = np.tile(np.arange(length), (length // 4, 1))
  for node, order in enumerate(orders):
    order[4 * node:4 * node + 4] = 4 * node + np.array([2, 3, 0, 1])
  return orders.reshape(2, -1, length)
