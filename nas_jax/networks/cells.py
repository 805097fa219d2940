"""A NASNet-style cell with a fixed genotype, added to a graph.

Reference: Zoph et al., arXiv 1707.07012, sec. 3 and appendix A; the entry and
output rules follow tensorflow/models nasnet_utils.py (`NasNetABaseCell`).
"""

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import tables

Value = graph.Value


def add_cell(
    builder: graph.Builder,
    previous: Value | None,
    last: Value,
    *,
    nodes: tuple[tuple[str, int], ...],
    concat: tuple[int, ...],
    features: int,
    reduction: bool,
    depth: float,
    name: str,
    table: str,
    style: ops.Style,
) -> Value:
  """Appends one cell of N nodes.

  States 0 and 1 are the outputs of the cell before the last and of the last
  cell; state 2 + n is node n, the sum of two operations.

  Args:
    builder: the graph so far.
    previous: output of the cell before the last; None for the first cell.
    last: output of the last cell.
    nodes: ((operation, state), ...), two per node.
    concat: states concatenated on the channels.
    features: F, channels of every state.
    reduction: whether operations that read states 0 and 1 have stride 2.
    depth: (index of the cell + 1) / number of cells, for drop path.
    name: scope of the cell's parameters.
    table: which operations, a key of `tables.TABLES`.
    style: shared settings.

  Returns:
    The output, len(concat) * F channels, half the size in a reduction cell.

  Raises:
    ValueError: an operation that is not in the table.
  """
  operations = tables.TABLES[table]

  def add(scope, op, source, stride=1, depth=0.):
    shape = (*(-(-n // stride) for n in source.size), features)
    module = op(features=features, stride=stride, style=style)
    return builder.add(f'{name}_{scope}', module, [source], shape, depth)

  def enter():
    if previous is None:
      return last
    if previous.size != last.size:
      return add('enter0', ops.ReluFactorizedReduction, previous, 2)
    if previous.channels != features:
      return add('enter0', ops.Conv, previous)
    return previous

  states = [enter(), add('enter1', ops.Conv, last)]
  for n in range(len(nodes) // 2):
    pair = []
    for side in (0, 1):
      operation, source = nodes[2 * n + side]
      if operation not in operations:
        raise ValueError(f'unknown operation {operation!r}, expected one of '
                         f'{", ".join(operations)}')
      stride = 2 if reduction and source < 2 else 1
      same = operation == 'skip_connect'
      if same and stride == 1 and states[source].channels == features:
        pair.append(states[source])
        continue
      pair.append(add(f'node{n}{"ab"[side]}_{operation}', operations[operation],
                      states[source], stride, 0. if same else depth))
    states.append(_combine(builder, f'{name}_node{n}', graph.Sum(), pair,
                           features))
  outputs = []
  for i in concat:
    state = states[i]
    if state.size != states[-1].size:
      state = add(f'output{i}', ops.FactorizedReduction, state, 2)
    elif state.channels != features:
      state = add(f'output{i}', ops.FactorizedReduction, state)
    outputs.append(state)
  return _combine(builder, f'{name}_output', graph.Concat(), outputs,
                  features * len(outputs))


def _combine(builder, name, module, values, channels) -> Value:
  return builder.add(name, module, values, (*values[0].size, channels))
