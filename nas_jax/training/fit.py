"""Trains one network to the end, resuming where a killed run left off."""

from collections.abc import Callable
import math
import os
import time
from typing import Any

import jax

from nas_jax import journal
from nas_jax.data import images as image_data
from nas_jax.training import classify
from nas_jax.training import recipes
from nas_jax.training import schedules

Array = jax.Array
Record = dict[str, Any]


def fit(
    key: Array,
    trainer: classify.Trainer,
    recipe: recipes.Recipe,
    train: image_data.Split,
    *,
    seed: int,
    validation: image_data.Split | None = None,
    validate: Callable[[int], bool] | None = None,
    workdir: str | os.PathLike | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> tuple[classify.TrainState, list[Record]]:
  """Trains for the recipe's epochs, or until `recipe.patience` runs out.

  With a workdir, `training.jsonl` gets one line per epoch and every epoch is
  checkpointed under `checkpoints/training/`; the resumed run equals the
  uninterrupted one bit for bit on a CPU.

  Args:
    key: of the run; initialises and augments.
    trainer: compiled functions.
    recipe: settings.
    train: examples to learn from.
    seed: of the order of examples.
    validation: scored every `recipe.eval_every` epochs if `recipe.patience`
      is set, and when `validate` says so.
    validate: epoch -> whether its end is validated.
    workdir: where to keep the log; nowhere by default.
    on_epoch: called with each new record.

  Returns:
    The last state, and the records: epoch, loss, train_accuracy,
    last_batch_accuracy, learning_rate, seconds, and validation_accuracy where
    it was measured.
    Training stops at the first epoch whose loss is not finite; its record
    has loss None.
  """
  log = journal.Journal(workdir, 'epoch', 1, 2, history='training.jsonl',
                        checkpoints='checkpoints/training')
  init_key, epoch_key = jax.random.split(key)
  state, records = log.resume(trainer.init(init_key))
  with log.saved_on_interrupt():
    for epoch in range(len(records), recipe.epochs):
      if _finished(recipe, records):
        break
      start = time.perf_counter()
      state, metrics = classify.train_epoch(
          epoch_key, trainer, recipe, state, train, epoch=epoch, seed=seed)
      finite = math.isfinite(metrics['loss'])
      record = {
          'epoch': epoch, **metrics,
          'loss': metrics['loss'] if finite else None,
          'learning_rate': schedules.learning_rate(recipe, epoch, 0.)}
      if finite and validation is not None and (
          _due(recipe, epoch) or validate and validate(epoch)):
        record['validation_accuracy'] = classify.evaluate(
            trainer, recipe, state, validation)
      record['seconds'] = time.perf_counter() - start
      log.commit(epoch + 1, state, [record], last=True)
      records.append(record)
      if on_epoch:
        on_epoch(record)
  return state, records


def diverged(records: list[Record]) -> bool:
  """Whether training stopped because the loss was not finite."""
  return bool(records) and records[-1]['loss'] is None


def _due(recipe: recipes.Recipe, epoch: int) -> bool:
  return recipe.patience is not None and (epoch + 1) % recipe.eval_every == 0


def _finished(recipe: recipes.Recipe, records: list[Record]) -> bool:
  if diverged(records):
    return True
  scored = [(r['validation_accuracy'], -r['epoch']) for r in records
            if 'validation_accuracy' in r]
  if recipe.patience is None or not scored:
    return False
  _, best_epoch = max(scored)
  return len(records) - 1 + best_epoch >= recipe.patience
