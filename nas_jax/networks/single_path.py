"""The networks of Single Path One-Shot and of FairNAS, for ImageNet.

References:
  Guo et al., Single Path One-Shot, arXiv 1904.00420, tables 1 and 2, and
    megvii-model/SinglePathOneShot.
  Chu et al., FairNAS, arXiv 1907.01845, and xiaomi-automl/FairNAS.

Note: the published code of SPOS draws the weights of a convolution with
variance 1 / inputs, those of the first and of the linear layer with 0.01, and
its norms start with a bias of 1e-4; here all weights are drawn as He et al.,
arXiv 1502.01852, and norms start at 0. So are those of FairNAS, of which only
networks are published.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import staged
from nas_jax.networks.staged import NORM, RELU, RELU6
from nas_jax.spaces import presets_single_path as presets

Array = jax.Array
Conv = staged.Conv
Value = graph.Value

_STYLE = ops.Style(padding='symmetric', initializer='he_fan_in')


class ShuffleBlock(ops.Op):
  """One choice of SPOS: channels that pass, beside those of a branch.

  With stride 1 every second channel passes as it is, the others go through the
  branch; with stride 2 both sides see all of them.

  Attributes:
    size: of the depthwise kernels.
    xception: three depthwise convolutions in the branch instead of one.
  """
  size: int = 3
  xception: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    depthwise = lambda stride=1: (staged.Depthwise(self.size, stride), NORM)
    pointwise = lambda features: (Conv(features, 1), NORM, RELU)
    if self.stride == 1:
      passed, x = x[..., ::2], x[..., 1::2]
    else:
      passed = self._chain(
          x, train, *depthwise(self.stride), *pointwise(x.shape[-1]))
    middle, rest = self.features // 2, self.features - passed.shape[-1]
    if self.xception:
      steps = (*depthwise(self.stride), *pointwise(middle), *depthwise(),
               *pointwise(middle), *depthwise(), *pointwise(rest))
    else:
      steps = (*pointwise(middle), *depthwise(self.stride), *pointwise(rest))
    return jnp.concatenate([passed, self._chain(x, train, *steps)], -1)

  def _chain(self, x, train, *steps):
    return staged.Chain(steps, self.style)(x, train)


def _spos(settings: staged.Settings, *choices: int) -> graph.Graph:
  style, remaining = settings.style, iter(choices)
  builder = graph.Builder(settings.image_shape, style)
  x = builder.add('stem', staged.Chain((Conv(16, 3, 2), NORM, RELU), style),
                  [builder.image])
  for s, (width, size) in enumerate(presets.SPOS_STAGES):
    for i in range(size):
      choice = next(remaining)
      x = builder.add(f'stage{s}_block{i}', ShuffleBlock(
          width, 1 if i else 2, style, size=(3, 5, 7, 3)[choice],
          xception=choice == 3), [x])
  x = builder.add('tail', staged.Chain((Conv(1024, 1), NORM, RELU), style),
                  [x])
  return builder.finish(builder.add(
      'classifier', image.Classifier(
          settings.num_classes, settings.dropout_keep, style, relu=False,
          use_bias=False), [x], (settings.num_classes,)))


def _fairnas(settings: staged.Settings, *layers: tuple[int, int]
             ) -> graph.Graph:
  style, remaining = settings.style, iter(layers)
  builder = graph.Builder(settings.image_shape, style)
  x = builder.add('stem', staged.Chain((
      Conv(32, 3, 2), NORM, RELU6, staged.Depthwise(), NORM, RELU6,
      Conv(16, 1), NORM), style), [builder.image])
  for s, (width, size, first) in enumerate(presets.FAIRNAS_STAGES):
    for i in range(size):
      expansion, kernel = next(remaining)
      x = _add_inverted(builder, f'stage{s}_block{i}', x, width, expansion,
                        kernel, 1 if i else first)
  x = builder.add('tail', staged.Chain((Conv(1280, 1), NORM, RELU6), style),
                  [x])
  return staged.finish(builder, x, settings, settings.dropout_keep)


def _add_inverted(builder: graph.Builder, name: str, x: Value, width: int,
                  expansion: int, kernel: int, stride: int) -> Value:
  steps = (Conv(expansion * x.channels, 1), NORM, RELU6,
           staged.Depthwise(kernel, stride), NORM, RELU6, Conv(width, 1), NORM)
  if stride == 1 and x.channels == width:
    return staged.add_residual(builder, name, x, steps, None, 0.,
                               features=width)
  return builder.add(name, staged.Chain(steps, builder.style), [x])


def _read_spos(genotype: Any) -> Sequence[int]:
  total = sum(size for _, size in presets.SPOS_STAGES)
  if not isinstance(genotype, (tuple, list)) or len(genotype) != total or (
      not set(genotype) <= {0, 1, 2, 3}):
    raise ValueError(f'a genotype of spos is {total} choices of 0..3, got '
                     f'{genotype!r}')
  return genotype


def _read_fairnas(genotype: Any) -> Sequence[tuple[int, int]]:
  total = sum(size for _, size, _ in presets.FAIRNAS_STAGES)
  if not isinstance(genotype, (tuple, list)) or len(genotype) != total or (
      not {tuple(layer) for layer in genotype} <= set(presets.FAIRNAS_CHOICES)):
    raise ValueError(f'a genotype of fairnas is {total} pairs (expansion 3 or '
                     f'6, kernel 3, 5 or 7), got {genotype!r}')
  return [tuple(layer) for layer in genotype]


def _family(name, read, plan, dropout_keep):
  return (staged.family(name, read, plan, halvings=dict(imagenet=5), takes=(),
                        has_paths=False),
          dict(imagenet=graph.Defaults(
              None, None, _STYLE, dropout_keep, (224, 224, 3), 1000)))


FAMILIES = dict(
    spos=_family('spos', _read_spos, _spos, .9),
    fairnas=_family('fairnas', _read_fairnas, _fairnas, .8),
)
