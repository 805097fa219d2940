"""The controller of NAS-RL: chains of layers, with anchor points for skips.

Reference: Zoph, Le, Neural Architecture Search with Reinforcement Learning,
  arXiv 1611.01578, sec. 3.1, 3.3 and 4.1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.controllers import recurrent
from nas_jax.spaces import chain


def controller(
    layout: chain.Layout,
    *,
    hidden_size: int = 35,
    num_layers: int = 2,
    init_scale: float = 0.08,
) -> base.Controller:
  """A policy over the genomes of `spaces.chain`, of a given depth.

  Of each layer it chooses the tokens, one softmax each; then, at the layer's
  anchor point, which of the layers before it are its inputs:

  P(layer j is an input of layer i) = sigmoid(v . tanh(W_prev h_j + W_curr h_i))

  where h_j is the state of the last LSTM layer at the anchor of layer j.
  `sample(params, key, depth)` takes the index of the depth, genome[0]; what is
  beyond it is 0.

  Args:
    layout: of the chains.
    hidden_size: of each LSTM layer, of embeddings and of v.
    num_layers: of the LSTM.
    init_scale: weights start uniform in +-init_scale.

  Raises:
    ValueError: a size or a scale that is not positive.

  Note: the following is not published and chosen here. Softmaxes and
    embeddings are shared by all layers, as v, W_prev and W_curr are, so that
    layers that come with a greater depth start with what others have learned.
    After an anchor the LSTM reads the set that was chosen: the sum of one
    learned vector for each layer in it. The first input is 0, and so are
    biases at the start.
  """
  recurrent.check(hidden_size=hidden_size, num_layers=num_layers,
                  init_scale=init_scale)
  return recurrent.bundle(
      _Policy(layout, hidden_size, num_layers, init_scale))


class _Policy(nn.Module):
  """D layers at most, F tokens each, of at most C choices; H wide."""
  layout: chain.Layout
  hidden_size: int
  num_layers: int
  init_scale: float

  def setup(self):
    sizes = np.array([len(values) for values in self.layout.fields])
    depth, hidden = self.layout.max_depth, self.hidden_size
    uniform = recurrent.uniform(self.init_scale)
    zeros = nn.initializers.zeros_init()
    shape = len(sizes), max(sizes)
    self.lstm = recurrent.Stack(
        hidden, hidden, self.num_layers, self.init_scale)
    self.kernels = self.param('kernels', uniform, (*shape, hidden))
    self.biases = self.param('biases', zeros, shape)
    self.embeddings = self.param('embeddings', uniform, (*shape, hidden))
    self.possible = np.arange(shape[1]) < sizes[:, None]  # bool[F, C]
    if self.layout.skips:
      self.previous = self.param('previous', uniform, (hidden, hidden))
      self.current = self.param('current', uniform, (hidden, hidden))
      self.v = self.param('v', uniform, (hidden,))
      self.sources = self.param('sources', uniform, (depth, hidden))

  def sample(self, key, depth):
    layers, num_tokens = self.layout.max_depth, len(self.layout.fields)
    keys = jax.random.split(key)
    noise = (
        jax.random.gumbel(keys[0], (layers, num_tokens, self.biases.shape[1])),
        jax.random.logistic(keys[1], (layers, layers)))
    scan = nn.scan(_Policy._sample_layer, variable_broadcast='params',
                   split_rngs={'params': False})
    start = (self.lstm.start(), jnp.zeros(self.hidden_size),
             jnp.zeros((layers, self.hidden_size)))
    _, chosen_and_logits = scan(self, start, (jnp.arange(layers), noise))
    tokens, bits, token_logits, bit_logits = chosen_and_logits
    genome = self._flat(depth, depth, tokens, bits).astype(jnp.int32)
    return genome, self._scores(depth, tokens, bits, token_logits, bit_logits)

  def score(self, genome):
    depth, tokens, bits = self._parts(genome)
    inputs = jax.vmap(lambda t: recurrent.embed(self.embeddings, t))(tokens)
    if self.layout.skips:
      sets = bits @ self.sources
      inputs = jnp.concatenate([inputs, sets[:, None]], 1)
    steps = inputs.shape[1]
    states = self.lstm.unroll(
        recurrent.delayed(inputs.reshape(-1, self.hidden_size)))
    states = states.reshape(-1, steps, self.hidden_size)
    token_logits = recurrent.head(
        states[:, :tokens.shape[1]], self.kernels, self.biases, self.possible)
    bit_logits = None
    if self.layout.skips:
      anchors = states[:, -1]
      keys = anchors @ self.previous
      bit_logits = jax.vmap(lambda h: self._attention(keys, h))(anchors)
    return self._scores(depth, tokens, bits, token_logits, bit_logits)

  def _sample_layer(self, carry, now):
    state, x, keys = carry
    layer, (token_noise, bit_noise) = now
    scan = nn.scan(_Policy._sample_token, variable_broadcast='params',
                   split_rngs={'params': False})
    (state, x), (tokens, token_logits) = scan(self, (state, x), (
        self.kernels, self.biases, self.embeddings, self.possible,
        token_noise))
    bits = bit_logits = None
    if self.layout.skips:
      state, h = self.lstm(state, x)
      bit_logits = self._attention(keys, h)
      bits = (bit_logits + bit_noise > 0) & (
          np.arange(self.layout.max_depth) < layer)
      bits = bits.astype(jnp.float32)
      x = bits @ self.sources
      keys = keys.at[layer].set(h @ self.previous)
    return (state, x, keys), (tokens, bits, token_logits, bit_logits)

  def _sample_token(self, carry, now):
    return recurrent.choose(self.lstm, carry, now)

  def _attention(self, keys, h):
    """The logit of each of D layers j with the key W_prev h_j [D, H]."""
    return jnp.tanh(keys + h @ self.current) @ self.v

  def _scores(self, depth, tokens, bits, token_logits, bit_logits):
    of_tokens = recurrent.categorical(token_logits, tokens)
    of_bits = (recurrent.bernoulli(bit_logits, bits) if self.layout.skips else
               (None, None))
    return base.Score(*(self._flat(depth, 0., *parts)
                        for parts in zip(of_tokens, of_bits)))

  def _parts(self, genome):
    """Index of the depth, tokens int32[D, F], bits float32[D, D] or None."""
    tokens, bits = self.layout.positions()
    if bits is None:
      return genome[0], genome[tokens], None
    # Where a layer has no bit is the position of another thing.
    return genome[0], genome[tokens], jnp.where(
        np.tri(len(bits), k=-1) > 0, genome[bits], 0).astype(jnp.float32)

  def _flat(self, depth, first, tokens, bits):
    """[D, F] and [D, D] to [L], `first` in front and 0 beyond the depth."""
    token_positions, bit_positions = self.layout.positions()
    parts, positions = [jnp.ravel(tokens)], [token_positions.ravel()]
    if bits is not None:
      rows, columns = np.tril_indices(len(bits), k=-1)
      parts.append(bits[rows, columns])
      positions.append(bit_positions[rows, columns])
    order = np.argsort(np.concatenate(positions))
    values = jnp.concatenate(parts)[order]
    end = jnp.asarray(self.layout.ends)[depth]
    inside = np.arange(1, self.layout.length) < end
    return jnp.concatenate(
        [jnp.asarray(first, values.dtype)[None], jnp.where(inside, values, 0)])
