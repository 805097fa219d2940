import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import separable

_LOWERINGS = ('grouped', 'merged', 'shifted')
# Kernel, stride, dilation, (height, width), C, D.
_CASES = [
    (3, 1, 1, (6, 7), 3, 5),
    (5, 1, 2, (9, 6), 2, 2),
    (3, 2, 1, (8, 8), 4, 3),
    (3, 2, 1, (7, 5), 3, 3),
    (5, 2, 2, (6, 9), 2, 4),
    (7, 2, 1, (4, 3), 2, 2),
    (2, 1, 1, (5, 4), 3, 2),
    # More channels than the dense form of the kernel's gradient is used for.
    (3, 1, 1, (4, 5), 70, 2),
    (3, 2, 2, (5, 4), 70, 2),
]


def _arguments(size, shape, inputs, outputs, dtype):
  rng = np.random.default_rng(size)
  x = rng.standard_normal((2, *shape, inputs))
  depthwise = rng.standard_normal((size, size, inputs))
  pointwise = rng.standard_normal((inputs, outputs))
  return [jnp.asarray(a, dtype) for a in (x, depthwise, pointwise)]


def _value_and_gradients(arguments, stride, dilation, lowering,
                         padding='same'):
  @jax.jit
  def run(*arguments):
    y, pullback = jax.vjp(
        lambda *a: separable.separable(
            *a, stride=stride, dilation=dilation, padding=padding,
            lowering=lowering),
        *arguments)
    weights = jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
    return y, *pullback(weights)
  return run(*arguments)


def _assert_equal(case, dtype, tolerance, padding='same'):
  size, stride, dilation, shape, inputs, outputs = case
  arguments = _arguments(size, shape, inputs, outputs, dtype)
  grouped, *others = [
      _value_and_gradients(arguments, stride, dilation, lowering, padding)
      for lowering in _LOWERINGS]
  expected = (2, -(-shape[0] // stride), -(-shape[1] // stride), outputs)
  assert grouped[0].shape == expected
  for other in others:
    for a, b in zip(grouped, other):
      assert a.dtype == b.dtype == dtype
      assert a.shape == b.shape
      np.testing.assert_allclose(
          a, b, rtol=0, atol=tolerance * np.abs(a).max())


@pytest.mark.parametrize('case', _CASES, ids=str)
def test_lowerings_agree_in_value_and_gradients(case):
  _assert_equal(case, jnp.float32, 1e-5)


@pytest.mark.parametrize('case', [_CASES[i] for i in (1, 3, 4, 8)], ids=str)
def test_lowerings_agree_to_ten_digits_in_double_precision(case):
  with jax.enable_x64(True):
    _assert_equal(case, jnp.float64, 1e-10)


@pytest.mark.parametrize('case', [_CASES[i] for i in (2, 3, 4, 8)], ids=str)
def test_lowerings_agree_under_the_padding_of_pytorch(case):
  with jax.enable_x64(True):
    _assert_equal(case, jnp.float64, 1e-10, 'symmetric')


def test_the_padding_of_pytorch_starts_at_the_first_pixel():
  x = jnp.arange(16.).reshape(1, 4, 4, 1)
  centre = jnp.zeros((3, 3, 1)).at[1, 1].set(1)
  for lowering in _LOWERINGS:
    y = separable.separable(x, centre, jnp.ones((1, 1)), stride=2,
                            padding='symmetric', lowering=lowering)
    np.testing.assert_array_equal(y[0, ..., 0], [[0, 2], [8, 10]])


@pytest.mark.parametrize('lowering', separable.LOWERINGS)
def test_filters_per_channel_are_those_of_a_separable_convolution(lowering):
  x, depthwise, _ = _arguments(3, (7, 6), 4, 1, jnp.float32)
  window = dict(stride=2, padding='symmetric', lowering=lowering)
  alone = separable.per_channel(x, depthwise, **window)
  np.testing.assert_allclose(
      alone, separable.separable(x, depthwise, jnp.eye(4), **window),
      rtol=1e-5, atol=1e-5)


def test_a_lowering_can_be_forced():
  jaxpr = lambda: str(jax.make_jaxpr(lambda *a: separable.separable(
      *a, lowering='shifted'))(*_arguments(3, (4, 4), 2, 2, jnp.float32)))
  assert 'conv_general_dilated' not in jaxpr()
  with separable.forced('grouped'):
    assert 'feature_group_count=2' in jaxpr()
  assert 'conv_general_dilated' not in jaxpr()


@pytest.mark.parametrize('lowering', separable.LOWERINGS)
def test_ones_count_the_pixels_under_the_kernel(lowering):
  y = separable.separable(
      jnp.ones((1, 3, 4, 1)), jnp.ones((3, 3, 1)), jnp.array([[1., -2.]]),
      lowering=lowering)
  counts = np.array([[4., 6, 6, 4], [6, 9, 9, 6], [4, 6, 6, 4]])
  np.testing.assert_array_equal(y[0, ..., 0], counts)
  np.testing.assert_array_equal(y[0, ..., 1], -2 * counts)


@pytest.mark.parametrize('lowering', _LOWERINGS)
def test_stride_two_starts_at_the_second_pixel_of_even_sizes(lowering):
  """'SAME' pads one pixel, at the end: the centres are pixels 1 and 3."""
  x = jnp.arange(16.).reshape(1, 4, 4, 1)
  centre = jnp.zeros((3, 3, 1)).at[1, 1].set(1)
  y = separable.separable(
      x, centre, jnp.ones((1, 1)), stride=2, lowering=lowering)
  np.testing.assert_array_equal(y[0, ..., 0], [[5, 7], [13, 15]])


@pytest.mark.parametrize('lowering', _LOWERINGS)
def test_dilation_skips_pixels(lowering):
  x = jnp.arange(1., 6).reshape(1, 1, 5, 1)
  row = jnp.zeros((3, 3, 1)).at[1].set(1)
  y = separable.separable(
      x, row, jnp.ones((1, 1)), dilation=2, lowering=lowering)
  np.testing.assert_array_equal(
      y.ravel(), [1 + 3, 2 + 4, 1 + 3 + 5, 2 + 4, 3 + 5])


def test_unknown_lowering():
  message = ("lowering is 'dense', expected one of "
             "('auto', 'grouped', 'merged', 'shifted')")
  with pytest.raises(ValueError, match=re.escape(message)):
    separable.separable(*_arguments(3, (4, 4), 1, 1, jnp.float32),
                        lowering='dense')


def test_dense_convolution_strides_along_each_axis_alone():
  x, kernel = jnp.ones((2, 6, 5, 3)), jnp.ones((1, 7, 3, 4))
  assert separable.convolution(x, kernel, stride=(1, 2)).shape == (2, 6, 3, 4)
  assert separable.convolution(x, kernel, stride=(2, 1)).shape == (2, 3, 5, 4)
  assert separable.convolution(x, kernel, stride=2).shape == (2, 3, 3, 4)


@pytest.mark.parametrize('stride', [1, 2])
def test_a_1x1_convolution_is_a_product_with_the_same_gradients(stride):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2, 5, 4, 3)), jnp.float32)
  kernel = jnp.asarray(rng.standard_normal((1, 1, 3, 2)), jnp.float32)

  def plain(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), 'SAME',
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'))

  @jax.jit
  def run(x, kernel):
    results = []
    for f in (lambda *a: separable.convolution(*a, stride=stride), plain):
      y, pullback = jax.vjp(f, x, kernel)
      results.append((y, *pullback(jnp.sin(y))))
    return results

  for ours, theirs in zip(*run(x, kernel)):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
