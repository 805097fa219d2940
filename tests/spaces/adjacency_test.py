import re

import pytest

from nas_jax.spaces import adjacency


def test_worked_example():
  """PaddlePaddle/AutoDL, the normal cell of img/cnn_net.png."""
  bits = [0] * 45
  for i in (9, 43, 44):
    bits[i] = 1
  assert adjacency.edges(bits, 10) == ((3, 4), (7, 9), (8, 9))
  assert adjacency.leaves(bits, 10) == (0, 1, 2, 4, 5, 6, 9)
  assert adjacency.inputs(bits, 10) == (
      (), (), (), (), (3,), (), (), (), (), (7, 8))


def test_bits_are_the_columns_of_the_upper_triangle():
  pairs = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
  for i, pair in enumerate(pairs):
    bits = tuple(int(i == j) for j in range(6))
    assert adjacency.edges(bits, 4) == (pair,)
    assert adjacency.bits([pair], 4) == bits


def test_bits_and_edges_are_inverse():
  pairs = [(2, 3), (0, 1), (1, 3)]
  bits = adjacency.bits(pairs, 4)
  assert bits == (1, 0, 0, 0, 1, 1)
  assert set(adjacency.edges(bits, 4)) == set(pairs)
  assert adjacency.bits(adjacency.edges(bits, 4), 4) == bits


def test_a_single_node_has_no_bits():
  assert adjacency.num_bits(1) == 0
  assert adjacency.edges((), 1) == ()
  assert adjacency.leaves((), 1) == (0,)


@pytest.mark.parametrize('call, message', [
    (lambda: adjacency.edges((0, 1), 3),
     '3 nodes have 3 adjacency bits, got 2'),
    (lambda: adjacency.leaves((0, 1, 2), 3),
     'adjacency bit 2 is 2, expected 0 or 1'),
    (lambda: adjacency.bits([(1, 1)], 3),
     'the edge 1 -> 1 does not lead to a later one of the nodes 0..2'),
    (lambda: adjacency.bits([(1, 3)], 3), 'the edge 1 -> 3 does not lead'),
])
def test_what_is_no_such_graph(call, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    call()
