"""Pictures of a run as SVG: curves of searches and trainings, scatter plots.

A picture is the text of an <svg> element. It needs no other file, follows the
light or dark scheme of the reader, and is the same text for the same data.
"""

from collections.abc import Mapping, Sequence
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nas_jax import statistics
from nas_jax import svg

WIDTH = 860


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
    return svg.svg(WIDTH, 40, [
        svg.text(16, 24, 'No child has been evaluated yet.')])
  good, bad = _split(history)
  random_good, _ = _split(random_history)
  budget = min(len(rewards), len(others))
  xlim = (1, max(2, len(rewards)))
  ylim = _zoom(np.r_[rewards[good], others[random_good]])
  box = (64, 54, WIDTH - 76, 326)
  sx, sy = to_scale(*xlim, box[0] + 8, box[2]), to_scale(*ylim, box[3], box[1])
  dots, lines, ends = [], [], []
  legend = [('a', f'{label}, best so far'), ('adots', 'child')]
  for style, index, values in (
      ('bdots', random_good[random_good < len(rewards)], others),
      ('adots', good, rewards)):
    low = values[index] < ylim[0]
    high = index[~low]
    dots += [svg.marks(style, 'h0', sx(high + 1), sy(values[high])),
             svg.marks(style[0], 'v-5', sx(index[low] + 1), box[3])]
  dots.append(svg.marks('fail', 'm-3,-9l6,6m-6,0l6,-6', sx(bad + 1), box[3]))
  if budget:
    x = sx(np.arange(1, budget + 1))
    band = statistics.best_of_n_quantiles(others, budget)
    y = sy(np.maximum(band, ylim[0]))
    lines += [_area('band', x, y[:, 0], y[:, 2]),
              svg.tag('path', cls='b', d=path_through(x, y[:, 1]))]
    ends.append((y[-1, 1], band[-1, 1], 'random'))
    legend += [('b', 'random search, median'), ('band', '10 % to 90 %'),
               ('bdots', 'random child')]
  if len(bad):
    legend.append(('fail', f'failed ({len(bad)})'))
  best = statistics.best_so_far(rewards)
  x, y = sx(np.arange(1, len(best) + 1)), sy(np.maximum(best, ylim[0]))
  lines.append(svg.tag('path', cls='a', d=path_through(
      np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1])))
  ends.append((y[-1], best[-1], 'best'))
  parts = [*draw_axes(box, xlim, ylim, (sx, sy), 'children', 'reward'), *dots,
           *lines]
  last = -math.inf
  for height, value, name in sorted(ends):
    last = height = max(height, last + 28)
    parts += [svg.text(box[2] + 8, height, f'{value:.4f}', weight=600),
              svg.text(box[2] + 8, height + 12, name, cls='dim')]
  return svg.svg(WIDTH, 370, parts + draw_legend(box[0], legend),
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
           if n not in ('epoch', 'step', 'seconds', 'last_batch_accuracy')
           and any(len(_series(rs, n)[0]) for rs, _ in runs)]
  if not names:
    return svg.svg(WIDTH, 40, [
        svg.text(16, 24, 'No epoch has been trained yet.')])
  parts = draw_legend(52, [(s, label if s == 'a' else 'random search')
                       for _, s in runs[::-1]])
  epochs = np.concatenate([_series(rs, n)[0] for rs, _ in runs for n in names])
  xlim = (epochs.min(), max(epochs.max(), epochs.min() + 1))
  per_row, height = min(3, len(names)), 200
  for i, name in enumerate(names):
    left, top = i % per_row * WIDTH / per_row, 62 + i // per_row * height
    box = (left + 52, top, left + WIDTH / per_row - 14, top + height - 72)
    values = np.concatenate([_series(rs, name)[1] for rs, _ in runs])
    pad = 0.05 * (np.ptp(values) or abs(values[0]) or 1.0)
    ylim = (values.min() - pad, values.max() + pad)
    sx = to_scale(*xlim, box[0] + 8, box[2])
    sy = to_scale(*ylim, box[3], box[1])
    parts += draw_axes(box, xlim, ylim, (sx, sy), 'epoch',
                   name.replace('_', ' '))
    for records, style in runs:
      x, y = _series(records, name)
      line = svg.tag('path', cls=style, d=path_through(sx(x), sy(y)))
      dot = svg.marks(style + 'dots', 'h0', sx(x), sy(y))
      parts.append(line if len(x) > 1 else dot)
  rows = -(-len(names) // per_row)
  return svg.svg(WIDTH, 42 + rows * height, parts, 'Training by epoch')


def reward_curve(curve: Mapping[str, Any]) -> str:
  """The mean reward of the children of a round against the round, as SVG.

  Args:
    curve: 'label'; 'rounds'; 'mean', 'low' and 'high' over seeds, float[T]
      each; and if known 'random', float[T], the mean of random search;
      'bound'; 'reference' and 'published', each with 'label', 'rounds' and
      'mean', and the first with 'low' and 'high', float[R].
  """
  rounds, mean = (np.asarray(curve[k], float) for k in ('rounds', 'mean'))
  reference, published = curve.get('reference'), curve.get('published')
  values = [np.asarray(curve[k], float) for k in ('low', 'high')]
  values += [np.ravel(curve[k]) for k in ('random', 'bound') if k in curve]
  values += [np.asarray(part[k]) for part in (reference, published) if part
             for k in ('mean', 'low', 'high') if k in part]
  low, high = (f(np.concatenate(values)) for f in (np.min, np.max))
  pad = .05 * (high - low or abs(high) or 1.)
  last = max(rounds[-1], rounds[0] + 1)
  xlim, ylim = (rounds[0], last), (low - pad, high + pad)
  box = (64, 72, WIDTH - 24, 350)
  sx, sy = to_scale(*xlim, box[0], box[2]), to_scale(*ylim, box[3], box[1])
  parts = draw_axes(box, xlim, ylim, (sx, sy), 'round', 'mean reward')
  legend = [('a', curve['label']), ('aband', 'least to greatest seed')]
  below = []  # A second line of the legend.

  parts.append(_area('aband', sx(rounds), sy(curve['low']), sy(curve['high'])))
  if 'random' in curve:
    legend.append(('s2', 'random search'))
    parts.append(svg.tag('path', cls='s2', d=path_through(
        sx(rounds), sy(curve['random']))))
  if 'bound' in curve:
    legend.append(('fail', f'bound {curve["bound"]:.3f}'))
    parts.append(svg.tag('path', cls='fail', d=path_through(
        np.array(box[::2]), sy([curve['bound']] * 2))))
  if reference:
    below += [('b', f'{reference["label"]}, mean'),
              ('band', 'its least to greatest seed')]
    parts += [_area('band', sx(reference['rounds']), sy(reference['low']),
                    sy(reference['high'])),
              svg.tag('path', cls='b', d=path_through(
                  sx(reference['rounds']), sy(reference['mean'])))]
  parts.append(svg.tag('path', cls='a', d=path_through(sx(rounds), sy(mean))))
  if published:
    below.append(('bdots', published['label']))
    parts.append(svg.marks('bdots', 'h0', sx(published['rounds']),
                           sy(published['mean'])))
  return svg.svg(
      WIDTH, 394, parts + draw_legend(box[0], legend) + draw_legend(
          box[0], below, 36), f'Mean reward, {mean[-1]:.6g} at the end')


class Panel(NamedTuple):
  """One axis of `panels`."""
  title: str
  # mean, low and high, float[T] each, of the first and the second thing.
  curves: Sequence[Sequence[npt.ArrayLike]]


def panels(
    found: Sequence[Panel], labels: Sequence[str], xlabel: str, ylabel: str
) -> str:
  """Two curves with their bands on every axis, two axes per row, as SVG.

  Args:
    found: what to draw; x is 1, 2, ..., T.
    labels: what the two things are called.
    xlabel: what x is.
    ylabel: what the bands are.
  """
  parts = draw_legend(52, [
      ('a', labels[0]), ('b', labels[1]), ('aband', ''), ('band', ylabel)])
  half, height = WIDTH / 2, 230
  for i, panel in enumerate(found):
    curves = np.asarray(panel.curves, float)
    left, top = i % 2 * half, 62 + i // 2 * height
    box = (left + 52, top, left + half - 14, top + height - 72)
    xlim = (1, max(2, curves.shape[-1]))
    pad = .05 * (np.ptp(curves) or 1.)
    ylim = (curves.min() - pad, curves.max() + pad)
    sx, sy = to_scale(*xlim, box[0], box[2]), to_scale(*ylim, box[3], box[1])
    x = sx(np.arange(1, curves.shape[-1] + 1))
    parts += draw_axes(box, xlim, ylim, (sx, sy), xlabel, panel.title)
    for (mean, low, high), line, band in zip(
        curves, ('a', 'b'), ('aband', 'band')):
      parts += [_area(band, x, sy(low), sy(high)),
                svg.tag('path', cls=line, d=path_through(x, sy(mean)))]
  return svg.svg(WIDTH, 50 + -(-len(found) // 2) * height, parts,
                 f'{labels[0]} and {labels[1]} against the {xlabel}')


class Fan(NamedTuple):
  """What many searches by one strategy have found, as it grows."""
  name: str
  x: npt.ArrayLike  # float[T], rising
  middle: npt.ArrayLike  # float[T]
  low: npt.ArrayLike  # float[T]
  high: npt.ArrayLike  # float[T]


_NUM_COLORS = 8


def fans(found: Sequence[Fan], xlabel: str, ylabel: str, note: str) -> str:
  """A step curve with a band for each of any number of strategies, as SVG.

  The first one is grey; beyond eight, colours return with dashed lines.

  Args:
    found: at least one.
    xlabel: what x is.
    ylabel: what the curves are.
    note: what the bands are.
  """
  ends = np.concatenate([np.asarray(f.x, float)[[0, -1]] for f in found])
  xlim = (ends.min(), max(ends.max(), ends.min() + 1e-9))
  # A first bad start must not flatten all that follows.
  values = np.concatenate([np.r_[f.low, f.high] for f in found])
  late = np.concatenate([
      np.r_[f.low, f.high].reshape(2, -1)[:, len(np.ravel(f.x)) // 20:].ravel()
      for f in found])
  pad = .05 * (np.ptp(late) or abs(late[0]) or 1.)
  ylim = (late.min() - pad, values.max() + pad)
  rows = -(-len(found) // 4)
  box = (64, 40 + 22 * rows, WIDTH - 24, 340 + 22 * rows)
  sx, sy = to_scale(*xlim, box[0], box[2]), to_scale(*ylim, box[3], box[1])
  bands, lines, legend = [], [], []
  for i, fan in enumerate(found):
    color = i % _NUM_COLORS
    x = np.repeat(sx(fan.x), 2)[1:]
    steps = lambda y: np.repeat(sy(np.maximum(y, ylim[0])), 2)[:-1]
    style = f'c{color}' + ' later' * (i >= _NUM_COLORS)
    bands.append(_area(f'band{color} thin', x, steps(fan.low),
                       steps(fan.high)))
    lines.append(svg.tag(
        'path', cls=style, d=path_through(x, steps(fan.middle))))
    place = box[0] + i % 4 * (WIDTH - 80) / 4, 14 + i // 4 * 22
    legend += [svg.marks(style, 'h22', [place[0]], place[1]),
               svg.text(place[0] + 28, place[1] + 4, fan.name)]
  return svg.svg(WIDTH, box[3] + 44, [
      *legend, *draw_axes(box, xlim, ylim, (sx, sy), xlabel,
                      f'{ylabel} ({note})', whole=xlim[1] > 20),
      *bands, *lines], f'{ylabel} against {xlabel}')


def scatter(x: Sequence[float], y: Sequence[float], xlabel: str, ylabel: str
            ) -> str:
  """One dot per pair, as SVG.

  Args:
    x: float[N], N at least 1.
    y: float[N].
    xlabel: what x is.
    ylabel: what y is.
  """
  return _dots(x, y, {'adots': np.ones(len(x), bool)}, xlabel, ylabel)


def lives(seconds: Sequence[float], fitness: Sequence[float],
          alive: Sequence[bool]) -> str:
  """Individuals by time and fitness, the living ones in blue, as SVG.

  Args:
    seconds: float[N], since the start; N at least 1.
    fitness: float[N].
    alive: bool[N].

  Real et al., arXiv 1703.01041, figure 1.
  """
  alive = np.asarray(alive, bool)
  unit, name = next((u, n) for u, n in (
      (3600., 'hours'), (60., 'minutes'), (1., 'seconds'))
                    if max(seconds) >= 2 * u or u == 1)
  return _dots(np.asarray(seconds) / unit, fitness,
               {'greydots': ~alive, 'adots': alive}, name, 'fitness',
               [('adots', 'alive'), ('greydots', 'dead')])


def _dots(x, y, groups: Mapping[str, np.ndarray], xlabel, ylabel, legend=()
          ) -> str:
  """Dots in the style of the group that they are in."""
  x, y = np.asarray(x, float), np.asarray(y, float)
  box = (64, 40, WIDTH - 24, 330)
  limits = []
  for values in (x, y):
    pad = .05 * (np.ptp(values) or abs(values[0]) or 1.)
    limits.append((values.min() - pad, values.max() + pad))
  sx = to_scale(*limits[0], box[0], box[2])
  sy = to_scale(*limits[1], box[3], box[1])
  return svg.svg(WIDTH, 374, [
      *draw_legend(box[2] - 150, legend),
      *draw_axes(box, *limits, (sx, sy), xlabel, ylabel, whole=False),
      *(svg.marks(style, 'h0', sx(x[chosen]), sy(y[chosen]))
        for style, chosen in groups.items())], f'{ylabel} against {xlabel}')


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
           if type(r.get(name)) in (int, float) and math.isfinite(r[name])]
  return tuple(np.array(pairs, float).reshape(-1, 2).T)


def to_scale(low, high, start, stop):
  """From values to places: low at start, high at stop."""
  return lambda v: start + (np.asarray(v) - low) / (high - low) * (stop - start)


def draw_axes(box, xlim, ylim, scales, xlabel, ylabel, whole=True) -> list[str]:
  """Grid, ticks and labels of a box (left, top, right, bottom)."""
  left, top, right, bottom = box
  parts = [svg.text((left + right) / 2, bottom + 36, xlabel, 'middle', 'dim'),
           svg.text(left, top - 10, ylabel, weight=600)]
  for value, text in _ticks(*ylim, 5):
    y = scales[1](value)
    parts += [svg.tag('path', cls='grid', d=f'M{left:.1f},{y:.1f}H{right:.1f}'),
              svg.text(left - 8, y + 4, text, 'end', 'dim')]
  for value, text in _ticks(*xlim, max(3, (right - left) // 90), whole):
    parts.append(svg.text(scales[0](value), bottom + 18, text, 'middle', 'dim'))
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


def draw_legend(x, entries, y=14) -> list[str]:
  """Of (style, text) beside each other."""
  parts = []
  for style, text in entries:
    shape = ('m0,-6h22v12h-22z' if 'band' in style else
             'm11,0h0' if 'dots' in style else
             'm8,-3l6,6m-6,0l6,-6' if text.startswith('failed') else 'h22')
    parts += [svg.marks(style, shape, [x], y), svg.text(x + 28, y + 4, text)]
    x += 50 + 6.4 * len(text)
  return parts


def _area(cls, x, low, high) -> str:
  """What is between two curves."""
  return svg.tag('path', cls=cls, d=path_through(
      np.r_[x, x[::-1]], np.r_[low, high[::-1]]) + 'z')


def path_through(x, y) -> str:
  """The data of a path through points."""
  points = map('{:.1f},{:.1f}'.format, x, y)
  return 'M' + 'L'.join(point for point, _ in itertools.groupby(points))
