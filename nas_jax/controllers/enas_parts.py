"""What the controllers of ENAS are made of."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax import base
from nas_jax.controllers import recurrent

# Of a choice with probability p: -p log p, as in the published code of two of
# the searches, or the entropy of the distribution.
ENTROPIES = ('sampled', 'full')


class Lstm(nn.Module):
  """One layer without biases: gates i, f, o, g from one product."""
  hidden_size: int
  init_scale: float

  def setup(self):
    size = self.hidden_size
    self.kernel = self.param(
        'kernel', recurrent.uniform(self.init_scale), (2 * size, 4 * size))

  def start(self):
    return (jnp.zeros(self.hidden_size),) * 2

  def __call__(self, state, x):
    """(h, c), x [H] -> the next state."""
    h, c = state
    i, f, o, g = jnp.split(jnp.concatenate([x, h]) @ self.kernel, 4)
    return recurrent.gates(jnp.concatenate([i, g, f, o]), c)


class Policy(nn.Module):
  """What all have: K operations, H hidden units."""

  def _setup(self, own_kernel=True):
    """Parameters; without a kernel the embeddings give logits, too."""
    k, hidden = self.num_operations, self.hidden_size
    uniform = recurrent.uniform(self.init_scale)
    self.lstm = Lstm(hidden, self.init_scale)
    self.start = self.param('start', uniform, (hidden,))
    self.embeddings = self.param('embeddings', uniform, (k, hidden))
    if own_kernel:
      self.kernel = self.param('kernel', uniform, (hidden, k))
    self.previous = self.param('previous', uniform, (hidden, hidden))
    self.current = self.param('current', uniform, (hidden, hidden))
    self.v = self.param('v', uniform, (hidden,))

  def _attention(self, keys, h):
    """Logits [N] of anchors with keys W1 h_j [N, H]."""
    return recurrent.squash(
        jnp.tanh(keys + h @ self.current) @ self.v, self.tanh_constant,
        self.temperature)

  def _scan(self, step, carry, now):
    return nn.scan(step, variable_broadcast='params',
                   split_rngs={'params': False})(self, carry, now)


def only(choices: jax.Array, count: int) -> jax.Array:
  """Noise under which a softmax has no choice but these: [...] to [..., C]."""
  return jnp.where(jax.nn.one_hot(choices, count) > 0, 0, -jnp.inf)


def of_kind(kind: str, score: base.Score) -> base.Score:
  """A score whose entropies are of one of `ENTROPIES`."""
  if kind == 'full':
    return score
  return score._replace(
      entropies=-jnp.exp(score.log_probs) * score.log_probs)
