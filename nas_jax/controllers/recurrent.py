"""What controllers are made of: an LSTM, and distributions of choices."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax import base

_NEVER = -1e9  # the logit of what is no choice: its probability is exactly 0

Carry = tuple[tuple[jax.Array, jax.Array], ...]  # h and c [H] of each layer


def bundle(policy: nn.Module) -> base.Controller:
  """The controller of a module with methods `sample` and `score`.

  Args:
    policy: its parameters are made in `setup`, and those of its `lstm`.
  """
  def init(key):
    # Modules set themselves up at the first call: any call will do.
    return policy.init(key, method=lambda self: self.lstm.start())['params']

  def sample(params, key, *condition):
    return policy.apply({'params': params}, key, *condition, method='sample')

  def score(params, genome):
    return policy.apply({'params': params}, genome, method='score')

  return base.Controller(init, sample, score)


def check(**values: float | None) -> None:
  """Refuses numbers that are not positive; None passes.

  Raises:
    ValueError: the first such number, with its name.
  """
  for name, value in values.items():
    if value is not None and not value > 0:
      raise ValueError(f'{name} is {value}, expected a positive number')


class Stack(nn.Module):
  """Layers of LSTM cells with the gates i, j, f, o, without forget bias.

  c' = c sigmoid(f) + sigmoid(i) tanh(j), h' = tanh(c') sigmoid(o).

  Attributes:
    input_size: the width of x, I.
    hidden_size: of each layer, H.
    num_layers: how many.
    init_scale: weights start uniform in +-init_scale, biases at 0.
  """
  input_size: int
  hidden_size: int
  num_layers: int
  init_scale: float

  def setup(self):
    layers = []
    for i in range(self.num_layers):
      rows = (self.hidden_size if i else self.input_size) + self.hidden_size
      layers.append((
          self.param(f'kernel{i}', uniform(self.init_scale),
                     (rows, 4 * self.hidden_size)),
          self.param(f'bias{i}', nn.initializers.zeros_init(),
                     (4 * self.hidden_size,))))
    self.layers = tuple(layers)

  def start(self) -> Carry:
    zeros = jnp.zeros(self.hidden_size)
    return ((zeros, zeros),) * self.num_layers

  def __call__(self, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
    """One step: x [I] to the state of the last layer, h [H]."""
    carry, _ = _step(self.layers, carry, x)
    return carry, carry[-1][0]

  def unroll(self, xs: jax.Array) -> jax.Array:
    """All steps from the start: xs [T, I] to h [T, H] of the last layer.

    Its reverse-mode gradient sums over steps, and over examples of a `vmap`,
    in one product for each matrix; autodiff of the loop would add to the
    whole matrix at every step. There is no forward mode.
    """
    frozen, inputs = jax.lax.stop_gradient((self.layers, xs))
    _, saved = jax.lax.scan(
        lambda carry, x: _step(frozen, carry, x), self.start(), inputs)
    # Only the gradients of these sums count. What flows back in time is in
    # _states: here the states are constants.
    sums = []
    for i, (kernel, bias) in enumerate(self.layers):
      below = saved[i - 1].h if i else xs
      sums.append(jnp.concatenate([below, delayed(saved[i].h)], -1) @ kernel
                  + bias)
    return _states([kernel for kernel, _ in frozen], saved, sums)


def uniform(scale: float) -> nn.initializers.Initializer:
  """Uniform in +-scale."""
  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -scale, scale)
  return init


def squash(logits: jax.Array, tanh_constant: float | None,
           temperature: float | None) -> jax.Array:
  """tanh_constant * tanh(logits / temperature), each part if it is given."""
  if temperature is not None:
    logits = logits / temperature
  if tanh_constant is not None:
    logits = tanh_constant * jnp.tanh(logits)
  return logits


def head(h: jax.Array, kernel: jax.Array, bias: jax.Array,
         possible: jax.Array, tanh_constant: float | None = None,
         temperature: float | None = None) -> jax.Array:
  """Logits: h [..., H], kernels [..., C, H], biases [..., C] to [..., C]."""
  logits = jnp.einsum('...h,...ch->...c', h, kernel) + bias
  return masked(squash(logits, tanh_constant, temperature), possible)


def choose(lstm: Stack, carry: tuple[Carry, jax.Array], now: tuple,
           tanh_constant: float | None = None,
           temperature: float | None = None
           ) -> tuple[tuple[Carry, jax.Array], tuple[jax.Array, jax.Array]]:
  """One softmax step of sampling, for `nn.scan`.

  Args:
    lstm: reads the embedding of the choice before.
    carry: its state, and what it reads, [H].
    now: kernel [C, H], bias [C], embedding [C, H] and mask of possible
      choices [C] of the step, and Gumbel noise [C].
    tanh_constant: see `squash`.
    temperature: see `squash`.

  Returns:
    The next carry; the choice, int32[], and the logits, [C].
  """
  state, x = carry
  kernel, bias, embedding, possible, noise = now
  state, h = lstm(state, x)
  logits = head(h, kernel, bias, possible, tanh_constant, temperature)
  choice = jnp.argmax(logits + noise).astype(jnp.int32)
  return (state, embed(embedding, choice)), (choice, logits)


def embed(table: jax.Array, choice: jax.Array) -> jax.Array:
  """The row of each choice: [..., C, H] and int [...] to [..., H].

  A product, because that is its gradient as well, where rows would be added
  one at a time.
  """
  chosen = jax.nn.one_hot(choice, table.shape[-2])
  return jnp.einsum('...c,...ch->...h', chosen, table,
                    precision=jax.lax.Precision.HIGHEST)


def gates(sums: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The next h and c [..., H] from sums [..., 4 H], see `Stack`, and c."""
  i, j, f, o = jnp.split(sums, 4, -1)
  c = c * nn.sigmoid(f) + nn.sigmoid(i) * jnp.tanh(j)
  return jnp.tanh(c) * nn.sigmoid(o), c


def delayed(inputs: jax.Array) -> jax.Array:
  """What each step reads of [T, ...]: the one before; the first reads 0."""
  return jnp.concatenate([jnp.zeros_like(inputs[:1]), inputs[:-1]])


def masked(logits: jax.Array, mask: jax.Array) -> jax.Array:
  """The logits, with what is not in the mask impossible."""
  return jnp.where(mask, logits, _NEVER)


def categorical(logits: jax.Array, choice: jax.Array
                ) -> tuple[jax.Array, jax.Array]:
  """Log-probability of a choice, and entropy: [..., C], int [...] to [...]."""
  log_probs = nn.log_softmax(logits)
  chosen = jax.nn.one_hot(choice, logits.shape[-1])
  return (jnp.sum(log_probs * chosen, -1),
          -jnp.sum(jnp.exp(log_probs) * log_probs, -1))


def bernoulli(logits: jax.Array, bits: jax.Array
              ) -> tuple[jax.Array, jax.Array]:
  """Log-probability of bits that are 1 with sigmoid(logits), and entropy."""
  total = nn.softplus(logits)
  return logits * bits - total, total - logits * nn.sigmoid(logits)


class _Saved(NamedTuple):
  """What one step of one layer leaves for the backward pass."""
  sums: jax.Array  # float32[4 H], what the gates are functions of
  c_before: jax.Array  # float32[H]
  h: jax.Array  # float32[H]


def _step(layers, carry, x):
  after, saved = [], []
  for (kernel, bias), (h, c_before) in zip(layers, carry):
    sums = jnp.concatenate([x, h], -1) @ kernel + bias
    x, c = gates(sums, c_before)
    after.append((x, c))
    saved.append(_Saved(sums, c_before, x))
  return tuple(after), tuple(saved)


@jax.custom_vjp
def _states(kernels, saved, sums):
  """The states h [T, H] of the last layer as a function of the sums.

  Args:
    kernels: of each layer, constants.
    saved: `_Saved` of each layer with a leading axis T, constants.
    sums: of each layer [T, 4 H], what the gates are functions of, apart from
      what reaches them through states.
  """
  del kernels, sums
  return saved[-1].h


def _states_forward(kernels, saved, sums):
  return _states(kernels, saved, sums), (kernels, saved)


def _states_backward(residuals, grad):
  kernels, saved = residuals
  hidden = grad.shape[-1]
  transposed = [k.T for k in kernels]

  def step(carry, now):
    saved, above = now
    before, sums = [], []
    for layer in reversed(range(len(kernels))):
      (dh, dc), s = carry[layer], saved[layer]
      dz, dc = jax.vjp(gates, s.sums, s.c_before)[1]((dh + above, dc))
      if layer:
        dx = dz @ transposed[layer]
        above, dh = dx[..., :-hidden], dx[..., -hidden:]
      else:
        dh = dz @ transposed[0][:, -hidden:]
      before.append((dh, dc))
      sums.append(dz)
    return tuple(reversed(before)), list(reversed(sums))

  zeros = jnp.zeros(hidden)
  _, sums = jax.lax.scan(
      step, ((zeros, zeros),) * len(kernels), (saved, grad), reverse=True)
  none = jax.tree.map(jnp.zeros_like, (kernels, saved))
  return *none, sums


_states.defvjp(_states_forward, _states_backward)
