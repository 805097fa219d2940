"""Several strategies side by side: curves, ranks, significance; one page.

What is compared is what a search would have returned when its budget was
spent: the evaluation with the best reward so far, by any measure.
"""

from collections.abc import Mapping, Sequence
import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from nas_jax import pages
from nas_jax import plot
from nas_jax import progress
from nas_jax import records
from nas_jax import runs as runs_lib
from nas_jax import statistics

RANDOM = 'random search'
_RANDOM_NAMES = ('random', 'random_search', RANDOM)
_NUM_POINTS = 200  # of a curve against time
_SIGNIFICANT = .05


class Entry(NamedTuple):
  """A strategy in a comparison."""
  runs: runs_lib.Runs
  tested: tuple[float, ...] = ()  # test accuracy after retraining, by search

  @property
  def name(self) -> str:
    return self.runs.strategy


class Limit(NamedTuple):
  """When searches are compared; both hold where both are given."""
  evaluations: int | None = None
  seconds: float | None = None

  @property
  def text(self) -> str:
    parts = []
    if self.evaluations is not None:
      parts.append(f'{self.evaluations:,} evaluations')
    if self.seconds is not None:
      parts.append(f'{self.seconds:,.0f} s')
    return ' and '.join(parts)


def read(places: Sequence[str | os.PathLike]) -> list[Entry]:
  """The strategies of files of runs, of folders with them, and of workdirs.

  A workdir is one search of its experiment and one of random search; those
  whose settings differ in nothing but the seed belong together. Searches of
  different lengths are compared as far as the shortest goes. Random search
  comes first.

  Args:
    places: .npz files, folders that hold `runs/*.npz`, or workdirs.

  Raises:
    ValueError: a place that is none of these, or one strategy twice.
  """
  found: list[Entry] = []
  searches: dict[str, list[pathlib.Path]] = {}
  for place in map(pathlib.Path, places):
    files = sorted((place / 'runs').glob('*.npz'))
    if place.suffix == '.npz':
      found.append(Entry(runs_lib.load(place)))
    elif files:
      found += [Entry(runs_lib.load(file)) for file in files]
    elif (place / 'history.jsonl').exists():
      searches.setdefault(_settings_of(place), []).append(place)
    else:
      raise ValueError(
          f'{place} is neither a file of runs (.npz), nor a folder with '
          'runs/*.npz, nor the workdir of a search')
  names = _names(searches)
  for key, folders in searches.items():
    found.append(_searches(names[key], folders))
    others = [f / 'random_search' for f in folders]
    if all((f / 'history.jsonl').exists() for f in others):
      name = RANDOM if len(searches) == 1 else f'{RANDOM} ({names[key]})'
      found.append(_searches(name, others, 'random_search'))
  seen = [entry.name for entry in found]
  for name in seen:
    if seen.count(name) > 1:
      raise ValueError(f'there are two strategies named {name}: compare places '
                       'that do not share one')
  if not found:
    raise ValueError('there is nothing to compare')
  return sorted(found, key=lambda entry: not _is_random(entry.name))


def measures(entries: Sequence[Entry]) -> list[str]:
  """The measures that all strategies have, in the order of the first one."""
  return [m for m in entries[0].runs.values
          if all(m in e.runs.values for e in entries)]


def common_limit(entries: Sequence[Entry]) -> Limit:
  """As many evaluations as all searches have."""
  return Limit(min(e.runs.rewards.shape[1] for e in entries))


def finals(entries: Sequence[Entry], measure: str | None, limit: Limit
           ) -> list[np.ndarray]:
  """What the searches of every strategy have found at a limit, float[S] each.

  Raises:
    ValueError: see `runs.final`.
  """
  return [runs_lib.final(e.runs, measure, budget=limit.seconds,
                         evaluations=limit.evaluations) for e in entries]


def rank_table(entries: Sequence[Entry], measure: str | None, limit: Limit
               ) -> list[list[str]]:
  """A header, and a row for each strategy, best expected rank first."""
  groups = finals(entries, measure, limit)
  ranks = statistics.expected_ranks(groups)
  intervals = statistics.rank_intervals(groups)
  head = ['', 'searches', 'median', 'quartiles', 'mean ± std', '95 % interval',
          'expected rank', '95 % interval']
  rows = []
  for i in np.argsort(ranks, kind='stable'):
    values = np.asarray(groups[i], np.float64)
    low, middle, high = np.percentile(values, (25, 50, 75))
    digits = 4 if measure is None else 2
    number = lambda v, d=digits: f'{v:.{d}f}'
    one = len(values) < 2
    a, b = statistics.mean_interval(values)
    rows.append([
        entries[i].name, str(len(values)), number(middle),
        '–' if one else f'{number(low)} to {number(high)}',
        number(values.mean()) + (
            '' if one else f' ± {number(values.std(ddof=1))}'),
        '–' if one else f'{number(a)} to {number(b)}', f'{ranks[i]:.2f}',
        '–' if one else f'{intervals[i][0]:.2f} to {intervals[i][1]:.2f}'])
  return [head, *rows]


def pair_table(entries: Sequence[Entry], measure: str | None, limit: Limit
               ) -> list[list[str]]:
  """How often the strategy of a row finds more than that of a column.

  In percent, equal values counted half; a star where the two differ by the
  test of Mann and Whitney at 5 %, corrected by Holm for all pairs.
  """
  groups = finals(entries, measure, limit)
  pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
  p_values = statistics.holm([
      statistics.rank_sum_p(groups[i], groups[j]) for i, j in pairs])
  p_of = dict(zip(pairs, p_values))
  rows = [['', *(f'{i + 1}' for i in range(len(entries)))]]
  for i, entry in enumerate(entries):
    cells = []
    for j in range(len(entries)):
      if i == j:
        cells.append('–')
        continue
      star = p_of[max(i, j), min(i, j)] < _SIGNIFICANT
      chance = 100 * statistics.superiority(groups[i], groups[j])
      cells.append(f'{chance:.1f}{"*" if star else ""}')
    rows.append([f'{i + 1} {entry.name}', *cells])
  return rows


def pictures(entries: Sequence[Entry], names: Sequence[str | None]
             ) -> dict[str, str]:
  """SVG by name: every measure against evaluations and against time."""
  found = {}
  for measure in names:
    title = label(measure)
    fans = [_fan(e.name, np.arange(1, e.runs.rewards.shape[1] + 1),
                 runs_lib.curve(e.runs, measure)) for e in entries]
    stem = measure or 'reward'
    found[f'{stem}_by_evaluations'] = plot.fans(
        fans, 'evaluations', title, _NOTE)
    timed = [e for e in entries if np.sum(e.runs.seconds) > 0]
    if timed:
      found[f'{stem}_by_time'] = plot.fans(
          [_over_time(e, measure) for e in timed], 'seconds', title, _NOTE)
  return found


def write(
    folder: str | os.PathLike,
    entries: Sequence[Entry],
    *,
    limits: Sequence[Limit] = (),
    title: str = 'Comparison',
    about: Mapping[str, Any] | None = None,
) -> pathlib.Path:
  """Writes comparison.html and its pictures, NAME.svg, into a folder.

  Args:
    folder: made if it does not exist.
    entries: what to compare, see `read`.
    limits: when; by default after as many evaluations as all have.
    title: of the page.
    about: names and values to be shown at the end, such as the hardware.

  Returns:
    The page.

  Raises:
    ValueError: a limit that some search did not reach.
  """
  folder = pathlib.Path(folder)
  names = measures(entries) or [None]
  shown = pictures(entries, names)
  body = [f'<h1>{pages.escape(title)}</h1><p class="dim">'
          f'{pages.escape(_about_searches(entries))}</p>']
  for measure in names:
    body.append(f'<h2>{pages.escape(label(measure))}</h2>')
    body += [pages.figure(picture) for name, picture in shown.items()
             if name.rpartition('_by_')[0] == (measure or 'reward')]
    for limit in limits or [common_limit(entries)]:
      body += [f'<h3>After {limit.text}</h3>',
               pages.html_table(rank_table(entries, measure, limit))]
      if len(entries) > 1:
        body.append(pages.html_table(pair_table(entries, measure, limit)))
  body.append(f'<p class="dim">{pages.escape(_HOW)}</p>')
  if any(e.tested for e in entries):
    body += ['<h2>Test accuracy after retraining</h2>',
             pages.html_table(_tested(entries))]
  if about:
    body += ['<h2>About</h2>', pages.html_table([
        ['', ''], *([str(k), str(v)] for k, v in about.items())])]
  folder.mkdir(parents=True, exist_ok=True)
  for name, picture in shown.items():
    records.write_text(folder / f'{name}.svg', picture)
  path = folder / 'comparison.html'
  records.write_text(path, pages.page(title, body))
  return path


def label(measure: str | None) -> str:
  """A measure in words."""
  return 'reward' if measure is None else measure.replace('_', ' ')


_NOTE = 'median and quartiles of what the best so far is worth'
_HOW = (
    'A search returns the architecture with the best reward that it has seen. '
    'The expected rank is that of one search drawn at random among one of each '
    'strategy, 1 the best, equal values sharing; its interval is by bootstrap '
    'over the searches, that of the mean by Student’s t. Pairs: how often, in '
    'percent, a search of the row finds more than one of the column, equal '
    'values counted half; * where the two differ at 5 % by the test of Mann '
    'and Whitney, corrected by Holm for all pairs. No star means that no '
    'difference is shown, not that there is none.')


def _is_random(name: str) -> bool:
  return name.split(' (')[0] in _RANDOM_NAMES


def _settings_of(folder: pathlib.Path) -> str:
  """What searches that differ only in their seed have in common."""
  config = records.read_json(folder / 'config.json')
  flags = {k: v for k, v in (config.get('flags') or {}).items() if k != 'seed'}
  return json.dumps([config.get('experiment'), flags], sort_keys=True)


def _names(searches: Mapping[str, Sequence[pathlib.Path]]) -> dict[str, str]:
  """The experiment, and its folder where several have one name."""
  names = {key: json.loads(key)[0] or folders[0].name
           for key, folders in searches.items()}
  several = [n for n in names.values() if list(names.values()).count(n) > 1]
  return {key: f'{name} ({searches[key][0].name})' if name in several else name
          for key, name in names.items()}


def _searches(name: str, folders: Sequence[pathlib.Path],
              result: str = 'result') -> Entry:
  """Workdirs, one search each."""
  histories = [records.read(f / 'history.jsonl') for f in folders]
  for folder, history in zip(folders, histories):
    if not history:
      raise ValueError(f'{folder} has no evaluation yet')
  length = min(map(len, histories))
  rewards = [[r['reward'] for r in h[:length]] for h in histories]
  seconds = [[sum(v for v in (r.get('seconds') or {}).values() if v)
              for r in h[:length]] for h in histories]
  tested = []
  for folder in folders:
    path = (folder if result == 'result' else folder.parent) / 'summary.json'
    found = records.read_json(path).get(result) if path.exists() else None
    if found and found.get('test_accuracy') is not None:
      tested.append(100 * found['test_accuracy'])
  return Entry(runs_lib.check(runs_lib.Runs(
      name, np.array(rewards, np.float32), np.array(seconds, np.float32), {})),
               tuple(tested) if len(tested) == len(folders) else ())


def _fan(name: str, x: np.ndarray, values: np.ndarray) -> plot.Fan:
  low, middle, high = np.percentile(values, (25, 50, 75), axis=0)
  return plot.Fan(name, x, middle, low, high)


def _over_time(entry: Entry, measure: str | None) -> plot.Fan:
  """From when all have an evaluation to when the first is at its end."""
  elapsed = np.cumsum(entry.runs.seconds, axis=1, dtype=np.float64)
  grid = np.linspace(elapsed[:, 0].max(), max(
      elapsed[:, -1].min(), elapsed[:, 0].max()), _NUM_POINTS)
  worth = runs_lib.curve(entry.runs, measure)
  at = [np.searchsorted(times, grid, 'right') - 1 for times in elapsed]
  return _fan(entry.name, grid, np.take_along_axis(worth, np.array(at), axis=1))


def _about_searches(entries: Sequence[Entry]) -> str:
  parts = [f'{e.name}: {e.runs.rewards.shape[0]:,} searches of '
           f'{e.runs.rewards.shape[1]:,} evaluations' for e in entries]
  spent = sum(float(np.sum(e.runs.seconds, dtype=np.float64)) for e in entries)
  more = f'; {progress.duration(spent)} of evaluations' if spent else ''
  return '; '.join(parts) + more


def _tested(entries: Sequence[Entry]) -> list[list[str]]:
  rows = [['', 'searches', 'mean, %', '95 % interval']]
  for entry in entries:
    if entry.tested:
      a, b = statistics.mean_interval(entry.tested)
      rows.append([entry.name, str(len(entry.tested)),
                   f'{np.mean(entry.tested):.2f}',
                   '–' if len(entry.tested) < 2 else f'{a:.2f} to {b:.2f}'])
  return rows
