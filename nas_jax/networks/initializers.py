"""Initial weights, drawn on the host.

XLA takes longer to compile the random draws of one small network than to
train it. `draw` therefore makes them with numpy; the modules name the same
distributions for whoever calls their `init`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

Array = jax.Array


def fan_out(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
  """Truncated normal of variance 2 / fan-out (slim's `variance_scaling`).

  Args:
    key: one key.
    shape: [..., inputs, outputs], leading axes the receptive field.
    dtype: of the result.
  """
  return _fan_out_deviation(shape) * _unit(key, shape, dtype)


def depthwise(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
  """As `fan_out` for one filter per channel, [k, k, C]: fan-out k * k."""
  return _depthwise_deviation(shape) * _unit(key, shape, dtype)


def draw(key: Array, index: int, shapes: Any) -> Any:
  """Initial variables of one node.

  The distribution follows from a variable's name: 'depthwise*' as
  `depthwise`, 'kernel' and 'pointwise*' as `fan_out`, 'scale' and 'var' 1,
  'bias' and 'mean' 0.

  Args:
    key: of the network.
    index: of the node in the network.
    shapes: tree of shapes.

  Returns:
    The same tree of float32 arrays.

  Raises:
    ValueError: a name without a distribution.
  """
  words = np.asarray(jax.random.key_data(key)).ravel().tolist()
  leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
  return jax.tree.unflatten(structure, [
      jnp.asarray(_draw_leaf(path[-1].key, leaf.shape, [*words, index, i]))
      for i, (path, leaf) in enumerate(leaves)])


def _draw_leaf(name: str, shape: tuple[int, ...], seed: list[int]):
  if name in ('scale', 'var'):
    return np.ones(shape, np.float32)
  if name in ('bias', 'mean'):
    return np.zeros(shape, np.float32)
  if name.startswith('depthwise'):
    deviation = _depthwise_deviation(shape)
  elif name == 'kernel' or name.startswith('pointwise'):
    deviation = _fan_out_deviation(shape)
  else:
    raise ValueError(f'no distribution for a variable called {name!r}')
  # Raw bits and the quantile function: stable over numpy's versions.
  bits = np.random.Philox(np.random.SeedSequence(seed)).random_raw(
      int(np.prod(shape)))
  uniform = ((bits >> np.uint64(11)) + .5) * 2.**-53
  low, high = scipy.special.ndtr([-2., 2.])
  unit = scipy.special.ndtri(low + (high - low) * uniform)
  return (deviation * unit).reshape(shape).astype(np.float32)


def _unit(key: Array, shape: tuple[int, ...], dtype) -> Array:
  return jax.random.truncated_normal(key, -2., 2., shape, dtype)


# Of a standard normal after the cut at two standard deviations.
_CUT = 0.87962566103423978


def _fan_out_deviation(shape: tuple[int, ...]) -> float:
  return (2 / (shape[-1] * int(np.prod(shape[:-2])))) ** .5 / _CUT


def _depthwise_deviation(shape: tuple[int, ...]) -> float:
  return (2 / shape[0] ** 2) ** .5 / _CUT
