import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import shake_shake
from nas_jax.networks import zoo
from nas_jax.spaces import presets

_SHAPE = 600, 2, 1, 3


def _shake(a, b, shortcut, train=True, seed=0):
  return shake_shake.Shake().apply(
      {}, a, b, shortcut, train, rngs={'dropout': jax.random.key(seed)})


def test_mix_goes_forward_by_alpha_and_backward_by_beta():
  a, b = jnp.full((2, 1, 1, 1), 3.), jnp.full((2, 1, 1, 1), 5.)
  alpha = jnp.array([.25, 1.]).reshape(2, 1, 1, 1)
  beta = jnp.array([.5, .125]).reshape(2, 1, 1, 1)
  y, pullback = jax.vjp(shake_shake.mix, a, b, alpha, beta)
  np.testing.assert_allclose(y.ravel(), [4.5, 3])
  da, db, dalpha, dbeta = pullback(jnp.full((2, 1, 1, 1), 2.))
  np.testing.assert_allclose(da.ravel(), [1, .25])
  np.testing.assert_allclose(db.ravel(), [1, 1.75])
  assert not dalpha.any() and not dbeta.any()


def test_examples_mix_by_their_own_numbers_in_training():
  ones, zeros = jnp.ones(_SHAPE), jnp.zeros(_SHAPE)
  y, pullback = jax.vjp(lambda a, b: _shake(a, b, zeros), ones, zeros)
  alpha = np.asarray(y)
  beta, rest = pullback(ones)
  for numbers in (alpha, np.asarray(beta)):
    # One number per example, uniform in [0, 1).
    assert (numbers == numbers[:, :1, :, :1]).all()
    assert len(np.unique(numbers)) > 590
    assert 0 <= numbers.min() < .02 and .98 < numbers.max() < 1
    assert abs(numbers.mean() - .5) < .05
  np.testing.assert_allclose(beta + rest, ones, rtol=1e-6)
  each = alpha[:, 0, 0, 0], np.asarray(beta)[:, 0, 0, 0]
  assert abs(np.corrcoef(*each)[0, 1]) < .15
  assert (alpha != _shake(ones, zeros, zeros, seed=1)).mean() > .99
  np.testing.assert_array_equal(alpha, _shake(ones, zeros, zeros))


def test_the_shortcut_is_not_mixed():
  a, b = jnp.zeros(_SHAPE), jnp.zeros(_SHAPE)
  shortcut = jax.random.normal(jax.random.key(5), _SHAPE)
  np.testing.assert_array_equal(_shake(a, b, shortcut), shortcut)


def test_branches_count_one_half_at_evaluation():
  a, b, shortcut = jax.random.normal(jax.random.key(0), (3, *_SHAPE))
  expected = shortcut + (a + b) / 2
  np.testing.assert_allclose(
      _shake(a, b, shortcut, train=False), expected, rtol=1e-6)
  # And where nothing random is given.
  np.testing.assert_allclose(
      shake_shake.Shake().apply({}, a, b, shortcut, True), expected, rtol=1e-6)


def test_the_second_path_of_a_shortcut_is_shifted():
  x = jnp.arange(1., 17).reshape(1, 4, 4, 1)
  module = shake_shake.ShiftedShortcut(2, 2, ops.Style(epsilon=0.))
  kernel = {'kernel': jnp.ones((1, 1, 1, 1))}
  y = module.apply({
      'params': {'Convolution_0': kernel, 'Convolution_1': kernel,
                 'BatchNorm_0': {'scale': jnp.ones(2), 'bias': jnp.zeros(2)}},
      'batch_stats': {'BatchNorm_0': {'mean': jnp.zeros(2),
                                      'var': jnp.ones(2)}}}, x, False)
  np.testing.assert_allclose(y[0, ..., 0], [[1, 3], [9, 11]])
  np.testing.assert_allclose(y[0, ..., 1], [[0, 0], [0, 6]])


def test_blocks_of_shake_shake():
  net = zoo.build(presets.load('Shake-Shake-26-2x96d'))
  nodes = {n.name: n for n in net.nodes}
  inputs = [net.nodes[i - 1].name for i in nodes['stage1_block0_shake'].inputs]
  assert inputs == ['stage1_block0_branch0', 'stage1_block0_branch1',
                    'stage1_block0_shortcut']
  # The first stage is wider than the stem.
  assert nodes['stem'].shape == (32, 32, 16)
  assert nodes['stage0_block0_shortcut'].shape == (32, 32, 96)
  assert 'stage0_block1_shortcut' not in nodes
  assert nodes['tail'].shape == (8, 8, 384)
  shapes = graph.shapes(net).params['stage1_block0_shortcut']
  assert shapes['Convolution_0']['kernel'].shape == (1, 1, 96, 96)
