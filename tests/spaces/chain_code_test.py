import re

import pytest

from nas_jax.spaces import chain_code

_ONE = (1, 1)
_CODE = (('conv_1x3', _ONE, 24, ()), ('conv_3x3', (2, 3), 36, (0, 1)),
         ('max_pool_2x2', (2, 2), 0, (1,)))


def test_what_the_classifier_reads():
  assert chain_code.unread(_CODE) == (2, 3)
  chain_code.check(_CODE)


def test_other_connections_of_the_same_layers():
  assert [layer[3] for layer in chain_code.dense(_CODE)] == [
      (0,), (1,), (1, 2)]
  assert [layer[3] for layer in chain_code.without_skips(_CODE)] == [
      (0,), (1,), (2,)]
  assert [layer[:3] for layer in chain_code.dense(_CODE)] == [
      layer[:3] for layer in _CODE]


@pytest.mark.parametrize('layer, message', [
    (('conv_1x3', _ONE, 24), "layer 1 is ('conv_1x3', (1, 1), 24), expected "
     '(operation, strides, filters, inputs)'),
    (('conv_2x3', _ONE, 24, ()), "layer 1 is called 'conv_2x3', expected "
     'conv_HxW with H and W in (1, 3, 5, 7) or one of max_pool_2x2'),
    (('conv_1x3', 1, 24, ()), 'layer 1 has strides 1, expected two'),
    (('conv_1x3', (0, 1), 24, ()), 'layer 1 has strides (0, 1), expected two'),
    (('max_pool_2x2', (2, 1), 0, ()), 'layer 1 is a pool with strides (2, 1)'),
    (('max_pool_2x2', _ONE, 8, ()), 'layer 1 is a pool, which has no filters'),
    (('conv_1x3', _ONE, 0, ()), 'layer 1 has 0 filters, expected at least 1'),
    (('conv_1x3', _ONE, 24, 0), 'layer 1 reads 0, expected a tuple of 0..0'),
    (('conv_1x3', _ONE, 24, (1,)), 'layer 1 reads (1,), expected a tuple'),
    (('conv_1x3', _ONE, 24, (0, 0)), 'layer 1 reads a layer twice: (0, 0)'),
])
def test_what_cannot_be_built(layer, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    chain_code.check((layer,))


def test_no_layer():
  with pytest.raises(ValueError, match='the network has no layer'):
    chain_code.check(())
