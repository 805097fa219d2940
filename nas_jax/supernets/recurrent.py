"""The search network of DARTS for recurrent cells, as one layer.

Every node reads all earlier states through one matrix and mixes the candidate
activations of every edge by the softmax of its alphas. Edges are those of
node 1, of node 2, ..., each from states 0, 1, ...; state 0 is made of input
and hidden state as in `recurrent.chain`. Notation: T steps, B rows, d units,
N nodes, E = N (N + 1) / 2 edges, K candidates.

References:
  Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 2.1 and appendix A.1.2;
    quark0/darts, rnn/model_search.py.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import norm as norms
from nas_jax.networks import recurrent
from nas_jax.networks import time_loop
from nas_jax.spaces import recurrent as space

Array = jax.Array
CANDIDATES = ('none', 'tanh', 'relu', 'sigmoid', 'identity')
KIND = 'recurrent'  # the name of the alphas, see relax.py
ALPHAS = 'alphas'  # the entry of a layer's parameters that holds them
EPSILON = 1e-5
MOMENTUM = .1


class Norm(NamedTuple):
  """Running statistics of all states, as PyTorch keeps them."""
  mean: Array  # float[d]
  variance: Array  # float[d], unbiased


class State(NamedTuple):
  """The state of the layer carries the statistics along."""
  hidden: Array  # float[B, d]
  norm: Norm


def num_edges(num_nodes: int) -> int:
  """E; 36 of DARTS' 8 nodes."""
  return num_nodes * (num_nodes + 1) // 2


def cell(num_nodes: int = 8, *, train: bool = True, init_range: float = .04
         ) -> recurrent.Cell:
  """The layer, for `language.make`.

  With w = softmax(alphas) and without 'none',
  s_i = sum_j sum_o w_jio (s_j + sigmoid(c_ji) (o(h_ji) - s_j)),
  [c_ji, h_ji] = (s_j m_h) W_i. State 0 and each s_i are normalised over the
  batch, without scale and bias, and with one set of running statistics. The
  output, and next hidden state, is the mean of s_1, ..., s_N.

  `run` needs alphas float[E, K] in the parameters, under `ALPHAS`, which
  `init` does not make: they are no weights.

  Args:
    num_nodes: N.
    train: whether states are normalised by the statistics of the batch, which
      move the running ones, or by the running ones.
    init_range: weights are uniform within +- this.

  Raises:
    ValueError: no nodes.
  """
  if num_nodes < 1:
    raise ValueError(f'num_nodes is {num_nodes}, expected at least 1')
  names = tuple(range(1, num_nodes + 1))
  plain = recurrent.chain(
      space.Chain((('tanh', 0),) * num_nodes, names), init_range=init_range)

  def start(batch_size, num_units):
    return State(plain.start(batch_size, num_units),
                 Norm(jnp.zeros(num_units), jnp.ones(num_units)))

  def step(product, state, x, weights, mask):
    before, norm = state
    s, norm = _normalised(recurrent.highway(
        before, x + product('hidden', recurrent.masked(before, mask)), 'tanh'),
                          norm, train)
    states, first = [s], 0
    for i in names:
      sources = jnp.stack(states)
      gates = product(str(i), recurrent.masked(sources, mask))
      s, norm = _normalised(
          _mixed(sources, gates, weights[first:first + i]), norm, train)
      states.append(s)
      first += i
    out = sum(states[1:]) / num_nodes
    return State(out, norm), out

  def run(params, inputs, state, masks=None, length=None):
    size = inputs.shape[-1]
    weights = {'hidden': params['input'][size:]} | {
        str(i): w for i, w in zip(names, params['nodes'])}
    x, mask = recurrent.of_inputs(inputs, params['input'][:size], masks)
    return time_loop.run(
        step, weights, state, x, values=jax.nn.softmax(params[ALPHAS]),
        fixed=mask, length=length)

  return recurrent.Cell(plain.init, start, run)


def derive(alphas: np.ndarray | Array) -> space.Chain:
  """Of each node the strongest edge, and its best candidate but 'none'.

  An edge is as strong as its best candidate other than 'none', which takes
  part in the softmax. Ties go to the lower state and the first candidate.

  Args:
    alphas: float[E, K].

  Raises:
    ValueError: another number of edges or candidates.
  """
  rows = np.asarray(alphas, np.float64)
  if rows.ndim != 2 or rows.shape[1] != len(CANDIDATES):
    raise ValueError(f'alphas have shape {rows.shape}, expected (edges, '
                     f'{len(CANDIDATES)})')
  rows = np.exp(rows - rows.max(-1, keepdims=True))
  rows /= rows.sum(-1, keepdims=True)
  nodes, first = [], 0
  while first < len(rows):
    size = len(nodes) + 1
    edges = rows[first:first + size, 1:]  # Without 'none'.
    if len(edges) < size:
      raise ValueError(f'{len(rows)} edges do not make up nodes with 1, 2, ... '
                       'of them')
    state = int(edges.max(-1).argmax())
    nodes.append((CANDIDATES[1 + int(edges[state].argmax())], state))
    first += size
  return space.Chain(tuple(nodes), tuple(range(1, len(nodes) + 1)))


def _mixed(sources, gates, weights):
  """The sum over edges and candidates, float[B, d].

  Args:
    sources: float[J, B, d], the states that are read.
    gates: float[J, B, 2 d].
    weights: float[J, K].
  """
  c, h = jnp.split(gates, 2, -1)
  weights = weights[..., None, None]
  mixed = sum(weights[:, k] * recurrent.ACTIVATIONS[name](h)
              for k, name in enumerate(CANDIDATES) if name != 'none')
  # Candidates of an edge share s_j and c: their weights are summed first.
  kept = jnp.sum(weights[:, 1:], 1) * sources
  return jnp.sum(kept + jax.nn.sigmoid(c) * (mixed - kept), 0)


def _normalised(x, norm, train):
  """x normalised over its rows, and the moved statistics."""
  if not train:
    return (x - norm.mean) / jnp.sqrt(norm.variance + EPSILON), norm
  one = jnp.ones(x.shape[-1], x.dtype)
  x, mean, variance = norms.normalise(x, one, 0 * one, EPSILON, None)
  unbiased = variance * (len(x) / max(len(x) - 1, 1))
  return x, Norm(*(old + MOMENTUM * (new - old) for old, new in zip(
      norm, jax.lax.stop_gradient((mean, unbiased)))))
