"""The controller of ENAS for recurrent cells.

Reference: Pham et al., Efficient Neural Architecture Search via Parameter
  Sharing, arXiv 1802.03268, sec. 2.1; the corrected public code of its
  language models (google-research, enas_lm).
"""

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import checks
from nas_jax.controllers import enas_parts
from nas_jax.controllers import recurrent

_SPREAD = 6.  # of the prior of distances: (l - j)^2 / 6 is taken off a logit
_NEAR = .1  # added to the distance that an anchor is divided by


def controller(
    num_nodes: int = 9,
    *,
    num_operations: int = 4,
    hidden_size: int = 64,
    init_scale: float = .01,
    tanh_constant: float | None = 2.25,
    temperature: float | None = 5.,
    entropy: str = 'sampled',
) -> base.Controller:
  """A policy over genomes of `spaces.recurrent.chain_space`.

  For node l = 1..N the LSTM reads x, and its state h_l is the node's anchor.
  The node reads state j < l with the logit v . tanh(W1 h_j + W2 h_l), bounded,
  less (l - j)^2 / 6; h_0 = 0. The LSTM reads h_j / (0.1 + l - j), and its
  state chooses the activation by products with the embeddings, bounded. The
  next x is the embedding of the chosen one; the first is a learned vector.
  A logit z is bounded by tanh_constant * tanh(z / temperature).

  With the defaults it has 41,344 parameters.

  Args:
    num_nodes: N.
    num_operations: K, of activations.
    hidden_size: of the LSTM's one layer.
    init_scale: parameters start uniform in +-init_scale.
    tanh_constant: bounds the logits; None for no bound.
    temperature: divides them before; None for no division.
    entropy: of a choice with probability p: 'sampled', -p log p of what was
      chosen, as in the public code, or 'full', that of the distribution.

  Raises:
    ValueError: an argument out of range.
  """
  recurrent.check(num_nodes=num_nodes, num_operations=num_operations,
                  hidden_size=hidden_size, init_scale=init_scale,
                  tanh_constant=tanh_constant, temperature=temperature)
  checks.one_of('entropy', entropy, enas_parts.ENTROPIES)
  return recurrent.bundle(_Chain(
      num_nodes, num_operations, hidden_size, init_scale, tanh_constant,
      temperature, entropy))


class _Chain(enas_parts.Policy):
  """N nodes; a genome has (predecessor, activation) for each."""
  num_nodes: int
  num_operations: int
  hidden_size: int
  init_scale: float
  tanh_constant: float | None
  temperature: float | None
  entropy: str

  def setup(self):
    self._setup(own_kernel=False)

  def sample(self, key):
    keys = jax.random.split(key)
    return self._run(
        jax.random.gumbel(keys[0], (self.num_nodes, self.num_nodes)),
        jax.random.gumbel(keys[1], (self.num_nodes, self.num_operations)))

  def score(self, genome):
    choices = genome.reshape(self.num_nodes, 2)
    return self._run(
        enas_parts.only(choices[:, 0], self.num_nodes),
        enas_parts.only(choices[:, 1], self.num_operations))[1]

  def _run(self, input_noise, op_noise):
    """The genome and its score; noise [N, N] and [N, K]."""
    places = np.arange(self.num_nodes)

    def step(self, carry, now):
      state, x, anchors, keys = carry
      node, input_noise, op_noise = now
      state = self.lstm(state, x)
      h, distance = state[0], node - places
      logits = recurrent.masked(
          self._attention(keys, h) - distance**2 / _SPREAD, distance > 0)
      j = jnp.argmax(logits + input_noise)
      of_input = recurrent.categorical(logits, j)
      x = recurrent.embed(anchors, j) / (_NEAR + node - j)
      state = self.lstm(state, x)
      logits = recurrent.squash(state[0] @ self.embeddings.T,
                                self.tanh_constant, self.temperature)
      op = jnp.argmax(logits + op_noise)
      of_op = recurrent.categorical(logits, op)
      # The last node's anchor is nobody's input: its place does not exist.
      anchors = anchors.at[node].set(h)
      keys = keys.at[node].set(h @ self.previous)
      x = recurrent.embed(self.embeddings, op)
      return (state, x, anchors, keys), tuple(
          jnp.stack(pair) for pair in ((j, op), *zip(of_input, of_op)))

    zeros = jnp.zeros((self.num_nodes, self.hidden_size))
    _, found = self._scan(
        step, (self.lstm.start(), self.start, zeros, zeros),
        (1 + places, input_noise, op_noise))
    genome, log_probs, entropies = map(jnp.ravel, found)
    return genome.astype(jnp.int32), enas_parts.of_kind(
        self.entropy, base.Score(log_probs, entropies))
