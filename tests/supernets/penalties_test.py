import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.supernets import darts
from nas_jax.supernets import penalties


def _alphas(value, edges=14, candidates=7):
  return {kind: jnp.full((edges, candidates), value)
          for kind in ('normal', 'reduce')}


def test_zero_one_loss():
  assert penalties.zero_one(_alphas(0.)) == 0
  assert penalties.zero_one(_alphas(40.)) == -.25
  assert penalties.zero_one(_alphas(-40.)) == -.25
  # sigmoid(log 3) = 3/4, in one of two kinds.
  half = _alphas(0.) | {'normal': jnp.full((14, 7), jnp.log(3.))}
  assert penalties.zero_one(half) == pytest.approx(-1 / 32)
  assert penalties.absolute_zero_one(half) == pytest.approx(-1 / 8)
  gradient = jax.grad(penalties.zero_one)(_alphas(0.))
  assert not np.any(gradient['normal'])


def test_gradient_of_beta_is_softmax_over_the_number_of_edges():
  alphas = {'cell': jax.random.normal(jax.random.key(0), (6, 5)),
            'edges_cell': jnp.ones(6)}
  assert penalties.beta({'cell': jnp.zeros((6, 5))}) == pytest.approx(
      np.log(5))
  gradient = jax.grad(lambda a: 50 * penalties.beta(a))(alphas)
  np.testing.assert_allclose(
      gradient['cell'], 50 / 6 * jax.nn.softmax(alphas['cell'], -1), rtol=1e-5)
  np.testing.assert_allclose(gradient['cell'].sum(-1), 50 / 6, rtol=1e-5)
  assert not np.any(gradient['edges_cell'])
  # Kinds add.
  assert penalties.beta(_alphas(0.)) == pytest.approx(2 * np.log(7))


def test_costs_are_those_of_snas_code():
  costs = penalties.costs_of(
      {k: getattr(darts.SPECS['darts'], k) for k in darts.KINDS})
  assert costs['normal'].shape == (6, 3, 14, 8)
  assert costs['reduce'].shape == (2, 3, 14, 8)
  # 16 channels, 32 x 32: none, max pool, average pool, skip, two separable
  # and two dilated convolutions.
  params, adds, memory = costs['normal'][0, :, 0]
  assert params.tolist() == [0, 0, 0, 0, 800, 1312, 400, 656]
  assert adds[[0, 1, 3, 4]].tolist() == [0, 9 * 16384, 0, 800 * 1024]
  assert memory.tolist() == [
      0, 2 * 16384, 2 * 16384, 2 * 16384, 8 * 16384 + 800, 8 * 16384 + 1312,
      4 * 16384 + 400, 4 * 16384 + 656]
  # 32 channels, 16 x 16, stride 2; then an edge of stride 1.
  params, adds, memory = costs['reduce'][0, :, 0]
  assert params[3] == 1024 and adds[3] == 1024 * 256
  assert memory[[1, 3, 6]].tolist() == [
      5 * 8192, 2 * 256 * (4 * 32 + 16) + 1024, 7 * 8192 + 1312]
  assert costs['reduce'][0, :, 4, 3].tolist() == [0, 0, 2 * 8192]
  with pytest.raises(ValueError, match="no cost of operation 'conv_9x9'"):
    penalties.costs_of({'normal': [['conv_9x9']] * 2})


def test_operations_without_cost_add_nothing_to_the_resource_penalty():
  costs = {'normal': np.zeros((2, 3, 2, 2), np.float32)}
  costs['normal'][0, :, 0] = [[0, np.e**2], [0, np.e**4], [0, np.e**6]]
  free = {'normal': jnp.asarray([[1., 0.], [1., 0.]])}
  assert penalties.resource(free, costs) == 0
  # One edge of one of two cells: (2 + 4 + 6) / 3 / 2.
  paid = {'normal': jnp.asarray([[0., 1.], [1., 0.]])}
  assert penalties.resource(paid, costs) == pytest.approx(2)
