"""Pictures of a run as SVG: search curve, training curve, cells.

A picture is the text of an <svg> element. It needs no other file, follows the
light or dark scheme of the reader, and is the same text for the same data.
"""

from collections.abc import Mapping, Sequence
import html
import math
from typing import Any

import numpy as np

from nas_jax import statistics

_WIDTH = 860
_STYLE = """
.nas{--ink:#1f2328;--dim:#636c76;--grid:#dfe3e8;--box:#f6f8fa;--edge:#afb8c1;
--page:#fff;--a:#0969da;--b:#cf6012;--bad:#cf222e;--grey:#6e7781;
--conv:#ddf0ff;--pool:#def5df;font:12px system-ui,"Segoe UI",sans-serif}
@media screen and (prefers-color-scheme:dark){.nas{--ink:#e6edf3;--dim:#9aa4af;
--grid:#2b3138;--box:#161b22;--edge:#57606a;--page:#0d1117;--a:#4a9dff;
--b:#f0883e;--bad:#ff6a61;--grey:#8b949e;--conv:#12304f;--pool:#143620}}
.nas text{fill:var(--ink)}.nas .dim{fill:var(--dim)}
.nas path{fill:none;stroke-width:1.7;stroke-linejoin:round}
.nas .grid{stroke:var(--grid);stroke-width:1}
.nas .a,.nas .s1{stroke:var(--a)}.nas .b,.nas .s0{stroke:var(--b)}
.nas .a,.nas .b{stroke-width:2.2}.nas .b{stroke-dasharray:6 4}
.nas .adots,.nas .bdots{stroke-width:5;stroke-linecap:round;stroke-opacity:.6}
.nas .adots{stroke:var(--a)}.nas .bdots{stroke:var(--b);stroke-opacity:.45}
.nas .band{fill:var(--b);fill-opacity:.17}.nas .fail{stroke:var(--bad)}
.nas .s2{stroke:var(--grey)}
.nas rect,.nas circle{stroke:var(--edge);fill:var(--box)}
.nas .conv{fill:var(--conv)}.nas .pool{fill:var(--pool)}
.nas .skip,.nas circle{fill:var(--page)}
.nas .none{fill:none;stroke-dasharray:3 3}.nas .unused{opacity:.55}
"""
_FAMILIES = (('none', ('none', 'zero')), ('pool', ('pool',)),
             ('skip', ('skip', 'identity')), ('conv', ('',)))


def search_curve(
    history: Sequence[Mapping[str, Any]],
    random_history: Sequence[Mapping[str, Any]] = (),
    label: str = 'search',
) -> str:
  """The best reward so far against the number of children, as SVG.

  Every child is a dot, a failed one a cross at the bottom. What random search
  finds with the same number of children is a band from the 10 % to the 90 %
  quantile around its median, over all orders of its children. The axis shows
  the upper half of the rewards well; a dot below it is a tick at the bottom.

  Args:
    history: records with 'reward' and, if known, metrics['failed'].
    random_history: the same of random search.
    label: what the search is called.
  """
  rewards = np.array([r['reward'] for r in history], float)
  others = np.array([r['reward'] for r in random_history], float)
  if not len(rewards):
    return _svg(_WIDTH, 40, [_text(16, 24, 'No child has been evaluated yet.')])
  good, bad = _split(history)
  random_good, _ = _split(random_history)
  budget = min(len(rewards), len(others))
  xlim = (1, max(2, len(rewards)))
  ylim = _zoom(np.r_[rewards[good], others[random_good]])
  box = (64, 54, _WIDTH - 76, 326)
  sx, sy = _scale(*xlim, box[0] + 8, box[2]), _scale(*ylim, box[3], box[1])
  dots, lines, ends = [], [], []
  legend = [('a', f'{label}, best so far'), ('adots', 'child')]
  for style, index, values in (
      ('bdots', random_good[random_good < len(rewards)], others),
      ('adots', good, rewards)):
    low = values[index] < ylim[0]
    dots += [_marks(style, 'h0', sx(index[~low] + 1), sy(values[index[~low]])),
             _marks(style[0], 'v-5', sx(index[low] + 1), box[3])]
  dots.append(_marks('fail', 'm-3,-9l6,6m-6,0l6,-6', sx(bad + 1), box[3]))
  if budget:
    x = sx(np.arange(1, budget + 1))
    band = statistics.best_of_n_quantiles(others, budget)
    y = sy(np.maximum(band, ylim[0]))
    area = _line(np.r_[x, x[::-1]], np.r_[y[:, 0], y[::-1, 2]])
    lines += [_tag('path', cls='band', d=area + 'z'),
              _tag('path', cls='b', d=_line(x, y[:, 1]))]
    ends.append((y[-1, 1], band[-1, 1], 'random'))
    legend += [('b', 'random search, median'), ('band', '10 % to 90 %'),
               ('bdots', 'random child')]
  if len(bad):
    legend.append(('fail', f'failed ({len(bad)})'))
  best = statistics.best_so_far(rewards)
  x, y = sx(np.arange(1, len(best) + 1)), sy(np.maximum(best, ylim[0]))
  lines.append(_tag('path', cls='a', d=_line(
      np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1])))
  ends.append((y[-1], best[-1], 'best'))
  parts = _axes(box, xlim, ylim, (sx, sy), 'children', 'reward') + dots + lines
  last = -math.inf
  for height, value, name in sorted(ends):
    last = height = max(height, last + 28)
    parts += [_text(box[2] + 8, height, f'{value:.4f}', weight=600),
              _text(box[2] + 8, height + 12, name, cls='dim')]
  return _svg(_WIDTH, 370, parts + _legend(box[0], legend),
              f'Best reward of {len(rewards)} children: {best[-1]:.6g}')


def training_curve(
    records: Sequence[Mapping[str, Any]],
    random_records: Sequence[Mapping[str, Any]] = (),
    label: str = 'result',
) -> str:
  """One small panel per number of the epochs (loss, accuracy, ...), as SVG.

  Args:
    records: one per epoch, with 'epoch' and numbers under any other names.
    random_records: the same for the network of random search, drawn dashed.
    label: what the first network is called.
  """
  runs = [(r, s) for r, s in ((random_records, 'b'), (records, 'a')) if r]
  names = [n for n in dict.fromkeys(k for rs, _ in runs for r in rs for k in r)
           if n not in ('epoch', 'seconds')
           and any(len(_series(rs, n)[0]) for rs, _ in runs)]
  if not names:
    return _svg(_WIDTH, 40, [_text(16, 24, 'No epoch has been trained yet.')])
  parts = _legend(52, [(s, label if s == 'a' else 'random search')
                       for _, s in runs[::-1]])
  epochs = np.concatenate([_series(rs, n)[0] for rs, _ in runs for n in names])
  xlim = (epochs.min(), max(epochs.max(), epochs.min() + 1))
  per_row, height = min(3, len(names)), 200
  for i, name in enumerate(names):
    left, top = i % per_row * _WIDTH / per_row, 62 + i // per_row * height
    box = (left + 52, top, left + _WIDTH / per_row - 14, top + height - 72)
    values = np.concatenate([_series(rs, name)[1] for rs, _ in runs])
    pad = 0.05 * (np.ptp(values) or abs(values[0]) or 1.0)
    ylim = (values.min() - pad, values.max() + pad)
    sx, sy = _scale(*xlim, box[0] + 8, box[2]), _scale(*ylim, box[3], box[1])
    parts += _axes(box, xlim, ylim, (sx, sy), 'epoch',
                   name.replace('_', ' '))
    for records, style in runs:
      x, y = _series(records, name)
      line = _tag('path', cls=style, d=_line(sx(x), sy(y)))
      dot = _marks(style + 'dots', 'h0', sx(x), sy(y))
      parts.append(line if len(x) > 1 else dot)
  rows = -(-len(names) // per_row)
  return _svg(_WIDTH, 42 + rows * height, parts, 'Training by epoch')


def draw_cell(genotype: Mapping[str, Any], kind: str) -> str:
  """A cell as a graph from left to right, as SVG.

  A node is the sum of two operations; its number is that of its state in the
  genotype. An arrow that passes a column has a lane of its own there, so that
  it never crosses a box.

  Args:
    genotype: {kind: [[operation, state], ...] with two pairs per node,
      f'{kind}_concat': [state, ...]}; state 0 is the output of the cell before
      the last, 1 that of the last, 2 + n that of node n.
    kind: 'normal' or 'reduce'.

  Raises:
    ValueError: the genotype has no such cell, or an operation or the concat
      reads a state that is not there.
  """
  pairs, sources = _cell(genotype, kind)
  out = max(sources)  # The concat, drawn as a state after the last node.
  column = {0: 0, 1: 0}  # An item is (state, column); a later one is a lane.
  for state in range(2, out):
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
    return 34 if state < 2 else fan if state == out else 88

  y = _place([(s, c) for s, c in column.items()], links, height)
  op_width = max(56, 7.0 * max(len(op) for op, _ in pairs) + 18)
  widths = [70] + [op_width + 60] * (column[out] - 1) + [66]
  left, right = [16.0], []
  for c, width in enumerate(widths):
    right.append(left[-1] + width)
    steep = max((abs(y[a] - y[b]) for a, b in links if a[1] == c), default=0)
    left.append(right[-1] + min(130, 46 + 0.22 * steep))
  used = {s for states in sources.values() for s in states}
  edges, boxes = [], []
  for a, b in links:
    if a[0] == b[0]:  # Into a lane and along it.
      edges += [_edge(a[0], right[a[1]], y[a], left[b[1]], y[b]),
                _edge(a[0], left[b[1]], y[b], right[b[1]], y[b])]
  for state, states in sources.items():
    c = column[state]
    middle, step = y[state, c], 31 if state < out else 13
    first = middle - 8 if state < out else middle - 6.5 * (len(states) - 1)
    order = sorted(range(len(states)), key=lambda i: y[states[i], c - 1])
    for row, i in enumerate(order):
      end = first + step * row
      edges.append(_edge(states[i], right[c - 1], y[states[i], c - 1],
                         left[c], end, arrow=True))
    if state < out:
      ops = [pairs[2 * state - 4 + i][0] for i in order]
      boxes.append(_node(state, left[c], middle, widths[c], ops, state in used))
  for state in range(2):
    boxes.append(_tag('g', _box(16, y[state, 0], 70, 34, rx=17) + _name(
        51, y[state, 0] + 4, f'k−{2 - state}'),
                      cls='used' if state in used else 'unused'))
  x, middle = right[-1], y[out, column[out]]
  boxes += [_box(x - 66, middle, 66, fan),
            _text(x - 33, middle + 4, 'concat', 'middle'),
            _edge(2, x, middle, x + 34, middle, arrow=True),
            _name(x + 46, middle + 4, 'k')]
  top = min(y[i] - height(i) / 2 for i in y) - 14
  bottom = max(y[i] + height(i) / 2 for i in y) + 14
  return _svg(x + 70, bottom - top, edges + boxes,
              f'{kind} cell of {out - 2} nodes', top)


def _cell(genotype, kind):
  """The checked pairs, and {state: the states it reads}, the concat last."""
  if kind not in genotype or f'{kind}_concat' not in genotype:
    raise ValueError(f'the genotype has no cell {kind!r}: {sorted(genotype)}')
  pairs = [(str(op), int(state)) for op, state in genotype[kind]]
  if not pairs or len(pairs) % 2:
    raise ValueError(f'a node has two operations, but {kind} has {len(pairs)}')
  sources = {i // 2 + 2: [pairs[i][1], pairs[i + 1][1]]
             for i in range(0, len(pairs), 2)}
  sources[len(sources) + 2] = sorted(set(genotype[f'{kind}_concat']))
  for state, states in sources.items():
    if any(not 0 <= s < state for s in states):
      raise ValueError(f'state {state} of {kind} reads states {states}')
  return pairs, sources


def _place(items, links, height) -> dict[tuple[int, int], float]:
  """Heights of all items: near their neighbours' mean, few crossings."""
  items = sorted({*items, *(i for link in links for i in link)})
  columns = [[i for i in items if i[1] == c]
             for c in range(max(c for _, c in items) + 1)]
  near = {i: [] for i in items}
  for a, b in links:
    near[a].append(b)
    near[b].append(a)
  y, best = {i: 0.0 for i in items}, (math.inf, {})
  for sweep in range(40):
    # First the order of each column is free, then only the heights.
    if sweep == 24:
      y = dict(best[1])
    for c in range(len(columns))[::1 if sweep % 2 else -1]:
      wish = {i: np.mean([y[n] for n in near[i]] or [y[i]]) for i in columns[c]}
      free = c > 0 and sweep < 24
      order = sorted(columns[c], key=(wish if free else y).get)
      size = np.array([height(i) + 16 for i in order])
      room = np.cumsum(size) - size / 2
      y |= zip(order, _rising(np.array([wish[i] for i in order]) - room) + room)
    crossed = sum(
        a[1] == p[1] and (y[a] - y[p]) * (y[b] - y[q]) < 0
        for i, (a, b) in enumerate(links) for p, q in links[:i])
    best = min(best, (crossed, dict(y)), key=lambda pair: pair[0])
  return {i: round(float(v), 1) for i, v in y.items()}


def _rising(values: np.ndarray) -> np.ndarray:
  """The nearest vector that never falls (pool adjacent violators)."""
  blocks = []
  for value in values:
    blocks.append([value])
    while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
      blocks[-2:] = [blocks[-2] + blocks[-1]]
  return np.concatenate([np.full(len(b), np.mean(b)) for b in blocks])


def _node(state, x, y, width, ops, used) -> str:
  """A frame with the number of the state, two operations and their sum."""
  plus, middle = x + width - 22, y + 7.5
  name = f'{state}' if used else f'{state}, unused'
  parts = [_box(x, y, width, 88), _text(x + 10, y - 29, name, cls='dim')]
  for row, op in zip((y - 8, y + 23), ops):
    family = next(f for f, ws in _FAMILIES if any(w in op.lower() for w in ws))
    parts += [_edge(2, x + width - 50, row, plus - 8, middle),
              _box(x + 10, row, width - 60, 26, rx=5, cls=family),
              _text(x + width / 2 - 20, row + 4, op, 'middle')]
  parts += [_tag('circle', cx=plus, cy=middle, r=9),
            _marks('s2', 'm-4.5,0h9m-4.5,-4.5v9', [plus], middle),
            _edge(2, plus + 9, middle, x + width, y)]
  return _tag('g', ''.join(parts), cls='used' if used else 'unused')


def _box(x, y, width, height, rx=8, cls='box') -> str:
  return _tag('rect', x=x, y=y - height / 2, width=width, height=height, rx=rx,
              cls=cls)


def _name(x, y, index) -> str:
  lower = f'<tspan dy="4" font-size="11">{index}</tspan>'
  return _tag('text', f'c{lower}', x=x, y=y, text_anchor='middle', font_size=14)


def _edge(state, x0, y0, x1, y1, arrow=False) -> str:
  middle, head = (x0 + x1) / 2, 'm-6,-4l6,4l-6,4' if arrow else ''
  bend = f'{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}'
  return _tag('path', cls=f's{min(state, 2)}',
              d=f'M{x0:.1f},{y0:.1f}C{bend}{head}')


def _split(history) -> tuple[np.ndarray, np.ndarray]:
  """The indices of the children that succeeded, and of those that failed."""
  failed = np.array([bool((r.get('metrics') or {}).get('failed'))
                     for r in history], bool)
  return np.flatnonzero(~failed), np.flatnonzero(failed)


def _zoom(values: np.ndarray) -> tuple[float, float]:
  """Limits that give the upper half of the values a third of the axis."""
  if not len(values):
    return 0.0, 1.0
  high, middle, low = values.max(), np.median(values), values.min()
  if high > middle:
    low = max(low, high - 3 * (high - middle))
  span = high - low or abs(high) * 0.02 or 1.0
  return float(low - 0.1 * span), float(high + 0.08 * span)


def _series(records, name) -> tuple[np.ndarray, np.ndarray]:
  pairs = [(r.get('epoch', i), r[name]) for i, r in enumerate(records)
           if isinstance(r.get(name), (int, float)) and math.isfinite(r[name])]
  return tuple(np.array(pairs, float).reshape(-1, 2).T)


def _scale(low, high, start, stop):
  return lambda v: start + (np.asarray(v) - low) / (high - low) * (stop - start)


def _axes(box, xlim, ylim, scales, xlabel, ylabel) -> list[str]:
  left, top, right, bottom = box
  parts = [_text((left + right) / 2, bottom + 36, xlabel, 'middle', 'dim'),
           _text(left, top - 10, ylabel, weight=600)]
  for value, text in _ticks(*ylim, 5):
    y = scales[1](value)
    parts += [_tag('path', cls='grid', d=f'M{left:.1f},{y:.1f}H{right:.1f}'),
              _text(left - 8, y + 4, text, 'end', 'dim')]
  for value, text in _ticks(*xlim, max(3, (right - left) // 90), whole=True):
    parts.append(_text(scales[0](value), bottom + 18, text, 'middle', 'dim'))
  return parts


def _ticks(low, high, count, whole=False) -> list[tuple[float, str]]:
  """Round numbers between low and high with their texts."""
  raw = (high - low) / count
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power > raw * 0.999)
  step = max(1, round(step)) if whole else step
  digits = next(d for d in range(20) if abs(round(step, d) / step - 1) < 1e-6)
  first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
  return [(i * step, f'{i * step:.{digits}f}') for i in range(first, last + 1)]


def _legend(x, entries) -> list[str]:
  parts = []
  for style, text in entries:
    shape = {'band': 'm0,-6h22v12h-22z', 'fail': 'm8,-3l6,6m-6,0l6,-6'}.get(
        style, 'm11,0h0' if 'dots' in style else 'h22')
    parts += [_marks(style, shape, [x], 14), _text(x + 28, 18, text)]
    x += 50 + 6.4 * len(text)
  return parts


def _line(x, y) -> str:
  return 'M' + 'L'.join(dict.fromkeys(map('{:.1f},{:.1f}'.format, x, y)))


def _marks(style, shape, x, y) -> str:
  """One path with the same shape at every point."""
  points = zip(np.asarray(x), np.broadcast_to(y, np.shape(x)))
  marks = dict.fromkeys(f'M{a:.1f},{b:.1f}{shape}' for a, b in points)
  return _tag('path', cls=style, d=''.join(marks)) if marks else ''


def _text(x, y, text, anchor='start', cls='ink', weight=400) -> str:
  return _tag('text', html.escape(text), x=x, y=y, text_anchor=anchor, cls=cls,
              font_weight=weight)


def _tag(name, inside='', cls='', **attributes) -> str:
  text = f' class="{cls}"' if cls else ''
  for key, value in attributes.items():
    value = value if isinstance(value, str) else f'{round(float(value), 1):g}'
    text += f' {key.replace("_", "-")}="{value}"'
  return f'<{name}{text}>{inside}</{name}>'


def _svg(width, height, parts, title='', top=0.0) -> str:
  title = f'<title>{html.escape(title)}</title>'
  return (f'<svg xmlns="http://www.w3.org/2000/svg" class="nas" role="img" '
          f'width="{width:.0f}" height="{height:.0f}" '
          f'viewBox="0 {top:.1f} {width:.1f} {height:.1f}">'
          f'{title}<style>{_STYLE}</style>{"".join(parts)}</svg>')
