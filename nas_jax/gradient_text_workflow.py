"""A whole gradient search on text: several, the best cell, its training."""

import dataclasses
import os
import pathlib
from typing import Any

from nas_jax import gradient_on_text
from nas_jax import gradient_workflow
from nas_jax import language_training
from nas_jax import language_workflow
from nas_jax import records
from nas_jax import supernet_on_text
from nas_jax import workflow
from nas_jax.spaces import genotypes


def search_by_gradient(
    workdir: str | os.PathLike,
    settings: gradient_on_text.Settings,
    *,
    experiment: str,
    baseline: bool = True,
) -> dict[str, Any]:
  """Searches, and trains what is found; the same call resumes.

  Every search derives a cell; each cell is trained for a short time, as are
  random cells; the best of either kind on the validation text is trained to
  the end and tested once, and an LSTM of equal size beside them.

  Args:
    workdir: of the run; the searches are in searches/0, searches/1, ...
    settings: of the run.
    experiment: its name, for the report.
    baseline: whether random cells are trained too.

  Returns:
    The content of `summary.json`.

  Raises:
    ValueError: bad settings, corpus, or a workdir of another run.

  Reference: Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 3.2: four
    searches, eight random cells.
  """
  folder = pathlib.Path(workdir)
  made = gradient_on_text.make(settings)
  if done := workflow.begin(folder, settings, experiment=experiment):
    return done
  found = [_search(folder / 'searches' / str(i), made.searcher,
                   settings.seed + i,
                   f'{experiment}: search {i + 1}/{settings.num_searches}')
           for i in range(settings.num_searches)]
  cells = [genotypes.from_json(f['genotype']) for f in found]
  problem = made.language
  runs = gradient_workflow.short_trainings(
      folder, settings, dataclasses.replace(
          settings, num_children=len(cells), children_per_round=len(cells)),
      problem.space, cells,
      lambda space: language_workflow.trained_alone(
          folder, settings, problem, space),
      experiment=experiment, baseline=baseline)
  seconds = sum(f['seconds'] for f in found)
  return language_workflow.conclude(
      folder, settings, problem, runs, experiment=experiment,
      cost={'search_seconds': seconds, 'supernet_seconds': seconds},
      more={'method': f'DARTS, {settings.order} order', 'searches': found})


def _search(folder: pathlib.Path, searcher: supernet_on_text.Searcher,
            seed: int, label: str) -> dict[str, Any]:
  """What the summary says of a search; from its folder if it is over."""
  def run():
    with language_training.memory_explained(searcher.plan.recipe, 'search_'):
      found = supernet_on_text.run(folder, searcher, seed, label)
    last = found.records[-1] if found.records else {}  # It diverged.
    return {
        'genotype': genotypes.to_json(found.genotype),
        'seconds': found.seconds, 'ended': found.ended,
        'epochs': len(found.records),
        'supernet_perplexity': last.get('supernet_perplexity'),
        'census': last.get('census'), 'seed': seed}

  return records.once(folder / 'found.json', run)
