import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import initializers
from nas_jax.networks import ops
from nas_jax.networks import ops_rl
from nas_jax.networks import tables
from nas_jax.spaces import chain_code
from nas_jax.spaces import macro_code
from nas_jax.spaces import token_code

_F = 8
_STYLE = ops.Style(epsilon=0.)
_NAMES = ('nas_rl', 'enas_macro', 'blockqnn', 'autodl')
_CASES = [(t, name) for t in _NAMES for name in tables.TABLES[t]]


def _shapes(module, shape):
  return graph.variable_shapes(
      module, (jax.ShapeDtypeStruct(shape, jnp.float32),))


def _num_params(module):
  return sum(x.size for x in jax.tree.leaves(
      _shapes(module, (1, 6, 6, _F)).get('params', {})))


def _run(module, x, train=False):
  shapes = _shapes(module, x.shape)
  variables = initializers.draw(jax.random.key(0), 0, shapes)
  return module.apply(variables, x, train)


def test_the_codes_have_the_operations_of_the_tables():
  assert set(tables.NAS_RL) == {*chain_code.CONVOLUTIONS, *chain_code.POOLS}
  assert tuple(tables.ENAS_MACRO) == macro_code.OPERATIONS
  assert tuple(tables.AUTODL) == token_code.OPERATIONS


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('table, name', _CASES)
def test_operations_keep_or_halve_the_size(table, name, stride):
  module = tables.TABLES[table][name](features=_F, stride=stride)
  for height, width in [(8, 8), (7, 5), (1, 2)]:
    x = jax.ShapeDtypeStruct((2, height, width, _F), jnp.float32)
    y, _ = jax.eval_shape(
        lambda v, x: module.apply(v, x, True, mutable=['batch_stats']),
        _shapes(module, x.shape), x)
    assert y.shape == (2, -(-height // stride), -(-width // stride), _F)


# Weights (with biases in the last table), then scale and bias of each norm.
_NUM_PARAMS = {
    ('nas_rl', 'conv_7x5'): 35 * 64 + 16,
    ('nas_rl', 'conv_1x3'): 3 * 64 + 16,
    ('nas_rl', 'max_pool_2x2'): 0,
    ('enas_macro', 'conv_3x3'): 64 + 16 + 9 * 64 + 16,
    ('enas_macro', 'sep_conv_3x3'): 64 + 16 + 9 * 8 + 64 + 16,
    ('enas_macro', 'conv_5x5'): 64 + 16 + 25 * 64 + 16,
    ('enas_macro', 'sep_conv_5x5'): 64 + 16 + 25 * 8 + 64 + 16,
    ('enas_macro', 'avg_pool_3x3'): 64 + 16,
    ('enas_macro', 'max_pool_3x3'): 64 + 16,
    ('blockqnn', 'conv_1x1'): 64 + 16,
    ('blockqnn', 'conv_3x3'): 9 * 64 + 16,
    ('blockqnn', 'conv_5x5'): 25 * 64 + 16,
    ('blockqnn', 'max_pool_3x3'): 0,
    ('blockqnn', 'avg_pool_3x3'): 0,
    ('autodl', 'conv_1x1'): 16 + 64 + 8,
    ('autodl', 'conv_3x3'): 16 + 9 * 64 + 8,
    ('autodl', 'conv_5x5'): 16 + 25 * 64 + 8,
    ('autodl', 'dil_conv_3x3'): 16 + 9 * 64 + 8,
    ('autodl', 'conv_1x3_3x1'): 16 + 2 * (3 * 64 + 8),
    ('autodl', 'conv_1x5_5x1'): 16 + 2 * (5 * 64 + 8),
    ('autodl', 'max_pool_3x3'): 16,
    ('autodl', 'max_pool_5x5'): 16,
    ('autodl', 'avg_pool_3x3'): 16,
    ('autodl', 'avg_pool_5x5'): 16,
}


@pytest.mark.parametrize('table, name', _NUM_PARAMS)
def test_number_of_parameters(table, name):
  module = tables.TABLES[table][name](features=_F)
  assert _num_params(module) == _NUM_PARAMS[table, name]


# AutoDL Design with stride 2 and twice the channels, F -> 2 F.
@pytest.mark.parametrize('name, expected', [
    ('conv_3x3', 16 + 9 * 128 + 16),
    ('dil_conv_3x3', 16 + 9 * 128 + 16),
    ('conv_1x5_5x1', 16 + 2 * (5 * 64 + 8) + 128 + 16),
    ('max_pool_5x5', 16 + 128 + 16),
    ('avg_pool_3x3', 16 + 128 + 16),
])
def test_number_of_parameters_of_reductions(name, expected):
  assert _num_params(tables.AUTODL[name](
      features=2 * _F, stride=2)) == expected


def test_a_dilated_convolution_with_stride_is_not_dilated():
  x = jnp.asarray(
      np.random.default_rng(0).standard_normal((1, 6, 6, 2)), jnp.float32)
  run = lambda stride, dilation: np.asarray(_run(ops_rl.NormReluConv(
      4, stride, _STYLE, ((3, 3),), dilation), x))
  np.testing.assert_array_equal(run(2, 2), run(2, 1))
  assert np.abs(run(1, 2) - run(1, 1)).max() > .1


def test_a_dilated_convolution_skips_pixels():
  module = ops_rl.NormReluConv(1, 1, _STYLE, ((3, 3),), 2)
  x = jnp.zeros((1, 7, 7, 1)).at[0, 3, 3, 0].set(1.)
  variables = initializers.draw(
      jax.random.key(0), 0, _shapes(module, x.shape))
  variables['params']['Convolution_0']['kernel'] = jnp.ones((3, 3, 1, 1))
  y = module.apply(variables, x, False)[0, ..., 0]
  expected = np.zeros((7, 7))
  expected[1::2, 1::2] = 1
  np.testing.assert_array_equal(y, expected)


def test_only_averages_with_stride_count_uneven_padding():
  run = lambda size, stride, pixels: np.asarray(_run(ops_rl.NormReluPool(
      1, stride, _STYLE, 'avg', size), jnp.ones((1, pixels, pixels, 1))))
  assert (run(3, 1, 4) == 1).all() and (run(5, 1, 4) == 1).all()
  # Its 1x1 convolution has one weight: the first value of all windows.
  y = run(3, 2, 4)[0, ..., 0]
  np.testing.assert_allclose(
      y / y[0, 0], [[1, 6 / 9], [6 / 9, 4 / 9]], rtol=1e-6)
  # An odd size is padded evenly and not counted.
  y = run(3, 2, 5)
  np.testing.assert_allclose(y / y[0, 0, 0], np.ones_like(y), rtol=1e-6)


def test_a_pair_of_factors_strides_along_its_own_axes():
  module = ops_rl.NormReluConv(4, 2, _STYLE, ((1, 3), (3, 1)))
  shapes = _shapes(module, (1, 8, 6, 2))['params']
  assert [shapes[f'Convolution_{i}']['kernel'].shape for i in range(3)] == [
      (1, 3, 2, 2), (3, 1, 2, 2), (1, 1, 2, 4)]
  x = jnp.zeros((1, 4, 4, 1)).at[0, :, :, 0].set(
      jnp.arange(16.).reshape(4, 4))
  module = ops_rl.NormReluConv(1, 2, _STYLE, ((1, 3), (3, 1)))
  variables = initializers.draw(
      jax.random.key(0), 0, _shapes(module, x.shape))
  for i, kernel in enumerate(([[1., 0, 0]], [[1.], [0], [0]], [[1.]])):
    variables['params'][f'Convolution_{i}']['kernel'] = jnp.array(
        kernel)[..., None, None]
  # The first pixel of each window; an even size is padded behind alone.
  np.testing.assert_array_equal(
      module.apply(variables, x, False)[0, ..., 0], [[0, 2], [8, 10]])
