"""The training of one network to its end, shared by all runs.

Written to the folder: network.json, training.jsonl, checkpoints/training/,
and, when it is over, checkpoints/weights/ (see `trained`).
"""

from collections.abc import Callable
import contextlib
import pathlib
from typing import Any, NamedTuple

from absl import logging
import jax

from nas_jax import checkpoint
from nas_jax import cost
from nas_jax import memory
from nas_jax import progress
from nas_jax import trained
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.training import classify
from nas_jax.training import fit
from nas_jax.training import recipes

NO_FLIP = ('digits', 'mnist')  # mirrored digits are not digits
_GIB = 2**30


class Job(NamedTuple):
  """A network, and how it is trained."""
  net: graph.Graph
  recipe: recipes.Recipe
  task: classify.Task
  config: dict[str, Any]  # of `trained.describe`
  seed: int
  execution: str = 'auto'
  num_devices: int = 1
  # What to change when the memory does not suffice, flags with values.
  advice: str = ''


class Outcome(NamedTuple):
  evaluate: Callable[[image_data.Split], float]  # accuracy on a split
  seconds: float  # compiling and training, those of earlier runs included


def check_recipe(recipe: recipes.Recipe, data: image_data.ImageData,
                 num_images: int, prefix: str = '') -> None:
  """That images suffice for a recipe.

  Args:
    recipe: settings.
    data: the data set.
    num_images: how many of it are trained on.
    prefix: of the names of the settings in messages.

  Raises:
    ValueError: a batch larger than the data, or a square larger than images.
  """
  if recipe.batch_size > num_images:
    raise ValueError(f'{prefix}batch_size is {recipe.batch_size}, but '
                     f'{data.name} has {num_images} training images')
  smallest = min(data.train.images.shape[1:3])
  if recipe.cutout_length > smallest:
    raise ValueError(f'{prefix}cutout_length is {recipe.cutout_length}, but '
                     f'images have {smallest} pixels')


def train(folder: pathlib.Path, job: Job, split: image_data.Split, label: str
          ) -> Outcome:
  """Trains to the end; the same call resumes.

  Args:
    folder: of this training.
    job: what to train.
    split: to learn from.
    label: what the progress is called.

  Raises:
    ValueError: the memory does not suffice; says what to change.
  """
  folder.mkdir(parents=True, exist_ok=True)
  trained.save_config(folder, job.config)
  with _memory_explained(job):
    trainer = classify.compile_trainer(
        job.net, job.recipe, job.task, execution=job.execution,
        num_devices=job.num_devices)
    if trainer.compiled is not None:
      _say_memory(trainer.compiled, label)
    state, log = fit_shown(
        jax.random.fold_in(jax.random.key(job.seed), 1), trainer, job.recipe,
        split, seed=job.seed, folder=folder, label=label)
  if fit.diverged(log):
    progress.warn_of_divergence(
        label, log[-1]['epoch'], job.recipe.learning_rate)
  trained.save_weights(folder, job.config, classify.tested(job.recipe, state),
                       len(log))

  def evaluate(split):
    with _memory_explained(job):
      return classify.evaluate(trainer, job.recipe, state, split)

  return Outcome(evaluate, trainer.compile_seconds + sum(
      line['seconds'] for line in log))


def fit_shown(
    key: jax.Array, trainer: classify.Trainer, recipe: recipes.Recipe,
    split: image_data.Split, *, seed: int, folder: pathlib.Path, label: str,
) -> tuple[classify.TrainState, list[fit.Record]]:
  """As `fit.fit`, with a bar and TensorBoard events.

  Args:
    key: of the run.
    trainer: compiled functions.
    recipe: settings.
    split: to learn from.
    seed: of the order of examples.
    folder: of this training.
    label: what the progress is called.
  """
  board = progress.scalars(folder / 'tb' / 'training')
  with progress.progress(recipe.epochs, label, unit='epoch',
                         initial=epochs_done(folder)) as bar:
    def on_epoch(line):
      shown = {k: v for k, v in line.items()
               if k in ('loss', 'train_accuracy') and v is not None}
      bar.update(**shown)
      board.write(line['epoch'], shown)
    found = fit.fit(
        key, trainer, recipe, batches.to_device(split), seed=seed,
        workdir=folder, on_epoch=on_epoch)
  board.close()
  return found


def train_and_test(folder: pathlib.Path, job: Job, data: image_data.ImageData,
                   label: str) -> tuple[dict[str, Any], float]:
  """Trains on all but the test images, and tests once.

  Returns:
    The result for the summary, and the seconds.
  """
  outcome = train(folder, job, image_data.train_and_validation(data), label)
  accuracy = outcome.evaluate(data.test)
  return {
      'test_accuracy': accuracy, 'test_error_percent': 100 * (1 - accuracy),
      'num_test': len(data.test.labels),
      'num_params': graph.num_params(job.net)}, outcome.seconds


def epochs_done(folder: pathlib.Path) -> int:
  """Those that a resumed training need not do again."""
  return max(checkpoint.steps(folder / 'checkpoints' / 'training'), default=0)


def _memory_explained(job: Job) -> contextlib.AbstractContextManager[None]:
  recipe = job.recipe
  size = recipe.batch_size // (recipe.accumulate * job.num_devices)
  return memory.explained(
      f'{size} images at a time on each of {job.num_devices} devices',
      job.advice)


def _say_memory(step: jax.stages.Compiled, label: str) -> None:
  """Before the training starts, where the backend tells."""
  try:
    needed = cost.peak_memory(step).total
  except ValueError as e:
    logging.info('%s', e)
    return
  stats = jax.local_devices()[0].memory_stats() or {}
  there = stats.get('bytes_limit')
  of = f' of {there / _GIB:.1f}' if there else ''
  print(f'{label}: a step needs {needed / _GIB:.2f}{of} GiB of memory',
        flush=True)
