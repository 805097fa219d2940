"""Language models of small size learn what their texts hold."""

import math

import jax
import pytest

from nas_jax.data import ngrams
from nas_jax.data import text
from nas_jax.networks import language_sizes
from nas_jax.spaces import presets
from nas_jax.training import language
from nas_jax.training import language_recipes


def _perplexity(corpus, hidden, **changes):
  """On the validation part, of DARTS' second cell."""
  model = language_sizes.build(
      presets.load('DARTS_V2_RNN'), vocabulary=len(corpus.vocabulary),
      hidden=hidden)
  recipe = language_recipes.load('fast', **changes)
  _, records = language.fit(
      jax.random.key(0), language.make(model, recipe), recipe, corpus, seed=0)
  return language.best(records)['validation_perplexity']


@pytest.mark.slow
def test_the_grammar_is_predicted_nearly_as_well_as_can_be():
  corpus = text.load('grammar')
  least = math.exp(corpus.source_losses[0])
  assert least < _perplexity(corpus, hidden=64) < 1.05 * least


@pytest.mark.slow
def test_penn_treebank_is_predicted_better_than_by_counts(shared_data):
  corpus = text.load('ptb', str(shared_data / 'ptb'))
  counts = ngrams.perplexities(corpus, corpus.validation)
  assert _perplexity(corpus, hidden=128, epochs=2) < .95 * counts.bigram
