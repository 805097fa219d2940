import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import initializers
from nas_jax.networks import nao
from nas_jax.networks import ops
from nas_jax.networks import ops_nao
from nas_jax.networks import tables
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import preset
from nas_jax.spaces import presets
from tests.networks import executions


def _net(name, network='cifar', **kwargs):
  return zoo.build(presets.load(name), network, **kwargs)


def _node(net, name):
  return next(node for node in net.nodes if node.name == name)


def _reads(net, name):
  return [net.nodes[i - 1].name if i else 'image'
          for i in _node(net, name).inputs]


def _names(net):
  return [node.name for node in net.nodes]


def _run(module, x, train=False, seed=0):
  shapes = graph.variable_shapes(
      module, (jax.ShapeDtypeStruct(x.shape, x.dtype),))
  variables = initializers.draw(jax.random.key(seed), 0, shapes)
  return jax.jit(lambda x: module.apply(variables, x, train))(x), variables


def _shape(module, *shape):
  variables = graph.variable_shapes(
      module, (jax.ShapeDtypeStruct(shape, jnp.float32),))
  y = jax.eval_shape(lambda v, x: module.apply(v, x, False), variables,
                     jax.ShapeDtypeStruct(shape, jnp.float32))
  return y.shape


@pytest.mark.parametrize('table', ['nao', 'nao_pytorch', 'enas', 'nao_ws'])
def test_operations_keep_or_halve_the_size(table):
  style = ops.Style(
      padding='symmetric' if table == 'nao_pytorch' else 'same')
  for name, factory in tables.TABLES[table].items():
    for stride in 1, 2:
      module = factory(features=8, stride=stride, style=style)
      assert _shape(module, 1, 8, 10, 8) == (
          1, 8 // stride, 10 // stride, 8), name


def test_operations_of_the_tensorflow_network_change_the_channels():
  for name, factory in tables.TABLES['nao'].items():
    assert _shape(factory(features=6), 1, 5, 4, 3) == (1, 5, 4, 6), name


def test_a_factorized_convolution_has_its_stride_in_the_first():
  module = ops_nao.FactorizedConv(4, 2, size=7)
  kernels = jax.tree.leaves(graph.variable_shapes(
      module, (jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32),))['params'])
  assert [k.shape for k in kernels if len(k.shape) == 4] == [
      (1, 7, 3, 4), (7, 1, 4, 4)]
  # Rows 0, 2, ... alone are seen: the first convolution skips the others.
  x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 8, 8, 3)),
                  jnp.float32)
  y, _ = _run(module, x)
  z, _ = _run(module, x.at[:, 1::2].set(7.))
  np.testing.assert_array_equal(y, z)


def test_pools_of_two_pixels_count_zeros_after_the_last():
  x = -jnp.arange(1., 5).reshape(1, 2, 2, 1)
  y, _ = _run(ops_nao.ZeroPaddedPool(1, kind='max'), x)
  np.testing.assert_array_equal(y[0, ..., 0], [[-1, 0], [0, 0]])
  y, _ = _run(ops_nao.ZeroPaddedPool(1, kind='avg'), x)
  np.testing.assert_array_equal(y[0, ..., 0], [[-2.5, -1.5], [-1.75, -1]])
  y, _ = _run(ops_nao.ZeroPaddedPool(1, 2, kind='avg'), x)
  np.testing.assert_array_equal(y[0, ..., 0], [[-2.5]])


def test_an_identity_of_stride_two_has_no_relu():
  x = -jnp.ones((1, 4, 4, 2))
  y, variables = _run(ops_nao.Identity(2, 2), x)
  assert (np.abs(y) > 0).all()
  assert sum(v.size for v in jax.tree.leaves(variables['params'])) == 2*2 + 4
  same, _ = _run(ops_nao.Identity(2), x)
  np.testing.assert_array_equal(same, x)


def test_pools_that_change_channels_have_a_relu():
  y, _ = _run(ops_nao.Pool(3), -jnp.ones((1, 4, 4, 2)))
  np.testing.assert_array_equal(y, 0)


def test_the_first_cell_reads_the_stem_raw_in_tensorflow_only():
  net = _net('NAONet')
  assert 'cell0_enter0' not in _names(net)
  assert _reads(net, 'cell0_node0a_conv_3x3') == ['stem']
  net = _net('NAONet-A')
  assert _reads(net, 'cell0_enter0') == ['stem']
  assert _reads(net, 'cell0_match1') == ['stem']
  assert _reads(net, 'cell0_node0a_conv_3x3') == ['cell0_enter0']


@pytest.mark.parametrize('name, place', [
    ('NAONet', 'cell14_output'), ('NAONet-A', 'cell13_output'),
    ('NAONet-WS', 'cell12_output'), ('ENAS-micro', 'cell12_output')])
def test_the_auxiliary_head_follows_the_second_reduction(name, place):
  net = _net(name, auxiliary=True)
  assert _reads(net, 'auxiliary') == [place]


def test_the_network_for_imagenet_starts_with_three_strides():
  net = _net('NAONet-A', 'imagenet', auxiliary=True)
  assert [n.shape for n in net.nodes[:2]] == [(56, 56, 42), (28, 28, 42)]
  assert _reads(net, 'cell0_enter0') == ['stem0']
  # As wide as the cell: nothing to project.
  assert 'cell0_match1' not in _names(net)
  assert _node(net, 'auxiliary').module.stride == 2
  assert 'stem_cell0_output' not in _names(net)
  with pytest.raises(ValueError, match="'imagenet', expected one of cifar$"):
    _net('NAONet', 'imagenet')


def test_identities_are_dropped_in_the_first_pytorch_code_only():
  name = 'cell0_node4a_skip_connect'
  assert _node(_net('NAONet-A'), name).depth == 1 / 20
  assert name not in _names(_net('NAONet'))
  # The second has one in its normal cell.
  for network in 'cifar', 'imagenet':
    names = _names(_net('NAONet-V2', network))
    assert not [n for n in names if 'skip_connect' in n]
    assert 'cell0_node1b_sep_conv_3x3' in names


def test_relu_before_the_last_pool_in_tensorflow_only():
  relu = [_net(name).nodes[-1].module.relu
          for name in ('NAONet', 'NAONet-A', 'NAONet-WS', 'ENAS-micro')]
  assert relu == [True, False, True, True]


def test_enas_projects_the_last_output_twice():
  net = _net('ENAS-micro')
  assert _reads(net, 'cell3_match1') == ['cell2_output']
  assert _reads(net, 'cell3_enter1') == ['cell3_match1']
  assert _reads(net, 'cell0_enter0') == _reads(net, 'cell0_match1') == ['stem']
  # A reduction cell reads the two cells before it, as all others do.
  assert _reads(net, 'cell5_enter0') == ['cell3_output']
  assert _reads(net, 'cell5_match1') == ['cell4_output']


def test_the_classifier_of_enas_has_no_bias():
  params = graph.shapes(_net('ENAS-micro', auxiliary=True)).params
  assert list(params['classifier']['Dense_0']) == ['kernel']
  assert set(params['auxiliary']['Dense_0']) == {'kernel', 'bias'}
  assert executions.num_params(_net('NAONet'), 'classifier') == 432 * 10 + 10


def test_a_state_of_full_size_is_reduced_before_it_is_put_out():
  # Nothing reads state 0 of this reduction cell.
  cell = (('sep_conv_3x3', 1), ('skip_connect', 1))
  architecture = preset.Preset(
      'enas_micro', genotypes.Genotype(cell, (0, 2), cell, (0, 2)))
  net = zoo.build(architecture, features=4, num_cells=1, image_shape=(8, 8, 3))
  assert isinstance(_node(net, 'cell1_output0').module,
                    ops.FactorizedReduction)
  assert _node(net, 'cell1_output').shape == (4, 4, 16)
  assert _reads(net, 'cell0_output')[0] == 'cell0_enter0'


def test_whole_and_by_blocks():
  cell = (('max_pool_2x2', 0), ('skip_connect', 1))
  net = image.stack(
      genotypes.Genotype(cell, (2,), cell, (2,)), nao.PYTORCH_PLANS['cifar'],
      features=4, num_cells=1, num_reductions=1, num_classes=3,
      image_shape=(4, 4, 3), style=nao.PYTORCH_DEFAULTS['cifar'].style)
  executions.check(net, 3)
