import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import initializers
from nas_jax.networks import tables

_F = 8


def _shapes(module, *shape):
  return graph.variable_shapes(
      module, (jax.ShapeDtypeStruct(shape, jnp.float32),))


def _num_params(module, channels=_F):
  return sum(x.size for x in jax.tree.leaves(
      _shapes(module, 1, 4, 4, channels).get('params', {})))


@pytest.mark.parametrize('name, params', [
    ('skip_connect', 0), ('max_pool_3x3', 0), ('avg_pool_3x3', 0),
    ('sep_conv_3x3', 2 * (16 + 9 * 8 + 64)),
    ('sep_conv_5x5', 2 * (16 + 25 * 8 + 64)),
    ('sep_conv_7x7', 2 * (16 + 49 * 8 + 64)),
    ('conv_1x7_7x1', 2 * (16 + 7 * 64))])
def test_number_of_parameters(name, params):
  assert _num_params(tables.ONE_SHOT[name](features=_F)) == params


def test_seven_operations():
  assert len(tables.ONE_SHOT) == 7


@pytest.mark.parametrize('name', tables.ONE_SHOT)
def test_shapes_change_with_stride_and_features(name):
  module = tables.ONE_SHOT[name](features=_F, stride=2)
  x = jax.ShapeDtypeStruct((2, 7, 6, 5), jnp.float32)
  y = jax.eval_shape(lambda v, x: module.apply(v, x, False),
                     _shapes(module, *x.shape), x)
  assert y.shape == (2, 4, 3, _F)


@pytest.mark.parametrize('name', ['sep_conv_3x3', 'conv_1x7_7x1'])
def test_norm_and_relu_come_first(name):
  module = tables.ONE_SHOT[name](features=4)
  variables = initializers.draw(
      jax.random.key(0), 0, _shapes(module, 2, 5, 5, 4))
  run = jax.jit(lambda x: module.apply(
      variables, x, True, mutable=['batch_stats'])[0])
  x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 5, 4)),
                  jnp.float32)
  # Batch norm first: neither scale nor offset of the input matter.
  np.testing.assert_allclose(run(x), run(3 * x + 1), atol=1e-3)
  # No norm at the end: twice the last kernel is twice the output.
  last = max(k for k in variables['params'] if 'Norm' not in k)
  variables['params'][last] = jax.tree.map(
      lambda w: 2 * w, variables['params'][last])
  doubled = module.apply(variables, x, True, mutable=['batch_stats'])[0]
  np.testing.assert_allclose(doubled, 2 * run(x), atol=1e-4)
