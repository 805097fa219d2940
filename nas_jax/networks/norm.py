"""Batch normalisation."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array


class BatchNorm(nn.Module):
  """Normalises channels over the batch and the image.

  Statistics are computed in float32 or wider. The running variance is the
  unbiased one, as in PyTorch and TensorFlow's fused kernel (Flax's is not).

  Attributes:
    momentum: decay of the running statistics per step.
    epsilon: added to the variance.
    axis_name: pmap axis over which statistics are averaged, or None.
    affine: whether there are a scale and a bias.

  Reference: Ioffe, Szegedy, Batch Normalization, arXiv 1502.03167.
  """
  momentum: float = 0.9
  epsilon: float = 1e-5
  axis_name: str | None = None
  affine: bool = True

  @nn.compact
  def __call__(self, x: Array, train: bool, weight: Array | None = None
               ) -> Array:
    """float[B, ..., C] -> the same, times `weight`, float[], if given."""
    channels = x.shape[-1]
    mean_ = self.variable(
        'batch_stats', 'mean', lambda: jnp.zeros(channels, jnp.float32))
    var_ = self.variable(
        'batch_stats', 'var', lambda: jnp.ones(channels, jnp.float32))
    one = jnp.ones(channels, jnp.float32)
    scale = self.param('scale', nn.initializers.ones, (channels,)) if (
        self.affine) else one
    bias = self.param('bias', nn.initializers.zeros, (channels,)) if (
        self.affine) else 0 * one
    if weight is not None:
      scale, bias = scale * weight, bias * weight
    if not train:
      factor = jax.lax.rsqrt(var_.value + self.epsilon) * scale
      return ((x - mean_.value) * factor + bias).astype(x.dtype)
    axis = None if self.is_initializing() else self.axis_name
    y, mean, var = normalise(x, scale, bias, self.epsilon, axis)
    if not self.is_initializing():
      count = x.size // channels * (jax.lax.axis_size(axis) if axis else 1)
      unbiased = var * (count / max(count - 1, 1))
      mean_.value = self._blend(mean_.value, mean)
      var_.value = self._blend(var_.value, unbiased)
    return y

  def _blend(self, old: Array, new: Array) -> Array:
    return self.momentum * old + (1 - self.momentum) * new


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalise(x: Array, scale: Array, bias: Array, epsilon: float,
               axis: str | None) -> tuple[Array, Array, Array]:
  """Normalises by the statistics of the batch.

  The chain rule is written out: it reads the batch twice and keeps nothing of
  its size but x, where automatic differentiation keeps several copies.

  Args:
    x: float[B, ..., C].
    scale: float[C].
    bias: float[C].
    epsilon: added to the variance.
    axis: pmap axis of the statistics, or None.

  Returns:
    The output, and mean and biased variance float[C], which have no gradient.
  """
  return _normalise_forward(x, scale, bias, epsilon, axis)[0]


def _normalise_forward(x, scale, bias, epsilon, axis):
  wide = _widen(x)
  mean, square = _mean(wide, axis), _mean(wide * wide, axis)
  var = jnp.maximum(square - mean * mean, 0)
  factor = jax.lax.rsqrt(var + epsilon)
  y = ((x - mean) * (factor * scale) + bias).astype(x.dtype)
  return (y, mean, var), (x, scale, mean, factor)


def _normalise_backward(epsilon, axis, residuals, cotangents):
  """Ioffe and Szegedy, sec. 3, with x centred and scaled on the way."""
  del epsilon
  x, scale, mean, factor = residuals
  dy, wide = _widen(cotangents[0]), _widen(x)
  axes = tuple(range(x.ndim - 1))
  dbias = jnp.sum(dy, axes)
  dscale = (jnp.sum(dy * wide, axes) - mean * dbias) * factor
  count = x.size // x.shape[-1]
  mean_dy, mean_product = dbias / count, dscale / count
  if axis:
    mean_dy, mean_product = jax.lax.pmean((mean_dy, mean_product), axis)
  dx = (factor * scale) * (
      dy - mean_dy - (wide - mean) * (factor * mean_product))
  return dx.astype(x.dtype), dscale, dbias


normalise.defvjp(_normalise_forward, _normalise_backward)


def _widen(x: Array) -> Array:
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _mean(x: Array, axis: str | None) -> Array:
  mean = jnp.mean(x, tuple(range(x.ndim - 1)))
  return jax.lax.pmean(mean, axis) if axis else mean
