import pytest

from nas_jax.networks import padding


@pytest.mark.parametrize('length, size, stride, dilation, mode, pads, steps', [
    (8, 3, 1, 1, 'same', (1, 1), 8),
    (8, 3, 2, 1, 'same', (0, 1), 4),
    (7, 3, 2, 1, 'same', (1, 1), 4),
    (8, 3, 2, 1, 'symmetric', (1, 1), 4),
    (7, 3, 2, 1, 'symmetric', (1, 1), 4),
    (8, 5, 2, 2, 'symmetric', (4, 4), 4),
    (8, 3, 1, 2, 'symmetric', (2, 2), 8),
    (8, 1, 2, 1, 'symmetric', (0, 0), 4),
    (8, 5, 3, 1, 'valid', (0, 0), 2),
    (8, 3, 1, 1, [(2, 0)], (2, 0), 8),
])
def test_pads_and_steps(length, size, stride, dilation, mode, pads, steps):
  found = padding.pads((length,), (size,), (stride,), dilation, mode)
  assert found == [pads]
  assert padding.steps(
      (length,), (size,), (stride,), dilation, found) == [steps]


def test_an_unknown_padding():
  with pytest.raises(ValueError, match="padding is 'SAME', expected one of "):
    padding.pads((8,), (3,), (1,), 1, 'SAME')
