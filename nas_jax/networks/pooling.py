"""Average, maximum and minimum of windows."""

from collections.abc import Sequence
import functools

import jax
import jax.numpy as jnp
from jax import lax
import numpy as np

from nas_jax.networks import padding as paddings

Array = jax.Array


def pool(
    x: Array, kind: str, size: int, stride: int,
    padding: str | Sequence[tuple[int, int]] = 'same',
    count_padding: bool = False,
) -> Array:
  """k x k pooling: [B, H, W, C] -> [B, H', W', C].

  Args:
    x: float[B, H, W, C].
    kind: 'avg', 'max' or 'min'.
    size: k.
    stride: of both axes.
    padding: see `padding.pads`.
    count_padding: whether an average counts the padding.

  Of several equal maxima the first has the gradient, as in PyTorch.
  """
  # One axis after the other, by shifted slices: the gradient of
  # `lax.reduce_window` is ten times slower on CPUs.
  if kind == 'min':
    return -pool(-x, 'max', size, stride, padding)
  pads = paddings.pads(
      x.shape[1:3], (size, size), (stride, stride), 1, padding)
  if kind == 'max':
    # Rows last, so that of equal maxima the first in reading order counts.
    for axis, pair in ((2, pads[1]), (1, pads[0])):
      x = _max_along(x, axis, size, stride, pair, x.shape[axis])
    return x
  total = x
  for axis, pair in zip((1, 2), pads):
    total = sum(_taps(total, axis, size, stride, pair, 0.))
  if count_padding:
    return total * (1 / size**2)
  rows, columns = (_counts(n, size, stride, p)
                   for n, p in zip(x.shape[1:3], pads))
  weights = 1 / np.outer(rows, columns)[..., None]
  return total * weights.astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4, 5))
def _max_along(x: Array, axis: int, size: int, stride: int,
               pair: tuple[int, int], length: int) -> Array:
  """The maximum of each window along one axis.

  Automatic differentiation adds padded arrays, which XLA:CPU does slowly;
  here the gradient is read by shifted slices, like the maximum itself.
  """
  return _max_forward(x, axis, size, stride, pair, length)[0]


def _max_forward(x, axis, size, stride, pair, length):
  del length  # Of the axis; known to the gradient.
  y, *others = _taps(x, axis, size, stride, pair, -jnp.inf)
  # Where the maximum is, rather than a comparison later on: by then XLA may
  # have computed x again, with other roundings.
  place = jnp.zeros(y.shape, jnp.int8)
  for i, tap in enumerate(others, 1):
    place = jnp.where(tap > y, jnp.int8(i), place)
    y = jnp.maximum(y, tap)
  return y, place


def _max_backward(axis, size, stride, pair, length, place, cotangent):
  # Of every pixel, the windows that it lies in: windows are spread by the
  # stride.
  low = size - 1 - pair[0]
  span = (place.shape[axis] - 1) * stride + 1
  config = [(0, 0, 0)] * place.ndim
  config[axis] = low, length + size - 1 - low - span, stride - 1
  cotangent, place = lax.optimization_barrier((
      lax.pad(cotangent, jnp.zeros((), cotangent.dtype), config),
      lax.pad(place, jnp.int8(-1), config)))
  # The pixel is the first of the last window that it lies in.
  return (sum(
      jnp.where(
          lax.slice_in_dim(place, i, i + length, 1, axis) == size - 1 - i,
          lax.slice_in_dim(cotangent, i, i + length, 1, axis), 0)
      for i in range(size)),)


_max_along.defvjp(_max_forward, _max_backward)


def _taps(x: Array, axis: int, size: int, stride: int, pair: tuple[int, int],
          empty: float) -> list[Array]:
  """What each place of a window sees along one axis."""
  (steps,) = paddings.steps((x.shape[axis],), (size,), (stride,), 1, [pair])
  padded = jnp.pad(
      x, [pair if i == axis else (0, 0) for i in range(x.ndim)],
      constant_values=empty)
  span = (steps - 1) * stride + 1
  return [lax.slice_in_dim(padded, i, i + span, stride, axis)
          for i in range(size)]


def _counts(length: int, size: int, stride: int, pair: tuple[int, int]
            ) -> np.ndarray:
  """How many pixels of an axis each window covers, padding left out."""
  (steps,) = paddings.steps((length,), (size,), (stride,), 1, [pair])
  starts = np.arange(steps) * stride - pair[0]
  return np.minimum(starts + size, length) - np.maximum(starts, 0)
