"""One training step and one prediction, in both executions.

`whole` is one XLA program per network, on one or several devices; `blocks` is
made of programs that all networks share (networks/blocks.py). A batch may be
taken in parts (`Recipe.accumulate`): their gradients are averaged before one
update, batch statistics are of one part, images are mixed within one part.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import parallel
from nas_jax.data import augment
from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.training import losses
from nas_jax.training import optimizers
from nas_jax.training import recipes

Array = jax.Array
Tree = Any


class TrainState(NamedTuple):
  params: dict[str, Any]
  batch_stats: dict[str, Any]
  optimizer: dict[str, optimizers.State]  # by node


class Metrics(NamedTuple):
  loss: Array  # float32[], mean over the step's examples
  accuracy: Array  # float32[]


class Task(NamedTuple):
  """What the trainer must know of the data."""
  image_shape: tuple[int, int, int]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  standardise: str = 'channels'  # see `augment.standardise`


class Program(NamedTuple):
  """What a trainer runs."""
  step: Callable[..., tuple[TrainState, Metrics]]
  predict: Callable[[TrainState, Array], Array]
  compiled: jax.stages.Compiled | None  # the step, if it is one program


def start(net: graph.Graph, recipe: recipes.Recipe, key: Array) -> TrainState:
  """The first state, made on the host."""
  variables = graph.init(key, net)
  return TrainState(*variables, {
      name: optimizers.init(recipe, tree)
      for name, tree in variables.params.items()})


def tested(recipe: recipes.Recipe, state: TrainState) -> graph.Variables:
  """What a state is evaluated with: averaged, if the recipe averages."""
  return graph.Variables({
      name: optimizers.averaged(recipe, tree, state.optimizer[name])
      for name, tree in state.params.items()}, state.batch_stats)


def normalise(task: Task, images: Array) -> Array:
  """uint8[B, H, W, C] -> float32[B, H, W, C], without augmentation."""
  return augment.standardise(
      images, task.standardise, mean=jnp.array(task.mean),
      std=jnp.array(task.std))


def whole(net: graph.Graph, recipe: recipes.Recipe, task: Task,
          num_devices: int) -> Program:
  """One program for the step, one for the prediction."""
  model = graph.GraphNet(net)

  def predict(state, images):
    return model.apply(tested(recipe, state)._asdict(), normalise(
        task, images)).main.astype(jnp.float32)

  predict = jax.jit(predict).lower(
      _state_shapes(net, recipe), _images(recipe.eval_batch_size, task)
  ).compile()
  if num_devices == 1:
    compiled = lower_step(net, recipe, task).compile()
    step = compiled if recipe.accumulate == 1 else _in_parts(recipe, compiled)
    return Program(step, predict, compiled)
  make = _whole_step if recipe.accumulate == 1 else _part
  step = parallel.pmap_batch(
      make(net, recipe, task, num_devices), num_sharded=2,
      num_devices=num_devices)
  return Program(
      step if recipe.accumulate == 1 else _in_parts(recipe, step),
      lambda state, images: predict(parallel.first_copy(state), images), None)


def lower_step(net: graph.Graph, recipe: recipes.Recipe, task: Task
               ) -> jax.stages.Lowered:
  """The program of `whole` for one device, before it is compiled.

  It is one step, or one part of a step if there are several.
  `cost.peak_memory` tells what it needs.
  """
  size = recipe.batch_size // recipe.accumulate
  state = _state_shapes(net, recipe)
  key, number = jax.eval_shape(lambda: (jax.random.key(0), jnp.float32(0)))
  rest = (_images(size, task), jax.ShapeDtypeStruct((size,), jnp.int32), key,
          optimizers.Pace(number, number, number))
  if recipe.accumulate == 1:
    return jax.jit(_whole_step(net, recipe, task, 1), donate_argnums=0).lower(
        state, *rest)
  return jax.jit(_part(net, recipe, task, 1), donate_argnums=0).lower(
      (state, state.params), *rest)


def blockwise(net: graph.Graph, recipe: recipes.Recipe, task: Task) -> Program:
  """The same, node by node."""
  programs = blocks.compile_programs(
      net, recipe.batch_size // recipe.accumulate, recipe.eval_batch_size)
  shared = shared_programs(recipe, task)

  def part(state, images, labels, key, pace):
    """Gradients by node with their sums of squares, statistics, metrics."""
    images, labels, drop_key, loss_key = shared.prepare(images, labels, key)
    logits, stats, pullbacks = blocks.forward(
        graph.Variables(state.params, state.batch_stats), programs, images,
        drop_key, float(pace.progress))
    (loss, accuracy), cotangents = shared.head(logits, labels, loss_key)
    grads, squares, _ = blocks.backward(programs, pullbacks, cotangents)
    return grads, squares, stats, Metrics(loss, accuracy)

  def step(state, images, labels, key, pace):
    total, collected = None, []
    for i, (x, y) in enumerate(_split(recipe.accumulate, images, labels)):
      part_key = jax.random.fold_in(key, i) if recipe.accumulate > 1 else key
      grads, squares, stats, metrics = part(state, x, y, part_key, pace)
      state = state._replace(batch_stats=stats)
      collected.append(metrics)
      total = grads if total is None else {
          name: shared.add(total[name], grads[name]) for name in grads}
    params, optimizer = dict(state.params), dict(state.optimizer)
    grads = {name: grad for name, grad in total.items() if grad}
    if recipe.accumulate > 1 or recipe.decay_in_loss:
      pairs = {name: shared.penalise(params[name], grad)
               for name, grad in grads.items()}
      grads = {name: grad for name, (grad, _) in pairs.items()}
      squares = [square for _, square in pairs.values()]
    norm = global_norm(squares)
    for name, grad in grads.items():
      params[name], optimizer[name] = shared.update(
          params[name], grad, optimizer[name], norm, pace)
    return TrainState(
        params, state.batch_stats, optimizer), mean_metrics(collected)

  def predict(state, images):
    return blocks.predict(
        tested(recipe, state), programs, shared.normalise(images))

  return Program(step, predict, None)


def global_norm(squares: list[Array]) -> Array:
  """Root of the sum; padded so that few lengths are ever compiled."""
  padding = [np.float32(0)] * (-len(squares) % 64)
  return _root_of_sum(squares + padding)


class Shared(NamedTuple):
  """What every network under a recipe uses."""
  prepare: Callable[..., Any]
  normalise: Callable[..., Any]
  head: Callable[..., Any]
  add: Callable[..., Any]
  penalise: Callable[..., Any]
  update: Callable[..., Any]


@functools.lru_cache
def shared_programs(recipe, task) -> Shared:
  """Compiled once for all networks."""
  def prepared(images, labels, key):
    keys = jax.random.split(key, 3)  # The last is not needed, see `_gradient`.
    images, labels = prepare(recipe, task, images, labels, keys[0])
    return images, labels, keys[1], jax.random.fold_in(keys[0], 2)

  def head(logits, labels, key):
    return jax.value_and_grad(objective(recipe, key), has_aux=True)(
        logits, labels)

  def penalise(params, grads):
    grads = jax.tree.map(lambda g: g / recipe.accumulate, grads)
    grads = optimizers.penalised(recipe, params, grads)
    return grads, optimizers.squares(grads)

  return Shared(*map(jax.jit, (
      prepared, functools.partial(normalise, task), head,
      lambda a, b: jax.tree.map(jnp.add, a, b), penalise,
      functools.partial(optimizers.update, recipe))))


def _whole_step(net, recipe, task, num_devices):
  """(state, images, labels, key, pace) -> (state, metrics)."""
  gradient = _gradient(net, recipe, task, num_devices)

  def step(state, images, labels, key, pace):
    grads, stats, metrics = gradient(state, images, labels, key, pace)
    state = apply_gradients(
        recipe, state._replace(batch_stats=stats), grads, pace)
    return state, metrics

  return step


def _part(net, recipe, task, num_devices):
  """((state, sum of gradients), images, ...) -> (the same, metrics)."""
  gradient = _gradient(net, recipe, task, num_devices)

  def part(carry, images, labels, key, pace):
    state, total = carry
    grads, stats, metrics = gradient(state, images, labels, key, pace)
    return (state._replace(batch_stats=stats),
            jax.tree.map(jnp.add, total, grads)), metrics

  return part


def _in_parts(recipe, part):
  """A step of several parts and one update."""
  def apply(state, total, pace):
    grads = jax.tree.map(lambda g: g / recipe.accumulate, total)
    return apply_gradients(recipe, state, grads, pace)

  apply = jax.jit(apply, donate_argnums=0)

  def step(state, images, labels, key, pace):
    carry = state, jax.tree.map(jnp.zeros_like, state.params)
    collected = []
    for i, (x, y) in enumerate(_split(recipe.accumulate, images, labels)):
      carry, metrics = part(carry, x, y, jax.random.fold_in(key, i), pace)
      collected.append(metrics)
    return apply(*carry, pace), mean_metrics(collected)

  return step


def _gradient(net, recipe, task, num_devices):
  """(state, images, labels, key, pace) -> (gradients, statistics, metrics)."""
  model = graph.GraphNet(net)
  axis = parallel.BATCH_AXIS if num_devices > 1 else None
  mean = lambda x: jax.lax.pmean(x, axis) if axis else x

  def gradient(state, images, labels, key, pace):
    if axis:
      key = jax.random.fold_in(key, jax.lax.axis_index(axis))
    keys = jax.random.split(key, 3)
    images, labels = prepare(recipe, task, images, labels, keys[0])

    def loss(params):
      logits, updates = model.apply(
          {'params': params, 'batch_stats': state.batch_stats}, images,
          train=True, progress=pace.progress, drop_key=keys[1],
          mutable=['batch_stats'], rngs={'dropout': keys[2]})
      value, accuracy = objective(
          recipe, jax.random.fold_in(keys[0], 2))(logits, labels)
      return value, (accuracy, updates.get('batch_stats', {}))

    (value, (accuracy, stats)), grads = jax.value_and_grad(
        loss, has_aux=True)(state.params)
    grads, metrics = mean((grads, Metrics(value, accuracy)))
    # Of each device its own batch; the running ones are averaged.
    return grads, mean({
        k: stats.get(k, v) for k, v in state.batch_stats.items()}), metrics

  return gradient


def apply_gradients(recipe: recipes.Recipe, state: TrainState, grads: Tree,
                    pace: optimizers.Pace) -> TrainState:
  """The update of all nodes of a state, in one program."""
  grads = {name: optimizers.penalised(recipe, tree, grads[name])
           for name, tree in state.params.items()}
  norm = jnp.sqrt(optimizers.squares(grads))
  pairs = {name: optimizers.update(recipe, tree, grads[name],
                                   state.optimizer[name], norm, pace)
           for name, tree in state.params.items()}
  return TrainState({k: p for k, (p, _) in pairs.items()}, state.batch_stats,
                    {k: o for k, (_, o) in pairs.items()})


def prepare(recipe, task, images, labels, key):
  """Augmented training images, float32[B, H, W, C], and their labels."""
  images = augment.augment(
      key, images, mean=jnp.array(task.mean), std=jnp.array(task.std),
      padding=recipe.crop_padding, flip=recipe.flip,
      cutout_length=recipe.cutout_length, cutout_kind=recipe.cutout,
      kind=task.standardise, resized_crop=recipe.resized_crop,
      colour=recipe.colour_jitter, hue=recipe.hue_jitter)
  return losses.mix(jax.random.fold_in(key, 1), images, labels, recipe.mixup)


def objective(recipe: recipes.Recipe, key: Array):
  """(Logits, labels) -> (loss, accuracy)."""
  return functools.partial(
      losses.objective, smoothing=recipe.label_smoothing,
      auxiliary_weight=recipe.auxiliary_weight, lrc_weight=recipe.lrc_weight,
      key=key)


def _state_shapes(net, recipe) -> TrainState:
  variables = graph.shapes(net)
  return TrainState(*variables, {
      name: optimizers.shapes(recipe, tree)
      for name, tree in variables.params.items()})


def _images(size: int, task: Task) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct((size, *task.image_shape), jnp.uint8)


def _split(parts: int, images, labels):
  if parts == 1:
    return [(images, labels)]
  return list(zip(*(pieces(x, parts) for x in (images, labels))))


def pieces(x, parts: int):
  """Equal parts of an array, in order."""
  if isinstance(x, np.ndarray):
    return np.split(x, parts)
  return _split_on_device(x, parts)


@functools.partial(jax.jit, static_argnums=1)
def _split_on_device(x, parts):
  return tuple(jnp.split(x, parts))


def mean_metrics(collected: list[Metrics]) -> Metrics:
  """Of parts of one size."""
  if len(collected) == 1:
    return collected[0]
  return Metrics(*(sum(values) / len(collected) for values in zip(*collected)))


@jax.jit
def _root_of_sum(squares):
  return jnp.sqrt(sum(squares))
