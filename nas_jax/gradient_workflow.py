"""A whole gradient search: several, the best cell of theirs, its training."""

from collections.abc import Callable, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import jax
import numpy as np

from nas_jax import base
from nas_jax import gradient_on_images
from nas_jax import records
from nas_jax import supernet_plan
from nas_jax import supernet_remedies
from nas_jax import workflow
from nas_jax.spaces import genotypes
from nas_jax.strategies import random_search


def search_by_gradient(
    workdir: str | os.PathLike,
    settings: gradient_on_images.Settings,
    *,
    experiment: str,
    baseline: bool = True,
) -> dict[str, Any]:
  """Searches, and trains what is found; the same call resumes.

  Every search derives a cell; each cell is trained for a short time, as are
  random cells; the best of either kind on the validation images is trained on
  all but the test images and tested once.

  Args:
    workdir: of the run; the searches are in searches/0, searches/1, ...
    settings: of the run.
    experiment: its name, for the report.
    baseline: whether random cells are trained too.

  Returns:
    The content of `summary.json`.

  Raises:
    ValueError: bad settings, data, or a workdir of another run.

  Reference: Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 3.2: four
    searches, 24 random cells.
  """
  folder = pathlib.Path(workdir)
  made = gradient_on_images.make(settings)
  if done := workflow.begin(folder, settings, experiment=experiment):
    return done
  problem = made.images
  found = [_search(folder / 'searches' / str(i), plan,
                   f'{experiment}: search {i + 1}/{len(made.plans)}')
           for i, plan in enumerate(made.plans)]
  cells = [genotypes.from_json(f['genotype']) for f in found]
  own = dataclasses.replace(
      settings, num_children=len(cells), children_per_round=len(cells),
      num_devices=min(settings.num_devices, len(cells)))
  runs = short_trainings(
      folder, settings, own, problem.space, cells,
      lambda space: workflow.trained_alone(folder, settings, problem, space),
      experiment=experiment, baseline=baseline)
  seconds = sum(f['seconds'] for f in found)
  return workflow.conclude(
      folder, settings, problem, runs, experiment=experiment,
      cost={'search_seconds': seconds, 'supernet_seconds': seconds},
      more={'method': made.plans[0].method.title, 'searches': found})


def short_trainings(
    folder: pathlib.Path, settings: Any, own: Any, space: base.Space,
    cells: Sequence[base.Genotype],
    evaluator: Callable[[base.Space], base.Evaluator], *, experiment: str,
    baseline: bool) -> workflow.Runs:
  """Trains found cells, and random ones, for a short time.

  Args:
    folder: of the run.
    settings: of the random cells.
    own: the same of the found ones: as many children as there are, in one
      round.
    space: of the random cells.
    cells: that searches have found.
    evaluator: space -> evaluator; both share what they have trained.
    experiment: name of the run.
    baseline: whether random cells are trained.

  Returns:
    'result', and perhaps 'random_search': as `workflow.conclude` takes them.
  """
  listed = space._replace(genotype=lambda genome: cells[int(genome[0])])
  runs = {'result': (folder, experiment, workflow.search_children(
      folder, _listed(len(cells)), evaluator(listed), listed, own,
      f'{experiment}: short trainings'))}
  if baseline:
    place = folder / 'random_search'
    runs['random_search'] = place, 'random search', workflow.search_children(
        place, random_search.random_search(
            space, batch_size=settings.children_per_round),
        evaluator(space), space, settings, 'random search')
  return runs


def _search(folder, plan, label) -> dict[str, Any]:
  """What the summary says of a search; from its folder if it is over."""
  def run():
    with supernet_plan.memory_explained(plan):
      found = supernet_remedies.run(folder, plan, label)
    last = found.records[-1] if found.records else {}  # It diverged.
    return {
        'genotype': genotypes.to_json(found.genotype),
        'seconds': found.seconds, 'ended': found.ended,
        'epochs': len(found.records),
        'supernet_accuracy': last.get('supernet_accuracy'),
        'census': last.get('census'), 'warning': last.get('warning'),
        'eigenvalue': last.get('eigenvalue'), 'seed': plan.seed,
        'weight_decay': plan.recipe.weight_decay}

  return records.once(folder / 'found.json', run)


def _listed(count: int) -> base.Strategy:
  """Proposes the numbers of given architectures, once."""
  numbers = np.arange(count, dtype=np.int32)[:, None]
  return base.Strategy(
      lambda key: (), lambda key, state: base.Proposals(jax.numpy.asarray(
          numbers)), lambda key, state, proposals, rewards: state)
