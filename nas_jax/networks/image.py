"""Networks of stacked cells.

The networks of NASNet, AmoebaNet, PNAS, NAO and ENAS stack cells in one way;
a `Plan` says where the published codes differ.

Reference: Zoph et al., arXiv 1707.07012, sec. 3 and appendix A.
"""

from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import cells
from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import pooling
from nas_jax.spaces import genotypes

Array = jax.Array
Value = graph.Value


class Plan(NamedTuple):
  """What the published codes do differently around the cells."""
  rules: cells.Rules  # inside a cell
  # 'conv': 3x3 convolution to stem_channels * F, and norm. 'cells': 3x3
  # convolution of stride 2 without padding to stem_channels, norm, and two
  # reduction cells of F / 4 and F / 2. 'strided': three 3x3 convolutions of
  # stride 2; the first cell reads the last two (DARTS).
  stem: str = 'conv'
  stem_channels: int = 3
  # Whether state 0 of the first cell is the stem as it is, not projected.
  raw_first_input: bool = True
  # A stage starts with an additional reduction cell; otherwise its first
  # cell has stride 2 (PNAS).
  reduction_cells: bool = True
  # The cell after a reduction cell takes as state 0 what that cell took.
  skip_reduction_input: bool = False
  # The auxiliary classifier reads the output of the cell so many after the
  # last one of stride 2.
  auxiliary_after: int = -1
  auxiliary_stride: int = 3  # of its pool
  auxiliary_padding: str = 'valid'  # of its second convolution
  final_relu: bool = True  # before the global pool
  linear_bias: bool = True  # of the classifier; the auxiliary one has one


def cifar_net(
    genotype: tuple,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    num_cells: int,
    features: int,
    num_reductions: int = 2,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    table: str = 'nasnet',
    style: ops.Style = ops.Style(),
) -> graph.Graph:
  """NASNet's network for small images, of any number of stages.

  The arguments are those of `stack`; `table` is a key of `tables.TABLES`.
  """
  return stack(
      genotype, Plan(cells.Rules(table, combinations=genotypes.COMBINATIONS)),
      image_shape=image_shape, num_classes=num_classes, num_cells=num_cells,
      features=features, num_reductions=num_reductions, auxiliary=auxiliary,
      drop_path_keep=drop_path_keep, dropout_keep=dropout_keep, style=style)


def build(
    plans: Mapping[str, Plan],
    genotype: tuple,
    *,
    network: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    features: int,
    num_cells: int,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    style: ops.Style = ops.Style(),
) -> graph.Graph:
  """The network of a family: `stack` with the plan for a kind of network.

  Raises:
    ValueError: the family has no such network, or see `stack`.
  """
  if network not in plans:
    raise ValueError(f'there is no network {network!r}, expected one of '
                     f'{", ".join(plans)}')
  return stack(
      genotype, plans[network], image_shape=image_shape,
      num_classes=num_classes, num_cells=num_cells, features=features,
      auxiliary=auxiliary, drop_path_keep=drop_path_keep,
      dropout_keep=dropout_keep, style=style)


def stack(
    genotype: tuple,
    plan: Plan,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    num_cells: int,
    features: int,
    num_reductions: int = 2,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    style: ops.Style = ops.Style(),
) -> graph.Graph:
  """Stem, then stages of N normal cells with reduction cells between.

  Args:
    genotype: (normal, normal_concat, reduce, reduce_concat) and perhaps the
      combinations of both cells, see `genotypes.Genotype`; two edges for each
      node.
    plan: of the paper.
    image_shape: (H, W, C).
    num_classes: K.
    num_cells: N, normal cells per stage.
    features: F of the first stage; doubled with each further stage.
    num_reductions: stages after the first.
    auxiliary: whether there is a second classifier in training.
    drop_path_keep: probability to keep a path of the last cell at the end of
      training; earlier cells and steps drop linearly less.
    dropout_keep: probability to keep a feature before the classifier.
    style: shared settings.

  Returns:
    A `graph.Graph`.

  Raises:
    ValueError: a genotype the table cannot build, a combination the plan does
      not have, an image too small for the reductions or for the auxiliary
      head, a number out of range.
  """
  if len(genotype) not in (4, 6):
    raise ValueError('a network of cells needs (normal, normal_concat, reduce, '
                     f'reduce_concat), got {genotype!r}')
  normal, normal_concat, reduce, reduce_concat, *_ = genotype
  if any(len(edge) != 2 for edge in (*normal, *reduce)):
    raise ValueError('expected (operation, state) pairs, two for each node, '
                     f'got {(*normal, *reduce)!r}')
  combinations = {
      kind: genotypes.node_combinations(
          genotypes.Genotype(*genotype), kind, plan.rules.combinations)
      for kind in ('normal', 'reduce')}
  least = {'conv': 1, 'strided': 2, 'cells': 4}[plan.stem]
  for name, value, limit in (('num_cells', num_cells, 1),
                             ('features', features, least)):
    if value < limit:
      raise ValueError(f'{name} is {value}, expected at least {limit}')
  check_keep(drop_path_keep, dropout_keep)
  if auxiliary and not num_reductions:
    raise ValueError('the auxiliary head reads the input of the last reduction '
                     'cell, but num_reductions is 0')
  check_size(image_shape, num_reductions + (3 if plan.stem != 'conv' else 0))
  builder = graph.Builder(image_shape, style)
  layout = _layout(plan, num_cells, num_reductions)
  num_stem_cells = 2 if plan.stem == 'cells' else 0
  total = num_stem_cells + len(layout)

  def add_cell(name, index, previous, last, features, strided):
    return cells.add_cell(
        builder, previous, last, nodes=reduce if strided else normal,
        concat=reduce_concat if strided else normal_concat,
        combinations=combinations['reduce' if strided else 'normal'],
        features=features, reduction=strided, depth=(index + 1) / total,
        name=name, rules=plan.rules, style=style)

  values = _add_stem(builder, plan, features, style)
  for i in range(num_stem_cells):
    values.append(add_cell(f'stem_cell{i}', i, values[-2], values[-1],
                           features // 2**(2 - i), True))
  second = None
  place = _last_strided(layout) + plan.auxiliary_after
  for i, (stage, strided) in enumerate(layout):
    skips = plan.skip_reduction_input and i > 0 and layout[i - 1][1]
    values.append(add_cell(
        f'cell{i}', num_stem_cells + i, values[-3 if skips else -2],
        values[-1], features * 2**stage, strided))
    if auxiliary and i == place:
      second = add_auxiliary(builder, values[-1], AuxiliaryHead(
          num_classes, style, plan.auxiliary_stride, plan.auxiliary_padding))
  output = builder.add('classifier', Classifier(
      num_classes, dropout_keep, style, plan.final_relu, plan.linear_bias),
                       [values[-1]], (num_classes,))
  return builder.finish(output, second, drop_path_keep)


def check_keep(drop_path_keep: float, dropout_keep: float) -> None:
  """Raises ValueError unless both are probabilities above 0."""
  for name, keep in (('drop_path_keep', drop_path_keep),
                     ('dropout_keep', dropout_keep)):
    if not 0 < keep <= 1:
      raise ValueError(f'{name} is {keep}, expected a probability in (0, 1]')


def check_size(image_shape: tuple[int, int, int], halvings: int) -> None:
  """Raises ValueError unless an image can be halved so many times."""
  if not min(image_shape[:2]) // 2**halvings:
    raise ValueError(
        f'an image of {image_shape[0]} x {image_shape[1]} pixels cannot be '
        f'halved by {halvings} reduction cells')


def add_auxiliary(builder: graph.Builder, value: Value, head: nn.Module
                  ) -> Value:
  """Appends the auxiliary classifier of a value.

  Raises:
    ValueError: there are too few pixels for its pool.
  """
  if min(value.size) < 5:
    raise ValueError(
        'the auxiliary head pools 5 x 5 pixels but its input has '
        f'{value.size[0]} x {value.size[1]}; train without it, or on larger '
        'images')
  return builder.add('auxiliary', head, [value], (head.num_classes,))


class Stem(nn.Module):
  """3x3 convolution and norm; with stride 2 without padding."""
  features: int
  style: ops.Style
  stride: int = 1

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    padding = None if self.stride == 1 else 'valid'
    x = ops.conv(self.style, x, self.features, (3, 3), self.stride,
                 padding=padding)
    return ops.norm(self.style, x, train)


class StridedStem(nn.Module):
  """Halves the image with 3x3 convolutions, ReLU between, norm after each."""
  sizes: tuple[int, ...]  # channels of each convolution
  style: ops.Style
  relu_first: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    for i, features in enumerate(self.sizes):
      x = nn.relu(x) if i or self.relu_first else x
      x = ops.conv(self.style, x, features, (3, 3), 2)
      x = ops.norm(self.style, x, train)
    return x


class Classifier(nn.Module):
  """ReLU, global average pool, dropout, linear: [B, H, W, C] -> [B, K]."""
  num_classes: int
  dropout_keep: float = 1.
  style: ops.Style = ops.Style()
  relu: bool = True
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = jnp.mean(nn.relu(x) if self.relu else x, (1, 2))
    if self.dropout_keep < 1.:
      x = nn.Dropout(1. - self.dropout_keep, deterministic=not train)(x)
    return ops.dense(self.style, x, self.num_classes, self.use_bias)


class AuxiliaryHead(nn.Module):
  """The auxiliary classifier of appendix A.7: [B, H, W, C] -> [B, K]."""
  num_classes: int
  style: ops.Style
  stride: int = 3  # of the pool
  padding: str = 'valid'  # of the second convolution
  size: int | None = None  # of its kernel; unset, that of the pooled image
  second_norm: bool = True  # after it

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = pooling.pool(nn.relu(x), 'avg', 5, self.stride, 'valid')
    x = nn.relu(ops.norm(self.style, ops.conv(self.style, x, 128), train))
    size = (self.size,) * 2 if self.size else x.shape[1:3]
    x = ops.conv(self.style, x, 768, size, padding=self.padding)
    if self.second_norm:
      x = ops.norm(self.style, x, train)
    # One pixel in the published networks; of larger images the mean.
    return ops.dense(
        self.style, jnp.mean(nn.relu(x), (1, 2)), self.num_classes)


def _layout(plan: Plan, num_cells: int, num_reductions: int
            ) -> list[tuple[int, bool]]:
  """Of every cell after the stem: its stage, and whether its stride is 2."""
  return [
      (stage, stage > 0 and i == 0) for stage in range(num_reductions + 1)
      for i in range(num_cells + (stage > 0 and plan.reduction_cells))]


def _last_strided(layout: list[tuple[int, bool]]) -> int:
  return max([i for i, (_, strided) in enumerate(layout) if strided],
             default=0)


def _add_stem(builder: graph.Builder, plan: Plan, features: int,
              style: ops.Style) -> list[Value | None]:
  """What the first cell takes as states 0 and 1."""
  image = builder.image
  if plan.stem == 'strided':
    first = builder.add(
        'stem0', StridedStem((features // 2, features), style), [image])
    second = builder.add(
        'stem1', StridedStem((features,), style, relu_first=True), [first])
    return [first, second]
  if plan.stem == 'cells':
    stem = builder.add(
        'stem', Stem(plan.stem_channels, style, stride=2), [image])
  else:
    channels = plan.stem_channels * features
    stem = builder.add(
        'stem', Stem(channels, style), [image], (*image.size, channels))
  return [None if plan.raw_first_input else stem, stem]
