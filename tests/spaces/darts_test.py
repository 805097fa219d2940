import jax
import numpy as np
import pytest

from nas_jax.spaces import darts
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes

_OPERATIONS = ('none', 'max_pool_3x3', 'avg_pool_3x3', 'skip_connect',
               'sep_conv_3x3', 'sep_conv_5x5', 'dil_conv_3x3', 'dil_conv_5x5')
_FULL = darts.space({kind: (_OPERATIONS,) * 14 for kind in darts.KINDS})
_SMALL = darts.space({
    'normal': (('a', 'b'), ('c', 'd'), ('e', 'f'), ('g', 'h'), ('i', 'j')),
    'reduce': (('none', 'x', 'y'),) * 5})


def test_the_space_has_its_published_size():
  assert discrete.size(_FULL.choices) == 1037664180**2  # (180 * 49^4)^2


def test_genotypes_are_named_by_edge():
  genome = [0, 1, 0, 2, 0, 1, 0, 0, 0, 1, 1, 0]
  found = _SMALL.genotype(np.array(genome))
  assert found == genotypes.Genotype(
      (('b', 0), ('c', 1), ('g', 1), ('j', 2)), (2, 3),
      (('x', 0), ('x', 1), ('y', 0), ('x', 2)), (2, 3))
  assert _SMALL.encode(found).tolist() == genome
  # The order within a node does not matter.
  assert _SMALL.encode(found._replace(
      normal=(('c', 1), ('b', 0), ('j', 2), ('g', 1)))).tolist() == genome


def test_samples_are_legal_and_come_back():
  for i in range(5):
    genome = _FULL.sample(jax.random.key(i))
    assert (_FULL.encode(_FULL.genotype(genome)) == genome).all()


def test_what_is_not_of_the_space_is_named():
  good = _SMALL.genotype(np.zeros(12, np.int32))
  for change, text in (
      ({'normal': (('a', 0), ('d', 0)) + good.normal[2:]},
       "'d' on state 0, which is not a candidate"),
      ({'reduce': (('x', 1), ('y', 1)) + good.reduce[2:]},
       r'reads the states \(1, 1\)'),
      ({'normal_concat': (3,)}, r'concat \(3,\), expected 2 and \(2, 3\)')):
    with pytest.raises(ValueError, match=text):
      _SMALL.encode(good._replace(**change))
  with pytest.raises(ValueError, match='4 edges of the normal cell do not'):
    darts.space({'normal': (('a',),) * 4, 'reduce': (('a',),) * 5})
  with pytest.raises(ValueError, match=r'beside none, got \[1, 2\]'):
    darts.space({'normal': (('a', 'none'), ('a', 'b')), 'reduce': ()})
