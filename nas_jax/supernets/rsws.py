"""Random search with weight sharing in the space of DARTS' cells.

The network of all choices is the search network of DARTS; a step trains one
architecture, `sampling.uniform`.

Reference: Li, Talwalkar, Random Search and Reproducibility for Neural
Architecture Search, arXiv 1902.07638, sec. 3, and liamcli/randomNAS_release.
"""

from collections.abc import Sequence
import dataclasses
import functools
import itertools

from nas_jax import base
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes
from nas_jax.supernets import darts
from nas_jax.supernets import mixed
from nas_jax.supernets import shared

Genotype = genotypes.Genotype
Value = graph.Value
# Of one cell: the edges of each node, (operation, state it leaves).
Nodes = Sequence[Sequence[tuple[str, int]]]


def family(
    operations: Sequence[str] = darts.OPERATIONS,
    *,
    num_nodes: int = 4,
    image_shape: tuple[int, int, int],
    num_classes: int,
    features: int = 24,
    num_cells: int = 8,
    style: ops.Style = darts.STYLE,
) -> shared.Family:
  """Cells whose nodes read two different states, and their shared weights.

  Args:
    operations: their names, `none` among them in the paper.
    num_nodes: N of a cell.
    image_shape: (H, W, C).
    num_classes: of images.
    features: F of the first cells, even; 24 is the paper's best.
    num_cells: L.
    style: shared settings; only the norm of the stem is affine.

  Raises:
    ValueError: features that do not split, or an image too small.
  """
  operations = tuple(operations)
  build = functools.partial(
      _build, image_shape=tuple(image_shape), num_classes=num_classes,
      features=features, num_cells=num_cells, style=style)

  def of_genotype(genotype: Genotype) -> graph.Graph:
    return build({kind: genotypes.node_edges(genotype, kind)[0]
                  for kind in darts.KINDS})

  every = [[(op, s) for s in range(n + 2) for op in operations]
           for n in range(num_nodes)]
  return shared.Family(space(operations, num_nodes), of_genotype,
                       build(dict.fromkeys(darts.KINDS, every)))


def space(operations: Sequence[str] = darts.OPERATIONS, num_nodes: int = 4
          ) -> base.Space:
  """Two cells; each node draws a pair of states, and an operation for each.

  All are equally likely, `none` as any other operation.

  Args:
    operations: their names.
    num_nodes: N of a cell.
  """
  operations = tuple(operations)
  choices = [
      part for _ in darts.KINDS for n in range(num_nodes) for part in (
          tuple(itertools.combinations(range(n + 2), 2)), operations,
          operations)]
  space_ = discrete.space(choices)
  concat = tuple(range(2, num_nodes + 2))

  def genotype(genome: base.Genome) -> Genotype:
    chosen = space_.genotype(genome)
    edges = [edge for states, *ops_ in zip(*(chosen[i::3] for i in range(3)))
             for edge in zip(ops_, states)]
    half = len(edges) // 2
    return Genotype(tuple(edges[:half]), concat, tuple(edges[half:]), concat)

  def encode(value: Genotype) -> base.Genome:
    found = []
    for kind in darts.KINDS:
      for pair in genotypes.node_edges(value, kind)[0]:
        found += [tuple(s for _, s in pair), *(op for op, _ in pair)]
    return space_.encode(tuple(found))

  return space_._replace(genotype=genotype, encode=encode)


def _build(cells: dict[str, Nodes], *, image_shape, num_classes, features,
           num_cells, style) -> graph.Graph:
  """The network of some edges; names are those of the shared weights."""
  if features < 2 or features % 2:
    raise ValueError(f'features is {features}, expected an even number')
  reductions = {num_cells // 3, 2 * num_cells // 3}
  image.check_size(image_shape, len(reductions))
  builder = graph.Builder(
      image_shape, dataclasses.replace(style, affine=False))
  last = previous = builder.add(
      'stem', image.Stem(3 * features, style), [builder.image])
  reduced = False
  for i in range(num_cells):
    reduction = i in reductions
    features *= 2 if reduction else 1
    previous, last = last, _add_cell(
        builder, f'cell{i}', previous, last, cells[darts.KINDS[reduction]],
        features, reduction, reduced)
    reduced = reduction
  return builder.finish(builder.add('classifier', image.Classifier(
      num_classes, style=style, relu=False), [last], (num_classes,)))


def _add_cell(builder, name, previous, last, nodes: Nodes, features, reduction,
              reduced) -> Value:
  """Appends a cell; `reduced` as in networks/darts.py."""
  def add(scope, op, source, stride=1):
    shape = (*(-(-n // stride) for n in source.size), features)
    module = op(features=features, stride=stride, style=builder.style)
    return builder.add(f'{name}_{scope}', module, [source], shape)

  def edge(source, node, operation):
    stride = 2 if reduction and source < 2 else 1
    if operation == 'skip_connect' and stride == 1:
      return states[source]
    op = tables.DARTS[operation]
    if '_pool_' in operation:  # In the search network a norm follows.
      op = functools.partial(mixed.NormedPool, kind=operation[:3])
    return add(f'edge{source}_{node}_{operation}', op, states[source], stride)

  states = [
      add('enter0', ops.ReluFactorizedReduction, previous, 2) if reduced else
      add('enter0', ops.Conv, previous), add('enter1', ops.Conv, last)]
  for n, edges in enumerate(nodes):
    # Zeros add nothing, but a node of nothing else must be something.
    kept = [e for e in edges if e[0] != 'none'] or list(edges[:1])
    values = [edge(source, n + 2, operation) for operation, source in kept]
    states.append(builder.sum(f'{name}_node{n}', values)
                  if len(values) > 1 else values[0])
  return builder.concat(f'{name}_output', states[2:])
