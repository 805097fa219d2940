"""The eleven mutations of large-scale evolution.

Each draws from its whole range uniformly; none was tuned. A number is
replaced by one between its half and its double.

Reference: Real et al., Large-Scale Evolution of Image Classifiers,
  arXiv 1703.01041, sec. 3.3.

Note: left open by the paper and chosen here: a stride exponent or half filter
of 0 becomes 0 or 1; filter sides are uniform over the odd numbers between half
and double and the next one; a convolution that is removed takes the skip
connections of its vertex with it.
"""

from collections.abc import Callable
import math

import numpy as np

from nas_jax.spaces import dna as dnas

Dna = dnas.Dna


class Impossible(Exception):
  """There is nothing that this mutation could change."""


def alter_learning_rate(rng: np.random.Generator, dna: Dna, channels: int
                        ) -> Dna:
  """By a factor of 1/2 to 2, uniform in its logarithm."""
  del channels
  return dna._replace(
      learning_rate=dna.learning_rate * 2. ** rng.uniform(-1, 1))


def identity(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """No change: the child trains further."""
  del rng, channels
  return dna


def reset_weights(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """New identifiers for all parts, so that no weight is inherited."""
  del channels
  new = {v.id: dnas.new_id(rng) for v in dna.vertices}
  return dna._replace(
      vertices=tuple(v._replace(id=new[v.id]) for v in dna.vertices),
      edges=tuple(e._replace(
          id=dnas.new_id(rng), source=new[e.source], target=new[e.target])
                  for e in dna.edges))


def insert_convolution(rng: np.random.Generator, dna: Dna, channels: int
                       ) -> Dna:
  """3x3, stride 1 or 2, as many channels out as in, with or without BN-ReLU."""
  del channels
  kind = dnas.VERTEX_TYPES[rng.integers(2)]
  edge = dnas.Edge(dnas.new_id(rng), '', '', 'conv',
                   stride_scale=int(rng.integers(2)))
  return _insert(rng, dna, edge, kind)


def remove_convolution(rng: np.random.Generator, dna: Dna, channels: int
                       ) -> Dna:
  """A convolution of the backbone, with the vertex that it leads to."""
  del channels
  edge = _choose(rng, [
      e for e in _convolutions(dna) if e.target != dna.vertices[-1].id])
  gone = edge.target
  edges = []
  for e in dna.edges:
    if e.id == edge.id or dnas.is_skip(e) and gone in (e.source, e.target):
      continue
    edges.append(e._replace(source=edge.source) if e.source == gone else e)
  return _without_doubles(dna._replace(
      vertices=tuple(v for v in dna.vertices if v.id != gone),
      edges=tuple(edges)))


def alter_stride(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """Of a convolution; the exponent of 2 is mutated."""
  del channels
  edge = _choose(rng, _convolutions(dna))
  scale = _between_half_and_double(rng, edge.stride_scale)
  return _replaced(dna, edge._replace(stride_scale=scale))


def alter_number_of_channels(rng: np.random.Generator, dna: Dna, channels: int
                             ) -> Dna:
  """Of a convolution; 10 become 5 to 20, each as likely."""
  edge = _choose(rng, _convolutions(dna))
  found = dnas.shapes(dna, (1, 1, channels))[edge.source][2]
  now = dnas.channels(edge, found)
  new = int(rng.integers(max(1, math.ceil(now / 2)), 2 * now + 1))
  return _replaced(dna, edge._replace(depth_factor=new / found))


def filter_size(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """Height or width of the filters of a convolution, always odd."""
  del channels
  edge = _choose(rng, _convolutions(dna))
  name = ('filter_half_width', 'filter_half_height')[rng.integers(2)]
  side = 2 * getattr(edge, name) + 1
  sides = sorted({s for s in range(1, 2 * side + 1, 2) if 2 * s >= side}
                 | {side + 2})
  new = sides[rng.integers(len(sides))]
  return _replaced(dna, edge._replace(**{name: (new - 1) // 2}))


def insert_one_to_one(rng: np.random.Generator, dna: Dna, channels: int
                      ) -> Dna:
  """An identity edge with a vertex of its own, with or without BN-ReLU."""
  del channels
  kind = dnas.VERTEX_TYPES[rng.integers(2)]
  return _insert(rng, dna, dnas.Edge(
      dnas.new_id(rng), '', '', 'identity'), kind)


def add_skip(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """An identity between two vertices that no edge joins yet, forwards."""
  del channels
  joined = {(e.source, e.target) for e in dna.edges}
  pairs = [(a.id, b.id) for i, a in enumerate(dna.vertices)
           for b in dna.vertices[i + 1:]
           if a.outputs_mutable and b.inputs_mutable
           and (a.id, b.id) not in joined]
  source, target = _choose(rng, pairs)
  return dna._replace(edges=(*dna.edges, dnas.Edge(
      dnas.new_id(rng), source, target, 'identity',
      depth_precedence=dnas.SKIP, scale_precedence=dnas.SKIP)))


def remove_skip(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """Any skip connection."""
  del channels
  gone = _choose(rng, [e for e in dna.edges if dnas.is_skip(e)])
  return dna._replace(edges=tuple(e for e in dna.edges if e.id != gone.id))


MUTATIONS: dict[str, Callable[[np.random.Generator, Dna, int], Dna]] = {
    'alter_learning_rate': alter_learning_rate,
    'identity': identity,
    'reset_weights': reset_weights,
    'insert_convolution': insert_convolution,
    'remove_convolution': remove_convolution,
    'alter_stride': alter_stride,
    'alter_number_of_channels': alter_number_of_channels,
    'filter_size': filter_size,
    'insert_one_to_one': insert_one_to_one,
    'add_skip': add_skip,
    'remove_skip': remove_skip,
}


def mutate(
    rng: np.random.Generator,
    dna: Dna,
    *,
    count: int = 1,
    channels: int = 3,
) -> tuple[Dna, tuple[str, ...]]:
  """A child.

  Each mutation is drawn uniformly among all; one that is impossible gives way
  to another draw.

  Args:
    rng: randomness.
    dna: of the parent.
    count: how many mutations, one after the other.
    channels: of the image.

  Returns:
    The child and the names of its mutations.

  Raises:
    ValueError: a count below 0.
  """
  if count < 0:
    raise ValueError(f'count is {count}, expected 0 or more')
  names = list(MUTATIONS)
  done = []
  while len(done) < count:
    name = names[rng.integers(len(names))]
    try:
      dna = MUTATIONS[name](rng, dna, channels)
    except Impossible:
      continue
    done.append(name)
  return dna, tuple(done)


def _convolutions(dna: Dna) -> list[dnas.Edge]:
  return [e for e in dna.edges if e.type == 'conv']


def _choose(rng, things):
  if not things:
    raise Impossible
  return things[rng.integers(len(things))]


def _between_half_and_double(rng, number: int) -> int:
  if not number:
    return int(rng.integers(2))
  return int(rng.integers(math.ceil(number / 2), 2 * number + 1))


def _replaced(dna: Dna, edge: dnas.Edge) -> Dna:
  return dna._replace(edges=tuple(
      edge if e.id == edge.id else e for e in dna.edges))


def _insert(rng, dna: Dna, edge: dnas.Edge, kind: str) -> Dna:
  """The new edge and a vertex behind it, in an edge of the backbone."""
  here = _choose(rng, [e for e in dna.edges if not dnas.is_skip(e)])
  vertex = dnas.Vertex(dnas.new_id(rng), kind)
  at = 1 + [v.id for v in dna.vertices].index(here.source)
  edge = edge._replace(source=here.source, target=vertex.id)
  edges = tuple(e._replace(source=vertex.id) if e.id == here.id else e
                for e in dna.edges)
  return dna._replace(
      vertices=(*dna.vertices[:at], vertex, *dna.vertices[at:]),
      edges=(*edges, edge))


def _without_doubles(dna: Dna) -> Dna:
  """Without skip connections beside an edge that the backbone has now."""
  main = {(e.source, e.target) for e in dna.edges if not dnas.is_skip(e)}
  return dna._replace(edges=tuple(
      e for e in dna.edges
      if not dnas.is_skip(e) or (e.source, e.target) not in main))
