"""Scores an architecture by training it from scratch."""

from collections.abc import Callable
from concurrent import futures
import dataclasses
import os
import queue
import threading
from typing import NamedTuple

import jax
import numpy as np

from nas_jax import base
from nas_jax import parallel
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.data import splits
from nas_jax.evaluators import children
from nas_jax.networks import graph
from nas_jax.training import classify
from nas_jax.training import fit
from nas_jax.training import recipes

_METRICS = ('validation_accuracy', 'train_accuracy', 'epochs', 'num_params')


class Outcome(NamedTuple):
  """What a reward may depend on."""
  genotype: base.Genotype
  records: list[fit.Record]  # of the epochs, see `fit.fit`
  accuracy: float  # on the validation images, see `scratch`
  loss: float  # mean cross-entropy on them, after the last epoch


class Scoring(NamedTuple):
  """From a trained child to its reward.

  Attributes:
    reward: by default the accuracy.
    floor: reward of a failed child; below that of any other.
    validate_last: epochs at the end that are validated; the accuracy is the
      best of theirs. 0: the last one's, or the best of all with
      `recipe.patience`.
    retries: how often a child starts again, with `retry_factor` times the
      learning rate, when its first epoch ends no better than chance.
    retry_factor: see `retries`.
    folds: where positive, training and validation images are joined and cut
      into so many parts; which one validates a child follows from the child.
  """
  reward: Callable[[Outcome], float] = lambda outcome: outcome.accuracy
  floor: float = 0.
  validate_last: int = 0
  retries: int = 0
  retry_factor: float = .4
  folds: int = 0


def scratch(
    build: Callable[[base.Genotype], graph.Graph],
    genotype: Callable[[base.Genome], base.Genotype],
    data: image_data.ImageData,
    recipe: recipes.Recipe,
    *,
    seed: int,
    cache: str | os.PathLike | None = None,
    scoring: Scoring = Scoring(),
    execution: str = 'auto',
    num_devices: int = 1,
    compile_ahead: bool = True,
) -> base.Evaluator:
  """Trains every child on the training split, scores it on validation.

  A child that diverges, does not fit in memory, cannot be built or has a
  reward that is not finite gets the floor and failed = 1. Equal genotypes are
  trained once. While one child trains, the next ones of the round compile in
  background threads.

  Args:
    build: genotype -> network; a ValueError means it cannot be built.
    genotype: `space.genotype`.
    data: the data set.
    recipe: how children are trained.
    seed: a child's weights, data order and augmentation are functions of
      (seed, genotype), whenever it is trained.
    cache: a JSON-lines file of trained children, read at the start: a killed
      run loses no finished child, and two searches may share it.
    scoring: what becomes the reward.
    execution: see `classify.compile_trainer`.
    num_devices: children trained at a time, each on its own device.
    compile_ahead: whether children compile before their turn.

  Returns:
    An evaluator that runs on the host. Metrics: validation_accuracy,
    train_accuracy, epochs, num_params, failed, compile_seconds, train_seconds
    (repeated for a genotype met again).

  Raises:
    ValueError: at once, for an unknown execution, more devices than there are,
      a damaged cache, or one fold.
  """
  classify.check_execution(execution)
  if scoring.folds < 0 or scoring.folds == 1:
    raise ValueError(f'folds is {scoring.folds}, expected 0 or at least 2')
  devices = parallel.local_devices(num_devices)
  bench = _Bench(build, data, recipe, seed, scoring, execution, devices)

  def train_all(todo: children.Todo, keep: children.Keep) -> None:
    if num_devices > 1:
      bench.train_on_all_devices(todo, keep)
    else:
      children.in_turn(
          todo, keep, lambda g: bench.compile(g, 0),
          lambda g, trainer: bench.train(g, 0, trainer), ahead=compile_ahead)

  return children.evaluator(
      genotype, train_all, metrics=_METRICS, cache=cache)


class _NoBetterThanChance(Exception):
  """The first epoch taught nothing."""


class _Bench:
  """Where children are compiled and trained; holds the data once per device."""

  def __init__(self, build, data, recipe, seed, scoring, execution, devices):
    self._build = build
    self._data = data
    self._recipe = recipe
    self._seed = seed
    self._scoring = scoring
    self._execution = execution
    self._devices = devices
    self._splits = [None] * len(devices)
    self._stop = threading.Event()

  def compile(self, genotype: base.Genotype, device: int) -> classify.Trainer:
    """Raises ValueError where the network cannot be built."""
    with jax.default_device(self._devices[device]):
      return classify.compile_trainer(
          self._build(genotype), self._recipe,
          classify.task_of(self._data, self._recipe.standardise),
          execution=self._execution)

  def train_on_all_devices(self, todo: children.Todo, keep: children.Keep
                           ) -> None:
    """Trains one child per device at a time; `keep` gets each at its end."""
    self._stop.clear()
    lock = threading.Lock()
    free: queue.Queue = queue.Queue()
    for device in range(len(self._devices)):
      free.put(device)

    def work(genotype):
      device = free.get()
      try:
        child = self.train(genotype, device)
      finally:
        free.put(device)
      with lock:
        keep(child)

    with futures.ThreadPoolExecutor(len(self._devices)) as workers:
      running = [workers.submit(work, g) for g in todo.values()]
      try:
        for done in futures.as_completed(running):
          done.result()
      except BaseException:  # Ctrl-C or a defect: the others stop too.
        self._stop.set()
        workers.shutdown(cancel_futures=True)
        raise

  def train(
      self, genotype: base.Genotype, device: int,
      trainer: futures.Future | None = None) -> children.Child:
    """Trains one child; what the search must survive becomes the floor."""
    return children.train(
        genotype,
        trainer.result if trainer else lambda: self.compile(genotype, device),
        lambda child, compiled: self._score(child, genotype, compiled, device),
        floor=self._scoring.floor, metrics=_METRICS)

  def _score(self, child: children.Child, genotype: base.Genotype,
             trainer: classify.Trainer, device: int) -> float | None:
    """The reward; fills in the metrics, or the error."""
    metrics, scoring = child['metrics'], self._scoring
    number = children.number_of(children.name_of(child['genotype']))
    with jax.default_device(self._devices[device]):
      train, validation = self._split(number, device)
      state, log = self._fit(
          jax.random.fold_in(jax.random.key(self._seed), number), trainer,
          train, validation)
      metrics['num_params'] = float(
          sum(x.size for x in jax.tree.leaves(state.params)))
      metrics['epochs'] = float(len(log))
      if fit.diverged(log):
        child['error'] = f'diverged in epoch {log[-1]["epoch"]}'
        return None
      accuracy, loss = classify.measure(
          trainer, self._recipe, state, validation)
    counted = log if self._recipe.patience else (
        log[len(log) - scoring.validate_last:])
    accuracy = max((r['validation_accuracy'] for r in counted
                    if 'validation_accuracy' in r), default=accuracy)
    metrics.update(validation_accuracy=accuracy,
                   train_accuracy=log[-1]['train_accuracy'])
    return scoring.reward(Outcome(genotype, log, accuracy, loss))

  def _fit(self, key, trainer, train, validation):
    """Trains, and again with a lower rate where the first epoch taught nothing.
    """
    scoring, recipe = self._scoring, self._recipe
    chance = 1 / self._data.num_classes
    first_counted = recipe.epochs - scoring.validate_last
    for attempt in range(scoring.retries + 1):
      may_retry = attempt < scoring.retries

      def on_epoch(record):
        self._check_stop(record)
        if may_retry and not record['epoch'] and not (
            record.get('validation_accuracy', 0.) > chance):
          raise _NoBetterThanChance

      try:
        return fit.fit(
            jax.random.fold_in(key, attempt) if attempt else key, trainer,
            dataclasses.replace(
                recipe, learning_rate=recipe.learning_rate
                * scoring.retry_factor**attempt),
            train, seed=self._seed, validation=validation, on_epoch=on_epoch,
            validate=lambda epoch: epoch >= first_counted or (
                may_retry and not epoch))
      except _NoBetterThanChance:
        continue
    raise AssertionError('the last attempt ends')

  def _split(self, number, device):
    """Training and validation images of a child."""
    data, folds = self._data, self._scoring.folds
    if self._splits[device] is None:
      self._splits[device] = (
          batches.to_device(image_data.train_and_validation(data)) if folds
          else (batches.to_device(data.train),
                batches.to_device(data.validation)))
    found = self._splits[device]
    if not folds:
      return found
    parts = np.array_split(
        splits.random_order((self._seed,), len(found.labels)), folds)
    held_out = parts.pop(number % folds)
    return tuple(image_data.Split(found.images[rows], found.labels[rows])
                 for rows in (np.concatenate(parts), held_out))

  def _check_stop(self, record: fit.Record) -> None:
    if self._stop.is_set():
      raise RuntimeError(f'stopped after epoch {record["epoch"]}')
