"""Texts by name, as the numbers of their words or characters."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nas_jax import checks
from nas_jax.data import grammar
from nas_jax.data import text_files

UNITS = ('word', 'character')
END = '<eos>'
UNKNOWN = '<unk>'

# What a name has after the colon says that it takes an argument.
NAMES = ('grammar', 'ptb', 'wikitext2', 'text:PATH')

_PARTS = ('training', 'validation', 'test')
# The shares of a single file, in hundredths, in the order of the text.
_SHARES = (90, 5, 5)


class Corpus(NamedTuple):
  """A text in three parts."""
  name: str
  unit: str  # 'word' or 'character'
  vocabulary: tuple[str, ...]  # token -> its text
  train: np.ndarray  # int32[N]
  validation: np.ndarray  # int32[N]
  test: np.ndarray  # int32[N]
  # Nats per token of the source, where it is known: the least expected loss.
  entropy: float | None = None
  # What the source itself loses on validation and test part as they were
  # drawn, nats per token: their share of luck included.
  source_losses: tuple[float, float] | None = None
  max_vocabulary: int | None = None  # of `load`


def load(
    name: str,
    data_dir: str | None = None,
    *,
    unit: str = 'word',
    seed: int = 0,
    max_train: int | None = None,
    max_validation: int | None = None,
    max_vocabulary: int | None = None,
) -> Corpus:
  """Loads a text into memory.

  Of words, a line is its words, split at white space, and <eos>; an empty
  line is <eos> alone. Of characters, a line is its characters and a line
  feed. The vocabulary is that of the whole training part, words in the order
  in which they appear, characters in that of Unicode; what else the other
  parts hold becomes <unk>, which is added where there is none. (The words of
  the grammar are numbered once for all seeds.)

  Args:
    name: one of `NAMES`, with a file or folder in place of PATH. A file is
      cut into 90, 5 and 5 hundredths in order; a folder holds train.txt,
      valid.txt and test.txt, or the files of Penn Treebank or WikiText under
      their own names. All may be compressed (.xz, .gz).
    data_dir: the folder of the files of ptb and wikitext2, or its parent.
    unit: one of `UNITS`.
    seed: of the sentences of the grammar; files do not depend on it.
    max_train: keep only the first so many tokens of the training part. The
      vocabulary remains, so results on other parts compare.
    max_validation: keep only the first so many tokens of the validation part.
      The test part is never shortened.
    max_vocabulary: keep only the so many most frequent tokens of the whole
      training part, <unk> among them, in their order; of equally frequent ones
      those numbered first. What else there is becomes <unk> in all parts, so
      perplexities compare only with those of the same limit: fewer words are
      easier to predict.

  Raises:
    ValueError: unknown name or unit, missing, damaged or undecodable files
      (with file, line and byte), an empty part, a limit out of range, or one
      of the grammar's vocabulary or validation part: what its source loses is
      known of the whole.

  Note:
    Characters of ptb and wikitext2 are taken from the files of words without
    the spaces at both ends of lines, so <unk> there is five characters.

  References:
    M. Marcus, B. Santorini, M. A. Marcinkiewicz, "Building a large annotated
    corpus of English: the Penn Treebank", 1993; the words of T. Mikolov.
    S. Merity, C. Xiong, J. Bradbury, R. Socher, "Pointer sentinel mixture
    models", 2016 (WikiText-2).
  """
  checks.one_of('unit', unit, UNITS)
  if seed < 0:
    raise ValueError(f'seed {seed} must not be negative')
  limits = {'max_train': max_train, 'max_validation': max_validation,
            'max_vocabulary': max_vocabulary}
  for limit, value in limits.items():
    least = 2 if limit == 'max_vocabulary' else 1
    if value is not None and value < least:
      raise ValueError(f'{limit} {value} must be at least {least}')
  kind, _, argument = name.partition(':')
  if not argument and kind == 'grammar':
    for limit in ('max_validation', 'max_vocabulary'):
      if limits[limit] is not None:
        raise ValueError(
            f'{limit} {limits[limit]} does not go with the grammar: its least '
            'perplexity is known of the whole; leave it unset, or take '
            'another text')
    return _shortened(_from_grammar(unit, seed), max_train)
  texts = _read(name, kind, argument, data_dir, strip=unit == 'character')
  if len(texts) == 1:
    parts = _cut(name, _split(texts[0], unit))
  else:
    parts = [_split(part, unit) for part in texts]
  corpus = _encode(name, unit, parts)
  if max_vocabulary is not None:
    corpus = _limited(corpus, max_vocabulary)
  return _shortened(corpus, max_train, max_validation)


def _from_grammar(unit: str, seed: int) -> Corpus:
  source = grammar.source()
  drawn = [grammar.sample(source, (seed, part), size)
           for part, size in enumerate(grammar.SIZES)]
  if unit == 'word':  # In an order that no seed changes.
    corpus = Corpus('grammar', unit, source.words, *drawn)
  else:
    corpus = _encode('grammar', unit, [
        _split(grammar.text(source, tokens), unit) for tokens in drawn])
  words = np.array([grammar.loss(source, tokens) for tokens in drawn[1:]])
  # Characters spell the same words, so they share out the same nats.
  losses = words * [len(tokens) for tokens in drawn[1:]] / [
      len(corpus.validation), len(corpus.test)]
  entropy = grammar.entropy_rate(source)
  if unit == 'character':
    entropy /= grammar.characters_per_token(source)
  return corpus._replace(entropy=entropy, source_losses=tuple(losses.tolist()))


def _read(
    name: str, kind: str, argument: str, data_dir: str | None, *, strip: bool
) -> list[str]:
  if kind == 'text':
    if not argument:
      raise ValueError(f'data set {name!r} must be written as text:PATH')
    return text_files.read_path(name, argument)
  if argument or kind not in NAMES:
    raise ValueError(
        f'unknown text {name!r}; known are {", ".join(NAMES)}')
  texts = text_files.read_named(name, data_dir)
  if strip:
    texts = ['\n'.join(line.strip() for line in part.split('\n'))
             for part in texts]
  return texts


def _split(part: str, unit: str) -> list[str] | np.ndarray:
  """The tokens of a text: words, or code points of characters (uint32)."""
  if unit == 'character':
    return np.frombuffer(part.encode('utf-32-le'), '<u4')
  lines = part.split('\n')
  if not lines[-1].strip():  # What follows the last line feed.
    lines.pop()
  words = []
  for line in lines:
    words += line.split()
    words.append(END)
  return words


def _cut(name: str, tokens: Sequence) -> list[Sequence]:
  first = len(tokens) * _SHARES[0] // 100
  second = len(tokens) * (_SHARES[0] + _SHARES[1]) // 100
  parts = [tokens[:first], tokens[first:second], tokens[second:]]
  if not all(len(part) for part in parts):
    raise ValueError(
        f'{name!r} has {len(tokens)} tokens, too few to be cut into '
        f'{_SHARES[0]} % for training, {_SHARES[1]} % for validation and '
        f'{_SHARES[2]} % for the test')
  return parts


def _encode(name: str, unit: str, parts: Sequence[Sequence]) -> Corpus:
  for part, tokens in zip(_PARTS, parts, strict=True):
    if not len(tokens):
      raise ValueError(f'the {part} part of {name!r} is empty')
  numbered = _number_characters if unit == 'character' else _number_words
  vocabulary, arrays = numbered(parts)
  return Corpus(name, unit, vocabulary, *arrays)


def _number_words(
    parts: Sequence[list[str]]) -> tuple[tuple[str, ...], list[np.ndarray]]:
  numbers = {word: i for i, word in enumerate(dict.fromkeys(parts[0]))}
  if not all(word in numbers for part in parts[1:] for word in part):
    numbers.setdefault(UNKNOWN, len(numbers))
  other = numbers.get(UNKNOWN)
  return tuple(numbers), [
      np.array([numbers.get(word, other) for word in part], np.int32)
      for part in parts]


def _number_characters(
    parts: Sequence[np.ndarray]) -> tuple[tuple[str, ...], list[np.ndarray]]:
  known = np.unique(parts[0])
  vocabulary = tuple(chr(code) for code in known)
  arrays = []
  for part in parts:
    places = np.minimum(np.searchsorted(known, part), len(known) - 1)
    missing = known[places] != part
    if missing.any() and vocabulary[-1] != UNKNOWN:
      vocabulary += (UNKNOWN,)
    arrays.append(np.where(missing, len(known), places).astype(np.int32))
  return vocabulary, arrays


def _limited(corpus: Corpus, size: int) -> Corpus:
  """The corpus with the `size` most frequent tokens, <unk> among them."""
  corpus = corpus._replace(max_vocabulary=size)
  vocabulary = corpus.vocabulary
  if len(vocabulary) <= size:
    return corpus
  if UNKNOWN not in vocabulary:
    vocabulary += (UNKNOWN,)
  other = vocabulary.index(UNKNOWN)
  counts = np.bincount(corpus.train, minlength=len(vocabulary))
  counts[other] = len(corpus.train) + 1  # It stays, however rare.
  kept = np.sort(np.argsort(-counts, kind='stable')[:size])
  numbers = np.full(len(vocabulary), np.searchsorted(kept, other), np.int32)
  numbers[kept] = np.arange(size)
  return corpus._replace(
      vocabulary=tuple(vocabulary[i] for i in kept),
      train=numbers[corpus.train], validation=numbers[corpus.validation],
      test=numbers[corpus.test])


def _shortened(corpus: Corpus, max_train: int | None,
               max_validation: int | None = None) -> Corpus:
  return corpus._replace(
      train=corpus.train[:max_train],
      validation=corpus.validation[:max_validation])
