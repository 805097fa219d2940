"""Networks of BlockQNN: one block, repeated.

Reference: Zhong et al., Practical Block-wise Neural Network Architecture
  Generation, arXiv 1708.05552, sec. 3.1 and figure 2.
"""

import flax.linen as nn
import jax

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import knobs
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.spaces import block_code

Array = jax.Array
Value = graph.Value

# features are those of the first group, num_cells the blocks of each group.
_STYLE = ops.Style(initializer='he_fan_in')
DEFAULTS = dict(
    cifar=graph.Defaults(32, 4, _STYLE),
    imagenet=graph.Defaults(64, 3, _STYLE, image_shape=(224, 224, 3),
                            num_classes=1000))
_NUM_GROUPS = dict(cifar=3, imagenet=4)


def build(
    genotype: block_code.Code,
    *,
    network: str = 'cifar',
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    features: int = 32,
    num_cells: int = 4,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    style: ops.Style = _STYLE,
    widen: bool = False,
) -> graph.Graph:
  """A stem, groups of N blocks with 2x2 maximum pools between, a classifier.

  Args:
    genotype: see block_code.py.
    network: 'cifar' with three groups, or 'imagenet' with four and a stem that
      divides the image by 4.
    image_shape: (H, W, C).
    num_classes: K.
    features: F of the first group; doubled by each group.
    num_cells: N.
    auxiliary: not in this family.
    drop_path_keep: not in this family.
    dropout_keep: probability to keep a feature before the classifier (not in
      the paper).
    style: shared settings.
    widen: see `add_block`.

  Raises:
    ValueError: a wrong genotype, an image too small, or what the family does
      not have.

  Note: the stems and the classifier's ReLU are not published. Depth 38 on
  ImageNet with three convolutions per block leaves two for its stem.
  """
  block_code.layers(genotype)
  knobs.check(
      'blockqnn', features=features, num_cells=num_cells,
      takes=('features', 'num_cells'), auxiliary=auxiliary,
      drop_path_keep=drop_path_keep, dropout_keep=dropout_keep)
  groups = _NUM_GROUPS[network]
  image.check_size(
      image_shape, groups - 1 + 2 * (network == 'imagenet'))
  builder = graph.Builder(image_shape, style)
  if network == 'cifar':
    value = builder.add('stem', image.Stem(features, style), [builder.image])
  else:
    value = builder.add('stem', Stem(features, style), [builder.image])
    value = _pool(builder, 'pool_stem', value, style)
  for group in range(groups):
    if group:
      value = _pool(builder, f'pool{group}', value, style)
    for i in range(num_cells):
      value = add_block(
          builder, value, genotype, features * 2**group,
          f'block{group * num_cells + i}', style, widen)
  output = builder.add('classifier', image.Classifier(
      num_classes, dropout_keep, style), [value], (num_classes,))
  return builder.finish(output)


def add_block(
    builder: graph.Builder, value: Value, code: block_code.Code, features: int,
    name: str, style: ops.Style, widen: bool = False,
) -> Value:
  """Appends a block; its output is the concatenation of all unread layers.

  Args:
    builder: the graph so far.
    value: the block's input.
    code: see block_code.py.
    features: F, the channels of every convolution.
    name: of the block.
    style: shared settings.
    widen: whether concatenations, the one of the output included, keep all
      channels; otherwise a ReLU, 1x1 convolution and norm bring back F.

  Note: how channels are matched is not published. Of two summands with
  different channels, the narrower one passes through a ReLU, 1x1 convolution
  and norm of as many as the wider one has.
  """
  values = [value]

  def convolve(scope, source, channels):
    return builder.add(
        f'{name}_{scope}', ops.Conv(channels, style=style), [source],
        (*source.size, channels))

  def concat(scope, sources):
    joined = builder.concat(f'{name}_{scope}', sources)
    return joined if widen else convolve(f'{scope}_match', joined, features)

  def add(scope, sources):
    widest = max(v.channels for v in sources)
    return builder.sum(f'{name}_{scope}', [
        v if v.channels == widest else
        convolve(f'{scope}_match{i}', v, widest)
        for i, v in enumerate(sources)])

  for layer in block_code.layers(code):
    index, kind, size, _, _ = layer
    sources = [values[i] for i in block_code.predecessors(layer)]
    if kind in (block_code.ADD, block_code.CONCAT):
      join = add if kind == block_code.ADD else concat
      values.append(join(f'layer{index}', sources))
    elif kind == block_code.IDENTITY or (
        kind != block_code.CONV and size == 1):
      values.append(sources[0])
    else:
      operation = f'{_NAMES[kind]}_{size}x{size}'
      channels = (features if kind == block_code.CONV else
                  sources[0].channels)
      values.append(builder.add(
          f'{name}_layer{index}', tables.TABLES['blockqnn'][operation](
              features=channels, style=style), sources,
          (*sources[0].size, channels)))
  outputs = [values[i] for i in block_code.leaves(code)]
  return outputs[0] if len(outputs) == 1 else concat('output', outputs)


class Stem(nn.Module):
  """Two 3x3 convolutions, the first with stride 2 (ImageNet)."""
  features: int
  style: ops.Style

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = ops.conv(self.style, x, self.features, (3, 3), 2)
    x = nn.relu(ops.norm(self.style, x, train))
    x = ops.conv(self.style, x, self.features, (3, 3))
    return ops.norm(self.style, x, train)


_NAMES = {
    block_code.CONV: 'conv',
    block_code.MAX_POOL: 'max_pool',
    block_code.AVG_POOL: 'avg_pool',
}


def _pool(builder, name, value, style) -> Value:
  return builder.add(
      name, ops.Pool(value.channels, 2, style, kind='max', size=2), [value])
