"""Against quark0/darts in PyTorch, in double precision."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.supernets import darts
from tests.supernets import golden as goldens


@pytest.fixture(scope='module')
def golden(shared_data):
  return goldens.load(shared_data / 'golden' / 'supernet_c4.npz')


@pytest.fixture(autouse=True)
def _double_precision():
  with jax.enable_x64(True):
    yield


def _gradient(net):
  """(params, alphas, statistics, images, labels) -> loss, logits, gradients."""
  programs = blocks.compile_programs(net, 2, None)
  key = jax.random.key(0)

  def rows(alphas):
    gates = {kind: jax.nn.softmax(a) for kind, a in alphas.items()}
    return darts.rows(gates | {
        'edges_normal': jnp.ones(14), 'edges_reduce': jnp.ones(14),
        'knobs': jnp.zeros(3)})

  @jax.jit
  def head(logits, labels):
    return jax.value_and_grad(lambda x: jnp.mean(
        optax.softmax_cross_entropy_with_integer_labels(x, labels)))(logits)

  def gradient(params, alphas, stats, images, labels):
    found, pullback = jax.vjp(rows, alphas)
    logits, _, pullbacks = blocks.forward(
        graph.Variables(params, stats), programs, images, key, 0., found)
    loss, cotangent = head(logits.main, labels)
    grads, _, of_rows = blocks.backward(
        programs, pullbacks, graph.Logits(cotangent, None))
    return loss, logits.main, grads, pullback(of_rows)[0]

  return gradient


def test_values_and_both_orders_equal_the_reference(golden):
  net = darts.build(
      darts.SPECS['darts'], image_shape=(16, 16, 3), num_classes=10,
      features=4, num_cells=5,
      style=dataclasses.replace(darts.STYLE, dtype='float64'))
  params = goldens.params(golden, net)
  momentum = goldens.params(golden, net, 'momentum')
  stats = goldens.statistics(golden, net)
  alphas = {kind: jnp.asarray(golden[f'alphas_{kind}'])
            for kind in darts.KINDS}
  train, valid = ((goldens.images(golden[f'x_{part}']),
                   jnp.asarray(golden[f'y_{part}']))
                  for part in ('train', 'valid'))
  gradient = _gradient(net)
  loss, logits, grads, _ = gradient(params, alphas, stats, *train)
  np.testing.assert_allclose(logits, golden['logits_train'], atol=1e-8)
  np.testing.assert_allclose(loss, golden['loss_train'], atol=1e-8)
  loss, _, _, first = gradient(params, alphas, stats, *valid)
  np.testing.assert_allclose(loss, golden['loss_valid'], atol=1e-8)
  for kind in darts.KINDS:
    np.testing.assert_allclose(
        first[kind], golden[f'dalpha_first_{kind}'], atol=1e-8)
  eta = float(golden['eta'])
  virtual = jax.tree.map(
      lambda w, m, g: w - eta * (.9 * m + g + 3e-4 * w), params, momentum,
      grads)
  loss, _, dweights, dalphas = gradient(virtual, alphas, stats, *valid)
  np.testing.assert_allclose(loss, golden['loss_unrolled'], atol=1e-8)
  radius = .01 / optax.tree.norm(dweights)
  shifted = [gradient(jax.tree.map(
      lambda w, v: w + sign * radius * v, params, dweights), alphas, stats,
      *train)[-1] for sign in (1, -1)]
  for kind in darts.KINDS:
    implicit = (shifted[0][kind] - shifted[1][kind]) / (2 * radius)
    np.testing.assert_allclose(
        dalphas[kind] - eta * implicit, golden[f'dalpha_second_{kind}'],
        atol=1e-6)
