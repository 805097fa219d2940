"""Recurrent cells: what one layer does over time.

The chain of ENAS, DARTS and NAO is here; other cells are made in
recurrent_tree.py and recurrent_baselines.py. Notation: T steps, B rows of the
batch, I inputs, d units.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nas_jax.networks import time_loop
from nas_jax.spaces import recurrent as space

Array = jax.Array
State = Any  # a tree of float[B, d]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    'tanh': jnp.tanh, 'relu': jax.nn.relu, 'sigmoid': jax.nn.sigmoid,
    'identity': lambda x: x}


class Masks(NamedTuple):
  """Variational dropout: one mask for all steps, of 0 or 1 / keep."""
  inputs: Array  # float[B, I]
  hidden: Array  # float[B, d]


class Cell(NamedTuple):
  """A recurrent layer.

  Attributes:
    init: (key, I, d) -> parameters, a dictionary of arrays.
    start: (B, d) -> state, zeros.
    run: (parameters, inputs float[T, B, I], state, masks, length) ->
      (outputs float[T, B, d], state). Masks may be None; length is None, or
      int32[]: the state stands still from that step on.
    recurrent: names of the parameters that multiply the state, of which
      weight dropout (AWD-LSTM) takes some away.
  """
  init: Callable[[Array, int, int], dict[str, Any]]
  start: Callable[[int, int], State]
  run: Callable[..., tuple[Array, State]]
  recurrent: tuple[str, ...] = ()


def chain(genotype: space.Chain, *, init_range: float = .04) -> Cell:
  """The cell in which each node reads one earlier node.

  [c0, h0] = [x m_x, h m_h] W0 and s0 = h + sigmoid(c0) (tanh(h0) - h); node i
  with predecessor p and activation a: [c, h] = (s_p m_h) W_i and
  s_i = s_p + sigmoid(c) (a(h) - s_p). The output is the mean of the states in
  `concat`, and the state of the next step. No biases.

  Parameters: 'input' float[I + d, 2d], 'nodes' a list of float[d, 2d].

  Args:
    genotype: of the cell, see `space.Chain`.
    init_range: weights are uniform within +- this.

  Raises:
    ValueError: an activation that is unknown, or a node that reads a later
      one.

  Reference: Liu et al., arXiv 1806.09055, and its public code; Pham et al.,
    arXiv 1802.03268, section 2.1.
  """
  genotype = space.check(genotype)
  nodes, concat = genotype
  readers = {p: [i for i, (_, q) in enumerate(nodes, 1) if q == p]
             for p in dict.fromkeys(p for _, p in nodes)}

  def init(key, num_inputs, num_units):
    first, *others = jax.random.split(key, 1 + len(nodes))
    draw = lambda key, rows: uniform(key, (rows, 2 * num_units), init_range)
    return {'input': draw(first, num_inputs + num_units),
            'nodes': [draw(k, num_units) for k in others]}

  def step(product, state, x, values, mask):
    del values
    states = {0: highway(state, x + product('hidden', masked(state, mask)),
                         'tanh')}
    gates = {}
    for i, (activation, source) in enumerate(nodes, 1):
      # All that read one node share its product.
      if source not in gates:
        gates[source] = product(
            str(source), masked(states[source], mask))
      place = readers[source].index(i)
      width = 2 * state.shape[-1]
      states[i] = highway(
          states[source],
          gates[source][..., place * width:(place + 1) * width], activation)
    out = sum(states[i] for i in concat) / len(concat)
    return out, out

  def run(params, inputs, state, masks=None, length=None):
    size = inputs.shape[-1]
    weights = {'hidden': params['input'][size:]} | {
        str(p): jnp.concatenate([params['nodes'][i - 1] for i in of], -1)
        for p, of in readers.items()}
    x, mask = of_inputs(inputs, params['input'][:size], masks)
    return time_loop.run(step, weights, state, x, fixed=mask, length=length)

  return Cell(init, zeros, run)


def zeros(batch_size: int, num_units: int) -> Array:
  """A state of one array."""
  return jnp.zeros((batch_size, num_units))


def two_zeros(batch_size: int, num_units: int) -> tuple[Array, Array]:
  """A state of two arrays, such as h and c."""
  return zeros(batch_size, num_units), zeros(batch_size, num_units)


def highway(before: Array, gates: Array, activation: str) -> Array:
  """before + sigmoid(c) (activation(h) - before), where [c, h] = gates."""
  c, h = jnp.split(gates, 2, -1)
  return before + jax.nn.sigmoid(c) * (ACTIVATIONS[activation](h) - before)


def of_inputs(inputs: Array, kernel: Array, masks: Masks | None
              ) -> tuple[Array, Array | None]:
  """What the inputs of all steps add, at once, and the mask of states.

  Args:
    inputs: float[T, B, I].
    kernel: float[I, n].
    masks: of dropout, if any.

  Returns:
    float[T, B, n], and float[B, d] or None.
  """
  if masks is None:
    return inputs @ kernel, None
  return (inputs * masks.inputs) @ kernel, masks.hidden


def masked(x: Array, mask: Array | None) -> Array:
  """x, or what a mask leaves of it."""
  return x if mask is None else x * mask


def uniform(key: Array, shape: Sequence[int], init_range: float) -> Array:
  """Uniform within +- init_range."""
  return jax.random.uniform(
      key, tuple(shape), minval=-init_range, maxval=init_range)
