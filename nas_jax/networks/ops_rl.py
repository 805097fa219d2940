"""Operations of NAS-RL, ENAS (macro) and AutoDL Design.

References:
  Zoph, Le, arXiv 1611.01578, sec. 4.1; Pham et al., arXiv 1802.03268, and
  melodyguan/enas general_child.py; PaddlePaddle/AutoDL inception_train/models.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import ops
from nas_jax.networks import pooling

Array = jax.Array


class ConvNormRelu(ops.Op):
  """Convolution, norm, ReLU; the stride may differ between the axes."""
  stride: int | tuple[int, int] = 1
  size: tuple[int, int] = (3, 3)

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = ops.conv(self.style, x, self.features, self.size, self.stride)
    return nn.relu(self.norm(x, train))


class PointwiseThen(ops.Op):
  """ReLU, 1x1 convolution, norm; then another convolution or a pool."""
  kind: str = 'conv'  # or 'separable', 'avg', 'max'
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = ops.Conv(self.features, style=self.style)(x, train)
    if self.kind == 'conv':
      return ops.Conv(self.features, self.stride, self.style,
                      ((self.size, self.size),))(x, train)
    if self.kind == 'separable':
      return ops.SeparableConv(
          self.features, self.stride, self.style, self.size, repeats=1)(
              x, train)
    return ops.Pool(
        self.features, self.stride, self.style, self.kind, self.size)(x, train)


class Affine(nn.Module):
  """k x k convolution with a bias and nothing else."""
  features: int
  size: tuple[int, int] = (1, 1)
  style: ops.Style = ops.Style()

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return ops.conv(self.style, x, self.features, self.size, use_bias=True)


class NormRelu(nn.Module):
  """Norm, ReLU."""
  style: ops.Style = ops.Style()

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return nn.relu(ops.norm(self.style, x, train))


class NormReluConv(ops.Op):
  """Norm, ReLU, then the convolutions of `sizes`, each with a bias.

  With a stride, a dilated convolution is not dilated. One convolution changes
  the channels itself; several keep them, each strides along its own axis, and
  a 1x1 convolution follows where the channels or the size must change.
  """
  sizes: tuple[tuple[int, int], ...] = ((1, 1),)
  dilation: int = 1

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = nn.relu(self.norm(x, train))
    if len(self.sizes) == 1:
      dilation = self.dilation if self.stride == 1 else 1
      return ops.conv(self.style, x, self.features, self.sizes[0], self.stride,
                      dilation, use_bias=True)
    channels = x.shape[-1]
    for height, width in self.sizes:
      stride = (self.stride if height > 1 else 1,
                self.stride if width > 1 else 1)
      x = ops.conv(self.style, x, channels, (height, width), stride,
                   use_bias=True)
    if channels == self.features and self.stride == 1:
      return x
    return ops.conv(self.style, x, self.features, use_bias=True)


class NormReluPool(ops.Op):
  """Norm, ReLU, k x k pool; a 1x1 convolution where channels or size change.

  Note: an average with a stride counts the padding where there is more of it
  behind than in front, as in the published code; elsewhere it does not.
  """
  kind: str = 'max'
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    channels = x.shape[-1]
    uneven = any(n % 2 == 0 for n in x.shape[1:3])
    x = pooling.pool(
        nn.relu(self.norm(x, train)), self.kind, self.size, self.stride,
        self.style.padding, count_padding=self.stride == 2 and uneven)
    if channels == self.features and self.stride == 1:
      return x
    return ops.conv(self.style, x, self.features, use_bias=True)


class PadConcat(nn.Module):
  """Concatenates values of any sizes on the channels.

  Smaller ones get zeros around them up to the largest height and width.

  Note: the paper does not say where the zeros go; here they are spread evenly,
  an odd one behind, so that centres coincide.
  """

  @nn.compact
  def __call__(self, *inputs_and_train) -> Array:
    *inputs, _ = inputs_and_train
    height, width = (max(x.shape[axis] for x in inputs) for axis in (1, 2))
    return jnp.concatenate(
        [jnp.pad(x, ((0, 0), _around(x.shape[1], height),
                     _around(x.shape[2], width), (0, 0))) for x in inputs], -1)


def _around(length: int, wanted: int) -> tuple[int, int]:
  return (wanted - length) // 2, -((length - wanted) // 2)
