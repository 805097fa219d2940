import dataclasses
import json
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import records
from nas_jax import search
from nas_jax.data import images as image_data
from nas_jax.evaluators import children
from nas_jax.evaluators import scratch
from nas_jax.networks import image
from nas_jax.spaces import cell
from nas_jax.spaces import genotypes
from nas_jax.strategies import random_search
from nas_jax.training import classify
from nas_jax.training import fit
from nas_jax.training import recipes

_SPACE = cell.space(('skip_connect', 'max_pool_3x3', 'conv_1x1'), num_nodes=1,
                    cell_types=('normal',))
_RECIPE = recipes.Recipe(
    epochs=1, batch_size=20, learning_rate=.1, crop_padding=0, flip=False,
    eval_batch_size=30)
_KEY = jax.random.key(1)
# Input a, input b, operation a, operation b of the one node.
_SKIP, _POOL, _CONV = [1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 2]


@pytest.fixture(scope='module')
def data():
  return image_data.load('digits', max_train=110, validation_size=30)


class _Build:
  """genotype -> network; remembers what it was asked for."""

  def __init__(self, data, before=lambda operations: None):
    self.asked = []
    self._data = data
    self._before = before

  def __call__(self, genotype):
    operations = tuple(name for name, _ in genotype.normal)
    self.asked.append(operations)
    self._before(operations)
    return image.cifar_net(
        tuple(genotype), image_shape=self._data.train.images.shape[1:],
        num_classes=10, num_cells=1, features=2, num_reductions=0)


def _evaluator(data, build=None, recipe=_RECIPE, **kwargs):
  return scratch.scratch(
      build or _Build(data), _SPACE.genotype, data, recipe,
      **{'seed': 0, **kwargs})


def _floor(reward):
  return scratch.Scoring(floor=reward)


def _evaluate(evaluator, *genomes, key=_KEY):
  evaluation, _ = evaluator.evaluate(
      key, evaluator.init(key),
      base.Proposals(jnp.array(genomes, jnp.int32)))
  return evaluation


def _rewards(*args, **kwargs):
  return np.asarray(_evaluate(*args, **kwargs).rewards).tolist()


def test_rewards_are_validation_accuracies(data):
  evaluation = _evaluate(_evaluator(data), _SKIP, _POOL, _CONV)
  assert evaluation.rewards.shape == (3,)
  assert evaluation.rewards.dtype == np.float32
  metrics = evaluation.metrics
  assert set(metrics) == {
      'validation_accuracy', 'train_accuracy', 'epochs', 'num_params',
      'failed', 'compile_seconds', 'train_seconds'}
  np.testing.assert_array_equal(
      evaluation.rewards, metrics['validation_accuracy'])
  # Of 30 validation images.
  counts = evaluation.rewards * 30
  np.testing.assert_allclose(counts, np.round(counts), atol=1e-4)
  assert (metrics['failed'] == 0).all() and (metrics['epochs'] == 1).all()
  assert (metrics['train_seconds'] > 0).all()
  # Stem, entry and output of unread state 0 (1x1, norm), classifier.
  small = (54 + 12) + 2 * (6 * 2 + 4) + (4 * 10 + 10)
  assert metrics['num_params'].tolist() == [small, small, small + 4 + 4]


def test_the_reward_is_that_of_training_by_hand(data):
  net = _Build(data)(_SPACE.genotype(jnp.array(_CONV)))
  evaluation = _evaluate(_evaluator(data), _CONV)
  trainer = classify.compile_trainer(net, _RECIPE, classify.task_of(data))
  name = json.dumps(genotypes.to_json(
      _SPACE.genotype(jnp.array(_CONV))))
  key = jax.random.fold_in(jax.random.key(0), children.number_of(name))
  state, log = fit.fit(key, trainer, _RECIPE, data.train, seed=0)
  assert evaluation.rewards[0] == np.float32(
      classify.evaluate(trainer, _RECIPE, state, data.validation))
  assert evaluation.metrics['train_accuracy'][0] == np.float32(
      log[0]['train_accuracy'])


def test_equal_genotypes_are_trained_once(data):
  build = _Build(data)
  evaluator = _evaluator(data, build)
  first = _evaluate(evaluator, _CONV, _POOL, _CONV)
  assert first.rewards[0] == first.rewards[2]
  again = _evaluate(evaluator, _POOL, _CONV)
  assert sorted(build.asked) == [
      ('skip_connect', 'conv_1x1'), ('skip_connect', 'max_pool_3x3')]
  assert again.rewards.tolist() == first.rewards[1::-1].tolist()
  assert again.metrics['train_seconds'][0] == first.metrics[
      'train_seconds'][1]


def test_a_score_is_a_function_of_seed_and_genotype(data):
  together = _rewards(_evaluator(data), _SKIP, _POOL, _CONV)
  assert together[::-1] == _rewards(_evaluator(data), _CONV, _POOL, _SKIP)
  other_key = _evaluator(data)
  assert together == [_rewards(other_key, genome, key=jax.random.key(i))[0]
                      for i, genome in enumerate((_SKIP, _POOL, _CONV))]
  assert together != _rewards(_evaluator(data, seed=1), _SKIP, _POOL, _CONV)


@pytest.mark.parametrize('execution', ['blocks', 'whole'])
def test_compiling_ahead_changes_nothing(data, execution):
  ahead, in_turn = [
      _evaluate(_evaluator(data, execution=execution, compile_ahead=c),
                _CONV, _POOL) for c in (True, False)]
  assert ahead.rewards.tolist() == in_turn.rewards.tolist()
  for name in set(ahead.metrics) - {'compile_seconds', 'train_seconds'}:
    assert ahead.metrics[name].tolist() == in_turn.metrics[name].tolist()


def test_a_second_evaluator_reads_the_cache(data, tmp_path):
  cache = tmp_path / 'children.jsonl'
  first = _evaluate(_evaluator(data, cache=cache), _CONV, _POOL)
  lines = records.read(cache)
  assert [line['genotype']['normal'][1][0] for line in lines] == [
      'conv_1x1', 'max_pool_3x3']
  assert set(lines[0]) == {'genotype', 'reward', 'metrics', 'seconds', 'error'}
  assert lines[0]['error'] is None
  build = _Build(data)
  second = _evaluate(_evaluator(data, build, cache=cache), _POOL, _CONV)
  assert build.asked == []
  assert second.rewards.tolist() == first.rewards[::-1].tolist()
  for name in first.metrics:
    assert second.metrics[name].tolist() == first.metrics[name][::-1].tolist()
  assert records.read(cache) == lines


def test_a_line_cut_short_is_trained_again(data, tmp_path):
  cache = tmp_path / 'children.jsonl'
  first = _rewards(_evaluator(data, cache=cache), _CONV, _POOL)
  text = cache.read_text()
  cache.write_text(text[:-30])
  build = _Build(data)
  evaluator = _evaluator(data, build, cache=cache)
  assert len(records.read(cache)) == 1
  assert _rewards(evaluator, _CONV, _POOL) == first
  assert build.asked == [('skip_connect', 'max_pool_3x3')]
  assert len(records.read(cache)) == 2


@pytest.mark.parametrize('line, message', [
    ('{"genotype": [', 'line 1 is not JSON'),
    ('{"reward": 1}', "line 1 is not a trained child: {'reward': 1}"),
    ('3', 'line 1 is not a trained child: 3')])
def test_a_damaged_cache_is_an_error(data, tmp_path, line, message):
  cache = tmp_path / 'children.jsonl'
  cache.write_text(line + '\n{}\n')
  with pytest.raises(ValueError, match=re.escape(message)):
    _evaluator(data, cache=cache)
  assert cache.read_text() == line + '\n{}\n'


def _assert_failed(evaluation, expected):
  assert evaluation.metrics['failed'].tolist() == expected
  assert np.isfinite(evaluation.rewards).all()
  for name, values in evaluation.metrics.items():
    assert np.isfinite(values).all(), name


def test_a_diverged_child_gets_the_floor(data, tmp_path):
  recipe = dataclasses.replace(_RECIPE, learning_rate=1e20, epochs=3)
  cache = tmp_path / 'children.jsonl'
  evaluation = _evaluate(
      _evaluator(data, recipe=recipe, scoring=_floor(-2.), cache=cache), _CONV)
  assert evaluation.rewards.tolist() == [-2.]
  _assert_failed(evaluation, [1.])
  assert evaluation.metrics['validation_accuracy'][0] == 0
  assert evaluation.metrics['num_params'][0] == 156
  assert records.read(cache)[0]['error'].startswith('diverged in epoch')


def test_a_child_that_cannot_be_built_gets_the_floor(data, tmp_path):
  def refuse(operations):
    if 'max_pool_3x3' in operations:
      raise ValueError('no pools today')
  cache = tmp_path / 'children.jsonl'
  evaluation = _evaluate(_evaluator(
      data, _Build(data, refuse), scoring=_floor(-1.), cache=cache), _POOL,
      _CONV)
  assert evaluation.rewards[0] == -1 and evaluation.rewards[1] > 0
  _assert_failed(evaluation, [1., 0.])
  assert [c['error'] for c in records.read(cache)] == [
      'cannot be built: no pools today', None]


_MEMORY_ERRORS = [
    MemoryError('no room'),
    jax.errors.JaxRuntimeError(
        'RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.\nmore'),
]


@pytest.mark.parametrize('error', _MEMORY_ERRORS, ids=type)
@pytest.mark.parametrize('where', ['build', 'train'])
def test_a_child_that_does_not_fit_in_memory_gets_the_floor(
    data, monkeypatch, tmp_path, error, where):
  def fail(operations):
    if 'max_pool_3x3' in operations and where == 'build':
      raise error

  train = fit.fit

  def fit_(key, trainer, *args, **kwargs):
    if where == 'train' and len(calls) == 0:
      calls.append(0)
      raise error
    return train(key, trainer, *args, **kwargs)

  calls = []
  monkeypatch.setattr(fit, 'fit', fit_)
  cache = tmp_path / 'children.jsonl'
  evaluation = _evaluate(_evaluator(
      data, _Build(data, fail), scoring=_floor(-1.), cache=cache), _POOL,
      _CONV)
  assert evaluation.rewards[0] == -1 and evaluation.rewards[1] > 0
  _assert_failed(evaluation, [1., 0.])
  text = records.read(cache)[0]['error']
  assert text == f'out of memory: {str(error).splitlines()[0]}'


@pytest.mark.parametrize('error', [
    TypeError('a defect'), jax.errors.JaxRuntimeError('INTERNAL: a defect')],
    ids=type)
@pytest.mark.parametrize('compile_ahead', [True, False])
def test_any_other_error_stops_the_search(data, error, compile_ahead):
  def fail(operations):
    raise error
  evaluator = _evaluator(
      data, _Build(data, fail), compile_ahead=compile_ahead)
  with pytest.raises(type(error), match='a defect'):
    _evaluate(evaluator, _POOL, _CONV)


def test_a_value_error_in_training_is_a_defect(data):
  recipe = dataclasses.replace(_RECIPE, batch_size=200)
  with pytest.raises(ValueError, match='batch_size 200 exceeds the 80 images'):
    _evaluate(_evaluator(data, recipe=recipe, execution='whole'), _SKIP)


def test_failed_children_do_not_stop_a_search(data):
  def refuse(operations):
    if operations[0] == 'conv_1x1':
      raise ValueError('no')
  evaluator = _evaluator(data, _Build(data, refuse), scoring=_floor(-1.))
  state, history = search.run(
      _KEY, random_search.random_search(_SPACE, batch_size=4), evaluator,
      num_rounds=3, genotype=_SPACE.genotype)
  failed = [r['metrics']['failed'] for r in history]
  assert len(failed) == 12 and 0 < sum(failed) < 12
  for record in history:
    refused = record['genotype']['normal'][0][0] == 'conv_1x1'
    assert record['metrics']['failed'] == refused
    assert (record['reward'] == -1) == refused
  assert float(state.best_reward) == max(r['reward'] for r in history) > 0


def test_a_reward_of_ones_own(data):
  seen = []

  def reward(outcome):
    seen.append(outcome)
    return math.exp(outcome.records[-1]['loss'])

  evaluation = _evaluate(
      _evaluator(data, scoring=scratch.Scoring(reward=reward)), _CONV)
  (outcome,) = seen
  assert outcome.accuracy == pytest.approx(
      float(evaluation.metrics['validation_accuracy'][0]))
  assert len(outcome.records) == 1
  assert outcome.genotype == _SPACE.genotype(np.array(_CONV))
  # Cross-entropy of a network that knows little.
  assert 1 < outcome.loss < 5
  assert evaluation.rewards[0] > 2
  assert evaluation.metrics['failed'][0] == 0


def test_patience_takes_the_best_epoch(data, monkeypatch):
  recipe = dataclasses.replace(_RECIPE, epochs=6, patience=2)
  scores = iter([.3, .5, .4, .2, .9, .9])
  monkeypatch.setattr(classify, 'evaluate', lambda *args: next(scores))
  monkeypatch.setattr(classify, 'measure', lambda *args: (.1, 1.))
  evaluation = _evaluate(_evaluator(data, recipe=recipe), _CONV)
  assert evaluation.rewards[0] == np.float32(.5)
  assert evaluation.metrics['epochs'][0] == 4


@pytest.mark.parametrize('compile_ahead', [True, False])
def test_an_interrupt_keeps_the_finished_children(
    data, monkeypatch, tmp_path, compile_ahead):
  train = fit.fit
  calls = []

  def fit_(*args, **kwargs):
    calls.append(0)
    if len(calls) == 3:
      raise KeyboardInterrupt
    return train(*args, **kwargs)

  monkeypatch.setattr(fit, 'fit', fit_)
  cache = tmp_path / 'children.jsonl'
  evaluator = _evaluator(data, cache=cache, compile_ahead=compile_ahead)
  with pytest.raises(KeyboardInterrupt):
    _evaluate(evaluator, _CONV, _POOL, _SKIP)
  assert len(records.read(cache)) == 2
  # The same evaluator, and a new one, go on from there.
  rewards = _rewards(evaluator, _CONV, _POOL, _SKIP)
  assert len(calls) == 4
  assert _rewards(_evaluator(data, cache=cache), _CONV, _POOL, _SKIP) == rewards
  assert len(calls) == 4
  assert rewards == _rewards(_evaluator(data), _CONV, _POOL, _SKIP)


def test_bad_arguments_are_refused_at_once(data):
  with pytest.raises(ValueError, match=re.escape(
      "execution is 'fast', expected one of auto, whole, blocks")):
    _evaluator(data, execution='fast')
  with pytest.raises(ValueError, match='99 devices asked for'):
    _evaluator(data, num_devices=99)


def test_the_best_of_the_last_epochs(data, monkeypatch):
  recipe = dataclasses.replace(_RECIPE, epochs=4)
  scores = iter([.5, .4])
  monkeypatch.setattr(classify, 'evaluate', lambda *args: next(scores))
  evaluation = _evaluate(_evaluator(
      data, recipe=recipe, scoring=scratch.Scoring(validate_last=2)), _CONV)
  assert evaluation.rewards[0] == np.float32(.5)
  assert evaluation.metrics['epochs'][0] == 4


def test_a_child_no_better_than_chance_starts_again(data, monkeypatch):
  rates, scores = [], iter([.1, .05, .2])
  train_epoch = classify.train_epoch

  def watched(key, trainer, recipe, state, split, **kwargs):
    rates.append(recipe.learning_rate)
    return train_epoch(key, trainer, recipe, state, split, **kwargs)

  monkeypatch.setattr(classify, 'train_epoch', watched)
  monkeypatch.setattr(classify, 'evaluate', lambda *args: next(scores))
  monkeypatch.setattr(classify, 'measure', lambda *args: (.7, 1.))
  recipe = dataclasses.replace(_RECIPE, epochs=2)
  evaluation = _evaluate(_evaluator(
      data, recipe=recipe, scoring=scratch.Scoring(retries=3)), _CONV)
  # Twice one epoch for nothing; the last epoch of the third attempt counts.
  assert rates == pytest.approx([.1, .04, .016, .016])
  assert evaluation.rewards[0] == np.float32(.7)


def test_the_last_attempt_is_kept(data, monkeypatch):
  monkeypatch.setattr(classify, 'evaluate', lambda *args: 0.)
  evaluation = _evaluate(_evaluator(
      data, scoring=scratch.Scoring(retries=1)), _CONV)
  assert evaluation.metrics['epochs'][0] == 1
  assert evaluation.metrics['failed'][0] == 0


def test_every_child_has_a_fold_of_its_own(data, monkeypatch):
  seen = {}
  train = fit.fit

  def watched(key, trainer, recipe, split, **kwargs):
    seen[len(seen)] = (np.asarray(split.images),
                       np.asarray(kwargs['validation'].images))
    return train(key, trainer, recipe, split, **kwargs)

  monkeypatch.setattr(fit, 'fit', watched)
  genomes = [_SKIP, _POOL, _CONV, [0, 1, 0, 0], [1, 0, 1, 2]]
  _evaluate(_evaluator(data, scoring=scratch.Scoring(folds=5)), *genomes)
  everything = sorted(x.tobytes() for x in np.concatenate(
      [data.train.images, data.validation.images]))
  for train_images, validation_images in seen.values():
    assert (len(train_images), len(validation_images)) == (88, 22)
    assert everything == sorted(x.tobytes() for x in np.concatenate(
        [train_images, validation_images]))
  assert len({v.tobytes() for _, v in seen.values()}) > 1


def test_a_reward_that_is_not_finite_is_a_failure(data):
  evaluator = _evaluator(data, scoring=scratch.Scoring(
      reward=lambda outcome: math.nan, floor=-3.))
  evaluation = _evaluate(evaluator, _CONV)
  assert evaluation.rewards[0] == -3
  assert evaluation.metrics['failed'][0] == 1


def test_one_fold_is_refused(data):
  with pytest.raises(ValueError, match='folds is 1, expected 0 or at least 2'):
    _evaluator(data, scoring=scratch.Scoring(folds=1))
