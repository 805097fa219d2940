"""The mutations of large-scale evolution, all equally likely.

A number that mutates takes a new value uniformly from half of it to its
double; there is no upper bound, nor is there one for the depth.

Reference: Real et al., Large-Scale Evolution of Image Classifiers, ICML 2017,
  arXiv 1703.01041, sec. 3.3.

Note: the paper leaves open what half and double mean for small numbers. The
logarithm of a stride goes from 0 to 0 or 1; the side of a filter is one of
the odd numbers from half to double or the next odd one; there is always a
channel.
"""

from collections.abc import Callable, Mapping

import numpy as np

from nas_jax.spaces import dna as dnas

Dna = dnas.Dna
Edge = dnas.Edge
Mutation = Callable[[np.random.Generator, Dna, int], Dna]

_MOST = 2**62  # Numbers beyond it are not drawn.


class Impossible(Exception):
  """The DNA has nothing that could mutate so."""


def mutate(rng: np.random.Generator, dna: Dna, *, count: int = 1,
           channels: int = 3) -> tuple[Dna, tuple[str, ...]]:
  """A child: mutations drawn uniformly, those that are impossible again.

  Args:
    rng: consumed.
    dna: of the parent.
    count: how many mutations, one after the other.
    channels: of the images.

  Returns:
    The child, which shares the ids of what it has in common with its parent,
    and the names of the mutations.

  Raises:
    ValueError: fewer than no mutations.
  """
  if count < 0:
    raise ValueError(f'count is {count}, expected 0 or more')
  names, kinds = [], tuple(MUTATIONS)
  while len(names) < count:
    name = kinds[rng.integers(len(kinds))]
    try:
      dna = MUTATIONS[name](rng, dna, channels)
    except Impossible:
      continue
    names.append(name)
  return dna, tuple(names)


def alter_learning_rate(rng: np.random.Generator, dna: Dna, channels: int
                        ) -> Dna:
  """Times 2 to a power uniform in [-1, 1]."""
  del channels
  return dna._replace(
      learning_rate=dna.learning_rate * 2.**float(rng.uniform(-1., 1.)))


def keep(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """Nothing: the child goes on with the training of its parent."""
  del rng, channels
  return dna


def reset_weights(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """All parts get new ids, so that no weights are theirs."""
  del channels
  vertex = {v.id: dnas.new_id(rng) for v in dna.vertices}
  return dna._replace(
      vertices=tuple(v._replace(id=vertex[v.id]) for v in dna.vertices),
      edges=tuple(e._replace(
          id=dnas.new_id(rng), source=vertex[e.source],
          target=vertex[e.target]) for e in dna.edges))


def insert_convolution(rng: np.random.Generator, dna: Dna, channels: int
                       ) -> Dna:
  """3x3, stride 1 or 2, as many channels as before; with or without norm+ReLU.

  It comes before an edge of the backbone, which then reads its vertex.

  Raises:
    Impossible: nothing may be inserted anywhere.
  """
  del channels
  return _insert(rng, dna, lambda source, target: dnas.convolution(
      rng, source, target, int(rng.integers(2))))


def insert_one_to_one(rng: np.random.Generator, dna: Dna, channels: int
                      ) -> Dna:
  """The same with an identity in place of the convolution.

  Raises:
    Impossible: nothing may be inserted anywhere.
  """
  del channels
  return _insert(rng, dna, lambda source, target: dnas.identity(
      rng, source, target, dnas.BACKBONE))


def remove_convolution(rng: np.random.Generator, dna: Dna, channels: int
                       ) -> Dna:
  """Deletes a convolution of the backbone with the vertex it leads to.

  Raises:
    Impossible: there is none that may be removed.

  Note: what becomes of skip connections from and to the vertex is not
  published; they are deleted with it.
  """
  del channels
  by_id = {v.id: v for v in dna.vertices}
  found = []
  main = dnas.backbone(dna)
  for edge, following in zip(main, main[1:]):
    vertex = by_id[edge.target]
    if edge.type == 'conv' and vertex.properties_mutable and (
        by_id[edge.source].outputs_mutable
        and by_id[following.target].inputs_mutable):
      found.append((edge, following))
  edge, following = _choose(rng, found, 'no convolution to remove')
  joined = (edge.source, following.target)
  kept = [
      e._replace(source=edge.source) if e.id == following.id else e
      for e in dna.edges if e.target != edge.target and (
          e.source != edge.target or e.id == following.id)
      # A skip connection around the vertex would double the edge.
      and (e.source, e.target) != joined]
  return dna._replace(
      vertices=tuple(v for v in dna.vertices if v.id != edge.target),
      edges=tuple(kept))


def alter_stride(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """Of a convolution: half to double the logarithm of its stride.

  Raises:
    Impossible: there is no convolution.
  """
  del channels
  edge = _convolution(rng, dna)
  scale = edge.stride_scale
  return _with(dna, edge._replace(
      stride_scale=_uniform(rng, -(-scale // 2), max(2 * scale, 1))))


def alter_number_of_channels(rng: np.random.Generator, dna: Dna, channels: int
                             ) -> Dna:
  """Of a convolution: half to double as many.

  Raises:
    Impossible: there is no convolution.
  """
  edge = _convolution(rng, dna)
  # Of an image of any size: channels do not depend on it.
  source = dnas.shapes(dna, (1, 1, channels))[edge.source]
  now = dnas.edge_shape(edge, source)[2]
  new = _uniform(rng, -(-now // 2), 2 * now)
  return _with(dna, edge._replace(depth_factor=new / source[2]))


def filter_size(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """Of a convolution: half to double the height or the width.

  Raises:
    Impossible: there is no convolution.
  """
  del channels
  edge = _convolution(rng, dna)
  name = ('filter_half_width', 'filter_half_height')[rng.integers(2)]
  half = getattr(edge, name)
  # Sides 1 + 2 h between half and double of 1 + 2 half, and the next one.
  new = _uniform(rng, -((1 - 2 * half) // 4), max(2 * half, half + 1))
  return _with(dna, edge._replace(**{name: new}))


def add_skip(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """An identity between two vertices of the backbone, along its direction.

  Raises:
    Impossible: all that may be joined are.
  """
  del channels
  by_id = {v.id: v for v in dna.vertices}
  path = dnas.order(dna)
  place = {vertex: i for i, vertex in enumerate(path)}
  legal = np.triu(np.ones((len(path), len(path)), bool), 1)
  legal &= np.array([by_id[v].outputs_mutable for v in path])[:, None]
  legal &= np.array([by_id[v].inputs_mutable for v in path])
  for edge in dna.edges:
    legal[place[edge.source], place[edge.target]] = False
  source, target = divmod(
      _choose(rng, np.flatnonzero(legal), 'no two vertices left to join'),
      len(path))
  return dna._replace(edges=(*dna.edges, dnas.identity(
      rng, path[source], path[target], dnas.SKIP)))


def remove_skip(rng: np.random.Generator, dna: Dna, channels: int) -> Dna:
  """Deletes a skip connection.

  Raises:
    Impossible: there is none.
  """
  del channels
  by_id = {v.id: v for v in dna.vertices}
  gone = _choose(rng, [
      e for e in dnas.skips(dna) if by_id[e.source].outputs_mutable
      and by_id[e.target].inputs_mutable], 'no skip connection')
  return dna._replace(edges=tuple(e for e in dna.edges if e.id != gone.id))


MUTATIONS: Mapping[str, Mutation] = {
    'alter_learning_rate': alter_learning_rate,
    'identity': keep,
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


def _insert(rng, dna, make: Callable[[str, str], Edge]) -> Dna:
  """A vertex of either type, and the edge to it, within the backbone."""
  by_id = {v.id: v for v in dna.vertices}
  following = _choose(rng, [
      e for e in dnas.backbone(dna) if by_id[e.source].outputs_mutable
      and by_id[e.target].inputs_mutable], 'no place to insert anything')
  kind = dnas.VERTEX_TYPES[rng.integers(2)]
  vertex = dnas.Vertex(dnas.new_id(rng), kind, 0., True, True, True)
  edge = make(following.source, vertex.id)
  at = [v.id for v in dna.vertices].index(following.target)
  return dna._replace(
      vertices=(*dna.vertices[:at], vertex, *dna.vertices[at:]),
      edges=(*(e._replace(source=vertex.id) if e.id == following.id else e
               for e in dna.edges), edge))


def _convolution(rng, dna) -> Edge:
  return _choose(rng, [e for e in dna.edges if e.type == 'conv'],
                 'no convolution')


def _with(dna: Dna, edge: Edge) -> Dna:
  """With an edge in place of the one of its id."""
  return dna._replace(
      edges=tuple(edge if e.id == edge.id else e for e in dna.edges))


def _choose(rng, options, otherwise: str):
  if not len(options):
    raise Impossible(otherwise)
  return options[rng.integers(len(options))]


def _uniform(rng, low: int, high: int) -> int:
  """An integer from `low` to `high`, both included."""
  if high >= _MOST:
    raise Impossible(f'{high} is too large a number')
  return int(rng.integers(low, high + 1))
