import re

import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import preset
from nas_jax.spaces import presets


def _net(name='NASNet-A', network='imagenet', **kwargs):
  return zoo.build(presets.load(name), network, **kwargs)


def _reads(net, name):
  """The names of what a node reads."""
  node = next(node for node in net.nodes if node.name == name)
  return [net.nodes[i - 1].name if i else 'image' for i in node.inputs]


def _modules(net, kind):
  return [node.module for node in net.nodes if isinstance(node.module, kind)]


def test_the_first_stem_cell_has_the_stem_for_both_inputs():
  net = _net()
  # NASNet-A's first reduction node: 5x5 on state 1, 7x7 on state 0.
  assert _reads(net, 'stem_cell0_enter1') == ['stem']
  assert _reads(net, 'stem_cell0_node0b_sep_conv_7x7') == ['stem']
  assert _reads(net, 'stem_cell1_enter0') == ['stem']
  assert _reads(net, 'cell0_enter0') == ['stem_cell0_output']
  assert _reads(net, 'cell0_enter1') == ['stem_cell1_output']


def test_large_networks_skip_the_input_of_a_reduction_cell():
  large, mobile = _net(network='imagenet_large', num_cells=2), _net(num_cells=2)
  for net in large, mobile:
    assert _reads(net, 'cell2_enter0') == ['cell0_output']
    assert _reads(net, 'cell2_enter1') == ['cell1_output']
    assert _reads(net, 'cell3_enter1') == ['cell2_output']
    assert _reads(net, 'cell4_enter0') == ['cell2_output']
  assert _reads(mobile, 'cell3_enter0') == ['cell1_output']
  assert _reads(large, 'cell3_enter0') == ['cell0_output']
  # AmoebaNet's do not.
  net = _net('AmoebaNet-A', 'imagenet_large', num_cells=2)
  assert _reads(net, 'cell3_enter0') == ['cell1_output']


def test_depth_for_drop_path_counts_the_stem_cells():
  net = _net(drop_path_keep=.7)
  depths = {n.name: n.depth for n in net.nodes}
  # 2 stem cells, 12 normal cells, 2 reduction cells.
  assert depths['stem_cell0_node0a_sep_conv_5x5'] == 1 / 16
  assert depths['stem_cell1_node0a_sep_conv_5x5'] == 2 / 16
  assert depths['cell0_node0a_sep_conv_5x5'] == 3 / 16
  assert depths['cell13_node0a_sep_conv_5x5'] == 1
  last = next(n for n in net.nodes if n.name == 'cell13_node0a_sep_conv_5x5')
  np.testing.assert_allclose(graph.keep_probability(net, last, .5), .85)


@pytest.mark.parametrize('network, momentum, epsilon, dropout_keep', [
    ('cifar', .9, 1e-5, 1.), ('imagenet', .9997, 1e-3, .5),
    ('imagenet_large', .9997, 1e-3, .5)])
@pytest.mark.parametrize('name', ['NASNet-A', 'AmoebaNet-B', 'PNASNet-5'])
def test_norm_and_dropout_of_the_papers(
    name, network, momentum, epsilon, dropout_keep):
  net = _net(name, network, num_cells=1)
  styles = {n.module.style for n in net.nodes if hasattr(n.module, 'style')}
  assert [(s.momentum, s.epsilon) for s in styles] == [(momentum, epsilon)]
  assert net.nodes[-1].module.dropout_keep == dropout_keep


def test_pnasnet_has_no_cells_beside_three_stages():
  net = _net('PNASNet-5', 'cifar', auxiliary=True)
  outputs = [n for n in net.nodes if n.name.endswith('_output')]
  assert [n.shape for n in outputs] == (
      [(32, 32, 240)] * 3 + [(16, 16, 480)] * 3 + [(8, 8, 960)] * 3)
  # Cell 2 N - 1 is the last before the second stride.
  assert _reads(net, 'auxiliary') == ['cell5_output']
  depths = {n.depth for n in net.nodes}
  np.testing.assert_allclose(sorted(depths), np.arange(10) / 9)


@pytest.mark.parametrize('name, network, place', [
    ('NASNet-A', 'imagenet', 'cell8_output'),
    ('AmoebaNet-C', 'imagenet', 'cell8_output'),
    ('PNASNet-5', 'imagenet_large', 'cell7_output')])
def test_the_auxiliary_head_reads_two_thirds_of_the_network(
    name, network, place):
  assert _reads(_net(name, network, auxiliary=True), 'auxiliary') == [place]


def test_the_stem_for_imagenet_has_no_padding():
  net = _net(image_shape=(64, 71, 3), num_cells=1)
  assert net.nodes[0].shape == (31, 35, 32)
  assert _net(network='imagenet_large').nodes[0].shape == (165, 165, 96)
  assert net.image_shape == (64, 71, 3)


def test_a_network_that_does_not_exist():
  with pytest.raises(ValueError, match="no network 'svhn', expected one of "
                     'cifar, imagenet, imagenet_large$'):
    _net(network='svhn')
  with pytest.raises(ValueError, match="no network 'svhn', expected one of c"):
    image.build({'cifar': None}, (), network='svhn', image_shape=(8, 8, 3),
                num_classes=2, features=4, num_cells=1)


def test_an_image_too_small_for_the_stem_and_the_reductions():
  message = '31 x 64 pixels cannot be halved by 5 reduction cells'
  with pytest.raises(ValueError, match=message):
    _net(image_shape=(31, 64, 3))
  assert _net(image_shape=(32, 64, 3), num_cells=1)


@pytest.mark.parametrize('changes, message', [
    (dict(features=3), 'features is 3, expected at least 4'),
    (dict(num_cells=0), 'num_cells is 0, expected at least 1')])
def test_sizes_too_small(changes, message):
  with pytest.raises(ValueError, match=f'^{message}$'):
    _net(**changes)


def test_cells_with_any_number_of_edges_belong_to_darts():
  cell = (('skip_connect', 2, 0), ('skip_connect', 2, 1))
  architecture = preset.Preset(
      'nasnet', genotypes.Genotype(cell, (2,), cell, (2,)))
  with pytest.raises(ValueError, match=re.escape(
      "pairs, two for each node, got (('skip_connect', 2, 0)")):
    zoo.build(architecture)


def test_a_genotype_that_is_not_of_cells():
  with pytest.raises(ValueError, match=r'reduce_concat\), got \(1, 2\)$'):
    zoo.build(preset.Preset('pnasnet', (1, 2)))
