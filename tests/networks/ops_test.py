import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import initializers
from nas_jax.networks import ops
from nas_jax.networks import pooling
from nas_jax.networks import tables
from nas_jax.spaces import cell

_F = 8


def _shapes(module, shape):
  return graph.variable_shapes(
      module, (jax.ShapeDtypeStruct(shape, jnp.float32),))


def _num_params(module, channels=_F):
  shapes = _shapes(module, (1, 6, 6, channels))
  return sum(x.size for x in jax.tree.leaves(shapes.get('params', {})))


def _variables(module, shape, seed=0):
  return initializers.draw(jax.random.key(seed), 0, _shapes(module, shape))


def _noise(*shape):
  return jnp.asarray(
      np.random.default_rng(0).standard_normal(shape), jnp.float32)


def test_the_spaces_have_only_operations_of_the_table():
  assert len(cell.NASNET_OPERATIONS) == 13
  extra = {'max_pool_2x2', 'dil_sep_conv_3x3', 'dil_sep_conv_5x5'}
  assert set(tables.NASNET) == {*cell.NASNET_OPERATIONS, *extra}
  assert set(cell.AMOEBANET_OPERATIONS) < set(tables.NASNET)


@pytest.mark.parametrize('channels', [_F, 5])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('name', tables.NASNET)
def test_operations_keep_or_halve_the_size(name, stride, channels):
  module = tables.NASNET[name](features=_F, stride=stride)
  for height, width in [(8, 8), (7, 5), (1, 2)]:
    x = jax.ShapeDtypeStruct((2, height, width, channels), jnp.float32)
    variables = _shapes(module, x.shape)
    y, _ = jax.eval_shape(
        lambda v, x: module.apply(v, x, True, mutable=['batch_stats']),
        variables, x)
    assert y.shape == (2, -(-height // stride), -(-width // stride), _F)
    assert y.dtype == jnp.float32


# Weights of the convolutions, then scale and bias of each norm, at F = 8.
_NUM_PARAMS = {
    'skip_connect': 0,
    'conv_1x3_3x1': (8 * 3 + 2 * 3 * 3 * 3 + 3 * 8) + 2 * (3 * 3 + 8),
    'conv_1x7_7x1': (8 * 2 + 2 * 7 * 2 * 2 + 2 * 8) + 2 * (3 * 2 + 8),
    'dil_conv_3x3': (8 * 2 + 9 * 2 * 2 + 2 * 8) + 2 * (2 + 2 + 8),
    'avg_pool_3x3': 0,
    'max_pool_3x3': 0,
    'max_pool_5x5': 0,
    'max_pool_7x7': 0,
    'conv_1x1': 8 * 8 + 2 * 8,
    'conv_3x3': (8 * 2 + 9 * 2 * 2 + 2 * 8) + 2 * (2 + 2 + 8),
    'sep_conv_3x3': 2 * (9 * 8 + 8 * 8 + 2 * 8),
    'sep_conv_5x5': 2 * (25 * 8 + 8 * 8 + 2 * 8),
    'sep_conv_7x7': 2 * (49 * 8 + 8 * 8 + 2 * 8),
    'max_pool_2x2': 0,
    'dil_sep_conv_3x3': 2 * (9 * 8 + 8 * 8 + 2 * 8),
    'dil_sep_conv_5x5': 2 * (25 * 8 + 8 * 8 + 2 * 8),
}


@pytest.mark.parametrize('name', tables.NASNET)
def test_number_of_parameters(name):
  assert _num_params(tables.NASNET[name](features=_F)) == _NUM_PARAMS[name]


def test_the_bottleneck_is_a_fraction_of_the_features():
  kernels = [x.shape for x in jax.tree.leaves(_shapes(
      tables.NASNET['conv_1x3_3x1'](features=32), (1, 6, 6, 32))['params'])
             if x.ndim == 4]
  assert sorted(kernels) == [
      (1, 1, 12, 32), (1, 1, 32, 12), (1, 3, 12, 12), (3, 1, 12, 12)]


def test_changing_the_channels_takes_a_convolution_and_a_norm():
  added = 5 * 8 + 2 * 8
  for name in ('skip_connect', 'avg_pool_3x3', 'max_pool_5x5'):
    assert _num_params(tables.NASNET[name](features=_F), channels=5) == added
  # A separable convolution changes them in its first half.
  separable = tables.NASNET['sep_conv_3x3'](features=_F)
  assert _num_params(separable, channels=5) == (
      (9 * 5 + 5 * 8 + 16) + (9 * 8 + 8 * 8 + 16))


def test_halving_the_size_costs_parameters_only_in_the_identity():
  assert _num_params(ops.Identity(features=_F, stride=2)) == 8 * 8 + 2 * 8
  assert _num_params(ops.Pool(features=_F, stride=2)) == 0


def test_identity_is_the_identity():
  x = _noise(2, 4, 4, 3)
  assert ops.Identity(features=3).apply({}, x, True) is x


def test_average_pool_leaves_out_the_padding():
  x = jnp.array([[1., 2, 3], [4, 5, 6], [7, 8, 9]])[None, ..., None]
  np.testing.assert_allclose(
      pooling.pool(x, 'avg', 3, 1)[0, ..., 0],
      [[3, 3.5, 4], [4.5, 5, 5.5], [6, 6.5, 7]], rtol=1e-6)
  # Stride 2 on 3 pixels pads one on both sides, on 4 pixels one at the end.
  np.testing.assert_allclose(
      pooling.pool(x, 'avg', 3, 2)[0, ..., 0], [[3, 4], [6, 7]], rtol=1e-6)
  x = jnp.arange(16.).reshape(1, 4, 4, 1)
  np.testing.assert_allclose(
      pooling.pool(x, 'avg', 3, 2)[0, ..., 0], [[5, 6.5], [11, 12.5]],
      rtol=1e-6)


@pytest.mark.parametrize('size', [2, 3, 7])
@pytest.mark.parametrize('stride', [1, 2])
def test_pools_equal_those_of_flax(size, stride):
  window = dict(window_shape=(size, size), strides=(stride, stride),
                padding='SAME')

  @jax.jit
  def pairs(x):
    return [
        (pooling.pool(x, 'max', size, stride), nn.max_pool(x, **window)),
        (pooling.pool(x, 'min', size, stride), -nn.max_pool(-x, **window)),
        (pooling.pool(x, 'avg', size, stride),
         nn.avg_pool(x, count_include_pad=False, **window))]

  for shape in [(6, 6), (5, 7)]:
    for ours, theirs in pairs(_noise(2, *shape, 3)):
      np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('size, stride, padding', [
    (3, 2, 'SAME'), (3, 1, 'SAME'), (2, 2, 'SAME'), (2, 1, 'SAME'),
    (5, 2, 'SAME'), (3, 2, 'VALID'), (5, 3, 'VALID'),
    (3, 2, ((1, 1), (1, 1)))])
def test_the_gradient_of_a_maximum_goes_to_its_pixel(size, stride, padding):
  x = _noise(2, 8, 7, 3)
  own = padding.lower() if isinstance(padding, str) else padding
  ours, theirs = [
      jax.jit(jax.grad(lambda x, pool=pool: jnp.sum(pool(x) ** 2)))(x)
      for pool in (
          lambda x: pooling.pool(x, 'max', size, stride, own),
          lambda x: nn.max_pool(x, (size, size), (stride, stride), padding))]
  np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_of_equal_maxima_the_first_has_the_gradient():
  x = jnp.array([[1., 2, 0], [2, 2, 0], [0, 0, 2]])[None, ..., None]
  dx = jax.grad(lambda x: pooling.pool(x, 'max', 3, 1)[0, 1, 1, 0])(x)
  np.testing.assert_array_equal(
      dx[0, ..., 0], [[0, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_factorized_reduction_sees_other_pixels_in_its_second_half():
  module = ops.FactorizedReduction(features=2, stride=2)
  x = jnp.arange(25.).reshape(1, 5, 5, 1)
  variables = _variables(module, x.shape)
  ones = jax.tree.map(jnp.ones_like, variables['params'])
  y = module.apply({**variables, 'params': ones}, x, False)
  # The norm starts as a division by sqrt(1 + 1e-5), with a bias of 1 here.
  y = (y[0] - 1) * 1.00001**.5
  np.testing.assert_allclose(
      y[..., 0], [[0, 2, 4], [10, 12, 14], [20, 22, 24]], atol=1e-4)
  np.testing.assert_allclose(
      y[..., 1], [[6, 8, 0], [16, 18, 0], [0, 0, 0]], atol=1e-4)


def test_an_odd_number_of_features_goes_to_the_shifted_path():
  shapes = _shapes(ops.FactorizedReduction(features=7, stride=2), (1, 4, 4, 6))
  kernels = [x.shape for x in jax.tree.leaves(shapes['params'])
             if len(x.shape) == 4]
  assert kernels == [(1, 1, 6, 3), (1, 1, 6, 4)]
  assert _num_params(ops.FactorizedReduction(features=7)) == 8 * 7 + 2 * 7
  with pytest.raises(ValueError, match='in two, got 1'):
    _shapes(ops.FactorizedReduction(features=1, stride=2), (1, 4, 4, 6))


def _reach(name):
  """Which pixels of a 15 x 15 image the middle of the output depends on."""
  module = tables.NASNET[name](features=4)
  # Nothing negative, so that every ReLU is open.
  variables = jax.tree.map(jnp.abs, _variables(module, (1, 15, 15, 4)))
  gradient = jax.jit(jax.grad(lambda x: module.apply(
      variables, x, False)[0, 7, 7].sum()))(jnp.ones((1, 15, 15, 4)))
  seen = np.asarray(gradient)[0].sum(-1) > 0
  return [np.flatnonzero(seen.any(axis)).tolist() for axis in (1, 0)]


@pytest.mark.parametrize('name, pixels', [
    ('conv_1x1', [7]),
    ('conv_3x3', [6, 7, 8]),
    ('dil_conv_3x3', [5, 7, 9]),
    ('conv_1x3_3x1', [6, 7, 8]),
    ('conv_1x7_7x1', [4, 5, 6, 7, 8, 9, 10]),
    # Applied twice.
    ('sep_conv_3x3', [5, 6, 7, 8, 9]),
    ('dil_sep_conv_3x3', [3, 5, 7, 9, 11]),
    ('avg_pool_3x3', [6, 7, 8]),
])
def test_receptive_field(name, pixels):
  assert _reach(name) == [pixels, pixels]


@pytest.mark.parametrize('name', ['conv_1x1', 'conv_3x3', 'sep_conv_3x3',
                                  'conv_1x7_7x1', 'dil_sep_conv_3x3'])
def test_convolutions_begin_with_a_relu(name):
  module = tables.NASNET[name](features=4)
  variables = _variables(module, (1, 4, 4, 4))
  run = jax.jit(lambda x: module.apply(variables, x, False))
  x = _noise(1, 4, 4, 4)
  np.testing.assert_array_equal(run(x), run(jnp.maximum(x, 0)))
  assert np.abs(run(x)).max() > 0


def test_pools_and_identities_keep_negative_values():
  x = -jnp.ones((1, 3, 3, 2))
  for name in ('avg_pool_3x3', 'max_pool_3x3', 'max_pool_2x2',
               'skip_connect'):
    y = tables.NASNET[name](features=2).apply({}, x, True)
    np.testing.assert_allclose(y, x, rtol=1e-6)


def test_batch_norm_has_the_momentum_and_epsilon_of_the_style():
  style = ops.Style(momentum=.75, epsilon=3.)
  module = ops.Conv(features=1, style=style)
  variables = _variables(module, (1, 1, 1, 1))
  ones = jax.tree.map(jnp.ones_like, variables['params'])
  x = jnp.array([1., 3.]).reshape(2, 1, 1, 1)
  y, updates = module.apply({**variables, 'params': ones}, x, True,
                            mutable=['batch_stats'])
  # Mean 2, variance 1 (unbiased 2), (x - 2) / sqrt(1 + 3) + 1.
  np.testing.assert_allclose(y.ravel(), [.5, 1.5], rtol=1e-5)
  stats = updates['batch_stats']['BatchNorm_0']
  np.testing.assert_allclose(stats['mean'], [.25 * 2], rtol=1e-6)
  np.testing.assert_allclose(stats['var'], [.75 + .25 * 2], rtol=1e-6)


@pytest.mark.parametrize('name', tables.NASNET)
def test_drawn_variables_have_the_tree_that_init_gives(name):
  module = tables.NASNET[name](features=_F, stride=2)
  shapes = _shapes(module, (1, 4, 4, 5))
  drawn = initializers.draw(jax.random.key(0), 3, shapes)
  assert jax.tree.structure(drawn) == jax.tree.structure(shapes)
  assert [(x.shape, x.dtype) for x in jax.tree.leaves(drawn)] == [
      (x.shape, x.dtype) for x in jax.tree.leaves(shapes)]


def _draw(name, shape, key=0, index=0):
  leaf = {name: jax.ShapeDtypeStruct(shape, jnp.float32)}
  return np.asarray(
      initializers.draw(jax.random.key(key), index, leaf)[name])


@pytest.mark.parametrize('name, shape, variance', [
    ('kernel', (3, 3, 64, 32), 2 / (9 * 32)),
    ('kernel', (100, 200), 2 / 200),
    ('pointwise_1', (200, 100), 2 / 100),
    ('depthwise_0', (5, 5, 800), 2 / 25),
])
def test_variance_by_rule(name, shape, variance):
  x = _draw(name, shape)
  # 18,432 or more numbers: a standard error of at most one percent.
  np.testing.assert_allclose(x.var(), variance, rtol=.05)
  assert abs(x.mean()) < .03 * variance**.5
  # Cut at two standard deviations of the normal before the cut, 0.8796 of it.
  limit = 2 / 0.87962566 * variance**.5
  assert .99 * limit < np.abs(x).max() <= limit * 1.0001
  rule = (initializers.depthwise('fan_out') if name.startswith('depthwise')
          else initializers.kernel('fan_out'))
  same = np.asarray(rule(jax.random.key(1), shape))
  np.testing.assert_allclose(same.std(), x.std(), rtol=.03)
  np.testing.assert_allclose(np.abs(same).max(), limit, rtol=.01)


def test_norms_and_biases_start_neutral():
  assert (_draw('scale', (3,)) == 1).all() and (_draw('var', (3,)) == 1).all()
  assert (_draw('bias', (3,)) == 0).all() and (_draw('mean', (3,)) == 0).all()


def test_draws_are_a_function_of_key_node_and_leaf():
  first = _draw('kernel', (2, 3))
  np.testing.assert_array_equal(first, _draw('kernel', (2, 3)))
  assert (first != _draw('kernel', (2, 3), key=1)).all()
  assert (first != _draw('kernel', (2, 3), index=1)).all()
  leaf = jax.ShapeDtypeStruct((2, 3), jnp.float32)
  both = initializers.draw(
      jax.random.key(0), 0, {'a': {'kernel': leaf}, 'b': {'kernel': leaf}})
  np.testing.assert_array_equal(first, both['a']['kernel'])
  assert (first != both['b']['kernel']).all()


def test_drawn_numbers_do_not_change_between_versions():
  np.testing.assert_allclose(
      _draw('kernel', (2, 2), key=7, index=5),
      [[-0.93121529, 0.60779083], [-1.1978722, 1.250988]], rtol=1e-6)


def test_a_name_without_a_distribution():
  with pytest.raises(ValueError, match="variable called 'gamma'"):
    _draw('gamma', (2,))
