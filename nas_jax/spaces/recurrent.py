"""Recurrent cells as chains of nodes: the space of ENAS, DARTS and NAO.

Each node reads one earlier state through a highway connection with its own
matrix and activation. State 0 is that of the inputs, s_0 = h + sigmoid(c) *
(tanh(g) - h) for [c, g] = [x, h] W_0; state i is that of node i, counted from
1: s_i = s_p + sigmoid(c) * (f(g) - s_p) for [c, g] = s_p W_i. The new h is the
mean of some of the states.

References:
  ENAS: Pham et al., arXiv 1802.03268, sec. 2.1; google-research/enas_lm.
  DARTS: Liu et al., arXiv 1806.09055, appendix A.1.2; quark0/darts, rnn/.
  NAO: Luo et al., arXiv 1808.07233; renqianluo/NAO.

Note: ENAS' paper averages the nodes that no other reads (`leaves`); the code
  of its corrected language model, DARTS and NAO average all of them.
"""

from collections.abc import Sequence
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from nas_jax import base
from nas_jax.spaces import arcs
from nas_jax.spaces import discrete

# Families of networks around a recurrent cell: of presets and of files.
FAMILIES = ('rnn_chain', 'rnn_tree', 'lstm', 'rhn', 'awd_lstm')
# By the numbers of google-research/enas_lm and of NAO with weight sharing.
ACTIVATIONS = ('tanh', 'relu', 'sigmoid', 'identity')
# By those of NAO without weight sharing.
NAO_ACTIVATIONS = ('tanh', 'relu', 'identity', 'sigmoid')


class Chain(NamedTuple):
  """A cell; plain nested tuples of the same form will do everywhere."""
  nodes: tuple[tuple[str, int], ...]  # (activation, state that is read)
  concat: tuple[int, ...]  # the states whose mean is the new hidden state


class Decoded(NamedTuple):
  """A decoded genome."""
  predecessors: jax.Array  # int32[N], the states that the nodes read
  activations: jax.Array  # int32[N], places in the activations of the space


def chain_space(num_nodes: int = 8, activations: Sequence[str] = ACTIVATIONS
                ) -> base.Space:
  """The space of chains whose output is the mean of all nodes.

  A genome holds, for each node in turn, the state that it reads and its
  activation: the numbers that NAO and ENAS' code write, see `numbers`. Samples
  are uniform; a mutation gives one position another value.

  Args:
    num_nodes: N; DARTS has 8, NAO 11.
    activations: different names out of `ACTIVATIONS`; their order is that of
      the numbers in a genome.

  Raises:
    ValueError: no node, or an unknown activation.
  """
  if num_nodes < 1:
    raise ValueError(f'num_nodes must be at least 1, got {num_nodes}')
  for name in activations:
    _check_activation(name, 'a space of chains')
  activations = tuple(activations)
  concat = tuple(range(1, num_nodes + 1))

  def decode(genome: base.Genome) -> Decoded:
    return Decoded(genome[::2], genome[1::2])

  plain = discrete.space(
      [c for i in range(num_nodes) for c in (range(i + 1), activations)],
      decode=decode)

  def genotype(genome: base.Genome) -> Chain:
    values = plain.genotype(genome)
    return Chain(tuple(zip(values[1::2], values[::2])), concat)

  def encode(value: Any) -> base.Genome:
    chain = check(value)
    if len(chain.nodes) != num_nodes or sorted(chain.concat) != list(concat):
      raise ValueError(
          f'the cell has {len(chain.nodes)} nodes and the mean of '
          f'{chain.concat}, expected the mean of all of {num_nodes}')
    return plain.encode([v for name, state in chain.nodes
                         for v in (state, name)])

  return plain._replace(genotype=genotype, encode=encode)


def size(num_nodes: int, num_activations: int = 4) -> int:
  """The number of chains, K^N N!."""
  return num_activations ** num_nodes * math.factorial(num_nodes)


def check(genotype: Any) -> Chain:
  """The genotype as a `Chain`.

  Raises:
    ValueError: it is none; says which node is wrong.
  """
  if not (isinstance(genotype, tuple) and len(genotype) == 2 and
          all(isinstance(part, tuple) for part in genotype)):
    raise ValueError(f'expected (nodes, concat) of a chain, got {genotype!r}')
  chain = Chain(*genotype)
  if not chain.nodes:
    raise ValueError('the chain has no node')
  for i, node in enumerate(chain.nodes, 1):
    if not (isinstance(node, tuple) and len(node) == 2):
      raise ValueError(f'node {i} is {node!r}, expected (activation, state)')
    name, state = node
    _check_activation(name, f'node {i}')
    if not _is_below(state, i):
      raise ValueError(f'node {i} reads state {state!r}, expected 0..{i - 1}')
  if not chain.concat or len(set(chain.concat)) != len(chain.concat):
    raise ValueError(f'concat is {chain.concat!r}, expected different states')
  for state in chain.concat:
    if not _is_below(state, len(chain.nodes) + 1):
      raise ValueError(f'concat holds {state!r}, expected a state 0..'
                       f'{len(chain.nodes)}')
  return chain


def leaves(nodes: Sequence[tuple[str, int]]) -> tuple[int, ...]:
  """The nodes that no other node reads."""
  read = {state for _, state in nodes}
  return tuple(i for i in range(1, len(nodes) + 1) if i not in read)


def parse(numbers: str | Sequence[int],
          activations: Sequence[str] = ACTIVATIONS) -> Chain:
  """The chain in the numbers of enas_lm and NAO: state, activation per node.

  Args:
    numbers: as text or as integers.
    activations: what the numbers mean; `NAO_ACTIVATIONS` in NAO without
      weight sharing.

  Raises:
    ValueError: numbers that mean no chain; says which.
  """
  found = arcs.to_integers(numbers)
  if not found or len(found) % 2:
    raise ValueError(f'{len(found)} numbers, expected two for each node')
  nodes = []
  for i in range(0, len(found), 2):
    state, activation = found[i:i + 2]
    if not 0 <= activation < len(activations):
      raise ValueError(f'number {i + 1} is {activation}, expected an '
                       f'activation 0..{len(activations) - 1}')
    nodes.append((activations[activation], state))
  return check((tuple(nodes), tuple(range(1, len(nodes) + 1))))


def numbers(genotype: Any, activations: Sequence[str] = ACTIVATIONS
            ) -> tuple[int, ...]:
  """The inverse of `parse`.

  Raises:
    ValueError: no chain, an activation that has no number, or an output that
      is not the mean of all nodes.
  """
  space = chain_space(len(check(genotype).nodes), activations)
  return tuple(np.asarray(space.encode(genotype)).tolist())


def parse_tokens(tokens: str | Sequence[int],
                 activations: Sequence[str] = NAO_ACTIVATIONS) -> Chain:
  """The chain in the tokens that NAO's encoder reads.

  Of N nodes, token 1 + state and then token N + 1 + activation for each; NAO
  has N = 11, hence 22 tokens out of 16, of which 0 starts a sequence.

  Args:
    tokens: as text or as integers.
    activations: what their numbers mean; `ACTIVATIONS` in NAO with weight
      sharing.

  Raises:
    ValueError: tokens that mean no chain; says which.
  """
  found = arcs.to_integers(tokens)
  offset = len(found) // 2 + 1
  return parse([t - (offset if i % 2 else 1) for i, t in enumerate(found)],
               activations)


def to_tokens(genotype: Any, activations: Sequence[str] = NAO_ACTIVATIONS
              ) -> tuple[int, ...]:
  """The inverse of `parse_tokens`; raises as `numbers`."""
  found = numbers(genotype, activations)
  offset = len(found) // 2 + 1
  return tuple(n + (offset if i % 2 else 1) for i, n in enumerate(found))


def _check_activation(name: Any, where: str) -> None:
  if name not in ACTIVATIONS:
    raise ValueError(f'{where} has activation {name!r}, expected one of '
                     f'{", ".join(ACTIVATIONS)}')


def _is_below(state: Any, limit: int) -> bool:
  return (isinstance(state, int) and not isinstance(state, bool) and
          0 <= state < limit)
