"""A softmax LSTM over the positions of any space.

Reference: Zoph, Vasudevan, Shlens, Le, Learning Transferable Architectures
  for Scalable Image Recognition, arXiv 1707.07012, appendix A: one layer of
  100 units, weights uniform in +-0.1.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.controllers import recurrent


def controller(
    choices: Sequence[Sequence[Any]],
    *,
    hidden_size: int = 100,
    num_layers: int = 1,
    init_scale: float = 0.1,
    tanh_constant: float | None = None,
    temperature: float | None = None,
) -> base.Controller:
  """A policy that chooses position by position.

  Every position has its own softmax, and its own embedding of its choices,
  which is what the LSTM reads next.

  Args:
    choices: of each position, as `base.Space.choices`.
    hidden_size: of each LSTM layer, and of embeddings.
    num_layers: of the LSTM.
    init_scale: weights start uniform in +-init_scale.
    tanh_constant: bounds the logits to +-tanh_constant; None for no bound.
    temperature: divides the logits before; None for no division.

  Raises:
    ValueError: no position, a position without a choice, or a size or a scale
      that is not positive.

  Note: the paper publishes size and range of the weights. That embeddings are
    as wide as the LSTM, that the first input is 0 and biases start at 0 is
    chosen here.
  """
  sizes = tuple(map(len, choices))
  if not sizes or not all(sizes):
    raise ValueError(f'every position needs a choice, and there must be one; '
                     f'got positions of {sizes} choices')
  recurrent.check(hidden_size=hidden_size, num_layers=num_layers,
                  init_scale=init_scale, tanh_constant=tanh_constant,
                  temperature=temperature)
  policy = _Policy(sizes, hidden_size, num_layers, init_scale, tanh_constant,
                   temperature)
  return recurrent.bundle(policy)


class _Policy(nn.Module):
  """L positions of at most C choices; H wide."""
  sizes: tuple[int, ...]
  hidden_size: int
  num_layers: int
  init_scale: float
  tanh_constant: float | None
  temperature: float | None

  def setup(self):
    shape = len(self.sizes), max(self.sizes)
    uniform = recurrent.uniform(self.init_scale)
    self.lstm = recurrent.Stack(self.hidden_size, self.hidden_size,
                                self.num_layers, self.init_scale)
    self.kernels = self.param('kernels', uniform, (*shape, self.hidden_size))
    self.biases = self.param('biases', nn.initializers.zeros_init(), shape)
    self.embeddings = self.param(
        'embeddings', uniform, (*shape, self.hidden_size))
    self.possible = (
        np.arange(shape[1]) < np.array(self.sizes)[:, None])  # bool[L, C]

  def sample(self, key):
    noise = jax.random.gumbel(key, self.possible.shape)
    scan = nn.scan(_Policy._sample_step, variable_broadcast='params',
                   split_rngs={'params': False})
    start = self.lstm.start(), jnp.zeros(self.hidden_size)
    _, (genome, logits) = scan(self, start, (
        self.kernels, self.biases, self.embeddings, self.possible, noise))
    return genome, base.Score(*recurrent.categorical(logits, genome))

  def score(self, genome):
    inputs = recurrent.embed(self.embeddings, genome)
    states = self.lstm.unroll(recurrent.delayed(inputs))
    logits = recurrent.head(
        states, self.kernels, self.biases, self.possible, self.tanh_constant,
        self.temperature)
    return base.Score(*recurrent.categorical(logits, genome))

  def _sample_step(self, carry, now):
    return recurrent.choose(
        self.lstm, carry, now, self.tanh_constant, self.temperature)
