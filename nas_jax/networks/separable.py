"""How a depthwise + pointwise convolution reaches XLA.

The three lowerings compute one function with one set of parameters; only
their speed differs (benchmarks/separable_lowering.py measures it).
"""

from collections.abc import Iterator, Sequence
import contextlib
import contextvars
import functools

import jax
import jax.numpy as jnp
from jax import lax

from nas_jax.networks import padding as paddings

Array = jax.Array
Padding = str | Sequence[tuple[int, int]]

LOWERINGS = ('auto', 'grouped', 'merged', 'shifted')
_NHWC = ('NHWC', 'HWIO', 'NHWC')
# Below so many channels the gradient of a depthwise kernel is fastest as the
# diagonal of a dense one; by the size of the kernel, or for all others.
_DIAGONAL_BELOW = {3: 32}
_ELSE_BELOW = 64


def separable(
    x: Array,
    depthwise: Array,
    pointwise: Array,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = 'same',
    lowering: str = 'auto',
) -> Array:
  """Depthwise k x k, then pointwise 1 x 1 convolution, no bias.

  Args:
    x: float[B, H, W, C].
    depthwise: float[k, k, C], one filter per input channel.
    pointwise: float[C, D].
    stride: of the depthwise convolution.
    dilation: of the depthwise convolution.
    padding: see `padding.pads`.
    lowering: one of `LOWERINGS`. 'grouped' is a convolution with C feature
      groups; 'merged' one dense convolution with the outer-product kernel;
      'shifted' multiply-adds of shifted inputs; 'auto' picks by backend.

  Returns:
    float[B, H', W', D].

  Raises:
    ValueError: an unknown lowering or padding.
  """
  window = dict(stride=stride, dilation=dilation, padding=padding)
  if _resolve(lowering) == 'merged':
    return convolution(x, depthwise[..., None] * pointwise, **window)
  return _pointwise(
      per_channel(x, depthwise, lowering=lowering, **window), pointwise)


def per_channel(
    x: Array,
    kernel: Array,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = 'same',
    lowering: str = 'auto',
) -> Array:
  """Depthwise k x k convolution: [B, H, W, C] * [k, k, C] -> [B, H', W', C].

  The arguments are those of `separable`; with nothing to merge with, 'merged'
  is 'grouped'.
  """
  if _resolve(lowering) == 'shifted':
    pads = paddings.pads(
        x.shape[1:3], kernel.shape[:2], (stride, stride), dilation, padding)
    return _shifted(x, kernel, stride, dilation, tuple(pads))
  return convolution(
      x, kernel[:, :, None, :], stride=stride, dilation=dilation,
      padding=padding, groups=x.shape[-1])


def convolution(
    x: Array,
    kernel: Array,
    *,
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
    padding: Padding = 'same',
    groups: int = 1,
) -> Array:
  """Convolution without bias: [B, H, W, C] * [h, w, C / groups, D].

  A 1 x 1 convolution is a matrix product, which XLA:CPU runs faster.
  """
  strides = (stride, stride) if isinstance(stride, int) else stride
  pads = paddings.pads(
      x.shape[1:3], kernel.shape[:2], strides, dilation, padding)
  if kernel.shape[:2] == (1, 1) and groups == 1 and not any(map(any, pads)):
    return _pointwise(x[:, ::strides[0], ::strides[1]], kernel[0, 0])
  return lax.conv_general_dilated(
      x, kernel, strides, pads, rhs_dilation=(dilation, dilation),
      dimension_numbers=_NHWC, feature_group_count=groups)


@jax.custom_vjp
def _pointwise(x: Array, kernel: Array) -> Array:
  """[B, H, W, C] x [C, D] -> [B, H, W, D]."""
  return x @ kernel


def _pointwise_forward(x, kernel):
  return x @ kernel, (x, kernel)


def _pointwise_backward(residuals, cotangent):
  """As products of two matrices: of more axes, XLA:CPU transposes a copy."""
  x, kernel = residuals
  rows = cotangent.reshape(-1, kernel.shape[1])
  dx = (rows @ kernel.T).reshape(x.shape)
  return dx, x.reshape(-1, kernel.shape[0]).T @ rows


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@contextlib.contextmanager
def forced(lowering: str) -> Iterator[None]:
  """Whatever is traced inside has this lowering."""
  token = _FORCED.set(lowering)
  try:
    yield
  finally:
    _FORCED.reset(token)


_FORCED = contextvars.ContextVar('lowering', default=None)


def _resolve(lowering: str) -> str:
  """What is forced, or else meant."""
  lowering = _FORCED.get() or lowering
  if lowering not in LOWERINGS:
    raise ValueError(f'lowering is {lowering!r}, expected one of {LOWERINGS}')
  return _pick() if lowering == 'auto' else lowering


def _pick() -> str:
  """The fastest lowering measured on this backend, over the sizes in use.

  Note: accelerators have not been measured; grouped is what their libraries
  are written for.
  """
  return 'shifted' if jax.default_backend() == 'cpu' else 'grouped'


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _shifted(x: Array, kernel: Array, stride: int, dilation: int,
             pads: tuple[tuple[int, int], ...]) -> Array:
  """Depthwise convolution as a sum of k * k shifted products."""
  return _shifted_forward(x, kernel, stride, dilation, pads)[0]


def _shifted_forward(x, kernel, stride, dilation, pads):
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  height, width = paddings.steps(
      x.shape[1:3], kernel.shape[:2], (stride, stride), dilation, pads)
  y = _sum_of_shifts(padded, kernel, stride, dilation, height, width)
  return y, (x, kernel)


def _shifted_backward(stride, dilation, pads, residuals, cotangent):
  """dx by shifts of the cotangent, dk by one convolution."""
  x, kernel = residuals
  size = kernel.shape[0]
  # dx: the transposed convolution. The cotangent is spread by the stride and
  # padded so that the flipped kernel covers every pixel of x.
  reach = (size - 1) * dilation
  config = [(0, 0, 0)]
  for length, steps, (before, _) in zip(
      x.shape[1:3], cotangent.shape[1:3], pads):
    low = reach - before
    spread = (steps - 1) * stride + 1
    config.append((low, length + reach - low - spread, stride - 1))
  spread = lax.pad(cotangent, jnp.zeros((), x.dtype), [*config, (0, 0, 0)])
  dx = _sum_of_shifts(
      spread, kernel[::-1, ::-1], 1, dilation, *x.shape[1:3])
  # dk: a convolution with batch and channels exchanged gives the gradient of
  # a dense kernel, [k, k, C, C], of which a depthwise one is the diagonal.
  x, cotangent = lax.optimization_barrier((x, cotangent))
  if x.shape[-1] < _DIAGONAL_BELOW.get(size, _ELSE_BELOW):
    dense = lax.conv_general_dilated(
        x, cotangent, (dilation, dilation), pads,
        rhs_dilation=(stride, stride),
        dimension_numbers=('CHWN', 'IHWO', 'HWNC'))[:size, :size]
    return dx, jnp.einsum('ijcc->ijc', dense)
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  taps = [jnp.sum(window * cotangent, (0, 1, 2)) for window in _windows(
      padded, size, stride, dilation, *cotangent.shape[1:3])]
  # Without the barrier each sum becomes a scalar loop inside of the stack.
  taps = lax.optimization_barrier(taps)
  return dx, jnp.stack(taps).reshape(kernel.shape)


_shifted.defvjp(_shifted_forward, _shifted_backward)


def _sum_of_shifts(padded, kernel, stride, dilation, height, width) -> Array:
  """Sum over taps of kernel[tap] * shifted input, [B, height, width, C]."""
  # Without the barriers XLA:CPU fuses neighbouring convolutions into huge
  # recomputing loops.
  padded, kernel = lax.optimization_barrier((padded, kernel))
  size = kernel.shape[0]
  windows = _windows(padded, size, stride, dilation, height, width)
  taps = kernel.reshape(size * size, -1)
  total = sum(tap * window for tap, window in zip(taps, windows))
  return lax.optimization_barrier(total)


def _windows(padded, size, stride, dilation, height, width) -> list[Array]:
  """What each of the k * k taps sees."""
  return [
      padded[:, top:top + (height - 1) * stride + 1:stride,
             left:left + (width - 1) * stride + 1:stride]
      for top in range(0, size * dilation, dilation)
      for left in range(0, size * dilation, dilation)
  ]
