import functools

import jax
from jax.flatten_util import ravel_pytree
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.strategies import policy
from nas_jax.strategies import ppo
from nas_jax.strategies import reinforce
from tests.strategies import table_policy

NAN = float('nan')
SIZES = (2, 3, 1, 3)
SPACE = discrete.space([range(s) for s in SIZES])
CONTROLLER = table_policy.controller(SIZES)
GENOMES = np.asarray(table_policy.all_genomes(SIZES))


def _strategy(**kwargs):
  strategy = ppo.ppo(
      SPACE, **{'controller': CONTROLLER, 'batch_size': 1, **kwargs})
  return base.Strategy(*map(jax.jit, strategy[:3]))


# One step adds the estimated gradient to the parameters.
_plain = functools.partial(
    _strategy, optimizer=optax.sgd, learning_rate=1., num_epochs=1,
    baseline_decay=None, entropy_weight=0.)


def _reward(genomes):
  return 1 + jnp.sum(jnp.sin(genomes * jnp.arange(1, 5) + .7), -1)


def _flat(state):
  return ravel_pytree(state.params)[0]


def _step(strategy, state, genomes, rewards):
  """What tell adds to the parameters."""
  genomes = jnp.atleast_2d(genomes)
  scores = jax.vmap(CONTROLLER.score, (None, 0))(state.params, genomes)
  after = strategy.tell(
      jax.random.key(9), state,
      base.Proposals(genomes, ppo.Sampled(scores.log_probs)),
      jnp.atleast_1d(rewards))
  return _flat(after) - _flat(state)


@pytest.mark.parametrize('ratio', policy.RATIOS)
def test_the_expected_first_step_is_the_gradient_of_the_expected_reward(ratio):
  strategy = _plain(ratio=ratio)
  state = strategy.init(jax.random.key(0))
  steps = jax.vmap(lambda g, r: _step(strategy, state, g, r))(
      GENOMES, _reward(GENOMES))
  p = table_policy.probabilities(CONTROLLER, state.params, GENOMES)
  expected, _ = ravel_pytree(table_policy.expected_reward_gradient(
      CONTROLLER, state.params, SIZES, _reward))
  assert np.abs(expected).max() > .1
  np.testing.assert_allclose(p @ steps, expected, atol=1e-6)


def test_the_mean_first_step_of_own_children_approaches_that_gradient():
  strategy = _plain()
  state = strategy.init(jax.random.key(0))
  expected, _ = ravel_pytree(table_policy.expected_reward_gradient(
      CONTROLLER, state.params, SIZES, _reward))

  def step(key):
    proposals = strategy.ask(key, state)
    return _flat(strategy.tell(
        key, state, proposals, _reward(proposals.genomes))) - _flat(state)

  steps = jax.vmap(step)(jax.random.split(jax.random.key(1), 16384))
  error = np.std(steps, 0) / 128
  assert (np.abs(np.mean(steps, 0) - expected) <= 5 * error + 1e-7).all()
  assert error.max() < np.abs(expected).max() / 10


@pytest.mark.parametrize('ratio', policy.RATIOS)
def test_later_epochs_use_the_ratio_and_stop_where_it_is_clipped(ratio):
  """One position, its choice preferred until its ratio is above 1 + clip."""
  space = discrete.space([range(2)])
  controller = table_policy.controller((2,))
  options = dict(
      controller=controller, batch_size=1, optimizer=optax.sgd,
      learning_rate=.2, baseline_decay=None, entropy_weight=0., clip=.2,
      ratio=ratio)
  x = 0.  # The logit of choice 1; that of choice 0 is -x.
  old = np.log(.5)
  expected = []
  for _ in range(5):
    p = 1 / (1 + np.exp(-2 * x))
    r = p / .5
    x += .2 * r * (1 - p) * (r < 1.2)
    expected.append(x)
  found = []
  for num_epochs in range(1, 6):
    strategy = ppo.ppo(space, num_epochs=num_epochs, **options)
    state = strategy.init(jax.random.key(0))
    state = state._replace(params={'logits': jnp.zeros((1, 2, 2))})
    after = strategy.tell(
        jax.random.key(0), state, base.Proposals(
            jnp.array([[1]]), ppo.Sampled(jnp.full((1, 1), old))),
        jnp.ones(1))
    found.append(float(after.params['logits'][0, 0, 1]))
  np.testing.assert_allclose(found, expected, atol=1e-6)
  assert found[1] > found[0] and found[4] == found[3]


def test_one_epoch_is_reinforce_with_the_same_baseline():
  common = dict(batch_size=4, learning_rate=.1, entropy_weight=.01,
                baseline_decay=.8, advantage='cubed')
  one = _strategy(num_epochs=1, **common)
  other = base.Strategy(*map(jax.jit, reinforce.reinforce(
      SPACE, controller=CONTROLLER, **common)[:3]))
  a, b = one.init(jax.random.key(0)), other.init(jax.random.key(0))
  for i in range(4):
    key = jax.random.key(i)
    proposals, same = one.ask(key, a), other.ask(key, b)
    assert proposals.genomes.tolist() == same.genomes.tolist()
    rewards = _reward(proposals.genomes)
    a = one.tell(key, a, proposals, rewards)
    b = other.tell(key, b, same, rewards)
  np.testing.assert_allclose(_flat(a), b.server.params[0], atol=1e-5)
  assert a.baseline == b.baseline


def test_the_entropy_is_rewarded():
  strategy = _plain(batch_size=2, entropy_weight=.5)
  state = strategy.init(jax.random.key(0))
  expected = jax.grad(lambda params: .5 * sum(
      jnp.sum(CONTROLLER.score(params, g).entropies)
      for g in GENOMES[[0, 7]]) / 2)(state.params)
  step = _step(strategy, state, GENOMES[[0, 7]], jnp.zeros(2))
  assert np.abs(step).max() > .01
  np.testing.assert_allclose(step, ravel_pytree(expected)[0], atol=1e-6)


def test_clipping_limits_the_norm_of_a_gradient():
  strategy = _plain(clip_norm=.3)
  step = _step(
      strategy, strategy.init(jax.random.key(0)), GENOMES[0], jnp.float32(5))
  assert float(jnp.linalg.norm(step)) == pytest.approx(.3, rel=1e-4)


@pytest.mark.parametrize('rewards', [[NAN, NAN], [NAN, -1.]])
def test_a_batch_of_failed_children_changes_nothing(rewards):
  strategy = _strategy(batch_size=2, failed_reward=-1.)
  table_policy.check_nothing_changes(strategy, rewards)


def test_failed_children_do_not_move_the_policy():
  options = dict(entropy_weight=.1, num_epochs=3)
  strategy = _plain(batch_size=3, failed_reward=0., **options)
  alone = _plain(**options)
  state = strategy.init(jax.random.key(0))
  step = _step(strategy, state, GENOMES[[0, 7, 11]], jnp.float32([NAN, .9, 0]))
  np.testing.assert_allclose(
      step, _step(alone, state, GENOMES[7], jnp.float32(.9)), atol=1e-6)
  assert np.abs(step).max() > .01


def test_the_condition_reaches_the_controller():
  controller = table_policy.controller((3, 2), given=True)
  strategy = ppo.ppo(
      discrete.space([range(3), range(2)]), controller=controller,
      batch_size=2, condition=lambda n: (n // 4,))
  state = strategy.init(jax.random.key(0))._replace(
      num_children=jnp.int32(5))
  assert strategy.ask(
      jax.random.key(0), state).genomes[:, 0].tolist() == [1, 1]


def test_it_learns():
  table_policy.check_it_learns(ppo.ppo(
      SPACE, controller=CONTROLLER, batch_size=10, learning_rate=.05),
                               SPACE, num_rounds=60)


@pytest.mark.parametrize('options, message', [
    ({'batch_size': 0}, 'batch_size must be at least 1, got 0'),
    ({'num_epochs': 0}, 'num_epochs must be at least 1, got 0'),
    ({'clip': 1.}, r'clip must lie in \(0, 1\), got 1.0'),
    ({'ratio': 'net'}, "'net', expected one of decision, genome"),
    ({'advantage': 'squared'}, "'squared', expected one of linear, cubed"),
    ({'baseline_update': 'never'}, "'never', expected one of before, after"),
    ({'baseline_decay': -.1}, r'in \[0, 1\), or be None .* got -0.1')])
def test_options_out_of_range(options, message):
  with pytest.raises(ValueError, match=message):
    _strategy(**options)
