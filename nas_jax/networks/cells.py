"""A cell with a fixed genotype, added to a graph.

The cells of NASNet, AmoebaNet, PNAS, NAO and ENAS are one construction;
`Rules` says where the published codes differ.

References:
  Zoph et al., arXiv 1707.07012, sec. 3 and appendix A; tensorflow/models
    nasnet_utils.py (`NasNetABaseCell`).
  Luo et al., arXiv 1808.07233; the NAO networks in TensorFlow and PyTorch.
  Pham et al., arXiv 1802.03268; melodyguan/enas micro_child.py.
"""

from typing import NamedTuple

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import tables

Value = graph.Value
ENTRIES = ('always', 'match', 'both')


class Rules(NamedTuple):
  """What the published codes do differently inside a cell."""
  table: str  # of operations, a key of `tables.TABLES`
  # ReLU, 1x1 convolution, norm on the output of the last cell: 'always' one,
  # one where the channels do not 'match', or 'both' (ENAS: two of them).
  entry: str = 'always'
  # Whether drop path applies to identities too (NAO's first PyTorch code).
  drop_identities: bool = False
  # What nodes may do with their operations' results.
  combinations: tuple[str, ...] = ('add',)


def add_cell(
    builder: graph.Builder,
    previous: Value | None,
    last: Value,
    *,
    nodes: tuple[tuple[str, int], ...],
    combinations: tuple[str, ...],
    concat: tuple[int, ...],
    features: int,
    reduction: bool,
    depth: float,
    name: str,
    rules: Rules,
    style: ops.Style,
) -> Value:
  """Appends one cell of N nodes.

  States 0 and 1 are the outputs of the cell before the last and of the last
  cell; state 2 + n is node n, the sum of two operations of F channels or
  their concatenation of 2 F. Operations bring what they read to F channels
  as they do at the inputs of a cell; the output does so with a 1x1 convolution
  and norm.

  Args:
    builder: the graph so far.
    previous: output of the cell before the last; None for the output of the
      last cell as it is.
    last: output of the last cell.
    nodes: ((operation, state), ...), two per node.
    combinations: 'add' or 'concat' for each node.
    concat: states concatenated on the channels.
    features: F, channels of every state but those that concatenate.
    reduction: whether operations that read states 0 and 1 have stride 2.
    depth: (index of the cell + 1) / number of cells, for drop path.
    name: scope of the cell's parameters.
    rules: of the paper.
    style: shared settings.

  Returns:
    The output, len(concat) * F channels, half the size in a reduction cell.

  Raises:
    ValueError: an operation that is not in the table.
  """
  operations = tables.TABLES[rules.table]

  def add(scope, op, source, stride=1, depth=0.):
    shape = (*(-(-n // stride) for n in source.size), features)
    module = op(features=features, stride=stride, style=style)
    return builder.add(f'{name}_{scope}', module, [source], shape, depth)

  def enter_previous():
    if previous is None:
      return last
    if previous.size != last.size:
      return add('enter0', ops.ReluFactorizedReduction, previous, 2)
    if previous.channels != features:
      return add('enter0', ops.Conv, previous)
    return previous

  def enter_last():
    state = last
    if rules.entry != 'always' and state.channels != features:
      state = add('match1', ops.Conv, state)
    return state if rules.entry == 'match' else add('enter1', ops.Conv, state)

  states = [enter_previous(), enter_last()]
  for n in range(len(nodes) // 2):
    pair = []
    for side in (0, 1):
      operation, source = nodes[2 * n + side]
      if operation not in operations:
        raise ValueError(f'unknown operation {operation!r}, expected one of '
                         f'{", ".join(operations)}')
      stride = 2 if reduction and source < 2 else 1
      droppable = operation != 'skip_connect' or rules.drop_identities
      if (not droppable and stride == 1
          and states[source].channels == features):
        pair.append(states[source])
        continue
      pair.append(add(f'node{n}{"ab"[side]}_{operation}', operations[operation],
                      states[source], stride, depth if droppable else 0.))
    combine = {'add': builder.sum, 'concat': builder.concat}[combinations[n]]
    states.append(combine(f'{name}_node{n}', pair))
  outputs = []
  for i in concat:
    state = states[i]
    if state.size != states[-1].size:
      state = add(f'output{i}', ops.FactorizedReduction, state, 2)
    elif state.channels != features:
      state = add(f'output{i}', ops.FactorizedReduction, state)
    outputs.append(state)
  return builder.concat(f'{name}_output', outputs)
