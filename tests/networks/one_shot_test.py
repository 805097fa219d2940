import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.networks import one_shot
from nas_jax.networks import zoo
from nas_jax.spaces import one_shot as space
from nas_jax.spaces import presets

_OPERATIONS = ('skip_connect', 'sep_conv_3x3', 'max_pool_3x3')
_SIZE = dict(image_shape=(8, 8, 1), num_classes=3, features=4, num_cells=2)
_SMALL = ((0,), ('sep_conv_3x3',), (0, 2), ('skip_connect', 'max_pool_3x3'))


def _build(genotype, **changes):
  return one_shot.build(genotype, **_SIZE | changes)


def _names(net):
  return [node.name for node in net.nodes]


def test_the_nodes_are_the_paths():
  assert _names(_build(_SMALL, num_cells=1)) == [
      'stem', 'cell0_enter0', 'cell0_block0_input0',
      'cell0_block0_sep_conv_3x3', 'cell0_block1_input0',
      'cell0_block1_input2', 'cell0_block1_joined',
      'cell0_block1_max_pool_3x3', 'cell0_block1', 'cell0_output', 'tail',
      'classifier']


@pytest.mark.parametrize('num_cells, expected', [
    (1, ()), (2, (1,)), (3, (1, 2)), (6, (2, 4)), (8, (2, 5))])
def test_where_the_image_is_halved(num_cells, expected):
  assert one_shot.reductions(num_cells) == expected


def test_filters_double_where_the_image_is_halved():
  net = _build(((0, 1), ('sep_conv_3x3',), (2,), ('skip_connect',)),
               num_cells=3)
  shapes = {node.name: node.shape for node in net.nodes}
  assert shapes['cell0_output'] == (8, 8, 8)
  assert shapes['cell1_output'] == (4, 4, 16)
  assert shapes['cell2_output'] == (2, 2, 32)
  # Of the stem, both sizes behind.
  assert shapes['cell1_enter0'] == (4, 4, 8)
  assert (shapes['cell2_enter0'], shapes['cell2_enter0_again']) == (
      (4, 4, 16), (2, 2, 16))


def test_parameters_by_hand():
  conv = lambda i, o: 2 * i + i * o  # norm, then 1x1
  stem = 9 * 4 + 8 + 9 * 16
  cell = conv(4, 4) + conv(4, 4) * 3 + 2 * (8 + 36 + 16)
  assert graph.num_params(_build(_SMALL, num_cells=1)) == (
      stem + cell + 2 * 8 + 8 * 3 + 3)


def test_published_size_of_the_family():
  net = zoo.build(presets.Preset('one_shot', space.all_paths()))
  shapes = {node.name: node.shape for node in net.nodes}
  assert [shapes[f'cell{k}_output'] for k in (0, 2, 5, 7)] == [
      (32, 32, 128), (16, 16, 256), (8, 8, 512), (8, 8, 512)]
  assert sum('cell3' in name and 'joined' not in name for name in shapes) == (
      2 + 14 + 4 * (6 + 1) + 1)


def test_a_block_that_reads_nothing_is_zeros():
  net = _build(((), ('sep_conv_3x3',), (0, 2), ('skip_connect',)),
               num_cells=1)
  assert _names(net) == [
      'stem', 'cell0_enter0', 'cell0_block1_input0', 'cell0_block0_zeros',
      'cell0_output', 'tail', 'classifier']
  nothing = _build(((), (), (2,), ('skip_connect',)), num_cells=1)
  assert _names(nothing) == ['stem', 'cell0_block0_zeros',
                             'cell0_block1_zeros', 'cell0_output', 'tail',
                             'classifier']


@pytest.fixture(scope='module')
def model():
  """All paths as one program, and its variables, all different from 0 or 1."""
  switched = one_shot.build_switched(_OPERATIONS, 2, **_SIZE)
  full = one_shot.build(space.all_paths(_OPERATIONS, 2), **_SIZE)
  variables = graph.init(jax.random.key(0), full)
  params = jax.tree.map(
      lambda x: x + .3 * jax.random.normal(jax.random.key(x.size), x.shape),
      variables.params)
  variables = graph.Variables(*(
      {node.name: tree.get(node.name, {}) for node in switched.nodes}
      for tree in (params, variables.batch_stats)))

  @jax.jit
  def run(images, paths, cotangent):
    """Logits, and gradients of the parameters."""
    gates = jax.tree.map(jnp.float32, space.live(paths)._asdict())
    logits, pullback = jax.vjp(lambda params: graph.GraphNet(switched).apply(
        variables._replace(params=params)._asdict(), images, train=True,
        gates=gates, mutable=['batch_stats'])[0].main, variables.params)
    return logits, *pullback(cotangent)

  return variables, run


def test_variables_of_both_forms_are_the_same():
  switched = graph.shapes(one_shot.build_switched(_OPERATIONS, 2, **_SIZE))
  full = graph.shapes(_build(space.all_paths(_OPERATIONS, 2)))
  strip = lambda tree: {k: v for k, v in tree.items() if v}
  for a, b in zip(switched, full):
    assert strip(a) == strip(b)


@pytest.mark.parametrize('genotype', [
    _SMALL, space.all_paths(_OPERATIONS, 2),
    ((0, 1), ('skip_connect', 'sep_conv_3x3'), (2,), ('sep_conv_3x3',)),
    ((), ('sep_conv_3x3',), (0, 2), ('max_pool_3x3',)),
    ((0,), (), (2,), ('skip_connect',))])
def test_masking_equals_the_sub_network(model, genotype):
  variables, run = model
  chosen = space.check(genotype)
  paths = space.Paths(
      np.array([[s in states for s in range(3)] for states, _ in chosen]),
      np.array([[op in ops for op in _OPERATIONS] for _, ops in chosen]))
  images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
  net = _build(genotype)
  programs = blocks.compile_programs(net, 6, 6)
  own = graph.Variables(*(
      {node.name: tree.get(node.name, {}) for node in net.nodes}
      for tree in variables))
  logits, _, pullbacks = blocks.forward(
      own, programs, images, jax.random.key(2), 0.)
  cotangent = jax.random.normal(jax.random.key(3), logits.main.shape)
  masked, expected = run(images, paths, cotangent)
  np.testing.assert_allclose(masked, logits.main, atol=1e-4)
  # What is off has no gradient, and what is on has that of the sub-network.
  grads, _, _ = blocks.backward(
      programs, pullbacks, graph.Logits(cotangent, None))
  for name, tree in expected.items():
    for place, value in jax.tree_util.tree_leaves_with_path(tree):
      here = grads.get(name)
      found = jax.tree_util.tree_leaves_with_path(here) if here else ()
      np.testing.assert_allclose(
          value, dict(found).get(place, np.zeros_like(value)), atol=2e-3,
          err_msg=f'{name} {place}')


@pytest.mark.parametrize('changes, message', [
    (dict(features=0), 'features is 0, expected at least 1'),
    (dict(num_cells=0), 'num_cells is 0, expected at least 1'),
    (dict(auxiliary=True), 'have no auxiliary classifier'),
    (dict(image_shape=(2, 2, 1), num_cells=6), 'cannot be halved'),
])
def test_bad_sizes(changes, message):
  with pytest.raises(ValueError, match=message):
    _build(_SMALL, **changes)


def test_an_unknown_operation():
  with pytest.raises(ValueError, match="unknown operation 'conv'"):
    _build(((0,), ('conv',)))
