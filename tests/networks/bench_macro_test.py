from nas_jax.networks import staged
from nas_jax.networks import zoo
from nas_jax.spaces import preset
from nas_jax.spaces import presets


def test_stages_of_nasbench_macro():
  net = zoo.build(presets.load('NAS-Bench-Macro:best'))
  shapes = {n.name: n.shape for n in net.nodes}
  assert shapes['stem'] == (32, 32, 32)
  assert shapes['stage1_block1_sum'] == (16, 16, 64)
  assert shapes['stage2_block2_sum'] == (8, 8, 128)
  assert shapes['stage3_block0'] == (4, 4, 256)
  # The last layer is an identity.
  assert 'stage3_block2_sum' not in shapes
  assert shapes['tail'] == (4, 4, 1280)


def test_layers_of_nasbench_macro():
  net = zoo.build(preset.Preset('nasbench_macro', '01200001'))
  steps = {n.name: n.module.steps for n in net.nodes
           if isinstance(n.module, staged.Chain)}
  # An identity that must halve the image is a convolution and norm.
  assert steps['stage1_block0'] == (staged.Conv(64, 1, 2), 'norm')
  assert steps['stage1_block1_branch'] == (
      staged.Conv(192, 1), 'norm', 'relu', staged.Depthwise(3, 1), 'norm',
      'relu', staged.Conv(64, 1), 'norm')
  assert steps['stage2_block0'][:5] == (
      staged.Conv(384, 1), 'norm', 'relu', staged.Depthwise(5, 2), 'norm')
