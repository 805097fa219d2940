"""A whole run: search, select on validation, retrain, test once, report."""

from collections.abc import Callable, Mapping
import dataclasses
import os
import pathlib
from typing import Any

import jax

from nas_jax import base
from nas_jax import cells_on_images
from nas_jax import checkpoint
from nas_jax import finals
from nas_jax import problem as problems
from nas_jax import progress
from nas_jax import records
from nas_jax import report
from nas_jax import search
from nas_jax import workdir as workdirs
from nas_jax.data import knn
from nas_jax.evaluators import estimate
from nas_jax.evaluators import scratch
from nas_jax.spaces import genotypes
from nas_jax.strategies import random_search

# By name, 'result' and perhaps 'random_search': a folder, a label, and the
# records of all children, as `search.run` returns them.
Runs = Mapping[str, tuple[pathlib.Path, str, list[dict[str, Any]]]]


def search_cells(
    workdir: str | os.PathLike,
    settings: cells_on_images.Settings,
    make_strategy: Callable[[base.Space], base.Strategy],
    *,
    experiment: str,
    baseline: bool = True,
) -> dict[str, Any]:
  """As `search_images`, of cells."""
  return search_images(
      workdir, settings, cells_on_images.make(settings), make_strategy,
      experiment=experiment, baseline=baseline)


def search_images(
    workdir: str | os.PathLike,
    settings: problems.Settings,
    problem: problems.Problem,
    make_strategy: Callable[[base.Space], base.Strategy],
    *,
    experiment: str,
    baseline: bool = True,
) -> dict[str, Any]:
  """Searches networks for images; the same call resumes where it stopped.

  Args:
    workdir: of the run, see docs/architecture.md.
    settings: of the run.
    problem: what follows from the settings, see `problem.check`.
    make_strategy: space -> strategy.
    experiment: its name, for the report.
    baseline: whether random search gets the same number of children and the
      same retraining.

  Returns:
    The content of `summary.json`.

  Raises:
    ValueError: bad settings, data, or a workdir of another run.
  """
  folder = pathlib.Path(workdir)
  return search_beside_random(
      folder, settings, problem.space, make_strategy,
      make_evaluator=lambda: trained_alone(
          folder, settings, problem, problem.space),
      time_child=lambda genotype: estimate.of_child(
          problem.child(genotype), problem.child_recipe, problem.data,
          execution=settings.execution),
      finish=lambda runs: conclude(
          folder, settings, problem, runs, experiment=experiment),
      experiment=experiment, baseline=baseline,
      num_devices=settings.num_devices)


def search_beside_random(
    folder: pathlib.Path,
    settings: Any,
    space: base.Space,
    make_strategy: Callable[[base.Space], base.Strategy],
    *,
    make_evaluator: Callable[[], base.Evaluator],
    time_child: Callable[[base.Genotype], estimate.Estimate],
    finish: Callable[[Runs], dict[str, Any]],
    experiment: str,
    baseline: bool,
    num_devices: int = 1,
) -> dict[str, Any]:
  """Searches, and at random with as many children; the same call resumes.

  Args:
    folder: of the run.
    settings: of the run.
    space: where to search.
    make_strategy: space -> strategy.
    make_evaluator: of both searches; called once the folder is claimed.
    time_child: what a child costs here; only asked at scale 'paper'.
    finish: what follows the searches; its result is that of this function.
    experiment: its name.
    baseline: whether there is a search at random.
    num_devices: children trained at a time.

  Raises:
    ValueError: bad settings, or a workdir of another run.
  """
  # What can be wrong is found out before anything is written.
  strategy = make_strategy(space)
  if done := begin(folder, settings, experiment=experiment):
    return done
  if settings.scale == 'paper':
    genotype = space.genotype(space.sample(jax.random.key(settings.seed)))
    print(estimate.line(
        time_child(genotype), settings.num_children, num_devices, baseline),
          flush=True)
  evaluator = make_evaluator()
  searches = {'result': (folder, strategy, experiment)}
  if baseline:
    searches['random_search'] = (
        folder / 'random_search', random_search.random_search(
            space, batch_size=settings.children_per_round), 'random search')
  return finish({
      name: (place, label, search_children(
          place, searcher, evaluator, space, settings, label))
      for name, (place, searcher, label) in searches.items()})


def trained_alone(
    folder: pathlib.Path, settings: problems.Settings,
    problem: problems.Problem, space: base.Space) -> base.Evaluator:
  """Trains children of a space; searches of a run share what they trained."""
  return scratch.scratch(
      problem.child, space.genotype, problem.data, problem.child_recipe,
      seed=settings.seed, cache=folder / 'children.jsonl',
      scoring=problem.scoring, execution=settings.execution,
      num_devices=settings.num_devices)


def search_children(
    folder: pathlib.Path, strategy: base.Strategy, evaluator: base.Evaluator,
    space: base.Space, settings: problems.Settings, label: str,
) -> list[dict[str, Any]]:
  """One of the searches of a run: the records of all children; resumes.

  Args:
    folder: of this search.
    strategy: what to try next.
    evaluator: what it is worth.
    space: where to search.
    settings: how many children, and how many at a time.
    label: what the progress is called.
  """
  total = settings.num_children
  done = _done(folder, 'search') * settings.children_per_round
  before = records.read(folder / 'history.jsonl')[:done]
  best = max((r['reward'] for r in before), default=-float('inf'))
  board = progress.scalars(folder / 'tb' / 'search')
  with progress.progress(total, label, initial=done) as bar:
    def on_round(state, new):
      nonlocal best
      del state
      for record in new:
        best = max(best, record['reward'])
        board.write(record['child'], {
            'reward': record['reward'], 'best_reward': best,
            **{k: v for k, v in record['metrics'].items() if v is not None}})
      bar.update(len(new), best=best)
    _, history = search.run(
        jax.random.key(settings.seed), strategy, evaluator,
        num_rounds=total // settings.children_per_round,
        genotype=space.genotype, workdir=folder, on_round=on_round)
  board.close()
  return history


def begin(folder: pathlib.Path, settings: problems.DataSettings, *,
          experiment: str) -> dict[str, Any] | None:
  """Claims the folder of a run; the summary if the run is over.

  Raises:
    ValueError: it is the folder of another run.
  """
  workdirs.claim(folder, experiment, dataclasses.asdict(settings))
  if done := finished(folder):
    return done
  workdirs.use_compilation_cache(folder)
  return None


def conclude(
    folder: pathlib.Path,
    settings: problems.Settings,
    problem: problems.Problem,
    runs: Runs,
    *,
    experiment: str,
    trained: bool = True,
    cost: Mapping[str, float] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """What follows a search: selects, retrains, tests once, reports.

  Args:
    folder: of the run.
    settings: of the run.
    problem: what follows from the settings.
    runs: see `Runs`.
    experiment: its name, for the report.
    trained: whether children were trained, so that their accuracy says
      what the result's will be; with shared weights it does not.
    cost: seconds of what is no child, by name (`*_seconds`).
    more: further entries of the summary.

  Returns:
    The content of `summary.json`.

  Raises:
    ValueError: all children of a run failed.
  """
  results = {
      name: _finish(place, history, problem, settings.num_finalists, label,
                    trained)
      for name, (place, label, history) in runs.items()}
  histories = {name: history for name, (_, _, history) in runs.items()}
  data = problem.data
  return write_report(folder, workdirs.header(
      experiment, settings.dataset, settings) | {
          'result': results['result'][0],
          'random_search': results.get('random_search', (None,))[0],
          'knn': {'test_accuracy': knn.knn_accuracy(data.train, data.test)},
          'search': count_children(histories['result']),
          'cost': costs(histories, results, cost)} | dict(more or {}))


def ranked(history: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
  """The records of different children that did not fail, the best first.

  Raises:
    ValueError: all failed.
  """
  found = {}
  for record in sorted(history, key=lambda r: -r['reward']):
    if not record['metrics']['failed']:
      found.setdefault(str(record['genotype']), record)
  if not found:
    raise ValueError(f'all {len(history)} children of {label} failed: '
                     'children.jsonl says why')
  return list(found.values())


def count_children(history: list[dict[str, Any]]) -> dict[str, Any]:
  """How many children there were, and which was the best."""
  trained = {str(r['genotype']): r for r in history}
  best = max(history, key=lambda r: r['reward'])
  return {
      'num_children': len(history), 'num_trained': len(trained),
      'num_failed': sum(bool(r['metrics']['failed']) for r in history),
      'best_reward': best['reward'], 'best_child': best['child']}


def costs(
    histories: Mapping[str, list[dict[str, Any]]],
    results: Mapping[str, tuple[Any, Mapping[str, float]]],
    more: Mapping[str, float] | None = None,
) -> dict[str, float]:
  """Seconds; a child that both searches met is counted for the first.

  Args:
    histories: the records of all children by search, 'result' first.
    results: by search, the result and its seconds by phase.
    more: seconds of what is no child, by name (`*_seconds`).
  """
  cost, met = {}, set()
  for name, history in histories.items():
    # The parts say how it was scored, trained or with shared weights.
    new = {(str(r['genotype']), *r['seconds']): r['seconds'] for r in history
           if (str(r['genotype']), *r['seconds']) not in met}
    met |= set(new)
    spent = {part: sum(seconds.get(part, 0.) for seconds in new.values())
             for part in dict.fromkeys(p for s in new.values() for p in s)}
    phases = results[name][1]
    if name == 'result':
      cost |= {'search_seconds': sum(spent.values()),
               **{f'{part}_seconds': spent[part] for part in spent},
               'selection_seconds': phases['selection'],
               'retrain_seconds': phases['retrain']}
    else:
      cost |= {'random_search_seconds': sum(spent.values()),
               'random_selection_seconds': phases['selection'],
               'random_retrain_seconds': phases['retrain']}
  parts = ('search', 'selection', 'retrain', 'random_search',
           'random_selection', 'random_retrain')
  for name, seconds in (more or {}).items():
    cost[name] = cost.get(name, 0.) + seconds
  return cost | {'total_seconds': sum(
      cost.get(f'{part}_seconds', 0.) for part in parts)}


def write_report(folder: pathlib.Path, summary: dict[str, Any]
                 ) -> dict[str, Any]:
  """Writes summary.json and report.html, and says what they say."""
  records.write_json(folder / 'summary.json', summary)
  path = report.write(folder)
  print(report.terminal_summary(summary, path), flush=True)
  return summary


def finished(folder: pathlib.Path) -> dict[str, Any] | None:
  """The summary of a run that is over, said again."""
  path = folder / 'summary.json'
  if not path.exists():
    return None
  return write_report(folder, records.read_json(path))


def _finish(folder, history, problem, num_finalists, label, trained=True):
  """Selects, retrains and tests; (result, seconds by phase)."""
  candidates = [
      (record, job) for record in ranked(history, label)[:num_finalists]
      for job in problem.final_jobs(genotypes.from_json(record['genotype']))]
  (chosen, job), selection = candidates[0], 0.
  accuracy = chosen['metrics']['validation_accuracy'] if trained else None
  if len(candidates) > 1:
    scored = []
    for i, (_, candidate) in enumerate(candidates):
      outcome = finals.train(
          folder / 'finalists' / f'{i:02d}', candidate, problem.data.train,
          f'{label}: finalist {i + 1}/{len(candidates)}')
      selection += outcome.seconds
      scored.append((outcome.evaluate(problem.data.validation), -i))
    accuracy, index = max(scored)
    chosen, job = candidates[-index]
  genotype = genotypes.from_json(chosen['genotype'])
  genotypes.save(folder / 'genotype.json', genotype, problem.family)
  # Trained on all but the test images, and tested once.
  result, spent = finals.train_and_test(
      folder, job, problem.data, f'{label}: retraining')
  return {'validation_accuracy': accuracy} | result, {
      'selection': selection, 'retrain': spent}


def _done(folder, what):
  """Rounds or epochs that a resumed run need not do again."""
  return max(checkpoint.steps(folder / 'checkpoints' / what), default=0)
