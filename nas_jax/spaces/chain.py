"""Chains of convolutions with skip connections: the space of NAS-RL.

A genome holds, at position 0, which of the depths the network has; then for
each layer its tokens (height and width of the filter, vertical and horizontal
stride if they are searched, number of filters) and, with skip connections,
one bit for each layer before it. Positions beyond the depth hold 0.

Reference: Zoph, Le, Neural Architecture Search with Reinforcement Learning,
  arXiv 1611.01578, sec. 3.1, 3.3 and 4.1.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import chain_code
from nas_jax.spaces import discrete

_NUM_WITH_STRIDES = 5  # tokens of a layer; 3 without


class Layout(NamedTuple):
  """What a network may be, and where the genome holds it."""
  depths: tuple[int, ...]  # how many layers a network may have, ascending
  # The choices of each token of a layer: heights, widths, [vertical strides,
  # horizontal strides,] filters.
  fields: tuple[tuple[int, ...], ...]
  skips: bool  # whether layers choose what they read; or else the one before

  @property
  def max_depth(self) -> int:
    return self.depths[-1]

  @property
  def length(self) -> int:
    """L, of the genome."""
    return self.offset(self.max_depth + 1)

  @property
  def has_strides(self) -> bool:
    return len(self.fields) == _NUM_WITH_STRIDES

  @property
  def choices(self) -> discrete.Choices:
    """The values of every position."""
    found = [self.depths]
    for i in range(1, self.max_depth + 1):
      found += [*self.fields, *([(0, 1)] * (i - 1 if self.skips else 0))]
    return tuple(found)

  def offset(self, layer: int) -> int:
    """The first position of a layer, 1..max_depth; also where one ends."""
    bits = (layer - 1) * (layer - 2) // 2 if self.skips else 0
    return 1 + (layer - 1) * len(self.fields) + bits

  @property
  def ends(self) -> np.ndarray:
    """Where the genome ends, by the index of the depth: int32[depths]."""
    return np.array([self.offset(d + 1) for d in self.depths], np.int32)

  def positions(self) -> tuple[np.ndarray, np.ndarray | None]:
    """Where tokens, int[D, F], and bits, int[D, D], are; None without skips.

    Row i - 1 is of layer i, column j - 1 of the bits says that it reads j;
    where j is not before i, it is 0.
    """
    starts = np.array([self.offset(i + 1) for i in range(self.max_depth)])
    tokens = starts[:, None] + np.arange(len(self.fields))
    if not self.skips:
      return tokens, None
    bits = starts[:, None] + len(self.fields) + np.arange(self.max_depth)
    return tokens, np.where(np.tri(self.max_depth, k=-1, dtype=bool), bits, 0)

  def size(self, depth: int) -> int:
    """How many networks of that depth there are."""
    bits = depth * (depth - 1) // 2 if self.skips else 0
    return math.prod(map(len, self.fields))**depth * 2**bits


class Chain(NamedTuple):
  """A decoded genome; D is the largest depth, F the tokens of a layer."""
  depth: jax.Array  # int32[], layers
  values: jax.Array  # int32[D, F], of the tokens; 0 beyond the depth
  # What each layer reads, column 0 being the image: a layer without input
  # reads that.
  inputs: jax.Array  # bool[D, D + 1]
  unread: jax.Array  # bool[D], layers that the classifier reads


def layout(
    *,
    depths: Sequence[int] = (6, 8, 10, 12, 14, 16, 18, 20),
    heights: Sequence[int] = chain_code.SIZES,
    widths: Sequence[int] = chain_code.SIZES,
    filters: Sequence[int] = (24, 36, 48, 64),
    strides: Sequence[int] = (1,),
    skips: bool = True,
) -> Layout:
  """The choices of a chain; by default those of the paper without strides.

  Args:
    depths: how many layers a network may have, ascending.
    heights: of filters.
    widths: of filters.
    filters: numbers of them.
    strides: of either axis; the paper's other variant has (1, 2, 3).
    skips: False takes the bits away, and every layer reads the one before it.

  Raises:
    ValueError: no choice, a value out of range, one named twice, or depths
      that do not ascend.
  """
  depths = tuple(depths)
  if not depths or depths[0] < 1 or depths != tuple(sorted(set(depths))):
    raise ValueError(f'depths must be positive and ascend, got {depths}')
  parts = dict(heights=heights, widths=widths, strides=strides,
               filters=filters)
  for name, values in parts.items():
    values = parts[name] = tuple(values)
    if not values or len(set(values)) != len(values) or min(values) < 1:
      raise ValueError(f'{name} must be different positive numbers, got '
                       f'{values}')
    if name in ('heights', 'widths') and not set(values) <= set(
        chain_code.SIZES):
      raise ValueError(f'{name} must be among {chain_code.SIZES}, got '
                       f'{values}')
  heights, widths, strides, filters = parts.values()
  if len(strides) == 1 and strides != (1,):
    raise ValueError(f'strides must be (1,) or several, got {strides}')
  searched = (strides, strides) if len(strides) > 1 else ()
  return Layout(depths, (heights, widths, *searched, filters), skips)


def space(layout_: Layout) -> base.Space:
  """The space of such networks.

  A sample has a depth drawn uniformly from the depths, and then every choice
  of its layers: not uniform over all networks, nearly all of which have the
  largest depth. A mutation gives one position of an existing layer, or the
  depth, another value; the layers that a larger depth adds are drawn.

  Args:
    layout_: see `layout`.
  """
  choices = layout_.choices
  sizes = discrete.sizes_of(choices)
  depths, max_depth = layout_.depths, layout_.max_depth
  plain = discrete.space(choices)

  def sample(key: base.Key) -> base.Genome:
    return canonical(layout_, plain.sample(key))

  def mutate(key: base.Key, genome: base.Genome) -> base.Genome:
    new_key, edit_key = jax.random.split(key)
    end = jnp.asarray(layout_.ends)[genome[0]]
    new = plain.sample(new_key)
    filled = jnp.where(jnp.arange(len(sizes)) < end, genome, new)
    edited = discrete.mutate_one(
        edit_key, filled, sizes, [False] * len(sizes), end)
    return canonical(layout_, edited)

  def decode(genome: base.Genome) -> Chain:
    genome = canonical(layout_, genome)
    depth = jnp.array(depths, jnp.int32)[genome[0]]
    rows = np.arange(1, max_depth + 1)
    exists = rows <= depth
    token_positions, bit_positions = layout_.positions()
    tokens = genome[token_positions]
    values = jnp.stack([jnp.array(f, jnp.int32)[tokens[:, k]]
                        for k, f in enumerate(layout_.fields)], axis=1)
    values = jnp.where(exists[:, None], values, 0)
    if layout_.skips:
      reads = (bit_positions > 0) & (genome[bit_positions] == 1)
      image = exists & ~jnp.any(reads, axis=1)
    else:
      reads = np.eye(max_depth, k=-1, dtype=bool) & exists[:, None]
      image = rows == 1
    inputs = jnp.concatenate([image[:, None], reads], axis=1)
    return Chain(depth, values, inputs, exists & ~jnp.any(reads, axis=0))

  def genotype(genome: base.Genome) -> chain_code.Code:
    genome = discrete.check(choices, genome)
    code = []
    for i in range(1, depths[genome[0]] + 1):
      start = layout_.offset(i)
      tokens = genome[start:start + len(layout_.fields)]
      height, width, *strides, filters = (
          f[v] for f, v in zip(layout_.fields, tokens))
      bits = genome[start + len(tokens):layout_.offset(i + 1)]
      inputs = (tuple(j for j, bit in enumerate(bits, 1) if bit)
                if layout_.skips else (i - 1,))
      code.append((f'conv_{height}x{width}', tuple(strides) or (1, 1),
                   filters, inputs))
    return tuple(code)

  def encode(code: chain_code.Code) -> base.Genome:
    chain_code.check(code)
    if len(code) not in depths:
      raise ValueError(f'the network has {len(code)} layers, expected one of '
                       f'{", ".join(map(str, depths))}')
    genome = [depths.index(len(code))]
    for i, layer in enumerate(code, 1):
      genome += _encode_layer(layout_, i, layer)
    return jnp.array(genome + [0] * (len(sizes) - len(genome)), jnp.int32)

  return base.Space(choices, sample, mutate, decode, genotype, encode)


def canonical(layout_: Layout, genome: base.Genome) -> base.Genome:
  """int32[L] with 0 at the positions beyond its depth."""
  end = jnp.asarray(layout_.ends)[genome[0]]
  return jnp.where(jnp.arange(layout_.length) < end, genome, 0)


def depth_index(
    layout_: Layout, num_children: jax.Array, *, per_depth: int = 1600
) -> jax.Array:
  """The paper's schedule: networks become deeper as the search goes on.

  Args:
    layout_: with D depths.
    num_children: int32[...], sampled so far.
    per_depth: children of each depth; those after the last change have the
      largest.

  Returns:
    int32[...], an index into the depths.

  Raises:
    ValueError: per_depth below 1.
  """
  if per_depth < 1:
    raise ValueError(f'per_depth must be at least 1, got {per_depth}')
  return jnp.minimum(
      jnp.asarray(num_children, jnp.int32) // per_depth,
      len(layout_.depths) - 1)


def _encode_layer(layout_: Layout, i: int, layer: chain_code.Layer
                  ) -> list[int]:
  operation, strides, filters, inputs = layer
  if operation not in chain_code.CONVOLUTIONS:
    raise ValueError(f'layer {i} is {operation!r}, but this space has '
                     'convolutions only')
  sizes = map(int, operation.removeprefix('conv_').split('x'))
  if not layout_.has_strides and strides != (1, 1):
    raise ValueError(f'layer {i} has strides {strides}, but this space has '
                     'none')
  values = [*sizes, *(strides if layout_.has_strides else ()), filters]
  tokens = []
  for value, choices in zip(values, layout_.fields):
    if value not in choices:
      raise ValueError(f'layer {i} has {value} in {layer!r}, expected one of '
                       f'{choices}')
    tokens.append(choices.index(value))
  if not layout_.skips:
    if inputs not in ((i - 1,), ()) or (not inputs and i > 1):
      raise ValueError(f'layer {i} reads {inputs}, but this space has no skip '
                       f'connections: expected ({i - 1},)')
    return tokens
  found = () if inputs == (0,) else inputs
  if 0 in found or found != tuple(sorted(found)):
    raise ValueError(f'layer {i} reads {inputs}, expected layers in ascending '
                     'order, or the image alone')
  return tokens + [int(j in found) for j in range(1, i)]
