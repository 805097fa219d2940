"""The generator of AutoDL Design: operations and edges, node by node.

Reference: PaddlePaddle/AutoDL, AutoDL Design/policy_model.py.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.controllers import recurrent
from nas_jax.spaces import adjacency

_NUM_CELLS = 2  # the normal and the reduction cell


def controller(
    *,
    num_nodes: int = 10,
    num_tokens: int = 10,
    hidden_size: int = 64,
    num_layers: int = 2,
    tanh_constant: float | None = 2.5,
    temperature: float | None = 5.,
    feed_back: bool = True,
) -> base.Controller:
  """A policy over the genomes of `spaces.tokens`.

  Of each of the two cells it chooses the token of node 0; then for each next
  node the edges from the nodes before it, all at once, and its token. Every
  such step of the LSTM has a head of its own. All logits are
  tanh_constant * tanh(z / temperature). With the defaults it has 71,074
  parameters.

  Args:
    num_nodes: N of each cell.
    num_tokens: K operations.
    hidden_size: of each LSTM layer.
    num_layers: of the LSTM.
    tanh_constant: bounds the logits; None for no bound.
    temperature: divides them before; None for no division.
    feed_back: whether a step reads what was chosen in the one before (a token
      as one-hot, edges as they are); otherwise all steps read zeros, as the
      article about the code says, and choices do not depend on each other.

  Raises:
    ValueError: a size that is not positive.
  """
  recurrent.check(num_nodes=num_nodes, num_tokens=num_tokens,
                  hidden_size=hidden_size, num_layers=num_layers,
                  tanh_constant=tanh_constant, temperature=temperature)
  return recurrent.bundle(_Policy(
      num_nodes, num_tokens, hidden_size, num_layers, tanh_constant,
      temperature, feed_back))


class _Policy(nn.Module):
  """T = 2 (2 N - 1) steps; W wide, so that a token or a node's edges fit."""
  num_nodes: int
  num_tokens: int
  hidden_size: int
  num_layers: int
  tanh_constant: float | None
  temperature: float | None
  feed_back: bool

  def setup(self):
    n, hidden = self.num_nodes, self.hidden_size
    self.width = max(n - 1, self.num_tokens)
    self.num_bits = adjacency.num_bits(n)
    self.lstm = recurrent.Stack(self.width, hidden, self.num_layers, .1)
    kernels = nn.initializers.truncated_normal((2 / hidden) ** .5)
    zeros = nn.initializers.zeros_init()
    self.token_kernels = self.param(
        'token_kernels', kernels, (_NUM_CELLS * n, self.num_tokens, hidden))
    self.token_biases = self.param(
        'token_biases', zeros, (_NUM_CELLS * n, self.num_tokens))
    # The heads of a cell's nodes one after the other: node i has i rows.
    self.edge_kernels = self.param(
        'edge_kernels', kernels, (_NUM_CELLS, self.num_bits, hidden))
    self.edge_biases = self.param(
        'edge_biases', zeros, (_NUM_CELLS, self.num_bits))

  def sample(self, key):
    steps = _NUM_CELLS * (2 * self.num_nodes - 1)
    is_token = np.arange(steps) % (2 * self.num_nodes - 1) % 2 == 0
    keys = jax.random.split(key)
    shape = (steps, self.width)
    noise = jnp.where(is_token[:, None], jax.random.gumbel(keys[0], shape),
                      jax.random.logistic(keys[1], shape))
    scan = nn.scan(_Policy._sample_step, variable_broadcast='params',
                   split_rngs={'params': False})
    start = self.lstm.start(), jnp.zeros(self.width)
    _, (chosen, logits) = scan(
        self, start, (self._heads(), is_token, self._possible(), noise))
    genome = self._genome(chosen)
    return genome, self._scores(logits, genome)

  def score(self, genome):
    chosen = self._chosen(genome)
    inputs = (recurrent.delayed(chosen) if self.feed_back else
              jnp.zeros_like(chosen))
    kernels, biases = self._heads()
    states = self.lstm.unroll(inputs)
    logits = self._squash(jnp.einsum('th,twh->tw', states, kernels) + biases)
    return self._scores(logits, genome)

  def _sample_step(self, carry, now):
    state, x = carry
    (kernel, bias), is_token, possible, noise = now
    state, h = self.lstm(state, x)
    logits = self._squash(kernel @ h + bias)
    noisy = recurrent.masked(logits + noise, possible)
    chosen = jnp.where(
        is_token, jax.nn.one_hot(jnp.argmax(noisy), self.width), noisy > 0)
    return (state, chosen if self.feed_back else x), (chosen, logits)

  def _squash(self, logits):
    return recurrent.squash(logits, self.tanh_constant, self.temperature)

  def _heads(self):
    """Kernels [T, W, H] and biases [T, W]; where nothing is chosen, 0."""
    extra = self.width - self.num_tokens
    kernels = _pad(self.token_kernels, 1, extra)
    biases = _pad(self.token_biases, 1, extra)
    return (self._by_step(kernels, self._by_node(self.edge_kernels)),
            self._by_step(biases, self._by_node(self.edge_biases)))

  def _possible(self):
    """Which of the W columns of a step are choices: bool[T, W]."""
    tokens = np.arange(self.width) < self.num_tokens
    edges = np.arange(self.width) < np.arange(1, self.num_nodes)[:, None]
    return self._by_step(
        jnp.tile(tokens, (_NUM_CELLS * self.num_nodes, 1)),
        jnp.tile(edges, (_NUM_CELLS, 1, 1)))

  def _chosen(self, genome):
    """What was chosen in each step: float32[T, W], one-hot or bits."""
    tokens, bits = self._parts(genome)
    return self._by_step(jax.nn.one_hot(tokens, self.width),
                         self._by_node(bits.astype(jnp.float32)))

  def _genome(self, chosen):
    tokens, edges = self._by_kind(chosen)
    return jnp.concatenate(
        [jnp.argmax(tokens, -1), self._flat(edges)]).astype(jnp.int32)

  def _scores(self, logits, genome):
    tokens, bits = self._parts(genome)
    of_tokens, of_edges = self._by_kind(logits)
    parts = (
        recurrent.categorical(of_tokens[:, :self.num_tokens], tokens),
        recurrent.bernoulli(self._flat(of_edges), bits.reshape(-1)))
    return base.Score(*map(jnp.concatenate, zip(*parts)))

  def _parts(self, genome):
    """Tokens [2 N] and bits [2, N (N - 1) / 2]."""
    count = _NUM_CELLS * self.num_nodes
    return genome[:count], genome[count:].reshape(_NUM_CELLS, self.num_bits)

  def _by_step(self, tokens, edges):
    """Puts [2 N, ...] and [2, N - 1, ...] into the order of the T steps."""
    tokens = tokens.reshape(_NUM_CELLS, self.num_nodes, *tokens.shape[1:])
    pairs = jnp.stack([edges, tokens[:, 1:]], 2)
    pairs = pairs.reshape(_NUM_CELLS, -1, *tokens.shape[2:])
    steps = jnp.concatenate([tokens[:, :1], pairs], 1)
    return steps.reshape(-1, *tokens.shape[2:])

  def _by_kind(self, steps):
    """[T, ...] to [2 N, ...] and [2, N - 1, ...], the inverse."""
    steps = steps.reshape(_NUM_CELLS, -1, *steps.shape[1:])
    tokens = steps[:, ::2]
    return tokens.reshape(-1, *tokens.shape[2:]), steps[:, 1::2]

  def _by_node(self, bits):
    """[2, N (N - 1) / 2, ...] to [2, N - 1, W, ...], 0 where is no bit."""
    rows, columns = np.tril_indices(self.num_nodes - 1)
    index = np.full((self.num_nodes - 1, self.width), self.num_bits)
    index[rows, columns] = np.arange(self.num_bits)
    return _pad(bits, 1, 1)[:, index]

  def _flat(self, edges):
    """[2, N - 1, W] to [N (N - 1)] bits, the inverse of `_by_node`."""
    rows, columns = np.tril_indices(self.num_nodes - 1)
    return edges[:, rows, columns].reshape(-1)


def _pad(x, axis, count):
  widths = [(0, 0)] * x.ndim
  widths[axis] = (0, count)
  return jnp.pad(x, widths)
