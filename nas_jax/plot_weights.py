"""Pictures of gradient searches: what the candidates of each edge weigh."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas_jax import plot
from nas_jax import svg

_PER_ROW = 5
_ROW, _COLUMN = 132, plot.WIDTH / _PER_ROW


def weights_by_epoch(records: Sequence[Mapping[str, Any]], kind: str) -> str:
  """A small panel per edge with a line per candidate, as SVG.

  Args:
    records: one per epoch, with 'epoch', 'weights' (kind -> float[E, K]) and
      'candidates' (kind -> E lists of K names).
    kind: of cells.
  """
  candidates = records[-1]['candidates'][kind]
  records = [r for r in records if r['candidates'][kind] == candidates]
  names = list(dict.fromkeys(n for edge in candidates for n in edge))
  style = {name: f'c{i % 8}' for i, name in enumerate(names)}
  epochs = np.array([r['epoch'] for r in records], float)
  values = np.array([r['weights'][kind] for r in records])  # [T, E, K]
  xlim = (epochs[0], max(epochs[-1], epochs[0] + 1))
  pad = .05 * (np.ptp(values) or 1.)
  ylim = (values.min() - pad, values.max() + pad)
  parts = []
  for i in range(0, len(names), 4):
    parts += plot.draw_legend(
        8, [(style[n], n) for n in names[i:i + 4]], 14 + 20 * (i // 4))
  head = 52 + 20 * ((len(names) - 1) // 4)
  for e, edge in enumerate(candidates):
    left, top = e % _PER_ROW * _COLUMN, head + e // _PER_ROW * _ROW
    box = left + 40, top, left + _COLUMN - 10, top + _ROW - 66
    sx = plot.to_scale(*xlim, box[0] + 4, box[2])
    sy = plot.to_scale(*ylim, box[3], box[1])
    parts += plot.draw_axes(box, xlim, ylim, (sx, sy), '',
                            _name(e, len(candidates), kind))
    for k, name in enumerate(edge):
      parts.append(
          svg.tag('path', cls=style[name], d=plot.path_through(
              sx(epochs), sy(values[:, e, k]))) if len(records) > 1 else
          svg.marks(style[name], 'h2', sx(epochs), sy(values[:, e, k])))
  rows = -(-len(candidates) // _PER_ROW)
  return svg.svg(plot.WIDTH, head + rows * _ROW - 20, parts,
                 f'Weights of candidates on the edges of {kind} cells')


def course(records: Sequence[Mapping[str, Any]]) -> str:
  """Losses, skips, entropy and eigenvalue by epoch, as SVG."""
  def line(record):
    found = {'epoch': record['epoch'], **{
        name: record['metrics'].get(name)
        for name in ('loss', 'validation_loss')}}
    found |= {name.replace('supernet', 'search network').replace('_', ' '):
              record[name] for name in ('supernet_accuracy',
                                        'supernet_perplexity')
              if name in record}
    for kind, counts in record['census'].items():
      if kind != 'recurrent':  # It has none.
        found[f'skips, {kind} cell'] = counts['skips']
      found[f'entropy of weights, {kind}'] = counts['entropy']
    if record.get('eigenvalue') is not None:
      found['largest eigenvalue'] = record['eigenvalue']
    return found

  return plot.training_curve([line(r) for r in records], label='search')


def _name(edge: int, num_edges: int, kind: str) -> str:
  """State it leaves -> state it enters."""
  first = 2 if kind in ('normal', 'reduce') else 1
  target = first
  while edge >= target:
    edge -= target
    target += 1
  return f'{edge} to {target}'
