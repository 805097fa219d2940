"""What a search of recurrent cells is concluded with."""

import math

import numpy as np
import pytest

from nas_jax import language_problem
from nas_jax import language_training
from nas_jax import language_workflow
from nas_jax import records
from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent
from nas_jax.training import language_recipes

_CELLS = {name: ((('tanh', 0), (name, 1)), (1, 2))
          for name in ('tanh', 'relu', 'sigmoid')}
_TOKENS = np.tile(np.array([0, 1, 2, 1], np.int32), 50)
_CORPUS = text.Corpus(
    'abc', 'word', tuple('abc'), _TOKENS, _TOKENS[:40], _TOKENS[:60],
    entropy=math.log(1.5), source_losses=(math.log(1.25), math.log(1.75)))


def _problem(**options):
  recipe = language_recipes.load(
      'fast', batch_size=2, bptt=4, learning_rate=.125)
  return language_problem.Problem(
      recurrent.chain_space(2), _CORPUS, 'rnn_chain', None, recipe,
      language.Sizes(3, 4, 4), recipe, None, 0.)._replace(**options)


def _history(*names):
  return [{
      'child': i, 'round': i, 'genotype': genotypes.to_json(_CELLS[name]),
      'reward': 1 - .1 * i, 'metrics': {'failed': 0.},
      'seconds': {'compile': 1., 'train': 2.}} for i, name in enumerate(names)]


@pytest.fixture
def trained(monkeypatch):
  """What is trained instead, and how: the perplexity is that of the cell."""
  calls = []
  perplexities = {'tanh': 3., 'relu': 2., 'sigmoid': 4.}

  def name_of(job):
    genotype = job.config['genotype']
    return genotype[0][1][0] if genotype else 'LSTM'

  def train(folder, job, corpus, label):
    calls.append((folder.name, name_of(job), job.recipe.learning_rate))
    (folder / 'checkpoints' / 'training').mkdir(parents=True)
    for name in ('network.json', 'training.jsonl',
                 'checkpoints/training/00001'):
      (folder / name).write_text(name_of(job))
    return language_training.Outcome(
        perplexities[name_of(job)] + job.recipe.learning_rate, None, 1, 8.)

  def train_and_test(folder, job, corpus, label):
    folder.mkdir(exist_ok=True)
    calls.append((folder.name, name_of(job), job.recipe.learning_rate))
    return {'validation_perplexity': 2., 'test_perplexity': 2.5,
            'num_params': job.model.num_params}, 16.

  monkeypatch.setattr(language_training, 'train', train)
  monkeypatch.setattr(language_training, 'train_and_test', train_and_test)
  return calls


def _conclude(folder, problem, num_finalists=1):
  settings = language_problem.Settings(
      scale='smoke', num_finalists=num_finalists)
  other = folder / 'random_search'
  other.mkdir()
  return language_workflow.conclude(folder, settings, problem, {
      'result': (folder, 'own', _history('tanh', 'relu')),
      'random_search': (other, 'random search', _history('relu', 'sigmoid'))},
      experiment='own', cost={'search_seconds': 100.}, more={'more': 1})


def test_everything_is_trained_in_the_same_way(tmp_path, trained):
  summary = _conclude(tmp_path, _problem())
  assert trained == [(tmp_path.name, 'tanh', .125),
                     ('random_search', 'relu', .125), ('lstm', 'LSTM', .125)]
  assert presets.load(tmp_path)[:2] == ('rnn_chain', _CELLS['tanh'])
  assert summary['result'] == {
      'validation_perplexity': 2., 'test_perplexity': 2.5,
      # Words, inputs, two nodes, biases.
      'num_params': 3 * 4 + 8 * 8 + 2 * 4 * 8 + 3}
  # An LSTM of 4 units has 159 parameters, one of 3 has 96.
  assert summary['beside']['LSTM of equal size']['num_params'] == 159
  assert summary['beside']['the source of the text'] == {
      'validation_perplexity': pytest.approx(1.25),
      'test_perplexity': pytest.approx(1.75)}
  assert summary['best_possible_perplexity'] == pytest.approx(1.5)
  # After b comes a or c, after the others b.
  assert 1.3 < summary['beside']['bigrams']['test_perplexity'] < 1.6
  assert 2.7 < summary['beside']['unigrams']['test_perplexity'] < 2.9
  assert summary['more'] == 1
  assert summary['search'] == {
      'num_children': 2, 'num_trained': 2, 'num_failed': 0,
      'best_reward': 1., 'best_child': 0}
  assert summary['cost'] == {
      'search_seconds': 106., 'compile_seconds': 2., 'train_seconds': 4.,
      'selection_seconds': 0., 'retrain_seconds': 16.,
      'random_search_seconds': 3., 'random_selection_seconds': 0.,
      'random_retrain_seconds': 16., 'lstm_seconds': 16.,
      'total_seconds': 157.}
  assert records.read_json(tmp_path / 'summary.json') == summary
  page = (tmp_path / 'report.html').read_text()
  assert 'the source of the text' in page and 'training the LSTM' in page


def test_the_best_finalist_on_validation_is_tested(tmp_path, trained):
  ways = [{'learning_rate': .5}, {'learning_rate': .25, 'init_range': .5}]
  summary = _conclude(tmp_path, _problem(final_changes=ways), 2)
  assert trained[:5] == [
      ('00', 'tanh', .5), ('01', 'tanh', .25), ('02', 'relu', .5),
      ('03', 'relu', .25), (tmp_path.name, 'relu', .25)]
  assert trained[5:][-2:] == [('random_search', 'relu', .25),
                              ('lstm', 'LSTM', .125)]
  assert presets.load(tmp_path).genotype == _CELLS['relu']
  # Its training is not done again.
  for name in ('network.json', 'training.jsonl', 'checkpoints/training/00001'):
    assert (tmp_path / name).read_text() == 'relu'
  assert summary['cost']['selection_seconds'] == 32.
  assert summary['cost']['retrain_seconds'] == 0.


def test_a_run_of_which_all_children_fail(tmp_path, trained):
  history = _history('tanh')
  history[0]['metrics']['failed'] = 1.
  with pytest.raises(ValueError, match='all 1 children of own failed'):
    language_workflow.conclude(
        tmp_path, language_problem.Settings(), _problem(),
        {'result': (tmp_path, 'own', history)}, experiment='own')
  assert not trained


def test_the_ways_to_train_change_recipe_and_sizes():
  sizes, recipe = language_problem.changed(
      _problem(), {'init_range': .5, 'drop_output': .25})
  assert sizes == language.Sizes(3, 4, 4, init_range=.5)
  assert recipe == language_recipes.load(
      'fast', batch_size=2, bptt=4, learning_rate=.125, drop_output=.25)


def test_a_text_without_a_source_has_no_limit():
  corpus = _CORPUS._replace(entropy=None, source_losses=None)
  assert language_workflow.least(corpus) is None
  assert list(language_workflow.yardsticks(corpus)) == ['bigrams', 'unigrams']
