"""The report of a run: one HTML page, and a few lines for the terminal.

The page is made of the files in the run's folder alone, shows what is there
and a dash where nothing is, and refers to nothing outside itself.
"""

from collections.abc import Mapping, Sequence
import json
import os
import pathlib
import shlex
from typing import Any

from nas_jax import pages
from nas_jax import plot
from nas_jax import plot_cells
from nas_jax import progress
from nas_jax import records
from nas_jax import report_searches
from nas_jax import statistics

_ALWAYS = ('validation_accuracy', 'test_accuracy')
_COLUMNS = _ALWAYS + (
    'test_error_percent', 'validation_perplexity', 'test_perplexity',
    'num_params', 'multiply_adds')
_NAMES = {
    'num_params': 'parameters', 'num_test': 'test images',
    'multiply_adds': 'multiply-adds', 'test_error_percent': 'test error',
    'num_children': 'children', 'num_trained': 'children trained',
    'num_failed': 'children failed', 'search_seconds': 'search',
    'compile_seconds': 'of it compiling', 'train_seconds': 'of it training',
    'random_search_seconds': 'random search', 'total_seconds': 'total',
    'retrain_seconds': 'retraining the result', 'memory_gib': 'memory, GiB',
    'random_retrain_seconds': "retraining random search's",
    'std_best_reward': 'standard deviation', 'num_seeds': 'seeds',
    'std_test_accuracy': 'standard deviation',
    'std_test_perplexity': 'standard deviation',
    'excess_percent': 'above the best possible',
    'lstm_seconds': 'training the LSTM', 'num_test_tokens': 'test tokens',
}
# What decides, first of all, and whether more of it is better.
_MEASURES = (('test_accuracy', True), ('test_perplexity', False),
             ('validation_accuracy', True), ('validation_perplexity', False),
             ('mean_best_reward', True))


def write(workdir: str | os.PathLike) -> pathlib.Path:
  """Writes report.html of a run, finished or not.

  Args:
    workdir: the run's folder. Read are config.json, summary.json, and
      history.jsonl, training.jsonl and genotype.json there and in
      random_search/; each may be missing.

  Returns:
    The path of the page.

  Raises:
    ValueError: a file is not JSON.
  """
  folder = pathlib.Path(workdir)
  config, summary = _json(folder, 'config'), _json(folder, 'summary')
  name = (summary.get('architecture') or summary.get('experiment')
          or config.get('experiment') or 'search')
  flags = config.get('flags') or {}
  dataset, seed, scale = (_show(summary.get(k, flags.get(k)), k)
                          for k in ('dataset', 'seed', 'scale'))
  mine, other = _load(folder), _load(folder / 'random_search')
  title = f'{name} on {dataset}'
  over = summary.get('result')  # What it did not do needs no section then.
  shown = lambda found, *parts: parts if found or not over else ()
  body = [
      f'<h1>{pages.escape(title)}</h1><p class="dim">'
      f'{pages.escape(f"seed {seed}, scale {scale}")}</p>',
      _results(name, summary, mine),
      *report_searches.section(folder, summary),
      *shown(mine['history'], '<h2>Search</h2>', pages.figure(
          plot.search_curve(mine['history'], other['history'], name),
          'Every child by its reward. The band is what random search finds '
          'with as many children, over all orders of those it drew; it closes '
          'at the last.'), *_by_time(mine['history']), *_seeds(summary), _pairs(
              summary.get('search') or {})),
      _architectures(name, folder, mine['genotype'], other['genotype']),
      *shown(mine['training'], '<h2>Retraining</h2>', pages.figure(
          plot.training_curve(mine['training'], other['training'], name))),
      *shown(mine['history'], _children(mine['history'])),
      *shown(summary.get('cost'), _costs(summary.get('cost') or {})),
      _appendix(config, summary)]
  path = folder / 'report.html'
  records.write_text(path, pages.page(title, body))
  return path


def terminal_summary(
    summary: Mapping[str, Any], report_path: str | os.PathLike
) -> str:
  """A few lines for the end of a run: what it found, beside what, for what."""
  name = summary.get('architecture') or summary.get('experiment') or 'search'
  rows = _systems(name, summary)
  keys = [k for k in _keys([r for _, r in rows]) if k in (
      *_ALWAYS, 'num_params', 'test_perplexity', 'validation_perplexity',
      'excess_percent', 'test_bits_per_character', 'mean_best_reward',
      'std_best_reward', 'std_test_accuracy', 'std_test_perplexity')]
  grid = [['', *(_label(k) for k in keys)]]
  grid += [[who, *(_show(r.get(k), k) for k in keys)] for who, r in rows]
  search, cost = summary.get('search') or {}, summary.get('cost') or {}
  head = [name, f'on {_show(summary.get("dataset"))},',
          f'seed {_show(summary.get("seed"), "seed")},',
          f'scale {_show(summary.get("scale"))}']
  spent = [f'{_show(search.get(k))} {word}' for k, word in (
      ('num_children', 'children'), ('num_trained', 'trained'),
      ('num_failed', 'failed')) if k in search or not summary.get('result')]
  spent += [f'{_label(k)} {_show(cost[k], k)}'
            for k in ('search_seconds', 'total_seconds') if k in cost]
  lines = [' '.join(head), pages.table(grid), _verdict(summary),
           ', '.join(spent)]
  text = '\n'.join(filter(None, lines)).replace('–', '-')  # All can show it.
  return f'{text}\nreport: {os.fspath(report_path)}'


def _json(folder: pathlib.Path, name: str, default: Any = None) -> Any:
  path = folder / f'{name}.json'
  return records.read_json(path) if path.exists() else default or {}


def _load(folder: pathlib.Path) -> dict[str, Any]:
  return {'history': records.read(folder / 'history.jsonl'),
          'training': records.read(folder / 'training.jsonl'),
          'genotype': _json(folder, 'genotype')}


def _systems(name, summary) -> list[tuple[str, Mapping[str, Any]]]:
  rows = [(name, summary.get('result') or {}),
          ('random search', summary.get('random_search') or {}),
          # Whatever else was trained or counted on the same data.
          *(summary.get('beside') or {}).items(),
          ('k-nearest neighbours', summary.get('knn') or {})]
  return [r for r in rows if r[1] or not rows[0][1]]


def _keys(results: Sequence[Mapping[str, Any]]) -> list[str]:
  """The columns of the results: the usual ones, then whatever else is said."""
  found = dict.fromkeys(k for r in results for k in r)
  usual = () if any(
      'perplexity' in k or 'reward' in k for k in found) else (
      *_ALWAYS, 'num_params')
  return ([k for k in _COLUMNS if k in found or k in usual]
          + [k for k in found if k not in _COLUMNS])


def _results(name, summary, mine) -> str:
  parts = ['<h2>Result</h2>']
  rows = _systems(name, summary)
  keys = _keys([r for _, r in rows])
  at = keys.index('test_accuracy') + 1 if 'test_accuracy' in keys else 0
  num_test = rows[0][1].get('num_test')
  head = ['', *(_label(k) for k in keys)]
  if at:
    head.insert(at + 1, '95 % interval')
  grid = []
  for who, result in rows:
    cells = [_show(result.get(k), k) for k in keys]
    if at:
      cells.insert(at, _interval(
          result.get('test_accuracy'), result.get('num_test', num_test)))
    equal = ', equal budget' if who == 'random search' else ''
    grid.append([who + equal, *cells])
  parts.append(pages.html_table([head, *grid]))
  parts.append(f'<p class="verdict">{pages.escape(_verdict(summary))}</p>')
  if not summary:
    rewards = [r['reward'] for r in mine['history']]
    best = f', the best with reward {max(rewards):.4f}' if rewards else ''
    parts.append(f'<p>{len(rewards)} children so far{best}.</p>')
  return ''.join(parts)


def _verdict(summary: Mapping[str, Any]) -> str:
  """Whether the search beat random search, and how little that says."""
  if not summary.get('result'):
    return 'This run has no result yet.'
  result, other = summary['result'], summary.get('random_search')
  diverged = [who for who, found in (
      ('the result', result), ('the result of random search', other or {}))
              if found.get('test_perplexity', 0) is None]
  if diverged:
    return (f'The training of {" and ".join(diverged)} diverged, so there is '
            'nothing to compare: a lower learning rate may help '
            '(train_language trains what was found again).')
  if summary.get('architecture'):
    recipe = (summary.get('recipe') or {}).get('name', 'unknown')
    return f'Trained by the recipe {recipe}; this was no search.'
  if not other:
    return 'There is no random search at equal budget to compare with.'
  both = [(k, more) for k, more in _MEASURES
          if result.get(k) is not None and other.get(k) is not None]
  if not both:
    return 'The result and random search share no measure to compare by.'
  (key, more), *_ = both
  a, b = result[key], other[key]
  how = ('tied with' if a == b else
         'beat' if (a > b) == more else 'did not beat')
  text = (f'In this one run the search {how} random search at equal budget: '
          f'{_label(key)} {_show(a, key)} against {_show(b, key)}')
  n = result.get('num_test')
  if key == 'test_accuracy' and n:
    images = round(abs(a - b) * n)
    text += f', a difference of {images:,} of {n:,} test images'
    (a0, a1), (b0, b1) = (statistics.wilson_interval(v, n) for v in (a, b))
    apart = a0 > b1 or b0 > a1
    text += (' (the 95 % intervals do not overlap)' if apart else
             ' (the 95 % intervals overlap)')
  if (seeds := result.get('num_seeds', 1)) > 1:
    return f'{text}, over {seeds} seeds.'.replace('this one run', 'these runs')
  return text + ('. One run with one seed is not evidence that one method is '
                 'better than another: repeat both with other seeds.')


def _by_time(history) -> list[str]:
  """Who lives and who does not, of evolution that knows no rounds."""
  if not history or 'elapsed' not in history[0]:
    return []
  return ['<h3>Accuracy by time</h3>', pages.figure(plot.lives(
      [r['elapsed'] for r in history], [r['reward'] for r in history],
      [r['state'] == 'alive' for r in history]),
      'Every individual when it was evaluated, by its fitness: those that live '
      'at the end, and those that died.')]


def _seeds(summary) -> list[str]:
  """The mean rewards of all seeds, of searches that have them."""
  curve = summary.get('curve')
  return [] if not curve else ['<h3>Mean reward by round</h3>', pages.figure(
      plot.reward_curve(curve), curve.get('note', ''))]


def _architectures(name, folder, mine, other) -> str:
  parts = ['<h2>Architecture</h2>', _drawn(name, folder, mine)]
  if other:
    inner = _drawn('random search', folder / 'random_search', other)
    parts.append('<details><summary>The architecture of random search'
                 f'</summary>{inner}</details>')
  return ''.join(parts)


def _drawn(name, folder, genotype) -> str:
  """Pictures of an architecture where its form is known, and its text."""
  if not genotype:
    return '<p>None is chosen yet.</p>'
  text = f'<pre>{pages.escape(json.dumps(genotype))}</pre>'
  try:
    drawn = ('' if not isinstance(genotype, dict) else
             _cells(genotype) if 'normal' in genotype else
             _family(name, folder) if 'family' in genotype else '')
  except (TypeError, ValueError):  # Of another form.
    drawn = ''
  return (f'{drawn}<details><summary>As text</summary>{text}</details>'
          if drawn else text)


def _cells(genotype) -> str:
  kinds = {'normal': 'Normal cell', 'reduce': 'Reduction cell'}
  return ''.join(
      f'<h3>{title}</h3>{pages.figure(plot_cells.draw_cell(genotype, kind))}'
      for kind, title in kinds.items() if genotype.get(kind))


def _family(name, folder) -> str:
  """Of networks that are not made of cells: whole, and what they repeat."""
  # Building networks takes JAX, which a report of cells does not load.
  from nas_jax import plot_architecture  # pylint: disable=g-import-not-at-top
  from nas_jax.spaces import presets  # pylint: disable=g-import-not-at-top
  preset = presets.load(folder)
  net = plot_architecture.build(preset, folder)
  found = plot_architecture.pictures(preset, net, name)
  found['network'] = found.pop('network')  # What it repeats comes first.
  return ''.join(
      f'<h3>{plot_architecture.NAMES[kind]}</h3>{pages.figure(picture)}'
      for kind, picture in found.items())


def _children(history) -> str:
  """The ten best architectures, and those that failed."""
  groups: dict[str, list[Mapping[str, Any]]] = {}
  for record in history:
    groups.setdefault(json.dumps(record.get('genotype')), []).append(record)
  failed = {g: rs for g, rs in groups.items() if _failed(rs[0])}
  good = sorted((g for g in groups if g not in failed),
                key=lambda g: -groups[g][0]['reward'])
  metrics = list(dict.fromkeys(
      k for g in good[:10] for k in groups[g][0].get('metrics') or {}
      if k != 'failed'))[:5]
  grid = [['child', 'round', 'reward', *map(_label, metrics), 'seconds',
           'times', 'architecture']]
  for g in good[:10]:
    first = groups[g][0]
    values = first.get('metrics') or {}
    seconds = first.get('seconds') or {}
    grid.append([_show(first.get('child')), _show(first.get('round')),
                 f'{first["reward"]:.4f}',
                 *(_show(values.get(k), k) for k in metrics),
                 f'{sum(seconds.values()):.1f}' if seconds else '–',
                 _show(len(groups[g])), pages.Code(g)])
  parts = ['<h2>Best children</h2>',
           pages.html_table(grid) if good else '<p>None yet.</p>']
  count = sum(map(len, failed.values()))
  parts.append(f'<h2>Failed children</h2><p>{count:,} of {len(history):,} '
               f'children failed, {len(failed):,} different architectures.</p>')
  if failed:
    most = sorted(failed, key=lambda g: -len(failed[g]))
    parts.append(pages.html_table([['child', 'times', 'architecture']] + [
        [_show(failed[g][0].get('child')), _show(len(failed[g])), pages.Code(g)]
        for g in most[:10]]))
    if len(most) > 10:
      parts.append(f'<p class="dim">and {len(most) - 10:,} more</p>')
  return ''.join(parts)


def _costs(cost: Mapping[str, Any]) -> str:
  all_ = not cost or 'search_seconds' in cost
  usual = [k for k in _NAMES if k.endswith('_seconds') and (all_ or k in cost)]
  usual.sort(key=lambda k: k == 'total_seconds')
  keys = usual + [k for k in cost if k not in usual]
  rows = [[_label(k), _show(cost.get(k)), _show(cost.get(k), k)] for k in keys]
  return '<h2>Cost</h2>' + pages.html_table([['', 'seconds', 'time'], *rows])


def _appendix(config, summary) -> str:
  """Hardware, the command, and all that no other part has shown."""
  parts = ['<h2>Hardware</h2>', _pairs(summary.get('hardware') or {})]
  if config.get('command'):
    command = config['command']
    command = command if isinstance(command, str) else shlex.join(command)
    parts.append(f'<h2>To run it again</h2><pre>{pages.escape(command)}</pre>')
  versions = (summary.get('versions') or {}) | (config.get('versions') or {})
  rest = {k: v for k, v in summary.items() if k not in (
      'experiment', 'dataset', 'seed', 'scale', 'result', 'random_search',
      'beside', 'knn', 'search', 'cost', 'hardware', 'versions', 'curve',
      'method', 'searches')}
  more = [('Other numbers', rest, False), ('Versions', versions, True),
          ('Flags', config.get('flags') or {}, True)]
  parts += [f'<details><summary>{name}</summary>{_pairs(values, exact)}'
            '</details>' for name, values, exact in more if values]
  return ''.join(parts)


def _pairs(values: Mapping[str, Any], exact: bool = False) -> str:
  """An HTML table of names and values, as they are where `exact`."""
  if not values:
    return '<p>–</p>'
  texts = {k: str(v) for k, v in values.items()} if exact else {
      _label(k): _show(v, k) for k, v in values.items()}
  rows = ''.join(
      f'<tr><th>{pages.escape(k)}</th><td>{pages.escape(v)}</td></tr>'
      for k, v in texts.items())
  return f'<div class="wide"><table>{rows}</table></div>'


def _failed(record: Mapping[str, Any]) -> bool:
  return bool((record.get('metrics') or {}).get('failed'))


def _interval(accuracy, n) -> str:
  if accuracy is None or not n:
    return '–'
  low, high = statistics.wilson_interval(accuracy, n)
  return f'{100 * low:.1f} to {100 * high:.1f} %'


def _label(key: str) -> str:
  return _NAMES.get(key, key.replace('_', ' '))


def _show(value: Any, key: str = '') -> str:
  """A value as its key wants it: percent, time, thousands; a dash for None."""
  if value is None:
    return '–'
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    return value if isinstance(value, str) else json.dumps(value)
  if key.endswith('accuracy') and 0 <= value <= 1:
    return f'{100 * value:.2f} %'
  if key.endswith('_percent'):
    return f'{value:.2f} %'
  if key.endswith('_seconds'):
    return progress.duration(value)
  if isinstance(value, int) or (value == int(value) and abs(value) >= 1000):
    return f'{value:,.0f}' if key != 'seed' else str(value)
  return f'{value:.4g}' if abs(value) < 1000 else f'{value:,.1f}'
