"""The network of ENAS' micro search, whose cells share weights.

NAO with weight sharing (NAO-WS) searches with the same network.

References:
  Pham et al., Efficient Neural Architecture Search via Parameter Sharing, arXiv
    1802.03268, sec. 2.4; melodyguan/enas micro_child.py.
  Luo et al., arXiv 1808.07233, NAO-WS.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from nas_jax import base
from nas_jax import checks
from nas_jax.networks import enas_micro
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.spaces import arcs
from nas_jax.spaces import genotypes
from nas_jax.spaces import nao
from nas_jax.supernets import shared

Array = jax.Array
Value = graph.Value
_STAGES = 3


def family(
    *,
    num_nodes: int = 5,
    num_cells: int = 2,
    features: int = 20,
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    operations: Sequence[str] = nao.WS_OPERATIONS,
    auxiliary: bool = False,
    dropout_keep: float = .9,
    style: ops.Style = enas_micro.DEFAULTS['cifar'].style,
) -> shared.Family:
  """Cells of B nodes; the space is `spaces.nao.space`.

  A stem of 3 F channels, three stages of N normal cells, and before the second
  and the third a reduction cell: the output of the last cell is halved to twice
  the channels, and the cell reads it before and after that. No operation has a
  stride. A state that a cell takes from outside is projected (ReLU, 1x1
  convolution, norm) where its shape is not that of the cell.

  What a node does with an input has weights for each input it could read. The
  states that no node reads are joined by a ReLU, a 1x1 convolution with those
  of the B + 2 blocks of rows of a weight that belong to them, and a norm. That
  is a sum of 1x1 convolutions, one for each state, which is how it is computed.

  `enas_micro` in networks/zoo.py is the network that the result is trained as.
  For NAO-WS: `make(family(auxiliary=True), ...)`, then `step` and `score` with
  genotypes of `family.space`, which are those of `strategies.nao` for
  `nao.space(nao.WS_OPERATIONS)`.

  Args:
    num_nodes: B.
    num_cells: N; the search has 6 normal cells, hence 2.
    features: F of the first stage.
    image_shape: (H, W, C).
    num_classes: K.
    operations: that do not change the size, names of `tables.ENAS`.
    auxiliary: whether a second classifier reads the first cell after the last
      reduction cell.
    dropout_keep: probability to keep a feature before the classifier.
    style: shared settings.

  Raises:
    ValueError: a number out of range, an unknown operation, an image too small.

  Note: paths are not dropped, as in the published code of the search. Each
  1x1 convolution of a loose state starts as if it were alone.
  """
  for name, value in (('num_cells', num_cells), ('features', features)):
    if value < 1:
      raise ValueError(f'{name} is {value}, expected at least 1')
  for name in operations:
    checks.one_of('operation', name, tables.ENAS)
  image.check_keep(1., dropout_keep)
  image.check_size(image_shape, _STAGES - 1)
  space = nao.space(operations, num_nodes=num_nodes)

  def build(genotype: base.Genotype) -> graph.Graph:
    arcs.checked_pairs(genotypes.Genotype(*genotype), operations)
    builder = graph.Builder(image_shape, style)
    stem = builder.add('stem', image.Stem(3 * features, style), [builder.image],
                       (*image_shape[:2], 3 * features))
    previous, last, second = stem, stem, None
    reductions = num_cells, 2 * num_cells + 1
    for i in range(_STAGES * num_cells + _STAGES - 1):
      width = features * 2**sum(i >= r for r in reductions)
      cell, nodes = _Cell(builder, f'cell{i}', width), genotype[0]
      if i in reductions:
        nodes = genotype[2]
        previous, last = last, cell.add(
            'halved', ops.FactorizedReduction, last, 2)
      previous, last = last, cell.build(nodes, previous, last)
      if auxiliary and i == reductions[1] + 1:
        second = image.add_auxiliary(builder, last, image.AuxiliaryHead(
            num_classes, style, padding='same'))
    output = builder.add('classifier', image.Classifier(
        num_classes, dropout_keep, style, use_bias=False),
                         [last], (num_classes,))
    return builder.finish(output, second)

  return shared.Family(space, build, shared.union(
      [build(genotype) for genotype in _cover(num_nodes, operations)]))


class Row(ops.Op):
  """ReLU and 1x1 convolution: one state's part of the output of a cell."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return ops.conv(self.style, ops.relu(x), self.features)


class Norm(ops.Op):
  """Batch norm."""

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return self.norm(x, train)


class _Cell:
  """Adds the nodes of one cell of F channels."""

  def __init__(self, builder: graph.Builder, name: str, features: int):
    self._builder = builder
    self._name = name
    self._features = features

  def add(self, scope: str, op, source: Value, stride: int = 1) -> Value:
    module = op(features=self._features, stride=stride,
                style=self._builder.style)
    size = tuple(-(-n // stride) for n in source.size)
    return self._builder.add(f'{self._name}_{scope}', module, [source],
                             (*size, self._features))

  def build(self, nodes: Sequence[tuple[str, int]], previous: Value,
            last: Value) -> Value:
    """The output; `nodes` are (operation, state), two for each node."""
    states = [self._enter('enter0', previous, last.size),
              self._enter('enter1', last, last.size)]
    for n in range(len(nodes) // 2):
      pair = []
      for side, (name, state) in zip('ab', nodes[2 * n:2 * n + 2]):
        value = states[state]
        if name != 'skip_connect':
          value = self.add(f'node{n}{side}_from{state}_{name}',
                           tables.ENAS[name], value)
        pair.append(value)
      states.append(self._builder.sum(f'{self._name}_node{n}', pair))
    rows = [self.add(f'output_from{s}', Row, states[s])
            for s in arcs.loose_ends(nodes)]
    total = rows[0] if len(rows) == 1 else self._builder.sum(
        f'{self._name}_output_sum', rows)
    return self.add('output', Norm, total)

  def _enter(self, scope: str, value: Value, size: tuple[int, ...]) -> Value:
    if value.size != size:
      return self.add(scope, ops.ReluFactorizedReduction, value, 2)
    if value.channels != self._features:
      return self.add(scope, ops.Conv, value)
    return value


def _cover(num_nodes: int, operations: Sequence[str]
           ) -> list[genotypes.Genotype]:
  """Genotypes that together use every weight."""
  found = []
  for state in range(num_nodes + 1):
    for name in operations:
      nodes = tuple((name, min(state, n + 1)) for n in range(num_nodes)
                    for _ in 'ab')
      found.append(genotypes.Genotype(*(nodes, arcs.loose_ends(nodes)) * 2))
  return found
