"""PyramidNet for CIFAR: every block is a little wider than the last.

Reference: Han, Kim, Kim, Deep Pyramidal Residual Networks, arXiv 1610.02915,
sec. 2 and 3.2 (additive widths, zero-padded shortcuts, norm after the last
convolution of a block and no ReLU before the first); jhkim89/PyramidNet.

Note: widths are rounded down, as in eq. 2 of the paper; the published code
rounds to the nearest, which for most networks gives other sizes.
"""

from collections.abc import Callable

from nas_jax.networks import graph
from nas_jax.networks import resnets
from nas_jax.networks import staged
from nas_jax.networks.staged import NORM, RELU

Conv = staged.Conv


def widths(features: int, alpha: int, n: int) -> list[list[int]]:
  """Of three stages of n blocks: block k has F + alpha k / (3 n) channels."""
  total = 3 * n
  every = [features + alpha * k // total for k in range(1, total + 1)]
  return [every[s * n:(s + 1) * n] for s in range(3)]


def _basic(settings: staged.Settings, depth: int, alpha: int) -> graph.Graph:
  """6 n + 2 layers."""
  def branch(width, stride):
    return (NORM, Conv(width, 3, stride), NORM, RELU, Conv(width), NORM)
  n = staged.blocks_per_stage('pyramidnet', depth, 6, 2)
  return _build(settings, n, alpha, branch, 1)


def _bottleneck(settings: staged.Settings, depth: int, alpha: int
                ) -> graph.Graph:
  """9 n + 2 layers."""
  def branch(width, stride):
    return (NORM, Conv(width, 1), NORM, RELU, Conv(width, 3, stride), NORM,
            RELU, Conv(4 * width, 1), NORM)
  n = staged.blocks_per_stage('pyramidnet_bottleneck', depth, 9, 2)
  return _build(settings, n, alpha, branch, 4)


def _build(settings: staged.Settings, n: int, alpha: int,
           branch: Callable[[int, int], tuple], expansion: int) -> graph.Graph:
  staged.check_positive('pyramidnet', alpha=alpha)

  def add_block(builder, name, x, width, stride, at):
    features, shortcut = expansion * width, None
    if x.channels != features or stride > 1:
      shortcut = staged.PaddedShortcut(features, stride, average=True)
    return staged.add_residual(
        builder, name, x, branch(width, stride), shortcut, at,
        features=features, stride=stride)

  return staged.build(
      settings, (Conv(settings.features), NORM),
      widths(settings.features, alpha, n), add_block, (NORM, RELU),
      settings.dropout_keep)


def _family(name, plan):
  return (staged.family(name, staged.numbers(name, 'depth', 'alpha'), plan,
                        halvings=dict(cifar=2)),
          dict(cifar=graph.Defaults(16, None, resnets.STYLE)))


FAMILIES = dict(
    pyramidnet=_family('pyramidnet', _basic),
    pyramidnet_bottleneck=_family('pyramidnet_bottleneck', _bottleneck),
)
