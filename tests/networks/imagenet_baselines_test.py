from nas_jax.networks import staged
from nas_jax.networks import zoo
from nas_jax.spaces import presets


def _nodes(name):
  net = zoo.build(presets.load(name), 'imagenet')
  return {n.name: n for n in net.nodes}


def test_stages_of_resnet_50():
  nodes = _nodes('ResNet-50')
  assert nodes['stem'].shape == (56, 56, 64)
  shapes = [nodes[f'stage{s}_block{n}_sum'].shape
            for s, n in enumerate((2, 3, 5, 2))]
  assert shapes == [(56, 56, 256), (28, 28, 512), (14, 14, 1024),
                    (7, 7, 2048)]
  assert nodes['stage1_block0_branch'].module.steps[0] == staged.Conv(
      128, 1, 2)


def test_flows_of_xception():
  nodes = _nodes('Xception')
  shapes = [nodes[name].shape for name in (
      'stem', 'entry0_sum', 'entry1_sum', 'entry2_sum', 'middle7_sum',
      'exit_sum', 'tail')]
  assert shapes == [(147, 147, 64), (74, 74, 128), (37, 37, 256),
                    (19, 19, 728), (19, 19, 728), (10, 10, 1024),
                    (10, 10, 2048)]
  # The first block has no ReLU in front, the others have.
  assert nodes['entry0_branch'].module.steps[0] == staged.Separable(128)
  assert nodes['entry1_branch'].module.steps[0] == 'relu'
  assert nodes['classifier'].module.dropout_keep == .5


def test_layers_of_mobilenet():
  nodes = _nodes('MobileNet-224')
  shapes = [nodes[f'layer{i}'].shape for i in range(13)]
  assert nodes['stem'].shape == (112, 112, 32)
  assert shapes == [
      (112, 112, 64), (56, 56, 128), (56, 56, 128), (28, 28, 256),
      (28, 28, 256), *[(14, 14, 512)] * 6, (7, 7, 1024), (7, 7, 1024)]


def test_settings_of_their_published_code():
  for family, momentum, epsilon, padding in (
      ('resnet_imagenet', .9, 1e-5, 'symmetric'),
      ('xception', .99, 1e-3, 'same'), ('mobilenet', .9997, 1e-3, 'same')):
    style = zoo.FAMILIES[family].defaults['imagenet'].style
    assert (style.momentum, style.epsilon, style.padding) == (
        momentum, epsilon, padding)
