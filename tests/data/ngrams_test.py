import itertools

import numpy as np
import pytest

from nas_jax.data import ngrams
from nas_jax.data import text
from tests.data.helpers import message_of


def _corpus(train, size):
  train = np.array(train, np.int32)
  names = tuple('abcdefgh'[:size])
  return text.Corpus('own', 'word', names, train, train[:3], train[:3])


# a b a b a c: pairs ab 2, ba 2, ac 1, so D = 1 / (1 + 2 * 2) = 1 / 5.
_TRAIN = [0, 1, 0, 1, 0, 2]


@pytest.mark.parametrize('tokens, unigram, bigram', [
    # p'(b) = (1 + 1) / (3 + 3), p(b | a) = (2 - .2) / 3 + .2 * 2 / 3 * p'.
    ([0, 1], 3 / 9, .6 + .4 / 3 / 3),
    ([0, 2], 2 / 9, .8 / 3 + .4 / 3 / 3),
    # A pair that never occurred, and one after a token that ends the text.
    ([1, 1], 3 / 9, .2 * 1 / 2 * (2 / 6)),
    ([2, 0], 4 / 9, 2 / 6)])
def test_probabilities_of_pairs_are_those_worked_out_by_hand(
    tokens, unigram, bigram):
  found = ngrams.perplexities(_corpus(_TRAIN, 3), np.array(tokens))
  np.testing.assert_allclose(found, (1 / unigram, 1 / bigram))


@pytest.mark.parametrize('train', [
    _TRAIN, [0, 0, 0, 0], [0, 1, 2, 3], [3, 1, 3, 1, 1, 1]])
def test_probabilities_sum_to_one_after_every_token(train):
  corpus = _corpus(train, 4)
  after = np.zeros((4, 2))
  for first, second in itertools.product(range(4), repeat=2):
    after[first] += 1 / np.array(
        ngrams.perplexities(corpus, np.array([first, second])))
  np.testing.assert_allclose(after, 1.)


def test_perplexity_is_the_mean_over_all_tokens_but_the_first():
  corpus = _corpus(_TRAIN, 3)
  first = ngrams.perplexities(corpus, np.array([0, 1]))
  second = ngrams.perplexities(corpus, np.array([1, 2]))
  both = ngrams.perplexities(corpus, np.array([0, 1, 2]))
  np.testing.assert_allclose(both, np.sqrt(np.multiply(first, second)))


def test_pairs_predict_the_grammar_better_than_words_and_not_perfectly():
  corpus = text.load('grammar')
  found = ngrams.perplexities(corpus, corpus.test)
  np.testing.assert_allclose(found, (27.55, 4.997), rtol=1e-3)
  assert np.exp(corpus.source_losses[1]) < .75 * found.bigram


def test_penn_treebank_is_predicted_as_by_any_such_table(shared_data):
  corpus = text.load('ptb', str(shared_data))
  found = ngrams.perplexities(corpus, corpus.validation)
  np.testing.assert_allclose(found, (684.7, 201.0), rtol=1e-3)


def test_texts_without_pairs_are_refused():
  corpus = _corpus(_TRAIN, 3)
  assert 'predicted in 1 others; both must be at least 2' in message_of(
      ngrams.perplexities, corpus, np.array([0]))
  assert 'pairs cannot be counted in 1 training tokens' in message_of(
      ngrams.perplexities, _corpus([0], 3), np.array([0, 1]))
