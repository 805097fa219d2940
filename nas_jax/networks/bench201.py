"""The networks of NAS-Bench-201 and of both spaces of NATS-Bench.

Stem, N cells of F channels, and twice a residual block of stride 2 followed by
N cells. In the topology space the cell is searched; in the size space it is
fixed, N is 1, and the widths of the five parts are searched.

An operation whose result only a 'none' reads is part of the network and of its
parameters, as in the benchmark.

References:
  Dong, Yang, NAS-Bench-201, arXiv 2001.00326, sec. 2.
  Dong et al., NATS-Bench, arXiv 2009.00437, sec. 3.
"""

from collections.abc import Callable, Sequence
import functools

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import staged
from nas_jax.networks import tables
from nas_jax.networks.staged import NORM, RELU
from nas_jax.spaces import nasbench201

Conv = staged.Conv
Value = graph.Value

_STYLE = ops.Style(padding='symmetric', initializer='torch')
# Of the size space: the best cell of the topology space on CIFAR-100.
SIZE_CELL = nasbench201.parse(
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+'
    '|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|')


def _topology(settings: staged.Settings, *cell: str) -> graph.Graph:
  features, n = settings.features, settings.num_cells
  return build_stages(
      settings, [features, 2 * features, 4 * features],
      [[2**s * features] * n for s in range(3)],
      functools.partial(_add_cell, cell=cell))


def _size(settings: staged.Settings, *widths: int) -> graph.Graph:
  return build_stages(
      settings, (widths[0], widths[1], widths[3]),
      [[widths[0]], [widths[2]], [widths[4]]],
      functools.partial(_add_cell, cell=SIZE_CELL))


def build_stages(
    settings: staged.Settings, entries: Sequence[int],
    stages: Sequence[Sequence[int]], add_cell: Callable[..., Value],
    builder: graph.Builder | None = None) -> graph.Graph:
  """Three stages of cells.

  Args:
    settings: of the network.
    entries: widths of the stem and of the two residual blocks.
    stages: widths of the cells.
    add_cell: (builder, name, x, features) -> Value.
    builder: with what the cells read besides, if that is needed.
  """
  style = settings.style
  builder = builder or graph.Builder(settings.image_shape, style)
  x = builder.add('stem', staged.Chain((Conv(entries[0]), NORM), style),
                  [builder.image])
  for s, widths in enumerate(stages):
    if s:
      width = entries[s]
      x = staged.add_residual(
          builder, f'reduction{s}', x,
          (RELU, Conv(width, 3, 2), NORM, RELU, Conv(width), NORM),
          staged.Chain((staged.Pool('avg', 2, 2, 'same'), Conv(width, 1)),
                       style), 0., features=width, stride=2)
    for n, width in enumerate(widths):
      x = add_cell(builder, f'stage{s}_cell{n}', x, width)
  x = builder.add('tail', staged.Chain((NORM, RELU), style), [x], x.shape)
  return staged.finish(builder, x, settings, settings.dropout_keep)


def _add_cell(builder: graph.Builder, name: str, x: Value,
              features: int, cell: nasbench201.Cell) -> Value:
  nodes, terms = [x], []
  for operation, (source, target) in zip(cell, nasbench201.EDGES):
    value = nodes[source]
    if operation != 'skip_connect' or value.channels != features:
      module = tables.TABLES['nasbench201'][operation](
          features=features, stride=1, style=builder.style)
      value = builder.add(f'{name}_edge{source}{target}_{operation}', module,
                          [value], (*x.size, features))
    terms.append(value)
    if source == target - 1:  # The last of the node's edges.
      nodes.append(builder.sum(f'{name}_node{target}', terms)
                   if len(terms) > 1 else value)
      terms = []
  return nodes[-1]


def _read_cell(genotype) -> nasbench201.Cell:
  if isinstance(genotype, str):
    return nasbench201.parse(genotype)
  return nasbench201.check(genotype)


def _read_widths(genotype) -> tuple[int, ...]:
  if isinstance(genotype, str):
    return nasbench201.parse_widths(genotype)
  return nasbench201.check_widths(genotype)


def _family(name, read, plan, defaults, **kwargs):
  return (staged.family(name, read, plan, halvings=dict.fromkeys(
      ('cifar', 'imagenet16'), 2), has_paths=False, **kwargs),
          dict(cifar=defaults, imagenet16=defaults._replace(
              image_shape=(16, 16, 3), num_classes=120)))


# num_cells is N, the cells of each of three stages. A genotype is a tuple, or
# the string of the benchmark.
FAMILIES = dict(
    nasbench201=_family(
        'nasbench201', _read_cell, _topology, graph.Defaults(16, 5, _STYLE),
        takes=('features', 'num_cells')),
    nats_size=_family(
        'nats_size', _read_widths, _size, graph.Defaults(None, None, _STYLE),
        takes=()),
)
