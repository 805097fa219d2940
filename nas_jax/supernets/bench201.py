"""The search network of NAS-Bench-201: all five operations on all six edges.

As in the benchmark's own searches by weight sharing the norms of the cells
have neither scale nor bias, their convolutions therefore have biases, and the
cells are evaluated with the statistics of the batch.

References:
  Dong, Yang, NAS-Bench-201, arXiv 2001.00326, sec. 5.
  D-X-Y/AutoDL-Projects, lib/models/cell_searchs (without running statistics,
    without affine norms), exps/NATS-algos.
"""

from collections.abc import Mapping
import dataclasses

from nas_jax import checks
from nas_jax.networks import bench201 as networks
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import staged
from nas_jax.networks import tables
from nas_jax.spaces import nasbench201
from nas_jax.supernets import darts
from nas_jax.supernets import mixed

KINDS = ('cell',)
STYLE = ops.Style(padding='symmetric', initializer='torch')
rows = darts.rows  # -> cell_<e>, see there.


@dataclasses.dataclass(frozen=True)
class Spec:
  """What the network offers; hashable.

  Attributes:
    cell: candidates of each of the six edges, in the order of
      `nasbench201.EDGES`, equally many.
    partial: see `mixed.MixedEdge`, as all that follows.
    auxiliary_skip: of DARTS-.
    skip_dropout: of P-DARTS.
    drop_path: of R-DARTS.
    sampled: of GDAS.
    batch_statistics: of the cells.

  Raises:
    ValueError: not six edges, unequal numbers of candidates, an unknown
      operation, or `partial` below 1.
  """
  cell: tuple[tuple[str, ...], ...] = (nasbench201.OPERATIONS,) * 6
  partial: int = 1
  auxiliary_skip: bool = False
  skip_dropout: bool = False
  drop_path: bool = False
  sampled: bool = False
  batch_statistics: bool = True

  def __post_init__(self):
    if len(self.cell) != len(nasbench201.EDGES):
      raise ValueError(f'a cell has {len(nasbench201.EDGES)} edges, got '
                       f'candidates of {len(self.cell)}')
    sizes = {len(names) for names in self.cell}
    if len(sizes) != 1 or 0 in sizes:
      raise ValueError('all edges need the same number of candidates, got '
                       f'{sorted(sizes)}')
    for name in sorted({name for names in self.cell for name in names}):
      checks.one_of('an operation', name, tuple(tables.NASBENCH201))
    if self.partial < 1:
      raise ValueError(f'partial is {self.partial}, expected at least 1')


def gate_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
  """Names and shapes of what `rows` takes."""
  num_edges = len(spec.cell)
  return {'cell': (num_edges, len(spec.cell[0])), 'edges_cell': (num_edges,),
          'knobs': (mixed.KNOBS,)}


def build(
    spec: Spec = Spec(),
    *,
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    features: int = 16,
    num_cells: int = 5,
    style: ops.Style = STYLE,
    remat: bool = False,
    chosen: Mapping[str, tuple[int, ...]] | None = None,
) -> graph.Graph:
  """Three stages of N cells; arguments and gates as of `darts.build`.

  Args:
    spec: the candidates.
    image_shape: (H, W, C).
    num_classes: of images.
    features: F of the first stage.
    num_cells: N.
    style: shared settings; norms in cells have no scale and no bias.
    remat: compute the inside of an edge again in the backward pass.
    chosen: 'cell' -> the candidate of each edge that is computed, all if not
      given.

  Raises:
    ValueError: features that do not split, no cells, or an image too small.
  """
  if features < 1 or features % spec.partial:
    raise ValueError(f'features is {features}, expected a number that splits '
                     f'into {spec.partial} parts')
  if num_cells < 1:
    raise ValueError(f'num_cells is {num_cells}, expected at least 1')
  image.check_size(image_shape, 2)
  plain = dataclasses.replace(style, affine=False)
  picked = (chosen or {}).get('cell', (None,) * len(spec.cell))
  edge = dict(
      table='nasbench201', partial=spec.partial,
      auxiliary_skip=spec.auxiliary_skip, skip_dropout=spec.skip_dropout,
      drop_path=spec.drop_path, sampled=spec.sampled,
      batch_statistics=spec.batch_statistics)
  builder = graph.Builder(image_shape, style)
  gates = [
      builder.gate(f'cell_{e}', (len(names) + mixed.NUM_EXTRA,))
      for e, names in enumerate(spec.cell)]

  def add_cell(builder, name, x, width):
    adder = mixed.Adder(builder, width, edge=edge, normed_pools=False,
                        remat=remat, style=plain)
    nodes, terms = [x], []
    for e, (source, target) in enumerate(nasbench201.EDGES):
      terms.append(adder.add(
          name, e, source, nodes[source], gates[e], spec.cell[e], 1,
          picked[e]))
      if source == target - 1:  # The last of the node's edges.
        nodes.append(builder.sum(f'{name}_node{target}', terms)
                     if len(terms) > 1 else terms[0])
        terms = []
    return nodes[-1]

  widths = [features, 2 * features, 4 * features]
  settings = staged.Settings(
      'cifar', tuple(image_shape), num_classes, features, num_cells, 1., 1.,
      style)
  return networks.build_stages(
      settings, widths, [[width] * num_cells for width in widths], add_cell,
      builder)
