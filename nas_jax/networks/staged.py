"""Chains of layers, residual blocks, stages: what hand-designed networks share.

A residual block is one node for its branch, one for its shortcut if that is not
the identity, and one for their sum. Blocks of one shape are the same modules.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import initializers
from nas_jax.networks import knobs
from nas_jax.networks import ops
from nas_jax.networks import pooling
from nas_jax.networks import separable

Array = jax.Array
Value = graph.Value

NORM, RELU, RELU6 = 'norm', 'relu', 'relu6'


@dataclasses.dataclass(frozen=True)
class Conv:
  """Convolution without bias."""
  features: int
  size: int = 3
  stride: int = 1
  groups: int = 1
  padding: str | None = None  # the style's if not set


@dataclasses.dataclass(frozen=True)
class Depthwise:
  """A filter per channel."""
  size: int = 3
  stride: int = 1


@dataclasses.dataclass(frozen=True)
class Separable:
  """A filter per channel, then a 1x1 convolution."""
  features: int
  size: int = 3


@dataclasses.dataclass(frozen=True)
class Pool:
  """Average (padding not counted) or maximum; see `pooling.pool`."""
  kind: str
  size: int
  stride: int
  padding: str | None = None  # the style's if not set


@dataclasses.dataclass(frozen=True)
class Dropout:
  keep: float


Step = str | Conv | Depthwise | Separable | Pool | Dropout


class Settings(NamedTuple):
  """What a network of a family is built with, besides its genotype."""
  network: str
  image_shape: tuple[int, int, int]
  num_classes: int
  features: int | None
  num_cells: int | None
  drop_path_keep: float
  dropout_keep: float
  style: ops.Style


def family(
    name: str,
    read: Callable[[Any], Sequence[Any]],
    plan: Callable[..., graph.Graph],
    *,
    halvings: Mapping[str, int],
    takes: tuple[str, ...] = ('features',),
    has_paths: bool = True,
) -> Callable[..., graph.Graph]:
  """The `build` of a family that shares the checks of its arguments.

  Args:
    name: of the family, for errors.
    read: genotype -> entries for `plan`; raises ValueError for a wrong one.
    plan: (settings, *entries) -> Graph.
    halvings: by kind of network, how often it halves the image.
    takes: which of 'features' and 'num_cells' may be chosen.
    has_paths: whether there are residual branches to drop.

  Returns:
    What `zoo.Family.build` describes.
  """

  def build_(
      genotype: Any,
      *,
      network: str,
      image_shape: tuple[int, int, int],
      num_classes: int,
      features: int | None,
      num_cells: int | None,
      auxiliary: bool = False,
      drop_path_keep: float = 1.,
      dropout_keep: float = 1.,
      style: ops.Style,
  ) -> graph.Graph:
    entries = read(genotype)
    knobs.check(
        name, features=features, num_cells=num_cells, takes=takes,
        auxiliary=auxiliary, dropout_keep=dropout_keep,
        drop_path_keep=1. if has_paths else drop_path_keep)
    image.check_keep(drop_path_keep, dropout_keep)
    if not min(image_shape[:2]) // 2**halvings[network]:
      raise ValueError(
          f'an image of {image_shape[0]} x {image_shape[1]} pixels cannot be '
          f'halved {halvings[network]} times, as {name} does')
    settings = Settings(network, tuple(image_shape), num_classes, features,
                        num_cells, drop_path_keep, dropout_keep, style)
    return plan(settings, *entries)

  return build_


def numbers(name: str, *fields: str) -> Callable[[Any], Sequence[Any]]:
  """What reads a genotype of so many entries."""
  def read(genotype):
    if not isinstance(genotype, (tuple, list)) or len(genotype) != len(fields):
      raise ValueError(f'a genotype of {name} is ({", ".join(fields)}), got '
                       f'{genotype!r}')
    return genotype
  return read


def blocks_per_stage(name: str, depth: Any, per_block: int, rest: int) -> int:
  """n of depth = per_block * n + rest.

  Raises:
    ValueError: there is no such n > 0.
  """
  if isinstance(depth, int) and depth > rest and (
      (depth - rest) % per_block == 0):
    return (depth - rest) // per_block
  raise ValueError(
      f'{name} of depth {depth!r}: expected {per_block} n + {rest}, such as '
      f'{per_block + rest} or {2 * per_block + rest}')


def check_positive(name: str, **numbers: Any) -> None:
  """Raises ValueError for what is not a whole number above 0."""
  for field, value in numbers.items():
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
      raise ValueError(f'{field} of {name} is {value!r}, expected a whole '
                       'number of at least 1')


def build(
    settings: Settings,
    stem: Sequence[Step],
    stages: Sequence[Sequence[int]],
    add_block: Callable[..., Value],
    tail: Sequence[Step] = (),
    dropout_keep: float = 1.,
) -> graph.Graph:
  """Stem, stages of blocks, average pool and classifier.

  Args:
    settings: of the network.
    stem: steps of the stem.
    stages: the width of every block of every stage.
    add_block: (builder, name, x, width, stride, depth) -> Value; stride is 2
      in the first block of all stages but the first.
    tail: steps before the last average pool.
    dropout_keep: probability to keep a feature before the classifier.
  """
  style = settings.style
  builder = graph.Builder(settings.image_shape, style)
  x = builder.add('stem', Chain(tuple(stem), style), [builder.image])
  total, index = sum(map(len, stages)), 0
  for s, widths in enumerate(stages):
    for i, width in enumerate(widths):
      index += 1
      x = add_block(builder, f'stage{s}_block{i}', x, width,
                    2 if s and not i else 1, index / total)
  if tail:
    x = builder.add('tail', Chain(tuple(tail), style), [x])
  return finish(builder, x, settings, dropout_keep)


def finish(builder: graph.Builder, x: Value, settings: Settings,
           dropout_keep: float = 1.) -> graph.Graph:
  """Average pool, dropout, classifier."""
  output = builder.add(
      'classifier', image.Classifier(
          settings.num_classes, dropout_keep, settings.style, relu=False), [x],
      (settings.num_classes,))
  return builder.finish(output, drop_path_keep=settings.drop_path_keep)


def add_residual(
    builder: graph.Builder, name: str, x: Value, branch: Sequence[Step],
    shortcut: nn.Module | None, depth: float, *, features: int, stride: int = 1,
    relu: bool = False,
) -> Value:
  """Appends branch(x) + shortcut(x).

  Args:
    builder: the graph so far.
    name: scope of the parameters.
    x: float[B, H, W, C].
    branch: steps of the branch; it is what drop path drops.
    shortcut: a module, or None for the identity.
    depth: of the block, see `graph.Node`.
    features: channels of the output.
    stride: of the block.
    relu: whether a ReLU follows the sum.
  """
  shape = (*(-(-n // stride) for n in x.size), features)
  y = builder.add(f'{name}_branch', Chain(tuple(branch), builder.style),
                  [x], shape, depth)
  if shortcut:
    x = builder.add(f'{name}_shortcut', shortcut, [x], shape)
  if relu:
    return builder.add(f'{name}_sum', SumRelu(), [y, x], shape)
  return builder.sum(f'{name}_sum', [y, x])


class Chain(nn.Module):
  """Layers one after the other.

  Attributes:
    steps: what they are.
    style: shared settings.
  """
  steps: tuple[Step, ...]
  style: ops.Style

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    for i, step in enumerate(self.steps):
      x = self._apply(i, step, x, train)
    return x

  def _apply(self, i: int, step: Step, x: Array, train: bool) -> Array:
    style = self.style
    match step:
      case 'norm':
        return ops.norm(style, x, train)
      case 'relu':
        return nn.relu(x)
      case 'relu6':
        return nn.relu6(x)
      case Conv(features, size, stride, groups, padding):
        return ops.conv(style, x, features, (size, size), stride,
                        padding=padding, groups=groups)
      case Depthwise(size, stride):
        return separable.per_channel(
            x, self._filters(i, size, x), stride=stride,
            padding=style.padding, lowering=style.lowering)
      case Separable(features, size):
        pointwise = self.param(
            f'pointwise_{i}', initializers.kernel(style.initializer),
            (x.shape[-1], features))
        return separable.separable(
            x, self._filters(i, size, x), pointwise.astype(x.dtype),
            padding=style.padding, lowering=style.lowering)
      case Pool(kind, size, stride, padding):
        return pooling.pool(x, kind, size, stride, padding or style.padding)
      case Dropout(keep):
        return x if keep == 1 else nn.Dropout(
            1 - keep, deterministic=not train)(x)
    raise ValueError(f'unknown step {step!r}')

  def _filters(self, i: int, size: int, x: Array) -> Array:
    return self.param(
        f'depthwise_{i}', initializers.depthwise(self.style.initializer),
        (size, size, x.shape[-1])).astype(x.dtype)


class SumRelu(nn.Module):
  """Adds its inputs, then ReLU."""

  @nn.compact
  def __call__(self, *inputs_and_train) -> Array:
    *inputs, _ = inputs_and_train
    return nn.relu(sum(inputs[1:], start=inputs[0]))


class PaddedShortcut(nn.Module):
  """The input, subsampled, with channels of zeros behind its own.

  Attributes:
    features: F, at least those of the input.
    stride: 1 or 2.
    average: whether a pixel of the output is the average of 2 x 2 of the
      input (of those there are, at an odd border) or the first of them.
  """
  features: int
  stride: int = 1
  average: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    if self.stride > 1 and self.average:
      x = pooling.pool(x, 'avg', self.stride, self.stride)
    else:
      x = x[:, ::self.stride, ::self.stride]
    added = self.features - x.shape[-1]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, added)))
