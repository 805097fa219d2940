"""The controller without a network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax import base
from nas_jax.controllers import logits
from nas_jax.spaces import discrete
from nas_jax.strategies import reinforce
from tests.controllers import helpers

_SIZES = (3, 5, 1, 2)


def _controller(**settings):
  return logits.controller([range(n) for n in _SIZES], **settings)


def test_samples_and_scores_agree():
  helpers.check_sample_equals_score(_controller())


def test_probabilities_are_those_of_samples():
  helpers.check_distribution(_controller(), [range(n) for n in _SIZES])


def test_probabilities_by_hand():
  params = logits.Logits(jnp.log(jnp.array(
      [[1., 2, 1, 9, 9], [1, 1, 1, 1, 4], [1, 9, 9, 9, 9], [3, 1, 9, 9, 9]])))
  score = _controller().score(params, jnp.array([1, 4, 0, 1]))
  np.testing.assert_allclose(
      np.exp(score.log_probs), [.5, .5, 1, .25], rtol=1e-5)
  np.testing.assert_allclose(score.entropies, [
      1.5 * np.log(2), 2 * np.log(2), 0, .25 * np.log(4) + .75 * np.log(4 / 3)
  ], atol=1e-6)


def test_the_start_of_the_benchmark():
  params = logits.controller([range(5)] * 6).init(jax.random.key(0))
  assert params.logits.shape == (6, 5)
  assert 5e-4 < np.std(params.logits) < 2e-3
  start = logits.controller([range(5)], init_scale=0.).init(jax.random.key(0))
  assert not np.any(start.logits)


def test_the_first_two_steps_of_reinforce_by_hand():
  """Batches of one; the first is its own baseline and moves nothing."""
  space = discrete.space([range(2)])
  strategy = reinforce.reinforce(
      space, controller=logits.controller(space.choices, init_scale=0.),
      batch_size=1, learning_rate=1., optimizer=optax.sgd, baseline_decay=.9,
      baseline_average='corrected')
  key = jax.random.key(0)
  state = strategy.init(key)
  tell = jax.jit(strategy.tell)
  aux = jax.eval_shape(strategy.ask, key, state).aux
  aux = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), aux)
  for choice, reward in ((0, .5), (1, .88)):
    before = state.replicas.ravel()
    state = tell(key, state, base.Proposals(jnp.array([[choice]]), aux),
                 jnp.array([reward], jnp.float32))
    assert (choice == 0) == np.array_equal(before, state.replicas.ravel())
  # The average of .5 and .88 with weights .9 and 1 is .7; the gradient of
  # log 1/2 is +-1/2.
  assert float(state.baseline.value) == pytest.approx(.7)
  np.testing.assert_allclose(state.replicas.ravel(), [-.09, .09], atol=1e-6)


@pytest.mark.parametrize('choices, settings, message', [
    ([], {}, 'must be one'), ([(1,), ()], {}, r'\(1, 0\) choices'),
    ([(1,)], {'init_scale': -1.}, 'must not be negative, got -1.0')])
def test_refused(choices, settings, message):
  with pytest.raises(ValueError, match=message):
    logits.controller(choices, **settings)
