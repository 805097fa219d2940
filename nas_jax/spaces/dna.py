"""The DNA of large-scale evolution: a graph of any size.

Vertices are activations of any height, width and channels, which are not
stored: they follow from the edges, convolutions or identities. Of the edges
into a vertex the one of the highest precedence is the primary one, whose
result says the vertex' shape; the primary edges form the backbone from the
image to the output, all others are skip connections. Ids are random; weights
belong to ids.

As a `genotype.json` a DNA is the same values in lists.

Reference: Real et al., Large-Scale Evolution of Image Classifiers, ICML 2017,
  arXiv 1703.01041, sec. 3.2 and supplement.
"""

import math
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, int, int]

VERTEX_TYPES = ('linear', 'bn_relu')
EDGE_TYPES = ('conv', 'identity')
# Precedences of the edges that mutations make.
SKIP, BACKBONE = 0, 1


class Vertex(NamedTuple):
  """What happens to the sum of the edges that lead here."""
  id: str
  type: str  # 'linear': nothing; 'bn_relu': batch norm and ReLU
  leakiness: float  # of the ReLU: max(x, leakiness * x)
  inputs_mutable: bool  # whether edges to it may come and go
  outputs_mutable: bool  # whether edges from it may come and go
  properties_mutable: bool  # whether it may be removed


class Edge(NamedTuple):
  """From one vertex to another; the numbers of an identity mean nothing."""
  id: str
  source: str  # id of a vertex
  target: str  # id of a vertex
  type: str  # 'conv' or 'identity'
  depth_factor: float  # output channels / input channels
  filter_half_width: int  # the width is 1 + 2 times this
  filter_half_height: int  # the height is 1 + 2 times this
  stride_scale: int  # the stride is 2 to this power
  depth_precedence: int  # the highest one fixes the channels of the target
  scale_precedence: int  # the highest one fixes its height and width


class Dna(NamedTuple):
  """An individual, without its weights."""
  learning_rate: float
  weight_decay: float
  vertices: tuple[Vertex, ...]
  edges: tuple[Edge, ...]


def initial(rng: np.random.Generator, *, learning_rate: float = .1,
            weight_decay: float = 1e-4) -> Dna:
  """The first individual: the image is pooled and classified linearly.

  Args:
    rng: of the ids.
    learning_rate: to start with.
    weight_decay: for good.
  """
  first, last = new_id(rng), new_id(rng)
  return check(Dna(
      learning_rate, weight_decay,
      (Vertex(first, 'linear', 0., False, True, False),
       Vertex(last, 'linear', 0., True, False, False)),
      (identity(rng, first, last, BACKBONE),)))


def new_id(rng: np.random.Generator) -> str:
  """16 random hexadecimal digits."""
  return rng.bytes(8).hex()


def identity(rng: np.random.Generator, source: str, target: str,
             precedence: int) -> Edge:
  """An edge that changes nothing."""
  return Edge(new_id(rng), source, target, 'identity', 1., 0, 0, 0, precedence,
              precedence)


def convolution(rng: np.random.Generator, source: str, target: str,
                stride_scale: int) -> Edge:
  """A 3x3 convolution of the backbone that keeps the number of channels."""
  return Edge(new_id(rng), source, target, 'conv', 1., 1, 1, stride_scale,
              BACKBONE, BACKBONE)


def check(dna: Dna) -> Dna:
  """Looks for what cannot be built.

  Returns:
    The same.

  Raises:
    ValueError: a number out of range, an id twice or unknown, a tie of
      precedences, a cycle, or a vertex beside the backbone; says where.
  """
  for name in ('learning_rate', 'weight_decay'):
    value = getattr(dna, name)
    if not (_is_number(value) and value >= 0):
      raise ValueError(f'{name} is {value!r}, expected a number, 0 or more')
  for vertex in dna.vertices:
    _check_vertex(vertex)
  ids = [part.id for part in (*dna.vertices, *dna.edges)]
  if len(set(ids)) < len(ids):
    raise ValueError(f'{max(ids, key=ids.count)!r} is the id of two parts')
  known = {vertex.id for vertex in dna.vertices}
  for edge in dna.edges:
    _check_edge(edge, known)
  pairs = [(edge.source, edge.target) for edge in dna.edges]
  if len(set(pairs)) < len(pairs):
    raise ValueError(
        'two edges lead from {} to {}'.format(*max(pairs, key=pairs.count)))
  for vertex in dna.vertices:
    for name in ('depth_precedence', 'scale_precedence'):
      found = sorted(getattr(e, name) for e in inputs(dna, vertex.id))
      if len(found) > 1 and found[-1] == found[-2]:
        raise ValueError(f'two edges into {vertex.id!r} have the highest '
                         f'{name}, {found[-1]}')
  _check_order(dna)
  return dna


def to_json(dna: Dna) -> list:
  """The values in lists, as in a genotype.json."""
  return [dna.learning_rate, dna.weight_decay, [*map(list, dna.vertices)],
          [*map(list, dna.edges)]]


def from_json(value: Any) -> Dna:
  """The inverse of `to_json`; takes tuples too, and a `Dna`.

  Raises:
    ValueError: see `check`.
  """
  if not isinstance(value, (list, tuple)) or len(value) != len(Dna._fields):
    raise ValueError(f'a DNA is {list(Dna._fields)}, got {value!r}')
  rate, decay, *parts = value
  found = []
  for kind, values in zip((Vertex, Edge), parts):
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(v, (list, tuple)) and len(v) == len(kind._fields)
        for v in values):
      raise ValueError(f'expected lists of {list(kind._fields)}, got '
                       f'{values!r}')
    found.append(tuple(kind(*v) for v in values))
  return check(Dna(rate, decay, *found))


def inputs(dna: Dna, vertex: str) -> tuple[Edge, ...]:
  """The edges into a vertex."""
  return tuple(e for e in dna.edges if e.target == vertex)


def primary(edges: tuple[Edge, ...], kind: str) -> int:
  """Which of the edges into a vertex is the primary one.

  Args:
    edges: at least one.
    kind: 'depth' for the channels, 'scale' for height and width.
  """
  return max(range(len(edges)),
             key=lambda i: getattr(edges[i], f'{kind}_precedence'))


def backbone(dna: Dna) -> tuple[Edge, ...]:
  """The primary edges (of the channels), from the image to the output."""
  into = {}
  for edge in dna.edges:
    other = into.get(edge.target)
    if not other or edge.depth_precedence > other.depth_precedence:
      into[edge.target] = edge
  sources = {edge.source for edge in dna.edges}
  place = next((v.id for v in dna.vertices if v.id not in sources), None)
  found = []
  while place in into:
    found.append(into.pop(place))
    place = found[-1].source
  return tuple(reversed(found))


def order(dna: Dna) -> tuple[str, ...]:
  """The ids of the vertices from the image to the output."""
  edges = backbone(dna)
  return (edges[0].source, *(e.target for e in edges)) if edges else ()


def skips(dna: Dna) -> tuple[Edge, ...]:
  """The edges that are not of the backbone."""
  main = {e.id for e in backbone(dna)}
  return tuple(e for e in dna.edges if e.id not in main)


def filter_size(edge: Edge) -> tuple[int, int]:
  """(height, width) of a convolution."""
  return 1 + 2 * edge.filter_half_height, 1 + 2 * edge.filter_half_width


def stride(edge: Edge, source: Shape) -> int:
  """Of a convolution; what is beyond the image makes no difference.

  A stride as long as the image leaves one pixel, as any longer one.
  """
  return 2 ** min(edge.stride_scale, max(source[:2]).bit_length())


def edge_shape(edge: Edge, source: Shape) -> Shape:
  """Of an edge's result.

  Args:
    edge: convolution or identity.
    source: shape of the vertex that it reads.
  """
  if edge.type == 'identity':
    return source
  step = stride(edge, source)
  return (-(-source[0] // step), -(-source[1] // step),
          max(1, round(edge.depth_factor * source[2])))


def shapes(dna: Dna, image_shape: Shape) -> dict[str, Shape]:
  """The (height, width, channels) of each vertex by its id.

  Args:
    dna: a correct one.
    image_shape: of the vertex without inputs.
  """
  into: dict[str, list[Edge]] = {}
  for edge in dna.edges:
    into.setdefault(edge.target, []).append(edge)
  first, *others = order(dna)
  found = {first: tuple(image_shape)}
  for vertex in others:
    edges = tuple(into[vertex])
    results = [edge_shape(e, found[e.source]) for e in edges]
    found[vertex] = (*results[primary(edges, 'scale')][:2],
                     results[primary(edges, 'depth')][2])
  return found


def _check_vertex(vertex: Vertex) -> None:
  if vertex.type not in VERTEX_TYPES:
    raise ValueError(f'vertex {vertex.id!r} has type {vertex.type!r}, expected '
                     f'{" or ".join(VERTEX_TYPES)}')
  if not (_is_number(vertex.leakiness) and 0 <= vertex.leakiness <= 1):
    raise ValueError(f'vertex {vertex.id!r} has leakiness '
                     f'{vertex.leakiness!r}, expected a number in [0, 1]')


def _check_edge(edge: Edge, known: set[str]) -> None:
  where = f'edge {edge.id!r}'
  if edge.type not in EDGE_TYPES:
    raise ValueError(
        f'{where} has type {edge.type!r}, expected {" or ".join(EDGE_TYPES)}')
  for name in ('source', 'target'):
    if getattr(edge, name) not in known:
      raise ValueError(
          f'the {name} of {where} is {getattr(edge, name)!r}, no vertex')
  if not (_is_number(edge.depth_factor) and edge.depth_factor > 0):
    raise ValueError(f'{where} has depth_factor {edge.depth_factor!r}, '
                     'expected a positive number')
  for name in ('filter_half_width', 'filter_half_height', 'stride_scale'):
    value = getattr(edge, name)
    if not (_is_int(value) and value >= 0):
      raise ValueError(f'{where} has {name} {value!r}, expected 0, 1, 2, ...')
  for name in ('depth_precedence', 'scale_precedence'):
    if not _is_int(getattr(edge, name)):
      raise ValueError(f'{where} has {name} {getattr(edge, name)!r}, expected '
                       'an integer')


def _check_order(dna: Dna) -> None:
  """One path of primary edges through all vertices; the others go along it."""
  for what, ends in (('input', {e.target for e in dna.edges}),
                     ('output', {e.source for e in dna.edges})):
    found = [v.id for v in dna.vertices if v.id not in ends]
    if len(found) != 1:
      raise ValueError(f'there are {len(found)} vertices without {what}: '
                       f'{", ".join(found)}, expected one')
  place = {vertex: i for i, vertex in enumerate(order(dna))}
  beside = [v.id for v in dna.vertices if v.id not in place]
  if beside:
    raise ValueError(f'vertex {beside[0]!r} is not on the backbone')
  for edge in dna.edges:
    if place[edge.source] >= place[edge.target]:
      raise ValueError(f'edge {edge.id!r} makes a cycle')


def _is_number(value: Any) -> bool:
  return isinstance(value, (int, float)) and not isinstance(
      value, bool) and math.isfinite(value)


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)
