r"""Large-scale evolution: networks that grow from nothing while they train.

Real et al., ICML 2017, arXiv 1703.01041. Published: 5.4 % test error on
CIFAR-10 for the best of five runs (5.4M parameters) on 250 workers; random
search (no selection) in the same time: 12.7 %.

  python -m experiments.large_scale --workdir=runs/evolution --num_workers=2
  python -m experiments.large_scale --workdir=SHARED --dataset=cifar10 \
      --data_dir=DIR --scale=small

The same command on another machine that sees the same workdir joins in; any
number may come and go, and a killed one loses nothing but what it was training.
As workers do not wait for each other, no two runs are the same.

Note: the paper does not say how many individuals a run had. The published 250
workers are a quarter of the population, each on a machine of its own.
"""

import dataclasses
import functools
import multiprocessing
import os
import pathlib
import threading
import time
from typing import Any
import zlib

import jax
import numpy as np

from experiments import flags
from nas_jax import checks
from nas_jax import finals
from nas_jax import fleet
from nas_jax import large_scale
from nas_jax import memory
from nas_jax import problem
from nas_jax import progress
from nas_jax import records
from nas_jax import report
from nas_jax import trained
from nas_jax import workdir as workdirs
from nas_jax.data import images as image_data
from nas_jax.data import knn
from nas_jax.evaluators import lineage
from nas_jax.spaces import dna as dnas
from nas_jax.spaces import genotypes
from nas_jax.spaces import mutations
from nas_jax.spaces import presets
from nas_jax.training import classify

SMOKE = dict(
    dataset='digits', population_size=20, num_individuals=300, steps=150,
    num_workers=2)
SMALL = dict(
    dataset='digits', population_size=100, num_individuals=2000, steps=1000,
    num_workers=2)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)

_LOOK_SECONDS = .5
_RESULT = 'result.claim'
# Nothing of the search depends on them.
_FREE = ('num_workers', 'lease_seconds')


@dataclasses.dataclass(frozen=True)
class Settings(problem.DataSettings):
  """What the run depends on."""
  num_workers: int = 1  # processes on this machine
  population_size: int = 1000  # living individuals, about
  num_individuals: int = 10000  # to train in all
  steps: int = 25600  # of training one individual
  batch_size: int = 50  # images per step
  num_mutations: int = 1  # per child
  crop_padding: int | None = None  # pixels; unset, an eighth of the image
  flip: bool | None = None  # mirror images; unset, all but digits
  max_memory_gib: float = 4.  # what one training may need, about
  control: bool = True  # as many individuals without selection, beside it
  lease_seconds: float = 60.  # after which a silent worker counts as dead

  def __post_init__(self):
    super().__post_init__()
    checks.at_least(self, 1, 'num_workers', 'steps', 'batch_size',
                    'num_mutations')
    checks.at_least(self, 0, 'crop_padding')
    for name in ('lease_seconds', 'max_memory_gib'):
      if not getattr(self, name) > 0:
        raise ValueError(f'{name} is {getattr(self, name)}, expected more '
                         'than 0')
    large_scale.check(self.plan(True))

  def plan(self, selection: bool) -> large_scale.Plan:
    return large_scale.Plan(
        self.population_size, self.num_individuals, selection)


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  """Works, or watches workers, to the end; returns the summary."""
  data = problem.load(settings)
  finals.check_recipe(lineage.recipe_of(
      batch_size=settings.batch_size), data, len(data.train.labels))
  claimed = {k: v for k, v in dataclasses.asdict(settings).items()
             if k not in _FREE}
  workdirs.claim(workdir, 'large_scale', claimed)
  if (workdir / 'summary.json').exists():
    return _say(workdir, records.read_json(workdir / 'summary.json'))
  workdirs.use_compilation_cache(workdir)
  if settings.num_workers == 1:
    for place, label, plan in _searches(workdir, settings):
      _work(place, label, plan, settings, data)
  else:
    _watch(workdir, settings)
  return _finish(workdir, settings, data)


def _searches(workdir: pathlib.Path, settings: Settings):
  """(folder, label, plan) of the search, then of the control."""
  yield workdir, 'large_scale', settings.plan(True)
  if settings.control:
    yield workdir / 'random_search', 'no selection', settings.plan(False)


def _population(place: pathlib.Path, settings: Settings) -> fleet.Population:
  return fleet.directory(place, lease_seconds=settings.lease_seconds)


def _work(place, label, plan, settings: Settings, data, quiet=False) -> None:
  """Takes part in one search to its end."""
  population = _population(place, settings)
  tools = _tools(settings, data)
  # Of this worker alone: whoever starts it again is another one.
  rng = np.random.default_rng(
      [settings.seed, zlib.crc32(label.encode()), time.time_ns(), os.getpid()])
  if quiet:
    large_scale.work(population, plan, tools, rng)
    return
  with _Board(population, label, plan) as update:
    large_scale.work(population, plan, tools, rng,
                     on_action=lambda what: update())


def _tools(settings: Settings, data: image_data.ImageData
           ) -> large_scale.Tools:
  padding, flip = settings.crop_padding, settings.flip
  shape = data.train.images.shape[1:]
  return large_scale.Tools(
      dnas.initial,
      functools.partial(mutations.mutate, count=settings.num_mutations,
                        channels=shape[2]),
      lambda dna, weights, seed: lineage.train(
          dna, weights, data=data, steps=settings.steps,
          batch_size=settings.batch_size, seed=seed,
          crop_padding=shape[0] // 8 if padding is None else padding,
          flip=settings.dataset not in finals.NO_FLIP if flip is None else flip,
          max_memory_gib=settings.max_memory_gib,
          execution=settings.execution))


class _Board:
  """A progress bar of what all workers together have evaluated."""

  def __init__(self, population, label, plan):
    self._population, self._total = population, plan.num_individuals
    self._done = min(population.evaluated(), self._total)
    self._bar = progress.progress(
        self._total, label, initial=self._done, unit='individual')

  def __enter__(self):
    self._shown = self._bar.__enter__()
    return self._update

  def __exit__(self, *args):
    self._update()
    return self._bar.__exit__(*args)

  def _update(self):
    now = min(self._population.evaluated(), self._total)
    if now > self._done:
      found = fleet.fittest(self._population.individuals())
      self._shown.update(now - self._done, best=found.fitness if found else 0.)
      self._done = now


def _watch(workdir: pathlib.Path, settings: Settings) -> None:
  """Starts workers, starts those again that end too early."""
  context = multiprocessing.get_context('spawn')
  _share_cores(settings.num_workers)

  def start():
    worker = context.Process(
        target=_worker, args=(workdir, settings, os.getpid()), daemon=True)
    worker.start()
    return worker

  workers = [start() for _ in range(settings.num_workers)]
  failures = 0
  try:
    for place, label, plan in _searches(workdir, settings):
      population = _population(place, settings)
      with _Board(population, label, plan) as update:
        while not large_scale.is_over(population, plan):
          time.sleep(_LOOK_SECONDS)
          update()
          for i, worker in enumerate(workers):
            if worker.exitcode:
              failures += 1
              if failures > 10 * settings.num_workers:
                raise ValueError(
                    f'{failures} workers have failed, the last one with exit '
                    f'code {worker.exitcode}; what it printed is above')
              workers[i] = start()
    for worker in workers:
      worker.join()
  finally:
    for worker in workers:
      worker.kill()


def _worker(workdir: pathlib.Path, settings: Settings, parent: int) -> None:
  """A process of its own, which does not outlive the one that watches it."""
  def end_with_parent():
    while os.getppid() == parent:
      time.sleep(_LOOK_SECONDS)
    os._exit(1)

  threading.Thread(target=end_with_parent, daemon=True).start()
  flags.ignore_interrupt()  # The parent, who gets it too, decides.
  memory.keep_freed_memory()
  workdirs.use_compilation_cache(workdir)
  data = problem.load(settings)
  for place, label, plan in _searches(workdir, settings):
    _work(place, label, plan, settings, data, quiet=True)


def _share_cores(num_workers: int) -> None:
  """Workers that are as many as the cores compute on one each."""
  if num_workers >= (os.cpu_count() or 1):
    os.environ['XLA_FLAGS'] = (
        os.environ.get('XLA_FLAGS', '')
        + ' --xla_cpu_multi_thread_eigen=false').strip()


def _finish(workdir: pathlib.Path, settings: Settings, data
            ) -> dict[str, Any]:
  """One of all workers tests the best and reports; the others wait for it."""
  path = workdir / 'summary.json'
  while not path.exists():
    with fleet.claimed(workdir / _RESULT, settings.lease_seconds) as mine:
      if mine and not path.exists():
        records.write_json(path, _summary(workdir, settings, data))
    if not path.exists():
      time.sleep(_LOOK_SECONDS)
  return _say(workdir, records.read_json(path))


def _summary(workdir, settings, data) -> dict[str, Any]:
  found = {'result': _tested(workdir, settings, data)}
  history = large_scale.history(_population(workdir, settings))
  if settings.control:
    found['random_search'] = _tested(
        workdir / 'random_search', settings, data)
  rewards = [r['reward'] for r in history]
  seconds = sum(sum(r['seconds'].values()) for r in history)
  return workdirs.header('large_scale', settings.dataset, settings) | found | {
      'knn': {'test_accuracy': knn.knn_accuracy(data.train, data.test)},
      'search': {
          'num_children': len(history),
          'num_failed': sum(bool(r['metrics']['failed']) for r in history),
          'best_reward': max(rewards), 'best_child': int(np.argmax(rewards))},
      'cost': {'search_seconds': seconds, 'total_seconds': seconds}}


def _tested(place: pathlib.Path, settings: Settings, data) -> dict[str, Any]:
  """Tests the best on validation once and writes what a run leaves behind."""
  population = _population(place, settings)
  best = fleet.best(population)
  if best is None:
    raise ValueError(f'all individuals in {place} failed')
  individual, record, weights = best
  dna = dnas.from_json(record['dna'])
  accuracy, variables = lineage.accuracy(
      dna, weights, data, data.test, execution=settings.execution)
  task = classify.task_of(data)
  recipe = dataclasses.asdict(lineage.recipe_of(
      dna, batch_size=settings.batch_size))
  config = trained.describe(
      presets.Preset(lineage.FAMILY, dna), data, task, network='cifar',
      features=None, num_cells=None, style={}, seed=settings.seed,
      recipe=recipe)
  trained.save_config(place, config)
  trained.save_weights(place, config, variables, 1)
  genotypes.save(place / 'genotype.json', dna, lineage.FAMILY)
  records.rewrite(place / 'history.jsonl', large_scale.history(population))
  return {
      'validation_accuracy': individual.fitness, 'test_accuracy': accuracy,
      'test_error_percent': 100 * (1 - accuracy),
      'num_test': len(data.test.labels),
      'num_params': int(sum(
          np.size(x) for x in jax.tree.leaves(variables.params)))}


def _say(workdir: pathlib.Path, summary: dict[str, Any]) -> dict[str, Any]:
  print(report.terminal_summary(summary, report.write(workdir)), flush=True)
  return summary


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
