"""DenseNet and DenseNet-BC for CIFAR.

Every layer of a block reads the concatenation of all before it. Dropout, which
the papers use without augmentation, follows every convolution but the first.

Note: the published code has a ReLU in the transitions, which is done here; the
paper does not name it.

Reference: Huang et al., Densely Connected Convolutional Networks, arXiv
1608.06993, sec. 3 and 4.2; liuzhuang13/DenseNet.
"""

from nas_jax.networks import graph
from nas_jax.networks import resnets
from nas_jax.networks import staged
from nas_jax.networks.staged import NORM, RELU

Conv = staged.Conv


def _densenet(settings: staged.Settings, depth: int, growth: int
              ) -> graph.Graph:
  """3 n + 4 layers: a 3x3 convolution each."""
  n = staged.blocks_per_stage('densenet', depth, 3, 4)
  staged.check_positive('densenet', growth=growth)
  return _build(settings, n, growth, 16, 1, False)


def _densenet_bc(settings: staged.Settings, depth: int, growth: int
                 ) -> graph.Graph:
  """6 n + 4 layers: bottlenecks, and transitions that halve the channels."""
  n = staged.blocks_per_stage('densenet_bc', depth, 6, 4)
  staged.check_positive('densenet_bc', growth=growth)
  return _build(settings, n, growth, 2 * growth, 2, True)


def _build(settings: staged.Settings, n: int, growth: int, stem: int,
           compression: int, bottleneck: bool) -> graph.Graph:
  """Three blocks of n layers.

  Args:
    settings: of the network.
    n: layers per block.
    growth: k, channels that a layer adds.
    stem: channels of the first convolution.
    compression: transitions divide the channels by it.
    bottleneck: whether a 1x1 convolution to 4 k channels comes first.
  """
  style, keep = settings.style, settings.dropout_keep
  dropout = (staged.Dropout(keep),) if keep < 1 else ()
  reduce = (NORM, RELU, Conv(4 * growth, 1), *dropout) if bottleneck else ()
  layer = staged.Chain(
      (*reduce, NORM, RELU, Conv(growth), *dropout), style)
  builder = graph.Builder(settings.image_shape, style)
  x = builder.add('stem', staged.Chain((Conv(stem),), style), [builder.image])
  for block in range(3):
    for i in range(n):
      name = f'block{block}_layer{i}'
      x = builder.concat(f'{name}_concat', [x, builder.add(
          name, layer, [x], (*x.size, growth))])
    if block < 2:
      x = builder.add(f'transition{block}', staged.Chain(
          (NORM, RELU, Conv(x.channels // compression, 1), *dropout,
           staged.Pool('avg', 2, 2)), style), [x])
  x = builder.add('tail', staged.Chain((NORM, RELU), style), [x], x.shape)
  return staged.finish(builder, x, settings)


def _family(name, plan):
  return (staged.family(name, staged.numbers(name, 'depth', 'growth'), plan,
                        takes=(), halvings=dict(cifar=2), has_paths=False),
          dict(cifar=graph.Defaults(None, None, resnets.STYLE)))


FAMILIES = dict(
    densenet=_family('densenet', _densenet),
    densenet_bc=_family('densenet_bc', _densenet_bc),
)
