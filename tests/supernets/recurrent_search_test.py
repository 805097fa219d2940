import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import descent
from nas_jax.networks import language
from nas_jax.supernets import recurrent
from nas_jax.supernets import recurrent_search
from nas_jax.training import language_recipes

_KEY = jax.random.key(0)
_WORDS, _ROWS, _STEPS = 7, 6, 3
_RECIPE = language_recipes.load(
    'darts_rnn_search', batch_size=_ROWS, bptt=_STEPS, learning_rate=2.,
    weight_decay=1e-2)
_PLAIN = dataclasses.replace(
    _RECIPE, drop_output=0., drop_hidden=0., drop_inputs=0., drop_embedding=0.)


def _net(num_nodes=2):
  return recurrent_search.network(
      language.Sizes(_WORDS, 4, 4, init_range=.5), num_nodes)


def _search(net, recipe, order='first', **options):
  return recurrent_search.make(net, recipe, settings=dataclasses.replace(
      recurrent_search.SETTINGS, order=order), **options)


def _text(seed):
  """Words that count upwards, with a few mistakes: int32[100, B]."""
  rng = np.random.default_rng(seed)
  rows = (np.arange(100)[:, None] + rng.integers(0, _WORDS, _ROWS)) % _WORDS
  return np.where(rng.random(rows.shape) < .1, 0, rows).astype(np.int32)


def _batch(text, start, *, begins=False, length=_STEPS):
  return recurrent_search.Batch(
      jnp.asarray(text[start:start + _STEPS]),
      jnp.asarray(text[start + 1:start + 1 + _STEPS]), jnp.int32(length),
      jnp.array(begins))


def _pairs(step):
  train, validation = _text(0), _text(1)
  while True:
    start = step % 18 * _STEPS
    yield (_batch(train, start, begins=start == 0),
           _batch(validation, start, begins=start == 0))
    step += 1


def _loss(net, state, params, alphas, hidden, batch):
  own = recurrent_search.with_alphas(params, alphas)
  out = net.train.apply(
      own, batch.inputs, [recurrent.State(hidden, state.norm)])
  return language.mean_loss(own, out.outputs, batch.targets)


def _norm(tree):
  return jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(tree)))


@pytest.fixture(scope='module')
def second_order():
  """What the gradient of second order should be, and its second term."""
  net = _net(1)

  def expected(state, train, validation, clip_norm, clamp):
    of = lambda params, alphas: jax.grad(_loss, 2)(
        net, state, params, alphas, state.hidden, train)
    grads = of(state.params, state.alphas)
    ratio = clip_norm / (_norm(grads) + 1e-6)
    scale = jnp.minimum(ratio, 1)
    moved = jax.tree.map(lambda w, g: w - 2 * (scale * g + 1e-2 * w),
                         state.params, grads)
    first, v = jax.grad(_loss, (3, 2))(
        net, state, moved, state.alphas, state.validation_hidden, validation)
    v = jax.tree.map(
        lambda x: x * jnp.minimum(1, clip_norm / (_norm(v) + 1e-6)), v)
    second = jax.grad(lambda alphas: sum(map(jnp.vdot, jax.tree.leaves(
        of(state.params, alphas)), jax.tree.leaves(v))))(state.alphas)
    second = 2 * jnp.where(clamp, scale, ratio) * second['recurrent']
    return first['recurrent'] - second, jnp.abs(second).max(), ratio

  return jax.jit(expected)


@pytest.mark.parametrize('clip_norm,clamp', [
    (.05, False), (100., False), (100., True)])
def test_the_second_order_is_that_of_the_virtual_step(
    second_order, monkeypatch, clip_norm, clamp):
  """Against automatic differentiation of the gradient, in double precision."""
  monkeypatch.setattr(recurrent_search, '_STEP_OF_DIFFERENCE', 1e-5)
  search = _search(_net(1), dataclasses.replace(_PLAIN, clip_norm=clip_norm),
                   'second', clamp=clamp)
  with jax.enable_x64(True):
    keys = jax.random.split(_KEY, 4)
    state = jax.tree.map(
        lambda x: x.astype(float) if x.dtype == jnp.float32 else x,
        search.init(keys[0]))
    state = state._replace(
        alphas={'recurrent': jax.random.normal(keys[1], (1, 5))},
        hidden=.5 * jax.random.normal(keys[2], (_ROWS, 4)),
        validation_hidden=.5 * jax.random.normal(keys[3], (_ROWS, 4)))
    train, validation = _batch(_text(0), 0), _batch(_text(1), 0)
    wanted, size, ratio = jax.device_get(second_order(
        state, train, validation, clip_norm, clamp))
    after, _ = search.update(_KEY, state, train, validation)
    # The mean of Adam's first step is of the gradient and the decay of alphas.
    found = np.asarray(after.adam.mu['recurrent'] / .1 - 1e-3 * state.alphas[
        'recurrent'])
  assert size > 1e-5 and (ratio > 1) == (clip_norm > 1)
  np.testing.assert_allclose(found, wanted, atol=1e-3 * size)
