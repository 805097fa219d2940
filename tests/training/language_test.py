import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import records as jsonl
from nas_jax.data import text
from nas_jax.networks import language as networks
from nas_jax.spaces import recurrent
from nas_jax.training import language
from nas_jax.training import language_recipes
from nas_jax.training import language_steps
from nas_jax.training import optimizers

_KEY = jax.random.key(3)
_WORDS = 7
_CELL = recurrent.Chain((('relu', 0), ('tanh', 1)), (1, 2))


def _corpus(num_train=241, num_rest=61):
  """Words count up by two, or by one after every third."""
  steps = np.where(np.arange(num_train + 2 * num_rest) % 3, 2, 1)
  tokens = (np.cumsum(steps) % _WORDS).astype(np.int32)
  cuts = num_train, num_train + num_rest
  return text.Corpus('counting', 'word', tuple('abcdefg'),
                     *np.split(tokens, cuts))


def _recipe(**changes):
  return language_recipes.load('fast', **{**dict(
      epochs=3, batch_size=4, bptt=6, learning_rate=.02, rate_decay=1.,
      drop_output=.2,
      drop_hidden=.1, weight_decay=1e-3, slowness=.1, activation_weight=.2,
      eval_batch_size=3), **changes})


@pytest.fixture(scope='module')
def model():
  return networks.make('rnn_chain', _CELL, networks.Sizes(
      _WORDS, 8, 8, init_range=.3))


@pytest.fixture(scope='module')
def trainer(model):
  return language.make(model, _recipe())


@pytest.fixture(scope='module')
def straight(trainer):
  """An uninterrupted run."""
  return _fit(trainer)


def _fit(trainer, recipe=None, corpus=None, **kwargs):
  return language.fit(_KEY, trainer, recipe or _recipe(),
                      corpus or _corpus(), **{'seed': 2, **kwargs})


def _bytes(state):
  return [np.asarray(x).tobytes() for x in jax.tree.leaves(state)]


def _without_seconds(records):
  return [{k: v for k, v in r.items() if k != 'seconds'} for r in records]


def test_it_learns_to_count(trainer, straight):
  state, records = straight
  assert list(records[0]) == [
      'epoch', 'step', 'loss', 'learning_rate', 'averaged', 'validation_loss',
      'validation_perplexity', 'seconds']
  assert [r['epoch'] for r in records] == [0, 1, 2]
  # 60 rows of 4 streams are ten windows; a validation counts as a step.
  assert [r['step'] for r in records] == [10, 21, 32]
  # Chance is log(7) = 1.95.
  assert records[0]['loss'] > 1.5 and records[-1]['validation_loss'] < 1.4
  best = language.best(records)
  assert best['validation_perplexity'] == pytest.approx(
      math.exp(best['validation_loss']))
  assert language.perplexity(trainer, state, _corpus().validation, 3) == (
      pytest.approx(best['validation_perplexity'], rel=1e-6))
  assert not language.diverged(records)


def test_the_same_seed_gives_the_same_curve(trainer, straight):
  state, records = _fit(trainer)
  assert _without_seconds(records) == _without_seconds(straight[1])
  assert _bytes(state) == _bytes(straight[0])


@pytest.mark.parametrize('stop_at', [1, 14, 30])
def test_a_run_resumes_bit_for_bit_within_an_epoch(
    trainer, straight, tmp_path, stop_at):
  calls = []

  def step(*args, **kwargs):
    calls.append(0)
    if len(calls) == stop_at:
      raise KeyboardInterrupt
    return trainer.step(*args, **kwargs)

  with pytest.raises(KeyboardInterrupt):
    _fit(trainer._replace(step=step), workdir=tmp_path, checkpoint_seconds=0.)
  state, records = _fit(
      trainer._replace(step=step), workdir=tmp_path, checkpoint_seconds=0.)
  assert len(calls) == 31  # Only the step that was cut off is done again.
  assert _bytes(state) == _bytes(straight[0])
  assert _without_seconds(records) == _without_seconds(straight[1])
  assert jsonl.read(tmp_path / 'training.jsonl') == records
  again = _fit(trainer, workdir=tmp_path)
  assert again[1] == records and _bytes(again[0]) == _bytes(state)


def test_without_a_checkpoint_in_time_the_epoch_is_done_again(
    trainer, straight, tmp_path):
  def stop(record):
    if record['epoch'] == 1:
      raise KeyboardInterrupt
  with pytest.raises(KeyboardInterrupt):
    _fit(trainer, workdir=tmp_path, on_epoch=stop)
  state, records = _fit(trainer, workdir=tmp_path)
  assert _without_seconds(records) == _without_seconds(straight[1])
  assert _bytes(state) == _bytes(straight[0])


def test_a_step_by_hand(model, trainer):
  recipe = _recipe()
  state = trainer.init(_KEY)
  params = jax.tree.map(np.asarray, state.params)
  inputs, targets = np.random.default_rng(0).integers(
      _WORDS, size=(2, 6, 4), dtype=np.int32)
  length = 4
  key = jax.random.fold_in(_KEY, 5)

  def loss(params):
    found = model.apply(params, inputs[:length], model.start(4), key=key,
                        rates=recipe.rates())
    logs = networks.log_probs(params, found.outputs)
    cross = -jnp.mean(jnp.take_along_axis(
        logs, targets[:length, :, None], -1))
    return cross + .2 * jnp.mean(found.outputs**2) + .1 * jnp.mean(
        (found.raw[1:] - found.raw[:-1])**2), (cross, found.hidden)

  (_, (cross, hidden)), grads = jax.jit(jax.value_and_grad(
      loss, has_aux=True))(params)
  norm = math.sqrt(sum(float(jnp.sum(g * g)) for g in jax.tree.leaves(grads)))
  assert norm > .1  # It is clipped.
  own = language.make(model, dataclasses.replace(
      recipe, optimizer='sgd', clip_norm=.1))
  found = own.step(_KEY, own.init(_KEY), inputs, targets, length=length,
                   number=5, rate=2.)
  for before, grad, after in zip(*map(jax.tree.leaves, (
      params, grads, found.params))):
    np.testing.assert_allclose(
        after, before - 2. * (grad * .1 / norm + 1e-3 * before), atol=2e-6)
  assert float(found.loss) == pytest.approx(length * float(cross), rel=1e-5)
  np.testing.assert_allclose(found.hidden[0], hidden[0], atol=1e-6)


def test_the_average_is_that_of_asgd():
  average, averaged, seen = jnp.zeros(()), jnp.int32(-1), []
  for value in (9., 9., 1., 2., 3., 4., 5.):
    if value == 1.:
      averaged = jnp.int32(0)
    average, averaged = language_steps._averaged(
        jnp.float32(value), average, averaged)
    seen.append((float(average), int(averaged)))
  # torch.optim.ASGD(t0=0, lambd=0) has these in 'ax'.
  assert seen == [(9., -1), (9., -1), (1., 1), (2., 2), (2.5, 3), (3., 4),
                  (3.5, 5)]


def test_updates_are_those_of_pytorch():
  recipe = language_steps._optimizer(language_recipes.LanguageRecipe(
      epochs=1, weight_decay=1e-3))
  params = jnp.array([.5, -.25])
  average, averaged = params, jnp.int32(-1)
  state, found = optimizers.init(recipe, params), []
  for i, grads in enumerate([(.3, .4), (.03, -.04), (-.6, .8), (.1, .2),
                             (.5, 0.), (-.2, .1)]):
    averaged = jnp.int32(0) if i == 2 else averaged
    grads = jnp.array(grads)
    params, state = optimizers.update(
        recipe, params, grads, state, jnp.sqrt(optimizers.squares(grads)),
        optimizers.Pace(jnp.float32(20), jnp.float32(0), jnp.float32(0)))
    average, averaged = language_steps._averaged(params, average, averaged)
    found.append(params)
  # clip_grad_norm_(.25), two steps of SGD(lr=20, weight_decay=1e-3), then
  # ASGD(lr=20, t0=0, lambd=0, weight_decay=1e-3), in double precision.
  np.testing.assert_allclose(found, [
      (-2.50999400, -4.24499200), (-3.05979412, -3.36009216),
      (.00139876, -7.29288632), (-1.99862921, -11.14702859),
      (-6.95864663, -10.92408802), (-2.81947370, -12.70560626)], rtol=1e-5,
                             atol=1e-5)
  np.testing.assert_allclose(average, (-3.92558318, -11.59224096), rtol=1e-5)


def test_the_mean_is_of_all_tokens_and_streams(trainer, model, monkeypatch):
  params = trainer.init(_KEY).params
  tokens = _corpus().test
  found = jax.jit(model.apply)(params, tokens[:-1, None], model.start(1))
  logs = networks.log_probs(params, found.outputs)[:, 0]
  expected = -np.mean(np.asarray(logs)[np.arange(60), tokens[1:]])
  assert language.cross_entropy(trainer, params, tokens, 1) == (
      pytest.approx(expected, rel=1e-5))
  # Windows of any length give the same, as the state is carried.
  monkeypatch.setattr(language, 'EVAL_TOKENS', 7)
  assert language.cross_entropy(trainer, params, tokens, 1) == (
      pytest.approx(expected, rel=1e-5))


def test_rates_follow_the_epoch():
  recipe = _recipe(learning_rate=8., rate_decay=.5, decay_from=2)
  assert [language.learning_rate(recipe, e) for e in range(5)] == [
      8., 8., 4., 2., 1.]
  # Of five epochs the last two; of one epoch all there is.
  last = dataclasses.replace(recipe, decay_from=-2, epochs=5)
  assert [language.learning_rate(last, e) for e in range(5)] == [
      8., 8., 8., 4., 2.]
  assert language.learning_rate(dataclasses.replace(last, epochs=1), 0) == 4.


class _Scripted:
  """A training whose parameter counts the steps."""

  def __init__(self, monkeypatch, validations, losses=()):
    self.keys, self.lengths, self.rates, self.validated = [], [], [], []
    self._losses = list(losses)
    scores = iter(validations)

    def evaluate(trainer, params, tokens, batch_size):
      self.validated.append(float(params['w']))
      return next(scores)

    monkeypatch.setattr(language, 'cross_entropy', evaluate)

  def trainer(self, recipe):
    sizes = networks.Sizes(_WORDS, 2, 2)
    model = networks.Model(None, lambda rows: jnp.zeros(()), None, 1, sizes)
    averages = recipe.optimizer == 'nt_asgd'

    def init(key):
      params = {'w': jnp.float32(0)}
      return language.State(params, jnp.zeros(()), (), params if (
          averages) else (), jnp.int32(-1), jnp.float32(0))

    def step(key, state, inputs, targets, *, length, number, rate):
      self.keys.append((jax.random.key_data(key).tolist(), number))
      self.lengths.append(length)
      self.rates.append(rate)
      params = {'w': state.params['w'] + 1}
      average, averaged = language_steps._averaged(
          params, state.average or params, state.averaged)
      loss = self._losses.pop(0) if self._losses else 1.
      return state._replace(
          params=params, average=average if averages else (),
          averaged=averaged, loss=state.loss + loss * length)

    return language.Trainer(model, init, step, None, lambda: 0.)

  def fit(self, recipe, **kwargs):
    return language.fit(_KEY, self.trainer(recipe), recipe,
                        _corpus(num_train=25), seed=0, **kwargs)


def test_averaging_begins_after_validations_without_a_better_one(monkeypatch):
  # Windows of 6 in 4 streams of 6 tokens: one of 5 steps an epoch.
  recipe = _recipe(optimizer='nt_asgd', nonmono=2, bptt=5, epochs=9)
  scripted = _Scripted(
      monkeypatch, [5., 4., 4.5, 4.6, 4.1, 4.2, 3., 2., 3.5])
  state, records = scripted.fit(recipe)
  # 4.6 is not worse than the best of all but the last two before it (5);
  # 4.1 is worse than 4.
  assert [r['averaged'] for r in records] == [False] * 5 + [True] * 4
  assert scripted.validated == [1, 2, 3, 4, 5, 6, 7, 7.5, 8]
  assert float(state.params['w']) == 7.5  # The average of the best validation.
  assert language.best(records)['epoch'] == 7


def test_a_loss_that_is_not_finite_leads_back_to_the_best(monkeypatch):
  recipe = _recipe(optimizer='sgd', bptt=5, epochs=5)
  scripted = _Scripted(
      monkeypatch, [3., 2., 2.5, 1., .9, .8],
      losses=[1., 1., 1., math.nan, 1., 1., 1.])
  state, records = scripted.fit(recipe)
  assert [r['epoch'] for r in records] == [0, 1, 2, 3, 2, 3, 4]
  assert [r['loss'] for r in records] == [1., 1., 1., None, 1., 1., 1.]
  assert scripted.validated == [1, 2, 3, 3, 4, 5]
  assert float(state.params['w']) == 5
  # The epoch that is repeated draws other numbers.
  assert len({str(k) for k in scripted.keys}) == len(scripted.keys) == 7


def test_it_goes_back_so_often_and_not_more(monkeypatch):
  recipe = _recipe(optimizer='sgd', bptt=5, epochs=5, rollbacks=2)
  scripted = _Scripted(monkeypatch, [3.], losses=[1.] + [math.inf] * 9)
  state, records = scripted.fit(recipe)
  assert [r['epoch'] for r in records] == [0, 1, 1, 1]
  assert [r['loss'] for r in records] == [1., None, None, None]
  assert float(state.params['w']) == 1 and not language.diverged(records)


def test_nothing_to_go_back_to(monkeypatch):
  scripted = _Scripted(monkeypatch, [], losses=[math.nan] * 9)
  _, records = scripted.fit(_recipe(bptt=5))
  assert [r['loss'] for r in records] == [None] and language.diverged(records)


def test_patience_counts_the_epochs_since_the_best(monkeypatch):
  scripted = _Scripted(monkeypatch, [3., 2., 2., 2.1, 1.])
  _, records = scripted.fit(_recipe(bptt=5, epochs=8, patience=2))
  assert [r['epoch'] for r in records] == [0, 1, 2, 3]


def test_windows_of_random_lengths_scale_the_rate(monkeypatch):
  recipe = _recipe(bptt=10, random_lengths=True, scale_rate=True, epochs=2,
                   learning_rate=20., rate_decay=.5, decay_from=1)
  scripted = _Scripted(monkeypatch, [3., 2.])
  language.fit(_KEY, scripted.trainer(recipe), recipe,
               _corpus(num_train=404), seed=0)
  assert sum(scripted.lengths) == 2 * 100 and len(set(scripted.lengths)) > 4
  first = len([n for _, n in scripted.keys[1:] if n == 0]) and next(
      i for i, (_, n) in enumerate(scripted.keys[1:], 1) if n == 0)
  assert scripted.lengths[:first] != scripted.lengths[first:2 * first]
  assert scripted.rates == pytest.approx(
      [20. * n / 10 for n in scripted.lengths[:first]]
      + [10. * n / 10 for n in scripted.lengths[first:]])


@pytest.mark.parametrize('corpus, message', [
    (_corpus()._replace(vocabulary=tuple('abc')),
     'the model knows 7 tokens, but counting has 3'),
    (_corpus(num_train=27),
     'a text of 27 tokens gives each of the 4 rows of a batch 6, but a window '
     'of bptt 6 needs 7: lower batch_size or bptt, or use a longer text'),
    (_corpus(num_rest=5),
     'a text of 5 tokens is too short for batch_size 3: each row of the batch '
     'needs 2 tokens or more'),
])
def test_texts_that_do_not_suffice(trainer, corpus, message):
  with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
    _fit(trainer, corpus=corpus)
