"""Operations of the one-shot model: norm, ReLU, convolution in this order.

Reference: Bender et al., Understanding and Simplifying One-Shot Architecture
Search, ICML 2018, sec. 3.
"""

import flax.linen as nn
import jax

from nas_jax.networks import initializers
from nas_jax.networks import ops
from nas_jax.networks import pooling
from nas_jax.networks import separable

Array = jax.Array


class Conv(ops.Op):
  """(Norm, ReLU, convolution) for each of `sizes`."""
  sizes: tuple[tuple[int, int], ...] = ((1, 1),)

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    for height, width in self.sizes:
      # Each of two factors strides along its own axis only.
      stride = ((self.stride if height > 1 or width == 1 else 1),
                (self.stride if width > 1 or height == 1 else 1))
      x = nn.relu(self.norm(x, train))
      x = ops.conv(self.style, x, self.features, (height, width), stride)
    return x


class SeparableConv(ops.Op):
  """(Norm, ReLU, depthwise k x k, pointwise 1 x 1), `repeats` times."""
  size: int = 3
  repeats: int = 2

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    for i in range(self.repeats):
      x = nn.relu(self.norm(x, train))
      depthwise = self.param(
          f'depthwise_{i}', initializers.depthwise(self.style.initializer),
          (self.size, self.size, x.shape[-1]))
      pointwise = self.param(
          f'pointwise_{i}', initializers.kernel(self.style.initializer),
          (x.shape[-1], self.features))
      x = separable.separable(
          x, depthwise.astype(x.dtype), pointwise.astype(x.dtype),
          stride=1 if i else self.stride, padding=self.style.padding,
          lowering=self.style.lowering)
    return x


class Identity(ops.Op):
  """The input itself; norm, ReLU, 1x1 convolution where shapes differ."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if x.shape[-1] == self.features and self.stride == 1:
      return x
    return Conv(self.features, self.stride, self.style)(x, train)


class Pool(ops.Op):
  """k x k pool; norm, ReLU, 1x1 convolution where the channels differ."""
  kind: str = 'max'
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = pooling.pool(x, self.kind, self.size, self.stride, self.style.padding)
    return x if x.shape[-1] == self.features else Conv(
        self.features, style=self.style)(x, train)
