"""The shared network of ENAS' macro search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.spaces import discrete
from nas_jax.supernets import enas_macro
from tests.networks import executions

_FIVE = ((0,), (4, 1), (1, 0, 1), (3, 0, 0, 0), (5, 0, 1, 0, 1))


def _family(**kwargs):
  return enas_macro.family(**{
      'num_layers': 5, 'features': 4, 'image_shape': (8, 8, 1),
      'num_classes': 3, 'dropout_keep': 1., **kwargs})


def _reads(net, name):
  names = ['image', *(node.name for node in net.nodes)]
  node, = (node for node in net.nodes if node.name == name)
  return [names[i] for i in node.inputs]


def test_the_published_numbers():
  family = enas_macro.family()
  assert graph.num_params(family.full) == 697_860
  assert discrete.size(family.space.choices) == (
      160_618_186_625_454_535_808_756_219_904)


def test_genomes_are_rows():
  space = enas_macro.space(5)
  genome = np.array([0, 4, 1, 1, 0, 1, 3, 0, 0, 0, 5, 0, 1, 0, 1])
  assert space.genotype(genome) == _FIVE
  np.testing.assert_array_equal(space.encode(_FIVE), genome)


def test_layers_add_what_their_rows_name():
  net = _family().build(_FIVE)
  # The first layer has neither skips nor norm; halvings after rows 0 and 1.
  assert _reads(net, 'layer0_conv_3x3') == ['stem']
  assert _reads(net, 'pool0_value1') == ['layer0_conv_3x3']
  assert _reads(net, 'layer1_avg_pool_3x3') == ['pool0_value1']
  assert _reads(net, 'layer1_sum') == ['pool0_value0', 'layer1_avg_pool_3x3']
  assert _reads(net, 'layer1') == ['layer1_sum']
  assert _reads(net, 'layer2_sum') == ['pool1_value1', 'layer2_sep_conv_3x3']
  # Without skips there is a norm all the same.
  assert _reads(net, 'layer3') == ['layer3_sep_conv_5x5']
  assert _reads(net, 'layer4_sum') == [
      'pool1_value1', 'layer2', 'layer4_max_pool_3x3']
  assert _reads(net, 'classifier') == ['layer4']
  # What nobody reads after the second halving is not there.
  names = {node.name for node in net.nodes}
  assert {'pool1_value1', 'pool1_value2'} == {
      name for name in names if name.startswith('pool1')}
  assert {node.shape[-1] for node in net.nodes} == {4, 3}


def test_every_sub_network_is_a_part_of_the_whole():
  family = _family()
  whole = graph.shapes(family.full).params
  for seed in range(10):
    net = family.build(family.space.genotype(
        family.space.sample(jax.random.key(seed))))
    for name, tree in graph.shapes(net).params.items():
      assert not tree or whole[name] == tree


@pytest.mark.parametrize('kind, size, count', [
    ('conv', 3, 24 + 9 * 16 + 8), ('separable', 5, 24 + 25 * 4 + 16 + 8),
    ('avg', 3, 24), ('max', 3, 24)])
def test_branches(kind, size, count):
  module = enas_macro.Branch(4, kind=kind, size=size)
  shape = jax.ShapeDtypeStruct((3, 4, 4, 4), jnp.float32)
  params = graph.variable_shapes(module, (shape,))['params']
  assert sum(p.size for p in jax.tree.leaves(params)) == count


def test_a_branch_ends_with_relu():
  module = enas_macro.Branch(4, kind='separable')
  x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 4, 4)))

  @jax.jit
  def run(key):
    return module.apply(module.init(key, x, False), x, True,
                        mutable=['batch_stats'])[0]

  y = run(jax.random.key(0))
  assert y.shape == x.shape and np.min(y) == 0 and .2 < np.mean(y == 0) < .8


@pytest.mark.slow
def test_both_executions_agree():
  executions.check(_family(num_layers=3).build(((0,), (4, 1), (1, 0, 1))), 3)


@pytest.mark.parametrize('kwargs, message', [
    (dict(num_layers=2), 'two halvings need at least 3 layers, got 2'),
    (dict(features=1), 'features is 1, expected at least 2'),
    (dict(image_shape=(3, 8, 1)), 'an image of 3 x 8 pixels cannot be halved'),
])
def test_what_cannot_be_built(kwargs, message):
  with pytest.raises(ValueError, match=message):
    _family(**kwargs)


def test_wrong_genotypes_are_refused():
  with pytest.raises(ValueError, match='row 1 has operation 6, expected 0..5'):
    _family().build(((0,), (6, 1)))
  with pytest.raises(ValueError, match='has 3 layers, expected 5'):
    _family().build(((0,), (1, 1), (1, 0, 0)))
