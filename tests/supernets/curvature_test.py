import dataclasses

import jax
from jax import flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import parallel
from nas_jax.networks import graph
from nas_jax.supernets import curvature
from nas_jax.supernets import darts
from nas_jax.supernets import engine as engines
from nas_jax.supernets import relax
from nas_jax.training import recipes
from nas_jax.training import steps

_RECIPE = recipes.Recipe(
    epochs=1, batch_size=4, crop_padding=0, label_smoothing=.1)
_TASK = steps.Task((4, 4, 1), (.5,), (.25,))
_KEY = jax.random.key(1)


def _gates_of(alphas):
  return darts.rows(relax.gates(relax.softmax(alphas)))


def _net(**style):
  # A pool, a path with weights and norms, and the edges' shared state.
  spec = darts.uniform(
      ('none', 'max_pool_3x3', 'skip_connect', 'dil_conv_3x3'), nodes=1)
  return darts.build(spec, image_shape=(4, 4, 1), num_classes=3, features=2,
                     num_cells=1, style=dataclasses.replace(
                         darts.STYLE, **style))


def test_products_are_those_of_the_whole_network():
  net = _net()
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.integers(0, 256, (4, 4, 4, 1)), jnp.uint8)
  labels = jnp.asarray([0, 1, 2, 1], jnp.int32)
  variables = graph.init(jax.random.key(0), net)
  alphas = {kind: jnp.asarray(rng.normal(size=(2, 4)), jnp.float32)
            for kind in darts.KINDS}
  # The network is made for several devices, the Hessian runs on one.
  product = curvature.hessian_product(
      _net(axis_name=parallel.BATCH_AXIS), _RECIPE, _TASK, _gates_of,
      variables, alphas, images, labels, _KEY)
  objective = engines.make(net, _RECIPE, _TASK, rows=lambda gates: gates,
                           execution='whole').objective

  def loss(alphas):
    return objective(variables.params, variables.batch_stats,
                     _gates_of(alphas), images, labels, _KEY)[0]

  flat, unravel = flatten_util.ravel_pytree(alphas)

  @jax.jit
  def whole():
    _, pull = jax.vjp(jax.grad(lambda x: loss(unravel(x))), flat)
    return jax.lax.map(lambda row: pull(row)[0], jnp.eye(flat.size))

  expected = np.asarray(whole())
  found = np.stack([flatten_util.ravel_pytree(product(unravel(row)))[0]
                    for row in jnp.eye(flat.size)])
  assert np.abs(expected).max() > 1e-3
  np.testing.assert_allclose(found, expected, atol=1e-6)
  np.testing.assert_allclose(found, found.T, atol=1e-6)
  # There is no normal cell.
  assert not found[:8].any() and found[8:, 8:].any(-1).all()


def test_a_network_without_gates_is_refused():
  net = _net()._replace(gates=())
  with pytest.raises(ValueError, match='this one has 0 gates'):
    curvature.hessian_product(
        net, _RECIPE, _TASK, _gates_of, None, {}, None, None, _KEY)
