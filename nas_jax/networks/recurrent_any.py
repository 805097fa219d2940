"""Recurrent cells that are data: one program serves all of a kind.

A cell of its own compiles to a faster program, but where models are small and
trained for seconds, compiling one for each takes longer than training it.
Notation: B rows of the batch, d units, N nodes.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import language
from nas_jax.networks import recurrent
from nas_jax.networks import time_loop
from nas_jax.spaces import recurrent as chain_space
from nas_jax.spaces import recurrent_tree as tree_space

Array = jax.Array
_TANH, _RELU, _SIGMOID, _, _SIN = range(5)
_NUMBERS = {name: i for i, name in enumerate((*chain_space.ACTIVATIONS, 'sin'))}
_COMBINATIONS = tree_space.ALL_COMBINATIONS


class Chain(NamedTuple):
  """A chain of N nodes, see `spaces.recurrent.Chain`."""
  sources: Array  # int32[N], states that are read
  activations: Array  # int32[N], places in spaces.recurrent.ACTIVATIONS
  weights: Array  # float32[N + 1], of the states in the output


class Tree(NamedTuple):
  """A tree of N = 2 base - 1 nodes, see `spaces.recurrent_tree.Tree`."""
  combinations: Array  # int32[N + 1], the last of the injection
  activations: Array  # int32[N + 1], sin after those of chains
  indices: Array  # int32[2]


def of_chain(genotype: Any) -> Chain:
  """The arrays of a genotype.

  Raises:
    ValueError: no chain.
  """
  nodes, concat = chain_space.check(genotype)
  weights = np.zeros(len(nodes) + 1, np.float32)
  weights[list(concat)] = 1 / len(concat)
  return Chain(
      np.array([source for _, source in nodes], np.int32),
      np.array([_NUMBERS[name] for name, _ in nodes], np.int32), weights)


def of_tree(genotype: Any) -> Tree:
  """The arrays of a genotype.

  Raises:
    ValueError: no tree.
  """
  nodes, inject, indices = tree_space.check(genotype)
  combinations, activations = zip(*nodes, inject)
  return Tree(
      np.array([_COMBINATIONS.index(name) for name in combinations], np.int32),
      np.array([_NUMBERS[name] for name in activations], np.int32),
      np.array(indices, np.int32))


def chain(cell: Chain) -> recurrent.Cell:
  """As `recurrent.chain`, of arrays that may be traced; has no `init`."""
  def step(product, state, x, values, fixed):
    del values
    mask, (sources, activations, weights) = fixed
    first = recurrent.highway(
        state, x + product('hidden', recurrent.masked(state, mask)), 'tanh')
    states = jnp.zeros((len(weights), *first.shape), first.dtype)
    states = states.at[0].set(first)
    for i in range(len(sources)):
      before = _at(states, sources[i])
      c, h = jnp.split(
          product(str(i), recurrent.masked(before, mask)), 2, -1)
      states = states.at[i + 1].set(before + jax.nn.sigmoid(c) * (
          _activated(h, activations[i]) - before))
    out = jnp.tensordot(weights, states, 1)
    return out, out

  def run(params, inputs, state, masks=None, length=None):
    size = inputs.shape[-1]
    weights = {'hidden': params['input'][size:]} | {
        str(i): w for i, w in enumerate(params['nodes'])}
    x, mask = recurrent.of_inputs(inputs, params['input'][:size], masks)
    return time_loop.run(
        step, weights, state, x, fixed=(mask, cell), length=length)

  return recurrent.Cell(_no_init, recurrent.zeros, run)


def tree(cell: Tree, *, sin: bool = False) -> recurrent.Cell:
  """As `recurrent_tree.tree`, of arrays that may be traced; has no `init`.

  Args:
    cell: what it is.
    sin: whether it may have this activation, which costs the others time.
  """
  num_leaves = len(cell.activations) // 2

  def step(product, state, x, values, fixed):
    del values
    mask, (combinations, activations, indices) = fixed
    h, c = state
    split = lambda x: x.reshape(len(h), num_leaves, h.shape[-1])
    left = split(x)
    right = split(product('hidden', recurrent.masked(h, mask)))
    plain, first = [], 0
    while True:  # Level by level, all nodes of a level at once.
      nodes = np.arange(first, first + left.shape[1])
      plain.append(_combined(left, right, combinations[nodes, None]))
      value = _activated(plain[-1], activations[nodes, None], sin)
      injected = _activated(
          _combined(value, c[:, None], combinations[-1]), activations[-1], sin)
      value = jnp.where((indices[1] == nodes)[:, None], injected, value)
      if len(nodes) == 1:
        break
      left, right, first = value[:, ::2], value[:, 1::2], nodes[-1] + 1
    new_c = _at(jnp.concatenate(plain, 1).swapaxes(0, 1), indices[0])
    return (value[:, 0], new_c), value[:, 0]

  def run(params, inputs, state, masks=None, length=None):
    x, mask = recurrent.of_inputs(inputs, params['input'], masks)
    return time_loop.run(
        step, {'hidden': params['hidden']}, state, x, fixed=(mask, cell),
        length=length)

  return recurrent.Cell(_no_init, recurrent.two_zeros, run, ('hidden',))


def models(family: str, sizes: language.Sizes
           ) -> Callable[[Any], language.Model]:
  """Language models of one family that share their programs.

  Args:
    family: 'rnn_chain' or 'rnn_tree'.
    sizes: of all models.

  Returns:
    genotype -> model, up to rounding that of `language.make`. The arrays of the
    cell are part of the hidden state. Models of as many nodes have the same
    function `apply` (another where there is a sin): what is compiled for one
    serves every other.

  Raises:
    ValueError: another family.
  """
  if family not in _KINDS:
    raise ValueError(f'models of the family {family!r} share no program, '
                     f'expected one of {", ".join(_KINDS)}')
  of_genotype, make_cell = _KINDS[family]

  @functools.cache
  def program(num_nodes: int, sin: bool) -> Callable[..., language.Output]:
    del num_nodes  # Arrays of other shapes are another program.

    def apply(params, tokens, hidden, **options):
      cell, states = hidden
      out = language.of_cell(make_cell(cell, sin), sizes).apply(
          params, tokens, states, **options)
      return out._replace(hidden=(cell, out.hidden))

    return apply

  def build(genotype: Any) -> language.Model:
    own, arrays = language.make(family, genotype, sizes), of_genotype(genotype)
    numbers = arrays.activations
    # Copied, for a step may use up the hidden state.
    return own._replace(
        apply=program(len(numbers), bool((numbers == _SIN).any())),
        start=lambda batch_size: (
            jax.tree.map(jnp.array, arrays), own.start(batch_size)))

  return build


# Family -> (genotype -> arrays, (arrays, sin) -> cell).
_KINDS = {'rnn_chain': (of_chain, lambda cell, sin: chain(cell)),
          'rnn_tree': (of_tree, lambda cell, sin: tree(cell, sin=sin))}


def _at(values, index):
  """values[index] of float[N, ...]."""
  return jax.lax.dynamic_index_in_dim(values, index, keepdims=False)


def _combined(a, b, number):
  return jnp.where(number == 0, a + b, jnp.where(
      number == 1, a * b, jnp.maximum(a, b)))


def _activated(h, number, sin=False):
  """The activation of this number; one hyperbolic tangent for two of them."""
  half = number == _SIGMOID  # sigmoid(h) = (1 + tanh(h / 2)) / 2
  smooth = jnp.tanh(jnp.where(half, h / 2, h))
  smooth = jnp.where(half, (1 + smooth) / 2, smooth)
  straight = jnp.where((number == _RELU) & (h <= 0), 0, h)
  found = jnp.where((number == _TANH) | half, smooth, straight)
  return jnp.where(number == _SIN, jnp.sin(h), found) if sin else found


def _no_init(*unused):
  return {}
