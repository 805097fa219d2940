import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import recurrent
from nas_jax.networks import recurrent_tree
from nas_jax.spaces import presets_recurrent

_FIGURE = ((('add', 'tanh'), ('elem_mult', 'relu'), ('elem_mult', 'sigmoid')),
           ('add', 'relu'), (1, 0))


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def _nas_cell(x, h, c):
  """TensorFlow's NASCell; x and h are the eight products of each."""
  relu = lambda v: np.maximum(v, 0)
  a0, a1 = _sigmoid(x[0] + h[0]), relu(x[1] + h[1])
  a2, a3 = _sigmoid(x[2] + h[2]), relu(x[3] * h[3])
  a4, a5 = np.tanh(x[4] + h[4]), _sigmoid(x[5] + h[5])
  a6, a7 = np.tanh(x[6] + h[6]), _sigmoid(x[7] + h[7])
  b0, b1 = np.tanh(np.tanh(a0 * a1) + c), np.tanh(a2 + a3)
  b2, b3 = np.tanh(a4 * a5), _sigmoid(a6 + a7)
  c = b0 * b1
  return np.tanh(c * np.tanh(b2 + b3)), c


def test_the_published_cell_is_that_of_tensorflow():
  cell = recurrent_tree.tree(presets_recurrent.NAS_CELL, init_range=1.)
  with jax.enable_x64(True):
    params = cell.init(jax.random.key(0), 3, 2)
    rng = np.random.default_rng(0)
    inputs, h, c = (rng.normal(size=s) for s in ((4, 2, 3), (2, 2), (2, 2)))
    outputs, state = cell.run(params, inputs, (h, c))
  params = {name: np.asarray(p) for name, p in params.items()}
  assert params['input'].shape == (3, 16) and params['hidden'].shape == (2, 16)
  for t in range(4):
    h, c = _nas_cell(np.split(inputs[t] @ params['input'], 8, -1),
                     np.split(h @ params['hidden'], 8, -1), c)
    np.testing.assert_allclose(outputs[t], h, rtol=1e-12)
  np.testing.assert_allclose(state[0], h, rtol=1e-12)
  np.testing.assert_allclose(state[1], c, rtol=1e-12)


def test_a_step_of_ones_has_its_known_value():
  """x = .5, h = 1, c = 0 and all weights 1: leaves of 1.5 and .5."""
  cell = recurrent_tree.tree(presets_recurrent.NAS_CELL)
  params = {'input': jnp.ones((1, 8)), 'hidden': jnp.ones((1, 8))}
  outputs, (h, c) = cell.run(
      params, jnp.full((1, 1, 1), .5), (jnp.ones((1, 1)), jnp.zeros((1, 1))))
  np.testing.assert_allclose(c, [[0.5947307]], atol=1e-6)
  np.testing.assert_allclose(h, [[0.4898532]], atol=1e-6)
  assert outputs[0, 0, 0] == h[0, 0]


def test_figure_5_is_computed_by_its_equations():
  cell = recurrent_tree.tree(_FIGURE, init_range=1.)
  params = cell.init(jax.random.key(1), 2, 2)
  x, h, c = (jax.random.normal(k, (1, 2))
             for k in jax.random.split(jax.random.key(2), 3))
  outputs, state = cell.run(params, x[None], (h, c))
  w1, w3 = np.split(params['input'], 2, -1)
  w2, w4 = np.split(params['hidden'], 2, -1)
  a0 = np.tanh(x @ w1 + h @ w2)
  a0 = np.maximum(a0 + c, 0)
  product = (x @ w3) * (h @ w4)
  np.testing.assert_allclose(
      outputs[0], _sigmoid(a0 * np.maximum(product, 0)), rtol=1e-5)
  np.testing.assert_allclose(state[1], product, rtol=1e-5)


def test_dropped_inputs_and_states_are_not_seen():
  cell = recurrent_tree.tree(_FIGURE)
  params = cell.init(jax.random.key(0), 2, 2)
  inputs = jax.random.normal(jax.random.key(1), (3, 1, 2))
  masks = recurrent.Masks(jnp.zeros((1, 2)), jnp.zeros((1, 2)))
  _, state = cell.run(params, inputs, cell.start(1, 2), masks)
  nothing, _ = cell.run(params, inputs, cell.start(1, 2), masks)
  np.testing.assert_array_equal(state[1], np.zeros((1, 2)))
  np.testing.assert_allclose(nothing, np.full((3, 1, 2), .5))


def test_the_state_stands_still_beyond_the_length():
  cell = recurrent_tree.tree(_FIGURE, init_range=1.)
  params = cell.init(jax.random.key(0), 2, 2)
  inputs = jax.random.normal(jax.random.key(1), (4, 1, 2))
  start = cell.start(1, 2)
  _, short = cell.run(params, inputs[:2], start)
  _, held = cell.run(params, inputs, start, None, jnp.int32(2))
  for a, b in zip(short, held):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('combination, activation, expected', [
    ('max', 'sin', np.sin(3.)), ('add', 'identity', 5.),
    ('elem_mult', 'relu', 6.)])
def test_all_combinations_and_activations_are_known(
    combination, activation, expected):
  nodes = (('add', 'identity'), ('max', 'identity'), (combination, activation))
  cell = recurrent_tree.tree((nodes, ('add', 'identity'), (0, 2)))
  # Leaf 0 is 1 + 1, leaf 1 the larger of 3 and 1.
  params = {'input': jnp.array([[1., 3.]]), 'hidden': jnp.array([[1., 1.]])}
  one = jnp.ones((1, 1))
  outputs, (_, c) = cell.run(params, one[None], (one, 0 * one))
  assert outputs[0, 0, 0] == pytest.approx(expected, rel=1e-6)
  assert c[0, 0] == 2


def test_what_is_no_tree_makes_no_cell():
  with pytest.raises(ValueError, match=r'expected \(nodes, inject, indices\)'):
    recurrent_tree.tree(())
