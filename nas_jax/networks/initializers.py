"""Initial weights, drawn on the host.

XLA takes longer to compile the random draws of one small network than to
train it. Outside a trace the draws are therefore made with numpy from the
same key; inside one (shape evaluation, a vmapped init) by JAX.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

Array = jax.Array


def fan_out(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
  """Truncated normal of variance 2 / fan-out (slim's `variance_scaling`).

  Args:
    key: one key.
    shape: [..., inputs, outputs], leading axes the receptive field.
    dtype: of the result.
  """
  fan = shape[-1] * int(np.prod(shape[:-2]))
  return _truncated_normal(key, shape, (2 / fan) ** .5, dtype)


def depthwise(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
  """As `fan_out` for one filter per channel, [k, k, C]: fan-out k * k."""
  return _truncated_normal(key, shape, (2 / shape[0] ** 2) ** .5, dtype)


def _truncated_normal(key, shape, deviation, dtype) -> Array:
  """Cut at two standard deviations of the uncut normal, then scaled."""
  deviation /= 0.87962566103423978  # standard deviation after the cut
  if isinstance(key, jax.core.Tracer):
    return deviation * jax.random.truncated_normal(key, -2., 2., shape, dtype)
  words = np.asarray(jax.random.key_data(key)).astype(np.uint64).ravel()
  seed = np.random.SeedSequence([int(w) for w in words])
  bits = np.random.Philox(seed).random_raw(int(np.prod(shape)))
  uniform = ((bits >> np.uint64(11)) + .5) * 2.**-53
  low, high = scipy.special.ndtr([-2., 2.])
  unit = scipy.special.ndtri(low + (high - low) * uniform)
  return jnp.asarray((deviation * unit).reshape(shape), dtype)
