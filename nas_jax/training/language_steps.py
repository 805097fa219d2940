"""One step of a language model, and one evaluation.

Truncated back-propagation through time: a window of text at a time, the
hidden state carried from window to window.
"""

from collections.abc import Callable
import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import language
from nas_jax.training import language_recipes
from nas_jax.training import optimizers
from nas_jax.training import recipes

Array = jax.Array
Tree = Any


class State(NamedTuple):
  """What a step changes."""
  params: Tree
  hidden: Tree  # after the last window
  optimizer: optimizers.State
  average: Tree  # of the parameters, if the recipe averages, else ()
  averaged: Array  # int32[], steps in the average; -1 before it begins
  loss: Array  # float32[], sum over the epoch: nats of tokens of one stream


class Trainer(NamedTuple):
  """Compiled functions of one model under one recipe.

  Attributes:
    model: that is trained.
    init: key -> State.
    step: (key, state, inputs int32[T, B], targets int32[T, B], *, length,
      number, rate) -> state. The number of the step is folded into the key;
      only the first `length` of the T steps count. The state is used up.
    evaluate: (params, hidden, inputs int32[T, B], targets int32[T, B],
      length) -> (hidden, sum of the cross-entropies in nats). The hidden
      state is used up.
    compile_seconds: () -> spent on compiling so far.
  """
  model: language.Model
  init: Callable[[Array], State]
  step: Callable[..., State]
  evaluate: Callable[..., tuple[Tree, Array]]
  compile_seconds: Callable[[], float]


def make(model: language.Model, recipe: language_recipes.LanguageRecipe
         ) -> Trainer:
  """The functions of a training; each program is compiled when it is needed.

  The loss is the mean cross-entropy of a window, plus activation_weight times
  the mean square of the outputs after dropout, plus slowness times the mean
  square of the changes of the outputs before dropout. The gradient is
  clipped by its global norm, then weight_decay times the parameters is added.

  References:
    S. Merity, N. S. Keskar, R. Socher, "Regularizing and optimizing LSTM
    language models", arXiv 1708.02182, sections 3 to 4.
    B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by
    averaging", SIAM J. Control Optim. 30 (4), 1992.

  Note: as PyTorch's ASGD with t0 = 0 and lambd = 0 has it, the average is of
    the parameters after all its steps but the first. There each step moves by
    the rate that the step before was given; here by its own.
  """
  own = _optimizer(recipe)
  rates = recipe.rates()
  averages = recipe.optimizer == 'nt_asgd'

  def init(key):
    params = model.init(key)
    return State(
        params, model.start(recipe.batch_size), optimizers.init(own, params),
        jax.tree.map(jnp.copy, params) if averages else (),
        jnp.int32(-1), jnp.float32(0))

  def step(key, state, inputs, targets, length, number, rate):
    key = jax.random.fold_in(key, number)

    def objective(params):
      found = model.apply(params, inputs, state.hidden, key=key, rates=rates,
                          length=length)
      loss = language.mean_loss(params, found.outputs, targets, length)
      return loss + penalties(recipe, found, length), (loss, found.hidden)

    (_, (loss, hidden)), grads = jax.value_and_grad(
        objective, has_aux=True)(state.params)
    grads = optimizers.penalised(own, state.params, grads)
    params, moments = optimizers.update(
        own, state.params, grads, state.optimizer,
        jnp.sqrt(optimizers.squares(grads)),
        optimizers.Pace(rate, jnp.float32(0), jnp.float32(0)))
    average, averaged = state.average, state.averaged
    if averages:
      average, averaged = _averaged(params, average, averaged)
    return State(params, hidden, moments, average, averaged,
                 state.loss + loss * length)

  def evaluate(params, hidden, inputs, targets, length):
    found = model.apply(params, inputs, hidden, length=length)
    losses = language.losses(params, found.outputs, targets)
    counted = jnp.arange(len(inputs)) < length
    return found.hidden, jnp.sum(losses * counted[:, None])

  spent = [0.]
  step = _compiled(jax.jit(step, donate_argnums=1), spent)
  evaluate = _compiled(jax.jit(evaluate, donate_argnums=1), spent)
  return Trainer(
      model, init,
      lambda key, state, inputs, targets, *, length, number, rate: step(
          key, state, inputs, targets, np.int32(length), np.int32(number),
          np.float32(rate)),
      lambda params, hidden, inputs, targets, length: evaluate(
          params, hidden, inputs, targets, np.int32(length)),
      lambda: spent[0])


def penalties(recipe: language_recipes.LanguageRecipe,
              found: language.Output, length: Array) -> Array:
  """Activation regularisation, and temporal: what changes slowly.

  Args:
    recipe: settings.
    found: what a model makes of a window.
    length: int32[], steps that count.
  """
  total = jnp.float32(0)
  if recipe.activation_weight:
    total += recipe.activation_weight * _mean_square(found.outputs, length)
  if recipe.slowness:
    total += recipe.slowness * _mean_square(
        found.raw[1:] - found.raw[:-1], length - 1)
  return total


def _mean_square(x, length):
  """Of the first `length` steps of float[T, B, d]; 0 if there is none."""
  counted = jnp.arange(len(x)) < length
  total = jnp.sum(jnp.sum(jnp.square(x), (1, 2)) * counted)
  return total / (jnp.maximum(length, 1) * math.prod(x.shape[1:]))


def _averaged(params, average, averaged):
  """The average after a step, and how many steps it counts."""
  count = jnp.where(averaged < 0, -1, averaged + 1)
  share = 1. / jnp.maximum(count - 1, 1)
  # Equal to the parameters, bit for bit, where it begins.
  return jax.tree.map(
      lambda a, p: jnp.where(count > 2, a + share * (p - a), p),
      average, params), count


def _optimizer(recipe):
  """The same settings in the words of `optimizers`."""
  adam = recipe.optimizer == 'adam'
  return recipes.Recipe(
      recipe.epochs, optimizer='adam' if adam else 'sgd',
      momentum=.9 if adam else 0., rms_decay=.999, rms_epsilon=1e-8,
      weight_decay=recipe.weight_decay, clip_norm=recipe.clip_norm)


def _compiled(jitted, spent):
  """Calls with a program for each shape of tokens; adds up what it took."""
  programs = {}

  def call(*args):
    shape = args[2].shape
    if shape not in programs:
      begin = time.perf_counter()
      programs[shape] = jitted.lower(*args).compile()
      spent[0] += time.perf_counter() - begin
    return programs[shape](*args)

  return call
