import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.networks import zoo
from nas_jax.spaces import cell
from nas_jax.spaces import genotypes
from nas_jax.spaces import preset
from nas_jax.spaces import presets_nasnet as presets

_SMALL = genotypes.Genotype(
    normal=(('conv_1x1', 0), ('skip_connect', 1)), normal_concat=(2,),
    reduce=(('max_pool_3x3', 0), ('conv_1x1', 1)), reduce_concat=(2,))


def _net(genotype, num_cells=6, features=32, size=32, **kwargs):
  return image.cifar_net(
      tuple(genotype), image_shape=(size, size, 3), num_classes=10,
      num_cells=num_cells, features=features, **kwargs)


def _variable_shapes(net, node):
  return graph.variable_shapes(node.module, graph.input_shapes(net, node, 1))


def _num_params(net):
  return sum(
      x.size for node in net.nodes for x in jax.tree.leaves(
          _variable_shapes(net, node).get('params', {})))


def _check_shapes(net):
  for node in net.nodes:
    inputs = graph.input_shapes(net, node, 2)
    y, _ = jax.eval_shape(
        lambda v, x: node.module.apply(v, *x, True, mutable=['batch_stats']),
        graph.variable_shapes(node.module, inputs), inputs)
    assert y.shape == (2, *node.shape), node.name


def _names(net):
  return [node.name for node in net.nodes]


@pytest.mark.parametrize('genotype, num_cells, features, expected', [
    (presets.AMOEBANET_A, 6, 32, 2_567_754),  # 2.6M in the paper
    (presets.AMOEBANET_A, 6, 36, 3_218_266),  # 3.2M
    (presets.AMOEBANET_A, 3, 24, 843_322),  # the size of the search
    (presets.AMOEBANET_B, 6, 36, 2_839_186),  # 2.8M
    (presets.AMOEBANET_C, 6, 36, 3_979_126),
    (presets.NASNET_A, 6, 32, 3_346_538),  # 3.3M
    (presets.NASNET_A, 2, 32, 1_294_698),  # the size of the search
])
def test_published_networks_have_the_published_size(
    genotype, num_cells, features, expected):
  assert _num_params(_net(genotype, num_cells, features)) == expected


def test_shapes_of_the_stages_of_nasnet():
  net = _net(presets.NASNET_A)
  shapes = {node.name: node.shape for node in net.nodes}
  cells = [shapes[f'cell{i}_output'] for i in range(20)]
  assert shapes['stem'] == (32, 32, 96)
  assert cells == (
      [(32, 32, 192)] * 6 + [(16, 16, 256)] + [(16, 16, 384)] * 6 +
      [(8, 8, 512)] + [(8, 8, 768)] * 6)
  assert shapes['classifier'] == (10,)
  assert _names(net)[-1] == 'classifier'


@pytest.mark.parametrize('genotype, size', [
    (presets.AMOEBANET_A, 20), (presets.AMOEBANET_B, 21),
    (presets.NASNET_A, 21)])
def test_nodes_give_the_shapes_that_they_declare(genotype, size):
  _check_shapes(_net(genotype, 1, 8, size, auxiliary=True))


# Node 0 and node 2 concatenate, node 1 adds; states 3 and 4 are loose.
_CONCAT = genotypes.Genotype(
    normal=(('conv_1x1', 0), ('conv_1x1', 1),
            ('skip_connect', 2), ('max_pool_3x3', 2),
            ('sep_conv_3x3', 2), ('skip_connect', 1)), normal_concat=(3, 4),
    reduce=_SMALL.reduce, reduce_concat=(2,),
    normal_combine=('concat', 'add', 'concat'))


def test_nodes_that_concatenate_are_narrowed_where_they_are_read():
  net = _net(_CONCAT, 1, 4, 8, num_reductions=0)
  counts = {node.name: sum(
      x.size for x in jax.tree.leaves(_variable_shapes(net, node)['params']))
            for node in net.nodes if _variable_shapes(net, node)}
  # Kernel and norm, 8 channels to 4 wherever node 0 is read. The stem has 12
  # channels, which state 0 keeps.
  assert counts == {
      'stem': 9 * 3 * 12 + 24,
      'cell0_enter1': 12 * 4 + 8,
      'cell0_node0a_conv_1x1': 12 * 4 + 8,
      'cell0_node0b_conv_1x1': 4 * 4 + 8,
      'cell0_node1a_skip_connect': 8 * 4 + 8,
      'cell0_node1b_max_pool_3x3': 8 * 4 + 8,
      'cell0_node2a_sep_conv_3x3': (
          (9 * 8 + 8 * 4 + 8) + (9 * 4 + 4 * 4 + 8)),
      'cell0_output4': 8 * 4 + 8,
      'classifier': 8 * 10 + 10}
  assert graph.num_params(net) == 866
  shapes = {node.name: node.shape[-1] for node in net.nodes}
  assert [shapes[f'cell0_node{n}'] for n in range(3)] == [8, 4, 8]
  assert shapes['cell0_output'] == 8


def test_a_node_concatenates_in_the_order_of_its_operations():
  net = _net(_CONCAT, 1, 4, 8, num_reductions=0)
  nodes = {node.name: node for node in net.nodes}
  node = nodes['cell0_node2']
  assert isinstance(node.module, graph.Concat)
  assert [_names(net)[i - 1] for i in node.inputs] == [
      'cell0_node2a_sep_conv_3x3', 'cell0_enter1']
  assert isinstance(nodes['cell0_node1'].module, graph.Sum)


def test_every_operation_reads_a_concatenation():
  for operation in cell.NASNET_OPERATIONS:
    module = tables.NASNET[operation](features=4)
    y, _ = jax.eval_shape(
        lambda x, m=module: m.init_with_output(jax.random.key(0), x, False),
        jax.ShapeDtypeStruct((1, 5, 5, 8), jnp.float32))
    assert y.shape == (1, 5, 5, 4), operation


def test_reduction_cells_concatenate():
  genotype = _CONCAT._replace(
      reduce=_CONCAT.normal, reduce_concat=(2, 3, 4),
      reduce_combine=('concat', 'concat', 'add'))
  net = _net(genotype, 1, 4, 8, num_reductions=1)
  _check_shapes(net)
  shapes = {node.name: node.shape for node in net.nodes}
  assert [shapes[f'cell1_node{n}'] for n in range(3)] == [
      (4, 4, 16), (4, 4, 16), (4, 4, 8)]
  assert shapes['cell1_output'] == (4, 4, 24)


@pytest.mark.parametrize('family', [
    'pnasnet', 'nao', 'nao_pytorch', 'nao_pytorch_v2', 'nao_ws', 'enas_micro',
    'darts'])
def test_families_that_only_add_refuse_a_concatenation(family):
  with pytest.raises(ValueError, match=(
      "^node 0 of the normal cell combines its operations by 'concat', "
      'expected add$')):
    zoo.build(preset.Preset(family, _CONCAT), features=8, num_cells=1)


def test_the_families_of_the_space_concatenate():
  for family in 'nasnet', 'amoebanet':
    net = zoo.build(preset.Preset(family, _CONCAT), features=4, num_cells=1)
    assert {n.name: n.shape[-1] for n in net.nodes}['cell0_node0'] == 8
  with pytest.raises(ValueError, match='has 2 entries, expected one for each'):
    _net(_CONCAT._replace(normal_combine=('add', 'add')))


def test_the_auxiliary_head_reads_the_input_of_the_last_reduction():
  net = _net(presets.NASNET_A, auxiliary=True)
  head = net.nodes[net.auxiliary - 1]
  assert head.name == 'auxiliary'
  assert [net.nodes[i - 1].name for i in head.inputs] == ['cell12_output']
  # Pooled to 4 x 4: 1x1 convolution, 4x4 convolution, two norms, classifier.
  added = (384 * 128 + 16 * 128 * 768 + 2 * (128 + 768) + 768 * 10 + 10)
  assert _num_params(net) == 3_346_538 + added
  assert _net(presets.NASNET_A).auxiliary is None


def test_the_number_of_reductions_is_a_choice():
  shapes = {n.name: n.shape for n in _net(_SMALL, 1, 4, 8,
                                          num_reductions=0).nodes}
  assert shapes['cell0_output'] == (8, 8, 4) and 'cell1_output' not in shapes
  shapes = {n.name: n.shape for n in _net(_SMALL, 1, 4, 8,
                                          num_reductions=3).nodes}
  assert [shapes[f'cell{i}_output'] for i in range(7)] == [
      (8, 8, 4), (4, 4, 8), (4, 4, 8), (2, 2, 16), (2, 2, 16), (1, 1, 32),
      (1, 1, 32)]


def test_nodes_that_nothing_reads_are_left_out():
  genotype = genotypes.Genotype(
      normal=(('conv_3x3', 0), ('conv_1x1', 1),
              ('max_pool_3x3', 1), ('skip_connect', 1)), normal_concat=(3,),
      reduce=_SMALL.reduce, reduce_concat=(2,))
  net = _net(genotype, 1, 4, 8, num_reductions=0)
  assert _names(net) == ['stem', 'cell0_enter1', 'cell0_node1a_max_pool_3x3',
                         'cell0_node1', 'cell0_output', 'classifier']
  read = {i for node in net.nodes for i in node.inputs}
  assert read == set(range(len(net.nodes)))


def test_an_identity_of_equal_shape_is_not_a_node():
  net = _net(_SMALL, 1, 4, 8)
  # In the reduction cell and where the channels differ it is one.
  skips = [n for n in _names(net) if 'skip_connect' in n]
  assert skips == []
  genotype = _SMALL._replace(
      reduce=(('skip_connect', 0), ('skip_connect', 1)))
  skips = [n for n in _names(_net(genotype, 1, 4, 8)) if 'skip_connect' in n]
  assert skips == [
      'cell1_node0a_skip_connect', 'cell1_node0b_skip_connect',
      'cell3_node0a_skip_connect', 'cell3_node0b_skip_connect']


def test_equal_arguments_give_equal_graphs():
  assert _net(presets.NASNET_A) == _net(presets.NASNET_A)
  assert hash(_net(presets.NASNET_A)) == hash(_net(presets.NASNET_A))
  assert _net(presets.NASNET_A) != _net(presets.NASNET_A, features=36)


def test_drop_path_grows_with_depth_and_time():
  net = _net(presets.NASNET_A, drop_path_keep=.6)
  cells = {
      i: [n for n in net.nodes if n.name.startswith(f'cell{i}_')
          and graph.drops(net, n)] for i in (0, 9, 19)}
  for progress, keeps in [(1., (.98, .80, .60)), (.5, (.99, .90, .80)),
                          (0., (1., 1., 1.))]:
    for i, keep in zip((0, 9, 19), keeps):
      assert len(cells[i]) >= 7
      for node in cells[i]:
        np.testing.assert_allclose(
            graph.keep_probability(net, node, progress), keep, rtol=1e-12)


def test_only_operations_are_dropped_and_identities_are_not():
  net = _net(presets.NASNET_A, drop_path_keep=.6)
  dropped = {n.name for n in net.nodes if graph.drops(net, n)}
  named = {n.name for n in net.nodes if re.search('node[0-9][ab]_', n.name)}
  identities = {n for n in named if 'skip_connect' in n}
  assert identities and dropped == named - identities
  net = _net(presets.NASNET_A)
  assert not any(graph.drops(net, n) for n in net.nodes)


def test_drop_path_keeps_the_expectation():
  x = jnp.full((20000, 2, 1, 3), 2.)
  y = np.asarray(graph.drop_path(jax.random.key(0), x, .8))
  # Whole examples, scaled up.
  assert (y == y[:, :1, :, :1]).all()
  np.testing.assert_allclose(np.unique(y), [0, 2.5], rtol=1e-6)
  np.testing.assert_allclose(y.mean(), 2, rtol=.02)
  same = graph.drop_path(jax.random.key(0), x, 1.)
  np.testing.assert_array_equal(same, x)


def test_an_unknown_operation():
  genotype = _SMALL._replace(normal=(('conv_9x9', 0), ('skip_connect', 1)))
  with pytest.raises(ValueError, match=re.escape(
      "unknown operation 'conv_9x9', expected one of skip_connect, conv_1x3")):
    _net(genotype)


def test_an_image_too_small_to_be_halved():
  with pytest.raises(ValueError, match='3 x 3 pixels cannot be halved by 2'):
    _net(_SMALL, size=3)
  assert _net(_SMALL, size=4)


def test_the_auxiliary_head_needs_five_pixels():
  with pytest.raises(ValueError, match='its input has 4 x 4'):
    _net(_SMALL, size=8, auxiliary=True)
  net = _net(_SMALL, size=10, auxiliary=True)
  assert net.nodes[net.auxiliary - 1].inputs[0] > 0


def test_dropout_is_before_the_classifier_in_training_only():
  module = image.Classifier(1, dropout_keep=.5)
  x = jnp.ones((4000, 1, 1, 1))
  variables = {'params': {'Dense_0': {'kernel': jnp.ones((1, 1)),
                                      'bias': jnp.zeros(1)}}}
  y = np.asarray(module.apply(
      variables, x, True, rngs={'dropout': jax.random.key(0)}))
  assert set(np.unique(y)) == {0., 2.} and abs(y.mean() - 1) < .08
  np.testing.assert_array_equal(module.apply(variables, x, False), x[:, 0, 0])


def test_style_reaches_every_norm():
  net = _net(presets.NASNET_A, 1, 4, 8, style=ops.Style(axis_name='batch'))
  styles = [n.module.style for n in net.nodes if hasattr(n.module, 'style')]
  assert len(styles) > 20
  assert {s.axis_name for s in styles} == {'batch'}


@pytest.mark.parametrize('name', ['drop_path_keep', 'dropout_keep'])
@pytest.mark.parametrize('value', [0., 1.5, -.1])
def test_settings_that_are_probabilities(name, value):
  message = f'{name} is {value}, expected a probability in (0, 1]'
  with pytest.raises(ValueError, match=re.escape(message)):
    _net(_SMALL, **{name: value})


def test_an_auxiliary_head_needs_a_reduction():
  with pytest.raises(ValueError, match='but num_reductions is 0$'):
    _net(_SMALL, num_reductions=0, auxiliary=True)
