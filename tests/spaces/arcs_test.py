import re

import pytest

from nas_jax.spaces import arcs
from nas_jax.spaces import presets_nasnet as presets


@pytest.mark.parametrize('arc, operations', [
    (presets.NAONET_A_ARC, arcs.NAO), (presets.NAONET_B_ARC, arcs.ENAS),
    (presets.NAONET_V2_ARC, arcs.ENAS), (presets.NAONET_WS_ARC, arcs.ENAS),
    (presets.ENAS_MICRO_ARC, arcs.ENAS),
    (presets.ENAS_MICRO_FIGURE_ARC, arcs.ENAS)])
def test_published_strings_survive(arc, operations):
  genotype = arcs.parse(arc, operations)
  assert arcs.format(genotype, operations) == arc
  assert len(genotype.normal) == len(genotype.reduce) == 10


def test_the_cells_of_nao_with_weight_sharing():
  normal, normal_concat, reduce, reduce_concat, *_ = arcs.parse(
      presets.NAONET_WS_ARC)
  assert normal == (
      ('sep_conv_5x5', 0), ('skip_connect', 0),
      ('avg_pool_3x3', 2), ('max_pool_3x3', 1),
      ('sep_conv_3x3', 1), ('sep_conv_3x3', 2),
      ('max_pool_3x3', 2), ('max_pool_3x3', 1),
      ('avg_pool_3x3', 1), ('skip_connect', 0))
  assert reduce == (
      ('sep_conv_5x5', 1), ('max_pool_3x3', 0),
      ('max_pool_3x3', 2), ('max_pool_3x3', 2),
      ('sep_conv_3x3', 1), ('sep_conv_5x5', 0),
      ('skip_connect', 0), ('skip_connect', 2),
      ('max_pool_3x3', 2), ('max_pool_3x3', 2))
  assert normal_concat == reduce_concat == (3, 4, 5, 6)


def test_the_output_is_what_no_node_reads():
  assert arcs.loose_ends([('a', 1), ('a', 1), ('a', 2), ('a', 1)]) == (0, 3)
  genotype = arcs.parse(presets.ENAS_MICRO_ARC)
  # All five nodes: 720 channels at 36 features in the third stage.
  assert genotype.normal_concat == (2, 3, 4, 5, 6)
  assert genotype.reduce_concat == (2, 4, 5, 6)


@pytest.mark.parametrize('text, message', [
    ('', '0 numbers, expected 4 for each node'),
    ('0 0 1 0 0 0', '6 numbers, expected 4 for each node'),
    ('0 0 x 0 0 0 1 0', "'x' is not a number"),
    ('0 0 -1 0 0 0 1 0', "'-1' is not a number"),
    ('0 0 1 0 0 0 2 0',
     'node 0 of the reduction cell reads state 2, expected 0..1'),
    ('0 0 1 5 0 0 1 0', 'operation 5 in node 0 of the normal cell, expected '
     'one of 0, 1, 2, 3, 4')])
def test_strings_that_mean_nothing(text, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    arcs.parse(text)


def test_cells_that_cannot_be_said():
  with pytest.raises(ValueError, match="the normal cell has 'conv_1x1'"):
    arcs.format(presets.AMOEBANET_B)
  genotype = arcs.parse(presets.NAONET_B_ARC)._replace(reduce_concat=(2, 3))
  with pytest.raises(ValueError, match=re.escape(
      'the output of the reduction cell is (2, 3), but')):
    arcs.format(genotype)
  genotype = arcs.parse(presets.NAONET_B_ARC)._replace(
      normal_combine=('add', 'concat', 'add', 'add', 'add'))
  with pytest.raises(ValueError, match="node 1 of the normal cell combines "
                     "its operations by 'concat', expected add$"):
    arcs.format(genotype)
