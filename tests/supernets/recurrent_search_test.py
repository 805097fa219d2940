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


@pytest.fixture(scope='module')
def first():
  """A search of first order, and a state after a few steps."""
  search = _search(_net(1), _PLAIN)
  state = search.init(_KEY)
  for step, pair in zip(range(3), _pairs(0)):
    state, metrics = search.update(jax.random.fold_in(_KEY, step), state, *pair)
  return search, state, metrics


def _equal(a, b):
  return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


def test_the_first_order_is_the_validation_loss_of_all_weights_as_they_are(
    first):
  search, state, _ = first
  train, validation = next(_pairs(3))
  after, _ = search.update(_KEY, state, train, validation)
  net = _net(1)
  grads = jax.jit(lambda state, batch: jax.grad(_loss, 3)(
      net, state, state.params, state.alphas, state.validation_hidden, batch))(
          state, validation)
  mean = .9 * state.adam.mu['recurrent'] + .1 * (
      grads['recurrent'] + 1e-3 * state.alphas['recurrent'])
  np.testing.assert_allclose(after.adam.mu['recurrent'], mean, atol=1e-7)
  # The training text has no part in it.
  other, _ = search.update(_KEY, state, _batch(_text(2), 0), validation)
  assert _equal(other.alphas, after.alphas)
  assert not _equal(other.params, after.params)


def test_weights_step_with_the_new_alphas_clipped_and_decayed(first):
  search, state, _ = first
  train, validation = next(_pairs(3))
  after, _ = search.update(_KEY, state, train, validation)

  net = _net(1)

  def loss(params):
    own = recurrent_search.with_alphas(params, after.alphas)
    out = net.train.apply(
        own, train.inputs, [recurrent.State(state.hidden, state.norm)])
    changes = jnp.mean(jnp.square(out.raw[1:] - out.raw[:-1]))
    return language.mean_loss(
        own, out.outputs, train.targets) + 1e-3 * changes

  grads = jax.jit(jax.grad(loss))(state.params)
  scale = .25 / _norm(grads)
  assert scale < 1
  wanted = jax.tree.map(lambda w, g: w - 2. * (scale * g + 1e-2 * w),
                        state.params, grads)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
               after.params, wanted)


def test_a_shorter_window_has_a_lower_rate_and_ignores_the_rest(first):
  search, state, _ = first
  _, validation = next(_pairs(3))
  short = _batch(_text(0), 9, length=1)
  garbage = short._replace(inputs=short.inputs.at[1:].set(0),
                           targets=short.targets.at[1:].set(3))
  a, of_a = search.update(_KEY, state, short, validation)
  b, of_b = search.update(_KEY, state, garbage, validation)
  assert _equal(a, b) and _equal(of_a, of_b)
  # A third of the rate, times the norm to which the gradient is clipped.
  moved = jax.tree.map(lambda new, old: new - old * (1 - 2. / 3 * 1e-2),
                       a.params, state.params)
  assert float(_norm(moved)) == pytest.approx(2. / 3 * .25, rel=1e-3)


def test_both_texts_carry_their_states_on_until_an_epoch_begins(first):
  search, state, _ = first
  train, validation = next(_pairs(3))
  assert not _equal(state.hidden, state.validation_hidden)
  after, _ = search.update(_KEY, state, train, validation)
  other = state._replace(hidden=0 * state.hidden,
                         validation_hidden=0 * state.validation_hidden,
                         sums=0 * state.sums)
  without, _ = search.update(_KEY, other, train, validation)
  assert not _equal(after.params, without.params)
  assert not _equal(after.validation_hidden, without.validation_hidden)
  begun, metrics = search.update(
      _KEY, state, train._replace(start=jnp.array(True)), validation)
  assert _equal(begun, without)
  assert float(begun.sums[0, 1]) == _STEPS


def test_metrics_are_means_over_the_words_of_the_epoch(first):
  search, state, metrics = first
  train, validation = next(_pairs(3))
  after, then = search.update(
      _KEY, state, train._replace(length=jnp.int32(1)), validation)
  own, _ = search.update(
      _KEY, state._replace(sums=0 * state.sums), train._replace(
          length=jnp.int32(1)), validation)
  loss = float(own.sums[0, 0])
  assert float(then['loss']) == pytest.approx(
      (9 * float(metrics['loss']) + loss) / 10, rel=1e-5)
  assert int(after.step) == 4


def test_the_search_learns_to_count_and_derives_a_cell():
  search = _search(_net(1), dataclasses.replace(_PLAIN, learning_rate=5.))
  state, cell, records = descent.descend(
      _KEY, search, _pairs, num_steps=180,
      log_every=lambda done: done % 18 == 0)
  losses = [r['metrics']['loss'] for r in records]
  assert len(losses) == 10 and losses[0] > 1.5
  assert losses[-1] < .9  # A tenth of the words are mistakes.
  assert cell == recurrent.derive(state.search.alphas['recurrent'])


@pytest.mark.parametrize('changes,options,message', [
    ({}, {'order': 'third'}, "order is 'third'"),
    ({'optimizer': 'adam'}, {}, "SGD, but the optimizer is 'adam'"),
    ({'rate_decay': .5}, {}, 'rate_decay is 0.5'),
    ({'clip_norm': None}, {'order': 'second'}, 'needs the clip_norm')])
def test_settings_that_do_not_fit_are_refused(changes, options, message):
  with pytest.raises(ValueError, match=message):
    _search(_net(1), dataclasses.replace(_PLAIN, **changes), **options)


def test_the_search_network_has_one_layer():
  with pytest.raises(ValueError, match='num_layers is 2'):
    recurrent_search.network(language.Sizes(9, 5, 5, num_layers=2))
