import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import preset
from nas_jax.spaces import presets


def _build(name='DARTS_V2', network='cifar', **kwargs):
  settings = dict(features=4, num_cells=5) | kwargs
  return zoo.build(presets.load(name), network, **settings)


def _cells(normal, reduce=None, concat=(2,)):
  return preset.Preset('darts', genotypes.Genotype(
      normal, concat, reduce or normal, concat))


def _shapes(net):
  return {node.name: node.shape for node in net.nodes}


def test_the_second_and_fourth_of_five_cells_halve_the_image():
  shapes = _shapes(_build())
  assert shapes['stem'] == (32, 32, 12)
  assert [shapes[f'cell{i}_output'] for i in range(5)] == [
      (32, 32, 16), (16, 16, 32), (16, 16, 32), (8, 8, 64), (8, 8, 64)]


def test_shapes_of_the_published_networks():
  shapes = _shapes(_build(features=36, num_cells=20))
  assert [shapes[f'cell{i}_output'] for i in (5, 6, 12, 13, 19)] == [
      (32, 32, 144), (16, 16, 288), (16, 16, 288), (8, 8, 576), (8, 8, 576)]
  shapes = _shapes(_build(network='imagenet', features=48, num_cells=14))
  assert (shapes['stem0'], shapes['stem1']) == ((56, 56, 48), (28, 28, 48))
  assert [shapes[f'cell{i}_output'] for i in (0, 4, 9, 13)] == [
      (28, 28, 192), (14, 14, 384), (7, 7, 768), (7, 7, 768)]


def test_the_auxiliary_classifier_reads_the_second_reduction_cell():
  net = _build(features=36, num_cells=20, auxiliary=True)
  head = net.nodes[net.auxiliary - 1]
  assert [net.nodes[i - 1].name for i in head.inputs] == ['cell13_output']
  with pytest.raises(ValueError, match='its input has 4 x 4; train without'):
    _build(image_shape=(16, 16, 3), auxiliary=True)


def test_all_operations_but_identities_are_dropped_at_one_rate():
  net = _build(drop_path_keep=.8)
  assert {node.depth for node in net.nodes} == {0., 1.}
  dropped = [node.name for node in net.nodes if graph.drops(net, node)]
  # Cell 0: six separable and one dilated convolution, and no identity.
  assert len([n for n in dropped if n.startswith('cell0_node')]) == 6
  # Cell 1: five pools; its skips read nodes and stay.
  assert len([n for n in dropped if n.startswith('cell1_')]) == 5
  assert graph.keep_probability(net, net.nodes[-5]._replace(depth=1.), .5) == (
      pytest.approx(.9))


def test_a_pool_that_several_nodes_read_is_computed_once():
  def pools(net):
    return [node for node in net.nodes
            if type(node.module).__name__ == 'Pool'
            and node.name.startswith('cell1_')]
  # Of five in the published cell, two differ.
  assert len(pools(_build())) == len(pools(_build(drop_path_keep=.8))) == 2


def test_a_node_without_edges_is_not_part_of_the_output():
  edges = (('sep_conv_3x3', 2, 0), ('skip_connect', 4, 1),
           ('max_pool_3x3', 4, 3))
  net = zoo.build(_cells(edges, concat=(2, 3, 4)), features=4, num_cells=2)
  shapes = _shapes(net)
  assert shapes['cell0_output'][-1] == 2 * 8  # A reduction cell.
  assert not [name for name in shapes if 'max_pool' in name]


def test_a_node_of_none_is_zero():
  cells = _cells((('none', 0), ('none', 1)))
  net = zoo.build(cells, features=2, num_cells=3, image_shape=(8, 8, 3))
  variables = graph.init(jax.random.key(0), net)
  logits = graph.GraphNet(net).apply(
      variables._asdict(), jnp.ones((2, 8, 8, 3))).main
  bias = variables.params['classifier']['Dense_0']['bias']
  np.testing.assert_allclose(logits, jnp.stack([bias, bias]), rtol=1e-6)


def test_noise_does_not_depend_on_the_input():
  cells = _cells((('noise', 0), ('noise', 1)))
  net = zoo.build(cells, features=2, num_cells=3, image_shape=(8, 8, 3))
  variables = graph.init(jax.random.key(0), net)._asdict()
  run = lambda x, key: graph.GraphNet(net).apply(
      variables, x, train=True, mutable=['batch_stats'],
      rngs={'dropout': key})[0].main
  keys = jax.random.split(jax.random.key(1))
  zeros, ones = jnp.zeros((2, 8, 8, 3)), jnp.ones((2, 8, 8, 3))
  np.testing.assert_array_equal(run(zeros, keys[0]), run(ones, keys[0]))
  assert np.abs(run(zeros, keys[0]) - run(zeros, keys[1])).max() > 0


def test_weights_are_drawn_as_pytorch_draws_them():
  params = graph.init(
      jax.random.key(0), _build(features=16, num_cells=1)).params
  stem = np.asarray(params['stem']['Convolution_0']['kernel'])
  bound = 27**-.5
  assert .98 * bound < np.abs(stem).max() <= bound
  np.testing.assert_allclose(stem.std(), bound / 3**.5, rtol=.05)
  dense = params['classifier']['Dense_0']
  bound = 128**-.5
  for x in (dense['kernel'], dense['bias']):
    assert .5 * bound < np.abs(x).max() <= bound


@pytest.mark.parametrize('kwargs, message', [
    (dict(features=5), 'need an even number of features, got 5'),
    (dict(num_cells=0), 'num_cells is 0, expected at least 1'),
    (dict(image_shape=(3, 3, 3)), '3 x 3 pixels cannot be halved by 2'),
    (dict(network='mnist'), "has no network 'mnist', expected one of cifar, "),
    (dict(drop_path_keep=0.), 'drop_path_keep is 0.0, expected a probability'),
])
def test_what_cannot_be_built(kwargs, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    _build(**kwargs)


def test_an_unknown_operation_or_family():
  with pytest.raises(ValueError, match="unknown operation 'conv_9x9', expect"):
    zoo.build(_cells((('conv_9x9', 0), ('none', 1))), features=4, num_cells=2)
  with pytest.raises(ValueError, match="unknown family of networks 'dart'"):
    zoo.build(presets.load('DARTS_V2')._replace(family='dart'))


def test_half_precision_computes_in_half_precision():
  net = _build(num_cells=1, dtype='bfloat16', image_shape=(8, 8, 3))
  variables = graph.init(jax.random.key(0), net)
  assert {x.dtype for x in jax.tree.leaves(variables)} == {
      jnp.dtype('float32')}
  logits, state = graph.GraphNet(net).apply(
      variables._asdict(), jnp.ones((2, 8, 8, 3)), train=True,
      mutable=['batch_stats', 'intermediates'], capture_intermediates=True)
  assert logits.main.dtype == jnp.float32
  values = jax.tree.leaves(state['intermediates']['cell0_enter0'])
  assert {x.dtype for x in values} == {jnp.dtype('bfloat16')}
