import pytest

from nas_jax.networks import pyramidnets
from nas_jax.networks import staged
from nas_jax.networks import zoo
from nas_jax.spaces import presets


@pytest.mark.parametrize('features, alpha, n, expected', [
    (16, 84, 2, [[30, 44], [58, 72], [86, 100]]),
    # 16 + 5 k / 6, rounded down.
    (16, 5, 2, [[16, 17], [18, 19], [20, 21]]),
    (16, 48, 1, [[32], [48], [64]]),
])
def test_widths_grow_by_equal_steps_and_are_rounded_down(
    features, alpha, n, expected):
  assert pyramidnets.widths(features, alpha, n) == expected


def test_the_widest_layers_of_published_networks():
  shapes = {n.name: n.shape for n in zoo.build(
      presets.load('PyramidNet-272-200')).nodes}
  assert shapes['stage0_block0_sum'] == (32, 32, 4 * 18)
  assert shapes['tail'] == (8, 8, 4 * 216)
  shapes = {n.name: n.shape for n in zoo.build(
      presets.load('PyramidNet-110-270')).nodes}
  assert shapes['stage0_block0_sum'] == (32, 32, 21)
  assert shapes['tail'] == (8, 8, 286)


def test_a_block_has_no_relu_before_its_first_convolution():
  net = zoo.build(presets.load('PyramidNet-110-48'))
  steps = {n.name: n.module.steps for n in net.nodes
           if isinstance(n.module, staged.Chain)}
  assert steps['stage1_block0_branch'] == (
      'norm', staged.Conv(32, 3, 2), 'norm', 'relu', staged.Conv(32), 'norm')
  shortcuts = {n.name: n.module for n in net.nodes
               if n.name.endswith('shortcut')}
  assert shortcuts['stage1_block0_shortcut'] == staged.PaddedShortcut(
      32, 2, average=True)
