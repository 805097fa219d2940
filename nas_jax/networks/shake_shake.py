"""Shake-Shake: two branches per block, mixed at random in training.

Forward an example mixes its branches by a random alpha, backward by another
random number, beta; at evaluation both count one half ("Shake-Shake-Image").

Reference: Gastaldi, Shake-Shake regularization, arXiv 1705.07485, sec. 2;
xgastaldi/shake-shake.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import resnets
from nas_jax.networks import staged
from nas_jax.networks.staged import NORM, RELU

Array = jax.Array
Conv = staged.Conv


@jax.custom_vjp
def mix(a: Array, b: Array, alpha: Array, beta: Array) -> Array:
  """alpha a + (1 - alpha) b, whose gradient is that of beta a + (1 - beta) b.

  Args:
    a: float[B, H, W, F].
    b: float[B, H, W, F].
    alpha: float[B, 1, 1, 1].
    beta: float[B, 1, 1, 1].
  """
  del beta
  return alpha * a + (1 - alpha) * b


def _mix_forward(a, b, alpha, beta):
  return mix(a, b, alpha, beta), beta


def _mix_backward(beta, cotangent):
  zero = jnp.zeros_like(beta)
  return beta * cotangent, (1 - beta) * cotangent, zero, zero


mix.defvjp(_mix_forward, _mix_backward)


class Shake(nn.Module):
  """shortcut + mixture of two branches, each float[B, H, W, F].

  Without a source of randomness ('dropout') training mixes evenly too.
  """

  @nn.compact
  def __call__(self, a: Array, b: Array, shortcut: Array, train: bool) -> Array:
    if not train or not self.has_rng('dropout'):
      return shortcut + .5 * (a + b)
    alpha, beta = jax.random.uniform(
        self.make_rng('dropout'), (2, len(a), 1, 1, 1), a.dtype)
    return shortcut + mix(a, b, alpha, beta)


class ShiftedShortcut(nn.Module):
  """ReLU, two 1x1 paths of F / 2, the second of shifted pixels, norm.

  Output pixel i reads pixels i stride and i stride - 1 (zeros outside).
  """
  features: int
  stride: int
  style: ops.Style

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = nn.relu(x)
    shifted = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)))[:, :-1, :-1]
    paths = [
        ops.conv(self.style, y[:, ::self.stride, ::self.stride], features)
        for y, features in ((x, self.features - self.features // 2),
                            (shifted, self.features // 2))]
    return ops.norm(self.style, jnp.concatenate(paths, -1), train)


def _shake_shake(settings: staged.Settings, depth: int, width: int
                 ) -> graph.Graph:
  """6 n + 2 layers, branches `width` wide in the first stage."""
  n = staged.blocks_per_stage('shake_shake', depth, 6, 2)
  staged.check_positive('shake_shake', width=width)
  style = settings.style

  def add_block(builder, name, x, width, stride, at):
    del at
    branch = staged.Chain((RELU, Conv(width, 3, stride), NORM, RELU,
                           Conv(width), NORM), style)
    branches = [builder.add(f'{name}_branch{i}', branch, [x]) for i in (0, 1)]
    if x.channels != width or stride > 1:
      x = builder.add(f'{name}_shortcut', ShiftedShortcut(
          width, stride, style), [x])
    return builder.add(f'{name}_shake', Shake(), [*branches, x], x.shape)

  return staged.build(
      settings, (Conv(settings.features), NORM),
      [[width * 2**s] * n for s in range(3)], add_block, (RELU,),
      settings.dropout_keep)


FAMILIES = dict(
    shake_shake=(
        staged.family('shake_shake', staged.numbers(
            'shake_shake', 'depth', 'width'), _shake_shake,
                      halvings=dict(cifar=2), has_paths=False),
        dict(cifar=graph.Defaults(16, None, resnets.STYLE))),
)
