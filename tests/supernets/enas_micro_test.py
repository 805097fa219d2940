"""The shared network of ENAS' micro search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.spaces import arcs
from nas_jax.spaces import discrete
from nas_jax.supernets import enas_micro
from tests.networks import executions

# `cifar10_micro_final.sh`.
_PUBLISHED = ('0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 '
              '1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1')


def _family(**kwargs):
  return enas_micro.family(**{
      'num_nodes': 2, 'num_cells': 1, 'features': 4, 'image_shape': (8, 8, 1),
      'num_classes': 3, 'dropout_keep': 1., **kwargs})


def _reads(net, name):
  names = ['image', *(node.name for node in net.nodes)]
  node, = (node for node in net.nodes if node.name == name)
  return [names[i] for i in node.inputs]


def test_the_published_number_of_shared_weights():
  family = enas_micro.family()
  assert graph.num_params(family.full) == 5_373_140
  # prod (5 i)^2 for i = 2..6, of each of two cells.
  assert discrete.size(family.space.choices) == 5_062_500_000_000 ** 2
  net = family.build(arcs.parse(_PUBLISHED))
  shapes = {node.name: node.shape for node in net.nodes}
  assert [shapes[f'cell{i}_output'] for i in range(8)] == (
      [(32, 32, 20)] * 2 + [(16, 16, 40)] * 3 + [(8, 8, 80)] * 3)
  assert shapes['cell2_halved'] == (16, 16, 40)


def test_cells_read_what_the_published_network_reads():
  net = _family(num_cells=2).build(
      arcs.parse('0 0 1 1 2 2 2 4 0 3 0 4 1 0 1 1'))
  # Both states of the first cell are projections of the stem.
  assert _reads(net, 'cell0_enter0') == _reads(net, 'cell0_enter1') == ['stem']
  assert _reads(net, 'cell1_enter0') == ['stem']
  assert _reads(net, 'cell0_node0a_from0_sep_conv_3x3') == ['cell0_enter0']
  assert _reads(net, 'cell0_node0') == [
      'cell0_node0a_from0_sep_conv_3x3', 'cell0_node0b_from1_sep_conv_5x5']
  # An identity has no node.
  assert _reads(net, 'cell0_node1') == [
      'cell0_node1a_from2_avg_pool_3x3', 'cell0_node0']
  # One loose state.
  assert _reads(net, 'cell0_output') == ['cell0_output_from3']
  assert _reads(net, 'cell1_node0b_from1_sep_conv_5x5') == ['cell0_output']
  # A reduction cell reads the last output before and after it is halved.
  assert _reads(net, 'cell2_halved') == ['cell1_output']
  assert _reads(net, 'cell2_enter0') == ['cell1_output']
  assert _reads(net, 'cell2_node0') == [
      'cell2_node0a_from0_max_pool_3x3', 'cell2_enter0']
  assert _reads(net, 'cell2_output_sum') == [
      'cell2_output_from2', 'cell2_output_from3']
  # The cell after it reads the halved one and the cell's output as they are.
  assert _reads(net, 'cell3_node0a_from0_sep_conv_3x3') == ['cell2_halved']
  assert _reads(net, 'cell3_node0b_from1_sep_conv_5x5') == ['cell2_output']
  assert _reads(net, 'classifier') == ['cell7_output']


def test_loose_states_meet_the_matching_rows_of_one_weight():
  net = _family(num_nodes=3).build(
      arcs.parse('1 4 1 4 1 4 1 4 1 4 1 4 ' * 2))
  names = [f'cell0_output_from{s}' for s in (0, 2, 3, 4)]
  assert _reads(net, 'cell0_output_sum') == names
  modules = [node.module for node in net.nodes if node.name in names]
  assert modules == [modules[0]] * 4
  rng = np.random.default_rng(0)
  states = rng.standard_normal((4, 2, 3, 3, 4)).astype(np.float32)
  weight = rng.standard_normal((5, 4, 4)).astype(np.float32)
  rows = [modules[0].apply({'params': {'Convolution_0': {
      'kernel': weight[None, None, s]}}}, x, True)
          for s, x in zip((0, 2, 3, 4), states)]
  joined = np.concatenate(np.maximum(states, 0), -1)
  np.testing.assert_allclose(
      sum(rows), joined @ weight[[0, 2, 3, 4]].reshape(16, 4), rtol=0,
      atol=1e-5)


def test_every_sub_network_is_a_part_of_the_whole():
  family = _family(num_nodes=3)
  whole = graph.shapes(family.full).params
  used = set()
  for seed in range(40):
    net = family.build(family.space.genotype(
        family.space.sample(jax.random.key(seed))))
    for name, tree in graph.shapes(net).params.items():
      if tree:
        assert whole[name] == tree
        used.add(name)
  assert len(used) > .8 * sum(bool(tree) for tree in whole.values())


def test_names_tell_weights_apart():
  params = graph.shapes(_family().full).params
  # Two sizes of kernel, two sides, two and three inputs.
  assert sum('sep_conv' in name for name in params
             if name.startswith('cell0_')) == 2 * 2 * (2 + 3)
  assert sum('output_from' in name for name in params
             if name.startswith('cell0_')) == 4


def test_the_second_classifier_reads_the_cell_after_the_last_reduction():
  family = enas_micro.family(auxiliary=True, num_nodes=1, features=4)
  net = family.build(arcs.parse('0 4 1 4 0 4 1 4'))
  assert _reads(net, 'auxiliary') == ['cell6_output']
  assert graph.num_params(family.full) - graph.num_params(net) > 0
  assert isinstance(net.nodes[net.auxiliary - 1].module, image.AuxiliaryHead)


@pytest.mark.slow
def test_both_executions_agree():
  executions.check(_family().build(arcs.parse('0 0 1 2 2 4 0 3 ' * 2)), 3)


def test_norms_use_the_batch_in_training():
  module = enas_micro.Norm(1)
  x = jnp.array([1., 3.]).reshape(2, 1, 1, 1)
  variables = module.init(jax.random.key(0), x, False)
  y, _ = module.apply(variables, x, True, mutable=['batch_stats'])
  np.testing.assert_allclose(y[:, 0, 0, 0], [-1, 1], atol=1e-4)


@pytest.mark.parametrize('kwargs, message', [
    (dict(num_cells=0), 'num_cells is 0, expected at least 1'),
    (dict(features=0), 'features is 0, expected at least 1'),
    (dict(operations=('conv_1x1',)), "operation is 'conv_1x1'"),
    (dict(image_shape=(3, 8, 1)), 'an image of 3 x 8 pixels cannot be halved'),
])
def test_what_cannot_be_built(kwargs, message):
  with pytest.raises(ValueError, match=message):
    _family(**kwargs)


def test_cells_of_another_space_are_refused():
  with pytest.raises(ValueError, match="the normal cell has 'conv_1x1'"):
    _family().build(((('conv_1x1', 0), ('skip_connect', 1)), (2,)) * 2)
