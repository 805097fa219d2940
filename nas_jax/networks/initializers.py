"""Initial weights, drawn on the host.

XLA takes longer to compile the random draws of one small network than to
train it. `draw` therefore makes them with numpy; the modules name the same
distributions for whoever calls their `init`.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import contextvars
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

Array = jax.Array
Initializer = Callable[..., Array]


class Rule(NamedTuple):
  """How all weights of a network are drawn.

  A convolution has fan-in k * k * inputs (of its group) and fan-out k * k *
  outputs; both are k * k for a depthwise one.
  """
  fan: str  # 'in' or 'out'
  distribution: str  # 'normal', 'truncated' at two deviations, or 'uniform'
  variance: float = 2.  # times 1 / fan
  # Linear layers: a fixed standard deviation, None for the rule above.
  dense_deviation: float | None = None
  # Or a variance, times 1 / inputs.
  dense_variance: float | None = None
  # Whether biases are uniform in +- 1 / sqrt(fan-in), or 0.
  biases: bool = False


RULES: Mapping[str, Rule] = dict(
    # slim's `variance_scaling_initializer(mode='FAN_OUT')`: NASNet.
    fan_out=Rule('out', 'truncated'),
    fan_in=Rule('in', 'truncated'),
    # `tf.variance_scaling_initializer(mode='fan_out')`: NAO.
    unit_fan_out=Rule('out', 'truncated', 1.),
    # The same without making up for what the cut takes: AutoDL Design.
    cut_fan_in=Rule('in', 'truncated', 2 * 0.87962566103423978**2),
    # He et al., arXiv 1502.01852.
    he_fan_in=Rule('in', 'normal'),
    he_fan_out=Rule('out', 'normal'),
    # fb.resnet.torch, with linear layers of PyTorch's default variance.
    he_resnet=Rule('out', 'normal', dense_variance=1 / 3),
    # TensorFlow's `variance_scaling_initializer`: NAS-Bench-101.
    lecun=Rule('in', 'truncated', 1.),
    # PyTorch's default, `kaiming_uniform_(a=sqrt(5))`: DARTS.
    torch=Rule('in', 'uniform', 1 / 3, biases=True),
)


def kernel(rule: str) -> Initializer:
  """Of kernels [..., inputs, outputs], leading axes the receptive field."""
  return lambda key, shape, dtype=jnp.float32: _deviation(
      RULES[rule], 'kernel', shape) * _unit(key, RULES[rule], shape, dtype)


def depthwise(rule: str) -> Initializer:
  """Of one filter per channel, [h, w, C]."""
  return lambda key, shape, dtype=jnp.float32: _deviation(
      RULES[rule], 'depthwise', shape) * _unit(key, RULES[rule], shape, dtype)


def bias(rule: str, fan_in: int) -> Initializer:
  """Of the bias of a layer with so many inputs per output."""
  if not RULES[rule].biases:
    return lambda key, shape, dtype=jnp.float32: jnp.zeros(shape, dtype)
  bound = fan_in ** -.5
  return lambda key, shape, dtype=jnp.float32: jax.random.uniform(
      key, shape, dtype, -bound, bound)


def draw(key: Array, index: int, shapes: Any, rule: str = 'fan_out') -> Any:
  """Initial variables of one node.

  The distribution follows from a variable's name: 'kernel', 'pointwise*' and
  'depthwise*' by the rule, 'scale' and 'var' 1, 'mean' 0, 'bias' 0, or by
  the rule if there is a kernel beside it.

  Args:
    key: of the network.
    index: of the node in the network.
    shapes: tree of shapes.
    rule: a key of `RULES`.

  Returns:
    The same tree of float32 arrays.

  Raises:
    ValueError: a name without a distribution, or an unknown rule.
  """
  if rule not in RULES:
    raise ValueError(
        f'initializer is {rule!r}, expected one of {", ".join(RULES)}')
  words = np.asarray(jax.random.key_data(key)).ravel().tolist()
  leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
  kernels = {jax.tree_util.keystr(path[:-1]): leaf.shape
             for path, leaf in leaves if path[-1].key == 'kernel'}
  return jax.tree.unflatten(structure, [
      jnp.asarray(_draw_leaf(
          path[-1].key, leaf.shape, [*words, index, i], RULES[rule],
          kernels.get(jax.tree_util.keystr(path[:-1]))))
      for i, (path, leaf) in enumerate(leaves)])


@contextlib.contextmanager
def nothing_drawn() -> Iterator[None]:
  """Zeros inside, where only shapes matter: random draws trace slowly."""
  token = _NOTHING_DRAWN.set(True)
  try:
    yield
  finally:
    _NOTHING_DRAWN.reset(token)


_NOTHING_DRAWN = contextvars.ContextVar('nothing_drawn', default=False)


def _draw_leaf(name: str, shape: tuple[int, ...], seed: list[int], rule: Rule,
               beside: tuple[int, ...] | None):
  if name in ('scale', 'var'):
    return np.ones(shape, np.float32)
  if name == 'mean' or name == 'bias' and not (rule.biases and beside):
    return np.zeros(shape, np.float32)
  # Raw bits and the quantile function: stable over numpy's versions.
  bits = np.random.Philox(np.random.SeedSequence(seed)).random_raw(
      int(np.prod(shape)))
  uniform = ((bits >> np.uint64(11)) + .5) * 2.**-53
  if name == 'bias':
    bound = int(np.prod(beside[:-1])) ** -.5
    return (bound * (2 * uniform - 1)).reshape(shape).astype(np.float32)
  deviation = _deviation(rule, name, shape)
  return (deviation * _quantile(rule, uniform)).reshape(shape).astype(
      np.float32)


def _quantile(rule: Rule, uniform: np.ndarray) -> np.ndarray:
  """Of a distribution of variance 1, but for the cut one."""
  if rule.distribution == 'uniform':
    return 3**.5 * (2 * uniform - 1)
  if rule.distribution == 'normal':
    return scipy.special.ndtri(uniform)
  low, high = scipy.special.ndtr([-2., 2.])
  return scipy.special.ndtri(low + (high - low) * uniform)


def _unit(key: Array, rule: Rule, shape: tuple[int, ...], dtype) -> Array:
  if _NOTHING_DRAWN.get():
    return jnp.zeros(shape, dtype)
  if rule.distribution == 'uniform':
    return jax.random.uniform(key, shape, dtype, -3**.5, 3**.5)
  if rule.distribution == 'normal':
    return jax.random.normal(key, shape, dtype)
  return jax.random.truncated_normal(key, -2., 2., shape, dtype)


# Of a standard normal after the cut at two standard deviations.
_CUT = 0.87962566103423978


def _deviation(rule: Rule, name: str, shape: tuple[int, ...]) -> float:
  """Before the cut, so that the variance after it is the rule's."""
  if name.startswith('depthwise'):
    fan = int(np.prod(shape[:-1]))
  elif name == 'kernel' or name.startswith('pointwise'):
    if len(shape) == 2 and name == 'kernel' and rule.dense_deviation:
      return rule.dense_deviation
    if len(shape) == 2 and name == 'kernel' and rule.dense_variance:
      cut = _CUT if rule.distribution == 'truncated' else 1.
      return (rule.dense_variance / shape[0]) ** .5 / cut
    fan = int(np.prod(shape[:-2])) * shape[-1 if rule.fan == 'out' else -2]
  else:
    raise ValueError(f'no distribution for a variable called {name!r}')
  cut = _CUT if rule.distribution == 'truncated' else 1.
  return (rule.variance / fan) ** .5 / cut
