"""How long children will take, measured on this machine before they start."""

import time
from typing import NamedTuple

import jax
import numpy as np

from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.training import classify
from nas_jax.training import recipes
from nas_jax.training import schedules


class Estimate(NamedTuple):
  """Seconds that one child takes."""
  compile: float  # before its first step
  train: float  # all steps of all epochs
  validate: float  # once


def of_child(
    net: graph.Graph,
    recipe: recipes.Recipe,
    data: image_data.ImageData,
    *,
    execution: str = 'auto',
    num_steps: int = 3,
) -> Estimate:
  """Times some steps of a child and of its validation.

  Args:
    net: of the child.
    recipe: how it is trained.
    data: what it is trained on.
    execution: see `classify.compile_trainer`.
    num_steps: steps timed, after one that is not.
  """
  start = time.perf_counter()
  trainer = classify.compile_trainer(
      net, recipe, classify.task_of(data, recipe.standardise),
      execution=execution)
  state = trainer.init(jax.random.key(0))
  rows = np.resize(np.arange(len(data.train.labels)), recipe.batch_size)
  images, labels = data.train.images[rows], data.train.labels[rows]
  few = image_data.Split(*(x[:recipe.eval_batch_size]
                           for x in data.validation))

  def step(state):
    state, _ = trainer.step(
        state, images, labels, jax.random.key(1),
        np.float32(recipe.learning_rate), np.float32(0))
    return jax.block_until_ready(state)

  state = step(state)
  classify.evaluate(trainer, recipe, state, few)
  compiling = time.perf_counter() - start
  start = time.perf_counter()
  for _ in range(num_steps):
    state = step(state)
  step_seconds = (time.perf_counter() - start) / num_steps
  start = time.perf_counter()
  classify.evaluate(trainer, recipe, state, few)
  batch_seconds = time.perf_counter() - start
  num_batches = len(batches.eval_batches(
      len(data.validation.labels), recipe.eval_batch_size).indices)
  return Estimate(
      compile=max(0., compiling - step_seconds - batch_seconds),
      train=step_seconds * recipe.epochs * schedules.steps_per_epoch(
          recipe, len(data.train.labels)),
      validate=batch_seconds * num_batches)
