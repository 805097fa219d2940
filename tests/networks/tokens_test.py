import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import tokens
from nas_jax.spaces import adjacency
from tests.networks import executions

_STYLE = ops.Style(epsilon=0., initializer='cut_fan_in')
_CELL = ((1, 8, 3), (0, 1, 0))  # 0 -> 2
_CHAIN = ((6, 4, 9), (1, 0, 1))  # 0 -> 1 -> 2


def _net(normal=_CELL, reduction=_CHAIN, **kwargs):
  return tokens.build((normal, reduction), **{
      'image_shape': (8, 8, 3), 'num_classes': 5, 'features': 8,
      'num_cells': 1, 'dropout_keep': 1., **kwargs})


def _cell(cell, reduction=False, channels=4, size=1):
  builder = graph.Builder((size, size, channels), _STYLE)
  return builder.finish(tokens.add_cell(
      builder, builder.image, cell, reduction, 'cell', _STYLE))


def _reads(net):
  names = ['image', *(node.name for node in net.nodes)]
  return {node.name: [names[i] for i in node.inputs] for node in net.nodes}


def _shapes(net):
  return {node.name: node.shape for node in net.nodes}


def test_roots_read_the_cells_input_and_others_the_sum_of_what_feeds_them():
  bits = adjacency.bits([(0, 2), (1, 2), (2, 3)], 5)
  net = _cell(((1, 0, 1, 6, 2), bits), channels=8, size=4)
  assert _reads(net) == {
      'cell_node0_enter': ['image'], 'cell_node0': ['cell_node0_enter'],
      'cell_node1_enter': ['image'], 'cell_node1': ['cell_node1_enter'],
      'cell_node2_sum': ['cell_node0', 'cell_node1'],
      'cell_node2': ['cell_node2_sum'], 'cell_node3': ['cell_node2'],
      'cell_node4_enter': ['image'], 'cell_node4': ['cell_node4_enter'],
      'cell_ends': ['cell_node3', 'cell_node4'], 'cell_output': ['cell_ends']}
  shapes = _shapes(net)
  assert shapes['cell_node0_enter'] == shapes['cell_node2'] == (4, 4, 2)
  assert shapes['cell_ends'] == (4, 4, 4)
  assert shapes['cell_output'] == (4, 4, 8)


def test_only_roots_of_a_reduction_cell_halve_the_image():
  bits = adjacency.bits([(0, 2), (1, 2)], 3)
  net = _cell(((3, 8, 4), bits), reduction=True, channels=8, size=4)
  shapes = _shapes(net)
  assert shapes['cell_node0_enter'] == (4, 4, 2)
  assert shapes['cell_node0'] == shapes['cell_node1'] == (2, 2, 4)
  assert shapes['cell_node2'] == (2, 2, 4)
  assert shapes['cell_output'] == (2, 2, 16)
  # Norm, then 3x3 to twice the channels; norm, pool, 1x1; norm, 1x3, 3x1.
  assert executions.num_params(net, 'cell_node0') == 4 + 9 * 2 * 4 + 4
  assert executions.num_params(net, 'cell_node1') == 4 + 2 * 4 + 4
  assert executions.num_params(net, 'cell_node2') == 8 + 2 * (3 * 4 * 4 + 4)


def test_a_cell_by_hand():
  # One pixel: pools do nothing. Nodes 0 and 1 feed node 2.
  net = _cell(((6, 8, 0), adjacency.bits([(0, 2), (1, 2)], 3)))
  variables = graph.init(jax.random.key(0), net)
  params = variables.params

  def set_conv(name, kernel, bias):
    found = params[name]['Convolution_0']
    found.update(
        kernel=jnp.array(kernel, jnp.float32).reshape(found['kernel'].shape),
        bias=jnp.array(bias, jnp.float32).reshape(found['bias'].shape))

  set_conv('cell_node0_enter', [1, 2, 3, 4], 1)
  set_conv('cell_node1_enter', [1, 1, 1, 1], -5)
  set_conv('cell_node2', [10], -1)
  set_conv('cell_output', [1, 2, 0, -1], [0, 0, 7, 0])
  x = jnp.array([1., -1, 2, 0]).reshape(1, 1, 1, 4)
  # ReLU: 1 0 2 0. Entries: 1 + 1 + 6 = 8 and 3 - 5 = -2, hence 8 and 0.
  # Sum 8; 10 * 8 - 1 = 79.
  y = graph.GraphNet(net).apply(variables._asdict(), x).main
  np.testing.assert_array_equal(y.ravel(), [79, 158, 7, -79])


def test_stages():
  net = _net(num_cells=2)
  shapes = _shapes(net)
  assert shapes['stem'] == shapes['cell1_output'] == (8, 8, 8)
  assert shapes['cell2_output'] == shapes['cell3_output'] == (4, 4, 16)
  assert shapes['cell4_output'] == shapes['cell5_output'] == (2, 2, 32)
  # The reduction cell is a chain of three nodes, the normal one has two ends.
  assert [n for n in shapes if n.endswith('ends')] == [
      'cell0_ends', 'cell1_ends', 'cell3_ends', 'cell5_ends']
  assert _reads(net)['classifier'] == ['norm']


def test_both_executions_agree():
  executions.check(_net(((4,), ()), ((8, 0), (1,))), 5)


def test_cells_of_pools_alone_and_of_nodes_without_edges():
  pools = ((6, 7, 8, 9), (0,) * 6)
  net = _net(pools, pools)
  variables = graph.init(jax.random.key(0), net)
  y = jax.jit(lambda x: graph.GraphNet(net).apply(
      variables._asdict(), x).main)(jnp.ones((2, 8, 8, 3)))
  assert np.isfinite(y).all() and y.shape == (2, 5)


def test_initial_weights_are_cut_at_two_deviations():
  net = tokens.build((_CELL, _CHAIN), features=64, num_cells=1)
  kernel = graph.init(jax.random.key(0), net).params['cell0_output'][
      'Convolution_0']['kernel']
  deviation = (2 / 32)**.5
  assert np.abs(kernel).max() <= 2 * deviation
  np.testing.assert_allclose(np.std(kernel), .8796 * deviation, rtol=.05)


@pytest.mark.parametrize('kwargs, message', [
    (dict(features=6), 'features is 6, expected a multiple of 4'),
    (dict(features=None), 'features is None, expected at least 1'),
    (dict(auxiliary=True), 'autodl have no auxiliary classifier'),
    (dict(drop_path_keep=.9), 'autodl drop no paths'),
    (dict(image_shape=(8, 3, 1)), 'an image of 8 x 3 pixels cannot be halved'),
    (dict(normal=((1, 10, 0), (0, 0, 0))),
     'node 1 of the normal cell has token 10, expected 0..9'),
    (dict(reduction=((1, 1, 0), (0, 0))),
     'reduction cell: 3 nodes have 3 adjacency bits, got 2'),
])
def test_what_cannot_be_built(kwargs, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    _net(**kwargs)
