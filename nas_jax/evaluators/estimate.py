"""How long children will take, measured on this machine before they start."""

import time
from typing import NamedTuple

import jax
import numpy as np

from nas_jax import progress
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.data import text
from nas_jax.data import windows
from nas_jax.evaluators import language
from nas_jax.networks import graph
from nas_jax.networks import language as networks
from nas_jax.training import classify
from nas_jax.training import language as training
from nas_jax.training import language_recipes
from nas_jax.training import recipes
from nas_jax.training import schedules


class Estimate(NamedTuple):
  """Seconds that one child takes."""
  compile: float  # before its first step
  train: float  # all steps of all epochs
  validate: float  # as often as it is validated


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


def of_language_child(
    model: networks.Model,
    recipe: language_recipes.LanguageRecipe,
    corpus: text.Corpus,
    *,
    num_steps: int = 3,
) -> Estimate:
  """The same of a language model, which every epoch validates.

  Args:
    model: of the child.
    recipe: how it is trained.
    corpus: what it is trained on.
    num_steps: steps timed, after one that is not.
  """
  trainer = training.make(model, recipe)
  language.compile_all(trainer, recipe, corpus)
  state = trainer.init(jax.random.key(0))
  streams = windows.batchify(corpus.train, recipe.batch_size)
  sizes = windows.capacities(recipe.bptt, recipe.random_lengths)
  size = windows.capacity_of(recipe.bptt, sizes)
  batch = windows.at(streams, windows.Window(0, recipe.bptt), size)

  def step(state):
    return jax.block_until_ready(trainer.step(
        jax.random.key(1), state, *batch, length=recipe.bptt, number=0,
        rate=0.))

  state = step(state)
  start = time.perf_counter()
  for _ in range(num_steps):
    state = step(state)
  step_seconds = (time.perf_counter() - start) / num_steps
  few = corpus.validation[:training.EVAL_TOKENS + recipe.eval_batch_size]
  start = time.perf_counter()
  training.cross_entropy(trainer, state.params, few, recipe.eval_batch_size)
  seconds = time.perf_counter() - start
  return Estimate(
      trainer.compile_seconds(),
      step_seconds * recipe.epochs * (len(streams) - 1) / recipe.bptt,
      seconds * recipe.epochs * len(corpus.validation) / len(few))


def line(found: Estimate, num_children: int, num_devices: int, baseline: bool
         ) -> str:
  """What all children will cost.

  Args:
    found: of one of them.
    num_children: how many there are.
    num_devices: how many are trained at a time.
    baseline: whether random search trains as many.
  """
  one = found.train + found.validate
  total = num_children * one / num_devices
  more = ', and as much for random search' if baseline else ''
  return (f'estimated cost: {num_children:,} children x {one:,.1f} s = '
          f'{progress.duration(total)} on {num_devices} device(s) of '
          f'{jax.devices()[0].device_kind}{more}. Measured on one random '
          f'child; its compilation took {progress.duration(found.compile)}, '
          'retraining comes on top')
