"""Networks of cells of choice blocks, and the one-shot model of all of them.

A stem of two 3x3 convolutions, cells of one architecture, norm, ReLU, global
pool and a linear layer. Cells at a third and two thirds of the depth halve the
image and double the filters. A cell brings its two inputs, the outputs of the
last two cells, to F channels; the outputs of its blocks are concatenated.

A choice block concatenates what it reads, each state after norm and ReLU, and
a 1x1 convolution makes F channels of it; its operations run on these, and are
summed. The convolution is computed as a sum over the states, so each path
into it is a node: a network of fewer paths is a graph of fewer nodes, whose
names are those of the weights that they share with all others.

Reference: Bender et al., Understanding and Simplifying One-Shot Architecture
Search, ICML 2018, sec. 3.

Note: the paper's text was not at hand. Ours are: where the image is halved
(by a separable convolution, norm and ReLU before it), the stem, and what a
path that is off does: it contributes zeros to the 1x1 convolution and to the
sum of operations, so a block that reads nothing is zeros, and so is a path
from such a block.
"""

from typing import Any

import flax.linen as nn
import jax

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import knobs
from nas_jax.networks import ops
from nas_jax.networks import ops_one_shot
from nas_jax.networks import ops_rl
from nas_jax.networks import staged
from nas_jax.networks import tables
from nas_jax.spaces import one_shot

Array = jax.Array
Value = graph.Value

_STYLE = ops.Style()
# num_cells is the number of all cells. Note: 16, 32 and 64 filters are what
# the paper is quoted with.
DEFAULTS = dict(cifar=graph.Defaults(32, 8, _STYLE))


def build(
    genotype: Any,
    *,
    network: str = 'cifar',
    image_shape: tuple[int, int, int],
    num_classes: int,
    features: int,
    num_cells: int,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    style: ops.Style = _STYLE,
) -> graph.Graph:
  """The network of some paths, see `zoo.Family`.

  Args:
    genotype: of spaces/one_shot.py; sets of any size, empty ones included.
    network: 'cifar'.
    image_shape: (H, W, C).
    num_classes: K.
    features: F of the first cells.
    num_cells: of all stages.
    auxiliary: there is no auxiliary classifier.
    drop_path_keep: no path is dropped example by example.
    dropout_keep: probability to keep a feature before the classifier.
    style: shared settings.

  Raises:
    ValueError: what the family does not have, or a number out of range.
  """
  del network
  _check(features, num_cells, auxiliary, drop_path_keep, dropout_keep)
  blocks = one_shot.check(genotype)
  builder = graph.Builder(image_shape, style)

  def cell(name, states, zeros, features):
    return _add_cell(builder, name, states, zeros, blocks, features, style)

  return _finish(builder, cell, num_classes, features, num_cells,
                 dropout_keep, style)


def build_switched(
    operations: tuple[str, ...] = one_shot.OPERATIONS,
    num_blocks: int = 4,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    features: int,
    num_cells: int,
    style: ops.Style = _STYLE,
) -> graph.Graph:
  """All paths, each times a gate: the one-shot model as one program.

  The gates are 'inputs' float[N, N + 1] and 'operations' float[N, O], of
  `one_shot.Paths` that are `one_shot.live`; variables are those of `build`.

  Args:
    operations: their names, O.
    num_blocks: N.
    image_shape: as in `build`, like the following.
    num_classes: K.
    features: F.
    num_cells: of all stages.
    style: shared settings.

  Raises:
    ValueError: as `build`.
  """
  _check(features, num_cells, False, 1., 1.)
  blocks = one_shot.check(one_shot.all_paths(operations, num_blocks))
  builder = graph.Builder(image_shape, style)
  gates = (builder.gate('inputs', (num_blocks, num_blocks + 1)),
           builder.gate('operations', (num_blocks, len(operations))))

  def cell(name, states, zeros, features):
    return _add_cell(builder, name, states, zeros, blocks, features, style,
                     gates)

  return _finish(builder, cell, num_classes, features, num_cells, 1., style)


def reductions(num_cells: int) -> tuple[int, ...]:
  """The cells that halve the image: at a third and two thirds, not the first.
  """
  return tuple(sorted({num_cells // 3, 2 * num_cells // 3} - {0}))


class Switch(nn.Module):
  """A path times an entry of a gate.

  Attributes:
    place: of the entry.
  """
  place: tuple[int, int]

  @nn.compact
  def __call__(self, x: Array, gate: Array, train: bool) -> Array:
    del train
    return x * gate[self.place].astype(x.dtype)


def _check(features, num_cells, auxiliary, drop_path_keep, dropout_keep):
  knobs.check(
      'one_shot', features=features, num_cells=num_cells,
      takes=('features', 'num_cells'), auxiliary=auxiliary,
      drop_path_keep=drop_path_keep, dropout_keep=dropout_keep)


def _finish(builder, add_cell, num_classes, features, num_cells, dropout_keep,
            style) -> graph.Graph:
  halves = reductions(num_cells)
  image.check_size(builder.image.shape, len(halves))
  conv = staged.Conv(features)
  stem = builder.add(
      'stem', staged.Chain((conv, staged.NORM, staged.RELU, conv), style),
      [builder.image], (*builder.image.size, features))
  previous, last = stem, stem
  for k in range(num_cells):
    size, width = last.size, features * 2**sum(h <= k for h in halves)
    if k in halves:
      size = tuple(-(-n // 2) for n in size)
    states = [_enter(builder, f'cell{k}_enter{j}', value, size, width, style)
              for j, value in enumerate((previous, last))]

    def zeros(name, last=last, size=size, width=width):
      return builder.add(
          name, ops.Zero(width, 1 + (last.size != size), style), [last],
          (*size, width))

    previous, last = last, add_cell(f'cell{k}', states, zeros, width)
  tail = builder.add('tail', ops_rl.NormRelu(style), [last], last.shape)
  return builder.finish(builder.add(
      'classifier',
      image.Classifier(num_classes, dropout_keep, style, relu=False), [tail],
      (num_classes,)))


def _enter(builder, name, value, size, features, style) -> Value:
  """An input of a cell: F channels, of the size of the cell's blocks."""
  if value.size == size:
    return builder.add(
        name, ops_one_shot.Conv(features, style=style), [value],
        (*size, features))
  halved = tuple(-(-n // 2) for n in value.size)
  value = builder.add(
      name, ops_one_shot.SeparableConv(features, 2, style, size=3, repeats=1),
      [value], (*halved, features))
  return value if halved == size else _enter(
      builder, f'{name}_again', value, size, features, style)


def _add_cell(builder, name, states, zeros, blocks, features, style,
              gates=None) -> Value:
  """Appends a cell.

  Args:
    builder: the graph so far.
    name: scope of the parameters.
    states: the two inputs, F channels.
    zeros: name -> Value that is 0 everywhere.
    blocks: (states, operations) of each.
    features: F.
    style: shared settings.
    gates: of `build_switched`; without them every path is on.

  Returns:
    The output, N F channels.

  Raises:
    ValueError: an operation that is not in the table.
  """
  table = tables.TABLES['one_shot']
  shape = states[0].shape

  def add(scope, module, value, which, place):
    if module is not None:
      value = builder.add(scope, module, [value], shape)
    return builder.add(f'{scope}_switch', Switch(place), [value, gates[which]],
                       shape) if gates else value

  def total(scope, values):
    return builder.sum(scope, values) if len(values) > 1 else values[0]

  states: list[Value | None] = list(states)
  for i, (inputs, operations) in enumerate(blocks):
    scope = f'{name}_block{i}'
    read = [add(f'{scope}_input{s}', ops_one_shot.Conv(features, style=style),
                states[s], 0, (i, s)) for s in inputs if states[s] is not None]
    if not read or not operations:
      states.append(None)
      continue
    x = total(f'{scope}_joined', read)
    results = []
    for j, operation in enumerate(operations):
      if operation not in table:
        raise ValueError(f'unknown operation {operation!r}, expected one of '
                         f'{", ".join(table)}')
      module = None if operation == 'skip_connect' else table[operation](
          features=features, style=style)
      results.append(add(f'{scope}_{operation}', module, x, 1, (i, j)))
    states.append(total(scope, results))
  return builder.concat(f'{name}_output', [
      zeros(f'{name}_block{i}_zeros') if value is None else value
      for i, value in enumerate(states[2:])])
