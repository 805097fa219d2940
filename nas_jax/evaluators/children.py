"""Children that are trained one by one: each genotype once, and remembered."""

from collections.abc import Callable, Sequence
from concurrent import futures
import hashlib
import json
import math
import os
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import numpy as np

from nas_jax import base
from nas_jax import memory
from nas_jax import parallel
from nas_jax import records
from nas_jax.spaces import genotypes

Child = dict[str, Any]  # genotype, reward, metrics, seconds, error
Todo = dict[str, base.Genotype]  # by name
Keep = Callable[[Child], None]
_FIELDS = ('genotype', 'reward', 'metrics', 'seconds', 'error')
_SECONDS = ('compile', 'train')


class State(NamedTuple):
  """Nothing: a child's score is a function of the seed and its genotype."""


def evaluator(
    genotype: Callable[[base.Genome], base.Genotype],
    train_all: Callable[[Todo, Keep], None],
    *,
    metrics: Sequence[str],
    cache: str | os.PathLike | None = None,
) -> base.Evaluator:
  """Scores genomes by children that are trained once.

  Args:
    genotype: `space.genotype`.
    train_all: trains children that are not known yet, and calls `keep` with
      each the moment it is trained.
    metrics: names of what a child's metrics hold beside `failed`.
    cache: a JSON-lines file of trained children, read at the start: a killed
      run loses no finished child, and two searches may share it.

  Returns:
    An evaluator that runs on the host. Its metrics have `failed`,
    `compile_seconds` and `train_seconds` too, which are repeated for a
    genotype met again.

  Raises:
    ValueError: at once, for a damaged cache.
  """
  known = {name_of(child['genotype']): child for child in _read(cache)}
  if cache and os.path.exists(cache):
    records.rewrite(cache, known.values())  # Drops a line cut short.

  def keep(child: Child) -> None:
    known[name_of(child['genotype'])] = child
    if cache:
      records.append(cache, [child])

  def evaluate(key, state, proposals):
    del key  # The score depends on the seed and the genotype alone.
    mine = parallel.host_slice(len(proposals.genomes))
    found = [genotype(g) for g in np.asarray(proposals.genomes)[mine]]
    names = [name_of(genotypes.to_json(g)) for g in found]
    train_all({name: g for name, g in zip(names, found) if name not in known},
              keep)
    children = [known[name] for name in names]
    column = lambda get: np.array([get(c) for c in children], np.float32)
    values = {m: column(lambda c: c['metrics'][m])
              for m in (*metrics, 'failed')}
    values |= {f'{s}_seconds': column(lambda c: c['seconds'][s])
               for s in _SECONDS}
    rewards = column(lambda c: c['reward'])
    return base.Evaluation(*parallel.gather((rewards, values))), state

  return base.Evaluator(lambda key: State(), evaluate, jittable=False)


def train(
    genotype: base.Genotype,
    compile_: Callable[[], Any],
    score: Callable[[Child, Any], float | None],
    *,
    floor: float,
    metrics: Sequence[str],
) -> Child:
  """Trains one child; what the search must survive becomes the floor.

  Args:
    genotype: of the child.
    compile_: makes the trainer, which has `compile_seconds`; a ValueError
      means that the child cannot be built.
    score: (child, trainer) -> reward. Fills in the metrics; or fills in the
      error and returns None.
    floor: reward of a failed child.
    metrics: names, see `evaluator`.
  """
  child = {
      'genotype': genotypes.to_json(genotype), 'reward': float(floor),
      'metrics': dict.fromkeys(metrics, 0.) | {'failed': 1.},
      'seconds': dict.fromkeys(_SECONDS, 0.), 'error': None}
  try:
    try:
      trainer = compile_()
    except ValueError as e:
      child['error'] = f'cannot be built: {e}'
    else:
      child['seconds']['compile'] = trainer.compile_seconds
      start = time.perf_counter()
      reward = score(child, trainer)
      child['seconds']['train'] = time.perf_counter() - start
      if reward is not None and not math.isfinite(reward):
        child['error'] = f'the reward is {reward}'
      elif reward is not None:
        child['reward'] = float(reward)
        child['metrics']['failed'] = 0.
  except (MemoryError, jax.errors.JaxRuntimeError) as e:
    if not memory.out_of_memory(e):
      raise
    child['error'] = f'out of memory: {memory.reason(e)}'
  if child['error']:
    logging.warning('child %s failed: %s', name_of(child['genotype']),
                    child['error'])
  return child


def in_turn(
    todo: Todo,
    keep: Keep,
    compile_: Callable[[base.Genotype], Any],
    train_one: Callable[[base.Genotype, futures.Future | None], Child],
    *,
    ahead: bool = True,
) -> None:
  """Trains one child after the other.

  Args:
    todo: what to train.
    keep: gets each at its end.
    compile_: makes the trainer of a genotype.
    train_one: (genotype, its trainer if it compiles ahead) -> child.
    ahead: whether the next ones compile in the background while one trains.
  """
  with futures.ThreadPoolExecutor(1) as background:
    trainers = {name: background.submit(compile_, g)
                for name, g in todo.items()} if ahead else {}
    try:
      for name, genotype in todo.items():
        keep(train_one(genotype, trainers.get(name)))
    finally:
      background.shutdown(cancel_futures=True)


def name_of(genotype_json: Any) -> str:
  """What a child is known by."""
  return json.dumps(genotype_json)


def number_of(name: str) -> int:
  """uint32 that a child's randomness follows from."""
  return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')


def _read(cache: str | os.PathLike | None) -> list[Child]:
  children = records.read(cache) if cache else []
  for number, child in enumerate(children, 1):
    if not isinstance(child, dict) or not set(_FIELDS) <= set(child):
      raise ValueError(
          f'{cache}, line {number} is not a trained child: {child!r}')
  return children
