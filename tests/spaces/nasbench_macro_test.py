import re

import pytest

from nas_jax.spaces import nasbench_macro


def test_a_code_is_eight_layers():
  assert nasbench_macro.parse('22212220') == (2, 2, 2, 1, 2, 2, 2, 0)
  assert nasbench_macro.parse([0] * 8) == (0,) * 8


def test_identities_move_behind_the_others_of_their_stage():
  # Stages of 2, 3, 3 layers; the first layer of each stays.
  assert nasbench_macro.canonical('00' '001' '102') == (
      0, 0, 0, 1, 0, 1, 2, 0)


@pytest.mark.parametrize('code', ['2221222', '222122203', '2221222x', ''])
def test_what_is_not_a_code(code):
  with pytest.raises(ValueError, match=re.escape(
      f'{code!r} is not a code of 8 layers, each 0, 1 or 2')):
    nasbench_macro.parse(code)
