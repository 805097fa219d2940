"""Scores an architecture by training it from scratch."""

from collections.abc import Callable
from concurrent import futures
import hashlib
import json
import os
import queue
import threading
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import numpy as np

from nas_jax import base
from nas_jax import parallel
from nas_jax import records
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.spaces import genotypes
from nas_jax.training import classify
from nas_jax.training import fit
from nas_jax.training import recipes

Child = dict[str, Any]
_FIELDS = ('genotype', 'reward', 'metrics', 'seconds', 'error')
_METRICS = ('validation_accuracy', 'train_accuracy', 'epochs', 'num_params')
_SECONDS = ('compile', 'train')


class ScratchState(NamedTuple):
  """Nothing: a child's score is a function of the seed and its genotype."""


def scratch(
    build: Callable[[base.Genotype], graph.Graph],
    genotype: Callable[[base.Genome], base.Genotype],
    data: image_data.ImageData,
    recipe: recipes.Recipe,
    *,
    seed: int,
    cache: str | os.PathLike | None = None,
    reward: Callable[[list[fit.Record], float], float] | None = None,
    floor: float = 0.,
    execution: str = 'auto',
    num_devices: int = 1,
    compile_ahead: bool = True,
) -> base.Evaluator:
  """Trains every child on the training split, scores it on validation.

  A child that diverges, does not fit in memory or cannot be built gets the
  floor and failed = 1. Equal genotypes are trained once. While one child
  trains, the next ones of the round compile in background threads.

  Args:
    build: genotype -> network; a ValueError means it cannot be built.
    genotype: `space.genotype`.
    data: the data set.
    recipe: how children are trained.
    seed: a child's weights, data order and augmentation are functions of
      (seed, genotype), whenever it is trained.
    cache: a JSON-lines file of trained children, read at the start: a killed
      run loses no finished child, and two searches may share it.
    reward: (records of the epochs, validation accuracy) -> reward; by default
      the accuracy.
    floor: reward of a failed child.
    execution: see `classify.compile_trainer`.
    num_devices: children trained at a time, each on its own device.
    compile_ahead: whether children compile before their turn.

  Returns:
    An evaluator that runs on the host. Metrics: validation_accuracy,
    train_accuracy, epochs, num_params, failed, compile_seconds, train_seconds
    (repeated for a genotype met again).

  Raises:
    ValueError: at once, for an unknown execution, more devices than there are
      or a damaged cache.
  """
  classify.check_execution(execution)
  devices = parallel.local_devices(num_devices)
  known = {_name(child['genotype']): child for child in _read(cache)}
  if cache and os.path.exists(cache):
    records.rewrite(cache, known.values())  # Drops a line cut short.
  bench = _Bench(build, data, recipe, seed, reward, floor, execution, devices)

  def keep(child: Child) -> None:
    known[_name(child['genotype'])] = child
    if cache:
      records.append(cache, [child])

  def train_all(found: dict[str, base.Genotype]) -> None:
    todo = {name: g for name, g in found.items() if name not in known}
    if num_devices > 1:
      bench.train_on_all_devices(todo, keep)
      return
    with futures.ThreadPoolExecutor(1) as background:
      ahead = {name: background.submit(bench.compile, g, 0)
               for name, g in todo.items()} if compile_ahead else {}
      try:
        for name, found_genotype in todo.items():
          keep(bench.train(found_genotype, 0, ahead.get(name)))
      finally:
        background.shutdown(cancel_futures=True)

  def evaluate(key, state, proposals):
    del key  # The score depends on the seed and the genotype alone.
    mine = parallel.host_slice(len(proposals.genomes))
    found = [genotype(g) for g in np.asarray(proposals.genomes)[mine]]
    names = [_name(genotypes.to_json(g)) for g in found]
    train_all(dict(zip(names, found)))
    children = [known[name] for name in names]
    column = lambda get: np.array([get(c) for c in children], np.float32)
    metrics = {m: column(lambda c: c['metrics'][m])
               for m in (*_METRICS, 'failed')}
    metrics |= {f'{s}_seconds': column(lambda c: c['seconds'][s])
                for s in _SECONDS}
    rewards = column(lambda c: c['reward'])
    return base.Evaluation(*parallel.gather((rewards, metrics))), state

  return base.Evaluator(lambda key: ScratchState(), evaluate, jittable=False)


class _Bench:
  """Where children are compiled and trained; holds the data once per device."""

  def __init__(self, build, data, recipe, seed, reward, floor, execution,
               devices):
    self._build = build
    self._data = data
    self._recipe = recipe
    self._seed = seed
    self._reward = reward
    self._floor = float(floor)
    self._execution = execution
    self._devices = devices
    self._splits = [None] * len(devices)
    self._stop = threading.Event()

  def compile(self, genotype: base.Genotype, device: int) -> classify.Trainer:
    """Raises ValueError where the network cannot be built."""
    with jax.default_device(self._devices[device]):
      return classify.compile_trainer(
          self._build(genotype), self._recipe, classify.task_of(self._data),
          execution=self._execution)

  def train_on_all_devices(
      self, todo: dict[str, base.Genotype], keep: Callable[[Child], None]
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
      trainer: futures.Future | None = None) -> Child:
    """Trains one child; what the search must survive becomes the floor."""
    child = {
        'genotype': genotypes.to_json(genotype), 'reward': self._floor,
        'metrics': dict.fromkeys(_METRICS, 0.) | {'failed': 1.},
        'seconds': dict.fromkeys(_SECONDS, 0.), 'error': None}
    try:
      try:
        compiled = (
            trainer.result() if trainer else self.compile(genotype, device))
      except ValueError as e:
        child['error'] = f'cannot be built: {e}'
      else:
        child['seconds']['compile'] = compiled.compile_seconds
        start = time.perf_counter()
        self._score(child, compiled, device)
        child['seconds']['train'] = time.perf_counter() - start
    except (MemoryError, jax.errors.JaxRuntimeError) as e:
      if not classify.out_of_memory(e):
        raise
      child['error'] = f'out of memory: {str(e).splitlines()[0][:200]}'
    if child['error']:
      logging.warning('child %s failed: %s', _name(child['genotype']),
                      child['error'])
    return child

  def _score(self, child: Child, trainer: classify.Trainer, device: int):
    """Fills in the metrics and the reward, or the error."""
    metrics = child['metrics']
    key = jax.random.fold_in(
        jax.random.key(self._seed), _hash(_name(child['genotype'])))
    with jax.default_device(self._devices[device]):
      if self._splits[device] is None:
        self._splits[device] = (batches.to_device(self._data.train),
                                batches.to_device(self._data.validation))
      train, validation = self._splits[device]
      state, log = fit.fit(
          key, trainer, self._recipe, train, seed=self._seed,
          validation=validation, on_epoch=self._check_stop)
      metrics['num_params'] = float(
          sum(x.size for x in jax.tree.leaves(state.params)))
      metrics['epochs'] = float(len(log))
      if fit.diverged(log):
        child['error'] = f'diverged in epoch {log[-1]["epoch"]}'
        return
      scores = [r['validation_accuracy'] for r in log
                if 'validation_accuracy' in r]
      accuracy = max(scores) if scores else classify.evaluate(
          trainer, self._recipe, state, validation)
    metrics.update(validation_accuracy=accuracy, failed=0.,
                   train_accuracy=log[-1]['train_accuracy'])
    child['reward'] = float(
        self._reward(log, accuracy) if self._reward else accuracy)

  def _check_stop(self, record: fit.Record) -> None:
    if self._stop.is_set():
      raise RuntimeError(f'stopped after epoch {record["epoch"]}')


def _read(cache: str | os.PathLike | None) -> list[Child]:
  children = records.read(cache) if cache else []
  for number, child in enumerate(children, 1):
    if not isinstance(child, dict) or not set(_FIELDS) <= set(child):
      raise ValueError(
          f'{cache}, line {number} is not a trained child: {child!r}')
  return children


def _name(genotype_json: Any) -> str:
  return json.dumps(genotype_json)


def _hash(name: str) -> int:
  return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')
