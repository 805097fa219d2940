"""A whole run on language: search, train what was found, test once, report."""

from collections.abc import Callable, Mapping
import math
import os
import pathlib
import shutil
from typing import Any

from nas_jax import base
from nas_jax import language_on_text
from nas_jax import language_problem
from nas_jax import language_training
from nas_jax import training_workflow
from nas_jax import workdir as workdirs
from nas_jax import workflow
from nas_jax.data import ngrams
from nas_jax.data import text
from nas_jax.evaluators import estimate
from nas_jax.evaluators import language
from nas_jax.networks import language_sizes
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

# What a finished training leaves in its folder.
_TRAINED = ('network.json', 'training.jsonl', 'checkpoints/training')


def search_language(
    workdir: str | os.PathLike,
    settings: language_problem.Settings,
    problem: language_problem.Problem,
    make_strategy: Callable[[base.Space], base.Strategy],
    *,
    experiment: str,
    baseline: bool = True,
) -> dict[str, Any]:
  """Searches cells that are trained one by one; the same call resumes.

  Args:
    workdir: of the run, see docs/architecture.md.
    settings: of the run.
    problem: what follows from the settings.
    make_strategy: space -> strategy.
    experiment: its name, for the report.
    baseline: whether random search gets the same number of children and the
      same training of its result.

  Returns:
    The content of `summary.json`.

  Raises:
    ValueError: bad settings, corpus, or a workdir of another run.
  """
  folder = pathlib.Path(workdir)
  return workflow.search_beside_random(
      folder, settings, problem.space, make_strategy,
      make_evaluator=lambda: trained_alone(
          folder, settings, problem, problem.space),
      time_child=lambda genotype: estimate.of_language_child(
          problem.child(genotype), problem.child_recipe, problem.corpus),
      finish=lambda runs: conclude(
          folder, settings, problem, runs, experiment=experiment),
      experiment=experiment, baseline=baseline)


def trained_alone(
    folder: pathlib.Path, settings: language_problem.Settings,
    problem: language_problem.Problem, space: base.Space) -> base.Evaluator:
  """Trains children of a space; searches of a run share what they trained."""
  return language.language(
      problem.child, space.genotype, problem.corpus, problem.child_recipe,
      seed=settings.seed, reward=problem.reward, floor=problem.floor,
      cache=folder / 'children.jsonl')


def conclude(
    folder: pathlib.Path,
    settings: language_problem.Settings,
    problem: language_problem.Problem,
    runs: workflow.Runs,
    *,
    experiment: str,
    cost: Mapping[str, float] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """What follows a search: trains what was found, tests it, reports.

  An LSTM with nearly as many parameters is trained in the same way, in
  lstm/.

  Args:
    folder: of the run.
    settings: of the run.
    problem: what follows from the settings.
    runs: see `workflow.Runs`.
    experiment: its name, for the report.
    cost: seconds of what is no child, by name (`*_seconds`).
    more: further entries of the summary.

  Returns:
    The content of `summary.json`.

  Raises:
    ValueError: all children of a run failed.
  """
  corpus = problem.corpus
  results = {
      name: _finish(place, history, settings, problem, label)
      for name, (place, label, history) in runs.items()}
  lstm, lstm_seconds = _train_lstm(
      folder / 'lstm', settings, problem, results['result'][0]['num_params'])
  histories = {name: history for name, (_, _, history) in runs.items()}
  spent = workflow.costs(histories, results, cost)
  spent['lstm_seconds'] = lstm_seconds
  spent['total_seconds'] += lstm_seconds
  found = {name: result for name, (result, _) in results.items()}
  return workflow.write_report(folder, workdirs.header(
      experiment, settings.dataset, settings) | {
          'result': found['result'],
          'random_search': found.get('random_search'),
          'beside': {'LSTM of equal size': lstm, **yardsticks(corpus)},
          'best_possible_perplexity': least(corpus),
          'search': workflow.count_children(histories['result']),
          'cost': spent} | dict(more or {}))


def train_language(
    workdir: str | os.PathLike, settings: language_on_text.Settings,
    *, experiment: str,
) -> dict[str, Any]:
  """Trains one cell on a text; the same call resumes.

  With several seeds each has a folder of its own, seed_0 and so on.

  Args:
    workdir: of the run.
    settings: of the run.
    experiment: its name, for the report.

  Returns:
    The content of `summary.json`; `result` is the mean over the seeds.

  Raises:
    ValueError: bad settings, corpus, architecture, or a workdir of another
      run.
  """
  preset = presets.load(settings.architecture)
  corpus = language_problem.load(settings)
  return training_workflow.train_seeds(
      pathlib.Path(workdir), settings, preset,
      language_on_text.jobs_of(settings, preset, corpus),
      lambda folder, job, label: language_training.train_and_test(
          folder, job, corpus, label),
      experiment=experiment, beside=lambda: {
          'beside': yardsticks(corpus),
          'best_possible_perplexity': least(corpus)})


def yardsticks(corpus: text.Corpus) -> dict[str, dict[str, float]]:
  """What stands beside every model of a corpus, by name: perplexities."""
  parts = {'validation': corpus.validation, 'test': corpus.test}
  counted = {part: ngrams.perplexities(corpus, tokens)
             for part, tokens in parts.items()}
  found = {
      f'{name}s': {f'{part}_perplexity': getattr(values, name)
                   for part, values in counted.items()}
      for name in ('bigram', 'unigram')}
  if corpus.source_losses is not None:
    found['the source of the text'] = {
        f'{part}_perplexity': math.exp(nats)
        for part, nats in zip(parts, corpus.source_losses)}
  return found


def least(corpus: text.Corpus) -> float | None:
  """The least expected perplexity, where it is known."""
  return None if corpus.entropy is None else math.exp(corpus.entropy)


def _finish(folder, history, settings, problem, label):
  """Trains what was found, of several the best on validation; tests it.

  Returns:
    The result, and seconds by phase.
  """
  ways = [(genotypes.from_json(record['genotype']), changes)
          for record in workflow.ranked(history, label)[
              :settings.num_finalists]
          for changes in problem.final_changes]
  jobs = [_job(settings, problem, presets.Preset(problem.family, genotype),
               *language_problem.changed(problem, changes))
          for genotype, changes in ways]
  index, selection = 0, 0.
  if len(jobs) > 1:
    scored = []
    for i, job in enumerate(jobs):
      outcome = language_training.train(
          folder / 'finalists' / f'{i:02d}', job, problem.corpus,
          f'{label}: finalist {i + 1}/{len(jobs)}')
      selection += outcome.seconds
      scored.append((outcome.validation_perplexity, i))
    _, index = min(scored)
    # It is trained already, and goes on from there to its test.
    _copy(folder / 'finalists' / f'{index:02d}', folder)
  genotypes.save(folder / 'genotype.json', ways[index][0], problem.family)
  result, spent = language_training.train_and_test(
      folder, jobs[index], problem.corpus, f'{label}: training the result')
  return result, {
      'selection': selection, 'retrain': 0. if len(jobs) > 1 else spent}


def _train_lstm(folder, settings, problem, num_params):
  preset = presets.load('LSTM')
  sizes = language_sizes.matching(
      preset.family, preset.genotype, problem.final_sizes, num_params)
  return language_training.train_and_test(
      folder, _job(settings, problem, preset, sizes, problem.final_recipe),
      problem.corpus, 'LSTM')


def _job(settings, problem, preset, sizes, recipe):
  return language_training.job_of(
      preset, sizes, recipe, problem.corpus, seed=settings.seed,
      recipe_name=settings.final_recipe)


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
  for name in _TRAINED:
    if (source / name).is_dir():
      shutil.copytree(source / name, target / name, dirs_exist_ok=True)
    else:
      shutil.copy(source / name, target / name)
