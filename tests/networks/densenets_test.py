import jax
import numpy as np

from nas_jax.networks import graph
from nas_jax.networks import staged
from nas_jax.networks import zoo
from nas_jax.spaces import preset
from nas_jax.spaces import presets


def _net(family, genotype, **kwargs):
  return zoo.build(preset.Preset(family, genotype), image_shape=(8, 8, 3),
                   num_classes=3, **kwargs)


def test_channels_of_densenet_bc():
  shapes = {n.name: n.shape for n in zoo.build(
      presets.load('DenseNet-BC-190-40')).nodes}
  assert shapes['stem'] == (32, 32, 80)
  assert shapes['block0_layer0'] == (32, 32, 40)
  # 80 + 31 * 40 = 1320, halved; + 31 * 40 = 1900, halved; + 31 * 40.
  assert shapes['block0_layer30_concat'] == (32, 32, 1320)
  assert shapes['transition0'] == (16, 16, 660)
  assert shapes['transition1'] == (8, 8, 950)
  assert shapes['tail'] == (8, 8, 2190)


def test_plain_transitions_keep_the_channels():
  shapes = {n.name: n.shape for n in zoo.build(
      presets.load('DenseNet-40-12')).nodes}
  assert shapes['stem'] == (32, 32, 16)
  assert shapes['block0_layer11_concat'] == (32, 32, 160)
  assert shapes['transition0'] == (16, 16, 160)
  assert shapes['tail'] == (8, 8, 448)


def test_a_layer_adds_its_channels_behind_those_before_it():
  net = _net('densenet', (7, 2))
  variables = graph.init(jax.random.key(0), net)
  x = jax.random.normal(jax.random.key(1), (2, 8, 8, 16))
  layer, concat = net.nodes[1:3]
  y = layer.module.apply({k: v[layer.name] for k, v in
                          variables._asdict().items()}, x, False)
  assert y.shape == (2, 8, 8, 2)
  assert [net.nodes[i - 1].name for i in concat.inputs] == [
      'stem', 'block0_layer0']
  joined = concat.module.apply({}, x, y, False)
  np.testing.assert_array_equal(joined[..., :16], x)
  np.testing.assert_array_equal(joined[..., 16:], y)


def test_dropout_follows_every_convolution_but_the_first():
  net = _net('densenet_bc', (10, 2), dropout_keep=.8)
  steps = {n.name: n.module.steps for n in net.nodes
           if isinstance(n.module, staged.Chain)}
  drop = staged.Dropout(.8)
  assert steps['stem'] == (staged.Conv(4),)
  assert steps['block0_layer0'] == (
      'norm', 'relu', staged.Conv(8, 1), drop, 'norm', 'relu', staged.Conv(2),
      drop)
  assert steps['transition0'] == (
      'norm', 'relu', staged.Conv(3, 1), drop, staged.Pool('avg', 2, 2))
  assert net.nodes[-1].module.dropout_keep == 1
