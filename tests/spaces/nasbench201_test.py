import itertools
import re

import pytest

from nas_jax.spaces import nasbench201

_TEXT = ('|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+'
         '|nor_conv_1x1~0|none~1|nor_conv_3x3~2|')
_CELL = ('avg_pool_3x3', 'nor_conv_1x1', 'skip_connect', 'nor_conv_1x1',
         'none', 'nor_conv_3x3')


def _all():
  return itertools.product(nasbench201.OPERATIONS, repeat=6)


def test_a_string_is_a_cell_in_the_order_of_edges():
  assert nasbench201.parse(_TEXT) == _CELL
  assert nasbench201.to_string(_CELL) == _TEXT


def test_all_cells_survive_their_string():
  count = 0
  for cell in _all():
    count += 1
    assert nasbench201.parse(nasbench201.to_string(cell)) == cell
  assert count == 15_625


@pytest.mark.parametrize('text, message', [
    ('', "'' has 1 groups joined by +, expected one for each of nodes 1, 2, 3"),
    (_TEXT + '+|none~0|', 'has 4 groups'),
    (_TEXT.replace('|avg', 'avg'), "node 1 is 'avg_pool_3x3~0|', expected "
     '|op~0|...|'),
    (_TEXT.replace('|skip_connect~1', ''),
     'node 2 has 1 operations, expected 2'),
    (_TEXT.replace('none~1', 'none~0'),
     "operation 1 of node 3 is 'none~0', expected it to end in ~1"),
    (_TEXT.replace('none', 'noise'),
     "unknown operation 'noise' from node 1 to node 3, expected one of none, "
     'skip_connect'),
])
def test_what_is_not_a_string(text, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    nasbench201.parse(text)


def test_a_cell_has_six_operations():
  with pytest.raises(ValueError, match='a cell has 6 operations, one per edge, '
                                       'got 5'):
    nasbench201.check(_CELL[:5])


# arXiv 2001.00326, sec. 2 and appendix: 12,751 where skips collapse, 6,466
# where zeros do too.
@pytest.mark.parametrize('zeros, expected', [(False, 12_751), (True, 6_466)])
def test_numbers_of_different_cells(zeros, expected):
  found = {nasbench201.canonical(cell, zeros) for cell in _all()}
  assert len(found) == expected


def test_cells_without_a_path():
  assert sum(not nasbench201.is_connected(cell) for cell in _all()) == 341
  assert nasbench201.is_connected(_CELL)
  # Nodes 1 and 2 are reached, the output is not.
  assert not nasbench201.is_connected(_CELL[:3] + ('none',) * 3)


def test_widths_of_the_size_space():
  assert nasbench201.parse_widths('8:8:40:32:64') == (8, 8, 40, 32, 64)
  assert len(nasbench201.WIDTHS) ** 5 == 32_768


@pytest.mark.parametrize('text, message', [
    ('8:8:8:8', 'there are five widths, got 4: [8, 8, 8, 8]'),
    ('8:8:8:8:12', '12 is not a width, expected one of 8, 16, 24'),
    ('8:8:8:8:72', '72 is not a width'),
    ('8:8:8:x:8', "'8:8:8:x:8' is not a list of widths joined by :"),
])
def test_what_are_not_widths(text, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    nasbench201.parse_widths(text)
