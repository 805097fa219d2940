"""Pictures of graphs: blocks (BlockQNN), cells of tokens (AutoDL Design)."""

from collections.abc import Sequence
from typing import NamedTuple

from nas_jax import layout
from nas_jax import svg
from nas_jax.spaces import adjacency
from nas_jax.spaces import block_code
from nas_jax.spaces import token_code

_ROW, _GAP = 30, 44  # Pixels: the height of a box, and from one to the next.
_CHARACTER = 7.
_KINDS = {
    block_code.CONV: 'conv', block_code.MAX_POOL: 'max pool',
    block_code.AVG_POOL: 'avg pool', block_code.IDENTITY: 'identity',
    block_code.ADD: 'add', block_code.CONCAT: 'concat'}
_FAMILIES = (('conv', 'conv'), ('pool', 'pool'), ('identity', 'skip'))


class Box(NamedTuple):
  """Something drawn, and what it reads."""
  name: str  # such as its number; may be empty
  text: str
  sources: tuple[int, ...]  # boxes before it, once per arrow


def draw_block(code: block_code.Code) -> str:
  """A block from top to bottom, as SVG: its layers by their numbers.

  Args:
    code: see block_code.py.

  Raises:
    ValueError: a code that describes no block.
  """
  layers = block_code.layers(code)
  boxes = [Box('', 'input', ())]
  for layer in layers:
    index, kind, size, _, _ = layer
    text = _KINDS[kind] + (f' {size}x{size}' if size else '')
    boxes.append(Box(str(index), text, block_code.predecessors(layer)))
  leaves = block_code.leaves(code)
  text = 'concat' if len(leaves) > 1 else 'output'
  return draw([*boxes, Box('', text, leaves)],
               f'block of {len(layers)} layers')


def draw_tokens(code: token_code.Code, kind: str) -> str:
  """A cell of AutoDL Design from top to bottom, as SVG.

  A node is an operation on the sum of what it reads.

  Args:
    code: see token_code.py.
    kind: 'normal' or 'reduce'.

  Raises:
    ValueError: a wrong code or kind.
  """
  token_code.check(code)
  kinds = 'normal', 'reduce'
  if kind not in kinds:
    raise ValueError(f'kind is {kind!r}, expected normal or reduce')
  tokens, bits = code[kinds.index(kind)]
  boxes = [Box('', 'input', ())]
  for i, sources in enumerate(adjacency.inputs(bits, len(tokens))):
    stride = ', stride 2' if kind == 'reduce' and not sources else ''
    boxes.append(Box(
        str(i), token_code.OPERATIONS[tokens[i]].replace('_', ' ') + stride,
        tuple(j + 1 for j in sources) or (0,)))
  leaves = adjacency.leaves(bits, len(tokens))
  text = 'concat, conv 1x1' if len(leaves) > 1 else 'conv 1x1'
  return draw([*boxes, Box('', text, tuple(j + 1 for j in leaves))],
               f'{kind} cell of {len(tokens)} nodes')


def draw(boxes: Sequence[Box], title: str) -> str:
  """Boxes from top to bottom, as SVG.

  A box is below all that it reads; an arrow that passes a row has a lane of
  its own there.

  Args:
    boxes: in an order in which each reads earlier ones; those without
      sources are inputs, and the last one is at the bottom.
    title: of the picture.
  """
  # By what an arrow comes from: the first input, other inputs, the rest.
  colours = ['s1' if not i else 's2' if box.sources else 's0'
             for i, box in enumerate(boxes)]
  row: list[int] = []
  for box in boxes:
    row.append(1 + max((row[s] for s in box.sources), default=-1))
  row[-1] = 1 + max(row[:-1])
  widths = [_CHARACTER * (len(box.text) + 2 * len(box.name)) + 34
            for box in boxes]
  links = list(dict.fromkeys(
      ((s, r - 1), (t if r == row[t] else s, r))
      for t, box in enumerate(boxes) for s in box.sources
      for r in range(row[s] + 1, row[t] + 1)))

  def width(item: layout.Item) -> float:
    return widths[item[0]] if item[1] == row[item[0]] else 6

  x = layout.place(list(enumerate(row)), links, width)
  left = min(x[i] - width(i) / 2 for i in x) - 16
  right = max(x[i] + width(i) / 2 for i in x) + 16
  x = {item: value - left for item, value in x.items()}
  top = [24. + r * (_ROW + _GAP) for r in range(max(row) + 1)]
  lines, rectangles = [], []
  for (a, r), (b, _) in links:
    if a == b:  # Into a lane and along it.
      lines.append(_line(colours[a], x[a, r], top[r] + _ROW, x[a, r + 1],
                         top[r + 1]) + svg.tag('path', cls=colours[a], d=(
                       f'M{x[a, r + 1]:.1f},{top[r + 1]:.1f}v{_ROW}')))
  for i, box in enumerate(boxes):
    # Arrows arrive side by side, from the left to the right.
    before = row[i] - 1
    sources = sorted(box.sources, key=lambda s: x[s, before])
    step = min(16., (widths[i] - 24) / len(sources)) if sources else 0.
    for j, source in enumerate(sources):
      lines.append(_line(
          colours[source], x[source, before], top[before] + _ROW,
          x[i, row[i]] + step * (j - (len(sources) - 1) / 2), top[row[i]],
          arrow=True))
    middle, y = x[i, row[i]], top[row[i]] + _ROW / 2
    cls = next((c for word, c in _FAMILIES if word in box.text and box.name),
               'box')
    shift = _CHARACTER * len(box.name)
    rectangles += [
        svg.box(middle - widths[i] / 2, y, widths[i], _ROW, cls=cls),
        svg.text(middle - widths[i] / 2 + 8, y + 4, box.name, cls='dim'),
        svg.text(middle + shift, y + 4, box.text, 'middle')]
  return svg.svg(right - left, top[-1] + _ROW + 24, lines + rectangles, title)


def _line(colour: str, x0: float, y0: float, x1: float, y1: float,
          arrow: bool = False) -> str:
  """A curve downwards, in a colour of svg.py."""
  middle, head = (y0 + y1) / 2, 'm-4,-6l4,6l4,-6' if arrow else ''
  return svg.tag('path', cls=colour, d=(
      f'M{x0:.1f},{y0:.1f}C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} '
      f'{x1:.1f},{y1:.1f}{head}'))

