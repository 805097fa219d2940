"""The network of NAS-Bench-101.

Stem, three stacks of N equal cells with max pooling between, which doubles the
channels, average pool, classifier. Within a cell, vertices that feed the output
share its channels and are concatenated; all other edges are summed, cut to the
channels of the vertex that they enter; edges from the cell's input are 1x1
convolutions.

Note: linear layers are drawn by the rule of the convolutions; the published
code has TensorFlow's default for them.

Reference: Ying et al., arXiv 1902.09635, sec. 2.2, 2.3 and S3;
  nasbench/lib/model_builder.py.
"""

import flax.linen as nn
import jax

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import ops_bench
from nas_jax.networks import staged
from nas_jax.networks import tables
from nas_jax.spaces import nasbench101

Array = jax.Array
Value = graph.Value

_STYLE = ops.Style(momentum=.997, epsilon=1e-5, initializer='lecun')
_STACKS = 3


class CutSum(nn.Module):
  """The sum of the first F channels of each input."""
  features: int

  @nn.compact
  def __call__(self, *inputs_and_train) -> Array:
    *inputs, _ = inputs_and_train
    inputs = [x[..., :self.features] for x in inputs]
    return sum(inputs[1:], start=inputs[0])


def _nasbench101(settings: staged.Settings, matrix, operations) -> graph.Graph:
  cell = nasbench101.cell(matrix, operations)
  style, features = settings.style, settings.features
  builder = graph.Builder(settings.image_shape, style)
  x = builder.add('stem', ops_bench.ConvNormRelu(features, 1, style, size=3),
                  [builder.image])
  for stack in range(_STACKS):
    if stack:
      x = builder.add(f'pool{stack}', ops.Pool(
          x.channels, 2, style, kind='max', size=2), [x])
    for n in range(settings.num_cells):
      x = _add_cell(builder, f'stack{stack}_cell{n}', x, cell,
                    features * 2**stack)
  return staged.finish(builder, x, settings, settings.dropout_keep)


def _add_cell(builder: graph.Builder, name: str, x: Value,
              cell: nasbench101.Cell, features: int) -> Value:
  matrix, operations = cell
  last = len(matrix) - 1
  widths = nasbench101.channels(matrix, x.channels, features)

  def add(scope, module, inputs, width):
    return builder.add(f'{name}_{scope}', module, inputs, (*x.size, width))

  def project(scope, width):
    return add(scope, ops_bench.ConvNormRelu(width, 1, builder.style), [x],
               width)

  values = [x]
  for i in range(1, last):
    inputs = [values[j] for j in range(1, i) if matrix[j][i]]
    if matrix[0][i]:
      inputs.append(project(f'project{i}', widths[i]))
    if len(inputs) > 1 or inputs[0].channels != widths[i]:
      inputs = [add(f'sum{i}', CutSum(widths[i]), inputs, widths[i])]
    module = tables.TABLES['nasbench101'][operations[i]](
        features=widths[i], stride=1, style=builder.style)
    values.append(add(f'vertex{i}', module, inputs, widths[i]))
  feeders = [values[i] for i in range(1, last) if matrix[i][last]]
  if not feeders:
    return project('output', features)
  y = builder.concat(f'{name}_output', feeders) if len(feeders) > 1 else (
      feeders[0])
  if not matrix[0][last]:
    return y
  return builder.sum(f'{name}_sum', [y, project('shortcut', features)])


# num_cells is N, the cells of each of three stacks.
FAMILIES = dict(
    nasbench101=(
        staged.family(
            'nasbench101', staged.numbers(
                'nasbench101', 'matrix', 'operations'), _nasbench101,
            takes=('features', 'num_cells'), halvings=dict(cifar=_STACKS - 1),
            has_paths=False),
        dict(cifar=graph.Defaults(128, 3, _STYLE))),
)
