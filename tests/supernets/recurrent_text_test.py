"""Cells that share weights, on a text that counts in circles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.supernets import recurrent_shared
from nas_jax.supernets import recurrent_text
from nas_jax.training import language_recipes

_RECIPE = language_recipes.LanguageRecipe(
    epochs=2, batch_size=2, bptt=4, optimizer='sgd', learning_rate=5.,
    random_lengths=False, slowness=0.)
_GENOMES = np.array([[0, 0, 1, 1], [0, 1, 0, 3], [0, 2, 1, 3]], np.int32)


def _corpus(train=80, validation=40):
  count = lambda n: np.arange(n, dtype=np.int32) % 5
  return text.Corpus('circle', 'word', tuple('abcde'), count(train),
                     count(validation), count(20))


@pytest.fixture(scope='module')
def weights():
  return recurrent_shared.make(2, language.Sizes(5, 6, 6), _RECIPE)


@pytest.fixture(scope='module')
def params(weights):
  return weights.init(jax.random.key(0))


@pytest.fixture(scope='module')
def read():
  return recurrent_text.read(_corpus(), _RECIPE)


def test_a_text_is_streams_and_whole_windows(read):
  assert read.train.shape == (40, 2)
  # 20 rows in two streams: the fifth window would miss its last target.
  assert read.inputs.shape == read.targets.shape == (4, 4, 2)
  assert read.inputs[1].T.tolist() == [[4, 0, 1, 2], [4, 0, 1, 2]]
  assert read.targets[1, :, 0].tolist() == [0, 1, 2, 3]


def test_a_short_validation_part_has_fewer_streams():
  found = recurrent_text.read(_corpus(validation=9), _RECIPE)
  assert found.inputs.shape == (2, 4, 1)
  with pytest.raises(ValueError, match='a text of 4 tokens .* bptt 4'):
    recurrent_text.read(_corpus(validation=4), _RECIPE)
  with pytest.raises(ValueError, match='a text of 8 tokens'):
    recurrent_text.read(_corpus(train=8), _RECIPE)


def test_an_epoch_trains_a_cell_per_window_and_repeats(weights, params, read):
  before = jax.tree.map(np.array, params)
  asked = []

  def choose(key):
    asked.append(jax.random.key_data(key).tolist())
    return _GENOMES[len(asked) % 3]

  def train(params, epoch):
    asked.clear()
    return recurrent_text.train_epoch(
        jax.random.key(1), weights, _RECIPE, read, params, choose,
        epoch=epoch, seed=0)

  first, line = train(params, 0)
  # 39 steps in windows of 4, each with a key of its own.
  assert len({tuple(key) for key in asked}) == 10
  assert line['learning_rate'] == 5.
  assert line['train_perplexity'] == pytest.approx(np.exp(line['loss']))
  jax.tree.map(np.testing.assert_array_equal, params, before)
  second, after = train(first, 1)
  assert after['loss'] < line['loss'] - .05
  jax.tree.map(np.testing.assert_array_equal, train(first, 1)[0], second)


def test_an_epoch_that_diverges_begins_anew_with_other_numbers(params, read):
  keys = []

  def step(key, params, hidden, genome, *window):
    keys.append(tuple(jax.random.key_data(key).tolist()))
    bad = len(keys) in (4, 13)  # One window of each of two attempts.
    return params, hidden, jnp.float32(np.nan if bad else 1.)

  weights = recurrent_shared.make(2, language.Sizes(5, 6, 6), _RECIPE)
  train = lambda recipe: recurrent_text.train_epoch(
      jax.random.key(1), weights._replace(step=step), recipe, read, params,
      lambda key: _GENOMES[0], epoch=0, seed=0)[1]
  assert train(_RECIPE)['loss'] == 1
  assert len(keys) == len(set(keys)) == 30
  keys.clear()
  line = train(dataclasses.replace(_RECIPE, rollbacks=1))
  assert np.isnan(line['loss']) and line['train_perplexity'] is None


def test_cells_are_scored_on_windows_of_their_own(weights, params, read):
  found = recurrent_text.losses(weights, read, params, _GENOMES, [0, 5, 2])
  assert found.dtype == np.float32
  for genome, window, loss in zip(_GENOMES, (0, 1, 2), found):
    chosen = weights.pick(params, genome)
    out = weights.apply(chosen, genome, read.inputs[window], weights.start(2))
    assert loss == pytest.approx(float(jnp.mean(language.losses(
        chosen, out.outputs, read.targets[window]))), abs=1e-6)


def test_many_cells_are_scored_in_parts(params, read):
  calls = []

  def score(params, genomes, inputs, targets):
    calls.append(len(genomes))
    return genomes[:, 0] + 100. * inputs[:, 0, 0]

  weights = recurrent_shared.make(2, language.Sizes(5, 6, 6), _RECIPE)
  genomes = np.arange(70).reshape(35, 2)
  found = recurrent_text.losses(
      weights._replace(score=score), read, params, genomes, [0] * 34 + [1])
  assert calls == [32, 32]
  assert found.tolist() == [2 * i for i in range(34)] + [68 + 400]


def test_a_reward_is_c_over_the_perplexity():
  np.testing.assert_allclose(
      recurrent_text.rewards(np.array([np.log(40), np.nan, np.inf])),
      [2, 0, 0], rtol=1e-6)


def test_windows_of_the_validation_part_come_in_turn(weights, params, read):
  learner = recurrent_text.learner(weights, _RECIPE, read, seed=0, reward=5.)
  genomes = np.repeat(_GENOMES[:1], 3, 0)
  found = learner.score(params, 3, genomes)
  expected = recurrent_text.losses(weights, read, params, genomes, [3, 0, 1])
  np.testing.assert_allclose(found, 5 * np.exp(-expected), rtol=1e-6)
  assert learner.learning_rate == 5.
