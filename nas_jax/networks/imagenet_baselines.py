"""Hand-designed networks for ImageNet: ResNet, Xception, MobileNet.

References:
  He et al., Deep Residual Learning, arXiv 1512.03385, table 1 (50 layers and
    more; the stride is in the first 1x1 convolution of a block).
  Chollet, Xception, arXiv 1610.02357, fig. 5; the sizes of its published
    weights (keras.applications): no padding in the first two convolutions.
  Howard et al., MobileNets, arXiv 1704.04861, table 1; slim's mobilenet_v1.

Note: the papers do not say how Xception and MobileNet are initialised; here as
He et al., arXiv 1502.01852.
"""

from collections.abc import Sequence

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import resnets
from nas_jax.networks import staged
from nas_jax.networks.staged import NORM, RELU

Conv = staged.Conv
Value = graph.Value


def _resnet(settings: staged.Settings, *blocks: int) -> graph.Graph:
  """Four stages of bottlenecks; F is the width of the stem."""
  for s, n in enumerate(blocks, 1):
    staged.check_positive('resnet_imagenet', **{f'blocks{s}': n})
  style, features = settings.style, settings.features

  def add_block(builder, name, x, width, stride, at) -> Value:
    shortcut = None
    if x.channels != 4 * width or stride > 1:
      shortcut = staged.Chain((Conv(4 * width, 1, stride), NORM), style)
    return staged.add_residual(
        builder, name, x, (
            Conv(width, 1, stride), NORM, RELU, Conv(width), NORM, RELU,
            Conv(4 * width, 1), NORM), shortcut, at, features=4 * width,
        stride=stride, relu=True)

  return staged.build(
      settings, (Conv(features, 7, 2), NORM, RELU, staged.Pool('max', 3, 2)),
      [[features * 2**s] * n for s, n in enumerate(blocks)], add_block,
      dropout_keep=settings.dropout_keep)


def _xception(settings: staged.Settings, middle_blocks: int) -> graph.Graph:
  """Entry flow, `middle_blocks` blocks of 728 channels, exit flow."""
  staged.check_positive('xception', middle_blocks=middle_blocks)
  style, total = settings.style, 4 + middle_blocks
  builder = graph.Builder(settings.image_shape, style)
  x = builder.add('stem', staged.Chain((
      Conv(32, 3, 2, padding='valid'), NORM, RELU,
      Conv(64, padding='valid'), NORM, RELU), style), [builder.image])
  reductions = [('entry0', (128, 128), 0), ('entry1', (256, 256), 1),
                ('entry2', (728, 728), 1)]
  depth = 0
  for name, widths, relu_first in reductions:
    depth += 1
    x = _halve(builder, name, x, widths, relu_first, depth / total)
  for i in range(middle_blocks):
    depth += 1
    x = staged.add_residual(
        builder, f'middle{i}', x, (RELU, *_separables((728,) * 3)), None,
        depth / total, features=728)
  x = _halve(builder, 'exit', x, (728, 1024), 1, 1.)
  x = builder.add('tail', staged.Chain(
      (*_separables((1536, 2048)), RELU), style), [x])
  return staged.finish(builder, x, settings, settings.dropout_keep)


def _halve(builder: graph.Builder, name: str, x: Value, widths: Sequence[int],
           relu_first: int, depth: float) -> Value:
  return staged.add_residual(
      builder, name, x, (
          *(RELU,) * relu_first, *_separables(widths),
          staged.Pool('max', 3, 2)),
      staged.Chain((Conv(widths[-1], 1, 2), NORM), builder.style), depth,
      features=widths[-1], stride=2)


def _separables(widths: Sequence[int]) -> tuple[staged.Step, ...]:
  """Separable convolutions with norm, ReLU between them."""
  steps = [step for width in widths
           for step in (RELU, staged.Separable(width), NORM)]
  return tuple(steps[1:])


def _mobilenet(settings: staged.Settings, middle_layers: int) -> graph.Graph:
  """13 separable layers if `middle_layers`, at 16 F channels, are 5."""
  staged.check_positive('mobilenet', middle_layers=middle_layers)
  style, features = settings.style, settings.features
  layers = [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2),
            *[(16, 1)] * middle_layers, (32, 2), (32, 1)]
  builder = graph.Builder(settings.image_shape, style)
  x = builder.add('stem', staged.Chain(
      (Conv(features, 3, 2), NORM, RELU), style), [builder.image])
  for i, (factor, stride) in enumerate(layers):
    x = builder.add(f'layer{i}', staged.Chain((
        staged.Depthwise(3, stride), NORM, RELU, Conv(factor * features, 1),
        NORM, RELU), style), [x])
  return staged.finish(builder, x, settings, settings.dropout_keep)


def _defaults(features, style, size=224, dropout_keep=1.):
  return dict(imagenet=graph.Defaults(
      features, None, style, dropout_keep, (size, size, 3), 1000))


def _family(name, fields, plan, defaults, **kwargs):
  return (staged.family(name, staged.numbers(name, *fields), plan,
                        halvings=dict(imagenet=5), **kwargs), defaults)


FAMILIES = dict(
    resnet_imagenet=_family(
        'resnet_imagenet', ('blocks1', 'blocks2', 'blocks3', 'blocks4'),
        _resnet, _defaults(64, resnets.STYLE)),
    xception=_family(
        'xception', ('middle_blocks',), _xception,
        _defaults(None, ops.Style(
            momentum=.99, epsilon=1e-3, initializer='he_fan_in'), 299, .5),
        takes=()),
    mobilenet=_family(
        'mobilenet', ('middle_layers',), _mobilenet,
        _defaults(32, ops.Style(
            momentum=.9997, epsilon=1e-3, initializer='he_fan_in'),
                  dropout_keep=.999), has_paths=False),
)
