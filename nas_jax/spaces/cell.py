"""Cells of pairwise combinations: the space of NASNet and AmoebaNet.

State 0 of a cell is the output of the cell before the last, state 1 that of
the last cell, and state 2 + n that of node n (the numbering of DARTS). A node
adds two operations, each on an earlier state.

References:
  Zoph et al., arXiv 1707.07012, sec. 3.
  Real et al., arXiv 1802.01548, sec. 3.1 and 3.2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes

Genotype = genotypes.Genotype

# Zoph et al., sec. 3.
NASNET_OPERATIONS = (
    'skip_connect', 'conv_1x3_3x1', 'conv_1x7_7x1', 'dil_conv_3x3',
    'avg_pool_3x3', 'max_pool_3x3', 'max_pool_5x5', 'max_pool_7x7',
    'conv_1x1', 'conv_3x3', 'sep_conv_3x3', 'sep_conv_5x5', 'sep_conv_7x7')
# Real et al., the space of the main experiments (SP-I).
AMOEBANET_OPERATIONS = (
    'skip_connect', 'sep_conv_3x3', 'sep_conv_5x5', 'sep_conv_7x7',
    'avg_pool_3x3', 'max_pool_3x3', 'dil_sep_conv_3x3', 'conv_1x7_7x1')

_CELL_TYPES = (('normal', 'reduce'), ('normal',))
_PER_NODE = 4  # input a, input b, operation a, operation b


class Cells(NamedTuple):
  """A decoded genome."""
  inputs: jax.Array  # int32[T, N, 2], states
  operations: jax.Array  # int32[T, N, 2]
  loose: jax.Array  # bool[T, N + 2], states that make up the output


def space(
    operations: tuple[str, ...],
    *,
    num_nodes: int = 5,
    cell_types: tuple[str, ...] = ('normal', 'reduce'),
    concat: str = 'loose',
    loose_inputs: bool = True,
    op_mutation: str = 'any',
) -> base.Space:
  """The space of one or two cells.

  A genome holds, for each cell and each node, input a, input b, operation a
  and operation b. A mutation changes one of them: with equal chances it is
  the paper's hidden-state mutation, to another state, or its op mutation.

  Args:
    operations: their names, K.
    num_nodes: N, nodes per cell.
    cell_types: ('normal', 'reduce'), or ('normal',), where the genotype has
      the normal cell for a reduction cell too.
    concat: the output of a cell is made up of the states that no node reads
      ('loose') or of all nodes ('nodes', as in DARTS).
    loose_inputs: whether unread states 0 and 1 belong to a loose output too,
      as in the published code of NASNet and AmoebaNet; False takes unread
      nodes only, which is how Zoph et al., sec. 3, describe it.
    op_mutation: 'any' draws from all operations, so that one in K mutations
      changes nothing; 'other' draws from the others only.

  Raises:
    ValueError: an argument that is none of these.
  """
  operations = tuple(operations)
  if num_nodes < 1:
    raise ValueError(f'num_nodes must be at least 1, got {num_nodes}')
  _check_option('cell_types', tuple(cell_types), _CELL_TYPES)
  _check_option('concat', concat, ('loose', 'nodes'))
  _check_option('op_mutation', op_mutation, ('any', 'other'))
  num_types = len(cell_types)
  choices = []
  for k in range(num_nodes):
    states = tuple(range(k + 2))
    choices += [states, states, operations, operations]
  op_positions = [False, False, True, True] * num_nodes * num_types
  shape = (num_types, num_nodes, _PER_NODE)

  def decode(genome: base.Genome) -> Cells:
    fields = genome.reshape(shape)
    inputs, ops = fields[..., :2], fields[..., 2:]
    return Cells(inputs, ops, outputs(inputs))

  def outputs(inputs: jax.Array) -> jax.Array:
    is_node = np.arange(num_nodes + 2) > 1
    if concat == 'nodes':
      return jnp.broadcast_to(is_node, (num_types, num_nodes + 2))
    read = jnp.any(
        inputs[..., None] == np.arange(num_nodes + 2), axis=(1, 2))
    return ~read if loose_inputs else ~read & is_node

  def output_states(pairs: list[tuple[str, int]]) -> tuple[int, ...]:
    """The same as `outputs`, of one cell on the host."""
    read = {state for _, state in pairs} if concat == 'loose' else ()
    first = 0 if concat == 'loose' and loose_inputs else 2
    return tuple(s for s in range(first, num_nodes + 2) if s not in read)

  def genotype(genome: base.Genome) -> Genotype:
    fields = np.reshape(discrete.check(space_.choices, genome), shape)
    cells = []
    for nodes in fields.tolist():
      pairs = []
      for input_a, input_b, op_a, op_b in nodes:
        pairs += (operations[op_a], input_a), (operations[op_b], input_b)
      cells += tuple(pairs), output_states(pairs)
    return Genotype(*(cells if num_types == 2 else cells * 2))

  def encode(value: Genotype) -> base.Genome:
    if len(value) != len(Genotype._fields):
      raise ValueError(f'a genotype is ({", ".join(Genotype._fields)}), got '
                       f'{value!r}')
    if num_types == 1 and value[2:] != value[:2]:
      raise ValueError('this space has one cell type, but the reduce cell '
                       'differs from the normal cell')
    genome = []
    for i, name in enumerate(cell_types):
      pairs, states = value[2 * i], tuple(value[2 * i + 1])
      genome += _encode_cell(name, pairs, num_nodes, operations)
      expected = output_states(pairs)
      if states != expected:
        raise ValueError(f'{name}_concat is {states}, but in this space the '
                         f'nodes imply {expected}')
    return jnp.array(genome, jnp.int32)

  space_ = discrete.space(
      choices * num_types, decode=decode,
      same_allowed=[op and op_mutation == 'any' for op in op_positions])
  return space_._replace(genotype=genotype, encode=encode)


def _encode_cell(name, pairs, num_nodes, operations) -> list[int]:
  if len(pairs) != 2 * num_nodes:
    raise ValueError(f'the {name} cell has {len(pairs)} (operation, state) '
                     f'pairs, expected {2 * num_nodes}: two for each of '
                     f'{num_nodes} nodes')
  for i, (operation, state) in enumerate(pairs):
    k = i // 2
    if operation not in operations:
      raise ValueError(f'unknown operation {operation!r} in node {k} of the '
                       f'{name} cell, expected one of {", ".join(operations)}')
    if state not in range(k + 2):
      raise ValueError(f'node {k} of the {name} cell reads state {state}, '
                       f'expected 0..{k + 1}')
  genome = []
  for (op_a, input_a), (op_b, input_b) in zip(pairs[::2], pairs[1::2]):
    genome += [input_a, input_b, operations.index(op_a),
               operations.index(op_b)]
  return genome


def _check_option(name, value, allowed) -> None:
  if value not in allowed:
    raise ValueError(f'unknown {name} {value!r}, expected one of '
                     f'{", ".join(map(repr, allowed))}')
