"""The LSTM of the controllers, and their distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.controllers import recurrent


def test_one_step_by_hand():
  stack = recurrent.Stack(1, 1, 1, .1)
  params = {'kernel0': jnp.array([[1., 2., 3., 4.], [.5, -.5, .25, -.25]]),
            'bias0': jnp.array([.1, .2, .3, .4])}
  carry = ((jnp.array([.5]), jnp.array([2.])),)
  carry, h = stack.apply({'params': params}, carry, jnp.array([1.]))
  # i, j, f, o = 1.35, 1.95, 3.425, 4.275;
  # c' = 2 * .968477 + .794130 * .960319
  np.testing.assert_allclose(carry[0][1], 2.699572, rtol=1e-5)
  # tanh(2.699572) * .986279
  np.testing.assert_allclose(h, .977402, rtol=1e-5)
  np.testing.assert_array_equal(h, carry[0][0])


@pytest.mark.parametrize('num_layers', [1, 2, 3])
def test_unrolled_it_has_states_and_gradients_of_steps(num_layers):
  stack = recurrent.Stack(3, 4, num_layers, .8)
  params = stack.init(jax.random.key(0), method=recurrent.Stack.start)
  xs = jax.random.normal(jax.random.key(1), (5, 7, 3))  # examples, steps
  weights = jax.random.normal(jax.random.key(2), (5, 7, 4))

  def steps(params, xs):
    def step(carry, x):
      return stack.apply(params, carry, x)
    return jax.lax.scan(step, stack.apply(params, method='start'), xs)[1]

  def unroll(params, xs):
    return stack.apply(params, xs, method='unroll')

  def loss(function):
    def of(params, xs):
      states = jax.vmap(function, (None, 0))(params, xs)
      return jnp.sum(states * weights), states
    return jax.jit(jax.value_and_grad(of, (0, 1), has_aux=True))

  (_, states), grads = loss(unroll)(params, xs)
  (_, expected), expected_grads = loss(steps)(params, xs)
  np.testing.assert_allclose(states, expected, atol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-4, atol=1e-5), grads, expected_grads)


def test_squash():
  z = jnp.array([-5., 0., 10.])
  np.testing.assert_array_equal(recurrent.squash(z, None, None), z)
  np.testing.assert_array_equal(recurrent.squash(z, None, 5.), [-1, 0, 2])
  np.testing.assert_allclose(
      recurrent.squash(z, 2.5, 5.), [-1.903985, 0, 2.410069], rtol=1e-5)


def test_a_categorical_choice():
  logits = recurrent.masked(jnp.log(jnp.array([.5, 2., 1.5, 9.])),
                            np.array([True, True, True, False]))
  log_prob, entropy = recurrent.categorical(logits, jnp.int32(1))
  np.testing.assert_allclose(np.exp(log_prob), .5, rtol=1e-6)
  # -(.125 ln .125 + .5 ln .5 + .375 ln .375)
  np.testing.assert_allclose(entropy, .974315, rtol=1e-5)


def test_bits():
  logits = jnp.log(jnp.array([3., 3., 1.]))
  log_probs, entropies = recurrent.bernoulli(logits, jnp.array([1., 0., 0.]))
  np.testing.assert_allclose(np.exp(log_probs), [.75, .25, .5], rtol=1e-6)
  np.testing.assert_allclose(
      entropies, [.562335, .562335, .693147], rtol=1e-5)
  far, entropy = recurrent.bernoulli(jnp.array([500.]), jnp.array([0.]))
  assert far == -500 and entropy == 0


def test_embeddings_are_rows_and_read_one_step_later():
  table = jnp.arange(12.).reshape(2, 3, 2)
  rows = recurrent.embed(table, jnp.array([2, 0]))
  np.testing.assert_array_equal(rows, [[4, 5], [6, 7]])
  np.testing.assert_array_equal(recurrent.delayed(rows), [[0, 0], [4, 5]])
