"""Sizes of networks found by reinforcement learning, exact.

Where the published number is another one, ours stands here and the published
one in the message.
"""

import pytest

from nas_jax import cost
from nas_jax.networks import block
from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import zoo
from nas_jax.spaces import preset
from nas_jax.spaces import presets_rl

_PRESETS = presets_rl.PRESETS


def _uniform(token, bit):
  cell = (token,) * 10, (bit,) * 45
  return preset.Preset('autodl', (cell, cell))


# Architecture; parameters; multiply-adds of convolutions and of the linear
# layer for 32 x 32 pixels; what is published.
_NETWORKS = [
    # 1611.01578, figure 7 and table 1. The convolutions have 4,199,868 weights.
    (_PRESETS['NAS-RL-v1'], 4_201_630, 4_199_868 * 1024, 480, '4.2M'),
    # The two changes of it that the paper tests, by their definition.
    (_PRESETS['NAS-RL-v1-dense'], 6_630_910, 6_629_148 * 1024, 480, None),
    (_PRESETS['NAS-RL-v1-without-skips'], 809_134, 807_372 * 1024, 480, None),
    # 1802.03268, table 2; melodyguan/enas scripts/cifar10_macro_final.sh.
    (_PRESETS['ENAS-macro'], 42_559_392, 5_646_090_240, 3_840, '38.0M'),
    (_PRESETS['ENAS-macro-separable'], 30_947_424, 4_370_276_352, 3_840,
     '38.0M'),
    # PaddlePaddle/AutoDL img/cnn_net.png, biases of convolutions counted.
    (_PRESETS['AutoDL-Design'], 1_587_306, 246_611_968, 2_560, None),
    # Ten 3x3 convolutions without an edge, and with all edges.
    (_uniform(1, 0), 2_399_018, 379_256_832, 2_560, None),
    (_uniform(1, 1), 1_560_938, 230_621_184, 2_560, None),
]


@pytest.mark.parametrize('architecture, params, conv, linear, published',
                         _NETWORKS, ids=[str(row[1]) for row in _NETWORKS])
def test_sizes_of_networks(architecture, params, conv, linear, published):
  found = cost.count(zoo.build(architecture))
  message = f'published: {published} parameters'
  assert found.params == params, message
  assert (found.conv_macs, found.linear_macs) == (conv, linear), message


def test_parts_of_nas_rl_v1():
  net = zoo.build(_PRESETS['NAS-RL-v1'])
  params = graph.shapes(net).params
  layers = [params[f'layer{i}'] for i in range(1, 16)]
  assert sum(p['Convolution_0']['kernel'].size for p in layers) == 4_199_868
  assert sum(x.size for p in layers
             for x in p['BatchNorm_0'].values()) == 1_272
  assert sum(x.size for x in params['classifier']['Dense_0'].values()) == 490
  # No stride and no pool.
  assert {node.shape[:2] for node in net.nodes[:-1]} == {(32, 32)}


# 1708.05552, figure 3. One block at 32 channels and 32 x 32 pixels.
@pytest.mark.parametrize('name, widen, params, macs, channels', [
    ('BlockQNN-resnet-like', False, 18_560, 18_874_368, 32),
    ('BlockQNN-resnet-like', True, 18_560, 18_874_368, 32),
    # Concatenations widen.
    ('BlockQNN-inception-like', True, 38_208, 38_797_312, 96),
    # A 1x1 convolution back to 32 channels after each of both.
    ('BlockQNN-inception-like', False, 38_208 + 2 * (64 * 32 + 64),
     38_797_312 + 2 * 64 * 32 * 1024, 32),
])
def test_sizes_of_blocks(name, widen, params, macs, channels):
  style = ops.Style()
  builder = graph.Builder((32, 32, 32), style)
  value = block.add_block(
      builder, builder.image, _PRESETS[name].genotype, 32, 'block', style,
      widen)
  found = cost.count(builder.finish(value))
  assert (found.params, found.conv_macs) == (params, macs)
  assert value.shape == (32, 32, channels)


def test_widths_of_autodl_design():
  net = zoo.build(_PRESETS['AutoDL-Design'])
  shapes = {node.name: node.shape for node in net.nodes}
  assert [shapes[f'cell{i}_output'] for i in range(9)] == (
      [(32, 32, 64)] * 3 + [(16, 16, 128)] * 3 + [(8, 8, 256)] * 3)


def test_widths_of_enas_macro():
  net = zoo.build(_PRESETS['ENAS-macro'])
  shapes = {node.name: node.shape for node in net.nodes}
  assert shapes['layer7'] == (32, 32, 96)
  assert shapes['layer8'] == shapes['layer15'] == (16, 16, 192)
  assert shapes['layer16'] == shapes['layer23'] == (8, 8, 384)
  # All that is stored is read again: 9 and 17 values.
  assert sum(n.startswith('pool7') for n in shapes) == 9
  assert sum(n.startswith('pool15') for n in shapes) == 17
