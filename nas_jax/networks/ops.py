"""Every primitive operation, said once: layout NHWC, kernels HWIO.

Which of them a paper has, and with what settings, is said in tables.py.
"""

from collections.abc import Sequence
import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import initializers
from nas_jax.networks import norm as norms
from nas_jax.networks import pooling
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
    padding: 'same' (TensorFlow) or 'symmetric' (PyTorch), see padding.py.
    initializer: of all weights, a key of `initializers.RULES`.
    dtype: of the computation, such as 'bfloat16', float32 if not set;
      parameters and statistics are float32 always.
    affine: whether batch norm has a scale and a bias.
  """
  momentum: float = 0.9
  epsilon: float = 1e-5
  axis_name: str | None = None
  lowering: str = 'auto'
  padding: str = 'same'
  initializer: str = 'fan_out'
  dtype: str | None = None
  affine: bool = True


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

  def norm(self, x: Array, train: bool, weight: Array | None = None
           ) -> Array:
    return norm(self.style, x, train, weight)

  def match(self, x: Array, train: bool, stride: int = 1) -> Array:
    """1x1 convolution and batch norm where the channels differ."""
    if x.shape[-1] == self.features and stride == 1:
      return x
    return self.norm(
        conv(self.style, x, self.features, stride=stride), train)


class Identity(Op):
  """The input itself; ReLU, 1x1 convolution, norm where shapes differ."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if x.shape[-1] == self.features and self.stride == 1:
      return x
    return self.match(relu(x), train, self.stride)


class Pool(Op):
  """k x k average (padding not counted), maximum or minimum."""
  kind: str = 'max'
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = pooling.pool(x, self.kind, self.size, self.stride, self.style.padding)
    return self.match(x, train)


class Conv(Op):
  """(ReLU, convolution, norm) for each of `sizes`.

  With `bottleneck` = b > 0 the convolutions of `sizes` run at F / b channels
  between two 1x1 convolutions (AmoebaNet's code); each is followed by norm.
  With `factorized` there is neither norm nor ReLU between those of `sizes`.
  """
  sizes: tuple[tuple[int, int], ...] = ((1, 1),)
  dilation: int = 1
  bottleneck: float = 0.
  factorized: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    inner = int(self.features / self.bottleneck) if self.bottleneck else (
        self.features)
    if not inner:
      raise ValueError(f'{self.features} features are too few for an operation '
                       f'that divides them by {self.bottleneck:.3g}')
    if self.bottleneck:
      x = self.norm(conv(self.style, relu(x), inner), train)
    for i, (height, width) in enumerate(self.sizes):
      # Each of two factors strides along its own axis only.
      stride = ((self.stride if height > 1 or width == 1 else 1),
                (self.stride if width > 1 or height == 1 else 1))
      x = x if self.factorized and i else relu(x)
      x = conv(self.style, x, inner, (height, width), stride, self.dilation)
      if not self.factorized or i + 1 == len(self.sizes):
        x = self.norm(x, train)
    if self.bottleneck:
      x = self.norm(conv(self.style, relu(x), self.features), train)
    return x


class SeparableConv(Op):
  """(ReLU, depthwise k x k, pointwise 1 x 1, norm), `repeats` times.

  A `weight`, float[], of the result costs no pass over it.
  """
  size: int = 3
  dilation: int = 1
  repeats: int = 2

  @nn.compact
  def __call__(self, x: Array, train: bool, weight: Array | None = None
               ) -> Array:
    for i in range(self.repeats):
      channels = x.shape[-1]
      depthwise = self.param(
          f'depthwise_{i}', initializers.depthwise(self.style.initializer),
          (self.size, self.size, channels))
      pointwise = self.param(
          f'pointwise_{i}', initializers.kernel(self.style.initializer),
          (channels, self.features))
      x = separable.separable(
          relu(x), depthwise.astype(x.dtype), pointwise.astype(x.dtype),
          stride=1 if i else self.stride, dilation=self.dilation,
          padding=self.style.padding, lowering=self.style.lowering)
      x = self.norm(x, train, weight if i + 1 == self.repeats else None)
    return x


class FactorizedReduction(Op):
  """Stride 2 without losing pixels: two 1x1 paths of F / 2, one shifted.

  The shifted path has one channel more if F is odd, as in slim and in
  AmoebaNet's code. With stride 1 it is a 1x1 convolution and norm. With `relu`
  a ReLU comes first.

  Raises:
    ValueError: one feature with stride 2.
  """
  relu: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = relu(x) if self.relu else x
    if self.stride == 1:
      return self.norm(conv(self.style, x, self.features), train)
    half = self.features // 2
    if not half:
      raise ValueError('a factorized reduction splits its features in two, '
                       f'got {self.features}')
    shifted = jnp.pad(x[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
    paths = [conv(self.style, y[:, ::2, ::2], n) for y, n in (
        (x, half), (shifted, self.features - half))]
    return self.norm(jnp.concatenate(paths, -1), train)


ReluFactorizedReduction = functools.partial(FactorizedReduction, relu=True)


def skip_connect(features: int, stride: int = 1, style: Style = Style(),
                 name: str | None = None) -> Op:
  """DARTS' skip: a factorized reduction where the stride is 2."""
  kind = Identity if stride == 1 else ReluFactorizedReduction
  return kind(features=features, stride=stride, style=style, name=name)


class Zero(Op):
  """Zeros of the shape of the output: DARTS' `none`."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = x[:, ::self.stride, ::self.stride, :1]
    return jnp.zeros((*x.shape[:-1], self.features), x.dtype)


class Noise(Op):
  """Standard normal noise, whatever the input (space S4 of R-DARTS).

  Note: at evaluation, where there is no source of randomness, the noise is
  the same every time.

  Reference: Zela et al., arXiv 1909.09656, sec. 3.
  """

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    shape = (*x[:, ::self.stride, ::self.stride].shape[:-1], self.features)
    key = self.make_rng('dropout') if train and self.has_rng('dropout') else (
        jax.random.key(0))
    return jax.random.normal(key, shape, x.dtype)


class Convolution(nn.Module):
  """Convolution of any size; parameters 'kernel' [h, w, C / groups, D]."""
  features: int
  size: tuple[int, int]
  stride: int | tuple[int, int]
  dilation: int
  padding: str | tuple[tuple[int, int], ...]
  groups: int
  use_bias: bool
  initializer: str

  @nn.compact
  def __call__(self, x: Array) -> Array:
    shape = (*self.size, x.shape[-1] // self.groups, self.features)
    kernel = self.param(
        'kernel', initializers.kernel(self.initializer), shape)
    y = separable.convolution(
        x, kernel.astype(x.dtype), stride=self.stride, dilation=self.dilation,
        padding=self.padding, groups=self.groups)
    if not self.use_bias:
      return y
    bias = self.param('bias', initializers.bias(
        self.initializer, int(np.prod(shape[:-1]))), (self.features,))
    return y + bias.astype(x.dtype)


@jax.custom_vjp
def relu(x: Array) -> Array:
  """max(x, 0); its gradient needs only the result, which others keep too."""
  return jnp.maximum(x, 0)


def _relu_forward(x):
  y = relu(x)
  return y, y


def _relu_backward(y, cotangent):
  return (jnp.where(y > 0, cotangent, 0),)


relu.defvjp(_relu_forward, _relu_backward)


def norm(style: Style, x: Array, train: bool, weight: Array | None = None
         ) -> Array:
  """Batch norm inside a compact module; `weight` as in `BatchNorm`."""
  return norms.BatchNorm(
      style.momentum, style.epsilon, style.axis_name, style.affine)(
          x, train, weight)


def conv(
    style: Style,
    x: Array,
    features: int,
    size: tuple[int, int] = (1, 1),
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
    padding: str | Sequence[tuple[int, int]] | None = None,
    groups: int = 1,
    use_bias: bool = False,
) -> Array:
  """Convolution inside a compact module: [B, H, W, C] -> [B, H', W', F].

  Args:
    style: shared settings.
    x: float[B, H, W, C].
    features: F.
    size: (height, width) of the kernel.
    stride: of both axes, or of each.
    dilation: of the kernel.
    padding: see `padding.pads`; the style's if not set.
    groups: of channels that do not mix.
    use_bias: whether there is a bias.
  """
  if padding is None:
    padding = style.padding
  elif not isinstance(padding, str):
    padding = tuple(map(tuple, padding))
  return Convolution(
      features, tuple(size), stride, dilation,
      padding.lower() if isinstance(padding, str) else padding, groups,
      use_bias, style.initializer)(x)


def dense(style: Style, x: Array, features: int, use_bias: bool = True
          ) -> Array:
  """Linear layer inside a compact module: [B, C] -> float32[B, F]."""
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  return nn.Dense(
      features, use_bias, kernel_init=initializers.kernel(style.initializer),
      bias_init=initializers.bias(style.initializer, x.shape[-1]))(x)
