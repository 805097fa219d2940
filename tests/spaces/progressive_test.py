"""How spaces grow, and the tokens that predictors read."""

import numpy as np

from nas_jax.spaces import cell
from nas_jax.spaces import discrete
from nas_jax.spaces import nasbench201
from nas_jax.spaces import presets
from nas_jax.spaces import progressive
from nas_jax.spaces import progressive_cell


def test_pnasnet_5_is_twenty_tokens():
  space = progressive_cell.space()
  growth = progressive.growth_of(space)
  assert growth.num_levels == 5
  # Six inputs and eight operations.
  assert growth.vocabulary == ((0, 0, 1, 1), (6, 8))
  genome = np.asarray(space.encode(presets.load('PNASNet-5').genotype))
  sep3, sep5, sep7, identity, max3 = map(progressive_cell.OPERATIONS.index, (
      'sep_conv_3x3', 'sep_conv_5x5', 'sep_conv_7x7', 'skip_connect',
      'max_pool_3x3'))
  tokens = growth.tokens(np.stack([genome, genome]), np.array([5, 3]))
  expected = [[0, 0, sep5, max3], [1, 1, sep7, max3], [1, 1, sep5, sep3],
              [4, 1, sep3, max3], [0, 1, sep3, identity]]
  assert tokens[0].tolist() == expected
  assert tokens[0].size == 20
  assert tokens[1].tolist() == expected[:3] + [[-1] * 4] * 2


def test_pnas_cells_grow_as_published():
  growth = progressive.growth_of(progressive_cell.space(num_blocks=2))
  first = growth.first()
  assert len(first) == 136
  assert len(growth.expand(first, 2)) == 31620
  # The models of the paper: all of one block, then four beams of 256.
  assert len(first) + 4 * 256 == 1160


def test_nasbench201_grows_node_by_node():
  space = discrete.space([nasbench201.OPERATIONS] * 6)
  growth = progressive.growth_of(space)
  first = growth.first()
  assert [space.genotype(g) for g in first] == [
      (name, 'none', 'none', 'none', 'skip_connect', 'none')
      for name in nasbench201.OPERATIONS]
  second = growth.expand(first[3:4], 2)
  assert len(second) == 25
  assert {space.genotype(g)[0] for g in second} == {'nor_conv_3x3'}
  assert {space.genotype(g)[3:] for g in second} == {
      ('none', 'none', 'skip_connect')}
  third = growth.expand(growth.expand(first, 2), 3)
  assert discrete.is_legal(space.choices, third).all()
  # As many as there are different cells by simple rules, each once.
  assert len(third) == 6466
  names = {nasbench201.canonical(space.genotype(g)) for g in third}
  assert len(names) == 6466


def test_tokens_of_nasbench201():
  growth = progressive.nasbench201_nodes()
  assert growth.vocabulary == ((0, 0, 0, 1, 2, 3), (5, 15, 10, 5))
  genome = np.array([[3, 1, 4, 2, 0, 1]])
  _, level_2, level_3 = growth.tokens(
      np.repeat(genome, 3, axis=0), np.array([1, 2, 3])).tolist()
  assert level_2 == [[3, -1, -1, 3, -1, -1], [1, 4, -1, 6, 4, -1], [-1] * 6]
  assert level_3[2] == [2, 0, 1, 12, 5, 1]


def test_any_other_space_grows_position_by_position():
  growth = progressive.growth_of(
      discrete.space([('a', 'b'), ('only',), ('b', 'c', 'a')]))
  assert growth.num_levels == 2
  first = growth.first()
  assert first.tolist() == [[0, 0, 0], [1, 0, 0]]
  second = growth.expand(first, 2)
  assert second.tolist() == [[i, 0, j] for i in (0, 1) for j in (0, 1, 2)]
  # Three values, and five pairs of a position and a value.
  assert growth.vocabulary == ((0, 1), (3, 5))
  tokens = growth.tokens(second[3:], np.array([1, 2, 2]))
  assert tokens.tolist() == [
      [[1, 1], [-1, -1]], [[1, 1], [2, 3]], [[1, 1], [0, 4]]]


def test_other_cells_are_not_taken_for_pnas_cells():
  space = cell.space(('a', 'b', 'c'), num_nodes=2)
  assert progressive.growth_of(space).num_levels == 16
