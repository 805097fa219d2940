"""From a gradient to the next parameters, as pure functions of any tree.

All but the norm is elementwise, so a network can be updated node by node.
"""

from collections.abc import Mapping
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax.training import recipes

Array = jax.Array
Tree = Any


class State(NamedTuple):
  """What is kept for the parameters of one node, in their structure."""
  momentum: Tree  # () for sgd without momentum
  mean_square: Tree  # of rmsprop; adam: (it, int32[] steps); else ()
  average: Tree  # of the parameters, if the recipe averages, else ()


class Pace(NamedTuple):
  """What changes from step to step."""
  rate: Array  # float32[], the learning rate
  progress: Array  # float32[], of dropped paths, see `schedules`
  decay: Array  # float32[], of averages


def init(recipe: recipes.Recipe, params: Tree) -> State:
  """The first state, made on the host, uncompiled."""
  fill = lambda value: jax.tree.map(
      lambda p: jnp.asarray(np.full(p.shape, value, p.dtype)), params)
  mean_square = ()
  if recipe.optimizer == 'rmsprop':
    mean_square = fill(1.)
  elif recipe.optimizer == 'adam':
    mean_square = fill(0.), jnp.asarray(np.zeros((), np.int32))
  return State(fill(0.) if _accumulates(recipe) else (), mean_square,
               jax.tree.map(jnp.copy, params) if recipe.ema_decay else ())


def shapes(recipe: recipes.Recipe, params: Tree) -> State:
  """Of what `init` returns."""
  mean_square = {
      'sgd': (), 'rmsprop': params,
      'adam': (params, jax.ShapeDtypeStruct((), jnp.int32))}
  return State(params if _accumulates(recipe) else (),
               mean_square[recipe.optimizer],
               params if recipe.ema_decay else ())


def averaged(recipe: recipes.Recipe, params: Tree, state: State) -> Tree:
  """The parameters to evaluate."""
  return state.average if recipe.ema_decay else params


def penalised(recipe: recipes.Recipe, params: Tree, grads: Tree) -> Tree:
  """The gradient of the loss with the L2 penalty, if it is in the loss.

  The penalty is weight_decay / 2 times the sum of squares.
  """
  return _add_decay(recipe, params, grads) if recipe.decay_in_loss else grads


def update(
    recipe: recipes.Recipe, params: Tree, grads: Tree, state: State,
    norm: Array, pace: Pace) -> tuple[Tree, State]:
  """One step: clip, add the coupled decay, accumulate, move, average.

  sgd: m = momentum * m + g; p -= rate * m, or, with Nesterov's momentum,
    p -= rate * (g + momentum * m).
  rmsprop: s = decay * s + (1 - decay) * g**2, s starting at 1; m = momentum *
    m + rate * g / sqrt(s + epsilon); p -= m (TensorFlow's form).
  adam: Kingma and Ba, arXiv 1412.6980, algorithm 1.

  Args:
    recipe: settings.
    params: of one node or of all.
    grads: of the same structure, `penalised`.
    state: of the optimizer.
    norm: global norm of the gradients of all nodes.
    pace: of this step.

  Returns:
    Parameters and state.
  """
  if recipe.clip_norm is not None:
    grads, _ = clipped(recipe.clip_norm, grads, norm)
  if not recipe.decay_in_loss:
    grads = _add_decay(recipe, params, grads)
  mean_square = state.mean_square
  if recipe.optimizer == 'rmsprop':
    grads, (mean_square,) = _mean_square(recipe).update(
        grads, optax.ScaleByRmsState(mean_square))
    grads = jax.tree.map(lambda g: pace.rate * g, grads)
  if recipe.optimizer == 'adam':
    step, (count, momentum, squares_) = _adam(recipe).update(
        grads, optax.ScaleByAdamState(
            state.mean_square[1], state.momentum, state.mean_square[0]))
    mean_square = squares_, count
  elif not _accumulates(recipe):
    step, momentum = grads, ()
  else:
    step, (momentum,) = optax.trace(recipe.momentum, recipe.nesterov).update(
        grads, optax.TraceState(state.momentum))
  if recipe.optimizer != 'rmsprop':
    step = jax.tree.map(lambda s: pace.rate * s, step)
  params = jax.tree.map(lambda p, s: p - s, params, step)
  average = state.average
  if recipe.ema_decay:
    average = jax.tree.map(
        lambda a, p: a + (1 - pace.decay) * (p - a), average, params)
  return params, State(momentum, mean_square, average)


def clipped(limit: float, grads: Tree, norm: Array | None = None
            ) -> tuple[Tree, Array]:
  """Gradients of at most this global norm, as PyTorch clips them.

  Args:
    limit: of the norm.
    grads: any tree.
    norm: theirs, or of a larger tree that they are part of.

  Returns:
    The gradients, and limit / (norm + 1e-6), float32[].
  """
  norm = jnp.sqrt(squares(grads)) if norm is None else norm
  ratio = limit / (norm + 1e-6)
  scale = jnp.minimum(1., ratio)
  return jax.tree.map(lambda g: g * scale, grads), ratio


def squares(grads: Tree) -> Array:
  """Their sum, float32[]."""
  return sum((jnp.sum(g * g) for g in jax.tree.leaves(grads)),
             start=jnp.float32(0))


@functools.lru_cache
def _mean_square(recipe):
  return optax.scale_by_rms(
      recipe.rms_decay, recipe.rms_epsilon, initial_scale=1., eps_in_sqrt=True)


@functools.lru_cache
def _adam(recipe):
  return optax.scale_by_adam(
      recipe.momentum, recipe.rms_decay, recipe.rms_epsilon)


def _accumulates(recipe):
  return recipe.momentum > 0 or recipe.optimizer != 'sgd'


def _add_decay(recipe, params, grads):
  if not recipe.weight_decay:
    return grads
  return jax.tree.map(
      lambda p, g, on: g + recipe.weight_decay * p if on else g,
      params, grads, _decays(recipe.decayed, params))


def _decays(decayed: str, params: Tree) -> Tree:
  """Which parameters decay: a tree of bool."""
  if decayed == 'weights':
    return jax.tree.map(lambda p: p.ndim > 1, params)

  def visit(tree):
    if not isinstance(tree, Mapping):
      return True
    # The bias of a norm stands beside its scale.
    return {name: 'scale' in tree if name == 'bias' else visit(child)
            for name, child in tree.items()}

  return visit(params) if decayed == 'no_biases' else jax.tree.map(
      lambda _: True, params)
