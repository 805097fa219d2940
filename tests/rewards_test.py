import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import rewards


def test_accuracy_is_itself():
  assert rewards.accuracy(0.93) == 0.93


def test_accuracy_cubed_of_93_and_92_per_cent():
  cubes = rewards.accuracy_cubed(jnp.array([[0.93], [0.92]]))
  np.testing.assert_allclose(cubes, [0.804357, 0.778688], atol=1e-6)
  np.testing.assert_allclose(cubes[0] - cubes[1], 0.025669, atol=1e-6)


def test_accuracy_cubed_takes_the_best_of_the_last_five_epochs():
  # The best of all, 0.9, is the sixth from the end.
  epochs = jnp.array([0.9, 0.5, 0.8, 0.7, 0.6, 0.4])
  np.testing.assert_allclose(rewards.accuracy_cubed(epochs), 0.512, rtol=1e-6)
  np.testing.assert_allclose(
      rewards.accuracy_cubed(epochs, last=6), 0.729, rtol=1e-6)
  np.testing.assert_allclose(
      rewards.accuracy_cubed(epochs[:2]), 0.729, rtol=1e-6)


def test_accuracy_cubed_refuses_no_epoch():
  with pytest.raises(ValueError, match=r'at least 1 epoch, got shape \(3, 0\)'):
    rewards.accuracy_cubed(jnp.zeros((3, 0)))
  with pytest.raises(ValueError, match='last must be at least 1, got 0'):
    rewards.accuracy_cubed(jnp.zeros(3), last=0)


def test_inverse_square_perplexity():
  np.testing.assert_allclose(
      rewards.inverse_square_perplexity(jnp.array([62.4, 100.])),
      [0.020546, 0.008], atol=1e-6)
  np.testing.assert_allclose(
      rewards.inverse_square_perplexity(10., c=1.), 0.01, rtol=1e-6)


@pytest.mark.parametrize('flops, density, expected', [
    (1e9, 1.2, 37.818), (2e9, 1.2, 37.125), (1e9, 1.4, 36.585)])
def test_corrected_accuracy(flops, density, expected):
  np.testing.assert_allclose(
      rewards.corrected_accuracy(60., flops, density), expected, atol=1e-3)


def test_corrected_accuracy_without_corrections():
  np.testing.assert_allclose(
      rewards.corrected_accuracy(60., 1e9, 1.2, mu=0., rho=0.), 60.)


def test_all_work_under_jit_and_vmap():
  values = jax.jit(jax.vmap(rewards.corrected_accuracy))(
      jnp.full(4, 60.), jnp.full(4, 1e9), jnp.ones(4))
  assert values.shape == (4,) and values.dtype == jnp.float32
