"""Recurrent cells that are trained, one by one or by programs they share."""

import math

import jax
import numpy as np
import pytest

from nas_jax import base
from nas_jax import records
from nas_jax.data import text
from nas_jax.evaluators import children
from nas_jax.evaluators import estimate
from nas_jax.evaluators import language
from nas_jax.networks import language as networks
from nas_jax.networks import recurrent_any
from nas_jax.spaces import genotypes
from nas_jax.spaces import recurrent
from nas_jax.training import language as training
from nas_jax.training import language_recipes

_SPACE = recurrent.chain_space(1)
_RECIPE = language_recipes.LanguageRecipe(
    epochs=2, batch_size=4, bptt=5, random_lengths=False, optimizer='sgd',
    learning_rate=2., eval_batch_size=2, slowness=0., rollbacks=1)
_SIZES = networks.Sizes(4, 3, 3, init_range=.3)
_TANH, _RELU = [0, 0], [0, 1]


@pytest.fixture(scope='module')
def corpus():
  tokens = np.tile(np.array([0, 1, 2, 3, 1, 2], np.int32), 40)
  return text.Corpus('abc', 'word', tuple('abcd'), tokens, tokens[:60],
                     tokens[:30])


@pytest.fixture(scope='module')
def build():
  """Of all tests, so that only one program is compiled."""
  return recurrent_any.models('rnn_chain', _SIZES)


@pytest.fixture(scope='module')
def evaluated(corpus, build, tmp_path_factory):
  """Of two cells, one of which comes twice; and the cache."""
  cache = tmp_path_factory.mktemp('language') / 'children.jsonl'
  asked = []

  def build_(genotype):
    asked.append(genotype[0][0][0])
    return build(genotype)

  return _evaluate(_evaluator(corpus, build_, cache=cache), _TANH, _RELU,
                   _TANH), asked, cache


def _evaluator(corpus, build, recipe=_RECIPE, **options):
  return language.language(build, _SPACE.genotype, corpus, recipe, **dict(
      seed=0, reward=lambda perplexity: 80 / perplexity ** 2, floor=0.)
                           | options)


def _evaluate(evaluator, *genomes):
  found, _ = evaluator.evaluate(
      jax.random.key(1), evaluator.init(jax.random.key(1)),
      base.Proposals(np.array(genomes, np.int32)))
  return found


def test_rewards_follow_from_the_perplexity(evaluated):
  (rewards, metrics), asked, _ = evaluated
  np.testing.assert_allclose(
      rewards, 80 / metrics['validation_perplexity'] ** 2, rtol=1e-6)
  # Of four words, two of which are as frequent as the others together.
  assert (metrics['validation_perplexity'] < 4).all()
  assert metrics['failed'].tolist() == [0, 0, 0]
  assert metrics['epochs'].tolist() == [2, 2, 2]
  # Words, the matrix of the inputs, that of the node, biases.
  assert metrics['num_params'][0] == 4 * 3 + 6 * 6 + 3 * 6 + 4
  assert asked == ['tanh', 'relu']
  assert rewards[0] == rewards[2] != rewards[1]
  # The second is trained by what was compiled for the first.
  assert metrics['compile_seconds'][0] > 0 == metrics['compile_seconds'][1]


def test_a_score_is_that_of_training_by_hand(evaluated, corpus, build):
  genotype = _SPACE.genotype(np.array(_RELU))
  name = children.name_of(genotypes.to_json(genotype))
  key = jax.random.fold_in(jax.random.key(0), children.number_of(name))
  trainer = training.make(build(genotype), _RECIPE)
  state, log = training.fit(key, trainer, _RECIPE, corpus, seed=0)
  found = evaluated[0].metrics['validation_perplexity'][1]
  assert found == np.float32(math.exp(training.best(log)['validation_loss']))
  assert found == pytest.approx(training.perplexity(
      trainer, state, corpus.validation, 2), rel=1e-6)


def test_what_is_trained_is_remembered(evaluated, corpus):
  first, _, cache = evaluated
  assert [line['genotype'] for line in records.read(cache)] == [
      [[['tanh', 0]], [1]], [[['relu', 0]], [1]]]
  again = _evaluate(_evaluator(corpus, None, cache=cache), _RELU, _TANH)
  assert again.rewards.tolist() == first.rewards[1::-1].tolist()


def test_what_fails_gets_the_floor(corpus, build, tmp_path):
  def refuse(genotype):
    if genotype[0][0][0] == 'tanh':
      raise ValueError('no tanh today')
    return build(genotype)

  cache = tmp_path / 'children.jsonl'
  found = _evaluate(_evaluator(
      corpus, refuse, cache=cache, floor=-9.,
      reward=lambda perplexity: -10 * perplexity), _TANH, _RELU)
  assert found.rewards.tolist() == [-9, -9]
  assert found.metrics['failed'].tolist() == [1, 1]
  assert found.metrics['validation_perplexity'].tolist() == [0, 0]
  errors = [line['error'] for line in records.read(cache)]
  assert errors[0] == 'cannot be built: no tanh today'
  assert errors[1].startswith('the perplexity is ')
  assert errors[1].endswith('is not above the floor -9.0')


def test_a_child_that_diverges_gets_the_floor(corpus, build, monkeypatch):
  fit = training.fit

  def diverging(*args, **kwargs):
    state, log = fit(*args, **kwargs)
    return state, [line | {'loss': None} for line in log[:1]]

  monkeypatch.setattr(training, 'fit', diverging)
  found = _evaluate(_evaluator(corpus, build), _RELU)
  assert found.rewards.tolist() == [0]
  assert found.metrics['failed'].tolist() == [1]


def test_an_estimate_is_of_all_steps_and_validations(
    corpus, build, monkeypatch):
  clock = iter(np.arange(0., 1e3))
  monkeypatch.setattr(estimate.time, 'perf_counter', lambda: next(clock))
  found = estimate.of_language_child(
      build(_SPACE.genotype(np.array(_TANH))), _RECIPE, corpus, num_steps=2)
  # Every look at the clock is a second, half of it a step: 2 epochs of 240
  # words in 4 streams, in windows of 5; 60 words to validate in one go.
  assert found.train == pytest.approx(.5 * 2 * 59 / 5)
  assert found.validate == 2.
  assert estimate.line(
      found._replace(train=80., validate=10., compile=7.), 9600, 2, True
      ).startswith('estimated cost: 9,600 children x 90.0 s = 5 d 00 h ')
