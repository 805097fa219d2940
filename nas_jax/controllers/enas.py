"""The controllers of ENAS: an LSTM that reads what it has chosen.

That of recurrent cells is in enas_chain.py. Scoring is sampling with noise
that leaves no choice.

Reference: Pham et al., Efficient Neural Architecture Search via Parameter
  Sharing, arXiv 1802.03268, sec. 2.2 to 2.4; melodyguan/enas
  general_controller.py and micro_controller.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import checks
from nas_jax.controllers import enas_parts
from nas_jax.controllers import recurrent

ENTROPIES = enas_parts.ENTROPIES
_NUM_CELLS = 2  # the normal and the reduction cell
# Of separable convolutions (the first two operations) and of all others.
_FIRST_BIAS = 10., 0.
_FIXED_BIAS = .25, -.25
_NUM_FAVOURED = 2


class Macro(NamedTuple):
  """The policy of the macro search."""
  controller: base.Controller
  # (params, genome) -> float32[], the divergence of its skips, see `macro`.
  penalty: Callable[[base.PyTree, base.Genome], jax.Array]


def macro(
    num_layers: int = 12,
    *,
    num_operations: int = 6,
    hidden_size: int = 64,
    init_scale: float = .1,
    tanh_constant: float | None = 1.5,
    temperature: float | None = None,
    skip_target: float = .4,
    entropy: str = 'sampled',
) -> Macro:
  """A policy over genomes of `supernets.enas_macro.space`.

  For layer k the LSTM reads x and its state chooses the operation; it reads
  the operation's embedding, and its state h_k is the layer's anchor. The layer
  skips from value j < k with two logits [-q, q], q = v . tanh(W1 h_j + W2
  h_k). The next x is the sum of the anchors h_j of chosen skips over one more
  than their number; after layer 0, as at the start, it is a learned vector.
  Every logit z becomes tanh_constant * tanh(z / temperature).

  The penalty compares s = sigmoid of each of the two logits with the target
  (1 - t, t): sum of s log(s / target) over both and over j, mean over the
  layers that can skip.

  With the defaults it has 41,856 parameters, with 100 hidden units 101,400.

  Args:
    num_layers: L.
    num_operations: K.
    hidden_size: of the LSTM's one layer.
    init_scale: parameters start uniform in +-init_scale.
    tanh_constant: bounds the logits; None for no bound.
    temperature: divides them before; None for no division.
    skip_target: t.
    entropy: of a choice with probability p: 'sampled', -p log p of what was
      chosen, as in the published code of this search, or 'full', the entropy
      of the distribution.

  Raises:
    ValueError: an argument out of range.

  Note: skips are drawn with probability sigmoid(2 q), the softmax of both
  logits, while the penalty holds sigmoid(q) to the target; both as published.
  """
  recurrent.check(num_layers=num_layers, num_operations=num_operations,
                  hidden_size=hidden_size, init_scale=init_scale,
                  tanh_constant=tanh_constant, temperature=temperature)
  checks.one_of('entropy', entropy, ENTROPIES)
  if not 0 < skip_target < 1:
    raise ValueError(f'skip_target is {skip_target}, expected a probability '
                     'between 0 and 1')
  policy = _Macro(num_layers, num_operations, hidden_size, init_scale,
                  tanh_constant, temperature, skip_target, entropy)
  return Macro(recurrent.bundle(policy), lambda params, genome: policy.apply(
      {'params': params}, genome, method='penalty'))


def micro(
    num_nodes: int = 5,
    *,
    num_operations: int = 5,
    hidden_size: int = 64,
    init_scale: float = .1,
    tanh_constant: float | None = 1.1,
    temperature: float | None = None,
    op_tanh_reduce: float = 2.5,
) -> base.Controller:
  """A policy over genomes of `spaces.nao.space`.

  The normal cell comes first, then with the LSTM's state as it is the
  reduction cell. The LSTM reads a learned vector twice, once for each input of
  the cell. For each node it chooses two inputs j, by the logits
  v . tanh(W1 h_j + W2 h), and then two operations; after each choice it reads
  the anchor h_j or the operation's embedding. One more step gives the node's
  anchor; then it reads the learned vector again. The anchors of the cell's
  inputs are read as zeros.

  Every logit z becomes tanh_constant * tanh(z / temperature), with
  tanh_constant / op_tanh_reduce for operations, which have a bias in z that
  starts at (10, 10, 0, 0, 0). In the normal cell (.25, .25, -.25, -.25, -.25)
  are added in the end: both favour separable convolutions, the first two
  operations. With the defaults it has 41,733 parameters.

  Args:
    num_nodes: B of each cell.
    num_operations: K.
    hidden_size: of the LSTM's one layer.
    init_scale: parameters start uniform in +-init_scale.
    tanh_constant: bounds the logits; None for no bound.
    temperature: divides them before; None for no division.
    op_tanh_reduce: see above.

  Raises:
    ValueError: an argument that is not positive.
  """
  recurrent.check(num_nodes=num_nodes, num_operations=num_operations,
                  hidden_size=hidden_size, init_scale=init_scale,
                  tanh_constant=tanh_constant, temperature=temperature,
                  op_tanh_reduce=op_tanh_reduce)
  return recurrent.bundle(_Micro(
      num_nodes, num_operations, hidden_size, init_scale, tanh_constant,
      temperature, op_tanh_reduce))


class _Macro(enas_parts.Policy):
  """L layers; a genome has L operations and L (L - 1) / 2 skips."""
  num_layers: int
  num_operations: int
  hidden_size: int
  init_scale: float
  tanh_constant: float | None
  temperature: float | None
  skip_target: float
  entropy: str

  def setup(self):
    self._setup()

  def sample(self, key):
    layers = self.num_layers
    keys = jax.random.split(key)
    (ops, bits), logits = self._run(
        jax.random.gumbel(keys[0], (layers, self.num_operations)),
        jax.random.logistic(keys[1], (layers, layers)))
    return self._flat(ops, bits).astype(jnp.int32), self._score(
        ops, bits, *logits)

  def score(self, genome):
    (ops, bits), logits = self._forced(genome)
    return self._score(ops, bits, *logits)

  def penalty(self, genome):
    _, (_, skip_logits) = self._forced(genome)
    total = 0.
    for sign, target in ((-1, 1 - self.skip_target), (1, self.skip_target)):
      z = sign * skip_logits
      total += nn.sigmoid(z) * (nn.log_sigmoid(z) - np.log(target))
    inside = np.tri(self.num_layers, k=-1, dtype=bool)
    return jnp.sum(jnp.where(inside, total, 0)) / max(1, self.num_layers - 1)

  def _forced(self, genome):
    starts, rows, columns = _macro_positions(self.num_layers)
    bits = genome[_others(starts, genome.shape[0])]
    noise = jnp.zeros((self.num_layers,) * 2).at[rows, columns].set(
        jnp.where(bits > 0, jnp.inf, -jnp.inf))
    return self._run(
        enas_parts.only(genome[starts], self.num_operations), noise)

  def _run(self, op_noise, bit_noise):
    """Choices and logits of operations [L], [L, K] and skips, both [L, L]."""
    layers, hidden = self.num_layers, self.hidden_size

    def step(self, carry, now):
      state, x, anchors, keys = carry
      layer, op_noise, bit_noise = now
      state = self.lstm(state, x)
      op_logits = recurrent.squash(
          state[0] @ self.kernel, self.tanh_constant, self.temperature)
      op = jnp.argmax(op_logits + op_noise)
      state = self.lstm(state, recurrent.embed(self.embeddings, op))
      h = state[0]
      q = self._attention(keys, h)
      bits = ((2 * q + bit_noise > 0) & (np.arange(layers) < layer)).astype(
          jnp.float32)
      x = jnp.where(layer > 0, bits @ anchors / (1 + jnp.sum(bits)),
                    self.start)
      anchors = anchors.at[layer].set(h)
      keys = keys.at[layer].set(h @ self.previous)
      return (state, x, anchors, keys), ((op, bits), (op_logits, q))

    zeros = jnp.zeros((layers, hidden))
    _, found = self._scan(step, (self.lstm.start(), self.start, zeros, zeros), (
        jnp.arange(layers), op_noise, bit_noise))
    return found

  def _score(self, ops, bits, op_logits, skip_logits):
    of_ops = recurrent.categorical(op_logits, ops)
    # Of [-q, q] the second: sigmoid(2 q).
    of_bits = recurrent.bernoulli(2 * skip_logits, bits)
    return enas_parts.of_kind(self.entropy, base.Score(*(
        self._flat(*parts) for parts in zip(of_ops, of_bits))))

  def _flat(self, ops, bits):
    starts, rows, columns = _macro_positions(self.num_layers)
    size = len(starts) + len(rows)
    flat = jnp.zeros(size, jnp.float32).at[starts].set(ops)
    return flat.at[_others(starts, size)].set(bits[rows, columns])


class _Micro(enas_parts.Policy):
  """B nodes; a genome has (input, operation) twice for each of 2 B nodes."""
  num_nodes: int
  num_operations: int
  hidden_size: int
  init_scale: float
  tanh_constant: float | None
  temperature: float | None
  op_tanh_reduce: float

  def setup(self):
    self._setup()
    self.bias = self.param(
        'bias', lambda key: self._favoured(*_FIRST_BIAS))

  def sample(self, key):
    shape = _NUM_CELLS, self.num_nodes, 2
    keys = jax.random.split(key)
    return self._run(
        jax.random.gumbel(keys[0], (*shape, self.num_nodes + 2)),
        jax.random.gumbel(keys[1], (*shape, self.num_operations)))

  def score(self, genome):
    choices = genome.reshape(_NUM_CELLS, self.num_nodes, 2, 2)
    return self._run(enas_parts.only(choices[..., 0], self.num_nodes + 2),
                     enas_parts.only(choices[..., 1], self.num_operations))[1]

  def _run(self, input_noise, op_noise):
    """The genome and its score."""
    state, found = self.lstm.start(), []
    for cell in range(_NUM_CELLS):
      state, chosen = self._cell(
          state, self._favoured(*_FIXED_BIAS) if cell == 0 else 0.,
          input_noise[cell], op_noise[cell])
      found.append(chosen)
    genome, log_probs, entropies = (
        jnp.concatenate([jnp.ravel(x) for x in parts])
        for parts in zip(*found))
    return genome.astype(jnp.int32), base.Score(log_probs, entropies)

  def _cell(self, state, fixed_bias, input_noise, op_noise):
    """The state after a cell; choices and their scores, each [B, 2, 2]."""
    num_states = self.num_nodes + 2
    keys = jnp.zeros((num_states, self.hidden_size))
    for i in range(2):
      state = self.lstm(state, self.start)
      keys = keys.at[i].set(state[0] @ self.previous)

    def step(self, carry, now):
      state, anchors, keys = carry
      node, input_noise, op_noise = now
      x, chosen = self.start, []
      for side in range(2):
        state = self.lstm(state, x)
        logits = recurrent.masked(
            self._attention(keys, state[0]), np.arange(num_states) < node + 2)
        index = jnp.argmax(logits + input_noise[side])
        x = recurrent.embed(anchors, index)
        chosen.append((index, *recurrent.categorical(logits, index)))
      for side in range(2):
        state = self.lstm(state, x)
        logits = fixed_bias + recurrent.squash(
            state[0] @ self.kernel + self.bias,
            self.tanh_constant and self.tanh_constant / self.op_tanh_reduce,
            self.temperature)
        op = jnp.argmax(logits + op_noise[side])
        x = recurrent.embed(self.embeddings, op)
        chosen.append((op, *recurrent.categorical(logits, op)))
      state = self.lstm(state, x)
      anchors = anchors.at[node + 2].set(state[0])
      keys = keys.at[node + 2].set(state[0] @ self.previous)
      # From (input, input, operation, operation).
      return (state, anchors, keys), tuple(
          jnp.stack(parts).reshape(2, 2).T for parts in zip(*chosen))

    (state, _, _), chosen = self._scan(
        step, (state, jnp.zeros_like(keys), keys),
        (jnp.arange(self.num_nodes), input_noise, op_noise))
    return state, chosen

  def _favoured(self, first, others):
    return jnp.where(np.arange(self.num_operations) < _NUM_FAVOURED, first,
                     others).astype(jnp.float32)


def _macro_positions(num_layers):
  """Where operations are, [L]; rows and columns of the skips in order."""
  starts = np.arange(num_layers) * (np.arange(num_layers) + 1) // 2
  return starts, *np.tril_indices(num_layers, k=-1)


def _others(starts, size):
  return np.setdiff1d(np.arange(size), starts)
