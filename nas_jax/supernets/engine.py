"""Losses and gradients of a search network, however it runs.

A search calls one `Engine` for the gradients of weights and of gates, and
composes them. As in training (training/classify.py) the network runs as
'whole', one XLA program, or as 'blocks', programs that nodes share; with
several devices each takes a part of every batch.
"""

from collections.abc import Callable, Mapping
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import parallel
from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.supernets import relax
from nas_jax.training import classify
from nas_jax.training import losses
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

Array = jax.Array
Tree = Any
Gates = Mapping[str, Array]


class Gradient(NamedTuple):
  """Of the mean loss of one batch."""
  loss: Array  # float32[]
  accuracy: Array  # float32[]
  params: Tree  # node -> tree, None unless asked for
  gates: dict[str, Array]  # like the gates
  batch_stats: dict[str, Any]  # the next running statistics


class Engine(NamedTuple):
  """The functions of one search network under one recipe.

  Attributes:
    net: the network.
    init: key -> weights, statistics and state of their optimizer.
    gradient: (params, batch_stats, gates, images uint8[B, H, W, C], labels
      int32[B], key, *, weights=True, train=True) -> Gradient. With the same
      key the batch is augmented in the same way. Without `weights` the
      gradient of the weights is not computed; without `train` norms use the
      running statistics.
    update: (state, gradient of the weights, statistics, Pace) -> state: the
      step of the recipe, of the nodes that have a gradient.
    logits: (params, batch_stats, gates, images uint8[B', H, W, C]) ->
      float32[B', classes], B' the recipe's eval_batch_size, with running
      statistics or, if so made, those of the batch.
    objective: (params, batch_stats, gates, images, labels, key) -> (loss,
      (accuracy, statistics)): the same loss as one differentiable function.
    compile_seconds: spent on compiling ahead, or waiting for it.
  """
  net: graph.Graph
  init: Callable[[base.Key], steps.TrainState]
  gradient: Callable[..., Gradient]
  update: Callable[..., steps.TrainState]
  logits: Callable[..., Array]
  objective: Callable[..., tuple[Array, tuple[Array, Tree]]]
  compile_seconds: float = 0.


def make(
    net: graph.Graph,
    recipe: recipes.Recipe,
    task: steps.Task,
    *,
    rows: Callable[[Gates], Gates] = dict,
    execution: str = 'auto',
    num_devices: int = 1,
    batch_statistics: bool = False,
) -> Engine:
  """An engine.

  Args:
    net: the network; on several devices its style must average statistics
      over `parallel.BATCH_AXIS`.
    recipe: settings of augmentation, loss and the step of the weights.
    task: of the data.
    rows: from the gates of a search to those of `net`, differentiable.
    execution: 'whole', 'blocks', or 'auto': blocks on CPUs.
    num_devices: over which each batch is split.
    batch_statistics: whether `logits` uses the statistics of the batch.

  Raises:
    ValueError: an unknown execution, or a batch that does not split.
  """
  classify.check_execution(execution)
  if recipe.batch_size % num_devices:
    raise ValueError(f'batch_size {recipe.batch_size} does not split over '
                     f'{num_devices} devices')
  execution = 'blocks' if in_blocks(execution) else 'whole'
  begin = time.perf_counter()
  run = _whole if execution == 'whole' else _blockwise
  gradient, predict = run(
      net, recipe, task, rows, num_devices, batch_statistics)
  seconds = time.perf_counter() - begin

  def logits(params, batch_stats, gates, images):
    state = params, batch_stats, dict(gates)
    return predict(*(parallel.first_copy(state) if num_devices > 1 else state),
                   images)

  return Engine(
      net, functools.partial(steps.start, net, recipe), gradient,
      functools.partial(_update, recipe, execution == 'whole'), logits,
      _objective(net, recipe, task, rows), seconds)


def in_blocks(execution: str) -> bool:
  """Whether this execution runs node by node here."""
  return execution == 'blocks' or (
      execution == 'auto' and jax.default_backend() == 'cpu')


def _objective(net, recipe, task, rows):
  prepared = _prepared_objective(net, recipe, rows)

  def objective(params, batch_stats, gates, images, labels, key):
    keys = jax.random.split(key, 3)
    images, labels = steps.prepare(recipe, task, images, labels, keys[0])
    return prepared(params, batch_stats, gates, images, labels, keys[1],
                    jax.random.fold_in(keys[0], 2))

  return objective


def _prepared_objective(net, recipe, rows):
  """The same of augmented images."""
  model = graph.GraphNet(net)

  def objective(params, batch_stats, gates, images, labels, drop_key, key,
                train=True):
    logits, updates = model.apply(
        _of(net, params, batch_stats), images, train=train, drop_key=drop_key,
        gates=rows(gates), mutable=['batch_stats'],
        rngs={'dropout': drop_key})
    loss, accuracy = steps.objective(recipe, key)(logits, labels)
    return loss, (accuracy, updates.get('batch_stats', {}))

  return objective


def _whole(net, recipe, task, rows, num_devices, batch_statistics):
  several = num_devices > 1
  objective = _prepared_objective(net, recipe, rows)
  shared = steps.shared_programs(recipe, task)

  def gradient(state, images, first, second, mixed, drop_key, key, *, weights,
               train):
    labels = losses.Labels(first, second, mixed)
    (loss, (accuracy, new)), grads = jax.value_and_grad(
        functools.partial(objective, train=train),
        (0, 2) if weights else 2, has_aux=True)(
            *state, images, labels, parallel.own_key(drop_key, several), key)
    found = grads, (loss, accuracy, new)
    return jax.lax.pmean(found, parallel.BATCH_AXIS) if several else found

  @functools.lru_cache
  def compiled(weights, train):
    fn = functools.partial(gradient, weights=weights, train=train)
    return parallel.pmap_batch(
        fn, num_sharded=3, num_devices=num_devices) if several else (
            jax.jit(fn))

  def run(params, batch_stats, gates, images, labels, key, *, weights=True,
          train=True):
    variables = _of(net, params, batch_stats)
    images, labels, *keys = shared.prepare(images, labels, key)
    grads, (loss, accuracy, new) = compiled(weights, train)(
        (*variables.values(), dict(gates)), images, *labels, *keys)
    grads, of_gates = grads if weights else (None, grads)
    return Gradient(loss, accuracy, grads, of_gates, batch_stats | new)

  @jax.jit
  def logits(params, batch_stats, gates, images):
    found, _ = graph.GraphNet(net).apply(
        {'params': params, 'batch_stats': batch_stats},
        steps.normalise(task, images), train=batch_statistics,
        gates=rows(gates), mutable=['batch_stats'],
        rngs={'dropout': jax.random.key(0)})
    return found.main.astype(jnp.float32)

  return run, lambda params, stats, gates, images: logits(
      *_of(net, params, stats).values(), dict(gates), images)


def _blockwise(net, recipe, task, rows, num_devices, batch_statistics,
               evaluates=True):
  programs = blocks.compile_programs(
      net, recipe.batch_size, recipe.eval_batch_size if evaluates else None,
      num_devices, batch_statistics)
  frozen = functools.lru_cache(lambda: blocks.compile_programs(
      net, recipe.batch_size, None, num_devices, running_statistics=True))
  shared = steps.shared_programs(recipe, task)
  split, gather = _split(rows)

  def run(params, batch_stats, gates, images, labels, key, *, weights=True,
          train=True):
    programs_ = programs if train else frozen()
    images, labels, drop_key, loss_key = shared.prepare(images, labels, key)
    logits, new, pullbacks = blocks.forward(
        graph.Variables(params, batch_stats), programs_, images, drop_key, 0.,
        split(dict(gates)))
    (loss, accuracy), cotangents = shared.head(logits, labels, loss_key)
    grads, _, of_rows = blocks.backward(
        programs_, pullbacks, cotangents, weights)
    return Gradient(loss, accuracy, grads if weights else None,
                    gather(dict(gates), of_rows), batch_stats | new)

  def logits(params, batch_stats, gates, images):
    return blocks.predict(
        graph.Variables(params, batch_stats), programs,
        shared.normalise(images), split(dict(gates)))

  return run, logits


def one_path(
    engine: Engine,
    build: Callable[[Mapping[str, tuple[int, ...]]], graph.Graph],
    recipe: recipes.Recipe,
    task: steps.Task,
    *,
    rows: Callable[[Gates], Gates] = dict,
    num_devices: int = 1,
) -> Callable[[Gates], Engine]:
  """Computes only the candidates whose weights are not 0.

  Args:
    engine: of all candidates, run as blocks.
    build: kind -> candidate of each edge, -1 for none -> a network of these,
      with the names of the nodes of `engine.net`.
    recipe: as of the engine.
    task: as of the engine.
    rows: as of the engine.
    num_devices: as of the engine.

  Returns:
    From weights, kind -> float[E, K] with at most one candidate per edge that
    is not 0, to an engine whose gradients have the shapes of the whole, 0
    for what was not computed.
  """
  whole = graph.shapes(engine.net)

  def make_of(weights):
    chosen = {}
    for kind, values in weights.items():
      if kind != 'knobs' and relax.is_kind(kind):
        values = np.asarray(values)
        chosen[kind] = tuple(
            int(i) for i in np.where(values.any(-1), values.argmax(-1), -1))
    net = build(chosen)
    part = graph.shapes(net)
    run, _ = _blockwise(net, recipe, task, rows, num_devices, False,
                        evaluates=False)

    def gradient(params, batch_stats, gates, images, labels, key, **kwargs):
      found = run(
          *(_part(tree, like) for tree, like in (
              (params, part.params), (batch_stats, part.batch_stats))),
          gates, images, labels, key, **kwargs)
      stats = {name: tree | found.batch_stats.get(name, {})
               for name, tree in batch_stats.items()}
      if found.params is not None:
        found = found._replace(params=_filled(found.params, whole.params))
      return found._replace(batch_stats=stats)

    return engine._replace(net=net, gradient=gradient)

  return make_of


def _part(tree, like):
  """Of nodes and their operations, those that `like` has."""
  return {name: {key: tree[name][key] for key in inner}
          for name, inner in like.items()}


def _filled(tree, like):
  """With zeros where `like` has more."""
  return {name: {
      key: tree[name][key] if name in tree and key in tree[name] else
      _zeros(key_shapes) for key, key_shapes in inner.items()}
          for name, inner in like.items()}


def _zeros(shapes):
  return jax.tree.map(
      lambda x: _zeros_of(x.shape, jnp.dtype(x.dtype).name), shapes)


@functools.lru_cache
def _zeros_of(shape, dtype):
  return jnp.zeros(shape, dtype)


@functools.lru_cache
def _split(rows):
  """`rows` and its transpose, compiled."""
  def gather(gates, cotangents):
    return jax.vjp(rows, gates)[1](cotangents)[0]

  return jax.jit(rows), jax.jit(gather)


def _update(recipe, one_program, state, grads, batch_stats, pace
            ) -> steps.TrainState:
  """The step of the nodes that have a gradient."""
  pace = jax.tree.map(np.float32, pace)
  grads = {name: grad for name, grad in grads.items() if grad}
  params, optimizer = (
      {name: tree[name] for name in grads}
      for tree in (state.params, state.optimizer))
  if one_program:
    params, _, optimizer = _step(
        recipe, steps.TrainState(params, {}, optimizer), grads, pace)
  else:
    shared = steps.shared_programs(recipe, None)
    if recipe.decay_in_loss:
      grads = {name: shared.penalise(params[name], grad)[0]
               for name, grad in grads.items()}
    norm = steps.global_norm([_squares(grad) for grad in grads.values()])
    pairs = {name: shared.update(
        params[name], grad, optimizer[name], norm, pace)
             for name, grad in grads.items()}
    params = {name: new for name, (new, _) in pairs.items()}
    optimizer = {name: new for name, (_, new) in pairs.items()}
  return steps.TrainState(
      state.params | params, state.batch_stats | batch_stats,
      state.optimizer | optimizer)


_squares = jax.jit(optimizers.squares)


_step = jax.jit(steps.apply_gradients, static_argnums=0)


def _of(net, params, batch_stats):
  """What of the variables belongs to this network."""
  return {'params': {n.name: params[n.name] for n in net.nodes},
          'batch_stats': {n.name: batch_stats[n.name] for n in net.nodes}}
