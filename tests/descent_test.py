from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import checkpoint
from nas_jax import descent
from nas_jax import journal
from nas_jax import records as jsonl

_KEY = jax.random.key(2)


class _Descent(NamedTuple):
  logits: jax.Array  # float32[L, C]
  noise: jax.Array


def _gradient_search():
  """Climbs towards the choice that the batches name."""

  def update(key, state, train, validation):
    noise = jax.random.normal(key, state.logits.shape)
    logits = state.logits + 0.1 * train + 0.1 * validation
    return _Descent(logits, noise), {'norm': jnp.linalg.norm(logits)}

  return base.GradientSearch(
      init=lambda key: _Descent(
          0.01 * jax.random.normal(key, (3, 4)), jnp.zeros((3, 4))),
      update=jax.jit(update),
      derive=lambda state: jnp.argmax(state.logits, axis=-1))


def _batches(step):
  target = np.eye(4, dtype=np.float32)[[2, 0, 3]]
  for i in range(step, 20):
    yield target * (1 + i), target


def _descend(num_steps=20, batches=_batches, **kwargs):
  return descent.descend(_KEY, _gradient_search(), batches,
                        num_steps=num_steps, log_every=5, **kwargs)


def test_descend_derives_and_logs(tmp_path):
  logged = []
  state, genome, records = _descend(
      workdir=tmp_path, on_log=lambda state, record: logged.append(record))
  assert genome.tolist() == [2, 0, 3] and state.step == 20
  assert [r['step'] for r in records] == [4, 9, 14, 19]
  assert records == logged == jsonl.read(tmp_path / 'history.jsonl')
  assert records[0]['metrics']['norm'] > 0 and records[0]['seconds']['wall'] > 0


def test_lines_may_come_at_any_steps():
  _, _, records = descent.descend(
      _KEY, _gradient_search(), _batches, num_steps=8,
      log_every={3, 4}.__contains__)
  assert [r['step'] for r in records] == [2, 3, 7]  # The last step has one.


@pytest.mark.parametrize('stop', [3, 5, 12])
def test_descend_resumes(tmp_path, stop):
  expected, _, records = _descend()
  started = []

  def interrupted(step):
    for i, pair in enumerate(_batches(step)):
      if step + i == stop:
        raise KeyboardInterrupt
      yield pair

  with pytest.raises(KeyboardInterrupt):
    _descend(batches=interrupted, workdir=tmp_path, checkpoint_every=100)
  state, genome, resumed = _descend(
      batches=lambda step: started.append(step) or _batches(step),
      workdir=tmp_path, checkpoint_every=100)
  assert started == [stop]
  assert state.step == expected.step
  assert (state.search.logits == expected.search.logits).all()
  assert (state.search.noise == expected.search.noise).all()
  assert genome.tolist() == [2, 0, 3]
  assert [(r['step'], r['metrics']) for r in resumed] == [
      (r['step'], r['metrics']) for r in records]


def test_descend_stops_where_it_was_asked_to(tmp_path):
  _descend(7, workdir=tmp_path)
  _descend(7, workdir=tmp_path)
  with pytest.raises(ValueError, match='cannot search for 5 steps, 7 are done'):
    _descend(5, workdir=tmp_path)


def test_descend_says_when_the_batches_end():
  with pytest.raises(ValueError, match='batches end after 20 of 21 steps'):
    _descend(21)
  with pytest.raises(ValueError, match='check_every must be at least 1'):
    _descend(20, check_every=0)
  with pytest.raises(ValueError, match='log_every must be at least 1'):
    descent.descend(
        _KEY, _gradient_search(), _batches, num_steps=1, log_every=0)


def _diverging(when, what='loss'):
  """Counts; its loss, or only its weights, are NaN from a step on."""

  def update(key, state, train, validation):
    del key, train, validation
    count = state['count'] + 1
    bad = jnp.where(count > when, jnp.nan, 1.)
    state = {'count': count, 'weights': bad if what == 'weights' else 1.}
    return state, {'loss': bad if what == 'loss' else jnp.float32(1)}

  return base.GradientSearch(
      init=lambda key: {'count': jnp.int32(0), 'weights': jnp.float32(1)},
      update=update, derive=lambda state: int(state['count']))


@pytest.mark.parametrize('what,check_every,left', [
    ('loss', 1, 7), ('loss', 4, 5), ('weights', 1, 5)])
def test_a_diverged_search_ends_with_the_last_good_state(
    tmp_path, caplog, what, check_every, left):
  for _ in range(2):  # The second one resumes, and ends the same.
    caplog.clear()
    state, count, records = descent.descend(
        _KEY, _diverging(7, what), lambda step: ((0, 0),) * (20 - step),
        num_steps=20, log_every=5, checkpoint_every=100,
        check_every=check_every, workdir=tmp_path)
    assert (int(state.step), count) == (left, left)
    assert np.isfinite(state.search['weights'])
    assert f'ends with the state after {left} steps' in caplog.text
    assert [r['step'] for r in records] == [4] * (left > 4)
    saved = checkpoint.restore(tmp_path / 'checkpoints' / 'search',
                               journal._Checkpoint(0, state))
    assert saved[0] == left and np.isfinite(saved[1].state.search['weights'])


def test_lines_say_more_and_may_end_the_search(tmp_path):
  asked = []

  def stop(records):
    asked.append(len(records))
    return records[-1]['best'] == [2, 0, 3] and len(records) > 1

  for _ in range(2):
    state, _, records = _descend(
        workdir=tmp_path, stop=stop,
        describe=lambda state, records: {
            'best': jnp.argmax(state.logits, -1).tolist(),
            'before': len(records)})
    assert state.step == 10
    assert [r['best'] for r in records] == [[2, 0, 3]] * 2
    assert [r['before'] for r in records] == [0, 1]
    assert records == jsonl.read(tmp_path / 'history.jsonl')
  assert asked == [1, 2, 2]


def test_updates_on_the_host():
  seen = []

  def update(key, state, train, validation):
    seen.append(type(train))
    return state + float(train) * validation, {'loss': 0.}

  host = base.GradientSearch(
      lambda key: 0., update, lambda state: state, jittable=False)
  state, total, _ = descent.descend(
      _KEY, host, lambda step: [(i, 2) for i in range(step, 4)], num_steps=4)
  assert total == state.search == 12. and seen == [int] * 4
