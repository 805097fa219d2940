"""Every primitive operation, said once: layout NHWC, kernels HWIO.

`NASNET` is the table of the NASNet and AmoebaNet papers: ReLU, convolution,
batch norm in this order; separable convolutions applied twice; 'SAME' padding;
a 1x1 convolution wherever the number of channels must change.

References:
  Zoph et al., Learning Transferable Architectures, arXiv 1707.07012, sec. 3
    and appendix A.4; tensorflow/models nasnet_utils.py.
  Real et al., Regularized Evolution, arXiv 1802.01548, sec. 3;
    tensorflow/tpu amoeba_net/network_utils.py.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
import numpy as np

from nas_jax.networks import initializers
from nas_jax.networks import separable

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Style:
  """What all operations of one network share.

  Attributes:
    momentum: decay of batch norm's running statistics, per step.
    epsilon: what batch norm adds to the variance.
    axis_name: pmap axis over which batch statistics are averaged, or None.
    lowering: how separable convolutions reach XLA (`separable.LOWERINGS`).
  """
  momentum: float = 0.9
  epsilon: float = 1e-5
  axis_name: str | None = None
  lowering: str = 'auto'


class Op(nn.Module):
  """One operation between two states; called as op(x, train).

  Attributes:
    features: output channels F.
    stride: 1, or 2 to halve height and width.
    style: shared settings.
  """
  features: int
  stride: int = 1
  style: Style = Style()

  def norm(self, x: Array, train: bool) -> Array:
    return norm(self.style, x, train)

  def match(self, x: Array, train: bool, stride: int = 1) -> Array:
    """1x1 convolution and batch norm where the channels differ."""
    if x.shape[-1] == self.features and stride == 1:
      return x
    return self.norm(conv(x, self.features, stride=stride), train)


class Identity(Op):
  """The input itself; ReLU, 1x1 convolution, norm where shapes differ."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if x.shape[-1] == self.features and self.stride == 1:
      return x
    return self.match(nn.relu(x), train, self.stride)


class Pool(Op):
  """k x k average (padding not counted), maximum or minimum."""
  kind: str = 'max'
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return self.match(pool(x, self.kind, self.size, self.stride), train)


class Conv(Op):
  """ReLU, k x k convolution, norm; NASNet's plain convolutions.

  With `bottleneck` = b > 0 the convolutions of `sizes` run at F / b channels
  between two 1x1 convolutions (AmoebaNet's code); each is followed by norm.
  """
  sizes: tuple[tuple[int, int], ...] = ((1, 1),)
  dilation: int = 1
  bottleneck: float = 0.

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    inner = int(self.features / self.bottleneck) if self.bottleneck else (
        self.features)
    if not inner:
      raise ValueError(f'{self.features} features are too few for an operation '
                       f'that divides them by {self.bottleneck:.3g}')
    if self.bottleneck:
      x = self.norm(conv(nn.relu(x), inner), train)
    for height, width in self.sizes:
      # Each of two factors strides along its own axis only.
      stride = ((self.stride if height > 1 or width == 1 else 1),
                (self.stride if width > 1 or height == 1 else 1))
      x = conv(nn.relu(x), inner, (height, width), stride, self.dilation)
      x = self.norm(x, train)
    if self.bottleneck:
      x = self.norm(conv(nn.relu(x), self.features), train)
    return x


class SeparableConv(Op):
  """(ReLU, depthwise k x k, pointwise 1 x 1, norm), `repeats` times."""
  size: int = 3
  dilation: int = 1
  repeats: int = 2

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    for i in range(self.repeats):
      channels = x.shape[-1]
      depthwise = self.param(
          f'depthwise_{i}', initializers.depthwise,
          (self.size, self.size, channels))
      pointwise = self.param(
          f'pointwise_{i}', initializers.fan_out, (channels, self.features))
      x = separable.separable(
          nn.relu(x), depthwise, pointwise, stride=1 if i else self.stride,
          dilation=self.dilation, lowering=self.style.lowering)
      x = self.norm(x, train)
    return x


class FactorizedReduction(Op):
  """Stride 2 without losing pixels: two 1x1 paths of F / 2, one shifted.

  With stride 1 it is a 1x1 convolution and norm.

  Raises:
    ValueError: an odd number of features with stride 2.
  """

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if self.stride == 1:
      return self.norm(conv(x, self.features), train)
    if self.features % 2:
      raise ValueError('a factorized reduction splits its features in two '
                       f'halves, got {self.features}')
    half = self.features // 2
    shifted = jnp.pad(x[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
    paths = [conv(y[:, ::2, ::2], half) for y in (x, shifted)]
    return self.norm(jnp.concatenate(paths, -1), train)


class ReluFactorizedReduction(Op):
  """ReLU, then `FactorizedReduction`."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return FactorizedReduction(
        self.features, self.stride, self.style)(nn.relu(x), train)


def norm(style: Style, x: Array, train: bool) -> Array:
  """Batch norm inside a compact module."""
  return nn.BatchNorm(
      use_running_average=not train, momentum=style.momentum,
      epsilon=style.epsilon, axis_name=style.axis_name)(x)


def conv(
    x: Array, features: int, size: tuple[int, int] = (1, 1),
    stride: int | tuple[int, int] = 1, dilation: int = 1, padding: str = 'SAME'
) -> Array:
  """Convolution without bias inside a compact module."""
  return nn.Conv(
      features, size, stride, padding, kernel_dilation=dilation,
      use_bias=False, kernel_init=initializers.fan_out)(x)


def pool(x: Array, kind: str, size: int, stride: int) -> Array:
  """k x k pooling with 'SAME' padding: [B, H, W, C] -> [B, H', W', C].

  Args:
    x: float[B, H, W, C].
    kind: 'avg' (padding excluded from the count), 'max' or 'min'.
    size: k.
    stride: 1 or 2.
  """
  if kind == 'avg':
    rows, columns = (_counts(n, size, stride) for n in x.shape[1:3])
    weights = 1 / np.outer(rows, columns)[..., None]
    return _windows(x, jnp.add, 0., size, stride) * weights.astype(x.dtype)
  if kind == 'min':
    return -pool(-x, 'max', size, stride)
  return _windows(x, jnp.maximum, -jnp.inf, size, stride)


def _windows(
    x: Array, combine: Callable[[Array, Array], Array], empty: float,
    size: int, stride: int
) -> Array:
  """Combines k x k windows, one axis after the other, by shifted slices.

  The gradient of `lax.reduce_window` with a maximum (select-and-scatter) is
  ten times slower on CPUs.
  """
  for axis in (1, 2):
    (pads,) = lax.padtype_to_pads(
        (x.shape[axis],), (size,), (stride,), 'SAME')
    padded = jnp.pad(
        x, [pads if i == axis else (0, 0) for i in range(4)],
        constant_values=empty)
    span = (-(-x.shape[axis] // stride) - 1) * stride + 1
    x = functools.reduce(combine, [
        lax.slice_in_dim(padded, i, i + span, stride, axis)
        for i in range(size)])
  return x


def _counts(length: int, size: int, stride: int) -> np.ndarray:
  """How many pixels of an axis each window covers, padding left out."""
  ((before, _),) = lax.padtype_to_pads((length,), (size,), (stride,), 'SAME')
  starts = np.arange(-(-length // stride)) * stride - before
  return np.minimum(starts + size, length) - np.maximum(starts, 0)


# AmoebaNet's and NASNet's published operations, DARTS' names.
NASNET: Mapping[str, Callable[..., Op]] = dict(
    skip_connect=Identity,
    conv_1x3_3x1=functools.partial(
        Conv, sizes=((1, 3), (3, 1)), bottleneck=8 / 3),
    conv_1x7_7x1=functools.partial(
        Conv, sizes=((1, 7), (7, 1)), bottleneck=4),
    dil_conv_3x3=functools.partial(
        Conv, sizes=((3, 3),), dilation=2, bottleneck=4),
    avg_pool_3x3=functools.partial(Pool, kind='avg'),
    max_pool_3x3=functools.partial(Pool, kind='max'),
    max_pool_5x5=functools.partial(Pool, kind='max', size=5),
    max_pool_7x7=functools.partial(Pool, kind='max', size=7),
    conv_1x1=Conv,
    conv_3x3=functools.partial(Conv, sizes=((3, 3),), bottleneck=4),
    sep_conv_3x3=functools.partial(SeparableConv, size=3),
    sep_conv_5x5=functools.partial(SeparableConv, size=5),
    sep_conv_7x7=functools.partial(SeparableConv, size=7),
    # Only in AmoebaNet's spaces.
    max_pool_2x2=functools.partial(Pool, kind='max', size=2),
    dil_sep_conv_3x3=functools.partial(SeparableConv, size=3, dilation=2),
    dil_sep_conv_5x5=functools.partial(SeparableConv, size=5, dilation=2),
)

TABLES: Mapping[str, Mapping[str, Callable[..., Op]]] = dict(nasnet=NASNET)
