"""Cells of pairwise combinations: the space of NASNet and AmoebaNet.

State 0 of a cell is the output of the cell before the last, state 1 that of
the last cell, and state 2 + n that of node n (the numbering of DARTS). A node
has two operations, each on an earlier state, and adds their results or, where
the space lets it choose, concatenates them.

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
_COMBINATIONS = (('add',), genotypes.COMBINATIONS)


class Cells(NamedTuple):
  """A decoded genome."""
  inputs: jax.Array  # int32[T, N, 2], states
  operations: jax.Array  # int32[T, N, 2]
  loose: jax.Array  # bool[T, N + 2], states that make up the output
  combinations: jax.Array  # int32[T, N], 0 where a node adds


def space(
    operations: tuple[str, ...],
    *,
    num_nodes: int = 5,
    cell_types: tuple[str, ...] = ('normal', 'reduce'),
    concat: str = 'loose',
    loose_inputs: bool = True,
    op_mutation: str = 'any',
    combinations: tuple[str, ...] = ('add',),
) -> base.Space:
  """The space of one or two cells.

  A genome holds, for each cell and each node, input a, input b, operation a,
  operation b and, if there is a choice, the combination: the five decisions
  of NASNet in their order. A mutation changes one of them, each as likely as
  any other. Without combinations it is, with equal chances, the hidden-state
  mutation of AmoebaNet, to another state, or its op mutation; with them one
  mutation in five is of a combination, always to the other one.

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
    combinations: of the two operations of a node: ('add',) as in AmoebaNet's
      space, or ('add', 'concat') as in NASNet's.

  Raises:
    ValueError: an argument that is none of these.
  """
  operations = tuple(operations)
  if num_nodes < 1:
    raise ValueError(f'num_nodes must be at least 1, got {num_nodes}')
  _check_option('cell_types', tuple(cell_types), _CELL_TYPES)
  _check_option('concat', concat, ('loose', 'nodes'))
  _check_option('op_mutation', op_mutation, ('any', 'other'))
  combinations = tuple(combinations)
  _check_option('combinations', combinations, _COMBINATIONS)
  num_types = len(cell_types)
  choices = []
  combined = [combinations] if len(combinations) > 1 else []
  for k in range(num_nodes):
    states = tuple(range(k + 2))
    choices += [states, states, operations, operations, *combined]
  op_positions = ([False, False, True, True, *([False] * len(combined))]
                  * num_nodes * num_types)
  shape = (num_types, num_nodes, 4 + len(combined))

  def decode(genome: base.Genome) -> Cells:
    fields = genome.reshape(shape)
    inputs, ops = fields[..., :2], fields[..., 2:4]
    chosen = fields[..., 4] if combined else jnp.zeros(shape[:2], jnp.int32)
    return Cells(inputs, ops, outputs(inputs), chosen)

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
    cells, combine = [], []
    for nodes in fields.tolist():
      pairs = []
      for input_a, input_b, op_a, op_b, *_ in nodes:
        pairs += (operations[op_a], input_a), (operations[op_b], input_b)
      cells += tuple(pairs), output_states(pairs)
      combine.append(tuple(
          combinations[node[4]] for node in nodes if combined))
    if num_types == 1:
      cells, combine = cells * 2, combine * 2
    return genotypes.canonical(Genotype(*cells, *combine))

  def encode(value: Genotype) -> base.Genome:
    if len(value) not in (4, len(Genotype._fields)):
      raise ValueError(f'a genotype is ({", ".join(Genotype._fields)}), got '
                       f'{value!r}')
    value = Genotype(*value)
    if num_types == 1 and (value.normal, value.normal_concat,
                           value.normal_combine) != (
                               value.reduce, value.reduce_concat,
                               value.reduce_combine):
      raise ValueError('this space has one cell type, but the reduce cell '
                       'differs from the normal cell')
    genome = []
    for i, name in enumerate(cell_types):
      pairs, states = value[2 * i], tuple(value[2 * i + 1])
      nodes = _encode_cell(name, pairs, num_nodes, operations)
      chosen = genotypes.node_combinations(value, name, combinations)
      for node, combination in zip(nodes, chosen):
        genome += node + [combinations.index(combination)] * len(combined)
      expected = output_states(pairs)
      if states != expected:
        raise ValueError(f'{name}_concat is {states}, but in this space the '
                         f'nodes imply {expected}')
    return jnp.array(genome, jnp.int32)

  space_ = discrete.space(
      choices * num_types, decode=decode,
      same_allowed=[op and op_mutation == 'any' for op in op_positions])
  return space_._replace(genotype=genotype, encode=encode)


def _encode_cell(name, pairs, num_nodes, operations) -> list[list[int]]:
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
  return [[input_a, input_b, operations.index(op_a), operations.index(op_b)]
          for (op_a, input_a), (op_b, input_b) in zip(pairs[::2], pairs[1::2])]


def _check_option(name, value, allowed) -> None:
  if value not in allowed:
    raise ValueError(f'unknown {name} {value!r}, expected one of '
                     f'{", ".join(map(repr, allowed))}')
