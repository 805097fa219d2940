"""The gradient search of recurrent cells: alphas and weights by turns.

As `bilevel`, with what DARTS' recurrent code does otherwise: states are carried
from window to window, of training and of validation text apart; gradients are
clipped; the virtual step has no momentum.

Reference: Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 2.3 and appendix
  A.2.2; quark0/darts, rnn/architect.py and rnn/train_search.py.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nas_jax import base
from nas_jax import checks
from nas_jax.networks import language
from nas_jax.supernets import bilevel
from nas_jax.supernets import recurrent
from nas_jax.supernets import relax
from nas_jax.training import language_recipes
from nas_jax.training import language_steps
from nas_jax.training import optimizers

Array = jax.Array
ORDERS = ('first', 'second')
SETTINGS = bilevel.Settings(learning_rate=3e-3, beta1=.9)
_STEP_OF_DIFFERENCE = .01  # times 1 / norm of the direction


class Batch(NamedTuple):
  """A window of text."""
  inputs: Array  # int32[T, B]
  targets: Array  # int32[T, B]
  length: Array  # int32[], steps that count
  start: Array  # bool[], whether an epoch begins: states are zeros


class State(NamedTuple):
  step: Array  # int32[], completed
  params: language.Params  # without the alphas
  norm: recurrent.Norm
  alphas: bilevel.Alphas  # 'recurrent' float32[E, K]
  adam: optax.ScaleByAdamState  # of the alphas
  hidden: Array  # float32[B, d], after the last training window
  validation_hidden: Array  # float32[B, d], after the last validation window
  sums: Array  # float32[2, 2]: training, validation x loss, steps; of the epoch


class Network(NamedTuple):
  """The search network in training and in evaluation; same parameters."""
  train: language.Model
  evaluate: language.Model
  num_nodes: int


def network(sizes: language.Sizes, num_nodes: int = 8) -> Network:
  """The search network.

  Args:
    sizes: of a model of one layer.
    num_nodes: of the cell.

  Raises:
    ValueError: several layers, or no nodes.
  """
  if sizes.num_layers != 1:
    raise ValueError(f'num_layers is {sizes.num_layers}, but the search '
                     'network has 1 layer')
  return Network(*(language.of_cell(recurrent.cell(
      num_nodes, train=train, init_range=sizes.init_range), sizes)
                   for train in (True, False)), num_nodes)


def with_alphas(params: language.Params, alphas: bilevel.Alphas
                ) -> language.Params:
  """Parameters with which the models of a `Network` run."""
  layer, = params['layers']
  return params | {
      'layers': [layer | {recurrent.ALPHAS: alphas[recurrent.KIND]}]}


def make(
    net: Network,
    recipe: language_recipes.LanguageRecipe,
    *,
    settings: bilevel.Settings = SETTINGS,
    clamp: bool = False,
) -> base.GradientSearch:
  """A gradient search for `descent.descend`, which runs on the host.

  Batches are `Batch`es. A step of first order has the gradient of the
  validation loss in the alphas, of all weights as they are. Of second order,
  it is that of L_val(w', alphas) less the central difference along v of

    rate * c * d/dalphas L_train(w, alphas), v = clip(d/dw' L_val(w', alphas)),
    w' = w - rate * (clip(d/dw L_train) + weight_decay * w),
    c = clip_norm / (norm of d/dw L_train + 1e-6).

  Metrics are mean losses of the epoch so far, in nats per word.

  Args:
    net: see `network`.
    recipe: of the weights.
    settings: of the alphas.
    clamp: whether c is at most 1, as it is where gradients are clipped. In the
      public code it is not: small gradients make the second term larger.

  Raises:
    ValueError: another order, or a recipe that does not fit.

  The penalties of the recipe are part of the loss of the weights alone.

  Note: one choice of dropped units serves all passes over the training window
    in a step, so that the difference is of one function.
  """
  checks.one_of('order', settings.order, ORDERS)
  if recipe.optimizer != 'sgd':
    raise ValueError('weights are searched with SGD, but the optimizer is '
                     f'{recipe.optimizer!r}')
  if recipe.rate_decay != 1:
    raise ValueError('weights are searched with one learning rate, but '
                     f'rate_decay is {recipe.rate_decay}')
  if settings.order == 'second' and recipe.clip_norm is None:
    raise ValueError('order second needs the clip_norm of the recipe')
  size = recurrent.num_edges(net.num_nodes)
  shapes = {recurrent.KIND: (size, len(recurrent.CANDIDATES))}

  def loss(params, alphas, norm, hidden, batch, key, penalised):
    out = net.train.apply(
        with_alphas(params, alphas), batch.inputs,
        [recurrent.State(hidden, norm)], key=key, rates=recipe.rates(),
        length=batch.length)
    value = language.mean_loss(params, out.outputs, batch.targets, batch.length)
    penalty = language_steps.penalties(recipe, out, batch.length)
    return value + penalised * penalty, (value, out.hidden[0])

  differentiated = lambda wrt: jax.jit(jax.grad(loss, wrt, has_aux=True))
  of_weights, of_alphas, of_both = map(differentiated, (0, 1, (0, 1)))
  descend = jax.jit(functools.partial(_descended, recipe))
  around = jax.jit(functools.partial(_around, recipe.clip_norm))
  pace = jax.jit(functools.partial(_rate, recipe))
  move = jax.jit(functools.partial(bilevel.move, settings))

  def init(key):
    keys = jax.random.split(key)
    params = net.train.init(keys[0])
    alphas = relax.init(keys[1], shapes, mean=settings.init_mean,
                        scale=settings.init_scale)
    start = net.train.start(recipe.batch_size)[0]
    return State(jnp.int32(0), params, start.norm, alphas,
                 bilevel.adam_of(settings).init(alphas), start.hidden,
                 start.hidden, jnp.zeros((2, 2)))

  def second(state, train, validation, keys, rate):
    """The gradient of alphas, the validation's (loss, state), statistics."""
    def training(grad, params, norm):
      return grad(params, state.alphas, norm, state.hidden, train,
                  keys[0], 0.)

    grads, (_, after) = training(of_weights, state.params, state.norm)
    moved, ratio = descend(state.params, grads, rate)
    (direction, grads), found = of_both(
        moved, state.alphas, after.norm, state.validation_hidden, validation,
        keys[1], 0.)
    radius, up, down = around(state.params, direction)
    above, (_, after) = training(of_alphas, up, after.norm)
    below, (_, after) = training(of_alphas, down, after.norm)
    factor = rate * (jnp.minimum(ratio, 1) if clamp else ratio)
    grads = bilevel.corrected(grads, above, below, radius, factor)
    return grads, found, after.norm

  def update(key, state, train, validation):
    keys = jax.random.split(key)
    state = _started(state, train.start)
    rate = pace(train.length)
    if settings.order == 'first':
      grads, found = of_alphas(
          state.params, state.alphas, state.norm, state.validation_hidden,
          validation, keys[1], 0.)
      norm = found[1].norm
    else:
      grads, found, norm = second(state, train, validation, keys, rate)
    alphas, adam = move(state.alphas, grads, state.adam)
    grads, trained = of_weights(
        state.params, alphas, norm, state.hidden, train, keys[0], 1.)
    params, _ = descend(state.params, grads, rate)
    (loss, after), (validation_loss, validation_after) = trained, found
    sums, metrics = _counted(
        state.sums, jnp.stack([loss, validation_loss]),
        jnp.stack([train.length, validation.length]))
    return State(state.step + 1, params, after.norm, alphas, adam, after.hidden,
                 validation_after.hidden, sums), metrics

  return base.GradientSearch(
      init, update, lambda state: recurrent.derive(
          state.alphas[recurrent.KIND]), jittable=False)


@jax.jit
def _started(state, start):
  """The state, with nothing of the epoch before if one begins."""
  fresh = lambda x: jnp.where(start, jnp.zeros_like(x), x)
  return state._replace(
      hidden=fresh(state.hidden),
      validation_hidden=fresh(state.validation_hidden), sums=fresh(state.sums))


def _rate(recipe, length):
  """The learning rate of a window."""
  scale = length / recipe.bptt if recipe.scale_rate else 1.
  return jnp.asarray(recipe.learning_rate * scale, jnp.float32)


def _descended(recipe, params, grads, rate):
  """w - rate * (clip(g) + weight_decay * w), and clip_norm / norm."""
  grads, ratio = _clipped(recipe.clip_norm, grads)
  return jax.tree.map(lambda w, g: w - rate * (g + recipe.weight_decay * w),
                      params, grads), ratio


def _clipped(clip_norm, grads):
  """Gradients of at most this norm, and clip_norm / norm; None is no limit."""
  if clip_norm is None:
    return grads, jnp.ones(())
  return optimizers.clipped(clip_norm, grads)


def _around(clip_norm, params, direction):
  """R = 0.01 / |v|, and the parameters +- R v, for the clipped direction v."""
  direction, _ = _clipped(clip_norm, direction)
  radius = _STEP_OF_DIFFERENCE / jnp.sqrt(optimizers.squares(direction))
  shift = lambda sign: jax.tree.map(
      lambda w, v: w + sign * radius * v, params, direction)
  return radius, shift(1), shift(-1)


@jax.jit
def _counted(sums, losses, lengths):
  """The sums with one more step, and their means as metrics."""
  sums += jnp.stack([losses * lengths, lengths.astype(losses.dtype)], 1)
  means = sums[:, 0] / sums[:, 1]
  return sums, {'loss': means[0], 'validation_loss': means[1]}
