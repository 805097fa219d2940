"""The published and computed sizes of PNAS's space."""

import pytest

from nas_jax.spaces import progressive_count


@pytest.mark.parametrize('num_blocks, expected', [
    (1, (256, 136, 136)),
    (2, (147456, 40800, 31620)),
    (3, (150994944, 21542400, 10979688)),
    (4, (241591910400, 17664768000, 5194395866)),
    (5, (556627761561600, 20773767168000, 3147356952080)),
])
def test_cells_of_eight_operations(num_blocks, expected):
  assert progressive_count.count(8, num_blocks) == expected


def test_two_blocks_by_hand():
  # The second reads the first, or neither does and their order is open.
  assert 136 * 137 // 2 + 136 * (300 - 136) == progressive_count.count(
      8, 2).unique


@pytest.mark.parametrize('num_cells, num_blocks, ordered, unordered', [
    (136, 2, 78336, 40800), (256, 2, 147456, 76800), (256, 3, 262144, 135168),
    (256, 4, 409600, 209920), (256, 5, 589824, 301056)])
def test_candidates_of_every_level(num_cells, num_blocks, ordered, unordered):
  assert progressive_count.num_candidates(8, num_cells, num_blocks) == (
      ordered, unordered)
