"""Trains an image classifier: one loop for children and final networks.

The network runs in one of two ways: 'whole', one XLA program per network
(accelerators, several devices), or 'blocks', small programs shared by all
networks (CPUs; see networks/blocks.py). The results are equal up to rounding,
but for dropout before the classifier, which draws other masks.
"""

from collections.abc import Callable
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import checks
from nas_jax import memory
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import schedules
from nas_jax.training import steps

Array = jax.Array
EXECUTIONS = ('auto', 'whole', 'blocks')


# What `steps.py` defines and every user of a trainer needs.
TrainState = steps.TrainState
Metrics = steps.Metrics
Task = steps.Task
normalise = steps.normalise


class Trainer(NamedTuple):
  """Compiled functions of one network under one recipe.

  Attributes:
    init: key -> TrainState.
    step: (state, images uint8[B, H, W, C], labels int32[B], key,
      learning rate, progress, decay of averages) -> (state, Metrics); the last
      may be left out.
    predict: (state, images uint8[B', H, W, C]) -> logits float32[B', K], of
      the averaged weights if the recipe averages.
    compile_seconds: spent on compiling, or waiting for a thread that compiles
      the same program.
    compiled: the step, where it is one program.
  """
  init: Callable[[Array], TrainState]
  step: Callable[..., tuple[TrainState, Metrics]]
  predict: Callable[[TrainState, Array], Array]
  compile_seconds: float
  compiled: jax.stages.Compiled | None = None


def task_of(data: image_data.ImageData, standardise: str = 'channels') -> Task:
  """The task of a data set; hashable."""
  return Task(tuple(data.train.images.shape[1:]),
              tuple(float(x) for x in data.mean),
              tuple(float(x) for x in data.std), standardise)


def check_execution(execution: str) -> None:
  """Raises ValueError unless it is one of `EXECUTIONS`."""
  checks.one_of('execution', execution, EXECUTIONS)


def compile_trainer(
    net: graph.Graph,
    recipe: recipes.Recipe,
    task: Task,
    *,
    execution: str = 'auto',
    num_devices: int = 1,
) -> Trainer:
  """Compiles everything training needs; safe to call in several threads.

  Args:
    net: the network. On several devices each has batch statistics of its own
      images, unless the network's style averages them over
      `parallel.BATCH_AXIS`; the running ones are averaged either way.
    recipe: settings.
    task: of the data set.
    execution: 'whole', 'blocks', or 'auto': blocks on one CPU device.
    num_devices: over which each batch is split.

  Raises:
    ValueError: an unknown execution, blocks on several devices, a batch that
      does not split, or an auxiliary classifier without a weight or the other
      way round.
  """
  check_execution(execution)
  if bool(net.auxiliary) != (recipe.auxiliary_weight > 0):
    raise ValueError(
        f'auxiliary_weight is {recipe.auxiliary_weight}, but the network has '
        f'{"an" if net.auxiliary else "no"} auxiliary classifier')
  if execution == 'auto':
    cpu = jax.default_backend() == 'cpu'
    execution = 'blocks' if cpu and num_devices == 1 else 'whole'
  if execution == 'blocks' and num_devices > 1:
    raise ValueError(f'blocks run on one device, not {num_devices}; '
                     "use execution='whole'")
  if recipe.batch_size % (recipe.accumulate * num_devices):
    raise ValueError(
        f'batch_size {recipe.batch_size} does not split into '
        f'{recipe.accumulate} parts (accumulate) on each of {num_devices} '
        'devices (num_devices)')
  if memory.nearly_all_mapped():  # After thousands of networks.
    blocks.forget()
  begin = time.perf_counter()
  program = steps.blockwise(net, recipe, task) if execution == 'blocks' else (
      steps.whole(net, recipe, task, num_devices))
  seconds = time.perf_counter() - begin

  def step(state, images, labels, key, rate, progress, decay=np.float32(0)):
    return program.step(state, images, labels, key,
                        optimizers.Pace(rate, progress, decay))

  return Trainer(lambda key: steps.start(net, recipe, key), step,
                 program.predict, seconds, program.compiled)


lower_step = steps.lower_step
tested = steps.tested


def train_epoch(
    key: Array,
    trainer: Trainer,
    recipe: recipes.Recipe,
    state: TrainState,
    split: image_data.Split,
    *,
    epoch: int,
    seed: int,
    max_steps: int | None = None,
) -> tuple[TrainState, dict[str, float]]:
  """One pass over the training split.

  Args:
    key: of the run; the epoch and the step are folded in.
    trainer: compiled functions.
    recipe: settings.
    state: before the epoch.
    split: training images, on the device or not.
    epoch: counted from 0.
    seed: the order of examples is a function of (seed, epoch).
    max_steps: stop after so many.

  Returns:
    The state, and the epoch's mean loss and training accuracy ('loss' is not
    finite after divergence), and the accuracy of the last batch.
  """
  order = batches.epoch_batches(
      seed, epoch, len(split.labels), recipe.batch_size, drop_last=True,
      fill_last=recipe.fill_last)
  key = jax.random.fold_in(key, epoch)
  total = len(order.indices)
  collected = []
  for i, indices in enumerate(order.indices[:max_steps]):
    images, labels = take(split, indices)
    state, metrics = trainer.step(
        state, images, labels, jax.random.fold_in(key, i), *map(np.float32, (
            schedules.learning_rate(recipe, epoch, i / total),
            schedules.drop_path_progress(recipe, epoch, i / total),
            schedules.average_decay(recipe, epoch * total + i))))
    collected.append(metrics)
  loss, accuracy = (
      float(np.mean([float(getattr(m, name)) for m in collected]))
      for name in ('loss', 'accuracy'))
  return state, {'loss': loss, 'train_accuracy': accuracy,
                 'last_batch_accuracy': float(collected[-1].accuracy)}


def evaluate(trainer: Trainer, recipe: recipes.Recipe, state: TrainState,
             split: image_data.Split) -> float:
  """Accuracy on a split with running statistics."""
  return measure(trainer, recipe, state, split)[0]


def measure(trainer: Trainer, recipe: recipes.Recipe, state: TrainState,
            split: image_data.Split) -> tuple[float, float]:
  """Accuracy and mean cross-entropy on a split, with running statistics."""
  size = len(split.labels)
  order = batches.eval_batches(size, recipe.eval_batch_size)
  correct, loss = 0., 0.
  for indices, mask in zip(order.indices, order.mask):
    images, labels = take(split, indices)
    right, wrong = _sums(trainer.predict(state, images), labels, mask)
    correct += float(right)
    loss += float(wrong)
  return correct / size, loss / size


def take(split: image_data.Split, indices: np.ndarray) -> tuple[Array, Array]:
  """Images and labels of these indices."""
  if isinstance(split.images, np.ndarray):
    return split.images[indices], split.labels[indices]
  return _gather(split.images, split.labels, indices)


@jax.jit
def _gather(images, labels, indices):
  return images[indices], labels[indices]


@jax.jit
def _sums(logits, labels, mask):
  """Over the examples of the mask: right ones, cross-entropies."""
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  return (jnp.sum((jnp.argmax(logits, -1) == labels) * mask),
          jnp.sum(jnp.where(mask > 0, losses, 0.)))
