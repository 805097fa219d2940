import re

import jax
import jax.numpy as jnp
import pytest

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import macro
from tests.networks import executions


def _net(genotype, **kwargs):
  return macro.build(genotype, **{
      'image_shape': (8, 8, 3), 'num_classes': 5, 'features': 4,
      'dropout_keep': 1., **kwargs})


def _nodes(net):
  return {node.name: node for node in net.nodes}


def _reads(net, name):
  names = ['image', *(node.name for node in net.nodes)]
  return [names[i] for i in _nodes(net)[name].inputs]


_SIX = ((0,), (1, 1), (2, 0, 1), (3, 1, 0, 0), (4, 0, 0, 1, 0),
        (5, 1, 0, 0, 0, 1))


def test_a_row_reads_the_layer_before_and_joins_earlier_values():
  net = _net(_SIX)
  assert _reads(net, 'layer0_conv_3x3') == ['stem']
  # Bit 0 is the stem; the output of the operation comes last.
  assert _reads(net, 'layer1_conv_3x3') == ['layer0_conv_3x3']
  assert _reads(net, 'layer1_skips') == ['stem', 'layer1_conv_3x3']
  assert _reads(net, 'layer1') == ['layer1_skips']
  # Rows 1 and 3 of six are followed by a halving of all values.
  assert _reads(net, 'layer2_conv_5x5') == ['pool1_value2']
  assert _reads(net, 'layer2_skips') == ['pool1_value1', 'layer2_conv_5x5']
  assert _reads(net, 'layer3_skips') == ['pool1_value0', 'layer3_conv_5x5']
  assert _reads(net, 'layer4_avg_pool_3x3') == ['pool3_value4']
  assert _reads(net, 'layer4_skips') == ['pool3_value2', 'layer4_avg_pool_3x3']
  assert _reads(net, 'layer5_skips') == [
      'pool3_value0', 'pool3_value4', 'layer5_max_pool_3x3']
  assert _reads(net, 'layer5_max_pool_3x3') == ['layer4']
  assert _reads(net, 'classifier') == ['layer5']


def test_a_layer_without_skips_has_its_1x1_convolution_all_the_same():
  net = _net(((0,), (0, 0), (0, 0, 0)))
  assert _reads(net, 'layer1') == ['layer1_conv_3x3']
  assert executions.num_params(net, 'layer1') == 8 * 8 + 2 * 8
  assert 'layer0' not in _nodes(net)


def test_halvings_double_the_features():
  shapes = {node.name: node.shape for node in _net(_SIX).nodes}
  assert shapes['stem'] == shapes['layer1'] == (8, 8, 4)
  assert shapes['pool1_value0'] == shapes['layer3'] == (4, 4, 8)
  assert shapes['pool3_value0'] == shapes['layer5'] == (2, 2, 16)
  assert shapes['layer5_skips'] == (2, 2, 48)


def test_each_value_has_its_own_factorized_reduction():
  net = _net(_SIX)
  names = [n for n in _nodes(net) if n.startswith('pool')]
  # Values 1 and 3 are not read after the second halving.
  assert names == ['pool1_value0', 'pool1_value1', 'pool1_value2',
                   'pool3_value0', 'pool3_value2', 'pool3_value4']
  assert executions.num_params(net, 'pool1_value0') == 2 * 4 * 4 + 2 * 8


def test_separable_operations_are_plain_unless_asked_for():
  plain, separable = _net(_SIX), _net(_SIX, separable=True)
  assert executions.num_params(plain, 'layer1_conv_3x3') == (
      4 * 4 + 8 + 9 * 4 * 4 + 8)
  assert executions.num_params(separable, 'layer1_sep_conv_3x3') == (
      4 * 4 + 8 + 9 * 4 + 4 * 4 + 8)
  assert executions.num_params(separable, 'layer3_sep_conv_5x5') == (
      8 * 8 + 16 + 25 * 8 + 8 * 8 + 16)


def test_the_classifier_has_no_bias():
  params = graph.shapes(_net(_SIX)).params['classifier']
  assert [x.shape for x in jax.tree.leaves(params)] == [(16, 5)]


def test_features_before_the_classifier_are_dropped_in_training():
  module = image.Classifier(
      1, .5, macro._STYLE, relu=False, use_bias=False)
  params = {'params': {'Dense_0': {'kernel': jnp.ones((400, 1))}}}
  x = jnp.ones((1, 1, 1, 400))
  assert module.apply(params, x, False) == 400
  y = module.apply(params, x, True, rngs={'dropout': jax.random.key(0)})
  assert y != 400 and 300 < float(y[0, 0]) < 500 and float(y[0, 0]) % 2 == 0


def test_both_executions_agree():
  executions.check(_net(((0,), (4, 1), (1, 0, 0)), separable=True), 5)


@pytest.mark.parametrize('kwargs, message', [
    (dict(num_cells=3), 'num_cells is 3, but the genotype'),
    (dict(features=0), 'features is 0, expected at least 1'),
    (dict(auxiliary=True), 'enas_macro have no auxiliary classifier'),
    (dict(image_shape=(3, 8, 1)), 'an image of 3 x 8 pixels cannot be halved'),
])
def test_what_cannot_be_built(kwargs, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    _net(_SIX, **kwargs)


def test_a_wrong_genotype_is_refused():
  with pytest.raises(ValueError, match='row 1 has operation 6, expected 0..5'):
    _net(((0,), (6, 1), (3, 0, 1)))
  with pytest.raises(ValueError, match='at least 3 layers, got 2'):
    _net(((0,), (1, 1)))
