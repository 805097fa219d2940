"""The softmax over a vocabulary, which costs as much as the cells.

Notation: N rows, d features, V words.
"""

import jax
import jax.numpy as jnp

Array = jax.Array
# Rows whose logits are made at a time: so that they stay in the cache of a CPU,
# or in the memory of an accelerator.
_ROWS, _ROWS_OF_ACCELERATOR = 256, 4096


def logits(outputs: Array, kernel: Array, bias: Array | None) -> Array:
  """float[..., d] and float[V, d] -> float[..., V]."""
  found = outputs @ kernel.T
  return found if bias is None else found + bias


def losses(outputs: Array, kernel: Array, bias: Array | None, targets: Array
           ) -> Array:
  """Cross-entropy of each row, in nats.

  Args:
    outputs: float[..., d].
    kernel: float[V, d].
    bias: float[V], or None.
    targets: int32[...].

  Returns:
    float[...].
  """
  found = logits(outputs, kernel, bias)
  return jax.nn.logsumexp(found, -1) - jnp.take_along_axis(
      found, targets[..., None], -1)[..., 0]


def weighted_loss(outputs: Array, kernel: Array, bias: Array | None,
                  targets: Array, weights: Array) -> Array:
  """sum(weights * losses), whose gradient is made along with it.

  The probabilities of all rows are never in memory at once, and not kept.

  Args:
    outputs: float[N, d].
    kernel: float[V, d].
    bias: float[V], or None.
    targets: int32[N].
    weights: float[N], not differentiated.

  Returns:
    float[].
  """
  if bias is None:
    bias = jnp.zeros(kernel.shape[0], kernel.dtype)
  return _weighted(outputs, kernel, bias, targets, weights)


@jax.custom_vjp
def _weighted(outputs, kernel, bias, targets, weights):
  def add(total, rows):
    outputs, targets, weights = rows
    return total + jnp.vdot(
        losses(outputs, kernel, bias, targets), weights), None

  start = jnp.zeros((), outputs.dtype)
  return jax.lax.scan(add, start, _parts(outputs, targets, weights))[0]


def _forward(outputs, kernel, bias, targets, weights):
  def add(carry, rows):
    total, of_kernel, of_bias = carry
    outputs, targets, weights = rows
    found = logits(outputs, kernel, bias)
    top = jnp.max(found, -1, keepdims=True)
    powers = jnp.exp(found - top)
    sums = jnp.sum(powers, -1, keepdims=True)
    right = jnp.take_along_axis(found, targets[:, None], -1)
    total += jnp.vdot((jnp.log(sums) + top - right)[:, 0], weights)
    hit = jnp.arange(found.shape[-1])[None] == targets[:, None]
    slope = (powers / sums - hit) * weights[:, None]
    return (total, of_kernel + slope.T @ outputs,
            of_bias + jnp.sum(slope, 0)), slope @ kernel

  start = (jnp.zeros((), outputs.dtype), jnp.zeros_like(kernel),
           jnp.zeros_like(bias))
  (total, of_kernel, of_bias), of_outputs = jax.lax.scan(
      add, start, _parts(outputs, targets, weights))
  of_outputs = of_outputs.reshape(-1, outputs.shape[-1])[:len(outputs)]
  return total, (of_outputs, of_kernel, of_bias)


def _backward(gradients, cotangent):
  return (*jax.tree.map(lambda g: cotangent * g, gradients), None, None)


_weighted.defvjp(_forward, _backward)


def _parts(*arrays):
  """Rows in parts of limited size, the last one filled with zeros."""
  size = len(arrays[0])
  most = _ROWS if jax.default_backend() == 'cpu' else _ROWS_OF_ACCELERATOR
  count = -(-size // most)
  rows = -(-size // count)
  fill = count * rows - size
  return tuple(
      jnp.pad(a, ((0, fill),) + ((0, 0),) * (a.ndim - 1)).reshape(
          count, rows, *a.shape[1:]) for a in arrays)
