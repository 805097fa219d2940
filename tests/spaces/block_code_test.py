import re

import pytest

from nas_jax.spaces import block_code
from nas_jax.spaces import presets_rl


def test_leaves_of_the_published_blocks():
  assert block_code.leaves(presets_rl.INCEPTION_LIKE) == (9,)
  assert block_code.leaves(presets_rl.RESNET_LIKE) == (4,)


def test_density_of_the_published_blocks():
  density = block_code.density
  assert density(presets_rl.INCEPTION_LIKE) == 10 / 9
  assert density(presets_rl.RESNET_LIKE) == 4 / 4
  assert density(presets_rl.INCEPTION_LIKE, input_is_node=True) == 11 / 10
  assert density(presets_rl.RESNET_LIKE, input_is_node=True) == 5 / 5


def test_density_of_a_single_layer_has_a_logarithm_with_the_input_as_a_node():
  assert block_code.density(((1, 1, 3, 0, 0),)) == 0.
  assert block_code.density(((1, 1, 3, 0, 0),), input_is_node=True) == 1 / 2


def test_a_block_may_have_several_leaves_and_no_terminal_layer():
  code = ((1, 1, 3, 0, 0), (2, 2, 3, 0, 0), (3, 6, 0, 1, 1))
  assert block_code.leaves(code) == (2, 3)
  assert block_code.layers(code) == code
  assert block_code.layers((*code, (4, 7, 0, 0, 0))) == code
  assert block_code.predecessors(code[2]) == (1, 1)
  assert block_code.predecessors((4, 7, 0, 0, 0)) == ()


@pytest.mark.parametrize('code, message', [
    ((), 'the block () has no layer'),
    (((1, 7, 0, 0, 0),), 'the block ((1, 7, 0, 0, 0),) has no layer'),
    (((1, 1, 3, 0),), 'layer 1 of the block is (1, 1, 3, 0), expected (index'),
    (((2, 1, 3, 0, 0),), 'layer 1 of the block has index 2'),
    (((1, 8, 0, 0, 0),), 'layer 1 has type 8, expected 1..7'),
    (((1, 1, 7, 0, 0),), 'layer 1 has kernel size 7, type 1 has 1 or 3 or 5'),
    (((1, 3, 5, 0, 0),), 'layer 1 has kernel size 5, type 3 has 1 or 3'),
    (((1, 5, 3, 0, 0),), 'layer 1 has kernel size 3, type 5 has 0'),
    (((1, 1, 3, 1, 0),), 'layer 1 of type 1 has predecessors 1 and 0: it may '
     'read 0..0'),
    (((1, 1, 3, 0, 0), (2, 1, 3, 1, 1)), 'layer 2 of type 1 has predecessors 1 '
     'and 1: it may read 0..1, and only additions and concatenations have a '
     'second one'),
    (((1, 1, 3, 0, 0), (2, 6, 0, 1, 2)), 'layer 2 of type 6 has predecessors'),
    (((1, 1, 3, 0, 0), (2, 7, 0, 1, 0)), 'layer 2 of type 7 has predecessors'),
    (((1, 7, 0, 0, 0), (2, 1, 3, 0, 0)),
     'layer 1 is terminal, but 2 layers are given'),
])
def test_what_is_no_block(code, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    block_code.layers(code)
