"""Cells of operations and adjacency bits: the space of AutoDL Design.

A genome holds the N operations of the normal cell, the N of the reduction
cell, and the N (N - 1) / 2 bits of each (their order: adjacency.py).

Reference: PaddlePaddle/AutoDL, AutoDL Design.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import adjacency
from nas_jax.spaces import discrete
from nas_jax.spaces import token_code


class Cells(NamedTuple):
  """A decoded genome: the normal cell, then the reduction cell."""
  tokens: jax.Array  # int32[2, N], numbers of token_code.OPERATIONS
  edges: jax.Array  # bool[2, N, N], [j, i] where node j feeds node i
  leaves: jax.Array  # bool[2, N], nodes that feed no other


def space(
    *,
    num_nodes: int = 10,
    operations: Sequence[str] = token_code.OPERATIONS,
) -> base.Space:
  """The space of two such cells; any combination is legal.

  Args:
    num_nodes: N, of each cell.
    operations: which of token_code.OPERATIONS to search; a token keeps its
      number there.

  Raises:
    ValueError: no node, or an unknown operation.
  """
  if num_nodes < 1:
    raise ValueError(f'num_nodes must be at least 1, got {num_nodes}')
  for name in operations:
    if name not in token_code.OPERATIONS:
      raise ValueError(f'unknown operation {name!r}, expected one of '
                       f'{", ".join(token_code.OPERATIONS)}')
  n, e = num_nodes, adjacency.num_bits(num_nodes)
  ids = tuple(map(token_code.OPERATIONS.index, operations))
  columns, rows = np.tril_indices(n, -1)  # In the order of the bits.

  def decode(genome: base.Genome) -> Cells:
    tokens = jnp.array(ids, jnp.int32)[genome[:2 * n].reshape(2, n)]
    bits = genome[2 * n:].reshape(2, e) == 1
    edges = jnp.zeros((2, n, n), bool).at[:, rows, columns].set(bits)
    return Cells(tokens, edges, ~jnp.any(edges, axis=2))

  plain = discrete.space([ids] * (2 * n) + [(0, 1)] * (2 * e), decode=decode)

  def genotype(genome: base.Genome) -> token_code.Code:
    values = plain.genotype(genome)
    return token_code.split(values[:2 * n], values[2 * n:])

  def encode(code: token_code.Code) -> base.Genome:
    token_code.check(code)
    (tokens, bits), (more_tokens, more_bits) = code
    for found in (tokens, more_tokens):
      if len(found) != n:
        raise ValueError(f'a cell has {len(found)} nodes, expected {n}')
    return plain.encode((*tokens, *more_tokens, *bits, *more_bits))

  return plain._replace(genotype=genotype, encode=encode)
