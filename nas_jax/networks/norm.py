"""Batch normalisation."""

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
  def __call__(self, x: Array, train: bool) -> Array:
    """float[B, ..., C] -> the same."""
    channels = x.shape[-1]
    mean_ = self.variable(
        'batch_stats', 'mean', lambda: jnp.zeros(channels, jnp.float32))
    var_ = self.variable(
        'batch_stats', 'var', lambda: jnp.ones(channels, jnp.float32))
    if train:
      axes = tuple(range(x.ndim - 1))
      wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
      mean, square = jnp.mean(wide, axes), jnp.mean(wide * wide, axes)
      count = x.size // channels
      if self.axis_name and not self.is_initializing():
        mean, square = jax.lax.pmean((mean, square), self.axis_name)
        count *= jax.lax.axis_size(self.axis_name)
      var = jnp.maximum(square - mean * mean, 0)
      if not self.is_initializing():
        unbiased = var * (count / max(count - 1, 1))
        mean_.value = self._blend(mean_.value, mean)
        var_.value = self._blend(var_.value, unbiased)
    else:
      mean, var = mean_.value, var_.value
    factor = jax.lax.rsqrt(var + self.epsilon)
    if not self.affine:
      return ((x - mean) * factor).astype(x.dtype)
    scale = self.param('scale', nn.initializers.ones, (channels,))
    bias = self.param('bias', nn.initializers.zeros, (channels,))
    return ((x - mean) * (factor * scale) + bias).astype(x.dtype)

  def _blend(self, old: Array, new: Array) -> Array:
    return self.momentum * old + (1 - self.momentum) * new
