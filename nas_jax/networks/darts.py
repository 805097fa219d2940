"""The evaluation networks of DARTS, for CIFAR and ImageNet.

The order of operations, their padding and the places of the reduction cells
and of the auxiliary classifier are those of quark0/darts (model.py), so that
the cells of all papers that were evaluated with that code count and compute
the same.

Reference: Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 3.1.2, 3.3 and
appendix A.
"""

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.spaces import genotypes

Value = graph.Value

_STYLE = ops.Style(padding='symmetric', initializer='torch')
# num_cells is the number of all cells, L; two of them are reduction cells.
DEFAULTS = dict(
    cifar=graph.Defaults(36, 20, _STYLE),
    imagenet=graph.Defaults(48, 14, _STYLE, image_shape=(224, 224, 3),
                            num_classes=1000))
_STEM_MULTIPLIER = 3


def build(
    genotype: genotypes.Genotype,
    *,
    network: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    features: int,
    num_cells: int,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    style: ops.Style = _STYLE,
) -> graph.Graph:
  """L cells; cells L // 3 and 2 L // 3 halve the image and double F.

  Args:
    genotype: see `genotypes.Genotype`; a node may have any number of edges.
    network: 'cifar' or 'imagenet'.
    image_shape: (H, W, C).
    num_classes: K.
    features: F of the first cells, even.
    num_cells: L.
    auxiliary: whether a second classifier reads cell 2 L // 3 in training.
    drop_path_keep: probability to keep a path at the end of training, the
      same for all cells.
    dropout_keep: probability to keep a feature before the classifier (not in
      the paper).
    style: shared settings.

  Raises:
    ValueError: an operation that is not in the table `darts`, a node that
      does not add, an odd number of features, or an image too small.
  """
  for kind in ('normal', 'reduce'):
    genotypes.node_combinations(genotype, kind, ('add',))
  if features < 2 or features % 2:
    raise ValueError('the factorized reductions of DARTS need an even number '
                     f'of features, got {features}')
  if num_cells < 1:
    raise ValueError(f'num_cells is {num_cells}, expected at least 1')
  image.check_keep(drop_path_keep, dropout_keep)
  reductions = {num_cells // 3, 2 * num_cells // 3}
  halvings = len(reductions) + 3 * (network == 'imagenet')
  image.check_size(image_shape, halvings)
  builder = graph.Builder(image_shape, style)
  if network == 'imagenet':
    previous = builder.add(
        'stem0', image.StridedStem((features // 2, features), style),
        [builder.image])
    last = builder.add(
        'stem1', image.StridedStem((features,), style, relu_first=True),
        [previous])
    reduced = True  # So that the first cell halves the older input.
  else:
    last = previous = builder.add(
        'stem', image.Stem(_STEM_MULTIPLIER * features, style),
        [builder.image])
    reduced = False
  second = None
  for i in range(num_cells):
    reduction = i in reductions
    features *= 2 if reduction else 1
    previous, last = last, _add_cell(
        builder, previous, last, genotype, features, reduction, reduced,
        drop_path_keep < 1, f'cell{i}', style)
    reduced = reduction
    if auxiliary and i == 2 * num_cells // 3:
      # Note: the published ImageNet head has no norm before its last ReLU.
      imagenet = network == 'imagenet'
      second = image.add_auxiliary(builder, last, image.AuxiliaryHead(
          num_classes, style, stride=2 if imagenet else 3, size=2,
          second_norm=not imagenet))
  output = builder.add(
      'classifier', image.Classifier(
          num_classes, dropout_keep, style, relu=False), [last],
      (num_classes,))
  return builder.finish(output, second, drop_path_keep)


def _add_cell(builder, previous, last, genotype, features, reduction, reduced,
              drops, name, style) -> Value:
  """Appends a cell.

  Args:
    builder: the graph so far.
    previous: state 0 before it is preprocessed.
    last: state 1 before it is preprocessed.
    genotype: of the network.
    features: F, channels of every state.
    reduction: whether this cell halves the image.
    reduced: whether the cell before did, so that state 0 is twice as large.
    drops: whether paths are dropped in training.
    name: scope of the parameters.
    style: shared settings.
  """
  operations = tables.TABLES['darts']
  kind = 'reduce' if reduction else 'normal'
  nodes, concat = genotypes.node_edges(genotype, kind)
  pools: dict[tuple, Value] = {}

  def add(scope, op, source, stride=1, depth=0.):
    module = op(features=features, stride=stride, style=style)
    shape = (*(-(-n // stride) for n in source.size), features)
    return builder.add(f'{name}_{scope}', module, [source], shape, depth)

  enter = (ops.ReluFactorizedReduction, 2) if reduced else (ops.Conv, 1)
  states: list[Value | None] = [
      add('enter0', enter[0], previous, enter[1]),
      add('enter1', ops.Conv, last)]
  for n, edges in enumerate(nodes):
    found = []
    for e, (operation, source) in enumerate(edges):
      if operation not in operations:
        raise ValueError(f'unknown operation {operation!r}, expected one of '
                         f'{", ".join(operations)}')
      if states[source] is None:
        continue  # A node without edges gives nothing to later ones.
      stride = 2 if reduction and source < 2 else 1
      if operation == 'skip_connect' and stride == 1:
        found.append(states[source])  # Never dropped.
        continue
      scope = f'node{n}_{e}_{operation}'
      if '_pool_' not in operation:
        found.append(add(scope, operations[operation], states[source], stride,
                         depth=1.))
        continue
      # A pool that several nodes read is computed once, and dropped for each.
      if (operation, source) not in pools:
        pools[operation, source] = add(
            scope, operations[operation], states[source], stride)
      pool = pools[operation, source]
      found.append(add(f'{scope}_drop', ops.Identity, pool, depth=1.)
                   if drops else pool)
    states.append(
        builder.sum(f'{name}_node{n}', found) if len(found) > 1 else
        found[0] if found else None)
  # A node without edges is left out of the output (FairDARTS).
  outputs = [states[i] for i in concat if states[i] is not None]
  return builder.concat(f'{name}_output', outputs)
