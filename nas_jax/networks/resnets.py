"""Residual networks for CIFAR: ResNet, pre-activation, wide, ResNeXt.

All have three stages of n blocks; the first block of the second and third
stage halves the image. Padding, initial weights (He, fan-out) and norm are
those of fb.resnet.torch, from which the published results come.

Note: drop path over residual branches is stochastic depth (Huang et al., arXiv
1603.09382), except that here the kept branches are scaled up in training
instead of down at evaluation, and that the probability grows during training.

References:
  He et al., Deep Residual Learning, arXiv 1512.03385, sec. 4.2.
  He et al., Identity Mappings, arXiv 1603.05027, appendix;
    KaimingHe/resnet-1k-layers.
  Zagoruyko, Komodakis, Wide Residual Networks, arXiv 1605.07146.
  Xie et al., ResNeXt, arXiv 1611.05431, sec. 5.2 and appendix A.
"""

from nas_jax.networks import staged
from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks.staged import NORM, RELU

Conv = staged.Conv
Value = graph.Value

STYLE = ops.Style(padding='symmetric', initializer='he_resnet')
_HALVINGS = dict(cifar=2)


def _resnet(settings: staged.Settings, depth: int, shortcut: str
            ) -> graph.Graph:
  """6 n + 2 layers; shortcut 'A' pads channels, 'B' projects them."""
  n = staged.blocks_per_stage('resnet', depth, 6, 2)
  if shortcut not in ('A', 'B'):
    raise ValueError(f"shortcut of resnet is {shortcut!r}, expected 'A' (zeros "
                     "for added channels) or 'B' (1x1 convolutions)")
  style, features = settings.style, settings.features

  def add_block(builder, name, x, width, stride, at) -> Value:
    skip = None
    if x.channels != width or stride > 1:
      skip = staged.PaddedShortcut(width, stride) if shortcut == 'A' else (
          _projection(width, stride, style))
    return staged.add_residual(
        builder, name, x,
        (Conv(width, 3, stride), NORM, RELU, Conv(width), NORM), skip, at,
        features=width, stride=stride, relu=True)

  return staged.build(
      settings, (Conv(features), NORM, RELU), _doubling(features, n),
      add_block, dropout_keep=settings.dropout_keep)


def _preact_resnet(settings: staged.Settings, depth: int) -> graph.Graph:
  """9 n + 2 layers: bottlenecks with norm and ReLU before convolutions."""
  n = staged.blocks_per_stage('preact_resnet', depth, 9, 2)

  def add_block(builder, name, x, width, stride, at) -> Value:
    return _add_preactivated(
        builder, name, x, (
            NORM, RELU, Conv(width, 1, stride), NORM, RELU, Conv(width), NORM,
            RELU, Conv(4 * width, 1)), 4 * width, stride, at)

  return staged.build(
      settings, (Conv(settings.features),), _doubling(settings.features, n),
      add_block, (NORM, RELU), settings.dropout_keep)


def _wide_resnet(settings: staged.Settings, depth: int, factor: int
                 ) -> graph.Graph:
  """6 n + 4 layers, `factor` times as wide; dropout inside of the blocks."""
  n = staged.blocks_per_stage('wide_resnet', depth, 6, 4)
  staged.check_positive('wide_resnet', factor=factor)
  keep = settings.dropout_keep
  dropout = (staged.Dropout(keep),) if keep < 1 else ()

  def add_block(builder, name, x, width, stride, at) -> Value:
    return _add_preactivated(
        builder, name, x, (
            NORM, RELU, Conv(width, 3, stride), NORM, RELU, *dropout,
            Conv(width)), width, stride, at)

  return staged.build(
      settings, (Conv(settings.features),),
      _doubling(factor * settings.features, n), add_block, (NORM, RELU))


def _resnext(settings: staged.Settings, depth: int, cardinality: int,
             width: int) -> graph.Graph:
  """9 n + 2 layers: bottlenecks of `cardinality` groups of `width`."""
  n = staged.blocks_per_stage('resnext', depth, 9, 2)
  staged.check_positive('resnext', cardinality=cardinality, width=width)
  style, features = settings.style, settings.features

  def add_block(builder, name, x, outputs, stride, at) -> Value:
    inner = cardinality * width * outputs // (4 * features)
    skip = _projection(outputs, stride, style) if (
        x.channels != outputs or stride > 1) else None
    return staged.add_residual(
        builder, name, x, (
            Conv(inner, 1), NORM, RELU,
            Conv(inner, 3, stride, groups=cardinality), NORM, RELU,
            Conv(outputs, 1), NORM), skip, at, features=outputs,
        stride=stride, relu=True)

  return staged.build(
      settings, (Conv(features), NORM, RELU), _doubling(4 * features, n),
      add_block, dropout_keep=settings.dropout_keep)


def _add_preactivated(builder, name, x, branch, width, stride, at) -> Value:
  """Where the shape changes the shortcut reads the first norm and ReLU too."""
  if x.channels == width and stride == 1:
    return staged.add_residual(
        builder, name, x, branch, None, at, features=width)
  style = builder.style
  x = builder.add(f'{name}_enter', staged.Chain(branch[:2], style), [x],
                  x.shape)
  return staged.add_residual(
      builder, name, x, branch[2:],
      staged.Chain((Conv(width, 1, stride),), style), at, features=width,
      stride=stride)


def _projection(width: int, stride: int, style: ops.Style) -> staged.Chain:
  return staged.Chain((Conv(width, 1, stride), NORM), style)


def _doubling(width: int, n: int) -> list[list[int]]:
  return [[width * 2**stage] * n for stage in range(3)]


# By family: how it is built, and with what by kind of network. `features` is
# the width of the stem, from which the widths of the stages follow.
FAMILIES = {
    name: (
        staged.family(name, staged.numbers(name, *fields), plan,
                      halvings=_HALVINGS),
        dict(cifar=graph.Defaults(features, None, STYLE)))
    for name, fields, plan, features in (
        ('resnet', ('depth', 'shortcut'), _resnet, 16),
        ('preact_resnet', ('depth',), _preact_resnet, 16),
        ('wide_resnet', ('depth', 'factor'), _wide_resnet, 16),
        ('resnext', ('depth', 'cardinality', 'width'), _resnext, 64),
    )}
