import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import decoder


@pytest.mark.parametrize('has_bias', (True, False))
def test_the_weighted_loss_is_that_of_all_rows_at_once(has_bias):
  with jax.enable_x64(True):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape))
    # More rows than are decoded at a time, and no multiple of them.
    outputs, kernel = draw(515, 4), draw(7, 4)
    bias = draw(7) if has_bias else None
    targets = jnp.asarray(rng.integers(0, 7, 515))
    weights = draw(515)

    def plain(outputs, kernel, bias):
      logits = outputs @ kernel.T + (bias if has_bias else 0.)
      right = jax.nn.log_softmax(logits)[jnp.arange(515), targets]
      return -jnp.sum(weights * right)

    def mine(outputs, kernel, bias):
      return 3 * decoder.weighted_loss(outputs, kernel, bias, targets, weights)

    np.testing.assert_allclose(
        mine(outputs, kernel, bias), 3 * plain(outputs, kernel, bias))
    found, wanted = (
        jax.grad(f, (0, 1, 2) if has_bias else (0, 1))(outputs, kernel, bias)
        for f in (mine, plain))
    for a, b in zip(found, wanted):
      np.testing.assert_allclose(a, 3 * b, rtol=0, atol=1e-10)


def test_losses_are_cross_entropies_in_nats():
  kernel = jnp.log(jnp.array([[.5], [.25], [.25]]))
  found = decoder.losses(jnp.ones((2, 1)), kernel, None, jnp.array([0, 2]))
  np.testing.assert_allclose(found, [np.log(2), np.log(4)], rtol=1e-6)
