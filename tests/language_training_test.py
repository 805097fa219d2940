import math
import re

import numpy as np
import pytest

from nas_jax import language_training
from nas_jax import records
from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.spaces import preset as presets
from nas_jax.training import language_recipes

_PRESET = presets.Preset('rnn_chain', ((('tanh', 0),), (1,)))
_RECIPE = language_recipes.load(
    'fast', epochs=2, batch_size=4, bptt=6, eval_batch_size=3)


def _corpus(**changes):
  tokens = np.cumsum(np.arange(361) % 3).astype(np.int32) % 5
  return text.Corpus('counting', 'word', tuple('abcde'), *np.split(
      tokens, (241, 301)))._replace(**changes)


def _job(corpus, preset=_PRESET, recipe=_RECIPE):
  return language_training.job_of(
      preset, language.Sizes(len(corpus.vocabulary), 4, 4), recipe, corpus,
      seed=1, recipe_name='fast')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  folder = tmp_path_factory.mktemp('trained')
  corpus = _corpus(source_losses=(1., math.log(2.)))
  return folder, language_training.train_and_test(
      folder, _job(corpus), corpus, 'counting')


def test_what_a_training_comes_to(trained):
  folder, (result, seconds) = trained
  assert list(result) == [
      'validation_perplexity', 'test_perplexity', 'num_params', 'epochs',
      'num_test_tokens', 'excess_percent']
  # 5 x 4 words, their biases, 8 x 8 and 4 x 8 weights.
  assert result['num_params'] == 20 + 5 + 64 + 32
  assert result['num_test_tokens'] == 60 and result['epochs'] in (1, 2)
  assert 1 < result['test_perplexity'] < 6
  assert result['excess_percent'] == pytest.approx(
      100 * (result['test_perplexity'] / 2 - 1))
  config = records.read_json(folder / 'network.json')
  assert config['recipe']['name'] == 'fast' and config['seed'] == 1
  assert config['vocabulary'] == list('abcde')
  lines = records.read(folder / 'training.jsonl')
  assert len(lines) == 2
  assert seconds == pytest.approx(sum(line['seconds'] for line in lines))
  assert result['validation_perplexity'] == pytest.approx(min(
      line['validation_perplexity'] for line in lines))


def test_it_is_tested_once(trained, monkeypatch):
  folder, found = trained
  monkeypatch.setattr(language_training, 'train', None)
  corpus = _corpus(source_losses=(1., math.log(2.)))
  assert language_training.train_and_test(
      folder, _job(corpus), corpus, 'counting') == found


def test_a_trained_model_is_evaluated_as_it_was_tested(trained):
  folder, (result, _) = trained
  model = language_training.load(folder)
  assert language_training.evaluate(model, _corpus()) == pytest.approx(
      result['test_perplexity'], rel=1e-6)
  assert language_training.evaluate(
      model, _corpus(), 'validation', 3) == pytest.approx(
          result['validation_perplexity'], rel=1e-6)


@pytest.mark.parametrize('changes, message', [
    (dict(name='letters', vocabulary=tuple('abcdxy')),
     'the model was trained on counting with a vocabulary of 5, but that of '
     "letters has 6; only one of them has 'e'. A model is tested on a text of "
     'its own vocabulary; to train the cell on another text name this folder '
     'as --architecture'),
    (dict(name='other', vocabulary=tuple('edcba')),
     'the model was trained on counting with a vocabulary of 5, but that of '
     'other has 5; their order differs. A model '),
    (dict(unit='character'),
     'the model predicts words, but counting was read by the character'),
    (dict(test=np.zeros(1, np.int32)),
     'a text of 1 tokens is too short for batch_size 1: '),
])
def test_texts_on_which_it_cannot_be_evaluated(trained, changes, message):
  model = language_training.load(trained[0])
  with pytest.raises(ValueError, match=f'^{re.escape(message)}'):
    language_training.evaluate(model, _corpus(**changes))


def test_characters_have_bits(tmp_path):
  corpus = _corpus(unit='character')
  result, _ = language_training.train_and_test(
      tmp_path, _job(corpus), corpus, 'characters')
  assert result['test_bits_per_character'] == pytest.approx(
      math.log2(result['test_perplexity']))


def test_a_training_that_diverges_has_no_numbers(tmp_path):
  corpus = _corpus(source_losses=(1., 1.), unit='character')
  recipe = language_recipes.load(
      'fast', epochs=2, batch_size=4, bptt=6, eval_batch_size=3,
      learning_rate=1e38)
  result, _ = language_training.train_and_test(
      tmp_path, _job(corpus, recipe=recipe), corpus, 'diverges')
  assert result['epochs'] == 0
  assert [result[name] for name in (
      'validation_perplexity', 'test_perplexity', 'test_bits_per_character',
      'excess_percent')] == [None] * 4


def test_folders_without_a_model(tmp_path):
  with pytest.raises(ValueError, match='holds no trained language model'):
    language_training.load(tmp_path)
  records.write_json(tmp_path / 'network.json', {'family': 'darts'})
  assert not language_training.is_language(tmp_path)
  corpus = _corpus()
  records.write_json(tmp_path / 'network.json', _job(corpus).config)
  with pytest.raises(ValueError, match='is not finished: the command in its'):
    language_training.load(tmp_path)


@pytest.mark.parametrize('changes, message', [
    (dict(vocabulary=tuple('abcdef')), 'the model knows 5 tokens, but '
     'counting has 6'),
    (dict(train=np.zeros(20, np.int32)), 'a text of 20 tokens gives each of '
     'the 4 rows of a batch 5, but a window of bptt 6 needs 7'),
])
def test_texts_that_a_job_cannot_use(changes, message):
  with pytest.raises(ValueError, match=f'^{re.escape(message)}'):
    language_training.job_of(
        _PRESET, language.Sizes(5, 4, 4), _RECIPE, _corpus(**changes),
        seed=0, recipe_name='fast')


def test_too_little_memory_says_what_to_change(tmp_path, monkeypatch):
  def fail(*args, **kwargs):
    raise MemoryError('no room')
  monkeypatch.setattr(language_training.training, 'fit', fail)
  with pytest.raises(ValueError, match=(
      r'^out of memory with 4 streams of 6 steps \(no room\). Choose a '
      '--batch_size below 4, or a --bptt below 6$')):
    language_training.train(tmp_path, _job(_corpus()), _corpus(), 'x')
