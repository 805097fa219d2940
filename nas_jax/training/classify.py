"""Trains an image classifier: one loop for children and final networks.

The network runs in one of two ways: 'whole', one XLA program per network
(accelerators, several devices), or 'blocks', small programs shared by all
networks (CPUs; see networks/blocks.py). The results are equal up to rounding,
but for dropout before the classifier, which draws other masks.
"""

from collections.abc import Callable
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import parallel
from nas_jax.data import augment
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.training import recipes

Array = jax.Array
EXECUTIONS = ('auto', 'whole', 'blocks')


class TrainState(NamedTuple):
  params: dict[str, Any]
  batch_stats: dict[str, Any]
  optimizer: dict[str, Any]  # node name -> optax state


class Metrics(NamedTuple):
  loss: Array  # float32[], mean over the step's examples
  accuracy: Array  # float32[]


class Trainer(NamedTuple):
  """Compiled functions of one network under one recipe.

  Attributes:
    init: key -> TrainState.
    step: (state, images uint8[B, H, W, C], labels int32[B], key,
      learning rate, progress) -> (state, Metrics).
    predict: (state, images uint8[B', H, W, C]) -> logits float32[B', K].
    compile_seconds: spent on compiling, or waiting for a thread that compiles
      the same program.
  """
  init: Callable[[Array], TrainState]
  step: Callable[..., tuple[TrainState, Metrics]]
  predict: Callable[[TrainState, Array], Array]
  compile_seconds: float


class Task(NamedTuple):
  """What the trainer must know of the data."""
  image_shape: tuple[int, int, int]
  mean: tuple[float, ...]
  std: tuple[float, ...]


def task_of(data: image_data.ImageData) -> Task:
  """The task of a data set; hashable."""
  return Task(tuple(data.train.images.shape[1:]),
              tuple(float(x) for x in data.mean),
              tuple(float(x) for x in data.std))


def check_execution(execution: str) -> None:
  """Raises ValueError unless it is one of `EXECUTIONS`."""
  if execution not in EXECUTIONS:
    raise ValueError(f'execution is {execution!r}, expected one of '
                     f'{EXECUTIONS}')


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
    net: the network. With num_devices > 1 its style must average batch
      statistics over `parallel.BATCH_AXIS`.
    recipe: settings.
    task: of the data set.
    execution: 'whole', 'blocks', or 'auto': blocks on one CPU device.
    num_devices: over which each batch is split.

  Raises:
    ValueError: an unknown execution, blocks on several devices, or an
      auxiliary classifier without a weight or the other way round.
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
  start = time.perf_counter()
  if execution == 'blocks':
    step, predict = _blocks(net, recipe, task)
  else:
    step, predict = _whole(net, recipe, task, num_devices)
  seconds = time.perf_counter() - start

  def init(key: Array) -> TrainState:
    return _start(graph.init(key, net), recipe)

  return Trainer(init, step, predict, seconds)


def lower_step(net: graph.Graph, recipe: recipes.Recipe, task: Task
               ) -> jax.stages.Lowered:
  """The step of the execution 'whole' on one device, before it is compiled.

  `cost.peak_memory` tells what it needs.
  """
  return jax.jit(_whole_step(net, recipe, task, 1), donate_argnums=0).lower(
      _state_shapes(net, recipe), _images(recipe.batch_size, task),
      jax.ShapeDtypeStruct((recipe.batch_size,), jnp.int32),
      *jax.eval_shape(lambda: (jax.random.key(0), jnp.float32(0),
                               jnp.float32(0))))


def train_epoch(
    key: Array,
    trainer: Trainer,
    recipe: recipes.Recipe,
    state: TrainState,
    split: image_data.Split,
    *,
    epoch: int,
    seed: int,
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

  Returns:
    The state, and the epoch's mean loss and training accuracy ('loss' is not
    finite after divergence).
  """
  order = batches.epoch_batches(
      seed, epoch, len(split.labels), recipe.batch_size, drop_last=True)
  key = jax.random.fold_in(key, epoch)
  steps = len(order.indices)
  collected = []
  for i, indices in enumerate(order.indices):
    images, labels = _take(split, indices)
    progress = (epoch + i / steps) / recipe.epochs
    state, metrics = trainer.step(
        state, images, labels, jax.random.fold_in(key, i),
        np.float32(recipes.learning_rate(recipe, epoch, i / steps)),
        np.float32(progress))
    collected.append(metrics)
  loss, accuracy = (
      float(np.mean([float(getattr(m, name)) for m in collected]))
      for name in ('loss', 'accuracy'))
  return state, {'loss': loss, 'train_accuracy': accuracy}


def evaluate(trainer: Trainer, recipe: recipes.Recipe, state: TrainState,
             split: image_data.Split) -> float:
  """Accuracy on a split with running statistics."""
  size = len(split.labels)
  order = batches.eval_batches(size, recipe.eval_batch_size)
  correct = 0.
  for indices, mask in zip(order.indices, order.mask):
    images, labels = _take(split, indices)
    correct += float(_correct(trainer.predict(state, images), labels, mask))
  return correct / size


def objective(
    logits: graph.Logits, labels: Array, *, smoothing: float,
    auxiliary_weight: float
) -> tuple[Array, Array]:
  """Loss and accuracy, both float32[].

  Args:
    logits: of the main and, if there is one, the auxiliary classifier.
    labels: int32[B].
    smoothing: see `Recipe`.
    auxiliary_weight: see `Recipe`.
  """
  targets = optax.smooth_labels(
      jax.nn.one_hot(labels, logits.main.shape[-1]), smoothing)
  loss = optax.softmax_cross_entropy(logits.main, targets).mean()
  if logits.auxiliary is not None:
    loss += auxiliary_weight * optax.softmax_cross_entropy(
        logits.auxiliary, targets).mean()
  return loss, jnp.mean(jnp.argmax(logits.main, -1) == labels)


@functools.lru_cache
def _optimizer(recipe: recipes.Recipe) -> optax.GradientTransformation:
  """Clipped gradient -> direction; elementwise, so nodes can be apart."""
  mask = None if recipe.decay_norms else lambda params: jax.tree.map(
      lambda p: p.ndim > 1, params)
  return optax.chain(
      optax.add_decayed_weights(recipe.weight_decay, mask),
      optax.trace(recipe.momentum, recipe.nesterov))


def _update(recipe, params, grads, optimizer, norm, rate):
  """One SGD step on any tree of parameters, `norm` over all of them."""
  scale = jnp.minimum(1., recipe.clip_norm / (norm + 1e-6))
  grads = jax.tree.map(lambda g: g * scale, grads)
  direction, optimizer = _optimizer(recipe).update(grads, optimizer, params)
  return jax.tree.map(lambda p, d: p - rate * d, params, direction), optimizer


def _prepare(recipe, task, images, key):
  """Augmented training images, float32[B, H, W, C]."""
  return augment.augment(
      key, images, mean=jnp.array(task.mean), std=jnp.array(task.std),
      padding=recipe.crop_padding, flip=recipe.flip,
      cutout_length=recipe.cutout_length)


def _normalise(task, images):
  return augment.normalise(
      images, jnp.array(task.mean), jnp.array(task.std))


def _objective_of(recipe):
  return functools.partial(
      objective, smoothing=recipe.label_smoothing,
      auxiliary_weight=recipe.auxiliary_weight)


def _whole(net, recipe, task, num_devices):
  model = graph.GraphNet(net)

  def predict(state, images):
    return model.apply(
        {'params': state.params, 'batch_stats': state.batch_stats},
        _normalise(task, images)).main

  compiled_predict = jax.jit(predict).lower(
      _state_shapes(net, recipe), _images(recipe.eval_batch_size, task)
  ).compile()
  if num_devices > 1:
    return parallel.pmap_batch(
        _whole_step(net, recipe, task, num_devices), num_sharded=2,
        num_devices=num_devices
    ), lambda state, images: compiled_predict(
        parallel.first_copy(state), images)
  return lower_step(net, recipe, task).compile(), compiled_predict


def _whole_step(net, recipe, task, num_devices):
  model = graph.GraphNet(net)
  axis = parallel.BATCH_AXIS if num_devices > 1 else None
  mean = lambda x: jax.lax.pmean(x, axis) if axis else x

  def step(state, images, labels, key, rate, progress):
    if axis:
      key = jax.random.fold_in(key, jax.lax.axis_index(axis))
    keys = jax.random.split(key, 3)
    images = _prepare(recipe, task, images, keys[0])

    def loss(params):
      logits, updates = model.apply(
          {'params': params, 'batch_stats': state.batch_stats}, images,
          train=True, progress=progress, drop_key=keys[1],
          mutable=['batch_stats'], rngs={'dropout': keys[2]})
      value, accuracy = _objective_of(recipe)(logits, labels)
      return value, (accuracy, updates.get('batch_stats', {}))

    (value, (accuracy, stats)), grads = jax.value_and_grad(
        loss, has_aux=True)(state.params)
    grads, metrics = mean((grads, Metrics(value, accuracy)))
    stats = mean({k: stats.get(k, v) for k, v in state.batch_stats.items()})
    norm = _root_of_sum([jnp.sum(g * g) for g in jax.tree.leaves(grads)])
    pairs = {name: _update(recipe, params, grads[name], state.optimizer[name],
                           norm, rate)
             for name, params in state.params.items()}
    return TrainState({k: p for k, (p, _) in pairs.items()}, stats,
                      {k: o for k, (_, o) in pairs.items()}), metrics

  return step


def _state_shapes(net, recipe) -> TrainState:
  variables = graph.shapes(net)
  return TrainState(*variables, _optimizer_shapes(variables, recipe))


def _start(variables: graph.Variables, recipe: recipes.Recipe) -> TrainState:
  """The first state; its zeros come from the host, uncompiled."""
  return TrainState(*variables, jax.tree.map(
      lambda x: jnp.asarray(np.zeros(x.shape, x.dtype)),
      _optimizer_shapes(variables, recipe)))


def _optimizer_shapes(variables, recipe):
  return jax.eval_shape(lambda params: {
      name: _optimizer(recipe).init(tree) for name, tree in params.items()
  }, variables.params)


def _images(size: int, task: Task) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct((size, *task.image_shape), jnp.uint8)


def _blocks(net, recipe, task):
  programs = blocks.compile_programs(
      net, recipe.batch_size, recipe.eval_batch_size)
  prepare, normalise, head, update = _shared_programs(recipe, task)

  def step(state, images, labels, key, rate, progress):
    images, key = prepare(images, key)
    logits, stats, pullbacks = blocks.forward(
        graph.Variables(state.params, state.batch_stats), programs, images,
        key, float(progress))
    (loss, accuracy), cotangents = head(logits, labels)
    grads, squares = blocks.backward(programs, pullbacks, cotangents)
    norm = _norm(squares)
    params, optimizer = dict(state.params), dict(state.optimizer)
    for name, grad in grads.items():
      if grad:
        params[name], optimizer[name] = update(
            params[name], grad, optimizer[name], norm, rate)
    return TrainState(params, stats, optimizer), Metrics(loss, accuracy)

  def predict(state, images):
    return blocks.predict(
        graph.Variables(state.params, state.batch_stats), programs,
        normalise(images))

  return step, predict


@functools.lru_cache
def _shared_programs(recipe, task):
  """What every network under a recipe uses."""
  def prepare(images, key):
    keys = jax.random.split(key, 3)  # The last is not needed, see `_whole`.
    return _prepare(recipe, task, images, keys[0]), keys[1]

  def head(logits, labels):
    return jax.value_and_grad(
        _objective_of(recipe), has_aux=True)(logits, labels)

  return (jax.jit(prepare), jax.jit(functools.partial(_normalise, task)),
          jax.jit(head), jax.jit(functools.partial(_update, recipe)))


def _norm(squares: list[Array]) -> Array:
  """Global norm; padded so that few lengths are ever compiled."""
  padding = [np.float32(0)] * (-len(squares) % 64)
  return _root_of_sum(squares + padding)


@jax.jit
def _root_of_sum(squares):
  return jnp.sqrt(sum(squares))


def _take(split: image_data.Split, indices: np.ndarray):
  if isinstance(split.images, np.ndarray):
    return split.images[indices], split.labels[indices]
  return _gather(split.images, split.labels, indices)


@jax.jit
def _gather(images, labels, indices):
  return images[indices], labels[indices]


@jax.jit
def _correct(logits, labels, mask):
  return jnp.sum((jnp.argmax(logits, -1) == labels) * mask)
