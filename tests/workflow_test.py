"""Parts of a run: costs, selection, and what is checked before it."""

import dataclasses

import numpy as np
import pytest

from experiments import amoeba
from nas_jax import cells_on_images
from nas_jax import checkpoint
from nas_jax import finals
from nas_jax import problem
from nas_jax import workflow
from nas_jax.data import images
from nas_jax.evaluators import estimate
from nas_jax.spaces import discrete

_SMOKE = {k: v for k, v in amoeba.SMOKE.items()
          if k in cells_on_images.Settings.__dataclass_fields__}


def _settings(**options):
  return cells_on_images.Settings(**_SMOKE | options)


@pytest.fixture(scope='module')
def digits():
  return images.load('digits')


@pytest.fixture
def beside_random(tmp_path, monkeypatch):
  """A run of two searches that find their names, with what it calls."""
  calls = []
  space = discrete.space(((0, 1),) * 4)

  def named(name, result):
    return lambda *given: (calls.append(name), result)[1]

  def search_children(folder, strategy, evaluator, space, settings, label):
    assert evaluator == 'theirs'
    calls.append((folder, strategy if label == 'ones' else None))
    return [f'children of {label}']

  monkeypatch.setattr(workflow, 'search_children', search_children)
  return calls, lambda scale, baseline=True: workflow.search_beside_random(
      tmp_path, problem.Settings(
          scale=scale, num_children=4, children_per_round=2), space,
      named('strategy', 'own'), make_evaluator=named('evaluator', 'theirs'),
      time_child=named('time', estimate.Estimate(1., 2., 3.)),
      finish=lambda runs: runs, experiment='ones', baseline=baseline)


def test_a_search_stands_beside_a_random_one(tmp_path, beside_random):
  calls, run = beside_random
  other = tmp_path / 'random_search'
  assert run('smoke') == {
      'result': (tmp_path, 'ones', ['children of ones']),
      'random_search': (other, 'random search', ['children of random search'])}
  assert calls == ['strategy', 'evaluator', (tmp_path, 'own'), (other, None)]


def test_or_alone(tmp_path, beside_random):
  calls, run = beside_random
  assert list(run('smoke', baseline=False)) == ['result']
  assert calls == ['strategy', 'evaluator', (tmp_path, 'own')]


def test_the_cost_is_measured_at_the_published_scale(beside_random, capsys):
  calls, run = beside_random
  run('paper')
  assert calls[:3] == ['strategy', 'time', 'evaluator']
  assert ('estimated cost: 4 children x 5.0 s = 20 s on 1 device(s)'
          in capsys.readouterr().out)


def test_a_finished_run_evaluates_nothing(beside_random, monkeypatch):
  monkeypatch.setattr(workflow, 'begin', lambda *_, **__: {'done': 1})
  calls, run = beside_random
  assert run('paper') == {'done': 1}
  assert calls == ['strategy']


def _record(child, genotype, reward, compiling=1., training=2., failed=0.):
  return {'child': child, 'genotype': genotype, 'reward': reward,
          'metrics': {'failed': failed, 'validation_accuracy': reward},
          'seconds': {'compile': compiling, 'train': training}}


def test_a_child_is_paid_once():
  histories = {
      'result': [_record(0, [1], .5), _record(1, [2], .6), _record(2, [1], .5)],
      'random_search': [_record(0, [2], .6), _record(1, [3], .1, 4., 8.)]}
  results = {'result': ({}, {'selection': 16., 'retrain': 32.}),
             'random_search': ({}, {'selection': 64., 'retrain': 128.})}
  assert workflow.costs(histories, results) == {
      'search_seconds': 6., 'compile_seconds': 2., 'train_seconds': 4.,
      'selection_seconds': 16., 'retrain_seconds': 32.,
      'random_search_seconds': 12., 'random_selection_seconds': 64.,
      'random_retrain_seconds': 128., 'total_seconds': 258.}


def test_the_count_is_of_different_children():
  assert workflow.count_children([
      _record(0, [1], .5), _record(1, [2], .6), _record(2, [1], .5),
      _record(3, [3], 0., failed=1.), _record(4, [4], .6)]) == {
          'num_children': 5, 'num_trained': 4, 'num_failed': 1,
          'best_reward': .6, 'best_child': 1}


def test_done_is_what_the_newest_checkpoint_says(tmp_path):
  assert workflow._done(tmp_path, 'search') == 0
  for step in (2, 5):
    checkpoint.save(tmp_path / 'checkpoints' / 'search', step, {'a': 1})
  assert workflow._done(tmp_path, 'search') == 5


@pytest.mark.parametrize('num_finalists, chosen, validation', [
    (1, 'b', .9), (2, 'b', .3), (3, 'c', .4), (9, 'c', .4)])
def test_finalists_compete_on_validation(
    tmp_path, monkeypatch, digits, num_finalists, chosen, validation):
  """By the accuracy of the retrained network; the test split decides none."""
  history = [_record(i, {'name': name}, reward) for i, (name, reward) in
             enumerate([('a', .8), ('b', .9), ('b', .9), ('c', .7)])]
  accuracies = {'a': .3, 'b': .3, 'c': .4}
  trained = []

  def train(folder, job, split, label):
    trained.append((folder.name, job, len(split.labels)))

    def evaluate(split):
      assert split is data.validation
      return accuracies[job]

    return finals.Outcome(evaluate, 2.)

  data = digits
  monkeypatch.setattr(workflow.genotypes, 'from_json', lambda value: value)
  monkeypatch.setattr(workflow.genotypes, 'save', lambda *_: None)
  monkeypatch.setattr(workflow.finals, 'train', train)
  monkeypatch.setattr(
      workflow.finals, 'train_and_test',
      lambda folder, job, data, label: ({'job': job}, 5.))
  made = _problem(digits, lambda genotype: [genotype['name']])
  result, seconds = workflow._finish(
      tmp_path, history, made, num_finalists, 'x')
  assert result == {'validation_accuracy': validation, 'job': chosen}
  competing = min(num_finalists, 3) if num_finalists > 1 else 0
  assert seconds == {'selection': 2. * competing, 'retrain': 5.}
  size = len(digits.train.labels)
  assert trained == [('00', 'b', size), ('01', 'a', size),
                     ('02', 'c', size)][:competing]


def test_ways_to_train_the_result_compete_too(tmp_path, monkeypatch, digits):
  history = [_record(0, {'name': 'a'}, .8), _record(1, {'name': 'b'}, .9)]
  accuracies = {'a0': .1, 'a1': .7, 'b0': .6, 'b1': .7}
  monkeypatch.setattr(workflow.genotypes, 'from_json', lambda value: value)
  saved = []
  monkeypatch.setattr(workflow.genotypes, 'save',
                      lambda path, *rest: saved.append(rest))
  monkeypatch.setattr(
      workflow.finals, 'train', lambda folder, job, split, label:
      finals.Outcome(lambda split: accuracies[job], 1.))
  monkeypatch.setattr(
      workflow.finals, 'train_and_test',
      lambda folder, job, data, label: ({'job': job}, 5.))
  made = _problem(
      digits, lambda genotype: [f'{genotype["name"]}{i}' for i in range(2)])
  result, seconds = workflow._finish(tmp_path, history, made, 2, 'x')
  # Of two as good the first, which is the better child's.
  assert result == {'validation_accuracy': .7, 'job': 'b1'}
  assert saved == [({'name': 'b'}, 'amoebanet')]
  assert seconds == {'selection': 4., 'retrain': 5.}


def test_a_failed_child_is_never_the_result(tmp_path, digits):
  history = [_record(0, [1], 0., failed=1.), _record(1, [2], 0., failed=1.)]
  with pytest.raises(ValueError, match='all 2 children of x failed'):
    workflow._finish(tmp_path, history, _problem(digits, None), 1, 'x')


def _problem(data, final_jobs):
  return problem.Problem(
      None, data, None, None, 'amoebanet', final_jobs)


def test_recipes_follow_the_settings(digits):
  settings = _settings(patience=3, final_cutout_length=2, weight_decay=.25)
  child = cells_on_images.child_recipe(settings, digits)
  final = cells_on_images.final_recipe(settings, digits)
  assert (child.epochs, child.batch_size, child.patience) == (3, 64, 3)
  assert (final.epochs, final.cutout_length, final.patience) == (12, 2, None)
  assert final.drop_path_keep == settings.final_drop_path_keep
  for recipe in (child, final):
    assert recipe.weight_decay == .25
    assert (recipe.crop_padding, recipe.flip) == (1, False)  # 8 pixels, digits
    assert recipe.eval_batch_size == len(digits.validation.labels)


def test_augmentation_can_be_chosen(digits):
  recipe = cells_on_images.child_recipe(
      _settings(crop_padding=0, flip=True), digits)
  assert (recipe.crop_padding, recipe.flip) == (0, True)
  other = cells_on_images.child_recipe(
      _settings(dataset='cifar10'), digits)
  assert other.flip


def test_networks_follow_the_settings(digits):
  settings = _settings(num_nodes=2, num_reductions=1, final_num_cells=2)
  space = cells_on_images.space(settings)
  genotype = space.genotype(np.zeros(len(space.choices), np.int32))
  assert len(space.choices) == 2 * 2 * 4
  names = lambda net: {node.name.split('_')[0] for node in net.nodes
                       if node.name.startswith('cell')}
  child = cells_on_images.child_network(genotype, settings, digits)
  final = cells_on_images.final_network(genotype, settings, digits)
  assert names(child) == {'cell0', 'cell1', 'cell2'}
  # Whatever the last cells do not read is left out of the graph.
  assert names(final) <= {f'cell{i}' for i in range(5)}
  assert final.image_shape == (8, 8, 1) and final.auxiliary is None
  assert final.nodes[-1].shape == (10,)


@pytest.mark.parametrize('name, value, message', [
    ('num_nodes', 0, 'num_nodes is 0, expected at least 1'),
    ('num_reductions', -1, 'num_reductions is -1, expected at least 0'),
    ('crop_padding', -1, 'crop_padding is -1, expected at least 0'),
    ('final_features', 3, 'final_features is 3, expected at least 4'),
])
def test_settings_are_checked(name, value, message):
  with pytest.raises(ValueError) as e:
    _settings(**{name: value})
  assert str(e.value) == message


def test_settings_are_frozen():
  with pytest.raises(dataclasses.FrozenInstanceError):
    _settings().seed = 3
