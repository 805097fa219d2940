"""What tables of words and of pairs of words predict: the least to beat."""

from typing import NamedTuple

import numpy as np

from nas_jax.data import text


class Perplexities(NamedTuple):
  """exp(mean nats per token), of the same tokens."""
  unigram: float
  bigram: float


def perplexities(corpus: text.Corpus, tokens: np.ndarray) -> Perplexities:
  """Perplexities of n-grams of the training part on another part.

  The unigram counts each token once more than it occurs. The bigram is
  interpolated Kneser-Ney: with counts c, N(v .) kinds of tokens after v and
  N(. w) before w, and D = n1 / (n1 + 2 n2) from the numbers of pairs that
  occur once and twice,

    p(w | v) = max(c(v w) - D, 0) / c(v) + D N(v .) / c(v) p'(w)
    p'(w) = (N(. w) + 1) / (N(. .) + V).

  Args:
    corpus: its training part is counted.
    tokens: int32[N], such as corpus.validation; the first is not predicted.

  Raises:
    ValueError: fewer than two tokens in either.

  References:
    R. Kneser, H. Ney, "Improved backing-off for m-gram language modeling",
    1995; the interpolated form and D: S. Chen, J. Goodman, "An empirical
    study of smoothing techniques for language modeling", 1999.

  Note:
    The ones that are added are of this module: no token is impossible, though
    it may never follow another in the training part.
  """
  if min(len(corpus.train), len(tokens)) < 2:
    raise ValueError(
        f'{corpus.name!r}: pairs cannot be counted in {len(corpus.train)} '
        f'training tokens, or predicted in {len(tokens)} others; both must '
        'be at least 2')
  size = len(corpus.vocabulary)
  counts = np.bincount(corpus.train, minlength=size)
  unigram = (counts[tokens[1:]] + 1) / (len(corpus.train) + size)
  return Perplexities(
      _perplexity(unigram), _perplexity(_bigram(corpus.train, tokens, size)))


def _bigram(train: np.ndarray, tokens: np.ndarray, size: int) -> np.ndarray:
  """p(tokens[i + 1] | tokens[i]), float64[N - 1]."""
  pairs, counts = np.unique(_pairs(train, size), return_counts=True)
  once, twice = np.sum(counts == 1), np.sum(counts == 2)
  # Without pairs that occur once nothing can be estimated.
  discount = once / (once + 2 * twice) if once else .5
  first, second = np.divmod(pairs, size)
  after = np.bincount(first, minlength=size)  # N(v .)
  before = np.bincount(second, minlength=size)  # N(. w)
  seen = np.bincount(train[:-1], minlength=size)  # c(v)
  lower = (before + 1) / (len(pairs) + size)

  wanted = _pairs(tokens, size)
  place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
  count = np.where(pairs[place] == wanted, counts[place], 0)
  history, word = tokens[:-1], tokens[1:]
  total = np.maximum(seen[history], 1)
  backing_off = np.where(
      seen[history] > 0, discount * after[history] / total, 1.)
  return (np.maximum(count - discount, 0) / total
          + backing_off * lower[word])


def _pairs(tokens: np.ndarray, size: int) -> np.ndarray:
  return tokens[:-1].astype(np.int64) * size + tokens[1:]


def _perplexity(probabilities: np.ndarray) -> float:
  return float(np.exp(-np.mean(np.log(probabilities))))
