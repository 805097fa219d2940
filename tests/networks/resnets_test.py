import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import graph
from nas_jax.networks import staged
from nas_jax.networks import zoo
from nas_jax.spaces import preset
from nas_jax.spaces import presets


def _net(family, genotype, size=8, **kwargs):
  return zoo.build(preset.Preset(family, genotype), num_classes=3,
                   image_shape=(size, size, 3), **kwargs)


def _shapes(net):
  return {node.name: node.shape for node in net.nodes}


def _steps(net, name):
  return next(n.module.steps for n in net.nodes if n.name == name)


def test_stages_of_a_resnet():
  shapes = _shapes(zoo.build(presets.load('ResNet-20')))
  assert shapes['stem'] == shapes['stage0_block2_sum'] == (32, 32, 16)
  assert shapes['stage1_block0_shortcut'] == (16, 16, 32)
  assert shapes['stage2_block2_sum'] == (8, 8, 64)
  # Shortcuts that are the identity are not nodes.
  assert [n for n in shapes if n.endswith('shortcut')] == [
      'stage1_block0_shortcut', 'stage2_block0_shortcut']


def test_an_identity_shortcut_passes_the_input_on():
  """Where the last norm of a branch gives zeros, a block is ReLU."""
  net = _net('resnet', (8, 'A'), features=2)
  variables = graph.init(jax.random.key(0), net)
  params = dict(variables.params)
  for name in params:
    if name.endswith('branch'):
      params[name] = params[name] | {
          'BatchNorm_1': jax.tree.map(jnp.zeros_like,
                                      params[name]['BatchNorm_1'])}
  images = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
  logits = graph.GraphNet(net).apply(
      {'params': params, 'batch_stats': variables.batch_stats}, images).main
  stem = net.nodes[0].module.apply(
      {'params': params['stem'], 'batch_stats': variables.batch_stats['stem']},
      images, False)
  # Two of the 8 channels are those of the stem at every fourth pixel.
  features = np.zeros((2, 8))
  features[:, :2] = np.asarray(stem)[:, ::4, ::4].mean((1, 2))
  dense = params['classifier']['Dense_0']
  np.testing.assert_allclose(
      logits, features @ dense['kernel'] + dense['bias'], atol=1e-5)


def test_a_preactivated_block_shares_its_first_norm_where_the_shape_changes():
  net = _net('preact_resnet', (20,))
  steps = staged.NORM, staged.RELU
  inputs = {n.name: [net.nodes[i - 1].name for i in n.inputs if i]
            for n in net.nodes}
  assert inputs['stage1_block0_branch'] == ['stage1_block0_enter']
  assert inputs['stage1_block0_shortcut'] == ['stage1_block0_enter']
  assert _steps(net, 'stage1_block0_enter') == steps
  assert _steps(net, 'stage1_block0_branch')[0] == staged.Conv(32, 1, 2)
  assert _steps(net, 'stage1_block1_branch')[:2] == steps
  assert inputs['stage1_block1_sum'] == [
      'stage1_block1_branch', 'stage1_block0_sum']
  assert _steps(net, 'tail') == steps


def test_dropout_of_a_wide_resnet_is_inside_of_its_blocks():
  net = _net('wide_resnet', (10, 2), dropout_keep=.7)
  steps = _steps(net, 'stage0_block0_branch')
  assert steps == (staged.Conv(32), 'norm', 'relu', staged.Dropout(.7),
                   staged.Conv(32))
  assert net.nodes[-1].module.dropout_keep == 1
  assert staged.Dropout(.7) not in _steps(
      _net('wide_resnet', (10, 2)), 'stage0_block0_branch')


def test_groups_of_a_resnext():
  net = zoo.build(presets.load('ResNeXt-29-8x64d'))
  steps = _steps(net, 'stage1_block0_branch')
  assert [s for s in steps if isinstance(s, staged.Conv)] == [
      staged.Conv(1024, 1), staged.Conv(1024, 3, 2, groups=8),
      staged.Conv(512, 1)]


def test_deeper_branches_are_dropped_more():
  net = zoo.build(presets.load('ResNet-110'), drop_path_keep=.5)
  keeps = {n.name: graph.keep_probability(net, n, 1.) for n in net.nodes
           if graph.drops(net, n)}
  assert len(keeps) == 54
  np.testing.assert_allclose(
      [keeps['stage0_block0_branch'], keeps['stage1_block8_branch'],
       keeps['stage2_block17_branch']], [1 - .5 / 54, .75, .5])


def test_settings_of_fb_resnet_torch():
  style = zoo.FAMILIES['resnet'].defaults['cifar'].style
  assert (style.momentum, style.epsilon, style.padding) == (
      .9, 1e-5, 'symmetric')
  net = zoo.build(presets.load('WRN-16-8'))
  params = graph.init(jax.random.key(0), net).params
  kernel = params['stage2_block0_branch']['Convolution_0']['kernel']
  np.testing.assert_allclose(kernel.var(), 2 / (9 * 512), rtol=.02)
  # A linear layer has the variance 1 / (3 inputs), no bias.
  dense = params['classifier']['Dense_0']
  np.testing.assert_allclose(dense['kernel'].var(), 1 / (3 * 512), rtol=.1)
  assert not dense['bias'].any()
