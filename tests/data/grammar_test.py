import math

import numpy as np

from nas_jax.data import grammar

# State 0: a (1/2) stays, b (1/2) leads to state 1. State 1: always a, back.
_GOLDEN_MEAN = grammar.Source(
    ('a', 'bb'), np.array([[.5, .5], [1., 0.]]),
    np.array([[0, 1], [0, 0]], np.int32))


def test_entropy_rate_weights_states_by_how_often_they_occur():
  np.testing.assert_allclose(
      grammar.stationary(_GOLDEN_MEAN), [2 / 3, 1 / 3])
  assert abs(grammar.entropy_rate(_GOLDEN_MEAN) - 2 / 3 * math.log(2)) < 1e-12
  # a in 2/3 of the places takes 2 characters, bb in 1/3 takes 3.
  assert abs(grammar.characters_per_token(_GOLDEN_MEAN) - 7 / 3) < 1e-12


def test_loss_follows_the_states():
  tokens = np.array([0, 1, 0, 1])
  assert abs(grammar.loss(_GOLDEN_MEAN, tokens) - .75 * math.log(2)) < 1e-12


def test_samples_follow_the_states_and_end_a_sentence():
  tokens = grammar.sample(_GOLDEN_MEAN, 5, 30_000)
  assert not np.any((tokens[:-1] == 1) & (tokens[1:] == 1))
  assert tokens[-1] == 0 and len(tokens) in (30_000, 30_001)
  assert abs(np.mean(tokens) - 1 / 3) < .01


def test_every_state_has_a_distribution_and_is_reached():
  source = grammar.source()
  assert source.probabilities.shape == (609, 40)
  np.testing.assert_allclose(source.probabilities.sum(axis=1), 1.)
  assert grammar.stationary(source).min() > 0
  reached = np.unique(source.successors[source.probabilities > 0])
  assert len(reached) == 609


def test_the_source_itself_loses_its_entropy_on_a_long_text():
  source = grammar.source()
  tokens = grammar.sample(source, 3, 200_000)
  rate = grammar.entropy_rate(source)
  assert abs(rate - 1.20087) < 1e-5
  assert abs(grammar.loss(source, tokens) / rate - 1) < .004
  assert abs(len(grammar.text(source, tokens)) / len(tokens)
             / grammar.characters_per_token(source) - 1) < .002


def test_verbs_agree_and_the_last_noun_is_repeated():
  source = grammar.source()
  lines = grammar.text(source, grammar.sample(source, 1, 5000)).splitlines()
  verbs = {'sees': 1, 'fears': 1, 'paints': 1, 'leaves': 1,
           'see': 2, 'fear': 2, 'paint': 2, 'leave': 2}
  nouns = set('boat harbor wave field barn horse kettle soup knife anvil '
              'hammer coal'.split())
  repeated = joined = 0
  for line in lines:
    words = line.split()
    number = 2 if words[0].endswith('s') else 1
    assert {verbs[w] for w in words if w in verbs} == {number}
    joined += sum(w in verbs for w in words) > 1
    last = None
    for word, after in zip(words, words[1:]):
      last = word if word in nouns else last
      if word == 'that':
        assert after == last
        repeated += 1
  assert repeated > 50 and joined > 100


def test_text_is_one_sentence_a_line():
  source = grammar.source()
  tokens = [source.words.index(word) for word in (
      'cook', 'sees', 'the', 'soup', '<eos>', 'smiths', 'fear', 'a', 'coal',
      '<eos>')]
  assert grammar.text(source, np.array(tokens)) == (
      'cook sees the soup\nsmiths fear a coal\n')
