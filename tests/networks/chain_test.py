import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import chain
from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import ops_rl
from tests.networks import executions

_ONE = (1, 1)


def _net(genotype, size=8, **kwargs):
  return chain.build(genotype, image_shape=(size, size, 3), num_classes=4,
                     **kwargs)


def _reads(net):
  """Node -> the names of what it reads."""
  names = ['image', *(node.name for node in net.nodes)]
  return {node.name: [names[i] for i in node.inputs] for node in net.nodes}


def _shapes(net):
  return {node.name: node.shape for node in net.nodes}


def test_a_layer_without_input_reads_the_image():
  net = _net((('conv_3x3', _ONE, 5, ()), ('conv_1x1', _ONE, 6, (1,)),
              ('conv_3x5', _ONE, 7, ())))
  assert _reads(net) == {
      'layer1': ['image'], 'layer2': ['layer1'], 'layer3': ['image'],
      'classifier_inputs': ['layer2', 'layer3'],
      'classifier': ['classifier_inputs']}


def test_inputs_are_concatenated_in_the_order_in_which_they_are_named():
  net = _net((('conv_3x3', _ONE, 5, (0,)), ('conv_1x1', _ONE, 6, (1, 0)),
              ('conv_3x5', _ONE, 7, (0, 2, 1))))
  reads = _reads(net)
  assert reads['layer2_inputs'] == ['layer1', 'image']
  assert reads['layer3_inputs'] == ['image', 'layer2', 'layer1']
  assert _shapes(net)['layer3_inputs'] == (8, 8, 3 + 6 + 5)
  # All layers are read but the last: it alone is classified.
  assert reads['classifier'] == ['layer3']


def test_strides_of_both_axes_and_smaller_inputs_padded_to_the_largest():
  net = _net((('conv_3x3', (2, 1), 5, (0,)), ('conv_3x3', (1, 3), 6, (0,)),
              ('conv_1x1', _ONE, 7, (1, 2)), ('conv_1x1', (3, 2), 2, (0,))))
  assert _shapes(net) == {
      'layer1': (4, 8, 5), 'layer2': (8, 3, 6), 'layer3_inputs': (8, 8, 11),
      'layer3': (8, 8, 7), 'layer4': (3, 4, 2), 'classifier_inputs': (8, 8, 9),
      'classifier': (4,)}


def test_zeros_are_spread_evenly_an_odd_one_behind():
  a = jnp.array([[1., 2.], [3., 4.]])[None, ..., None]
  b = jnp.full((1, 5, 3, 1), 9.)
  y = ops_rl.PadConcat().apply({}, a, b, False)
  np.testing.assert_array_equal(y[0, ..., 0], [
      [0, 0, 0], [1, 2, 0], [3, 4, 0], [0, 0, 0], [0, 0, 0]])
  np.testing.assert_array_equal(y[0, ..., 1], np.full((5, 3), 9.))


def test_a_pool_keeps_its_channels():
  net = _net((('conv_3x3', _ONE, 5, (0,)), ('max_pool_2x2', (2, 2), 0, (1, 0)),
              ('avg_pool_3x3', _ONE, 0, (2,))))
  shapes = _shapes(net)
  assert shapes['layer2'] == shapes['layer3'] == (4, 4, 8)
  assert executions.num_params(net, 'layer2') == 0


def test_convolution_norm_relu_by_hand():
  style = ops.Style(epsilon=0.)
  net = chain.build(
      (('conv_1x1', _ONE, 1, (0,)), ('conv_1x1', _ONE, 1, (1, 0))),
      image_shape=(2, 2, 1), num_classes=1, style=style)
  variables = graph.init(jax.random.key(0), net)
  for name, kernel in (('layer1', [2.]), ('layer2', [10., 1.])):
    found = variables.params[name]['Convolution_0']
    assert set(found) == {'kernel'}  # no bias
    found['kernel'] = jnp.array(kernel).reshape(1, 1, -1, 1)
  variables.params['classifier']['Dense_0'].update(
      kernel=jnp.array([[3.]]), bias=jnp.array([.5]))
  x = jnp.array([1., -2, 3, 4]).reshape(1, 2, 2, 1)
  # Layer 1: 2 0 6 8. Layer 2: 21 0 63 84, on average 42.
  y = graph.GraphNet(net).apply(variables._asdict(), x).main
  np.testing.assert_allclose(y, [[3 * 42 + .5]], rtol=1e-6)


def test_both_executions_agree_where_a_layer_reads_the_image_and_another():
  executions.check(_net((
      ('conv_3x3', _ONE, 4, ()), ('conv_3x1', (2, 2), 4, (1, 0)),
      ('max_pool_2x2', (2, 2), 0, (1,)), ('conv_1x3', _ONE, 4, (0, 2, 3)))), 4)


@pytest.mark.parametrize('kwargs, message', [
    (dict(features=3), 'features is 3, but the genotype of a network of the '
     'family nas_rl says all sizes'),
    (dict(num_cells=3), 'num_cells is 3, but'),
    (dict(auxiliary=True),
     'networks of the family nas_rl have no auxiliary classifier'),
    (dict(drop_path_keep=.5), 'drop_path_keep is 0.5, but networks of the '
     'family nas_rl drop no paths'),
    (dict(dropout_keep=0.), 'dropout_keep is 0.0, expected a probability'),
])
def test_what_the_family_does_not_have(kwargs, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    _net((('conv_1x1', _ONE, 4, (0,)),), **kwargs)


def test_a_wrong_genotype_is_refused():
  with pytest.raises(ValueError, match=re.escape(
      'layer 2 reads (2,), expected a tuple of 0..1')):
    _net((('conv_1x1', _ONE, 4, (0,)), ('conv_1x1', _ONE, 4, (2,))))
