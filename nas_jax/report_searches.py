"""The part of report.html that is about gradient searches."""

from collections.abc import Mapping
import pathlib
from typing import Any

from nas_jax import pages
from nas_jax import plot_weights
from nas_jax import records

_NAMES = dict(normal='Normal cell', reduce='Reduction cell', cell='Cell',
              recurrent='Recurrent cell')


def section(folder: pathlib.Path, summary: Mapping[str, Any]) -> list[str]:
  """HTML: what became of each search; nothing if there were none.

  Args:
    folder: of the run; read are searches/<i>/history.jsonl, and those of the
      parts of a search that has several.
    summary: of the run, with 'searches' once it is over.
  """
  places = sorted(
      (p for p in (folder / 'searches').glob('*') if p.name.isdigit()),
      key=lambda p: int(p.name))
  histories = {p.name: _history(p) for p in places}
  histories = {name: lines for name, lines in histories.items() if lines}
  if not histories:
    return []
  found = dict(enumerate(summary.get('searches') or []))
  parts = ['<h2>Gradient searches</h2>']
  if summary.get('method'):
    parts.append(f'<p>{pages.escape(summary["method"])}</p>')
  parts.append(_table(histories, found))
  if any('recurrent' in lines[-1]['census'] for lines in histories.values()):
    parts.append(
        '<p>Perplexities of a search network are measured with the running '
        'statistics that all states of the cell share; losses with those of '
        'each batch and state. So one may rise while the other falls.</p>')
  for name, lines in histories.items():
    warned = [r for r in lines if r.get('warning')]
    if warned:
      parts.append(
          f'<p class="verdict"><b>Search {name}, from epoch '
          f'{warned[0]["epoch"]} on:</b> {pages.escape(warned[-1]["warning"])}'
          '</p>')
  for name, lines in histories.items():
    kinds = lines[-1]['weights']
    figures = [
        f'<h3>{_NAMES[kind]}</h3>' + pages.figure(
            plot_weights.weights_by_epoch(lines, kind),
            'What each candidate weighs on each edge, by epoch.')
        for kind in kinds if kind in lines[-1]['candidates']]
    opened = ' open' if name == next(iter(histories)) else ''
    parts.append(
        f'<details{opened}><summary>Search {name}</summary>'
        f'{pages.figure(plot_weights.course(lines))}{"".join(figures)}'
        '</details>')
  return parts


def _history(place: pathlib.Path) -> list[dict[str, Any]]:
  """All lines of a search, those of its parts after each other."""
  def number(part):
    return int(part.name.removeprefix('part'))

  parts = [p for p in place.glob('part*') if number(p) >= 0]
  lines, start = [], 0
  for part in [place, *sorted(parts, key=number)]:
    own = [r for r in records.read(part / 'history.jsonl')
           if 'weights' in r and 'census' in r]
    # A part may count its epochs from 0, or go on from another's.
    shift = start if own and lines and own[0]['epoch'] == 0 else 0
    lines += [r | {'epoch': r['epoch'] + shift} for r in own]
    start = lines[-1]['epoch'] + 1 if lines else 0
  return lines


def _table(histories, found) -> str:
  first = next(iter(histories.values()))[-1]
  kinds = list(first['census'])
  # A recurrent cell has no skips: all its operations have weights.
  skipping = [kind for kind in kinds if kind != 'recurrent']
  measure = 'accuracy' if 'supernet_accuracy' in first else 'perplexity'
  head = ['search', 'epochs', f'{measure} of the search network',
          *(f'skips, {kind}' for kind in skipping),
          *(f'edges led by none, {kind}' for kind in kinds),
          'largest eigenvalue', 'how it ended']
  rows = []
  for name, lines in histories.items():
    last = lines[-1]
    counts = {kind: last['census'].get(kind, {}) for kind in kinds}
    values = [r['eigenvalue'] for r in lines
              if r.get('eigenvalue') is not None]
    ended = found.get(int(name), {}).get('ended', 'not over')
    rows.append([
        name, str(len(lines)), f'{100 * last["supernet_accuracy"]:.2f} %'
        if measure == 'accuracy' else f'{last["supernet_perplexity"]:.2f}',
        *(f'{counts[kind]["skips"]} of {counts[kind]["operations"]}'
          for kind in skipping),
        *(f'{c["leading_none"]} of {c["edges"]}' for c in counts.values()),
        f'{values[-1]:.3g}' if values else '–', ended])
  return pages.html_table([head, *rows])
