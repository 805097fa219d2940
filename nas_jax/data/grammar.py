"""A small language of which it is known how well it can be predicted.

Its sentences look like

  sailors see the big boat near that boat and paint a calm harbor

The first word tells a topic and a number (one or many). To the end of the
sentence the topic decides which nouns, verbs and adjectives are likely; the
number, which form a verb has and which prepositions are likely; and after
'that' the last noun comes once more. Little of this shows in the word before,
so who remembers the sentence predicts better than a table of pairs.

The distribution of the next word is a function of a state, and state and word
decide the next state (the source is unifilar): hence the entropy rate is the
mean entropy of the states, weighted by how often they occur.
"""

import bisect
import math
from typing import NamedTuple

import numpy as np

# Words of training, validation and test part (a few more end the sentence).
SIZES = (60_000, 10_000, 10_000)

_END = '<eos>'
_SUBJECTS = (('sailor', 'sailors'), ('farmer', 'farmers'), ('cook', 'cooks'),
             ('smith', 'smiths'))  # topic x number
_NOUNS = (('boat', 'harbor', 'wave'), ('field', 'barn', 'horse'),
          ('kettle', 'soup', 'knife'), ('anvil', 'hammer', 'coal'))
_VERBS = (('sees', 'see'), ('fears', 'fear'), ('paints', 'paint'),
          ('leaves', 'leave'))  # verb x number
_ADJECTIVES = ('big', 'calm', 'bright', 'heavy')
_PREPOSITIONS = ('near', 'behind', 'under')
# How likely the members of a group are. Topic or number turn most groups
# round, so that each prefers others.
_OWN_NOUN = .96
_NOUN_WEIGHTS = (.7, .2, .1)
_VERB_WEIGHTS = (.7, .2, .07, .03)
_ADJECTIVE_WEIGHTS = (.8, .1, .07, .03)
_PREPOSITION_WEIGHTS = (.8, .15, .05)


class Source(NamedTuple):
  """A unifilar source; state 0 begins a sentence."""
  words: tuple[str, ...]  # [V]
  probabilities: np.ndarray  # float64[S, V]: of the next word
  successors: np.ndarray  # int32[S, V]: the next state; 0 after the last word


class _State(NamedTuple):
  """What a sentence so far makes of the rest."""
  place: str = 'subject'  # what the next word is
  topic: int = 0
  number: int = 0
  last: str = ''  # the last noun


def source() -> Source:
  """The language; it has no parameters, so results compare across seeds."""
  states, rows = [_State()], []
  for state in states:  # It grows meanwhile.
    rows.append(_next(state))
    states += [s for s in dict.fromkeys(s for _, s in rows[-1].values())
               if s not in states]
  words = tuple(dict.fromkeys(word for row in rows for word in row))
  places = {state: i for i, state in enumerate(states)}
  probabilities = np.zeros((len(states), len(words)))
  successors = np.zeros((len(states), len(words)), np.int32)
  for i, row in enumerate(rows):
    for word, (probability, state) in row.items():
      probabilities[i, words.index(word)] = probability
      successors[i, words.index(word)] = places[state]
  return Source(words, probabilities, successors)


def stationary(source: Source) -> np.ndarray:
  """How often each state occurs in a long text, float64[S]."""
  num_states = len(source.probabilities)
  transitions = np.zeros((num_states, num_states))
  for state in range(num_states):
    np.add.at(transitions[state], source.successors[state],
              source.probabilities[state])
  # pi (P - 1) = 0, of which one equation follows from the others; instead of
  # it the sum is 1.
  equations = transitions.T - np.eye(num_states)
  equations[-1] = 1.
  right = np.zeros(num_states)
  right[-1] = 1.
  return np.linalg.solve(equations, right)


def entropy_rate(source: Source) -> float:
  """Nats per word: sum over states of pi(s) H(s), <eos> counted as a word.

  References:
    C. E. Shannon, "A mathematical theory of communication", 1948, section 7.
  """
  p = source.probabilities
  entropies = -np.sum(p * np.log(np.where(p > 0, p, 1.)), axis=1)
  return float(stationary(source) @ entropies)


def characters_per_token(source: Source) -> float:
  """The mean number of characters that a word takes in `text`."""
  frequencies = stationary(source) @ source.probabilities
  return float(frequencies @ [_width(word) for word in source.words])


def sample(
    source: Source, entropy: int | tuple[int, ...], size: int) -> np.ndarray:
  """Draws whole sentences until there are `size` words.

  Args:
    source: of `source`.
    entropy: non-negative integers, such as (seed, part).
    size: at least so many words, <eos> included.

  Returns:
    int32[N]: indices of source.words, N >= size.
  """
  cumulative = np.cumsum(source.probabilities, axis=1)
  # Rounding must not leave a number that is beyond all words.
  cumulative[:, -1] = 1.
  rows, successors = cumulative.tolist(), source.successors.tolist()
  bits = np.random.PCG64(np.random.SeedSequence(entropy))
  words, state = [], 0
  while len(words) < size or state:
    for draw in ((bits.random_raw(1024) >> 11) / 2**53).tolist():
      word = bisect.bisect_right(rows[state], draw)
      words.append(word)
      state = successors[state][word]
      if len(words) >= size and not state:
        break
  return np.array(words, np.int32)


def text(source: Source, tokens: np.ndarray) -> str:
  """The sentences as lines of words."""
  words = ' '.join(source.words[token] for token in tokens)
  return words.replace(f' {_END} ', '\n').replace(f' {_END}', '\n')


def loss(source: Source, tokens: np.ndarray) -> float:
  """Nats per word that the source itself loses on a text from state 0."""
  rows, successors = source.probabilities.tolist(), source.successors.tolist()
  state, total = 0, 0.
  for token in tokens.tolist():
    total -= math.log(rows[state][token])
    state = successors[state][token]
  return total / len(tokens)


def _next(state: _State) -> dict[str, tuple[float, _State]]:
  """The words that may follow, with their probabilities and next states."""
  place, topic, number, last = state
  if place == 'subject':
    return {word: (1 / 8, state._replace(place='verb', topic=t, number=n))
            for t, pair in enumerate(_SUBJECTS) for n, word in enumerate(pair)}
  if place == 'verb':
    after = state._replace(place='determiner')
    return {pair[number]: (p, after)
            for pair, p in zip(_turned(_VERBS, topic), _VERB_WEIGHTS)}
  if place == 'determiner':
    after = state._replace(place='adjective')
    again = {'that': (.12, state._replace(place='repeated'))} if last else {}
    rest = .88 if last else 1.
    return {'the': (rest * .7, after), 'a': (rest * .3, after), **again}
  if place == 'repeated':
    return {last: (1., state._replace(place='more'))}
  if place == 'more':
    likely_first = _turned(_PREPOSITIONS, number)
    prepositions = {
        word: (.4 * p, state._replace(place='determiner'))
        for word, p in zip(likely_first, _PREPOSITION_WEIGHTS)}
    return {**prepositions, 'and': (.25, state._replace(place='verb')),
            _END: (.35, _State())}
  nouns = {noun: (p, state._replace(place='more', last=noun))
           for noun, p in _noun_weights(topic)}
  if place == 'noun':
    return nouns
  # An adjective, or the noun at once.
  adjectives = {
      word: (.4 * p, state._replace(place='noun'))
      for word, p in zip(_turned(_ADJECTIVES, topic), _ADJECTIVE_WEIGHTS)}
  return {**adjectives, **{noun: (.6 * p, s) for noun, (p, s) in nouns.items()}}


def _noun_weights(topic: int) -> list[tuple[str, float]]:
  share = (1 - _OWN_NOUN) / (len(_NOUNS) - 1)
  return [(noun, (_OWN_NOUN if owner == topic else share) * weight)
          for owner, nouns in enumerate(_NOUNS)
          for noun, weight in zip(nouns, _NOUN_WEIGHTS)]


def _turned(members: tuple[str, ...], by: int) -> tuple[str, ...]:
  return members[by:] + members[:by]


def _width(word: str) -> int:
  # A space or line feed follows each word; <eos> is that line feed.
  return 0 if word == _END else len(word) + 1
