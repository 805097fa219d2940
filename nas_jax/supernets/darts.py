"""The search network of DARTS: every candidate operation on every edge.

Its gates say how much each candidate counts; `relax.py` makes them of the
architecture parameters.

Reference: Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 2.2, 3.1.1, and
quark0/darts, model_search.py.
"""

from collections.abc import Mapping
import dataclasses

import jax
import jax.numpy as jnp

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.supernets import mixed
from nas_jax.supernets import relax

Array = jax.Array
Value = graph.Value

KINDS = ('normal', 'reduce')
STYLE = ops.Style(padding='symmetric', initializer='torch')
OPERATIONS = ('none', 'max_pool_3x3', 'avg_pool_3x3', 'skip_connect',
              'sep_conv_3x3', 'sep_conv_5x5', 'dil_conv_3x3', 'dil_conv_5x5')
_STEM_MULTIPLIER = 3


@dataclasses.dataclass(frozen=True)
class Spec:
  """What a search network offers; hashable.

  Edges are in order of the node they enter: node 0's from states 0 and 1,
  node 1's from states 0, 1, 2, and so on. All edges of a kind have the same
  number of candidates.

  Attributes:
    normal: candidates of each edge of normal cells.
    reduce: of each edge of reduction cells.
    partial: see `mixed.MixedEdge`, as all that follows.
    auxiliary_skip: of DARTS-.
    skip_dropout: of P-DARTS.
    drop_path: of R-DARTS.
    sampled: of GDAS and other searches with one candidate per edge.

  Raises:
    ValueError: edges that do not make up nodes, unequal numbers of candidates,
      an unknown operation, or `partial` below 1.
  """
  normal: tuple[tuple[str, ...], ...]
  reduce: tuple[tuple[str, ...], ...]
  partial: int = 1
  auxiliary_skip: bool = False
  skip_dropout: bool = False
  drop_path: bool = False
  sampled: bool = False

  def __post_init__(self):
    for kind in KINDS:
      edges = getattr(self, kind)
      num_nodes(len(edges))
      sizes = {len(names) for names in edges}
      if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f'all edges of {kind} cells need the same number of '
                         f'candidates, got {sorted(sizes)}')
      unknown = {n for names in edges for n in names} - set(tables.DARTS)
      if unknown:
        raise ValueError(f'unknown operations {", ".join(sorted(unknown))}, '
                         f'expected some of {", ".join(tables.DARTS)}')
    if len(self.normal) != len(self.reduce):
      raise ValueError(f'{len(self.normal)} edges of normal cells, but '
                       f'{len(self.reduce)} of reduction cells')
    if self.partial < 1:
      raise ValueError(f'partial is {self.partial}, expected at least 1')


def num_nodes(num_edges: int) -> int:
  """N, of which there are 2 + 3 + ... + (N + 1) edges.

  Raises:
    ValueError: there is no such N.
  """
  nodes, left = 0, num_edges
  while left > 0:
    left -= nodes + 2
    nodes += 1
  if left or not num_edges:
    raise ValueError(f'{num_edges} edges do not make up nodes with 2, 3, 4, '
                     '... of them, such as 14')
  return nodes


def edges(nodes: int) -> list[tuple[int, int]]:
  """(state it leaves, state it enters) of each edge, in order."""
  return [(j, i + 2) for i in range(nodes) for j in range(i + 2)]


def uniform(operations: tuple[str, ...] = OPERATIONS, nodes: int = 4,
            **kwargs) -> Spec:
  """The same candidates on every edge; `kwargs` are further fields."""
  same = (tuple(operations),) * len(edges(nodes))
  return Spec(same, same, **kwargs)


def gate_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
  """Names and shapes of what `rows` takes."""
  shapes = {}
  for kind in KINDS:
    candidates = getattr(spec, kind)
    shapes[kind] = len(candidates), len(candidates[0])
    shapes[f'edges_{kind}'] = len(candidates),
  return shapes | {'knobs': (mixed.KNOBS,)}


def rows(gates: Mapping[str, Array]) -> dict[str, Array]:
  """The gates of the graph, one row per edge, of those by kind of cell.

  Args:
    gates: <kind> float[E, K], the weight of each candidate, and edges_<kind>
      float[E], of each whole edge, for each kind; knobs float[3]: the weight
      of the auxiliary skip, the rates of dropped skips and of dropped edges.

  Returns:
    <kind>_<e> -> float[K + 4].
  """
  found = {}
  for kind, weights in gates.items():
    if kind == 'knobs' or not relax.is_kind(kind):
      continue
    knobs = jnp.broadcast_to(
        gates['knobs'], (weights.shape[0], mixed.KNOBS))
    table = jnp.concatenate(
        [weights, gates[f'edges_{kind}'][:, None], knobs], -1)
    found |= {f'{kind}_{e}': table[e] for e in range(len(weights))}
  return found


def build(
    spec: Spec,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    features: int = 16,
    num_cells: int = 8,
    style: ops.Style = STYLE,
    remat: bool = False,
    chosen: Mapping[str, tuple[int, ...]] | None = None,
) -> graph.Graph:
  """L cells; cells L // 3 and 2 L // 3 halve the image and double F.

  Args:
    spec: the candidates.
    image_shape: (H, W, C).
    num_classes: of images.
    features: F of the first cells, even.
    num_cells: L.
    style: shared settings; only the norm of the stem is affine.
    remat: compute the inside of an edge again in the backward pass instead of
      keeping it: less memory, about a third more time.
    chosen: kind -> the candidate of each edge that is computed, all if not
      given; see `mixed.MixedEdge`.

  Returns:
    A graph whose gates are the `rows`.

  Raises:
    ValueError: features that do not split, or an image too small.
  """
  if features < 2 or features % 2 or features % spec.partial:
    raise ValueError(
        f'features is {features}, expected an even multiple of '
        f'{spec.partial} (partial)')
  if num_cells < 1:
    raise ValueError(f'num_cells is {num_cells}, expected at least 1')
  reductions = {num_cells // 3, 2 * num_cells // 3}
  image.check_size(image_shape, len(reductions))
  plain = dataclasses.replace(style, affine=False)
  builder = graph.Builder(image_shape, plain)
  gates = {
      kind: [builder.gate(f'{kind}_{e}', (len(names) + mixed.NUM_EXTRA,))
             for e, names in enumerate(getattr(spec, kind))]
      for kind in KINDS}
  last = previous = builder.add(
      'stem', image.Stem(_STEM_MULTIPLIER * features, style), [builder.image])
  reduced = False
  for i in range(num_cells):
    reduction = i in reductions
    features *= 2 if reduction else 1
    kind = KINDS[reduction]
    previous, last = last, _add_cell(
        builder, f'cell{i}', previous, last, features, getattr(spec, kind),
        gates[kind], reduction, reduced,
        (chosen or {}).get(kind), remat, dict(
            partial=spec.partial, auxiliary_skip=spec.auxiliary_skip,
            skip_dropout=spec.skip_dropout, drop_path=spec.drop_path,
            sampled=spec.sampled))
    reduced = reduction
  output = builder.add('classifier', image.Classifier(
      num_classes, style=style, relu=False), [last], (num_classes,))
  return builder.finish(output)


def _add_cell(builder, name, previous, last, features, candidates, gates,
              reduction, reduced, chosen, remat, edge) -> Value:
  """Appends a cell; `reduced` as in networks/darts.py."""
  style = builder.style

  def enter(scope, module, source, stride=1):
    shape = (*(-(-n // stride) for n in source.size), features)
    return builder.add(f'{name}_{scope}', module(
        features=features, stride=stride, style=style), [source], shape)

  states = [
      enter('enter0', ops.ReluFactorizedReduction, previous, 2) if reduced else
      enter('enter0', ops.Conv, previous), enter('enter1', ops.Conv, last)]
  adder = mixed.Adder(builder, features, edge=edge, remat=remat)
  entering: dict[int, list[Value]] = {}
  number = num_nodes(len(candidates))
  for e, (source, target) in enumerate(edges(number)):
    entering.setdefault(target, []).append(adder.add(
        name, e, source, states[source], gates[e], candidates[e],
        2 if reduction and source < 2 else 1, chosen and chosen[e]))
    if source == target - 1:  # The last of the node's edges.
      states.append(builder.sum(f'{name}_node{target - 2}', entering[target]))
  return builder.concat(f'{name}_output', states[2:])


# Zela et al., arXiv 1909.09656, sec. 3 and the public code: space S1.
_S, _D3, _D5, _S3 = (
    'skip_connect', 'dil_conv_3x3', 'dil_conv_5x5', 'sep_conv_3x3')
_M, _A = 'max_pool_3x3', 'avg_pool_3x3'
_S1 = Spec(
    normal=(
        (_S, _D3), (_S, _D5), (_S, _D5), (_S, _S3), (_S, _D3), (_M, _S),
        (_S, _S3), (_S, _S3), (_S, _D3), (_S, _S3), (_M, _S), (_S, _D3),
        (_D3, _D5), (_D3, _D5)),
    reduce=(
        (_M, _A), (_M, _D3), (_M, _A), (_M, _A), (_S, _D5), (_M, _A),
        (_M, _S3), (_S, _D3), (_S, _D5), (_M, _A), (_M, _A), (_S, _D5),
        (_S, _D5), (_S, _D5)))
SPECS = dict(
    darts=uniform(),
    s1=_S1,
    s2=uniform((_S, _S3)),
    s3=uniform(('none', _S, _S3)),
    s4=uniform(('noise', _S3)),
    fair_darts=uniform(OPERATIONS[1:]))
