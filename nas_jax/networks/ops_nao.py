"""Operations of NAO's and ENAS' cells that differ from NASNet's.

References:
  Luo et al., arXiv 1808.07233; the NAO networks in TensorFlow and PyTorch.
  Pham et al., arXiv 1802.03268; melodyguan/enas micro_child.py.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import ops
from nas_jax.networks import pooling

Array = jax.Array


class Identity(ops.Op):
  """The input itself; a factorized reduction without ReLU at stride 2."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if self.stride == 2:
      return ops.FactorizedReduction(self.features, 2, self.style)(x, train)
    return x if x.shape[-1] == self.features else ops.Conv(
        self.features, style=self.style)(x, train)


class Pool(ops.Op):
  """k x k pool; ReLU, 1x1 convolution, norm where the channels differ."""
  kind: str = 'max'
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = pooling.pool(x, self.kind, self.size, self.stride, self.style.padding)
    return x if x.shape[-1] == self.features else ops.Conv(
        self.features, style=self.style)(x, train)


class ZeroPaddedPool(ops.Op):
  """2 x 2 pool over an image with a row and a column of zeros at its end.

  The zeros count as pixels.
  """
  kind: str = 'max'

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    return pooling.pool(x, self.kind, 2, self.stride, 'valid')


class FactorizedConv(ops.Op):
  """(ReLU, convolution, norm) 1 x k, then k x 1, at full width.

  The first has the whole stride, along both axes.
  """
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    for shape, stride in (((1, self.size), self.stride), ((self.size, 1), 1)):
      x = ops.conv(self.style, nn.relu(x), self.features, shape, stride)
      x = self.norm(x, train)
    return x
