"""Networks of large-scale evolution: what a DNA unfolds to.

Reference: Real et al., Large-Scale Evolution of Image Classifiers,
  arXiv 1703.01041, sec. 3.2 and supplement.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import knobs
from nas_jax.networks import ops
from nas_jax.spaces import dna as dnas

Array = jax.Array

_STYLE = ops.Style(initializer='he_fan_in')
DEFAULTS = dict(cifar=graph.Defaults(None, None, _STYLE))


def build(
    genotype: Sequence[Any],
    *,
    network: str = 'cifar',
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    features: None = None,
    num_cells: None = None,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    style: ops.Style = _STYLE,
) -> graph.Graph:
  """The vertices in order, a global pool, a linear layer.

  The primary input of a vertex says its shape; the others are fitted to it
  and added. Names of parameters hold the identifiers of the DNA.

  Args:
    genotype: a DNA, see spaces/dna.py.
    network: 'cifar', the only one there is.
    image_shape: (H, W, C).
    num_classes: K.
    features: not a choice of this family.
    num_cells: not a choice of this family.
    auxiliary: not in this family.
    drop_path_keep: not in this family.
    dropout_keep: probability to keep a feature before the classifier (not in
      the paper).
    style: shared settings.

  Raises:
    ValueError: a wrong DNA, or what the family does not have.
  """
  dna = dnas.from_json(genotype)
  knobs.check(
      'large_scale', features=features, num_cells=num_cells, takes=(),
      auxiliary=auxiliary, drop_path_keep=drop_path_keep,
      dropout_keep=dropout_keep)
  del network
  builder = graph.Builder(image_shape, style)
  shapes = dnas.shapes(dna, image_shape)
  first, *others = dnas.order(dna)
  vertices = {vertex.id: vertex for vertex in dna.vertices}
  values = {first: builder.image}
  for name in others:
    vertex, found = vertices[name], []
    for edge in dnas.inputs(dna, name):
      value = values[edge.source]
      if edge.type == 'conv':
        shape = dnas.edge_shape(edge, value.shape)
        value = builder.add(
            f'edge_{edge.id}', Convolution(
                shape[2], dnas.stride(edge, value.shape), style,
                dnas.filter_size(edge)), [value], shape)
      found.append(value)
    shape = shapes[name]
    if len(found) > 1 or found[0].shape != shape:
      found = [builder.add(f'sum_{vertex.id}', FittedSum(shape), found, shape)]
    value, = found
    if vertex.type == 'bn_relu':
      value = builder.add(
          f'vertex_{vertex.id}', NormRelu(vertex.leakiness, style), [value],
          shape)
    values[vertex.id] = value
  output = builder.add(
      f'output_{others[-1]}',
      image.Classifier(num_classes, dropout_keep, style, relu=False),
      [value], (num_classes,))
  return builder.finish(output)


def initial_scales(dna: dnas.Dna) -> dict[str, float]:
  """By node: a factor of the initial weights of a convolution.

  1 / sqrt(k) where it leads to a vertex with k inputs, so that their sum has
  the spread of one.
  """
  return {f'edge_{e.id}': len(dnas.inputs(dna, e.target)) ** -.5
          for e in dna.edges if e.type == 'conv'}


def fit(x: Array, shape: tuple[int, int, int]) -> Array:
  """float[B, H, W, C] -> float[B, *shape]: zeroth order, cut or padded.

  out[y, x, c] = in[floor(y h_in / h_out), floor(x w_in / w_out), c], and 0 in
  channels that the input does not have.
  """
  height, width, channels = shape
  if x.shape[1:3] != (height, width):
    rows, columns = (np.arange(n) * m // n for n, m in zip(
        (height, width), x.shape[1:3]))
    x = x[:, rows][:, :, columns]
  if x.shape[3] > channels:
    return x[..., :channels]
  return jnp.pad(x, ((0, 0),) * 3 + ((0, channels - x.shape[3]),))


class Convolution(ops.Op):
  """A convolution without bias, norm or ReLU; filters of any odd sides."""
  size: tuple[int, int] = (3, 3)

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    return ops.conv(self.style, x, self.features, self.size, self.stride)


class FittedSum(nn.Module):
  """Adds inputs of any shapes, each fitted to one."""
  shape: tuple[int, int, int]

  @nn.compact
  def __call__(self, *inputs_and_train) -> Array:
    *inputs, _ = inputs_and_train
    first, *others = (fit(x, self.shape) for x in inputs)
    return sum(others, start=first)


class NormRelu(nn.Module):
  """Norm, then max(x, leakiness x)."""
  leakiness: float = 0.
  style: ops.Style = ops.Style()

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = ops.norm(self.style, x, train)
    return jnp.maximum(x, self.leakiness * x) if self.leakiness else (
        ops.relu(x))
