import re

import pytest

from nas_jax.networks import tables
from nas_jax.spaces import arcs
from nas_jax.spaces import nao_tokens
from nas_jax.spaces import presets_nasnet as presets

_NASNET_A = (
    '2 8 16 2 7 14 1 8 16 2 8 17 2 11 16 1 7 14 1 11 16 1 11 16 1 8 17 1 8 16 '
    '1 8 18 2 8 17 2 12 16 1 8 18 2 11 16 1 8 17 2 12 16 3 8 16 3 11 16 4 7 14')
_WS = ('1 8 1 11 3 9 2 10 2 7 3 7 3 10 2 10 2 9 1 11 '
       '2 8 1 10 3 10 3 10 2 7 1 8 1 11 3 11 3 10 3 10')


def _integers(text):
  return tuple(map(int, text.split()))


@pytest.mark.parametrize('tokens', [presets.NAONET_TOKENS, _NASNET_A])
def test_published_sequences_survive(tokens):
  assert len(_integers(tokens)) == 60
  assert nao_tokens.tokens(nao_tokens.parse(tokens)) == _integers(tokens)


def test_the_sequence_of_weight_sharing():
  genotype = nao_tokens.parse_ws(_WS)
  assert genotype == arcs.parse(presets.NAONET_WS_ARC)
  assert nao_tokens.tokens_ws(genotype) == _integers(_WS)
  assert nao_tokens.parse_ws(_integers(_WS)) == genotype


@pytest.mark.parametrize('arc', [
    presets.NAONET_B_ARC, presets.NAONET_V2_ARC, presets.ENAS_MICRO_ARC,
    presets.ENAS_MICRO_FIGURE_ARC])
def test_other_cells_in_tokens_of_weight_sharing(arc):
  genotype = arcs.parse(arc)
  tokens = nao_tokens.tokens_ws(genotype)
  assert len(tokens) == 40 and max(tokens) < nao_tokens.WS_VOCABULARY
  assert nao_tokens.parse_ws(tokens) == genotype


def test_the_cells_of_naonet():
  normal, normal_concat, reduce, reduce_concat, *_ = nao_tokens.parse(
      presets.NAONET_TOKENS)
  assert normal == (
      ('conv_3x3', 0), ('avg_pool_5x5', 1), ('conv_1x3_3x1', 2),
      ('conv_3x3', 1), ('conv_1x1', 0), ('conv_3x3', 1), ('conv_1x3_3x1', 0),
      ('conv_3x3', 4), ('skip_connect', 1), ('conv_3x3', 0))
  assert normal_concat == (3, 5, 6)
  assert reduce == (
      ('conv_3x3', 0), ('avg_pool_2x2', 1), ('conv_1x1', 0),
      ('avg_pool_3x3', 0), ('conv_1x7_7x1', 1), ('max_pool_2x2', 0),
      ('avg_pool_3x3', 0), ('conv_1x1', 2), ('max_pool_3x3', 1),
      ('conv_3x3', 0))
  assert reduce_concat == (3, 4, 5, 6)


def test_the_string_in_pytorch_differs_in_one_node():
  tokens = nao_tokens.parse(presets.NAONET_TOKENS)
  arc = arcs.parse(presets.NAONET_A_ARC, arcs.NAO)
  assert arc.normal == tokens.normal
  differences = [i for i in range(10) if arc.reduce[i] != tokens.reduce[i]]
  assert differences == [4, 5]
  assert arc.reduce[4:6] == (('conv_1x7_7x1', 0), ('max_pool_2x2', 1))


def test_the_sequence_of_nasnet_has_its_nodes_in_another_order():
  genotype = nao_tokens.parse(_NASNET_A)
  pairs = lambda nodes: sorted(
      tuple(sorted(nodes[i:i + 2])) for i in range(0, 10, 2))
  assert pairs(genotype.normal) == pairs(presets.NASNET_A.normal)


def test_every_operation_is_in_the_table_of_networks():
  assert set(nao_tokens.OPERATIONS.values()) == set(tables.NAO)
  assert len(nao_tokens.OPERATIONS) == len(tables.NAO) == 25
  assert max(*nao_tokens.TYPES, *nao_tokens.SIZES) == nao_tokens.VOCABULARY - 1
  assert set(arcs.NAO.values()) < set(tables.NAO)


@pytest.mark.parametrize('tokens, message', [
    ((1, 7, 14), '3 tokens, expected 6 for each node of two cells'),
    ((1, 7, 14, 3, 7, 14) * 2, 'token 3 is 3, expected an input 1..2'),
    ((1, 7, 14, 2, 7, 16) * 2, 'tokens 4.. are [7, 16], which is no operation'),
    ((1, 14, 7, 2, 7, 14) * 2, 'tokens 1.. are [14, 7], which is no operation'),
    ((1, 12, 19, 2, 7, 14) * 2, 'tokens 1.. are [12, 19]')])
def test_sequences_that_mean_nothing(tokens, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    nao_tokens.parse(tokens)


def test_cells_that_cannot_be_said():
  with pytest.raises(ValueError, match='the output of the normal cell is '):
    nao_tokens.tokens(presets.NASNET_A)
  with pytest.raises(ValueError, match="the normal cell has 'conv_3x3'"):
    nao_tokens.tokens_ws(nao_tokens.parse(presets.NAONET_TOKENS))
