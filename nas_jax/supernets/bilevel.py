"""Gradient searches: architecture parameters and weights by turns.

The problem is min over alphas of L_val(w*(alphas), alphas), where w* minimises
L_train(w, alphas). Each step updates the alphas on a validation batch, then
the weights on a training batch. The gradient of the alphas is of

  first order: L_val(w, alphas), with the weights as they are;
  second order: L_val(w', alphas), where w' is one step of SGD on L_train, whose
    second derivative is a central difference;
  exact: the same, differentiated through the step.

References:
  Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 2.3, algorithm 1, and
    quark0/darts, architect.py.
  Xie et al., SNAS, arXiv 1812.09926 (joint).
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import base
from nas_jax import checks
from nas_jax.supernets import engine as engines
from nas_jax.supernets import relax
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import schedules
from nas_jax.training import steps

Array = jax.Array
Alphas = dict[str, Array]  # <kind> float32[E, K], perhaps edges_<kind> [E]
Values = Mapping[str, Array]  # float32[] each
KNOBS = ('auxiliary_skip', 'skip_dropout', 'drop_path')
ORDERS = ('first', 'second', 'exact', 'joint', 'none')
_STEP_OF_DIFFERENCE = .01  # times 1 / norm of the direction


class Relaxation(NamedTuple):
  """From architecture parameters to the weights of candidates.

  Attributes:
    weights: (key, alphas, values) -> weights, jittable, differentiable.
    values: epoch, from 0 -> the numbers that change between epochs; those
      named in KNOBS are knobs of the network, see `relax.gates`.
    penalty: (alphas, weights, values) -> float32[], added to the loss of the
      alphas.
    perturb: (key, weights, values) -> those with which the network is trained.
    attack: (key, weights, values, loss, gradient) -> the same, on the host;
      the last two are of the training loss as a function of the weights, with
      running statistics.
  """
  weights: Callable[[base.Key, Alphas, Values], Alphas]
  values: Callable[[int], Mapping[str, float]] = lambda epoch: {}
  penalty: Callable[[Alphas, Alphas, Values], Array] | None = None
  perturb: Callable[[base.Key, Alphas, Values], Alphas] | None = None
  attack: Callable[..., Alphas] | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
  """How alphas are updated; the defaults are those of DARTS.

  Attributes:
    order: one of ORDERS; 'joint' updates the alphas with the weights, on the
      training batch (SNAS); 'none' leaves them as they are.
    learning_rate: of Adam.
    beta1: its decay of the mean.
    beta2: its decay of the mean square.
    weight_decay: times the alphas is added to their gradient.
    clip_norm: global norm of their gradient, None for no limit.
    warmup_epochs: in which alphas stay as they are.
    init_mean: of the first alphas.
    init_scale: their standard deviation.

  Raises:
    ValueError: a setting out of range.
  """
  order: str = 'first'
  learning_rate: float = 3e-4
  beta1: float = .5
  beta2: float = .999
  weight_decay: float = 1e-3
  clip_norm: float | None = None
  warmup_epochs: int = 0
  init_mean: float = 0.
  init_scale: float = 1e-3

  def __post_init__(self):
    checks.one_of('order', self.order, ORDERS)
    checks.at_least(self, 0, 'learning_rate', 'weight_decay', 'clip_norm',
                    'warmup_epochs', 'init_scale')


class State(NamedTuple):
  step: np.int32  # completed
  weights: steps.TrainState
  alphas: Alphas
  adam: optax.ScaleByAdamState  # of the alphas
  sums: Array  # float32[2, 2]: training, validation x loss, accuracy; of epoch


def make(
    engine: engines.Engine,
    recipe: recipes.Recipe,
    relaxation: Relaxation,
    shapes: Mapping[str, tuple[int, ...]],
    derive: Callable[[Alphas], base.Genotype],
    *,
    steps_per_epoch: int,
    settings: Settings = Settings(),
    pick: Callable[[Alphas], engines.Engine] | None = None,
) -> base.GradientSearch:
  """A gradient search for `descent.descend`, which runs on the host.

  Batches are (images uint8[B, H, W, C], labels int32[B]). Metrics are means
  over the steps of the epoch so far.

  Args:
    engine: losses and gradients of the search network.
    recipe: of its weights.
    relaxation: from alphas to weights of candidates.
    shapes: of the alphas.
    derive: from alphas to an architecture.
    steps_per_epoch: training batches per epoch.
    settings: of the alphas.
    pick: weights of candidates -> the engine that computes those that are not
      0, where most are.

  Raises:
    ValueError: an order of the gradient that the recipe or the relaxation
      does not allow.

  Note: as in the public code, passes for the alphas move the running
  statistics too, the virtual step is not clipped and has momentum and weight
  decay, and the same augmented training batch serves all passes of a step.
  """
  if settings.order in ('second', 'exact') and recipe.optimizer != 'sgd':
    raise ValueError(f'order is {settings.order!r}, whose inner step is one of '
                     f'SGD, but the optimizer is {recipe.optimizer!r}')
  if settings.order in ('second', 'exact') and pick is not None:
    raise ValueError(f'order is {settings.order!r}, but sampled paths have '
                     'gradients of first order only')
  pick = pick or (lambda weights: engine)
  relaxed = jax.jit(relaxation.weights)
  pull = jax.jit(functools.partial(_pull, relaxation))
  move_alphas = jax.jit(functools.partial(move, settings))
  perturb = relaxation.perturb and jax.jit(relaxation.perturb)
  exact = jax.jit(functools.partial(_exact, engine, recipe, relaxation))

  def init(key):
    weights_key, alphas_key = jax.random.split(key)
    alphas = relax.init(alphas_key, shapes, mean=settings.init_mean,
                        scale=settings.init_scale)
    return State(np.int32(0), engine.init(weights_key), alphas,
                 adam_of(settings).init(alphas), jnp.zeros((2, 2)))

  def of_alphas(state, values, keys, train, validation, pace):
    """The gradient of the alphas, and that of the batch it is of."""
    params, stats, optimizer = state.weights
    weights = relaxed(keys['relax'], state.alphas, values)
    gates, chosen = gates_of(weights, values), pick(weights)
    train = functools.partial(
        chosen.gradient, images=train[0], labels=train[1], key=keys['train'])
    if settings.order == 'first':
      found = chosen.gradient(params, stats, gates, *validation,
                              keys['validation'], weights=False)
      of_gates = found.gates
    else:
      first = train(params, stats, gates)
      moved = virtual(recipe, params, first.params, optimizer, pace)
      found = chosen.gradient(
          moved, first.batch_stats, gates, *validation, keys['validation'])
      radius, ends = _around(params, found.params)
      up = train(ends[0], first.batch_stats, gates, weights=False)
      down = train(ends[1], up.batch_stats, gates, weights=False)
      of_gates = corrected(found.gates, up.gates, down.gates, radius, pace.rate)
      found = found._replace(batch_stats=down.batch_stats)
    return pull(keys['relax'], state.alphas, values, of_gates), found

  def update(key, state, train, validation):
    number = int(state.step)
    epoch, within = divmod(number, steps_per_epoch)
    pace = optimizers.Pace(*map(np.float32, (
        schedules.learning_rate(recipe, epoch, within / steps_per_epoch), 0,
        schedules.average_decay(recipe, number))))
    values = {k: np.float32(v) for k, v in relaxation.values(epoch).items()}
    names = ('train', 'validation', 'relax', 'again', 'perturb')
    keys = dict(zip(names, jax.random.split(key, len(names))))
    searches = (epoch >= settings.warmup_epochs and settings.order != 'none')
    joint = settings.order == 'joint'
    sums = state.sums if within else jnp.zeros_like(state.sums)
    if searches and not joint:
      find = exact if settings.order == 'exact' else of_alphas
      grads, found = find(state, values, keys, train, validation, pace)
      alphas, adam = move_alphas(state.alphas, grads, state.adam)
      state = state._replace(
          alphas=alphas, adam=adam, weights=state.weights._replace(
              batch_stats=found.batch_stats))
      sums = _count(sums, 1, found.loss, found.accuracy)
    weights = relaxed(keys['again'], state.alphas, values)
    chosen = pick(weights)
    params, stats, _ = state.weights
    if perturb:
      weights = perturb(keys['perturb'], weights, values)
    if relaxation.attack:
      weights = _attacked(relaxation, chosen, state, weights, values, train,
                          keys)
    found = chosen.gradient(params, stats, gates_of(weights, values), *train,
                            keys['train'])
    if searches and joint:
      grads = pull(keys['again'], state.alphas, values, found.gates)
      alphas, adam = move_alphas(state.alphas, grads, state.adam)
      state = state._replace(alphas=alphas, adam=adam)
    trained = engine.update(
        state.weights, found.params, found.batch_stats, pace)
    sums = _count(sums, 0, found.loss, found.accuracy)
    means = np.asarray(sums) / (within + 1)
    metrics = {'loss': means[0, 0], 'train_accuracy': means[0, 1]}
    if searches and not joint:
      metrics |= {'validation_loss': means[1, 0],
                  'validation_accuracy': means[1, 1]}
    return State(np.int32(number + 1), trained, state.alphas, state.adam,
                 sums), metrics

  return base.GradientSearch(
      init, update, lambda state: derive(state.alphas), jittable=False)


@jax.jit
def gates_of(weights: Alphas, values: Values) -> dict[str, Array]:
  """The gates of the network, with the knobs among the values."""
  return relax.gates(weights, **{k: values[k] for k in KNOBS if k in values})


def virtual(recipe: recipes.Recipe, params: dict, grads: dict, optimizer: dict,
            pace: optimizers.Pace) -> dict:
  """w' = w - rate * (momentum * buffer + gradient + weight_decay * w)."""
  return params | {
      name: _virtual_node(recipe, params[name], grad, optimizer[name], pace)
      for name, grad in grads.items()}


@functools.partial(jax.jit, static_argnums=0)
def _virtual_node(recipe, params, grads, optimizer, pace):
  recipe = dataclasses.replace(recipe, clip_norm=None)
  return optimizers.update(
      recipe, params, optimizers.penalised(recipe, params, grads), optimizer,
      jnp.float32(0), pace)[0]


def _around(params, direction):
  """R = 0.01 / |direction|, and params +- R direction."""
  norm = steps.global_norm([_squares(tree) for tree in direction.values()])
  radius = _STEP_OF_DIFFERENCE / norm
  return radius, [
      params | {name: _shift(params[name], tree, sign * radius)
                for name, tree in direction.items()} for sign in (1, -1)]


@jax.jit
def corrected(grads: Alphas, up: Alphas, down: Alphas, radius: Array,
              rate: Array) -> Alphas:
  """Gradients less rate times the central difference of two others."""
  return jax.tree.map(lambda g, u, d: g - rate * (u - d) / (2 * radius),
                      grads, up, down)


_squares = jax.jit(optimizers.squares)


@jax.jit
def _shift(params, direction, radius):
  return jax.tree.map(lambda p, d: p + radius * d, params, direction)


@functools.partial(jax.jit, static_argnums=1)
def _count(sums, row, loss, accuracy):
  return sums.at[row].add(jnp.stack([loss, accuracy]).astype(sums.dtype))


def _pull(relaxation, key, alphas, values, of_gates):
  """The gradient of alphas from that of gates, and that of the penalty."""
  def product(alphas):
    weights = relaxation.weights(key, alphas, values)
    return sum(jnp.vdot(of_gates[k].astype(v.dtype), v)
               for k, v in weights.items()) + _penalty(
                   relaxation, alphas, weights, values)

  return jax.grad(product)(alphas)


def _penalty(relaxation, alphas, weights, values):
  return relaxation.penalty(
      alphas, weights, values) if relaxation.penalty else 0.


def _exact(engine, recipe, relaxation, state, values, keys, train, validation,
           pace):
  """By differentiating through the inner step, in one program."""
  params, stats, optimizer = state.weights

  def outer(alphas):
    weights = relaxation.weights(keys['relax'], alphas, values)
    gates = gates_of(weights, values)
    grads, (_, stats_) = jax.grad(engine.objective, has_aux=True)(
        params, stats, gates, *train, keys['train'])
    moved = virtual(recipe, params, grads, optimizer, pace)
    # Losses in training do not depend on the running statistics.
    loss, (accuracy, _) = engine.objective(
        moved, stats, gates, *validation, keys['validation'])
    penalty = _penalty(relaxation, alphas, weights, values)
    return loss + penalty, (loss, accuracy, stats | stats_)

  (_, (loss, accuracy, stats)), grads = jax.value_and_grad(
      outer, has_aux=True)(state.alphas)
  return grads, engines.Gradient(loss, accuracy, None, {}, stats)


def _attacked(relaxation, engine, state, weights, values, train, keys):
  """The weights of candidates after the attack on the training loss."""
  params, stats, _ = state.weights

  def gradient(weights):
    return engine.gradient(params, stats, gates_of(weights, values), *train,
                           keys['train'], weights=False, train=False)

  return relaxation.attack(
      keys['perturb'], weights, values, lambda w: gradient(w).loss,
      lambda w: gradient(w).gates)


def move(settings: Settings, alphas: Alphas, grads: Alphas,
         adam: optax.ScaleByAdamState
         ) -> tuple[Alphas, optax.ScaleByAdamState]:
  """One step of Adam with coupled weight decay; its state is of `adam_of`."""
  if settings.clip_norm is not None:
    grads, _ = optimizers.clipped(settings.clip_norm, grads)
  grads = jax.tree.map(
      lambda g, a: g + settings.weight_decay * a, grads, alphas)
  moved, adam = adam_of(settings).update(grads, adam)
  return jax.tree.map(
      lambda a, m: a - settings.learning_rate * m, alphas, moved), adam


def adam_of(settings: Settings) -> optax.GradientTransformation:
  """Adam of the alphas, without its rate."""
  return optax.scale_by_adam(settings.beta1, settings.beta2)
