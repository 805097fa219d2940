"""A whole run that is no search: one architecture, trained with each seed."""

from collections.abc import Callable, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from nas_jax import finals
from nas_jax import networks_on_images
from nas_jax import records
from nas_jax import workdir as workdirs
from nas_jax import workflow
from nas_jax.data import knn
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

_TESTED = ('test_accuracy', 'test_perplexity')
_MEASURES = (*_TESTED, 'test_error_percent', 'validation_perplexity',
             'excess_percent', 'test_bits_per_character')


def train_network(
    workdir: str | os.PathLike, settings: networks_on_images.Settings,
    *, experiment: str,
) -> dict[str, Any]:
  """Trains one architecture on images; the same call resumes.

  With several seeds each has a folder of its own, seed_0 and so on.

  Args:
    workdir: of the run.
    settings: of the run.
    experiment: its name, for the report.

  Returns:
    The content of `summary.json`; `result` is the mean over the seeds.

  Raises:
    ValueError: bad settings, data, architecture, or a workdir of another run.
  """
  folder = pathlib.Path(workdir)
  preset = presets.load(settings.architecture)
  zoo.check_family(preset.family)
  data = networks_on_images.load(settings)
  first = networks_on_images.job_of(settings, preset, data)
  jobs = [first._replace(seed=seed, config=first.config | {'seed': seed})
          for seed in range(settings.seed, settings.seed + settings.num_seeds)]

  def train_and_test(place, job, label):
    found = records.once(place / 'result.json', lambda: dict(zip(
        ('result', 'seconds'),
        finals.train_and_test(place, job, data, label))))
    return found['result'], found['seconds']

  return train_seeds(
      folder, settings, preset, jobs, train_and_test, experiment=experiment,
      beside=lambda: {
          'knn': {'test_accuracy': knn.knn_accuracy(data.train, data.test)}})


def train_seeds(
    folder: pathlib.Path,
    settings: Any,
    preset: presets.Preset,
    jobs: Sequence[Any],
    train_and_test: Callable[
        [pathlib.Path, Any, str], tuple[dict[str, Any], float]],
    *,
    experiment: str,
    beside: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
  """Trains one architecture with each seed; the same call resumes.

  Args:
    folder: of the run.
    settings: of the run, with its `architecture` and `dataset`.
    preset: the architecture.
    jobs: a training each, with `seed` and `config`.
    train_and_test: (folder, job, label) -> (result, seconds).
    experiment: its name, for the report.
    beside: further entries of the summary.

  Returns:
    The content of `summary.json`; `result` is the mean over the seeds.

  Raises:
    ValueError: a workdir of another run.
  """
  own = folder / 'genotype.json'
  if own.exists() and presets.load(own)[:2] != preset[:2]:
    raise ValueError(f'{own} is another architecture than '
                     f'{settings.architecture}. Choose another --workdir, or '
                     'delete it')
  workdirs.claim(folder, experiment, dataclasses.asdict(settings))
  genotypes.save(own, preset.genotype, preset.family)
  if done := workflow.finished(folder):
    return done
  workdirs.use_compilation_cache(folder)
  header = workdirs.header(experiment, settings.dataset, settings) | {
      'hardware': workdirs.hardware(getattr(jobs[0], 'num_devices', 1)),
      'architecture': settings.architecture,
      'recipe': jobs[0].config['recipe']}
  results, total = [], 0.
  for job in jobs:
    name = f'seed_{job.seed}'
    place = folder / name if len(jobs) > 1 else folder
    label = f'{experiment} {name}' if len(jobs) > 1 else experiment
    result, seconds = train_and_test(place, job, label)
    results.append(result | {'seed': job.seed})
    total += seconds
  result = results[0] if len(jobs) == 1 else _over_seeds(results)
  return workflow.write_report(folder, header | {
      'result': {k: v for k, v in result.items() if k != 'seed'},
      **({'seeds': results} if len(jobs) > 1 else {}), **beside(),
      'cost': {'retrain_seconds': total, 'total_seconds': total}})


def _over_seeds(results):
  """Means, and the standard deviation of what is tested (of the sample)."""
  measures = [m for m in _MEASURES if all(
      r.get(m) is not None for r in results)]
  columns = {m: [r[m] for r in results] for m in measures}
  return results[0] | {
      m: float(np.mean(values)) for m, values in columns.items()} | {
          f'std_{m}': float(np.std(values, ddof=1))
          for m, values in columns.items() if m in _TESTED} | {
              'num_seeds': len(results)}
