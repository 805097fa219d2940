"""Pictures of cells as SVG."""

from collections.abc import Mapping
from typing import Any

from nas_jax import layout
from nas_jax import svg
from nas_jax.spaces import genotypes

_FAMILIES = (('none', ('none', 'zero')), ('pool', ('pool',)),
             ('skip', ('skip', 'identity')), ('conv', ('',)))
_ROW = 31  # Pixels from an operation to the next.


def draw_cell(genotype: Mapping[str, Any], kind: str) -> str:
  """A cell as a graph from left to right, as SVG.

  A node is the sum of its operations (+) or their concatenation (a bar, and
  the word); its number is that of its state in the genotype. An arrow that
  passes a column has a lane of its own there, so that it never crosses a box.
  Nodes without operations are left out.

  Args:
    genotype: {kind: [[operation, state], ...] with two pairs per node, or
      [[operation, state of the node, state], ...] with any number,
      f'{kind}_concat': [state, ...]}; state 0 is the output of the cell before
      the last, 1 that of the last, 2 + n that of node n. Unless all nodes
      add, f'{kind}_combine': ['add' or 'concat' for each node].
    kind: 'normal' or 'reduce'.

  Raises:
    ValueError: the genotype has no such cell, an operation or the concat
      reads a state that is not there, or see `genotypes.node_combinations`.
  """
  nodes, sources, combinations = _cell(genotype, kind)
  out = max(sources)  # The concat, drawn as a state after the last node.
  column = {0: 0, 1: 0}  # An item is (state, column); a later one is a lane.
  for state in nodes:
    column[state] = 1 + max(column[s] for s in sources[state])
  column[out] = 1 + max(column.values())
  links = list(dict.fromkeys(
      ((s, c - 1), (t if c == column[t] else s, c)) for t in sources
      for s in sources[t] for c in range(column[s] + 1, column[t] + 1)))
  fan = 20 + 13 * len(sources[out])

  def height(item: tuple[int, int]) -> float:
    state, c = item
    if c != column[state]:
      return 6
    return 34 if state < 2 else fan if state == out else (
        26 + _ROW * len(nodes[state]))

  y = layout.place([(s, c) for s, c in column.items()], links, height)
  longest = max(len(op) for ops in nodes.values() for op in ops)
  widths = [70] + [max(56, 7. * longest + 18) + 60] * (column[out] - 1) + [66]
  left, right = [16.0], []
  for c, width in enumerate(widths):
    right.append(left[-1] + width)
    steep = max((abs(y[a] - y[b]) for a, b in links if a[1] == c), default=0)
    left.append(right[-1] + min(130, 46 + 0.22 * steep))
  used = {s for states in sources.values() for s in states}
  edges, boxes = [], []
  for a, b in links:
    if a[0] == b[0]:  # Into a lane and along it.
      edges += [svg.edge(a[0], right[a[1]], y[a], left[b[1]], y[b]),
                svg.edge(a[0], left[b[1]], y[b], right[b[1]], y[b])]
  for state, states in sources.items():
    c = column[state]
    middle, step = y[state, c], _ROW if state < out else 13
    first = middle - step / 2 * (len(states) - 1) + 7.5 * (state < out)
    order = sorted(range(len(states)), key=lambda i: y[states[i], c - 1])
    for row, i in enumerate(order):
      edges.append(svg.edge(states[i], right[c - 1], y[states[i], c - 1],
                            left[c], first + step * row, arrow=True))
    if state < out:
      boxes.append(_node(state, left[c], middle, widths[c],
                         [nodes[state][i] for i in order], state in used,
                         combinations[state - 2]))
  for state in range(2):
    boxes.append(svg.tag(
        'g', svg.box(16, y[state, 0], 70, 34, rx=17)
        + svg.state_name(51, y[state, 0] + 4, f'k−{2 - state}'),
        cls='used' if state in used else 'unused'))
  x, middle = right[-1], y[out, column[out]]
  boxes += [svg.box(x - 66, middle, 66, fan),
            svg.text(x - 33, middle + 4, 'concat', 'middle'),
            svg.edge(2, x, middle, x + 34, middle, arrow=True),
            svg.state_name(x + 46, middle + 4, 'k')]
  top = min(y[i] - height(i) / 2 for i in y) - 14
  bottom = max(y[i] + height(i) / 2 for i in y) + 14
  return svg.svg(x + 70, bottom - top, edges + boxes,
                 f'{kind} cell of {len(nodes)} nodes', top)


def _cell(genotype, kind):
  """The checked cell.

  Returns:
    {state: the operations of a node}, {state: the states they read} in the
    same order, with the concat last, and how each node combines.
  """
  if kind not in genotype or f'{kind}_concat' not in genotype:
    raise ValueError(f'the genotype has no cell {kind!r}: {sorted(genotype)}')
  edges = genotype[kind]
  if not edges or len(edges) % 2 and len(edges[0]) == 2:
    raise ValueError(f'a node has two operations, but {kind} has {len(edges)}')
  value = genotypes.Genotype(**{
      name: genotype.get(name, ()) for name in genotypes.Genotype._fields})
  found, concat = genotypes.node_edges(value, kind)
  nodes, sources, out = {}, {}, len(found) + 2
  for state, node in enumerate(found, 2):
    # What reads a node that is left out is left out.
    kept = [(str(op), int(source)) for op, source in node
            if not 2 <= source < state or source in nodes]
    if kept:
      nodes[state] = [op for op, _ in kept]
      sources[state] = [source for _, source in kept]
  sources[out] = [s for s in sorted(set(concat))
                  if not 2 <= s < out or s in nodes]
  for state, states in sources.items():
    if not all(0 <= s < state for s in states):
      raise ValueError(f'state {state} of {kind} reads states {states}')
  if not nodes or not sources[out]:
    raise ValueError(f'the output of {kind} reads nothing')
  return nodes, sources, genotypes.node_combinations(value, kind)


def _node(state, x, y, width, ops, used, combination) -> str:
  """A frame with the number of the state, operations and what joins them."""
  plus, middle = x + width - 22, y + 7.5
  first = middle - _ROW / 2 * (len(ops) - 1)
  name = f'{state}' if used else f'{state}, unused'
  height = 26 + _ROW * len(ops)
  parts = [svg.box(x, y, width, height),
           svg.text(x + 10, y - height / 2 + 15, name, cls='dim')]
  for i, op in enumerate(ops):
    row = first + _ROW * i
    family = next(f for f, ws in _FAMILIES if any(w in op.lower() for w in ws))
    end = ((x + width, y) if len(ops) == 1 else
           (plus - 8, middle) if combination == 'add' else (plus - 4, row))
    parts += [svg.edge(2, x + width - 50, row, *end),
              svg.box(x + 10, row, width - 60, 26, rx=5, cls=family),
              svg.text(x + width / 2 - 20, row + 4, op, 'middle')]
  if len(ops) > 1 and combination == 'add':
    parts += [svg.tag('circle', cx=plus, cy=middle, r=9),
              svg.marks('s2', 'm-4.5,0h9m-4.5,-4.5v9', [plus], middle),
              svg.edge(2, plus + 9, middle, x + width, y)]
  elif len(ops) > 1:
    parts += [svg.text(x + width - 10, y - height / 2 + 15, 'concat', 'end'),
              svg.box(plus - 4, middle, 8, _ROW * (len(ops) - 1) + 18, rx=3,
                      cls='joint'),
              svg.edge(2, plus + 4, middle, x + width, y)]
  return svg.tag('g', ''.join(parts), cls='used' if used else 'unused')
