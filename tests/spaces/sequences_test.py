import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import graph
from nas_jax.spaces import sequences


def test_values_are_tokens_integers_first():
  space = discrete.space([('b', 'a'), (3, 0), ('a',), (0, 1)])
  code = sequences.of_space(space)
  assert code.vocabulary == 6  # the start, 0, 1, 3, 'b', 'a'
  assert code.tokens.tolist() == [[4, 5], [3, 1], [5, 0], [1, 2]]
  assert sequences.to_tokens(code, np.array([1, 0, 0, 1])).tolist() == [
      5, 3, 5, 2]
  assert code.swaps.shape == (0, 0, 4)


def test_all_genomes_survive():
  space = discrete.space([range(2), range(1), 'abc', (True, False)])
  code = sequences.of_space(space)
  genomes = np.array([discrete.from_index((2, 1, 3, 2), i) for i in range(12)])
  tokens = sequences.to_tokens(code, genomes)
  assert len(np.unique(tokens, axis=0)) == 12
  assert (sequences.to_genomes(code, tokens) == genomes).all()
  assert sequences.is_legal(code, tokens).all()
  assert not sequences.is_legal(code, tokens[:, ::-1]).any()


def test_cells_of_nasbench201_are_six_tokens_of_six():
  space = graph.nasbench201()
  code = sequences.of_space(space)
  assert code.vocabulary == 6 and code.legal.shape == (6, 6, 6)
  assert (code.legal.sum(-1) == 5).all() and not code.legal[..., 0].any()
  genome = space.sample(jax.random.key(0))
  assert (sequences.to_tokens(code, genome) == genome + 1).all()


def test_the_second_token_depends_on_the_first():
  code = sequences.code([[(1, 3), (1, 4), (2, 4)], [(2,)]], 5)
  assert code.positions.tolist() == [0, 0, 1]
  assert code.legal[0].sum(-1).tolist() == [2] * 5
  assert np.argwhere(code.legal[1]).tolist() == [[1, 3], [1, 4], [2, 4]]
  genomes = np.array([[0, 0], [1, 0], [2, 0]])
  tokens = sequences.to_tokens(code, genomes)
  assert tokens.tolist() == [[1, 3, 2], [1, 4, 2], [2, 4, 2]]
  assert (sequences.to_genomes(code, tokens) == genomes).all()
  assert not sequences.is_legal(code, np.array([2, 3, 2]))


@pytest.mark.parametrize('choices, swaps, message', [
    ([[(1,), (2, 3)]], None, 'position 0 has choices of \\[1, 2\\] tokens'),
    ([[(1, 2, 3)]], None, 'position 0 has choices of \\[3\\] tokens'),
    ([[(1,), (1,)]], None, 'two choices of position 0 have the same tokens'),
    ([[(0,)]], None, 'position 0 has tokens outside 1..4'),
    ([[(5,)]], None, 'position 0 has tokens outside 1..4'),
    ([[(1,)], [(2,)]], [[[1, 0]]], 'a swap exchanges positions 0 and 1'),
])
def test_bad_codes(choices, swaps, message):
  with pytest.raises(ValueError, match=message):
    sequences.code(choices, 5, swaps)
