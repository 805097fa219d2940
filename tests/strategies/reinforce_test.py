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
from nas_jax.strategies import reinforce
from tests.strategies import table_policy

NAN = float('nan')
SIZES = (2, 3, 1, 3)  # 36 parameters, of which some are never used
SPACE = discrete.space([range(s) for s in SIZES])
CONTROLLER = table_policy.controller(SIZES)
GENOMES = np.asarray(table_policy.all_genomes(SIZES))


def _strategy(**kwargs):
  return _jitted(reinforce.reinforce(
      SPACE, **{'controller': CONTROLLER, 'batch_size': 1, **kwargs}))


def _jitted(strategy):
  return base.Strategy(*map(jax.jit, strategy[:3]))


# One step adds the estimated gradient to the parameters.
_plain = functools.partial(_strategy, optimizer=optax.sgd, learning_rate=1.)


def _reward(genomes):
  return 1 + jnp.sum(jnp.sin(genomes * jnp.arange(1, 5) + .7), -1)


def _params(state):
  return state.server.params.reshape(-1)[:36]


def _step(strategy, state, genomes, rewards, key=jax.random.key(9)):
  """What tell adds to the parameters."""
  genomes = jnp.atleast_2d(genomes)
  aux = reinforce.Sampled(jnp.zeros(len(genomes)))
  after = strategy.tell(
      key, state, base.Proposals(genomes, aux), jnp.atleast_1d(rewards))
  return _params(after) - _params(state)


@pytest.mark.parametrize('baseline', [None, .6])
def test_the_expected_step_is_the_gradient_of_the_expected_reward(baseline):
  strategy = _plain(
      baseline_decay=None if baseline is None else .9, baseline_update='after')
  state = strategy.init(jax.random.key(0))
  if baseline:
    state = state._replace(
        baseline=policy.Baseline(jnp.float32(baseline), jnp.int32(5)))
  params = CONTROLLER.init(jax.random.key(0))
  steps = jax.vmap(lambda g, r: _step(strategy, state, g, r))(
      GENOMES, _reward(GENOMES))
  expected = table_policy.expected_reward_gradient(
      CONTROLLER, params, SIZES, _reward)
  p = table_policy.probabilities(CONTROLLER, params, GENOMES)
  assert float(p.sum()) == pytest.approx(1)
  expected, _ = ravel_pytree(expected)
  assert np.abs(expected).max() > .1
  np.testing.assert_allclose(p @ steps, expected, atol=1e-6)


def test_the_mean_step_of_own_children_approaches_that_gradient():
  one, many = _plain(baseline_decay=None), _plain(
      baseline_decay=None, batch_size=64)
  state = one.init(jax.random.key(0))
  expected, _ = ravel_pytree(table_policy.expected_reward_gradient(
      CONTROLLER, CONTROLLER.init(jax.random.key(0)), SIZES, _reward))
  children = jax.vmap(one.ask, (0, None))(
      jax.random.split(jax.random.key(1), 16384), state).genomes[:, 0]
  steps = jax.vmap(lambda g: _step(one, state, g, _reward(g)))(children)
  error = np.std(steps, 0) / 128
  assert (np.abs(np.mean(steps, 0) - expected) <= 5 * error + 1e-7).all()
  assert error.max() < np.abs(expected).max() / 10
  # A batch takes the mean of the gradients of its children.
  np.testing.assert_allclose(
      _step(many, state, children[:64], _reward(children[:64])),
      np.mean(steps[:64], 0), atol=1e-6)


def test_the_baseline_lowers_the_variance_of_the_gradient():
  def spread(decay):
    strategy = _plain(batch_size=8, baseline_decay=decay)
    start = strategy.init(jax.random.key(0))

    def round_(state, key):
      proposals = strategy.ask(key, start)
      after = strategy.tell(
          key, state, proposals, 2 + _reward(proposals.genomes))
      # The policy stays, the baseline moves.
      step = _params(after) - _params(start)
      return start._replace(baseline=after.baseline), step

    _, steps = jax.lax.scan(
        round_, start, jax.random.split(jax.random.key(1), 400))
    return np.var(steps[100:], 0).sum()

  assert spread(.95) < spread(None) / 4


def test_the_cubed_advantage():
  linear, cubed = (_plain(batch_size=2, advantage=form)
                   for form in ('linear', 'cubed'))
  state = linear.init(jax.random.key(0))
  # The first batch is compared with its mean .8: advantages .1 and -.1.
  a, b = (_step(s, state, GENOMES[[3, 11]], jnp.float32([.9, .7]))
          for s in (linear, cubed))
  assert np.abs(a).max() > .01
  np.testing.assert_allclose(b, .01 * a, atol=1e-6)


def test_entropy_in_the_loss():
  strategy = _plain(batch_size=2, baseline_decay=None, entropy_weight=.5)
  state = strategy.init(jax.random.key(0))
  expected = jax.grad(lambda params: .5 * sum(
      jnp.sum(CONTROLLER.score(params, g).entropies)
      for g in GENOMES[[0, 7]]) / 2)(CONTROLLER.init(jax.random.key(0)))
  step = _step(strategy, state, GENOMES[[0, 7]], jnp.zeros(2))
  assert np.abs(step).max() > .01
  np.testing.assert_allclose(step, ravel_pytree(expected)[0], atol=1e-6)


def test_entropy_in_the_reward():
  plain = _plain(batch_size=2)
  bonus = _plain(batch_size=2, entropy_weight=.5, entropy_in='reward')
  state = plain.init(jax.random.key(0))
  proposals = bonus.ask(jax.random.key(1), state)
  entropies = [CONTROLLER.score(
      CONTROLLER.init(jax.random.key(0)), g).entropies.sum()
               for g in proposals.genomes]
  np.testing.assert_allclose(
      proposals.aux.bonuses, .5 * np.array(entropies), rtol=1e-5)
  rewards = jnp.float32([1, 2])
  a = bonus.tell(jax.random.key(2), state, proposals, rewards)
  same = plain.ask(jax.random.key(1), state)
  assert (same.genomes == proposals.genomes).all()
  b = plain.tell(jax.random.key(2), state, same,
                 rewards + .5 * jnp.stack(entropies))
  np.testing.assert_allclose(_params(a), _params(b), atol=1e-6)
  assert float(a.baseline.value) == pytest.approx(
      1.5 + .5 * np.mean(entropies))


def test_clipping_limits_the_norm_of_a_gradient():
  free, clipped = _plain(baseline_decay=None), _plain(
      baseline_decay=None, clip_norm=.3)
  state = free.init(jax.random.key(0))
  for reward, same in ((5., False), (.01, True)):
    a = _step(free, state, GENOMES[0], jnp.float32(reward))
    b = _step(clipped, state, GENOMES[0], jnp.float32(reward))
    scale = 1 if same else .3 / np.linalg.norm(a)
    np.testing.assert_allclose(b, a * scale, atol=1e-6)


@pytest.mark.parametrize('rewards', [[NAN, NAN], [-1., -1.], [NAN, -1.]])
def test_a_batch_of_failed_children_changes_nothing(rewards):
  strategy = _strategy(
      batch_size=2, failed_reward=-1., entropy_weight=.1, num_shards=2)
  table_policy.check_nothing_changes(strategy, rewards)


def test_failed_children_do_not_move_the_policy():
  strategy = _plain(batch_size=3, failed_reward=0., entropy_weight=.1)
  alone = _plain(batch_size=1, entropy_weight=.1)
  state = strategy.init(jax.random.key(0))._replace(
      baseline=policy.Baseline(jnp.float32(.5), jnp.int32(1)))
  step = _step(strategy, state, GENOMES[[0, 7, 11]], jnp.float32([NAN, .9, 0]))
  np.testing.assert_allclose(
      step, _step(alone, state, GENOMES[7], jnp.float32(.9)), atol=1e-6)
  assert np.abs(step).max() > .01


def test_the_condition_follows_the_children_told():
  controller = table_policy.controller((3, 2, 2), given=True)
  strategy = _jitted(reinforce.reinforce(
      discrete.space([range(3), range(2), range(2)]), controller=controller,
      batch_size=2, num_replicas=2, condition=lambda n: (n // 8,)))
  state = strategy.init(jax.random.key(0))
  depths = []
  for i in range(6):
    proposals = strategy.ask(jax.random.key(i), state)
    depths.append(proposals.genomes[:, 0].tolist())
    state = strategy.tell(
        jax.random.key(i), state, proposals, jnp.arange(4.))
  assert depths == [[d] * 4 for d in (0, 0, 1, 1, 2, 2)]


def test_it_learns():
  table_policy.check_it_learns(
      _strategy(batch_size=8, learning_rate=.05), SPACE, num_rounds=100)


@pytest.mark.parametrize('options, message', [
    ({'batch_size': 0}, 'batch_size must be at least 1, got 0'),
    ({'num_replicas': 0}, 'num_replicas must be at least 1, got 0'),
    ({'num_shards': 0}, 'num_shards must be at least 1, got 0'),
    ({'accumulate': 0}, 'accumulate must be at least 1, got 0'),
    ({'learning_rate': 0.}, 'learning_rate must be positive, got 0.0'),
    ({'baseline_decay': 1.}, r'in \[0, 1\), or be None .* got 1.0'),
    ({'baseline_update': 'never'}, "'never', expected one of before, after"),
    ({'advantage': 'squared'}, "'squared', expected one of linear, cubed"),
    ({'entropy_weight': -1.}, 'entropy_weight must not be negative, got -1'),
    ({'entropy_in': 'air'}, "'air', expected one of loss, reward"),
    ({'clip_norm': 0.}, 'clip_norm must be positive or None, got 0.0')])
def test_options_out_of_range(options, message):
  with pytest.raises(ValueError, match=message):
    _strategy(**options)
