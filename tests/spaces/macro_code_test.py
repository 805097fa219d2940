import re

import pytest

from nas_jax.spaces import macro_code
from nas_jax.spaces import presets_rl


def test_rows_of_a_sequence():
  flat = (0, 3, 0, 5, 1, 0)
  assert macro_code.rows(flat) == ((0,), (3, 0), (5, 1, 0))
  assert macro_code.skips((5, 1, 0)) == (0,)
  assert macro_code.skips((5, 1, 0, 1)) == (0, 2)


def test_pool_layers():
  assert macro_code.pool_layers(12) == (3, 7)
  assert macro_code.pool_layers(24) == (7, 15)
  assert macro_code.pool_layers(3) == (0, 1)
  with pytest.raises(ValueError, match='at least 3 layers, got 2'):
    macro_code.pool_layers(2)


def test_skips_of_the_published_network():
  """98 of 276 possible ones, near the target of 0.4."""
  code = presets_rl.ENAS_MACRO
  assert len(code) == 24
  assert sum(len(row) - 1 for row in code) == 276
  assert sum(len(macro_code.skips(row)) for row in code) == 98
  assert code[5] == (3, 1, 1, 0, 1, 0)


@pytest.mark.parametrize('call, message', [
    (lambda: macro_code.rows((0, 3)), '2 numbers end within row 1'),
    (lambda: macro_code.rows(()), 'the network has no layer'),
    (lambda: macro_code.rows((6,)), 'row 0 has operation 6, expected 0..5'),
    (lambda: macro_code.rows((0, 1, 2)), 'bit 0 of row 1 is 2, expected 0 or'),
    (lambda: macro_code.check(((0,), (1,))),
     'row 1 is (1,), expected a tuple of an operation and 1 bits'),
])
def test_what_cannot_be_built(call, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    call()
