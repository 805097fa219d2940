"""Operations of the tabular benchmarks.

References:
  Ying et al., NAS-Bench-101, arXiv 1902.09635; nasbench/lib/base_ops.py.
  Dong, Yang, NAS-Bench-201, arXiv 2001.00326; models/cell_operations.py of
    D-X-Y/NAS-Bench-201.
"""

import flax.linen as nn
import jax

from nas_jax.networks import ops
from nas_jax.networks import pooling

Array = jax.Array


class ConvNormRelu(ops.Op):
  """k x k convolution, norm, ReLU: NAS-Bench-101."""
  size: int = 1

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = ops.conv(
        self.style, x, self.features, (self.size, self.size), self.stride)
    return nn.relu(self.norm(x, train))


class ReluConvNorm(ops.Op):
  """ReLU, k x k convolution, norm: NAS-Bench-201.

  The convolution has a bias where the norm has none. A `weight`, float[], of
  the result costs no pass over it.
  """
  size: int = 1

  @nn.compact
  def __call__(self, x: Array, train: bool, weight: Array | None = None
               ) -> Array:
    x = ops.conv(
        self.style, ops.relu(x), self.features, (self.size, self.size),
        self.stride, use_bias=not self.style.affine)
    return self.norm(x, train, weight)


class Skip(ops.Op):
  """The input itself; 1x1 convolution and norm where channels differ.

  With stride 2 ReLU and a factorized reduction, as in DARTS.
  """

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if x.shape[-1] == self.features and self.stride == 1:
      return x
    x = nn.relu(x) if self.stride > 1 else x
    return ops.FactorizedReduction(
        self.features, self.stride, self.style)(x, train)


class AveragePool(ops.Op):
  """3x3 average; ReLU, 1x1 convolution, norm before where channels differ."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if x.shape[-1] != self.features:
      x = self.match(nn.relu(x), train)
    return pooling.pool(x, 'avg', 3, self.stride, self.style.padding)
