"""Networks of AutoDL Design: cells of ten nodes with any adjacency.

Reference: PaddlePaddle/AutoDL, `AutoDL Design`, inception_train/models.
"""

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import knobs
from nas_jax.networks import ops
from nas_jax.networks import ops_rl
from nas_jax.networks import tables
from nas_jax.spaces import adjacency
from nas_jax.spaces import token_code

Value = graph.Value

# features are those of the stem, num_cells the cells of each of three stages;
# the first of the second and of the third stage is the reduction cell.
_STYLE = ops.Style(epsilon=1e-3, initializer='cut_fan_in')
DEFAULTS = dict(cifar=graph.Defaults(64, 3, _STYLE, dropout_keep=.5))
_NUM_STAGES = 3
_RATIO = 4  # a node has a quarter of the cell's channels


def build(
    genotype: token_code.Code,
    *,
    network: str = 'cifar',
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    features: int = 64,
    num_cells: int = 3,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = .5,
    style: ops.Style = _STYLE,
) -> graph.Graph:
  """A stem, three stages of cells, norm, ReLU and a classifier.

  Args:
    genotype: see token_code.py.
    network: 'cifar', the only one there is.
    image_shape: (H, W, C).
    num_classes: K.
    features: F of the first stage, a multiple of 4; doubled by each reduction
      cell.
    num_cells: N, cells of a stage, the reduction cell included.
    auxiliary: not in this family.
    drop_path_keep: not in this family.
    dropout_keep: probability to keep a feature before the classifier.
    style: shared settings.

  Raises:
    ValueError: a wrong genotype, an image too small, or what the family does
      not have.
  """
  token_code.check(genotype)
  knobs.check(
      'autodl', features=features, num_cells=num_cells,
      takes=('features', 'num_cells'), auxiliary=auxiliary,
      drop_path_keep=drop_path_keep, dropout_keep=dropout_keep)
  if features % _RATIO:
    raise ValueError(f'features is {features}, expected a multiple of {_RATIO}')
  del network
  image.check_size(image_shape, _NUM_STAGES - 1)
  normal, reduction = genotype
  builder = graph.Builder(image_shape, style)
  value = builder.add('stem', ops_rl.Affine(features, (3, 3), style),
                      [builder.image], (*image_shape[:2], features))
  for i in range(_NUM_STAGES * num_cells):
    reduces = i > 0 and i % num_cells == 0
    value = add_cell(builder, value, reduction if reduces else normal, reduces,
                     f'cell{i}', style)
  value = builder.add('norm', ops_rl.NormRelu(style), [value], value.shape)
  output = builder.add(
      'classifier',
      image.Classifier(num_classes, dropout_keep, style, relu=False), [value],
      (num_classes,))
  return builder.finish(output)


def add_cell(
    builder: graph.Builder, value: Value, cell: token_code.Cell,
    reduction: bool, name: str, style: ops.Style,
) -> Value:
  """Appends a cell.

  A node that no other feeds reads the cell's input through norm, ReLU and a
  1x1 convolution to a quarter of its channels F; in a reduction cell it halves
  the image and has F / 2 channels. Any other node reads the sum of what feeds
  it. The nodes that feed no other are concatenated, then a 1x1 convolution
  makes F channels, 2 F in a reduction cell.

  Args:
    builder: the graph so far.
    value: the cell's input, F channels.
    cell: operations and adjacency, see token_code.py.
    reduction: whether the cell halves the image.
    name: of the cell.
    style: shared settings.
  """
  names, bits = cell
  narrow = value.channels // _RATIO
  features, stride = (2 * narrow, 2) if reduction else (narrow, 1)
  size = tuple(-(-n // stride) for n in value.size)
  nodes: list[Value] = []
  for i, sources in enumerate(adjacency.inputs(bits, len(names))):
    feeds = [nodes[j] for j in sources]
    if not feeds:
      entry = builder.add(
          f'{name}_node{i}_enter', ops_rl.NormReluConv(narrow, style=style),
          [value], (*value.size, narrow))
    else:
      entry = feeds[0] if len(feeds) == 1 else builder.sum(
          f'{name}_node{i}_sum', feeds)
    operation = tables.TABLES['autodl'][token_code.OPERATIONS[names[i]]]
    nodes.append(builder.add(
        f'{name}_node{i}', operation(
            features=features, stride=1 if feeds else stride, style=style),
        [entry], (*size, features)))
  ends = [nodes[i] for i in adjacency.leaves(bits, len(names))]
  joined = ends[0] if len(ends) == 1 else builder.concat(f'{name}_ends', ends)
  channels = value.channels * stride
  return builder.add(f'{name}_output', ops_rl.Affine(channels, style=style),
                     [joined], (*size, channels))
