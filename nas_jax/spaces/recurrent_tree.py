"""Recurrent cells as trees: the space of NAS-RL.

A balanced binary tree over `base` leaves. Leaf i combines W x and W' h, with
matrices of its own; an inner node combines the two below it; each applies its
activation. Nodes are numbered leaves first, then level by level; the last one
is the root, whose value is the new h. One node is injected: its value becomes
f(combination(value, c)) before it is used. The new c is the value of one node
before its activation.

Reference: Zoph, Le, Neural Architecture Search with Reinforcement Learning,
  arXiv 1611.01578, sec. 3.4 and figure 5.

Note: where the new c is taken from the injected node, it is the value before
  that node's own activation, hence before the injection; the paper does not
  say.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from nas_jax import base as core
from nas_jax.spaces import discrete

COMBINATIONS = ('add', 'elem_mult')
ACTIVATIONS = ('identity', 'tanh', 'sigmoid', 'relu')
# With what the paper's first control experiment adds.
ALL_COMBINATIONS = (*COMBINATIONS, 'max')
ALL_ACTIVATIONS = (*ACTIVATIONS, 'sin')

_SIGNS = {'add': '+', 'elem_mult': '*'}


class Tree(NamedTuple):
  """A cell; plain nested tuples of the same form will do everywhere."""
  nodes: tuple[tuple[str, str], ...]  # (combination, activation), leaves first
  inject: tuple[str, str]  # how c enters: (combination, activation)
  indices: tuple[int, int]  # nodes: whose value the new c is, where c enters


class Decoded(NamedTuple):
  """A decoded genome; places in the combinations, activations and nodes."""
  combinations: jax.Array  # int32[2 base - 1]
  activations: jax.Array  # int32[2 base - 1]
  inject: jax.Array  # int32[2], combination and activation
  indices: jax.Array  # int32[2], of the new c, where c enters


def tree_space(
    base: int = 8,
    *,
    combinations: Sequence[str] = COMBINATIONS,
    activations: Sequence[str] = ACTIVATIONS,
) -> core.Space:
  """The space of trees; any combination of choices is legal.

  A genome holds the tokens that the controller predicts: combination and
  activation of each node, both of the injection, then the two indices:
  4 base + 2 of them.

  Args:
    base: leaves, a power of two; 8 in the paper.
    combinations: out of `ALL_COMBINATIONS`.
    activations: out of `ALL_ACTIVATIONS`.

  Raises:
    ValueError: an argument out of range.
  """
  if base < 2 or base & (base - 1):
    raise ValueError(f'base is {base}, expected a power of two from 2 on')
  for name in combinations:
    _check_name(name, ALL_COMBINATIONS, 'combination', 'a space of trees')
  for name in activations:
    _check_name(name, ALL_ACTIVATIONS, 'activation', 'a space of trees')
  num_nodes = 2 * base - 1
  end = 2 * num_nodes
  pair = tuple(combinations), tuple(activations)
  nodes = tuple(range(num_nodes))

  def decode(genome: core.Genome) -> Decoded:
    return Decoded(genome[:end:2], genome[1:end:2], genome[end:end + 2],
                   genome[end + 2:])

  plain = discrete.space(pair * (num_nodes + 1) + (nodes, nodes),
                         decode=decode)

  def genotype(genome: core.Genome) -> Tree:
    values = plain.genotype(genome)
    return Tree(tuple(zip(values[:end:2], values[1:end:2])),
                values[end:end + 2], values[end + 2:])

  def encode(value: Any) -> core.Genome:
    tree = check(value)
    if len(tree.nodes) != num_nodes:
      raise ValueError(f'the cell has {len(tree.nodes)} nodes, expected '
                       f'{num_nodes}')
    return plain.encode([v for node in (*tree.nodes, tree.inject)
                         for v in node] + list(tree.indices))

  return plain._replace(genotype=genotype, encode=encode)


def size(base: int) -> int:
  """The number of trees of 2 combinations and 4 activations.

  8^(2 base) (2 base - 1)^2; about 6e16 for base 8, as published.
  """
  return 8 ** (2 * base) * (2 * base - 1) ** 2


def check(genotype: Any) -> Tree:
  """The genotype as a `Tree`.

  Raises:
    ValueError: it is none; says which node is wrong.
  """
  if not (isinstance(genotype, tuple) and len(genotype) == 3 and
          all(isinstance(part, tuple) for part in genotype)):
    raise ValueError(f'expected (nodes, inject, indices) of a tree, got '
                     f'{genotype!r}')
  tree = Tree(*genotype)
  num_nodes = len(tree.nodes)
  if num_nodes < 3 or num_nodes & (num_nodes + 1):
    raise ValueError(f'the tree has {num_nodes} nodes, expected 2 base - 1 for '
                     'a base that is a power of two from 2 on')
  for i, pair in enumerate((*tree.nodes, tree.inject)):
    where = f'node {i}' if i < num_nodes else 'inject'
    if not (isinstance(pair, tuple) and len(pair) == 2):
      raise ValueError(f'{where} is {pair!r}, expected (combination, '
                       'activation)')
    _check_name(pair[0], ALL_COMBINATIONS, 'combination', where)
    _check_name(pair[1], ALL_ACTIVATIONS, 'activation', where)
  if len(tree.indices) != 2:
    raise ValueError(f'indices are {tree.indices!r}, expected two nodes')
  for index in tree.indices:
    if index not in range(num_nodes) or isinstance(index, bool):
      raise ValueError(f'indices hold {index!r}, expected a node 0..'
                       f'{num_nodes - 1}')
  return tree


def children(num_nodes: int) -> tuple[tuple[int, int] | None, ...]:
  """The two nodes that each node combines; None for leaves."""
  base = (num_nodes + 1) // 2
  return (None,) * base + tuple(
      (2 * i, 2 * i + 1) for i in range(base - 1))


def equations(genotype: Any) -> tuple[str, ...]:
  """What a cell computes, a line per value, as in figure 5 of the paper.

  x, h and c are what it is given; h' and c' what it returns. W1 and W2 are
  the matrices of leaf 0, W3 and W4 of leaf 1, and so on.

  Raises:
    ValueError: no tree.
  """
  tree = check(genotype)
  new_c, injected = tree.indices
  names, plain, lines = [], [], []
  for i, (combination, activation) in enumerate(tree.nodes):
    below = children(len(tree.nodes))[i]
    left, right = (f'W{2 * i + 1} x', f'W{2 * i + 2} h') if below is None else (
        names[below[0]], names[below[1]])
    plain.append(_combined(combination, left, right))
    names.append(f'a{i}')
    lines.append(f'a{i} = {_activated(activation, plain[i])}')
    if i == injected:
      names[i] = f"a{i}'"
      lines.append(f"a{i}' = " + _activated(
          tree.inject[1], _combined(tree.inject[0], f'a{i}', 'c')))
  return *lines, f"h' = {names[-1]}", f"c' = {plain[new_c]}"


def _combined(combination: str, left: str, right: str) -> str:
  if combination in _SIGNS:
    if combination == 'elem_mult':
      left, right = (f'({v})' if ' ' in v else v for v in (left, right))
    return f'{left} {_SIGNS[combination]} {right}'
  return f'{combination}({left}, {right})'


def _activated(activation: str, value: str) -> str:
  return value if activation == 'identity' else f'{activation}({value})'


def _check_name(name: Any, known: Sequence[str], what: str, where: str) -> None:
  if name not in known:
    raise ValueError(f'{where} has {what} {name!r}, expected one of '
                     f'{", ".join(known)}')
