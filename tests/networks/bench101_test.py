import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import bench101
from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import ops_bench
from nas_jax.networks import zoo
from nas_jax.spaces import nasbench101
from nas_jax.spaces import preset
from nas_jax.spaces import presets


def _net(edges, *operations, **kwargs):
  count = len(operations) + 2
  matrix = [[int((i, j) in edges) for j in range(count)] for i in range(count)]
  return zoo.build(preset.Preset('nasbench101', (
      matrix, ('input', *operations, 'output'))), **kwargs)


def _inputs(net):
  return {n.name: [net.nodes[i - 1].name if i else 'image' for i in n.inputs]
          for n in net.nodes}


_C3, _C1, _POOL = nasbench101.OPERATIONS


def test_stacks_halve_the_image_and_double_the_channels():
  net = zoo.build(presets.load('NAS-Bench-101:Inception'))
  shapes = {n.name: n.shape for n in net.nodes}
  assert shapes['stem'] == shapes['stack0_cell2_output'] == (32, 32, 128)
  assert shapes['pool1'] == (16, 16, 128)
  assert shapes['stack1_cell0_output'] == (16, 16, 256)
  assert shapes['stack2_cell2_output'] == (8, 8, 512)
  assert len([n for n in shapes if n.endswith('_output')]) == 9


def test_edges_from_the_input_are_projected_and_others_are_cut():
  # Vertex 2 is wider than vertex 3; both feed the output.
  net = _net({(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)},
             _C3, _POOL, _C1, features=5, num_cells=1)
  shapes = {n.name: n.shape[-1] for n in net.nodes}
  inputs = _inputs(net)
  name = 'stack0_cell0'
  assert [shapes[f'{name}_vertex{i}'] for i in (1, 2, 3)] == [3, 3, 2]
  assert inputs[f'{name}_vertex1'] == [f'{name}_project1']
  assert inputs[f'{name}_sum2'] == [f'{name}_vertex1', f'{name}_project2']
  assert inputs[f'{name}_sum3'] == [f'{name}_vertex1', f'{name}_vertex2']
  assert inputs[f'{name}_output'] == [f'{name}_vertex2', f'{name}_vertex3']
  x, y = jnp.arange(3.).reshape(1, 1, 1, 3), jnp.ones((1, 1, 1, 4))
  np.testing.assert_array_equal(
      bench101.CutSum(2).apply({}, x, y, False)[0, 0, 0], [1, 2])


def test_an_edge_from_input_to_output_is_added():
  net = _net({(0, 1), (1, 2), (0, 2)}, _C3, features=4, num_cells=1)
  inputs = _inputs(net)
  assert inputs['stack0_cell0_sum'] == [
      'stack0_cell0_vertex1', 'stack0_cell0_shortcut']
  assert inputs['stack0_cell0_shortcut'] == ['stem']
  # Without vertices it is all there is.
  net = _net({(0, 1)}, features=4, num_cells=1)
  assert [n.name for n in net.nodes] == [
      'stem', 'stack0_cell0_output', 'pool1', 'stack1_cell0_output', 'pool2',
      'stack2_cell0_output', 'classifier']


def test_a_convolution_is_followed_by_norm_and_relu():
  x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
  module = ops_bench.ConvNormRelu(2, 1, ops.Style(epsilon=0.), size=1)
  kernel = jax.random.normal(jax.random.key(1), (1, 1, 3, 2))
  y = module.apply({
      'params': {'Convolution_0': {'kernel': kernel},
                 'BatchNorm_0': {'scale': jnp.full(2, 3.),
                                 'bias': jnp.full(2, -1.)}},
      'batch_stats': {'BatchNorm_0': {'mean': jnp.full(2, .5),
                                      'var': jnp.full(2, 4.)}}}, x, False)
  expected = np.maximum((x @ kernel[0, 0] - .5) / 2 * 3 - 1, 0)
  np.testing.assert_allclose(y, expected, atol=1e-5)
  assert (expected == 0).any() and (expected > 0).any()


def test_settings_of_the_published_code():
  net = zoo.build(presets.load('NAS-Bench-101:conv3x3'))
  style = net.nodes[0].module.style
  assert (style.momentum, style.epsilon, style.padding) == (.997, 1e-5, 'same')
  kernel = graph.init(jax.random.key(0), _net(
      {(0, 1), (1, 2)}, _C3, num_cells=1, features=64)).params[
          'stack0_cell0_vertex1']['Convolution_0']['kernel']
  np.testing.assert_allclose(kernel.var(), 1 / (9 * 64), rtol=.03)
