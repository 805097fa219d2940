import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import descent
from nas_jax.supernets import bilevel
from nas_jax.supernets import engine as engines
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

_KEY = jax.random.key(0)
_PLAIN = recipes.Recipe(
    epochs=100, batch_size=1, learning_rate=.5, schedule='constant',
    momentum=0., weight_decay=0., clip_norm=None)
_SETTINGS = bilevel.Settings(weight_decay=0., init_scale=0.)


def _engine(objective, params, recipe):
  """An engine of a function (params, gates, x, y, key) -> loss."""

  def whole(params, stats, gates, images, labels, key):
    loss = objective(params, gates, images, labels, key)
    return loss, (loss > 0, {'count': {'n': stats['count']['n'] + 1}})

  @jax.jit
  def both(params, stats, gates, images, labels, key):
    return jax.value_and_grad(whole, (0, 2), has_aux=True)(
        params, stats, gates, images, labels, key)

  def gradient(params, stats, gates, images, labels, key, *, weights=True):
    (loss, (accuracy, stats)), (grads, of_gates) = both(
        params, stats, gates, images, labels, key)
    return engines.Gradient(
        loss, accuracy, grads if weights else None, of_gates, stats)

  def update(state, grads, stats, pace):
    norm = jnp.sqrt(optimizers.squares(grads))
    pairs = {k: optimizers.update(
        recipe, state.params[k], g, state.optimizer[k], norm, pace)
             for k, g in grads.items()}
    return steps.TrainState(
        {k: p for k, (p, _) in pairs.items()}, stats,
        {k: o for k, (_, o) in pairs.items()})

  return engines.Engine(
      None, lambda key: steps.TrainState(
          params, {'count': {'n': jnp.int32(0)}},
          {k: optimizers.init(recipe, v) for k, v in params.items()}),
      gradient, update, None, whole)


def _identity(key, alphas, values):
  del key, values
  return alphas


def _toy_loss(params, gates, is_validation, label, key):
  """The problem of two numbers of Liu et al., figure 2."""
  del label, key
  w, alpha = params['w']['w'], gates['cell'][0, 0]
  return jnp.where(is_validation, alpha * w - 2 * alpha + 1,
                   w**2 - 2 * alpha * w + alpha**2)


_TRAIN, _VALIDATION = (jnp.array(False), 0), (jnp.array(True), 0)


def _toy(order, rate, **settings):
  """A search from (alpha, w) = (2, -2)."""
  recipe = dataclasses.replace(_PLAIN, learning_rate=rate)
  made = bilevel.make(
      _engine(_toy_loss, {'w': {'w': jnp.float32(-2)}}, recipe), recipe,
      bilevel.Relaxation(_identity), {'cell': (1, 1)},
      lambda alphas: float(alphas['cell'][0, 0]), steps_per_epoch=10,
      settings=dataclasses.replace(_SETTINGS, order=order, **settings))

  def init(key):
    return made.init(key)._replace(alphas={'cell': jnp.full((1, 1), 2.)})

  return made._replace(init=init)


@pytest.mark.parametrize('order,rate,fixed_point', [
    ('first', .5, 2.), ('second', .25, 4 / 3), ('second', .5, 1.),
    ('exact', .5, 1.)])
def test_the_toy_problem_converges_to_its_fixed_point(
    order, rate, fixed_point):
  state, alpha, _ = descent.descend(
      _KEY, _toy(order, rate, learning_rate=.04),
      lambda step: [(_TRAIN, _VALIDATION)] * (300 - step), num_steps=300)
  assert alpha == pytest.approx(fixed_point, abs=2e-3)
  assert state.search.weights.params['w']['w'] == pytest.approx(
      fixed_point, abs=2e-3)


def test_the_first_step_of_the_toy_problem():
  for order, rate, gradient in (
      ('first', .5, -4.),  # w - 2
      ('second', .5, 2.),  # w' = 2: 2 - 2 + 2 * .5 * 2
      ('exact', .25, -1.)):  # w' = 0: 0 - 2 + .5 * 2
    toy = _toy(order, rate)
    state, metrics = toy.update(_KEY, toy.init(_KEY), _TRAIN, _VALIDATION)
    assert float(state.adam.mu['cell'][0, 0]) == pytest.approx(
        .5 * gradient, rel=1e-4)
    # Adam's first step is its rate, whatever the gradient.
    alpha = 2 - 3e-4 * np.sign(gradient)
    assert float(state.alphas['cell'][0, 0]) == pytest.approx(alpha, abs=1e-6)
    assert float(state.weights.params['w']['w']) == pytest.approx(
        -2 - rate * 2 * (-2 - alpha), abs=1e-5)
    assert metrics['loss'] == pytest.approx((-2 - alpha)**2, rel=1e-5)


_NET = recipes.Recipe(epochs=10, batch_size=8, weight_decay=3e-4,
                      learning_rate=.1, schedule='cosine_per_epoch')


def _net_loss(params, gates, x, y, key):
  """Two layers; their activations are mixed by the gates."""
  x = x + .01 * jax.random.normal(key, x.shape)
  for name in ('first', 'second'):
    x = x @ params[name]['kernel']
    mixed = jnp.stack([x, jnp.tanh(x), jax.nn.softplus(x)], -1)
    x = mixed @ gates['cell'][0] + mixed @ gates['cell'][1]
  return jnp.mean((x - y)**2)


def _net(order, momentum=0., settings=bilevel.Settings(), **relaxation):
  keys = jax.random.split(jax.random.key(3), 2)
  params = {name: {'kernel': .5 * jax.random.normal(k, (4, 4))}
            for name, k in zip(('first', 'second'), keys)}
  relaxed = bilevel.Relaxation(**{'weights': lambda key, alphas, values: {
      'cell': jax.nn.softmax(alphas['cell'])}} | relaxation)
  engine = _engine(_net_loss, params, _NET)
  made = bilevel.make(
      engine, _NET, relaxed, {'cell': (2, 3)}, lambda alphas: alphas,
      steps_per_epoch=4, settings=dataclasses.replace(settings, order=order))

  def init(key):
    state = made.init(key)
    return state._replace(weights=state.weights._replace(optimizer=jax.tree.map(
        lambda m: m + momentum, state.weights.optimizer)))

  return made._replace(init=init)


def _batch(number):
  keys = jax.random.split(jax.random.key(number))
  return jax.random.normal(keys[0], (8, 4)), jax.random.normal(keys[1], (8, 4))


def _gradient(search):
  """Of alphas, in their first step."""
  state, _ = search.update(
      _KEY, search.init(_KEY), _batch(1), _batch(2))
  return np.ravel(state.adam.mu['cell']) / .5


def test_exact_and_finite_difference_agree():
  exact, second, first = (
      _gradient(_net(order, momentum=.3)) for order in (
          'exact', 'second', 'first'))
  cosine = exact @ second / np.linalg.norm(exact) / np.linalg.norm(second)
  assert cosine > .9999
  np.testing.assert_allclose(second, exact, rtol=.01, atol=1e-5)
  assert not np.allclose(first, exact, rtol=.05)


def test_without_an_inner_step_second_order_is_first_order():
  still = optimizers.Pace(*map(np.float32, (0, 0, 0)))
  params = {'a': {'kernel': jnp.arange(3.)}}
  moved = bilevel.virtual(
      _NET, params, params, {'a': optimizers.init(_NET, params['a'])}, still)
  assert (moved['a']['kernel'] == params['a']['kernel']).all()
  # w - .1 (.9 m + g + 3e-4 w), not clipped.
  pace = still._replace(rate=np.float32(.1))
  moved = bilevel.virtual(
      _NET, params, {'a': {'kernel': jnp.full(3, 100.)}},
      {'a': optimizers.State({'kernel': jnp.full(3, 2.)}, (), ())}, pace)
  np.testing.assert_allclose(
      moved['a']['kernel'], np.arange(3) - .1 * (1.8 + 100)
      - .1 * 3e-4 * np.arange(3), rtol=1e-6)


def test_alphas_wait_and_penalties_and_clipping_count():
  waiting = _net('first', settings=bilevel.Settings(warmup_epochs=1))
  state = waiting.init(_KEY)
  for i in range(5):
    before = state
    state, metrics = waiting.update(
        jax.random.fold_in(_KEY, i), state, _batch(1), _batch(2))
    moved = bool((state.alphas['cell'] != before.alphas['cell']).any())
    assert moved == ('validation_loss' in metrics) == (i == 4)
  pushed = dict(values=lambda epoch: {'c': 7. + epoch}, penalty=(
      lambda alphas, weights, values: values['c'] * jnp.sum(alphas['cell'])))
  np.testing.assert_allclose(
      _gradient(_net('first', **pushed)) - _gradient(_net('first')), 7.,
      rtol=1e-5)
  clipped = _gradient(_net('first', **pushed, settings=bilevel.Settings(
      clip_norm=.1, weight_decay=0.)))
  assert np.linalg.norm(clipped) == pytest.approx(.1, rel=1e-4)


def test_joint_updates_use_the_training_batch_alone():
  joint, first = _net('joint'), _net('first')
  states = [search.update(_KEY, search.init(_KEY), _batch(1), batch)[0]
            for search, batch in ((joint, None), (first, _batch(1)))]
  np.testing.assert_allclose(
      *(s.weights.params['first']['kernel'] for s in states), atol=1e-4)
  assert states[0].weights.batch_stats['count']['n'] == 1
  assert states[1].weights.batch_stats['count']['n'] == 2


def test_weights_are_trained_with_perturbed_gates():
  doubled = _net('first', perturb=lambda key, weights, values: {
      'cell': 2 * weights['cell']})
  plain = _net('first')
  by_hand = _net('first', weights=lambda key, alphas, values: {
      'cell': 2 * jax.nn.softmax(alphas['cell'])})
  found = [search.update(_KEY, search.init(_KEY), _batch(1), _batch(2))[0]
           for search in (doubled, plain, by_hand)]
  kernels = [s.weights.params['second']['kernel'] for s in found]
  np.testing.assert_allclose(
      found[0].alphas['cell'], found[1].alphas['cell'], rtol=1e-6)
  np.testing.assert_allclose(kernels[0], kernels[2], rtol=1e-3)
  assert not np.allclose(kernels[0], kernels[1], rtol=1e-2)


def test_metrics_are_means_of_the_epoch():
  search = _net('first')
  state, losses = search.init(_KEY), []
  for i in range(6):
    before = state
    state, metrics = search.update(
        jax.random.fold_in(_KEY, i), state, _batch(i), _batch(9))
    total = float(state.sums[0, 0] - before.sums[0, 0] * (i != 4))
    losses.append(total)
    expected = np.mean(losses[4 * (i // 4):])
    assert metrics['loss'] == pytest.approx(expected, rel=1e-5)
  assert int(state.step) == 6


def test_bad_settings_are_named():
  with pytest.raises(ValueError, match="order is 'third', expected one of"):
    bilevel.Settings(order='third')
  with pytest.raises(ValueError, match="but the optimizer is 'adam'"):
    bilevel.make(None, recipes.Recipe(epochs=1, optimizer='adam'),
                 bilevel.Relaxation(_identity), {}, None, steps_per_epoch=1,
                 settings=bilevel.Settings(order='second'))
