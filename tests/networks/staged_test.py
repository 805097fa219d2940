"""Families built from chains and residual blocks: shared behaviour."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import staged
from nas_jax.networks import zoo
from nas_jax.networks.staged import NORM, RELU
from nas_jax.spaces import preset
from nas_jax.spaces import presets_bench


class _Case(NamedTuple):
  family: str
  genotype: tuple
  network: str = 'cifar'
  features: int | None = 4
  num_cells: int | None = None
  size: int = 9
  keep: dict = {}


_INCEPTION = presets_bench.PRESETS['NAS-Bench-101:Inception'].genotype
_BEST = presets_bench.PRESETS['NAS-Bench-201:best-imagenet16'].genotype
_CASES = [
    _Case('resnet', (8, 'A'), keep=dict(drop_path_keep=.5)),
    _Case('resnet', (8, 'B')),
    _Case('preact_resnet', (11,), features=2),
    _Case('wide_resnet', (10, 2), keep=dict(dropout_keep=.7)),
    _Case('resnext', (11, 2, 4)),
    _Case('densenet', (7, 3), features=None),
    _Case('densenet_bc', (10, 3), features=None),
    _Case('pyramidnet', (8, 5)),
    _Case('pyramidnet_bottleneck', (11, 5), features=2),
    _Case('shake_shake', (8, 4)),
    _Case('resnet_imagenet', (1, 2, 1, 1), 'imagenet', 2, size=33),
    _Case('mobilenet', (1,), 'imagenet', size=33),
    _Case('xception', (1,), 'imagenet', None, size=65),
    _Case('nasbench101', _INCEPTION, features=8, num_cells=1),
    _Case('nasbench201', _BEST, num_cells=1),
    _Case('nats_size', (8, 16, 8, 8, 16), features=None),
    _Case('nasbench_macro', (1, 0, 2, 1, 0, 0, 0, 1)),
]
_ids = lambda case: f'{case.family}-{"-".join(map(str, case.genotype))[:20]}'


def _build(case, **kwargs):
  return zoo.build(
      preset.Preset(case.family, case.genotype), case.network,
      image_shape=(case.size, case.size, 3), num_classes=3,
      features=case.features, num_cells=case.num_cells, **case.keep, **kwargs)


def test_every_family_is_tried():
  assert {case.family for case in _CASES} == {
      'resnet', 'preact_resnet', 'wide_resnet', 'resnext', 'densenet',
      'densenet_bc', 'pyramidnet', 'pyramidnet_bottleneck', 'shake_shake',
      'resnet_imagenet', 'mobilenet', 'xception', 'nasbench101', 'nasbench201',
      'nats_size', 'nasbench_macro'}


@pytest.mark.parametrize('case', _CASES, ids=_ids)
@pytest.mark.parametrize('dtype', [None, 'bfloat16'])
def test_nodes_give_the_shapes_that_they_declare(case, dtype):
  """Images of odd sizes, in both precisions."""
  net = _build(case, dtype=dtype)
  for node in net.nodes:
    inputs = graph.input_shapes(net, node, 2)
    y, _ = jax.eval_shape(
        lambda v, x: node.module.apply(
            v, *x, True, mutable=['batch_stats'],
            rngs={'dropout': jax.random.key(0)}),
        graph.variable_shapes(node.module, inputs), inputs)
    assert y.shape == (2, *node.shape), node.name
    last = node is net.nodes[-1]
    assert y.dtype == ('float32' if last else dtype or 'float32'), node.name


# Xception is wide whatever is asked for; the others are made of the modules of
# families that are tried.
_SHAPES_ONLY = ('xception', 'densenet_bc', 'pyramidnet', 'nats_size')


@pytest.mark.parametrize('case', [
    case for case in _CASES if case.family not in _SHAPES_ONLY and
    case.genotype != (8, 'B')], ids=_ids)
def test_gradients_reach_every_parameter(case):
  net = _build(case)
  variables = graph.init(jax.random.key(0), net)
  images = jax.random.normal(jax.random.key(1), (4, case.size, case.size, 3))

  @jax.jit
  def run(params):
    def loss(params):
      logits, _ = graph.GraphNet(net).apply(
          {'params': params, 'batch_stats': variables.batch_stats}, images,
          train=True, drop_key=jax.random.key(2), progress=.5,
          mutable=['batch_stats'], rngs={'dropout': jax.random.key(3)})
      return jnp.sum(jnp.sin(logits.main + jnp.arange(3.))), logits.main
    return jax.value_and_grad(loss, has_aux=True)(params)

  (loss, logits), grads = run(variables.params)
  assert logits.shape == (4, 3) and np.isfinite(loss)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path)
    assert np.isfinite(grad).all() and np.abs(grad).max() > 0, name


def _apply(module, *inputs, train=False, seed=0, **kwargs):
  """The output of a module with drawn variables, and these."""
  tree = graph.variable_shapes(module, tuple(
      jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs))
  rng = np.random.default_rng(seed)
  variables = jax.tree.map(
      lambda s: jnp.asarray(rng.uniform(.5, 1.5, s.shape), s.dtype), tree)
  return module.apply(variables, *inputs, train, **kwargs), variables


def test_a_padded_shortcut_subsamples_and_adds_zeros():
  x = jnp.arange(1., 33).reshape(1, 4, 4, 2)
  y, _ = _apply(staged.PaddedShortcut(5, 2), x)
  np.testing.assert_array_equal(y[0, ..., 0], [[1, 5], [17, 21]])
  np.testing.assert_array_equal(y[0, ..., 1], [[2, 6], [18, 22]])
  np.testing.assert_array_equal(y[..., 2:], np.zeros((1, 2, 2, 3)))
  y, _ = _apply(staged.PaddedShortcut(3), x)
  np.testing.assert_array_equal(y[..., :2], x)
  assert y.shape == (1, 4, 4, 3) and not y[..., 2].any()


def test_an_averaging_shortcut_averages_the_pixels_that_there_are():
  x = jnp.arange(1., 10).reshape(1, 3, 3, 1)
  y, _ = _apply(staged.PaddedShortcut(2, 2, average=True), x)
  np.testing.assert_allclose(y[0, ..., 0], [[3, 4.5], [7.5, 9]])
  assert not y[..., 1].any()


def test_a_chain_is_its_steps():
  x = jax.random.normal(jax.random.key(0), (2, 5, 5, 3))
  style = ops.Style(padding='symmetric', epsilon=0.)
  y, variables = _apply(staged.Chain(
      (NORM, RELU, staged.Conv(4, 1, 2), staged.Pool('max', 3, 1)), style), x)
  params = variables['params']
  stats = variables['batch_stats']['BatchNorm_0']
  expected = (x - stats['mean']) / np.sqrt(stats['var'])
  expected = np.maximum(expected * params['BatchNorm_0']['scale']
                        + params['BatchNorm_0']['bias'], 0)[:, ::2, ::2]
  expected = expected @ params['Convolution_0']['kernel'][0, 0]
  # All windows of the 3 x 3 pixels hold the middle; the corners hold four.
  np.testing.assert_allclose(y[:, 1, 1], expected.max((1, 2)), rtol=1e-5)
  np.testing.assert_allclose(
      y[:, 0, 0], expected[:, :2, :2].max((1, 2)), rtol=1e-5)


def test_a_separable_step_is_a_depthwise_and_a_pointwise_one():
  x = jax.random.normal(jax.random.key(0), (2, 4, 5, 3))
  style = ops.Style()
  y, variables = _apply(staged.Chain((staged.Separable(2),), style), x)
  params = variables['params']
  assert jax.tree.map(jnp.shape, params) == {
      'depthwise_0': (3, 3, 3), 'pointwise_0': (3, 2)}
  depthwise = staged.Chain((staged.Depthwise(),), style).apply(
      {'params': {'depthwise_0': params['depthwise_0']}}, x, False)
  np.testing.assert_allclose(y, depthwise @ params['pointwise_0'], atol=1e-5)


def test_dropout_is_one_step_in_training_only():
  x = jnp.ones((1, 40, 40, 2))
  module = staged.Chain((staged.Dropout(.75),), ops.Style())
  np.testing.assert_array_equal(module.apply({}, x, False), x)
  y = np.asarray(module.apply({}, x, True, rngs={'dropout': jax.random.key(0)}))
  np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
  assert abs(y.mean() - 1) < .05


@pytest.mark.parametrize('family, genotype, kwargs, message', [
    ('resnet', (21, 'A'), {}, 'resnet of depth 21: expected 6 n + 2, such as 8 '
                              'or 14'),
    ('resnet', (20, 'C'), {}, "shortcut of resnet is 'C', expected 'A'"),
    ('resnet', (20,), {},
     'a genotype of resnet is (depth, shortcut), got (20,)'),
    ('resnet', (20, 'A'), dict(num_cells=3),
     'num_cells is 3, but the genotype of a network of the family resnet'),
    ('resnet', (20, 'A'), dict(features=0), 'features is 0, expected at least'),
    ('resnet', (20, 'A'), dict(auxiliary=True), 'no auxiliary classifier'),
    ('resnet', (20, 'A'), dict(drop_path_keep=0.), 'drop_path_keep is 0.0'),
    ('resnet', (20, 'A'), dict(network='imagenet'),
     "resnet has no network 'imagenet', expected one of cifar"),
    ('resnet', (20, 'A'), dict(image_shape=(3, 8, 1)),
     'an image of 3 x 8 pixels cannot be halved 2 times, as resnet does'),
    ('preact_resnet', (2,), {}, 'preact_resnet of depth 2: expected 9 n + 2'),
    ('wide_resnet', (28, 0), {},
     'factor of wide_resnet is 0, expected a whole number of at least 1'),
    ('densenet', (40, 12), dict(features=4), 'features is 4, but the genotype'),
    ('densenet', (40, 12), dict(drop_path_keep=.5), 'drop no paths'),
    ('pyramidnet', (110, 2.5), {}, 'alpha of pyramidnet is 2.5'),
    ('resnet_imagenet', (3, 4, 6, 3), {},
     "resnet_imagenet has no network 'cifar', expected one of imagenet"),
    ('resnet_imagenet', (3, 4, 0, 3), dict(network='imagenet'),
     'blocks3 of resnet_imagenet is 0'),
    ('nasbench101', (((0, 0), (0, 0)), ('input', 'output')), {},
     'no path leads from the input to the output of the cell'),
    ('nasbench101', _INCEPTION, dict(features=3),
     '3 channels cannot be shared by 4 vertices'),
    ('nasbench201', ('none',) * 5, {}, 'a cell has 6 operations, one per edge'),
    ('nasbench201', 'none', {}, "'none' has 1 groups joined by +"),
    ('nats_size', (8, 8, 8, 8, 12), {}, '12 is not a width, expected one of 8'),
    ('nasbench_macro', '2221222', {}, "'2221222' is not a code of 8 layers"),
    ('nasbench_macro', '22212220', dict(image_shape=(4, 4, 3)),
     'an image of 4 x 4 pixels cannot be halved 3 times'),
])
def test_what_cannot_be_built(family, genotype, kwargs, message):
  kwargs = dict(network='cifar') | kwargs
  with pytest.raises(ValueError, match=re.escape(message)):
    zoo.build(preset.Preset(family, genotype), **kwargs)


def test_variables_are_the_same_in_training_and_evaluation():
  for case in _CASES:
    net = _build(case)
    for node in {node.module: node for node in net.nodes}.values():
      inputs = graph.input_shapes(net, node, 1)
      trained = jax.eval_shape(
          lambda key, inputs: node.module.init(
              {'params': key, 'dropout': key}, *inputs, True),
          jax.random.key(0), inputs)
      assert graph.variable_shapes(node.module, inputs) == trained, node.name
