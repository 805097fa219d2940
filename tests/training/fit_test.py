import dataclasses
import math

import jax
import numpy as np
import pytest

from nas_jax import records as jsonl
from nas_jax.data import source
from nas_jax.training import classify
from nas_jax.training import fit

_KEY = jax.random.key(9)


def _fit(tiny, recipe=None, **kwargs):
  return fit.fit(_KEY, tiny.trainer, recipe or tiny.recipe, tiny.data.train,
                 **{'seed': 2, **kwargs})


def _without_seconds(records):
  return [{k: v for k, v in r.items() if k != 'seconds'} for r in records]


def _bytes(state):
  return [np.asarray(x).tobytes() for x in jax.tree.leaves(state)]


@pytest.fixture(scope='module')
def straight(tiny):
  """An uninterrupted run."""
  return _fit(tiny)


def test_a_tiny_network_learns_digits(tiny, straight):
  state, records = straight
  assert [r['epoch'] for r in records] == [0, 1, 2, 3]
  assert list(records[0]) == [
      'epoch', 'loss', 'train_accuracy', 'last_batch_accuracy',
      'learning_rate', 'seconds']
  # Chance is log(10) = 2.30 and 0.1.
  assert records[0]['loss'] > 2
  assert records[-1]['loss'] < 1.4
  assert classify.evaluate(
      tiny.trainer, tiny.recipe, state, tiny.data.validation) > .55
  assert [r['learning_rate'] for r in records] == pytest.approx(
      [.1, .0853553, .05, .0146447], rel=1e-5)
  assert not fit.diverged(records)


@pytest.mark.parametrize('last', [0, 2])
def test_a_run_resumes_bit_for_bit(tiny, straight, tmp_path, last):
  def stop(record):
    if record['epoch'] == last:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    _fit(tiny, workdir=tmp_path, on_epoch=stop)
  assert len(jsonl.read(tmp_path / 'training.jsonl')) == last + 1
  seen = []
  state, records = _fit(
      tiny, workdir=tmp_path, on_epoch=lambda r: seen.append(r['epoch']))
  assert seen == list(range(last + 1, 4))
  assert _bytes(state) == _bytes(straight[0])
  assert _without_seconds(records) == _without_seconds(straight[1])
  assert jsonl.read(tmp_path / 'training.jsonl') == records
  # A third call has nothing left to do.
  state, again = _fit(tiny, workdir=tmp_path, on_epoch=seen.append)
  assert again == records and len(seen) == 3 - last
  assert _bytes(state) == _bytes(straight[0])


def test_an_epoch_that_was_not_finished_is_done_again(
    tiny, straight, tmp_path):
  steps = []

  def step(*args):
    steps.append(0)
    if len(steps) == 25:  # In the second epoch of 20 steps.
      raise KeyboardInterrupt
    return tiny.trainer.step(*args)

  with pytest.raises(KeyboardInterrupt):
    fit.fit(_KEY, tiny.trainer._replace(step=step), tiny.recipe,
            tiny.data.train, seed=2, workdir=tmp_path)
  assert len(jsonl.read(tmp_path / 'training.jsonl')) == 1
  state, records = _fit(tiny, workdir=tmp_path)
  assert [r['epoch'] for r in records] == [0, 1, 2, 3]
  assert _bytes(state) == _bytes(straight[0])


def test_divergence_stops_the_training(tiny, tmp_path):
  recipe = dataclasses.replace(tiny.recipe, learning_rate=1e9)
  _, records = _fit(tiny, recipe, workdir=tmp_path, validation=tiny.data.test)
  assert len(records) < 4
  assert records[-1]['loss'] is None and fit.diverged(records)
  assert all(math.isfinite(r['loss']) for r in records[:-1])
  assert 'validation_accuracy' not in records[-1]
  # Nor does it go on when it is called again.
  _, again = _fit(tiny, recipe, workdir=tmp_path)
  assert again == records == jsonl.read(tmp_path / 'training.jsonl')


def _scripted(monkeypatch, accuracies):
  """Validation accuracies as given, training that does nothing."""
  scores = iter(accuracies)
  monkeypatch.setattr(
      classify, 'train_epoch', lambda key, trainer, recipe, state, *_, **__: (
          state, {'loss': 1., 'train_accuracy': .5}))
  monkeypatch.setattr(classify, 'evaluate', lambda *_: next(scores))


@pytest.mark.parametrize('eval_every, accuracies, epochs', [
    # The best is epoch 1; an equal one later is not better.
    (1, [.1, .3, .3, .2, .9], 4),
    (1, [.1, .2, .1, .3, .2, .1, .9], 6),
    (2, [.5, .4, .9], 4),
    (1, [.1, .2, .3, .4, .5, .6, .7, .8], 8),
])
def test_patience_counts_the_epochs_since_the_best(
    tiny, monkeypatch, eval_every, accuracies, epochs):
  _scripted(monkeypatch, accuracies)
  recipe = dataclasses.replace(
      tiny.recipe, epochs=8, patience=2, eval_every=eval_every)
  _, records = _fit(tiny, recipe, validation=tiny.data.validation)
  assert len(records) == epochs
  scores = [r['validation_accuracy'] for r in records
            if 'validation_accuracy' in r]
  assert scores == accuracies[:epochs // eval_every]


def test_patience_survives_an_interrupt(tiny, monkeypatch, tmp_path):
  recipe = dataclasses.replace(tiny.recipe, epochs=8, patience=2)
  _scripted(monkeypatch, [.1, .3, .2, .2, .9])

  def stop(record):
    if record['epoch'] == 2:
      raise KeyboardInterrupt
  with pytest.raises(KeyboardInterrupt):
    _fit(tiny, recipe, validation=tiny.data.validation, workdir=tmp_path,
         on_epoch=stop)
  _, records = _fit(tiny, recipe, validation=tiny.data.validation,
                    workdir=tmp_path)
  assert [r['validation_accuracy'] for r in records] == [.1, .3, .2, .2]


def test_without_patience_nothing_is_validated(tiny, monkeypatch):
  _scripted(monkeypatch, [])
  _, records = _fit(tiny, validation=tiny.data.validation)
  assert all('validation_accuracy' not in r for r in records)


def test_a_batch_larger_than_the_split(tiny):
  few = source.Split(*[x[:31] for x in tiny.data.train])
  with pytest.raises(ValueError, match='batch_size 32 exceeds the 31 images'):
    fit.fit(_KEY, tiny.trainer, tiny.recipe, few, seed=0)
