"""Losses and gradients of search networks, whole and as blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.supernets import darts
from nas_jax.supernets import engine as engines
from nas_jax.supernets import relax
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

_OPERATIONS = ('none', 'avg_pool_3x3', 'skip_connect', 'dil_conv_3x3')
_RECIPE = recipes.Recipe(
    epochs=1, batch_size=4, eval_batch_size=3, learning_rate=.1, crop_padding=1)
_TASK = steps.Task((8, 8, 1), (.5,), (.25,))


def _network(chosen=None, sampled=False):
  return darts.build(
      darts.uniform(_OPERATIONS, 2, sampled=sampled), image_shape=(8, 8, 1),
      num_classes=3, features=2, num_cells=2, chosen=chosen)


def _engine(**kwargs):
  return engines.make(
      _network(), _RECIPE, _TASK, rows=darts.rows, **kwargs)


@pytest.fixture(scope='module')
def whole():
  return _engine(execution='whole')


@pytest.fixture(scope='module')
def parts():
  return _engine(execution='blocks')


@pytest.fixture(scope='module')
def batch():
  rng = np.random.default_rng(0)
  return (rng.integers(0, 256, (4, 8, 8, 1)).astype(np.uint8),
          rng.integers(0, 3, 4).astype(np.int32))


@pytest.fixture(scope='module')
def gates():
  rng = np.random.default_rng(1)
  return relax.gates(relax.softmax({
      kind: jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)
      for kind in darts.KINDS}))


def _close(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize('kwargs', [
    {}, {'weights': False}, {'weights': False, 'train': False}])
def test_both_executions_have_the_same_gradients(
    whole, parts, batch, gates, kwargs):
  state = whole.init(jax.random.key(0))
  args = (state.params, state.batch_stats, gates, *batch, jax.random.key(3))
  found, expected = parts.gradient(*args, **kwargs), whole.gradient(
      *args, **kwargs)
  assert (found.params is None) == (not kwargs.get('weights', True))
  _close(found, expected)
  moved = jax.tree.map(
      lambda a, b: not np.allclose(a, b), found.batch_stats['stem'],
      state.batch_stats['stem'])
  assert all(jax.tree.leaves(moved)) == kwargs.get('train', True)


def test_the_objective_is_the_same_loss(whole, batch, gates):
  state = whole.init(jax.random.key(0))
  args = (state.params, state.batch_stats, gates, *batch, jax.random.key(3))
  loss, (accuracy, stats) = jax.jit(whole.objective)(*args)
  found = whole.gradient(*args)
  _close((loss, accuracy, state.batch_stats | stats),
         (found.loss, found.accuracy, found.batch_stats))


def test_both_executions_predict_and_update_alike(whole, parts, batch, gates):
  state = whole.init(jax.random.key(0))
  args = state.params, state.batch_stats, gates, batch[0][:3]
  _close(parts.logits(*args), whole.logits(*args))
  found = whole.gradient(
      state.params, state.batch_stats, gates, *batch, jax.random.key(3))
  pace = optimizers.Pace(.1, 0., 0.)
  updated = [e.update(state, found.params, found.batch_stats, pace)
             for e in (parts, whole)]
  _close(*updated)
  kernel = lambda s: s.params['stem']['Convolution_0']['kernel']
  decayed = found.params['stem']['Convolution_0'][
      'kernel'] + 5e-4 * kernel(state)
  np.testing.assert_allclose(
      kernel(updated[0]), kernel(state) - .1 * decayed, rtol=1e-5, atol=1e-7)


def test_one_path_computes_what_the_gates_leave(parts, batch):
  """And the other candidates' weights have the gradient of a sum (GDAS)."""
  choice = {'normal': (2, 2, 3, 1, 0), 'reduce': (3, -1, 1, 0, 2)}
  weights = {kind: jnp.stack([
      jax.nn.one_hot(k, 4) for k in ks]) for kind, ks in choice.items()}
  gates = relax.gates(weights)
  of = engines.one_path(
      parts, lambda chosen: _network(chosen), _RECIPE, _TASK, rows=darts.rows)
  path = of(weights)
  assert path.net == _network(choice)
  sampled = engines.make(
      _network(sampled=True), _RECIPE, _TASK, rows=darts.rows,
      execution='whole')
  state = parts.init(jax.random.key(0))
  args = (state.params, state.batch_stats, gates, *batch, jax.random.key(3))
  found, expected = path.gradient(*args), sampled.gradient(*args)
  _close(found.loss, expected.loss)
  _close(found.params, expected.params)
  # An edge without a path: all its weights are 0.
  _close(found.gates, expected.gates)
  assert not np.any(found.params['cell0_edge1']['dil_conv_3x3']['depthwise_0'])
  everything = parts.gradient(*args)
  _close(found.loss, everything.loss)
  assert np.abs(everything.gates['reduce'] - found.gates['reduce']).max() > .01


def test_a_batch_that_does_not_split_is_refused():
  with pytest.raises(ValueError, match='batch_size 4 does not split over 3'):
    _engine(num_devices=3)
