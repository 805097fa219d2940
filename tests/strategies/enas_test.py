"""The policy gradient of ENAS."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax import base
from nas_jax.controllers import enas as controllers
from nas_jax.strategies import enas


def _coin():
  """A policy with one choice of two: P(1) = sigmoid(w)."""
  def score(params, genome):
    log_probs = jnp.where(genome == 1, jax.nn.log_sigmoid(params),
                          jax.nn.log_sigmoid(-params))
    return base.Score(log_probs, jnp.full(1, .5))

  def sample(params, key):
    genome = jax.random.bernoulli(
        key, jax.nn.sigmoid(params), (1,)).astype(jnp.int32)
    return genome, score(params, genome)

  return base.Controller(lambda key: jnp.zeros(()), sample, score)


def test_each_reward_moves_the_baseline_before_it_is_compared():
  baseline, advantages = enas.judge(
      jnp.float32(0), jnp.array([.5, 1., .2]), .9)
  # b = .05, then .05 + .1 * .95 = .145, then .145 + .1 * .055 = .1505.
  np.testing.assert_allclose(advantages, [.45, .855, .0495], atol=1e-6)
  np.testing.assert_allclose(baseline, .1505, atol=1e-6)


def test_a_round_is_one_step_along_the_mean_gradient():
  strategy = enas.enas(
      _coin(), batch_size=2, learning_rate=.1, optimizer=optax.sgd,
      baseline_decay=.9, entropy_weight=.4,
      penalty=lambda params, genome: 3. * params + genome[0],
      penalty_weight=.5)
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(jax.random.key(1), state)._replace(
      genomes=jnp.array([[1], [0]]))
  np.testing.assert_allclose(proposals.aux.entropies, [.5, .5])
  state = strategy.tell(jax.random.key(2), state, proposals,
                        jnp.array([.3, .8]))
  # R = .5, 1.0; b = .05, .145; R - b = .45, .855; grad log P = .5, -.5;
  # loss' = mean(-.5 * .45, .5 * .855) + .5 * 3 = 1.60125
  np.testing.assert_allclose(state.params, -.160125, atol=1e-6)
  np.testing.assert_allclose(state.baseline, .145, atol=1e-6)
  np.testing.assert_allclose(state.entropy, .5)


def test_adam_adds_epsilon_before_it_corrects():
  optimizer = enas.adam(.1)
  state = optimizer.init(jnp.zeros(()))
  update, state = optimizer.update(jnp.float32(.02), state)
  # v = .001 * .0004, sqrt(v) = 6.3246e-4, sqrt(1 - .999) = .0316228.
  np.testing.assert_allclose(
      update, -.1 * .0316228 * .02 / (6.3246e-4 + 1e-3), rtol=1e-4)
  update, _ = optimizer.update(jnp.float32(-.01), state)
  v = .999 * 4e-7 + .001 * 1e-4
  np.testing.assert_allclose(
      update, .1 * (1 - .999**2)**.5 * .01 / (v**.5 + 1e-3), rtol=1e-4)


def test_a_policy_learns_operations_while_skips_come_to_their_target():
  policy = controllers.macro(3, hidden_size=8)
  strategy = enas.enas(policy.controller, batch_size=10, learning_rate=.03,
                       penalty=policy.penalty)
  genome = jnp.array([3, 3, 1, 3, 1, 1])
  operations = np.array([0, 1, 3])

  def rounds(key):
    def step(state, key):
      ask, tell = jax.random.split(key)
      proposals = strategy.ask(ask, state)
      rewards = jnp.mean(proposals.genomes[:, operations] == 3, -1)
      return strategy.tell(tell, state, proposals, rewards), jnp.mean(rewards)

    keys = jax.random.split(key, 201)
    start = strategy.init(keys[0])
    state, rewards = jax.lax.scan(step, start, keys[1:])
    return state, rewards, [
        policy.penalty(s.params, genome) for s in (start, state)]

  state, rewards, penalties = jax.jit(rounds)(jax.random.key(0))
  # exp(1.5) / (exp(1.5) + 5 exp(-1.5)) = .80 is as likely as it can be.
  assert np.mean(rewards[:10]) < .25 < .6 < np.mean(rewards[-20:]) < .85
  assert state.baseline > .4
  assert penalties[1] < .3 * penalties[0]


@pytest.mark.parametrize('options, message', [
    (dict(batch_size=0), 'batch_size must be at least 1, got 0'),
    (dict(penalty_weight=-1.), 'penalty_weight must not be negative, got -1'),
    (dict(baseline_decay=1.), 'baseline_decay must lie in'),
])
def test_bad_settings_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    enas.enas(_coin(), **options)
