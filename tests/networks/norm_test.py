import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import norm


def _noise(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def _plain(x, scale, bias):
  """What the batch norm computes, left to automatic differentiation."""
  axes = tuple(range(x.ndim - 1))
  mean, var = jnp.mean(x, axes), jnp.var(x, axes)
  return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias


def _variables(channels=3):
  return {'params': {'scale': _noise(channels, seed=1) + 2,
                     'bias': _noise(channels, seed=2)},
          'batch_stats': {'mean': jnp.zeros(channels),
                          'var': jnp.ones(channels)}}


def _run(variables, x, **kwargs):
  return norm.BatchNorm(**kwargs).apply(
      variables, x, True, mutable=['batch_stats'])


def test_gradients_equal_those_of_automatic_differentiation():
  with jax.enable_x64(True):
    x, dy, variables = _noise(4, 2, 5, 3), _noise(4, 2, 5, 3, seed=3), (
        _variables())

    def ours(x, params):
      return jnp.vdot(dy, _run({**variables, 'params': params}, x)[0])

    def plain(x, params):
      return jnp.vdot(dy, _plain(x, params['scale'], params['bias']))

    found, expected = (jax.jit(jax.grad(f, (0, 1)))(x, variables['params'])
                       for f in (ours, plain))
    # The gradient of a gradient, as in second-order architecture search.
    twice = [jax.jit(jax.grad(lambda x, f=f: jnp.sum(
        jax.grad(f)(x, variables['params']) ** 3)))(x) for f in (ours, plain)]
    for a, b in zip(jax.tree.leaves((found, twice[0])),
                    jax.tree.leaves((expected, twice[1]))):
      np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_running_statistics_are_those_of_pytorch():
  x = jnp.array([1., 3., 8.]).reshape(3, 1, 1, 1)
  _, updates = _run(_variables(1), x, momentum=.9)
  # Mean 4; squared deviations 9 + 1 + 16 = 26, unbiased 13.
  stats = updates['batch_stats']
  np.testing.assert_allclose(stats['mean'], [.4], rtol=1e-6)
  np.testing.assert_allclose(stats['var'], [.9 + .1 * 13], rtol=1e-6)


def test_one_value_per_channel_has_no_variance():
  y, updates = _run(_variables(1), jnp.full((1, 1, 1, 1), 5.))
  assert np.isfinite(y).all()
  np.testing.assert_allclose(updates['batch_stats']['var'], [.9], rtol=1e-6)


def test_without_scale_and_bias():
  module, x = norm.BatchNorm(affine=False), _noise(6, 2, 2, 3)
  variables = module.init(jax.random.key(0), x, True)
  assert set(variables) == {'batch_stats'}
  y, _ = module.apply(variables, x, True, mutable=['batch_stats'])
  np.testing.assert_allclose(
      y, _plain(x, np.ones(3), np.zeros(3)), rtol=1e-4, atol=1e-5)


def test_evaluation_uses_the_running_statistics():
  variables = _variables(1) | {'batch_stats': {
      'mean': jnp.array([2.]), 'var': jnp.array([4. - 1e-5])}}
  y = norm.BatchNorm().apply(variables, jnp.full((1, 1, 1, 1), 4.), False)
  expected = variables['params']['scale'] + variables['params']['bias']
  np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5)


def test_half_precision_has_statistics_in_single_precision():
  x = (_noise(64, 4, 4, 3) * 10 + 100).astype(jnp.bfloat16)
  y, updates = _run(_variables(), x)
  assert y.dtype == jnp.bfloat16
  stats = updates['batch_stats']
  assert stats['mean'].dtype == stats['var'].dtype == jnp.float32
  np.testing.assert_allclose(
      stats['mean'], .1 * np.asarray(x, np.float32).mean((0, 1, 2)), rtol=1e-4)


def test_devices_share_the_statistics_of_the_whole_batch():
  x, dy, variables = _noise(4, 2, 2, 3), _noise(4, 2, 2, 3, seed=3), (
      _variables())

  def one(x, dy):
    def loss(x):
      y, updates = _run(variables, x, axis_name='batch')
      return jnp.vdot(dy, y), (y, updates)
    dx, (y, updates) = jax.grad(loss, has_aux=True)(x)
    return dx, y, updates

  split = lambda x: x.reshape(2, -1, *x.shape[1:])
  dx, y, updates = jax.vmap(one, axis_name='batch')(split(x), split(dy))
  expected, whole = _run(variables, x)
  np.testing.assert_allclose(y.reshape(x.shape), expected, rtol=1e-4,
                             atol=1e-5)
  np.testing.assert_allclose(
      updates['batch_stats']['var'][0], whole['batch_stats']['var'], rtol=1e-5)
  grad = jax.grad(lambda x: jnp.vdot(dy, _run(variables, x)[0]))(x)
  np.testing.assert_allclose(dx.reshape(x.shape), grad, rtol=1e-3, atol=1e-5)
