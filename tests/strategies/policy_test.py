import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.strategies import policy

NAN = float('nan')


def _judge(baseline, rewards, failed_reward=None, **kwargs):
  rewards = jnp.float32(rewards)
  return policy.judge(
      baseline, rewards, policy.counted(rewards, failed_reward),
      **{'decay': .9, 'form': 'linear', **kwargs})


def test_the_baseline_begins_with_the_first_mean():
  baseline = policy.init_baseline()
  for mean, expected in ((.5, .5), (.7, .52), (.3, .498)):
    baseline = policy.ema_baseline(baseline, mean, .9)
    assert float(baseline.value) == pytest.approx(expected)
  assert int(baseline.count) == 3


def test_a_corrected_baseline_weighs_the_first_means_nearly_alike():
  baseline = policy.init_baseline()
  # (.9 .5 + .7) / 1.9, then (.81 .5 + .9 .7 + .3) / 2.71
  for mean, expected in ((.5, .5), (.7, .6052632), (.3, .4926199)):
    baseline = policy.ema_baseline(baseline, mean, .9, 'corrected')
    assert float(baseline.value) == pytest.approx(expected, abs=1e-6)
  assert not np.isnan(policy.ema_baseline(
      policy.init_baseline(), .4, 0., 'corrected').value)


def test_advantages():
  rewards = jnp.float32([.9, .7, .8])
  np.testing.assert_allclose(
      policy.advantage(rewards, .8, 'linear'), [.1, -.1, 0], atol=1e-7)
  np.testing.assert_allclose(
      policy.advantage(rewards, .8, 'cubed'), [.001, -.001, 0], atol=1e-8)


@pytest.mark.parametrize('update, expected', [
    ('before', [.88 - .72, .92 - .72]), ('after', [.88 - .7, .92 - .7])])
def test_the_baseline_moves_before_or_after(update, expected):
  first, baseline = _judge(
      policy.init_baseline(), [.6, .8], update=update)
  np.testing.assert_allclose(first, [-.1, .1], atol=1e-6)
  second, baseline = _judge(baseline, [.88, .92], update=update)
  np.testing.assert_allclose(second, expected, atol=1e-6)
  assert float(baseline.value) == pytest.approx(.72)


def test_no_baseline():
  advantages, baseline = _judge(policy.init_baseline(), [.5, .2], decay=None)
  np.testing.assert_allclose(advantages, [.5, .2])
  assert baseline == policy.init_baseline()


def test_which_children_count():
  rewards = jnp.float32([.5, NAN, float('inf'), -1, 0])
  assert policy.counted(rewards, None).tolist() == [1, 0, 0, 1, 1]
  assert policy.counted(rewards, -1.).tolist() == [1, 0, 0, 0, 1]
  # A failed reward that float32 rounds is still recognised.
  assert not policy.counted(jnp.float32([.1]), .1)[0]


def test_failed_children_do_not_move_the_baseline():
  start = policy.Baseline(jnp.float32(.5), jnp.int32(3))
  advantages, baseline = _judge(start, [NAN, .9, 0, .7], failed_reward=0.)
  # The mean of .9 and .7 counts one tenth.
  assert float(baseline.value) == pytest.approx(.53)
  np.testing.assert_allclose(advantages, [0, .37, 0, .17], atol=1e-6)
  advantages, baseline = _judge(start, [NAN, 0], failed_reward=0.)
  assert advantages.tolist() == [0, 0]
  assert baseline == start


@pytest.mark.parametrize('ratio, advantage, expected', [
    # Ratios 1.5, .5, 1: clipped where that is worse for the objective.
    ('decision', 2., 2 * (1.2 + .5 + 1)),
    ('decision', -2., -2 * (1.5 + .8 + 1)),
    # Their product .75.
    ('genome', 2., 2 * .75),
    ('genome', -2., -2 * .8),
])
def test_clipped_surrogate(ratio, advantage, expected):
  old = jnp.log(jnp.float32([.2, .6, 1.]))
  new = jnp.log(jnp.float32([.3, .3, 1.]))
  surrogate = policy.clipped_surrogate(new, old, advantage, .2, ratio)
  assert float(surrogate) == pytest.approx(expected)


def test_a_clipped_choice_has_no_gradient():
  old = jnp.log(jnp.float32([.2, .6, .5]))
  new = jnp.log(jnp.float32([.3, .3, .5]))
  gradient = jax.grad(policy.clipped_surrogate)
  np.testing.assert_allclose(
      gradient(new, old, 2., .2), [0, 2 * .5, 2 * 1], atol=1e-6)
  np.testing.assert_allclose(
      gradient(new, old, -2., .2), [-2 * 1.5, 0, -2 * 1], atol=1e-6)
