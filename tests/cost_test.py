import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
import pytest

from nas_jax import cost
from nas_jax.networks import darts
from nas_jax.networks import graph
from nas_jax.networks import norm
from nas_jax.networks import ops
from nas_jax.networks import pooling
from nas_jax.networks import separable
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets_rl
from nas_jax.training import classify
from nas_jax.training import recipes


def _image(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def _counted(function, *shapes):
  return tuple(cost.count_function(function, *(_image(*s) for s in shapes)))


def _conv(x, kernel, stride=1, groups=1, dilation=1):
  return lax.conv_general_dilated(
      x, kernel, (stride, stride), 'SAME', rhs_dilation=(dilation, dilation),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'), feature_group_count=groups)


def test_a_convolution_counts_outputs_times_what_each_reads():
  assert _counted(_conv, (1, 8, 8, 4), (3, 3, 4, 16)) == (
      8 * 8 * 16 * 3 * 3 * 4, 0, 0, 0)


def test_a_stride_a_dilation_and_groups_are_seen():
  strided = functools.partial(_conv, stride=2, dilation=2)
  assert _counted(strided, (1, 8, 8, 4), (3, 3, 4, 16))[0] == (
      4 * 4 * 16 * 3 * 3 * 4)
  depthwise = functools.partial(_conv, groups=4)
  assert _counted(depthwise, (1, 8, 8, 4), (3, 3, 1, 4))[0] == 8 * 8 * 4 * 9
  halves = functools.partial(_conv, groups=2)
  assert _counted(halves, (1, 8, 8, 4), (3, 3, 2, 6))[0] == 8 * 8 * 6 * 9 * 2


def test_other_layouts_count_the_same():
  def conv(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), 'SAME')
  assert _counted(conv, (1, 4, 8, 8), (16, 4, 3, 3))[0] == 8 * 8 * 16 * 9 * 4


def test_a_product_with_images_is_a_convolution_with_vectors_linear():
  matmul = lambda x, w: x @ w
  assert _counted(matmul, (1, 8, 8, 4), (4, 6)) == (8 * 8 * 4 * 6, 0, 0, 0)
  assert _counted(matmul, (1, 4), (4, 6)) == (0, 4 * 6, 0, 0)
  einsum = functools.partial(jnp.einsum, 'bhwc,cd->bhwd')
  assert _counted(einsum, (1, 8, 8, 4), (4, 6)) == (8 * 8 * 4 * 6, 0, 0, 0)


def test_a_product_with_batch_axes_counts_each():
  einsum = functools.partial(jnp.einsum, 'bij,bjk->bik')
  assert _counted(einsum, (5, 2, 3), (5, 3, 4))[1] == 5 * 2 * 3 * 4


def test_norms_and_relus_count_their_outputs():
  class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = nn.relu(norm.BatchNorm()(x, False))
      return nn.relu(nn.BatchNorm(use_running_average=True)(x[:, ::2]))
  x = jnp.zeros((1, 8, 8, 3))
  variables = Block().init(jax.random.key(0), x)
  assert cost.count_function(Block().apply, variables, x) == (
      0, 0, 8 * 8 * 3 + 4 * 8 * 3, 8 * 8 * 3 + 4 * 8 * 3)


@pytest.mark.parametrize('relu', [
    jax.nn.relu, lambda x: jnp.maximum(x, 0), lambda x: lax.max(x, 0.)])
def test_every_spelling_of_relu_counts(relu):
  assert _counted(relu, (1, 4, 4, 2)) == (0, 0, 0, 32)


def test_pools_sums_and_means_do_not_count():
  def function(x):
    x = sum(pooling.pool(x, kind, 3, 2) for kind in ('avg', 'max', 'min'))
    return nn.max_pool(x + x, (2, 2)), jnp.mean(x, (1, 2)) * 2 + 1
  assert _counted(function, (1, 8, 8, 4)) == (0, 0, 0, 0)


def test_calls_are_looked_into():
  @jax.custom_jvp
  def jvp(x, w):
    return x @ w
  jvp.defjvp(lambda primals, tangents: (jvp(*primals), jvp(*primals)))

  @jax.custom_vjp
  def vjp(x, w):
    return x @ w
  vjp.defvjp(lambda x, w: (x @ w, (x, w)),
             lambda r, g: (g @ r[1].T, r[0].T @ g))
  matmul = lambda x, w: x @ w
  for wrapped in (jax.jit(matmul), jax.checkpoint(matmul), jvp, vjp,
                  jax.jit(jax.jit(matmul)), jax.vmap(matmul, (0, None))):
    assert _counted(wrapped, (2, 4), (4, 6))[1] == 2 * 4 * 6


def test_loops_count_as_often_as_they_run():
  def scan(x, w):
    return lax.scan(lambda x, _: (nn.relu(x @ w), None), x, length=7)[0]
  def fori(x, w):
    return lax.fori_loop(0, 7, lambda _, x: nn.relu(x @ w), x)
  for loop in (scan, fori):
    assert _counted(loop, (1, 4), (4, 4)) == (0, 7 * 16, 0, 7 * 4)


def test_of_branches_the_longest_counts():
  def branch(x, w):
    return lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w)
  assert _counted(branch, (1, 4), (4, 4))[1] == 2 * 16


def test_a_loop_of_unknown_length_is_refused_where_it_matters():
  def loop(body):
    return lambda x, w: lax.while_loop(
        lambda x: x[0, 0] < 9, functools.partial(body, w), x)
  assert _counted(loop(lambda w, x: x + 1), (1, 4), (4, 4)) == (0, 0, 0, 0)
  with pytest.raises(ValueError, match='unknown length'):
    _counted(loop(lambda w, x: x @ w), (1, 4), (4, 4))


@pytest.mark.parametrize('stride', [1, 2])
def test_lowerings_of_separable_convolutions_count_the_same(stride):
  def counted(lowering):
    return _counted(functools.partial(
        separable.separable, stride=stride, lowering=lowering),
        (1, 8, 8, 4), (3, 3, 4), (4, 6))
  pixels = (8 // stride)**2
  for lowering in separable.LOWERINGS:
    assert counted(lowering) == (pixels * (9 * 4 + 4 * 6), 0, 0, 0)


class _Classifier(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    return nn.Dense(10)(jnp.mean(x, (1, 2)))


def _net(style=ops.Style(), auxiliary=True, repeats=1):
  builder = graph.Builder((8, 8, 3))
  value = builder.add('stem', ops.Conv(6, style=style), [builder.image],
                      (8, 8, 6))
  for i in range(repeats):
    value = builder.add(f'sep{i}', ops.SeparableConv(6, style=style, size=3),
                        [value], (8, 8, 6))
  second = builder.add('head', _Classifier(), [value], (10,))
  reduced = builder.add('reduce', ops.FactorizedReduction(8, 2, style),
                        [value], (4, 4, 8))
  output = builder.add('classifier', _Classifier(), [reduced], (10,))
  return builder.finish(output, second if auxiliary else None)


def test_a_network_is_the_sum_of_its_nodes():
  expected = dict(
      params=(18 + 12) + 2 * (54 + 36 + 12) + (48 + 16) + 90,
      auxiliary_params=70,
      batch_stats=12 + 24 + 16,
      conv_macs=64 * 18 + 64 * 2 * (54 + 36) + 16 * 48,
      linear_macs=80,
      norm_elements=3 * 64 * 6 + 16 * 8,
      relu_elements=64 * 3 + 2 * 64 * 6)
  found = cost.count(_net())
  assert found._asdict() == expected
  assert cost.count(_net(auxiliary=False)) == found._replace(auxiliary_params=0)
  assert found.macs == found.conv_macs + 80
  assert found.macs_with_norm == found.macs + 2 * 1280 + 960
  names = [node.name for node, _ in cost.by_node(_net())]
  assert names == ['stem', 'sep0', 'head', 'reduce', 'classifier']
  variables = graph.shapes(_net())
  sizes = [sum(x.size for x in jax.tree.leaves(tree)) for tree in variables]
  assert sizes == [found.params + 70, found.batch_stats]


def test_styles_do_not_change_the_cost_of_a_network():
  costs = {cost.count(_net(ops.Style(lowering=lowering)))
           for lowering in separable.LOWERINGS}
  assert len(costs) == 1


def test_a_repeated_node_is_traced_once():
  cost.count(_net(ops.Style(momentum=.5)))
  before = cost._count_module.cache_info()
  cost.count(_net(ops.Style(momentum=.5), repeats=30))
  after = cost._count_module.cache_info()
  assert after.misses == before.misses and after.hits == before.hits + 33


_DARTS_V2 = genotypes.Genotype(
    normal=(
        ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
        ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
        ('sep_conv_3x3', 1), ('skip_connect', 0),
        ('skip_connect', 0), ('dil_conv_3x3', 2),
    ),
    normal_concat=(2, 3, 4, 5),
    reduce=(
        ('max_pool_3x3', 0), ('max_pool_3x3', 1),
        ('skip_connect', 2), ('max_pool_3x3', 1),
        ('max_pool_3x3', 0), ('skip_connect', 2),
        ('skip_connect', 2), ('max_pool_3x3', 1),
    ),
    reduce_concat=(2, 3, 4, 5))


def _darts(features=36, num_cells=20, size=32, auxiliary=True):
  return darts.build(
      _DARTS_V2, network='cifar', image_shape=(size, size, 3), num_classes=10,
      features=features, num_cells=num_cells, auxiliary=auxiliary)


def test_a_published_network_has_its_published_cost():
  found = cost.count(_darts())
  assert found[:5] == (3_349_342, 476_426, 40_392, 528_353_280, 5_760)
  assert found.params == graph.num_params(_darts())


def test_the_estimate_of_memory_is_the_state_and_what_is_saved():
  found = cost.estimate_memory(_net(auxiliary=False), 4)
  params, stats = 30 + 204 + 64 + 90, 52
  assert found.arguments == 4 * (2 * params + stats) + 4 * (192 + 4)
  assert found.outputs == found.aliased == 4 * (2 * params + stats)
  double = cost.estimate_memory(_net(auxiliary=False), 8)
  saved = found.temporaries - 4 * params
  assert double.temporaries - 4 * params == pytest.approx(2 * saved, rel=.01)
  # At least the image, and what the convolutions and norms read.
  assert saved > 4 * 4 * 64 * (3 + 5 * 6)
  assert found.total == found.arguments + found.temporaries


def test_the_memory_of_a_compiled_step_grows_with_the_batch():
  task = classify.Task((16, 16, 3), (0.,) * 3, (1.,) * 3)
  net = _darts(4, 2, 16, auxiliary=False)
  found = [
      cost.peak_memory(classify.lower_step(
          net, recipes.Recipe(epochs=1, batch_size=size), task))
      for size in (4, 8)]
  for size, memory in zip((4, 8), found):
    estimate = cost.estimate_memory(net, size)
    assert memory.arguments == pytest.approx(estimate.arguments, rel=.02)
    assert memory.aliased == estimate.aliased
    assert estimate.total / 3 < memory.total < 2 * estimate.total
  assert found[0].temporaries > 4 * 4 * 16 * 16 * 12
  assert found[1].temporaries > 1.5 * found[0].temporaries


def test_a_backend_that_does_not_tell_is_an_error():
  class Compiled:
    def memory_analysis(self):
      return None
  with pytest.raises(ValueError, match="'cpu' does not tell .*estimate_memory"):
    cost.peak_memory(Compiled())


@pytest.mark.parametrize('code, widen, expected', [
    (presets_rl.RESNET_LIKE, False, 18_874_368),
    (presets_rl.RESNET_LIKE, True, 18_874_368),
    (presets_rl.INCEPTION_LIKE, True, 38_797_312),
    # Two 1x1 convolutions from 64 channels back to 32.
    (presets_rl.INCEPTION_LIKE, False, 38_797_312 + 2 * 64 * 32 * 32**2),
    # No convolution: one per value.
    (((1, 4, 0, 0, 0),), False, 32 * 32**2),
    (((1, 2, 3, 0, 0), (2, 5, 0, 0, 1)), False, 32 * 32**2),
    (((1, 1, 1, 0, 0),), False, 32 * 32 * 32**2),
])
def test_multiply_adds_of_a_block(code, widen, expected):
  assert cost.block_multiply_adds(code, 32, 32, widen=widen) == expected


def test_a_block_needs_features_and_pixels():
  with pytest.raises(ValueError, match='image_size is 0, expected at least 1'):
    cost.block_multiply_adds(presets_rl.RESNET_LIKE, 32, 0)
