"""The search network of NAS-Bench-201."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import nasbench201
from nas_jax.spaces import preset
from nas_jax.supernets import bench201

_CELL = ('nor_conv_3x3', 'skip_connect', 'nor_conv_1x1', 'avg_pool_3x3',
         'none', 'nor_conv_3x3')


@pytest.mark.parametrize('num_classes, params', [
    (10, 1_692_826), (100, 1_692_826 + 5_850)])
def test_the_published_size_of_the_whole_network(num_classes, params):
  net = bench201.build(num_classes=num_classes)
  assert graph.num_params(net) == params
  assert sum('_edge' in node.name for node in net.nodes) == 3 * 5 * 6


def test_one_candidate_per_edge_is_the_network_of_the_benchmark():
  """With weights copied and statistics of the batch, up to biases."""
  sizes = dict(image_shape=(8, 8, 3), num_classes=3, features=2, num_cells=1)
  alone = zoo.build(preset.Preset('nasbench201', _CELL), **sizes)
  net = bench201.build(**sizes)
  variables = graph.init(jax.random.key(0), net)
  single = graph.init(jax.random.key(1), alone)
  params = {name: variables.params.get(name, {}) for name in single.params}
  for name in params:
    if '_edge' in name and single.params[name]:
      scope, _, rest = name.partition('_edge')
      edge, _, operation = rest.partition('_')
      shared = variables.params[
          f'{scope}_edge{nasbench201.EDGES.index(tuple(map(int, edge)))}']
      inner = dict(single.params[name])
      inner['Convolution_0'] = {
          'kernel': shared[operation]['Convolution_0']['kernel']}
      params[name] = inner
  images = jax.random.normal(jax.random.key(2), (4, 8, 8, 3))
  run = lambda net, params, stats, **kwargs: graph.GraphNet(net).apply(
      {'params': params, 'batch_stats': stats}, images, train=True,
      mutable=['batch_stats'], **kwargs)[0].main
  weights = np.array([[name == chosen for name in nasbench201.OPERATIONS]
                      for chosen in _CELL], np.float32)
  found = run(net, *variables, gates=_rows(weights))
  np.testing.assert_allclose(
      found, run(alone, params, single.batch_stats), atol=2e-5)


def test_cells_are_evaluated_with_statistics_of_the_batch():
  """A batch of other contrast changes what running statistics would not."""
  sizes = dict(image_shape=(8, 8, 1), num_classes=3, features=2, num_cells=1)
  spec = bench201.Spec((('nor_conv_1x1',),) * 6)
  images = jax.random.normal(jax.random.key(2), (4, 8, 8, 1))
  logits = []
  for spec in (spec, bench201.Spec(spec.cell, batch_statistics=False)):
    net = bench201.build(spec, **sizes)
    model = graph.GraphNet(net)
    variables = graph.init(jax.random.key(0), net)._asdict()
    gates = _rows(np.ones((6, 1), np.float32))
    both, alone = (model.apply(
        variables, x, gates=gates, mutable=['batch_stats'])[0].main[0]
                   for x in (images, images[:1]))
    logits.append(float(np.abs(both - alone).max()))
  assert logits[0] > 1e-2 > 1e-5 > logits[1]


def test_edges_of_one_node_share_their_pool():
  net = bench201.build(image_shape=(8, 8, 1), features=2, num_cells=1)
  pools = [n.name for n in net.nodes if n.name.endswith('avg_pool_3x3')]
  assert pools[:3] == [f'stage0_cell0_state{i}_avg_pool_3x3' for i in range(3)]
  assert len(pools) == 9


@pytest.mark.parametrize('call, message', [
    (lambda: bench201.Spec((('none',),)), 'has 6 edges, got candidates of 1'),
    (lambda: bench201.Spec((('none',),) * 5 + (('none', 'skip_connect'),)),
     r'same number of candidates, got \[1, 2\]'),
    (lambda: bench201.Spec((('sep_conv_3x3',),) * 6), "'sep_conv_3x3'"),
    (lambda: bench201.build(num_cells=0), 'num_cells is 0'),
    (lambda: bench201.build(bench201.Spec(partial=3)),
     'features is 16, expected a number that splits into 3'),
])
def test_wrong_arguments(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def _rows(weights):
  return bench201.rows({
      'cell': jnp.asarray(weights), 'edges_cell': jnp.ones(len(weights)),
      'knobs': jnp.zeros(3)})
