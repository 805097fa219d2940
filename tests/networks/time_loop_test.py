import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import time_loop


def _step(product, state, x, values, mask):
  inner = jnp.tanh(x + product('a', state * mask))
  out = values * inner + product('b', inner)
  return out, out * 2


def _arguments():
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape, scale=.5))
  return ({'a': draw(3, 3), 'b': draw(3, 3)}, draw(2, 3), draw(5, 2, 3),
          draw(3), draw(2, 3))


def _mine(weights, state, xs, values, mask, length=None):
  return time_loop.run(_step, weights, state, xs, values=values, fixed=mask,
                       length=length)


def _plain(weights, state, xs, values, mask):
  def body(state, x):
    return _step(lambda name, value: value @ weights[name], state, x, values,
                 mask)

  last, outs = jax.lax.scan(body, state, xs)
  return outs, last


def _loss(run, *args):
  outs, last = run(*args)
  return jnp.sum(jnp.sin(outs)) + jnp.sum(last**2)


def _same(found, wanted):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=0, atol=1e-10), found, wanted)


@pytest.fixture(autouse=True)
def double():
  with jax.enable_x64(True):
    yield


def test_values_and_gradients_are_those_of_a_scan():
  args = _arguments()
  _same(_mine(*args), _plain(*args))
  grad = lambda run: jax.grad(
      lambda *some: _loss(run, *some, args[-1]), (0, 1, 2, 3))(*args[:-1])
  _same(grad(_mine), grad(_plain))


def test_the_state_stands_still_from_the_length_on():
  weights, state, xs, values, mask = _arguments()
  outs, last = _mine(weights, state, xs, values, mask, jnp.int32(3))
  short, wanted = _plain(weights, state, xs[:3], values, mask)
  _same((outs[:3], last), (short, wanted))
  grad = lambda run, xs, *more: jax.grad(lambda w: jnp.sum(
      run(w, state, xs, values, mask, *more)[1]))(weights)
  _same(grad(_mine, xs, jnp.int32(3)), grad(_plain, xs[:3]))


def test_gradients_of_gradients_are_those_of_a_scan():
  weights, *others = _arguments()

  def squared(run):
    inner = jax.grad(lambda w: _loss(run, w, *others))
    return jax.grad(lambda w: sum(
        jnp.sum(g**2) for g in jax.tree.leaves(inner(w))))(weights)

  _same(squared(_mine), squared(_plain))


def test_a_weight_that_is_multiplied_twice_is_refused():
  def twice(product, state, x, values, fixed):
    del x, values, fixed
    return product('a', product('a', state)), state

  weights, state, xs, _, _ = _arguments()
  with pytest.raises(ValueError, match="'a' twice"):
    time_loop.run(twice, weights, state, xs)


def test_a_weight_that_no_step_multiplies_has_no_gradient():
  weights, state, xs, values, mask = _arguments()
  more = weights | {'c': jnp.ones((3, 3))}
  grads = jax.grad(lambda w: _loss(_mine, w, state, xs, values, mask))(more)
  np.testing.assert_array_equal(grads['c'], np.zeros((3, 3)))
