"""Pictures of whole networks as SVG: one box per cell, block or layer."""

import collections
import itertools
from typing import NamedTuple

import jax

from nas_jax import cost
from nas_jax import svg
from nas_jax.networks import graph
from nas_jax.networks import parts

_MAX_ROWS = 40  # From here on, repeated parts share a box.
_ROW, _GAP, _LANE, _PIN = 30, 16, 9, 8  # Pixels.
_HEADER = 78
_COLUMNS = ('', 'kernels', 'output', 'parameters', 'multiply-adds')
_CHARACTER = 6.5  # Pixels, more than the mean.
_MAX_KINDS = 4
_COLOURS = ('s0', 's1', 's2')


class _Row(NamedTuple):
  cells: tuple[str, ...]  # one text per column
  cls: str  # of the box
  inputs: frozenset[int]  # rows that it reads


def draw_network(net: graph.Graph, title: str) -> str:
  """The parts of a network from top to bottom, as SVG.

  An arrow goes to the next part; all other connections run on the left, one
  line for each part that is read later. Parts that halve the image are green,
  the auxiliary classifier is dashed. A network of many parts has one box for
  equal parts in a row.

  Args:
    net: the network.
    title: what it is called.
  """
  rows = _rows(net)
  skips = _skips(rows)
  lanes = _lanes(skips)
  incoming = collections.defaultdict(list)
  for source, targets in skips.items():
    for target in targets:
      incoming[target].append(source)
  left = 24. + _LANE * (1 + max(lanes.values(), default=-1))
  widths = [_CHARACTER * max(map(len, column)) + 24 for column in zip(
      _COLUMNS, *(row.cells for row in rows))]
  width = sum(widths)
  tops, y = [], float(_HEADER)
  for i in range(len(rows)):
    pins = len(incoming[i]) + (i in skips)
    height = max(_ROW, _PIN * (pins + 1))
    tops.append((y, y + height))
    y += height + _GAP
  parts_ = [svg.text(left, 22, title, weight=600),
            svg.text(left, 40, _summary(net), cls='dim')]
  for text, x, anchor in _places(_COLUMNS, left, widths):
    parts_.append(svg.text(x, _HEADER - 8, text, anchor, 'dim'))
  for i, (row, (top, bottom)) in enumerate(zip(rows, tops)):
    parts_.append(svg.box(left, (top + bottom) / 2, width, bottom - top,
                          cls=row.cls))
    for column, (text, x, anchor) in enumerate(
        _places(row.cells, left, widths)):
      parts_.append(svg.text(x, (top + bottom) / 2 + 4, text, anchor,
                             'dim' if column == 1 else 'ink',
                             600 if column == 0 else 400))
    if i - 1 in row.inputs:
      parts_.append(svg.tag(
          'path', cls='s2',
          d=f'M{left + 36:.1f},{tops[i - 1][1]:.1f}V{top:.1f}m-4,-6l4,6l4,-6'))
  # Lines nearer to the boxes arrive higher up: they cross fewer others.
  for sources in incoming.values():
    sources.sort(key=lanes.get)
  for source, targets in skips.items():
    x = left - 14 - _LANE * lanes[source]
    start = tops[source][1] - _PIN
    ends = [tops[target][0] + _PIN * (1 + incoming[target].index(source))
            for target in targets]
    d = f'M{left:.1f},{start:.1f}H{x + 4:.1f}q-4,0 -4,4V{max(ends) - 4:.1f}'
    for end in ends:
      d += (f'M{x:.1f},{end - 4:.1f}q0,4 4,4H{left:.1f}m-5,-3l5,3l-5,3')
    parts_.append(svg.tag(
        'path', cls=_COLOURS[lanes[source] % len(_COLOURS)], d=d))
  return svg.svg(left + width + 16, y, parts_,
                 f'{title}: {len(rows) - 1} parts')


def _rows(net: graph.Graph) -> list[_Row]:
  """The image and the parts; equal neighbours as one where there are many."""
  found = parts.parts(net)
  costs = [c for _, c in cost.by_node(net)]
  inputs = [_inputs(net, found, part) for part in found]
  keys = []
  for part in found:
    total = [sum(column) for column in zip(*(costs[i] for i in part.nodes))]
    keys.append((part.name.rstrip('0123456789'), part.shape, tuple(total),
                 _kernels(net, part)))
  numbers = range(len(found))
  groups = [list(group) for _, group in itertools.groupby(
      numbers, keys.__getitem__ if len(found) > _MAX_ROWS else None)]
  place = {i: row for row, group in enumerate(groups, 1) for i in group}
  place[parts.IMAGE] = 0
  rows = [_Row(('image', '', _shape(net.image_shape), '', ''), 'skip',
               frozenset())]
  for row, group in enumerate(groups, 1):
    part, (_, shape, total, kernels) = found[group[0]], keys[group[0]]
    total = cost.Cost(*(len(group) * n for n in total))
    name = part.name if len(group) == 1 else (
        f'{part.name} .. {found[group[-1]].name} ({len(group)})')
    read = frozenset(place[j] for i in group for j in inputs[i]) - {row}
    cls = 'none' if total.auxiliary_params else 'box'
    if cls == 'box' and shape[:-1] and all(
        shape[0] < _height(net, found, j) for j in inputs[group[0]]):
      cls = 'pool'
    rows.append(_Row(
        (name, kernels, _shape(shape),
         f'{total.params or total.auxiliary_params:,}', f'{total.macs:,}'),
        cls, read))
  return rows


def _inputs(net, found, part) -> set[int]:
  """The parts that a part reads.

  Where a part passes on several values (the poolings of ENAS), all but the
  last count as those that they are made of.
  """
  owner = {i: p for p, other in enumerate(found) for i in other.nodes}
  members = set(part.nodes)

  def resolve(value: int) -> int:
    if not value:
      return parts.IMAGE
    node = value - 1
    others = [n for n in found[owner[node]].nodes if not any(
        n + 1 in net.nodes[m].inputs for m in found[owner[node]].nodes)]
    if len(others) > 1 and node != others[-1]:
      return resolve(net.nodes[node].inputs[0])
    return owner[node]

  return {resolve(j) for i in members for j in net.nodes[i].inputs
          if j - 1 not in members}


def _kernels(net: graph.Graph, part: parts.Part) -> str:
  """The sizes of the convolutions, the most frequent first."""
  kinds = collections.Counter()
  for i in part.nodes:
    node = net.nodes[i]
    tree = graph.variable_shapes(node.module, graph.input_shapes(net, node, 1))
    for path, leaf in jax.tree_util.tree_leaves_with_path(
        tree.get('params', {})):
      name, shape = path[-1].key, leaf.shape
      if name.startswith('depthwise') and len(shape) > 2:
        kinds[f'depthwise {shape[0]}x{shape[1]}'] += 1
      elif len(shape) == 4:
        kinds[f'{shape[0]}x{shape[1]}'] += 1
      elif len(shape) == 2:
        kinds['1x1' if len(node.shape) == 3 else 'linear'] += 1
  ranked = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
  texts = [name if number == 1 else f'{name} ({number})'
           for name, number in ranked[:_MAX_KINDS]]
  if len(ranked) > _MAX_KINDS:
    texts.append('...')
  *others, last = [net.nodes[i] for i in part.nodes]
  if any(node.name.endswith('shortcut') for node in others):
    texts.append('+ shortcut')
  elif others and len(last.inputs) > 1 and any(
      j - 1 not in part.nodes for j in last.inputs):
    texts.append('+ input')
  return ', '.join(texts)


def _skips(rows: list[_Row]) -> dict[int, list[int]]:
  """For each row that others than the next read: these, in order."""
  found = {}
  for target, row in enumerate(rows):
    for source in row.inputs:
      if source != target - 1:
        found.setdefault(source, []).append(target)
  return dict(sorted(found.items()))


def _lanes(skips: dict[int, list[int]]) -> dict[int, int]:
  """A lane for each source, so that lines of one lane do not meet."""
  lanes, ends = {}, []
  for source, targets in skips.items():
    lane = next((i for i, end in enumerate(ends) if end < source), len(ends))
    ends[lane:lane + 1] = [max(targets)]
    lanes[source] = lane
  return lanes


def _places(texts, left, widths):
  """(text, x, anchor) for each column; numbers are aligned on the right."""
  x = left
  for i, (text, width) in enumerate(zip(texts, widths)):
    yield (text, x + 12, 'start') if i < 3 else (text, x + width - 12, 'end')
    x += width


def _height(net: graph.Graph, found: list[parts.Part], part: int) -> int:
  """Of a part's output; 0 for vectors."""
  shape = net.image_shape if part == parts.IMAGE else found[part].shape
  return shape[0] if len(shape) == 3 else 0


def _shape(shape: tuple[int, ...]) -> str:
  return ' x '.join(map(str, shape))


def _summary(net: graph.Graph) -> str:
  total = cost.count(net)
  return (f'{total.params:,} parameters, {total.macs:,} multiply-adds for an '
          f'image of {_shape(net.image_shape)}')
