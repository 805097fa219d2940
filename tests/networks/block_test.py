import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import block
from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.spaces import presets_rl
from tests.networks import executions

_STYLE = ops.Style(epsilon=0.)


def _net(genotype, **kwargs):
  return block.build(genotype, **{
      'image_shape': (8, 8, 3), 'num_classes': 5, 'features': 4,
      'num_cells': 1, **kwargs})


def _block(code, channels=3, features=4, size=4, widen=False):
  """A network that is one block on an image."""
  builder = graph.Builder((size, size, channels), _STYLE)
  return builder.finish(block.add_block(
      builder, builder.image, code, features, 'block', _STYLE, widen))


def _reads(net):
  names = ['image', *(node.name for node in net.nodes)]
  return {node.name: [names[i] for i in node.inputs] for node in net.nodes}


def test_a_residual_block_whose_input_has_other_channels():
  net = _block(presets_rl.RESNET_LIKE)
  assert _reads(net) == {
      'block_layer2': ['image'], 'block_layer3': ['block_layer2'],
      'block_layer4_match0': ['image'],
      'block_layer4': ['block_layer4_match0', 'block_layer3']}
  assert executions.num_params(net, 'block_layer4_match0') == 3 * 4 + 8
  same = _block(presets_rl.RESNET_LIKE, channels=4)
  assert _reads(same) == {
      'block_layer2': ['image'], 'block_layer3': ['block_layer2'],
      'block_layer4': ['image', 'block_layer3']}


def test_the_narrower_summand_gets_the_channels_of_the_wider():
  net = _block(((1, 1, 3, 0, 0), (2, 5, 0, 1, 0)), channels=6)
  assert _reads(net)['block_layer2'] == ['block_layer2_match0', 'image']
  assert net.nodes[-1].shape == (4, 4, 6)


def test_concatenations_come_back_to_the_width_or_widen():
  code = ((1, 1, 1, 0, 0), (2, 6, 0, 1, 0), (3, 3, 3, 2, 0))
  narrow, wide = _block(code), _block(code, widen=True)
  assert [n.name for n in narrow.nodes] == [
      'block_layer1', 'block_layer2', 'block_layer2_match', 'block_layer3']
  assert narrow.nodes[1].shape == (4, 4, 7)
  assert narrow.nodes[-1].shape == (4, 4, 4)
  assert executions.num_params(narrow, 'block_layer2_match') == 7 * 4 + 8
  assert [n.name for n in wide.nodes] == [
      'block_layer1', 'block_layer2', 'block_layer3']
  assert wide.nodes[-1].shape == (4, 4, 7)


def test_all_unread_layers_are_the_output_by_hand():
  # The double of the input, its maxima, and the input through an identity and
  # a pool of one pixel.
  code = ((1, 4, 0, 0, 0), (2, 5, 0, 1, 0), (3, 2, 3, 1, 0), (4, 2, 1, 1, 0),
          (5, 7, 0, 0, 0))
  net = _block(code, channels=1, size=2, widen=True)
  x = jnp.array([[1., 2.], [3., -4.]]).reshape(1, 2, 2, 1)
  y = graph.GraphNet(net).apply({}, x).main
  np.testing.assert_array_equal(y[0, ..., 0], [[2, 4], [6, -8]])
  np.testing.assert_array_equal(y[0, ..., 1], [[3, 3], [3, 3]])
  np.testing.assert_array_equal(y[0, ..., 2], x[0, ..., 0])


def test_a_convolution_is_relu_convolution_norm_by_hand():
  net = _block(((1, 1, 1, 0, 0),), channels=2, features=1, size=1)
  variables = graph.init(jax.random.key(0), net)
  params = variables.params['block_layer1']
  params['Convolution_0']['kernel'] = jnp.array([-1., 10]).reshape(1, 1, 2, 1)
  params['BatchNorm_0']['bias'] = jnp.array([.25])
  y = graph.GraphNet(net).apply(
      variables._asdict(), jnp.array([3., -5.]).reshape(1, 1, 1, 2)).main
  np.testing.assert_array_equal(y.ravel(), [-3 + .25])


def test_groups_of_blocks_with_pools_between():
  net = _net(presets_rl.RESNET_LIKE, num_cells=2)
  shapes = {node.name: node.shape for node in net.nodes}
  assert [n for n in shapes if n.endswith('layer4')] == [
      f'block{i}_layer4' for i in range(6)]
  assert shapes['stem'] == shapes['block1_layer4'] == (8, 8, 4)
  assert shapes['pool1'] == (4, 4, 4)
  assert shapes['block2_layer4'] == shapes['block3_layer4'] == (4, 4, 8)
  assert shapes['pool2'] == (2, 2, 8)
  assert shapes['block5_layer4'] == (2, 2, 16)
  # Only the first block of a group has to match its input.
  assert [n for n in shapes if 'match' in n] == [
      'block2_layer4_match0', 'block4_layer4_match0']


def test_four_groups_on_imagenet():
  net = block.build(
      presets_rl.RESNET_LIKE, network='imagenet', image_shape=(224, 224, 3),
      num_classes=1000, features=64, num_cells=3)
  shapes = {node.name: node.shape for node in net.nodes}
  assert shapes['stem'] == (112, 112, 64)
  assert [shapes[f'block{i}_layer4'] for i in (0, 3, 6, 11)] == [
      (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]
  assert net.nodes[-1].shape == (1000,)


def test_both_executions_agree():
  executions.check(_net(((1, 1, 1, 0, 0), (2, 5, 0, 1, 0))), 5)


@pytest.mark.parametrize('kwargs, message', [
    (dict(features=None), 'features is None, expected at least 1'),
    (dict(num_cells=0), 'num_cells is 0, expected at least 1'),
    (dict(drop_path_keep=.9), 'blockqnn drop no paths'),
    (dict(network='imagenet', image_shape=(31, 64, 3)),
     'an image of 31 x 64 pixels cannot be halved by 5'),
])
def test_what_cannot_be_built(kwargs, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    _net(presets_rl.RESNET_LIKE, **kwargs)


def test_a_wrong_genotype_is_refused():
  with pytest.raises(ValueError, match=re.escape('layer 1 has type 8')):
    _net(((1, 8, 0, 0, 0),))
