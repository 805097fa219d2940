import re

import pytest

from nas_jax.spaces import token_code


def test_cells_of_what_the_agent_emits():
  assert token_code.split([1, 2, 3, 4, 5, 6], [0, 1, 0, 1, 1, 0]) == (
      ((1, 2, 3), (0, 1, 0)), ((4, 5, 6), (1, 1, 0)))


@pytest.mark.parametrize('code, message', [
    (((), ()), 'the normal cell is (), expected (tokens, bits)'),
    (((1,), ()), 'the normal cell is (1,), expected (tokens, bits)'),
    ((((), ()), ((1,), ())), 'the normal cell has no node'),
    ((((1,), ()), ((1, 10), (0,))),
     'node 1 of the reduction cell has token 10, expected 0..9'),
    ((((1,), ()), ((1, 1), ())),
     'reduction cell: 2 nodes have 1 adjacency bits, got 0'),
    ((((1,), ()),), 'expected (normal cell, reduction cell), got'),
])
def test_what_cannot_be_built(code, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    token_code.check(code)


def test_two_cells_are_needed():
  with pytest.raises(ValueError, match=re.escape(
      '3 tokens and 2 bits do not make two cells of equal size')):
    token_code.split([1, 2, 3], [0, 1])
