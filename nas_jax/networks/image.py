"""Networks of stacked cells for small images.

Reference: Zoph et al., arXiv 1707.07012, sec. 3 and appendix A.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import cells
from nas_jax.networks import graph
from nas_jax.networks import ops

Array = jax.Array


def cifar_net(
    genotype: tuple,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    num_cells: int,
    features: int,
    stem_multiplier: int = 3,
    num_reductions: int = 2,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    table: str = 'nasnet',
    style: ops.Style = ops.Style(),
) -> graph.Graph:
  """Stem, then stages of N normal cells with reduction cells between.

  Args:
    genotype: (normal, normal_concat, reduce, reduce_concat).
    image_shape: (H, W, C).
    num_classes: K.
    num_cells: N, normal cells per stage.
    features: F of the first stage; doubled by each reduction cell.
    stem_multiplier: the stem has stem_multiplier * F channels.
    num_reductions: reduction cells, each followed by N normal cells.
    auxiliary: whether a second classifier reads the input of the last
      reduction cell in training (appendix A.7).
    drop_path_keep: probability to keep a path of the last cell at the end of
      training; earlier cells and steps drop linearly less.
    dropout_keep: probability to keep a feature before the classifier.
    table: which operations, a key of `ops.TABLES`.
    style: shared settings.

  Returns:
    A `graph.Graph`.

  Raises:
    ValueError: a genotype the table cannot build, an image too small for the
      reductions or for the auxiliary head, a number out of range.
  """
  normal, normal_concat, reduce, reduce_concat = genotype
  for name, keep in (('drop_path_keep', drop_path_keep),
                     ('dropout_keep', dropout_keep)):
    if not 0 < keep <= 1:
      raise ValueError(
          f'{name} is {keep}, expected a probability in (0, 1]')
  if auxiliary and not num_reductions:
    raise ValueError('the auxiliary head reads the input of the last reduction '
                     'cell, but num_reductions is 0')
  smallest = min(image_shape[:2]) // 2**num_reductions
  if not smallest:
    raise ValueError(
        f'an image of {image_shape[0]} x {image_shape[1]} pixels cannot be '
        f'halved by {num_reductions} reduction cells')
  builder = graph.Builder(image_shape, style)
  height, width, _ = image_shape
  previous, last = None, builder.add(
      'stem', Stem(stem_multiplier * features, style), [builder.image],
      (height, width, stem_multiplier * features))
  stages = num_reductions + 1
  total = stages * num_cells + num_reductions
  index, second = 0, None
  for stage in range(stages):
    for i in range(num_cells + (stage > 0)):
      reduction = stage > 0 and i == 0
      if reduction and stage == stages - 1 and auxiliary:
        if min(last.size) < 5:
          raise ValueError(
              'the auxiliary head pools 5 x 5 pixels but its input has '
              f'{last.size[0]} x {last.size[1]}; train without it, or on '
              'larger images')
        second = builder.add('auxiliary', AuxiliaryHead(num_classes, style),
                             [last], (num_classes,))
      previous, last = last, cells.add_cell(
          builder, previous, last, nodes=reduce if reduction else normal,
          concat=reduce_concat if reduction else normal_concat,
          features=features * 2**stage, reduction=reduction,
          depth=(index + 1) / total, name=f'cell{index}', table=table,
          style=style)
      index += 1
  output = builder.add('classifier', Classifier(
      num_classes, dropout_keep, style),
                       [last], (num_classes,))
  return builder.finish(output, second, drop_path_keep)


class Stem(nn.Module):
  """3x3 convolution and norm."""
  features: int
  style: ops.Style

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return ops.norm(
        self.style, ops.conv(self.style, x, self.features, (3, 3)), train)


class Classifier(nn.Module):
  """ReLU, global average pool, dropout, linear: [B, H, W, C] -> [B, K]."""
  num_classes: int
  dropout_keep: float = 1.
  style: ops.Style = ops.Style()

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = jnp.mean(nn.relu(x), (1, 2))
    if self.dropout_keep < 1.:
      x = nn.Dropout(1. - self.dropout_keep, deterministic=not train)(x)
    return ops.dense(self.style, x, self.num_classes)


class AuxiliaryHead(nn.Module):
  """The auxiliary classifier of appendix A.7: [B, H, W, C] -> [B, K]."""
  num_classes: int
  style: ops.Style

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = nn.avg_pool(nn.relu(x), (5, 5), (3, 3), 'VALID')
    x = nn.relu(ops.norm(
        self.style, ops.conv(self.style, x, 128), train))
    x = ops.conv(self.style, x, 768, x.shape[1:3], padding='valid')
    x = nn.relu(ops.norm(self.style, x, train))
    return ops.dense(self.style, x[:, 0, 0], self.num_classes)
