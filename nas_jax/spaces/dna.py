"""DNA of large-scale evolution: a graph of layers that grows from nothing.

Vertices are blocks of activations, edges convolutions or identities. One path
of edges, the backbone, leads from the image through every vertex to the
output; all other edges are skip connections. What an edge is (its filters,
its stride) is said by numbers relative to its input, so that a mutation
anywhere leaves the rest as it is.

Reference: Real et al., Large-Scale Evolution of Image Classifiers,
  arXiv 1703.01041, sec. 3.2 and supplement.

Note: the paper gives the outline; that all vertices lie on the backbone and
the names of fields follow its supplement as far as known. Identifiers name
the trainable variables, which is how children inherit weights.
"""

from collections.abc import Sequence
import math
from typing import Any, NamedTuple

import numpy as np

VERTEX_TYPES = ('linear', 'bn_relu')
EDGE_TYPES = ('conv', 'identity')
# Of the backbone and of skip connections; the greatest one is primary.
BACKBONE, SKIP = 1, 0
LEARNING_RATE = .1  # of the first individuals
WEIGHT_DECAY = 1e-4


class Vertex(NamedTuple):
  """A block of activations; what is mutable may be touched by mutations."""
  id: str
  type: str  # one of VERTEX_TYPES, applied to the sum of its inputs
  leakiness: float = 0.  # slope of the ReLU below 0
  inputs_mutable: bool = True
  outputs_mutable: bool = True
  properties_mutable: bool = True


class Edge(NamedTuple):
  """From one vertex to another; all but the type is about convolutions."""
  id: str
  source: str  # id of a vertex
  target: str
  type: str  # one of EDGE_TYPES
  depth_factor: float = 1.  # output channels per input channel
  filter_half_width: int = 1  # a side is twice as long, and 1
  filter_half_height: int = 1
  stride_scale: int = 0  # the stride is 2 to the power of it
  depth_precedence: int = BACKBONE  # the greatest decides on the channels
  scale_precedence: int = BACKBONE  # and on height and width


class Dna(NamedTuple):
  """An individual. Vertices are in the order of the backbone."""
  learning_rate: float
  weight_decay: float
  vertices: tuple[Vertex, ...]
  edges: tuple[Edge, ...]


def initial(rng: np.random.Generator) -> Dna:
  """The individual that evolution starts from: no convolution at all.

  The image is averaged over its pixels and classified by a linear layer: on
  CIFAR-10 40 parameters.
  """
  image = Vertex(new_id(rng), 'linear', inputs_mutable=False,
                 properties_mutable=False)
  output = Vertex(new_id(rng), 'linear', outputs_mutable=False,
                  properties_mutable=False)
  return Dna(LEARNING_RATE, WEIGHT_DECAY, (image, output), (
      Edge(new_id(rng), image.id, output.id, 'identity'),))


def new_id(rng: np.random.Generator) -> str:
  """Sixteen hexadecimal digits that no other part has."""
  return rng.bytes(8).hex()


def check(value: Sequence[Any]) -> Dna:
  """A DNA, given as such or as nested lists.

  Raises:
    ValueError: what is not a DNA, with the part that is wrong.
  """
  try:
    rate, decay, vertices, edges = value
    dna = Dna(float(rate), float(decay),
              tuple(Vertex(*v) for v in vertices),
              tuple(Edge(*e) for e in edges))
  except (TypeError, ValueError) as e:
    raise ValueError('a DNA is (learning rate, weight decay, vertices, edges), '
                     f'got {str(value)[:200]}: {e}') from e
  if not (math.isfinite(dna.learning_rate) and dna.learning_rate > 0):
    raise ValueError(f'the learning rate is {dna.learning_rate}, expected a '
                     'positive number')
  if not (math.isfinite(dna.weight_decay) and dna.weight_decay >= 0):
    raise ValueError(f'the weight decay is {dna.weight_decay}, expected 0 or '
                     'more')
  if len(dna.vertices) < 2:
    raise ValueError(f'a DNA has at least 2 vertices, got {len(dna.vertices)}')
  ids = [part.id for part in (*dna.vertices, *dna.edges)]
  for found in ids:
    if not (isinstance(found, str) and found.isalnum()):
      raise ValueError(f'{found!r} is no identifier, expected letters and '
                       'digits')
    if ids.count(found) > 1:
      raise ValueError(f'two parts have the identifier {found!r}')
  for vertex in dna.vertices:
    if vertex.type not in VERTEX_TYPES:
      raise ValueError(f'vertex {vertex.id} is {vertex.type!r}, expected '
                       f'{" or ".join(VERTEX_TYPES)}')
    if not 0 <= vertex.leakiness < 1:
      raise ValueError(f'vertex {vertex.id} has leakiness {vertex.leakiness}, '
                       'expected 0..1')
  _check_edges(dna)
  return dna


def to_json(dna: Dna) -> list[Any]:
  """Nested lists; `check` is the inverse."""
  return [dna.learning_rate, dna.weight_decay,
          [list(v) for v in dna.vertices], [list(e) for e in dna.edges]]


def from_json(value: Any) -> Dna:
  """The inverse of `to_json`.

  Raises:
    ValueError: see `check`.
  """
  return check(value)


def is_skip(edge: Edge) -> bool:
  """Whether an edge is not part of the backbone."""
  return edge.depth_precedence < BACKBONE


def inputs(dna: Dna, vertex: str) -> tuple[Edge, ...]:
  """The edges into a vertex, the primary one first."""
  return tuple(sorted((e for e in dna.edges if e.target == vertex),
                      key=lambda e: -e.depth_precedence))


def filter_size(edge: Edge) -> tuple[int, int]:
  """Height and width of the filters of a convolution."""
  return 2 * edge.filter_half_height + 1, 2 * edge.filter_half_width + 1


def channels(edge: Edge, inputs_: int) -> int:
  """What an edge makes of so many channels."""
  if edge.type == 'identity':
    return inputs_
  return max(1, round(edge.depth_factor * inputs_))


def edge_shape(edge: Edge, shape: tuple[int, int, int]
               ) -> tuple[int, int, int]:
  """(H, W, C) of what an edge makes of an input of that shape."""
  if edge.type == 'identity':
    return shape
  stride = 2 ** edge.stride_scale
  return (-(-shape[0] // stride), -(-shape[1] // stride),
          channels(edge, shape[2]))


def shapes(dna: Dna, image_shape: tuple[int, int, int]
           ) -> dict[str, tuple[int, int, int]]:
  """(H, W, C) of every vertex: that of its primary input."""
  found = {dna.vertices[0].id: tuple(image_shape)}
  for vertex in dna.vertices[1:]:
    edges = inputs(dna, vertex.id)
    deep = max(edges, key=lambda e: e.depth_precedence)
    wide = max(edges, key=lambda e: e.scale_precedence)
    found[vertex.id] = (
        *edge_shape(wide, found[wide.source])[:2],
        edge_shape(deep, found[deep.source])[2])
  return found


def _check_edges(dna: Dna) -> None:
  place = {v.id: i for i, v in enumerate(dna.vertices)}
  for edge in dna.edges:
    if edge.type not in EDGE_TYPES:
      raise ValueError(f'edge {edge.id} is {edge.type!r}, expected '
                       f'{" or ".join(EDGE_TYPES)}')
    for end in (edge.source, edge.target):
      if end not in place:
        raise ValueError(f'edge {edge.id} has the end {end!r}, which is no '
                         'vertex')
    if place[edge.source] >= place[edge.target]:
      raise ValueError(f'edge {edge.id} leads back, from vertex '
                       f'{place[edge.source]} to {place[edge.target]}')
    if not (math.isfinite(edge.depth_factor) and edge.depth_factor > 0):
      raise ValueError(f'edge {edge.id} has depth_factor {edge.depth_factor}, '
                       'expected a positive number')
    for name in ('filter_half_width', 'filter_half_height', 'stride_scale'):
      number = getattr(edge, name)
      if not isinstance(number, int) or number < 0:
        raise ValueError(f'edge {edge.id} has {name} {number!r}, expected a '
                         'whole number, 0 or more')
  main = [(e.source, e.target) for e in dna.edges if not is_skip(e)]
  expected = [(a.id, b.id) for a, b in zip(dna.vertices, dna.vertices[1:])]
  if sorted(main) != sorted(expected):
    raise ValueError('the backbone, the edges of precedence '
                     f'{BACKBONE}, must lead from each vertex to the next one')
  ends = [(e.source, e.target) for e in dna.edges if is_skip(e)]
  if len(set(ends)) < len(ends):
    raise ValueError('two skip connections join the same vertices')
