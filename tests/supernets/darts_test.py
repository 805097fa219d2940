import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import cost
from nas_jax.networks import graph
from nas_jax.supernets import darts
from nas_jax.supernets import mixed
from nas_jax.supernets import relax


_STYLE = dataclasses.replace(darts.STYLE, affine=False)


def _count(spec, **kwargs):
  return graph.num_params(darts.build(
      spec, **dict(image_shape=(32, 32, 3), num_classes=10) | kwargs))


@pytest.mark.parametrize('spec, expected', [
    ('darts', 1_930_618), ('s1', 405_146), ('s2', 665_466), ('s3', 665_466),
    ('s4', 624_506)])
def test_sizes_are_the_published_ones(spec, expected):
  assert _count(darts.SPECS[spec]) == expected


def test_sizes_of_variants_are_the_computed_ones():
  full = darts.SPECS['darts']
  assert _count(full, num_classes=100) == 1_953_748
  assert _count(full, features=24) == 3_998_194
  assert _count(full, num_cells=20) == 4_548_730
  assert _count(full, features=6, num_cells=20) == 897_640
  assert _count(full, num_cells=5) == 1_275_834  # P-DARTS, stage 1
  assert _count(darts.uniform(partial=4)) == 299_578  # PC-DARTS
  assert _count(darts.uniform(auxiliary_skip=True)) == 1_971_578  # DARTS-


def test_multiply_adds_are_those_of_the_reference():
  net = darts.build(darts.SPECS['darts'], image_shape=(32, 32, 3),
                    num_classes=10)
  assert cost.count(net).conv_macs == 300_253_184


def test_statistics_are_as_many_as_those_of_the_reference():
  """But for pools, which the edges of a state share here."""
  net = darts.build(darts.SPECS['darts'], image_shape=(32, 32, 3),
                    num_classes=10)
  stats = graph.shapes(net).batch_stats
  size = lambda names: sum(
      int(np.prod(x.shape)) for n in names for x in jax.tree.leaves(stats[n]))
  pools = [n for n in stats if '_pool_' in n]
  # In each of 8 cells, 2 pools on 14 edges, of 5 states.
  channels = [16, 16, 32, 32, 32, 64, 64, 64]
  assert size(pools) == 2 * 2 * 5 * sum(channels)
  assert size(stats) - size(pools) + 2 * 2 * 14 * sum(channels) == 74_592


def test_edges_come_in_the_order_of_the_nodes_they_enter():
  assert darts.edges(2) == [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
  assert len(darts.edges(4)) == 14
  assert darts.num_nodes(14) == 4
  with pytest.raises(ValueError, match='13 edges do not make up nodes'):
    darts.num_nodes(13)


def test_the_candidates_of_space_s1_are_the_published_ones():
  spec = darts.SPECS['s1']
  assert spec.normal[3] == ('skip_connect', 'sep_conv_3x3')
  assert spec.normal[13] == ('dil_conv_3x3', 'dil_conv_5x5')
  assert spec.reduce[6] == ('max_pool_3x3', 'sep_conv_3x3')
  assert len(spec.normal) == len(spec.reduce) == 14
  assert {op for names in spec.reduce for op in names} == {
      'max_pool_3x3', 'avg_pool_3x3', 'skip_connect', 'sep_conv_3x3',
      'dil_conv_3x3', 'dil_conv_5x5'}


@pytest.mark.parametrize('kwargs, message', [
    (dict(normal=(('none',),) * 3), '3 edges do not make up'),
    (dict(normal=(('none',),) * 4 + (('none', 'noise'),)),
     r'the same number of candidates, got \[1, 2\]'),
    (dict(normal=(('conv',),) * 5), 'unknown operations conv'),
    (dict(normal=(('none',),) * 2), '2 edges of normal cells, but 5'),
    (dict(partial=0), 'partial is 0'),
])
def test_a_specification_that_makes_no_sense_is_refused(kwargs, message):
  good = (('none',),) * 5
  with pytest.raises(ValueError, match=message):
    darts.Spec(**(dict(normal=good, reduce=good) | kwargs))


def test_features_that_do_not_split_are_refused():
  with pytest.raises(ValueError, match='features is 6.*multiple of 4'):
    _count(darts.uniform(partial=4), features=6)
  with pytest.raises(ValueError, match='features is 3, expected an even'):
    _count(darts.SPECS['s2'], features=3)
  with pytest.raises(ValueError, match='num_cells is 0'):
    _count(darts.SPECS['s2'], num_cells=0)


def test_rows_hold_candidates_the_edge_and_what_all_share():
  gates = relax.gates({'normal': jnp.arange(10.).reshape(5, 2),
                       'edges_normal': jnp.arange(5.) / 10},
                      auxiliary_skip=7., skip_dropout=8., drop_path=9.)
  rows = darts.rows(gates)
  assert sorted(rows) == [f'normal_{e}' for e in range(5)]
  np.testing.assert_allclose(rows['normal_3'], [6, 7, .3, 7, 8, 9])


def _edge(x, row, *pools, train=True, key=0, **kwargs):
  module = mixed.MixedEdge(**(dict(
      features=x.shape[-1], style=_STYLE) | kwargs))
  args = (x, *pools, row, train)
  keys = {'params': jax.random.key(1), 'dropout': jax.random.key(key)}
  variables = module.init(keys, *args)
  return module.apply(variables, *args, mutable=['batch_stats'],
                      rngs={'dropout': keys['dropout']})[0], variables


@pytest.fixture
def x():
  return jax.random.normal(jax.random.key(0), (2, 4, 4, 8))


def _row(*weights, edge=1., skip=0., dropout=0., drop_path=0.):
  return jnp.array([*weights, edge, skip, dropout, drop_path])


def test_equal_gates_give_the_mean_of_the_candidates(x):
  ops = ('none', 'skip_connect', 'avg_pool_3x3', 'dil_conv_3x3')
  pool = mixed.NormedPool(8, kind='avg', style=_STYLE).apply(
      {}, x, True, mutable=True)[0]
  alone = [_edge(x, _row(*np.eye(4)[k]), pool, operations=ops)[0]
           for k in range(4)]
  np.testing.assert_array_equal(alone[0], 0 * x)
  np.testing.assert_array_equal(alone[1], x)
  np.testing.assert_array_equal(alone[2], pool)
  mean, _ = _edge(x, _row(*[.25] * 4), pool, operations=ops)
  np.testing.assert_allclose(mean, sum(alone) / 4, atol=1e-6)


def test_the_rest_of_the_channels_goes_around_and_is_shuffled(x):
  y, _ = _edge(x, _row(1., edge=.5), operations=('skip_connect',), partial=4)
  shuffled = x.reshape(2, 4, 4, 4, 2).swapaxes(3, 4).reshape(x.shape)
  np.testing.assert_allclose(y, .5 * shuffled)
  twice = mixed._shuffle(mixed._shuffle(jnp.arange(16.), 4), 4)
  np.testing.assert_array_equal(twice, jnp.arange(16.))


def test_around_an_edge_of_stride_two_there_is_a_maximum(x):
  y, _ = _edge(x, _row(0.), operations=('skip_connect',), partial=2, stride=2)
  expected = x[..., 4:].reshape(2, 2, 2, 2, 2, 4).max((2, 4))
  np.testing.assert_allclose(y.reshape(2, 2, 2, 4, 2)[..., 1], expected)
  np.testing.assert_array_equal(y.reshape(2, 2, 2, 4, 2)[..., 0], 0)


def test_the_auxiliary_skip_is_added_and_zero_leaves_darts(x):
  kwargs = dict(operations=('none', 'skip_connect'))
  plain, _ = _edge(x, _row(.3, .7), **kwargs)
  off, _ = _edge(x, _row(.3, .7), auxiliary_skip=True, **kwargs)
  on, _ = _edge(x, _row(.3, .7, skip=1.), auxiliary_skip=True, **kwargs)
  np.testing.assert_array_equal(off, plain)
  np.testing.assert_allclose(on, plain + x, atol=1e-6)


def test_skips_are_dropped_by_element_and_edges_by_example():
  x = jnp.ones((400, 2, 2, 4))
  kwargs = dict(operations=('skip_connect',))
  y, _ = _edge(x, _row(1., dropout=.25), skip_dropout=True, **kwargs)
  assert set(np.unique(np.round(y, 4))) == {0., np.float32(1.3333)}
  assert abs(np.mean(y == 0) - .25) < .02
  y, _ = _edge(x, _row(1., drop_path=.25), drop_path=True, **kwargs)
  assert (np.asarray(y).reshape(400, -1).std(-1) == 0).all()
  assert abs(np.mean(y == 0) - .25) < .07
  for name in ('skip_dropout', 'drop_path'):
    y, _ = _edge(x, _row(1., dropout=.25, drop_path=.25), train=False,
                 **{name: True}, **kwargs)
    np.testing.assert_array_equal(y, x)


def test_noise_ignores_its_input(x):
  kwargs = dict(operations=('noise', 'skip_connect'))
  run = lambda x, key: _edge(x, _row(1., 0.), key=key, **kwargs)[0]
  np.testing.assert_array_equal(run(x, 1), run(2 * x + 1, 1))
  assert np.any(run(x, 1) != run(x, 2))
  big = run(jnp.ones((64, 8, 8, 8)), 1)
  assert abs(np.std(big) - 1) < .02
  gradient = jax.grad(lambda x: jnp.sum(run(x, 1)**2))(x)
  np.testing.assert_array_equal(gradient, 0)


def test_the_inside_of_an_edge_can_be_computed_twice():
  build = lambda remat: darts.build(
      darts.uniform(('none', 'max_pool_3x3', 'sep_conv_3x3'), 2),
      image_shape=(8, 8, 1), num_classes=2, features=2, num_cells=1,
      remat=remat)
  plain, twice = build(False), build(True)
  x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
  gates = darts.rows(relax.gates(relax.softmax({
      kind: jax.random.normal(jax.random.key(1), (5, 3))
      for kind in darts.KINDS})))
  variables = graph.init(jax.random.key(2), plain)

  def gradient(net):
    @jax.jit
    def run(params):
      y, _ = graph.GraphNet(net).apply(
          {'params': params, 'batch_stats': variables.batch_stats}, x,
          train=True, gates=gates, mutable=['batch_stats'])
      return jnp.sum(y.main**2)
    return jax.grad(run)(variables.params)

  for a, b in zip(jax.tree.leaves(gradient(plain)),
                  jax.tree.leaves(gradient(twice)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
  saved = [cost.estimate_memory(net, 2).temporaries for net in (plain, twice)]
  assert saved[1] < .7 * saved[0]
