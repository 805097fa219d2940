from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import descent
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
  with pytest.raises(ValueError, match='log_every must be at least 1'):
    descent.descend(
        _KEY, _gradient_search(), _batches, num_steps=1, log_every=0)
