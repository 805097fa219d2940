import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

_SGD = recipes.Recipe(
    epochs=1, momentum=0., weight_decay=0., clip_norm=None)


def _tree(value):
  return {'w': jnp.full((1, 1), value)}


def _pace(rate, decay=0.):
  return optimizers.Pace(jnp.float32(rate), jnp.float32(0), jnp.float32(decay))


def _steps(recipe, start, gradients, rate, decay=0.):
  """Parameters after each of some gradients, and the last state."""
  params = _tree(start)
  state, found = optimizers.init(recipe, params), []
  for value in gradients:
    grads = optimizers.penalised(recipe, params, _tree(value))
    norm = jnp.sqrt(optimizers.squares(grads))
    params, state = optimizers.update(
        recipe, params, grads, state, norm, _pace(rate, decay))
    found.append(float(params['w'][0, 0]))
  return found, state


def test_gradients_are_clipped_before_the_decay_is_added():
  recipe = dataclasses.replace(_SGD, clip_norm=5., weight_decay=.1)
  found, _ = _steps(recipe, 1., [10.], .01)
  assert found == [pytest.approx(1 - .01 * (5 + .1), abs=1e-6)]
  # A gradient below the limit is not scaled up.
  found, _ = _steps(recipe, 1., [2.], .01)
  assert found == [pytest.approx(1 - .01 * (2 + .1), abs=1e-6)]


def test_a_decay_in_the_loss_is_clipped_with_it():
  recipe = dataclasses.replace(
      _SGD, clip_norm=5., weight_decay=2., decay_in_loss=True)
  found, _ = _steps(recipe, 1., [10.], .01)
  assert found == [pytest.approx(1 - .01 * 5, abs=1e-6)]
  found, _ = _steps(recipe, 1., [2.], .01)
  assert found == [pytest.approx(1 - .01 * (2 + 2), abs=1e-6)]


def test_without_a_limit_nothing_is_clipped():
  found, _ = _steps(_SGD, 1., [1000.], .01)
  assert found == [pytest.approx(-9., abs=1e-5)]


def test_the_decay_is_coupled():
  """It enters the momentum, as in PyTorch, unlike that of AdamW."""
  recipe = dataclasses.replace(_SGD, momentum=.9, weight_decay=.5)
  found, _ = _steps(recipe, 1., [0., 0.], .1)
  # m = .5, p = .95; m = .45 + .475, p = .95 - .0925.
  assert found == pytest.approx([.95, .8575])


def test_the_norm_is_of_all_gradients_together():
  """3 in one node and 4 in another make 5; both shrink by the same factor."""
  recipe = dataclasses.replace(_SGD, clip_norm=1.)
  assert float(steps.global_norm([jnp.float32(9), jnp.float32(16)])) == 5.
  for gradient, expected in [(3., -.6), (4., -.8)]:
    params = _tree(0.)
    new, _ = optimizers.update(
        recipe, params, _tree(gradient), optimizers.init(recipe, params), 5.,
        _pace(1.))
    assert float(new['w'][0, 0]) == pytest.approx(expected, rel=1e-5)


def test_momentum_and_nesterov():
  plain, _ = _steps(dataclasses.replace(_SGD, momentum=.9), 0., [1., 1.], .1)
  assert plain == pytest.approx([-.1, -.1 - .19])
  ahead, _ = _steps(dataclasses.replace(_SGD, momentum=.9, nesterov=True),
                    0., [1., 1.], .1)
  # g + .9 m: 1.9, then 1 + .9 * 1.9.
  assert ahead == pytest.approx([-.19, -.19 - .271])


def test_without_momentum_nothing_is_kept():
  found, state = _steps(_SGD, 1., [2., 4.], .1)
  assert found == pytest.approx([.8, .4]) and state.momentum == ()


def test_rmsprop_is_tensorflows():
  """The mean square starts at 1, epsilon is inside of the root, the rate
  inside of the momentum."""
  recipe = dataclasses.replace(
      _SGD, optimizer='rmsprop', momentum=.9, rms_decay=.9, rms_epsilon=1.)
  found, state = _steps(recipe, 0., [2., 1.], .1)
  s1 = .9 + .1 * 4
  m1 = .1 * 2 / np.sqrt(s1 + 1)
  s2 = .9 * s1 + .1
  m2 = .9 * m1 + .1 / np.sqrt(s2 + 1)
  assert found == pytest.approx([-m1, -m1 - m2], rel=1e-6)
  assert float(state.mean_square['w'][0, 0]) == pytest.approx(s2, rel=1e-6)


def test_adam_is_kingma_and_bas():
  recipe = dataclasses.replace(
      _SGD, optimizer='adam', momentum=.9, rms_decay=.999, rms_epsilon=1e-8)
  found, state = _steps(recipe, 0., [2., 1.], .1)
  m2, v2 = .9 * .2 + .1 * 1, .999 * .004 + .001 * 1
  step = .1 * (m2 / (1 - .9**2)) / (np.sqrt(v2 / (1 - .999**2)) + 1e-8)
  # The first step has the length of the rate, whatever the gradient.
  assert found == pytest.approx([-.1, -.1 - step], rel=1e-5)
  mean_square, count = state.mean_square
  assert float(mean_square['w'][0, 0]) == pytest.approx(v2, rel=1e-6)
  assert count.dtype == jnp.int32 and int(count) == 2


def test_averages_of_the_parameters():
  recipe = dataclasses.replace(_SGD, ema_decay=.75)
  found, state = _steps(recipe, 1., [1., 1.], .5, decay=.75)
  assert found == [.5, 0.]
  # 1 -> .75 * 1 + .25 * .5 -> .75 * .875
  assert float(state.average['w'][0, 0]) == pytest.approx(.65625)
  averaged = optimizers.averaged(recipe, _tree(0.), state)
  assert averaged is state.average
  assert optimizers.averaged(_SGD, _tree(3.), state)['w'][0, 0] == 3


_PARAMS = {
    'conv': {'Conv_0': {'kernel': jnp.ones((1, 1, 2, 2)), 'bias': jnp.ones(2)},
             'BatchNorm_0': {'scale': jnp.ones(2), 'bias': jnp.ones(2)}}}


@pytest.mark.parametrize('decayed, kernel, bias, norm', [
    ('all', True, True, True), ('no_biases', True, False, True),
    ('weights', True, False, False)])
def test_what_decays(decayed, kernel, bias, norm):
  conv = optimizers._decays(decayed, _PARAMS)['conv']
  assert conv == {'Conv_0': {'kernel': kernel, 'bias': bias},
                  'BatchNorm_0': {'scale': norm, 'bias': norm}}
  # The same, seen from one module.
  assert optimizers._decays(decayed, _PARAMS['conv']) == conv


def test_shapes_are_those_of_the_first_state():
  for recipe in (_SGD, dataclasses.replace(_SGD, optimizer='adam'),
                 dataclasses.replace(_SGD, optimizer='rmsprop', ema_decay=.9)):
    real = optimizers.init(recipe, _PARAMS)
    told = optimizers.shapes(recipe, _PARAMS)
    assert jax.tree.structure(real) == jax.tree.structure(told)
