"""How a depthwise + pointwise convolution reaches XLA.

The three lowerings compute one function with one set of parameters; only
their speed differs (benchmarks/separable_lowering.py measures it).
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array

LOWERINGS = ('auto', 'grouped', 'merged', 'shifted')
_NHWC = ('NHWC', 'HWIO', 'NHWC')
# On XLA:CPU the dense kernel wins while it has at most this many entries
# (benchmarks/separable_lowering.py).
_MERGED_LIMIT = 64 * 1024


def separable(
    x: Array,
    depthwise: Array,
    pointwise: Array,
    *,
    stride: int = 1,
    dilation: int = 1,
    lowering: str = 'auto',
) -> Array:
  """Depthwise k x k, then pointwise 1 x 1 convolution, 'SAME' padding, no bias.

  Args:
    x: float[B, H, W, C].
    depthwise: float[k, k, C], one filter per input channel.
    pointwise: float[C, D].
    stride: of the depthwise convolution.
    dilation: of the depthwise convolution.
    lowering: one of `LOWERINGS`. 'grouped' is a convolution with C feature
      groups; 'merged' one dense convolution with the outer-product kernel;
      'shifted' multiply-adds of shifted inputs; 'auto' picks by backend.

  Returns:
    float[B, ceil(H / stride), ceil(W / stride), D].

  Raises:
    ValueError: an unknown lowering.
  """
  if lowering not in LOWERINGS:
    raise ValueError(f'lowering is {lowering!r}, expected one of {LOWERINGS}')
  if lowering == 'auto':
    lowering = _pick(depthwise.shape, pointwise.shape[1], stride)
  if lowering == 'merged':
    kernel = depthwise[..., None] * pointwise
    return convolution(x, kernel, stride=stride, dilation=dilation)
  if lowering == 'grouped':
    hidden = lax.conv_general_dilated(
        x, depthwise[:, :, None, :], (stride, stride), 'SAME',
        rhs_dilation=(dilation, dilation), dimension_numbers=_NHWC,
        feature_group_count=x.shape[-1])
  else:
    hidden = _shifted(x, depthwise, stride, dilation)
  return hidden @ pointwise


def convolution(
    x: Array,
    kernel: Array,
    *,
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
) -> Array:
  """Dense convolution, 'SAME' padding, no bias: [B, H, W, C] * [h, w, C, D]."""
  strides = (stride, stride) if isinstance(stride, int) else stride
  return lax.conv_general_dilated(
      x, kernel, strides, 'SAME', rhs_dilation=(dilation, dilation),
      dimension_numbers=_NHWC)


def _pick(shape: tuple[int, ...], features: int, stride: int) -> str:
  """The fastest lowering measured on this backend."""
  if jax.default_backend() != 'cpu':
    return 'grouped'
  size, _, channels = shape
  if size * size * channels * features <= _MERGED_LIMIT or stride > 1:
    return 'merged'
  return 'shifted'


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shifted(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  """Depthwise convolution as a sum of k * k shifted products."""
  return _shifted_sum(x, kernel, stride, dilation)


def _shifted_forward(x, kernel, stride, dilation):
  return _shifted_sum(x, kernel, stride, dilation), (x, kernel)


def _shifted_backward(stride, dilation, residuals, cotangent):
  """dx by shifts of the cotangent; dk with batch and channels exchanged."""
  x, kernel = residuals
  if stride != 1:
    _, pullback = jax.vjp(
        lambda x, k: _shifted_sum(x, k, stride, dilation), x, kernel)
    return pullback(cotangent)
  dx = _shifted_sum(cotangent, kernel[::-1, ::-1], 1, dilation)
  (top, bottom), (left, right) = _padding(x, kernel, 1, dilation)
  padded = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
  padded, cotangent = lax.optimization_barrier((padded, cotangent))
  size, height, width = kernel.shape[0], x.shape[1], x.shape[2]
  taps = [
      jnp.einsum('bhwc,bhwc->c',
                 padded[:, i * dilation:i * dilation + height,
                        j * dilation:j * dilation + width], cotangent)
      for i in range(size) for j in range(size)
  ]
  return dx, jnp.stack(taps).reshape(kernel.shape)


_shifted.defvjp(_shifted_forward, _shifted_backward)


def _shifted_sum(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  (top, bottom), (left, right) = _padding(x, kernel, stride, dilation)
  size = kernel.shape[0]
  height, width = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
  padded = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
  # Without the barriers XLA:CPU fuses neighbouring convolutions into huge
  # recomputing loops.
  padded, kernel = lax.optimization_barrier((padded, kernel))
  total = jnp.zeros((x.shape[0], height, width, x.shape[3]), x.dtype)
  for i in range(size):
    for j in range(size):
      top, left = i * dilation, j * dilation
      total += kernel[i, j] * padded[
          :, top:top + (height - 1) * stride + 1:stride,
          left:left + (width - 1) * stride + 1:stride]
  return lax.optimization_barrier(total)


def _padding(x, kernel, stride, dilation) -> list[tuple[int, int]]:
  """(before, after) of both image axes under 'SAME' padding."""
  effective = (kernel.shape[0] - 1) * dilation + 1
  return lax.padtype_to_pads(
      x.shape[1:3], (effective, effective), (stride, stride), 'SAME')
