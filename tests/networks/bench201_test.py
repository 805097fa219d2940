import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import ops_bench
from nas_jax.networks import zoo
from nas_jax.spaces import preset
from nas_jax.spaces import presets


def _net(cell, **kwargs):
  return zoo.build(preset.Preset('nasbench201', tuple(cell)), **kwargs)


def _variables(module, *inputs):
  tree = graph.variable_shapes(module, tuple(
      jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs))
  return jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), tree)


def test_stages_of_nasbench201():
  shapes = {n.name: n.shape for n in zoo.build(
      presets.load('NAS-Bench-201:ResNet')).nodes}
  assert shapes['stem'] == shapes['stage0_cell4_node3'] == (32, 32, 16)
  assert shapes['reduction1_sum'] == shapes['stage1_cell4_node3'] == (
      16, 16, 32)
  assert shapes['reduction2_sum'] == shapes['tail'] == (8, 8, 64)
  assert not [n for n in shapes if 'cell5' in n]


def test_nodes_sum_what_reaches_them():
  """A cell of skips gives four times its input, x + x + 2 x."""
  net = _net(['skip_connect'] * 6, features=4, num_cells=1)
  assert [n.name for n in net.nodes[:4]] == [
      'stem', 'stage0_cell0_node2', 'stage0_cell0_node3', 'reduction1_branch']
  x = jax.random.normal(jax.random.key(0), (2, 3, 3, 4))
  values = {1: x}
  for i in (1, 2):
    values[i + 1] = net.nodes[i].module.apply(
        {}, *(values[j] for j in net.nodes[i].inputs), False)
  np.testing.assert_allclose(values[3], 4 * x, rtol=1e-6)


def test_a_cell_of_nothing_gives_the_biases_of_the_head():
  net = _net(['none'] * 6, features=4, num_cells=1, image_shape=(8, 8, 3),
             num_classes=5)
  variables = graph.init(jax.random.key(0), net)
  logits = graph.GraphNet(net).apply(
      variables._asdict(), jax.random.normal(jax.random.key(1), (3, 8, 8, 3)))
  bias = variables.params['classifier']['Dense_0']['bias']
  np.testing.assert_allclose(logits.main, np.tile(bias, (3, 1)), atol=1e-6)


def test_what_only_nothing_reads_is_part_of_the_network():
  net = _net(['nor_conv_3x3', 'skip_connect', 'none', 'skip_connect', 'none',
              'skip_connect'], features=4, num_cells=1)
  names = [n.name for n in net.nodes]
  assert 'stage0_cell0_edge01_nor_conv_3x3' in names
  assert 'stage2_cell0_edge13_none' in names


def test_a_reduction_averages_its_shortcut():
  net = _net(['skip_connect'] * 6, features=2, num_cells=1)
  node = next(n for n in net.nodes if n.name == 'reduction1_shortcut')
  assert node.shape == (16, 16, 4)
  x = jnp.arange(1., 9).reshape(1, 2, 2, 2)
  y = node.module.apply(_variables(node.module, x), x, False)
  np.testing.assert_allclose(y, np.full((1, 1, 1, 4), 4. + 5.))


def test_a_skip_between_widths_is_a_convolution_without_relu():
  x = -jnp.ones((1, 2, 2, 3))
  style = ops.Style(epsilon=0.)
  same = ops_bench.Skip(3, 1, style)
  assert not jax.tree.leaves(_variables(same, x))
  np.testing.assert_array_equal(same.apply({}, x, False), x)
  other = ops_bench.Skip(2, 1, style)
  # Minus three, less the mean of one.
  np.testing.assert_allclose(
      other.apply(_variables(other, x), x, False), np.full((1, 2, 2, 2), -3.))


def test_an_average_does_not_count_the_padding():
  x = jnp.arange(1., 10).reshape(1, 3, 3, 1)
  style = ops.Style(padding='symmetric')
  y = ops_bench.AveragePool(1, 1, style).apply({}, x, False)
  np.testing.assert_allclose(
      y[0, ..., 0], [[3, 3.5, 4], [4.5, 5, 5.5], [6, 6.5, 7]], rtol=1e-6)
  wide = ops_bench.AveragePool(2, 1, style)
  params = _variables(wide, x)['params']
  assert params['Convolution_0']['kernel'].shape == (1, 1, 1, 2)


def test_widths_of_the_size_space():
  net = zoo.build(preset.Preset('nats_size', (8, 16, 24, 32, 40)))
  shapes = {n.name: n.shape for n in net.nodes}
  assert shapes['stem'] == shapes['stage0_cell0_node3'] == (32, 32, 8)
  assert shapes['reduction1_sum'] == (16, 16, 16)
  assert shapes['stage1_cell0_node3'] == (16, 16, 24)
  assert shapes['reduction2_sum'] == (8, 8, 32)
  assert shapes['stage2_cell0_node3'] == shapes['tail'] == (8, 8, 40)
  # The skip of a cell is a node only where the width changes.
  assert [n for n in shapes if n.endswith('skip_connect')] == [
      'stage1_cell0_edge03_skip_connect', 'stage2_cell0_edge03_skip_connect']


def test_a_string_is_a_genotype_too():
  text = ('|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+'
          '|skip_connect~0|none~1|skip_connect~2|')
  assert zoo.build(preset.Preset('nasbench201', text)) == zoo.build(
      presets.load('NAS-Bench-201:ResNet'))
  assert zoo.build(preset.Preset('nats_size', '8:8:8:8:8')) == zoo.build(
      presets.load('NATS-Bench:8:8:8:8:8'))


def test_networks_for_imagenet16():
  net = zoo.build(presets.load('NAS-Bench-201:ResNet'), 'imagenet16')
  assert net.image_shape == (16, 16, 3) and net.nodes[-1].shape == (120,)
