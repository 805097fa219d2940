import itertools
import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import checkpoint
from nas_jax import records as jsonl
from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.spaces import cell
from nas_jax.spaces import discrete
from nas_jax.strategies import evolution
from nas_jax.strategies import random_search

_KEY = jax.random.key(2)
_CHECKPOINTS = 'checkpoints/search'
_SPACE = discrete.space([('a', 'b'), (3, 5, 7), ('x', 'y', 'z', 'w')])
_STRATEGY = evolution.regularized_evolution(
    _SPACE, population_size=6, sample_size=3, batch_size=2)
_STRATEGY = _STRATEGY._replace(
    ask=jax.jit(_STRATEGY.ask), tell=jax.jit(_STRATEGY.tell))
_TOY = toy.number_of_ones(_SPACE, noise=0.1)
_TOY = _TOY._replace(evaluate=jax.jit(_TOY.evaluate))


def _run(num_rounds=8, evaluator=_TOY, **kwargs):
  return search.run(_KEY, _STRATEGY, evaluator, num_rounds=num_rounds,
                    genotype=_SPACE.genotype, **kwargs)


def _assert_same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    assert x.dtype == y.dtype
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def _without_seconds(records):
  return [{k: v for k, v in r.items() if k != 'seconds'} for r in records]


class _Counter(NamedTuple):
  children: jax.Array  # int32[]


def _host_evaluator(before=lambda n: None, seconds=itertools.count()):
  """An evaluator on the host, with a state and with metrics of all kinds."""

  def evaluate(key, state, proposals):
    n = int(state.children)
    before(n)
    genomes = np.asarray(proposals.genomes)
    size = len(genomes)
    rewards = genomes.sum(1) + np.asarray(jax.random.uniform(key, (size,)))
    metrics = {
        'failed': np.zeros(size, np.float32),
        'loss': np.full(size, np.nan, np.float32),
        'train_seconds': np.full(size, next(seconds), np.float32),
    }
    return (base.Evaluation(jnp.asarray(rewards, jnp.float32), metrics),
            _Counter(jnp.int32(n + size)))

  return base.Evaluator(
      lambda key: _Counter(jnp.int32(0)), evaluate, jittable=False)


def test_history_has_a_line_per_child(tmp_path):
  state, records = _run(3, workdir=tmp_path, evaluator=_host_evaluator(
      seconds=itertools.count(5)))
  lines = jsonl.read(tmp_path / 'history.jsonl')
  assert lines == records
  assert [r['child'] for r in records] == list(range(6))
  assert [r['round'] for r in records] == [0, 0, 1, 1, 2, 2]
  first = records[0]
  assert list(first) == [
      'child', 'round', 'genotype', 'reward', 'metrics', 'seconds']
  assert isinstance(first['genotype'], list)
  assert first['metrics'] == {'failed': 0.0, 'loss': None}
  assert first['seconds'] == {'train': 5.0}
  assert records[-1]['seconds'] == {'train': 7.0}
  best = max(records, key=lambda r: r['reward'])
  assert float(state.best_reward) == best['reward']
  assert list(_SPACE.genotype(state.best_genome)) == best['genotype']
  assert state.round == 3 and state.evaluator.children == 6


def test_cells_are_logged_by_name(tmp_path):
  space = cell.space(('a', 'b'), num_nodes=1)
  _, records = search.run(
      _KEY, random_search.random_search(space), toy.number_of_ones(space),
      num_rounds=1, genotype=space.genotype, workdir=tmp_path)
  assert list(records[0]['genotype']) == [
      'normal', 'normal_concat', 'reduce', 'reduce_concat']


def test_the_first_of_equals_is_the_best():
  evaluator = base.Evaluator(
      lambda key: (), lambda key, state, proposals: (base.Evaluation(
          jnp.ones(2), {'failed': jnp.zeros(2)}), state))
  state, history = search.scan(_KEY, _STRATEGY, evaluator, num_rounds=4)
  assert (state.best_genome == history.genomes[0, 0]).all()


def test_scan_may_keep_rewards_only():
  state, history = search.scan(_KEY, _STRATEGY, _TOY, num_rounds=8)
  same, rewards = search.scan(
      _KEY, _STRATEGY, _TOY, num_rounds=8, rewards_only=True)
  _assert_same(state, same)
  assert rewards.genomes is None and rewards.metrics == {}
  assert (rewards.rewards == history.rewards).all()


def test_rounds_draw_from_the_key_and_their_number():
  """Asked by hand, rounds 0 and 3 see the keys fold_in(key, round)."""
  seen = []
  strategy = base.Strategy(
      lambda key: (),
      lambda key, state: base.Proposals(jnp.zeros((1, 2), jnp.int32), key),
      lambda key, state, proposals, rewards: seen.append(
          (proposals.aux, key)) or state, jittable=False)
  search.run(_KEY, strategy, toy.number_of_ones(_SPACE), num_rounds=4,
             genotype=lambda genome: ())
  assert len(seen) == 4
  for number in (0, 3):
    ask, _, tell = jax.random.split(jax.random.fold_in(_KEY, number), 3)
    assert seen[number][0] == ask and seen[number][1] == tell


def test_a_strategy_on_the_host_is_not_traced():
  asked = []

  def ask(key, state):
    assert not isinstance(key, jax.core.Tracer)
    asked.append(1)
    return base.Proposals(random_search.sample(key, _SPACE, 2))

  strategy = base.Strategy(lambda key: (), ask, lambda k, s, p, r: s,
                           jittable=False)
  _, records = search.run(_KEY, strategy, _TOY, num_rounds=2,
                          genotype=_SPACE.genotype)
  assert len(records) == 4 and len(asked) == 3
  with pytest.raises(ValueError, match='needs a jittable strategy'):
    search.scan(_KEY, strategy, _TOY, num_rounds=2)


def test_callbacks():
  children, rounds = [], []
  state, records = _run(
      4, on_child=children.append,
      on_round=lambda state, new: rounds.append((int(state.round), len(new))))
  assert children == records
  assert rounds == [(1, 2), (2, 2), (3, 2), (4, 2)]
  assert state.round == 4


@pytest.mark.parametrize('make', [lambda: _TOY, _host_evaluator])
@pytest.mark.parametrize('every', [1, 3])
def test_resuming_at_any_round_changes_nothing(tmp_path, make, every):
  expected, records = _run(evaluator=make())
  for stop in (1, 4, 8):
    folder = tmp_path / str(stop)
    _run(stop, evaluator=make(), workdir=folder, checkpoint_every=every)
    state, resumed = _run(
        evaluator=make(), workdir=folder, checkpoint_every=every)
    _assert_same(state, expected)
    assert _without_seconds(resumed) == _without_seconds(records)
    assert jsonl.read(folder / 'history.jsonl') == resumed
  # Once more: nothing is left to do.
  again, resumed = _run(
      evaluator=_host_evaluator(before=lambda n: 1 / 0), workdir=folder,
  ) if make is _host_evaluator else _run(workdir=folder)
  _assert_same(again, expected)
  assert _without_seconds(resumed) == _without_seconds(records)


def test_checkpoints_are_kept_as_asked(tmp_path):
  _run(8, workdir=tmp_path, checkpoint_every=3, keep=2)
  assert checkpoint.steps(tmp_path / _CHECKPOINTS) == [6, 8]


@pytest.mark.parametrize('crash_at', [0, 2, 8, 14])
def test_a_crash_in_a_round_costs_that_round_only(tmp_path, crash_at):

  def crash(n):
    if n == crash_at:
      raise RuntimeError('power')

  expected, records = _run(evaluator=_host_evaluator())
  with pytest.raises(RuntimeError, match='power'):
    _run(evaluator=_host_evaluator(before=crash), workdir=tmp_path)
  assert len(jsonl.read(tmp_path / 'history.jsonl')) == crash_at
  evaluated = []
  state, resumed = _run(evaluator=_host_evaluator(before=evaluated.append),
                        workdir=tmp_path)
  assert evaluated[0] == crash_at
  _assert_same(state, expected)
  assert _without_seconds(resumed) == _without_seconds(records)


def test_lines_are_written_before_the_checkpoint_of_their_round(
    tmp_path, monkeypatch):
  """Killed between the two, the round is done again, its lines once."""
  expected, records = _run()
  save = checkpoint.save

  def killed(folder, step, *args, **kwargs):
    if step == 5:
      assert len(jsonl.read(tmp_path / 'history.jsonl')) == 10
      raise SystemExit
    save(folder, step, *args, **kwargs)

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, 'save', killed)
    with pytest.raises(SystemExit):
      _run(workdir=tmp_path)
  # And half a line more.
  with open(tmp_path / 'history.jsonl', 'a', encoding='utf-8') as f:
    f.write('{"child": 10, "rou')
  state, resumed = _run(workdir=tmp_path)
  _assert_same(state, expected)
  assert resumed == records == jsonl.read(tmp_path / 'history.jsonl')


def test_interrupt_saves_the_last_completed_round(tmp_path):

  def interrupt(n):
    if n == 10:
      raise KeyboardInterrupt

  expected, _ = _run(evaluator=_host_evaluator())
  with pytest.raises(KeyboardInterrupt):
    _run(evaluator=_host_evaluator(before=interrupt), workdir=tmp_path,
         checkpoint_every=100)
  assert checkpoint.steps(tmp_path / _CHECKPOINTS) == [5]
  evaluated = []
  state, _ = _run(evaluator=_host_evaluator(before=evaluated.append),
                  workdir=tmp_path, checkpoint_every=100)
  assert evaluated == [10, 12, 14]
  _assert_same(state, expected)


def test_interrupt_before_the_first_round_is_over(tmp_path):

  def interrupt(n):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    _run(evaluator=_host_evaluator(before=interrupt), workdir=tmp_path)
  assert checkpoint.steps(tmp_path / _CHECKPOINTS) == []
  expected, _ = _run(evaluator=_host_evaluator())
  _assert_same(_run(evaluator=_host_evaluator(), workdir=tmp_path)[0], expected)


def _damage(folder, step, content=b''):
  (folder / _CHECKPOINTS / f'step_{step:08d}.msgpack').write_bytes(content)


@pytest.mark.parametrize('damaged', [[8], [8, 7], [8, 7, 6]])
def test_damaged_checkpoints_cost_rounds_but_not_the_result(tmp_path, damaged):
  expected, records = _run(workdir=tmp_path)
  for step in damaged:
    _damage(tmp_path, step)
  state, resumed = _run(workdir=tmp_path)
  _assert_same(state, expected)
  assert resumed == records == jsonl.read(tmp_path / 'history.jsonl')


@pytest.mark.parametrize('lines, start', [(15, 7), (13, 6), (5, 0), (0, 0)])
def test_a_short_history_falls_back(tmp_path, caplog, lines, start):
  expected, records = _run(evaluator=_host_evaluator(), workdir=tmp_path)
  path = tmp_path / 'history.jsonl'
  jsonl.rewrite(path, jsonl.read(path)[:lines])
  evaluated = []
  state, resumed = _run(evaluator=_host_evaluator(before=evaluated.append),
                        workdir=tmp_path)
  assert evaluated[0] == 2 * start
  assert f'history.jsonl has {lines} lines before round 8' in caplog.text
  _assert_same(state, expected)
  assert _without_seconds(resumed) == _without_seconds(records)
  assert checkpoint.steps(tmp_path / _CHECKPOINTS) == [6, 7, 8]


def test_history_without_checkpoints_starts_anew(tmp_path):
  expected, records = _run(workdir=tmp_path)
  for path in (tmp_path / _CHECKPOINTS).iterdir():
    path.unlink()
  state, resumed = _run(workdir=tmp_path)
  _assert_same(state, expected)
  assert resumed == records == jsonl.read(tmp_path / 'history.jsonl')


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, monkeypatch):
  expected, _ = _run()
  _run(4, workdir=tmp_path)
  real = os.replace

  def full(source, target):
    if str(target).endswith('.msgpack'):
      raise OSError(28, 'No space left on device')
    real(source, target)

  with monkeypatch.context() as patch:
    patch.setattr(os, 'replace', full)
    with pytest.raises(checkpoint.CheckpointError) as e:
      _run(workdir=tmp_path)
  assert str(e.value) == (
      f'could not write checkpoint of step 5 to {tmp_path}/{_CHECKPOINTS}: No '
      'space left on device; the last good checkpoint is step 4')
  _assert_same(_run(workdir=tmp_path)[0], expected)


def test_no_space_for_the_history(tmp_path, monkeypatch):
  def full(path, lines):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(jsonl, 'append', full)
  with pytest.raises(checkpoint.CheckpointError, match=(
      'could not write to .*history.jsonl: No space left on device')):
    _run(workdir=tmp_path)


def test_a_workdir_of_another_search_is_refused(tmp_path):
  _run(3, workdir=tmp_path)
  other = evolution.regularized_evolution(_SPACE, population_size=8,
                                          sample_size=3, batch_size=2)
  with pytest.raises(ValueError, match=(
      r'leaf .state.strategy.population of .* is int32\[6, 3\], expected '
      r'int32\[8, 3\]')):
    search.run(_KEY, other, _TOY, num_rounds=3, genotype=_SPACE.genotype,
               workdir=tmp_path)
  with pytest.raises(ValueError, match='search for 2 rounds, 3 are done'):
    _run(2, workdir=tmp_path)


def test_a_line_without_a_round_is_refused(tmp_path):
  (tmp_path / 'history.jsonl').write_text('{"round": 0}\n{"loss": 1}\n')
  with pytest.raises(ValueError, match="history.jsonl, line 2 has no 'round'"):
    _run(workdir=tmp_path)


@pytest.mark.parametrize('value', [np.nan, -np.inf])
def test_rewards_must_be_finite(value):
  evaluator = base.Evaluator(
      lambda key: (), lambda key, state, proposals: (base.Evaluation(
          jnp.array([1., value]), {'failed': jnp.zeros(2)}), state))
  with pytest.raises(ValueError, match=f'reward of child 1 is {value}: an '):
    _run(evaluator=evaluator)


@pytest.mark.parametrize('options, message', [
    ({'checkpoint_every': 0}, 'checkpoint_every 0'),
    ({'keep': 0}, 'keep 0 must be at least 1'),
    ({'num_rounds': -1}, 'cannot search for -1 rounds'),
])
def test_arguments_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    _run(**options)


def test_scan_refuses_evaluators_of_the_host():
  with pytest.raises(ValueError, match='needs a jittable evaluator: use run'):
    search.scan(_KEY, _STRATEGY, _host_evaluator(), num_rounds=1)
