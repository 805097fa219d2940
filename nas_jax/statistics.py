"""What the numbers of one run can and cannot say."""

from collections.abc import Sequence
import math
from statistics import NormalDist

import numpy as np


def best_so_far(rewards: Sequence[float]) -> np.ndarray:
  """float64[T]: the best of the first 1, 2, ..., T rewards."""
  return np.maximum.accumulate(_vector(rewards))


def moving_mean(values: np.ndarray, width: int) -> np.ndarray:
  """The mean of the `width` nearest entries of the last axis, float64[..., T].

  Near the ends the entries that there are count.

  Args:
    values: float[..., T].
    width: odd.

  Raises:
    ValueError: an even width, or one below 1.
  """
  if width < 1 or not width % 2:
    raise ValueError(f'width must be odd and at least 1, not {width}')
  values = np.asarray(values, np.float64)
  sums = np.concatenate(
      [np.zeros((*values.shape[:-1], 1)), np.cumsum(values, -1)], -1)
  place = np.arange(values.shape[-1])
  start = np.maximum(place - width // 2, 0)
  stop = np.minimum(place + width // 2 + 1, values.shape[-1])
  return (sums[..., stop] - sums[..., start]) / (stop - start)


def over_seeds(rewards: np.ndarray, width: int) -> dict[str, list[float]]:
  """Mean, least and greatest over seeds of the mean reward of every round.

  Args:
    rewards: float[S, T, B], of S seeds and T rounds of B children.
    width: see `moving_mean`; each seed's curve is smoothed before.

  Returns:
    'mean', 'low', 'high', and the standard 'error' of the mean (0 of one
    seed), T numbers each.
  """
  curves = moving_mean(np.mean(rewards, axis=-1), width)
  root = math.sqrt(max(len(curves) - 1, 1))
  return {name: function(curves, axis=0).tolist() for name, function in (
      ('mean', np.mean), ('low', np.min), ('high', np.max),
      ('error', lambda x, axis: np.std(x, axis) / root))}


def best_of_n_quantiles(
    rewards: Sequence[float],
    n_max: int,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
) -> np.ndarray:
  """Quantiles of the best of n rewards drawn without replacement.

  With the T rewards sorted, P(best of n <= r_(i)) = C(i, n) / C(T, n): what
  random search finds with n children, over all orders in which the observed
  children could have come. A quantile is the smallest reward whose
  probability reaches it, so it is always one of the rewards.

  Note: it is about the observed children only. The spread falls to nothing at
  n = T, where every order has the same best; that is no certainty about
  another random search.

  Args:
    rewards: float[T], of random search; a failed child counts.
    n_max: the largest n, 1 <= n_max <= T.
    quantiles: Q probabilities, each in (0, 1].

  Returns:
    float64[n_max, Q]; row n - 1 is about n children.

  Raises:
    ValueError: n_max or a quantile out of its range, a reward not finite.
  """
  ordered = np.sort(_vector(rewards))
  total = len(ordered)
  if not 1 <= n_max <= total:
    raise ValueError(f'n_max is {n_max}, but there are {total} rewards')
  if not all(0 < q <= 1 for q in quantiles):
    raise ValueError(f'quantiles must lie in (0, 1], not {tuple(quantiles)}')
  rank = np.arange(1, total + 1)
  levels = np.asarray(quantiles) - 1e-12  # A sum of products rounds.
  cdf = np.ones(total)
  rows = []
  for n in range(1, n_max + 1):
    cdf = cdf * np.maximum(rank - n + 1, 0) / (total - n + 1)
    rows.append(ordered[np.searchsorted(cdf, levels)])
  return np.stack(rows)


def wilson_interval(
    accuracy: float, n: int, confidence: float = 0.95
) -> tuple[float, float]:
  """The interval of the true accuracy behind an accuracy on n images.

  It speaks of the choice of test images alone: another seed of the training
  moves the accuracy as well.

  Args:
    accuracy: correct answers / n, in [0, 1].
    n: number of test images.
    confidence: probability that the interval covers, in (0, 1).

  Returns:
    (low, high), both in [0, 1].

  Raises:
    ValueError: an argument out of its range.

  Wilson, 1927. Probable inference, the law of succession, and statistical
  inference.
  """
  if not 0 <= accuracy <= 1:
    raise ValueError(f'accuracy must lie in [0, 1], not {accuracy}')
  if n < 1:
    raise ValueError(f'n must be at least 1, not {n}')
  if not 0 < confidence < 1:
    raise ValueError(f'confidence must lie in (0, 1), not {confidence}')
  z = NormalDist().inv_cdf((1 + confidence) / 2)
  shrink = 1 + z * z / n
  center = (accuracy + z * z / (2 * n)) / shrink
  half = z / shrink * math.sqrt(
      accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
  return max(0.0, center - half), min(1.0, center + half)


def superiority(a: Sequence[float], b: Sequence[float]) -> float:
  """The chance that a value of `a` exceeds one of `b`; equal ones count half.

  Vargha, Delaney, 2000. A critique and improvement of the CL common language
  effect size statistics.
  """
  b = np.sort(np.asarray(b, np.float64))
  below, upto = (np.searchsorted(b, a, side) for side in ('left', 'right'))
  return float((below.sum() + upto.sum()) / (2 * len(a) * len(b)))


def expected_ranks(groups: Sequence[Sequence[float]]) -> np.ndarray:
  """The mean rank of a value of each group among one of each, float64[G].

  Rank 1 is the greatest; equal values share the mean of their ranks.

  Args:
    groups: G of them, of any sizes; all combinations are equally likely.
  """
  return _expected_ranks(*_pool(groups))


def rank_intervals(
    groups: Sequence[Sequence[float]],
    *,
    confidence: float = .95,
    num_samples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
  """Intervals of `expected_ranks` by bootstrap over the values, float64[G, 2].

  Percentiles over samples with replacement, each group on its own. Of one
  value there is no spread to see: such an interval says nothing.
  """
  rng = np.random.default_rng(seed)
  places, weights = _pool(groups)
  found = []
  for _ in range(num_samples):
    sampled = np.zeros_like(weights)
    for new, row in zip(sampled, weights):
      mine = np.flatnonzero(row)
      size = len(mine)
      new[mine] = rng.multinomial(size, np.full(size, 1 / size)) / size
    found.append(_expected_ranks(places, sampled))
  tail = 50 * (1 - confidence)
  return np.percentile(found, (tail, 100 - tail), axis=0).T


def mean_interval(values: Sequence[float], confidence: float = .95
                  ) -> tuple[float, float]:
  """The interval of the mean by Student's t; both ends NaN for one value."""
  values = _vector(values)
  if len(values) < 2:
    return math.nan, math.nan
  # Loading SciPy takes half a second, which most runs need not spend.
  from scipy import stats  # pylint: disable=g-import-not-at-top
  half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * np.std(
      values, ddof=1) / math.sqrt(len(values))
  return float(values.mean() - half), float(values.mean() + half)


def rank_sum_p(a: Sequence[float], b: Sequence[float]) -> float:
  """Two-sided p of the test of Mann and Whitney; 1 where all are equal."""
  from scipy import stats  # pylint: disable=g-import-not-at-top
  a, b = _vector(a), _vector(b)
  if np.ptp(np.r_[a, b]) == 0:
    return 1.
  return float(stats.mannwhitneyu(a, b, alternative='two-sided').pvalue)


def kendall(a: Sequence[float], b: Sequence[float],
            digits: int | None = None) -> float:
  """Kendall's rank correlation, tau b; NaN where one does not vary.

  Args:
    a: float[N].
    b: float[N].
    digits: round both to so many decimals first, so that near ones tie: 3 is
      a tenth of a per cent of accuracy (the sparse rank correlation of Yu et
      al., Evaluating the search phase of neural architecture search, 2020).
  """
  from scipy import stats  # pylint: disable=g-import-not-at-top
  a, b = _vector(a), _vector(b)
  if digits is not None:
    a, b = np.round(a, digits), np.round(b, digits)
  return float(stats.kendalltau(a, b).statistic) if _vary(a, b) else math.nan


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
  """Spearman's rank correlation of float[N]; NaN where one does not vary."""
  from scipy import stats  # pylint: disable=g-import-not-at-top
  a, b = _vector(a), _vector(b)
  return float(stats.spearmanr(a, b).statistic) if _vary(a, b) else math.nan


def precision_at(guess: Sequence[float], truth: Sequence[float], k: int
                 ) -> float:
  """The share of the k best by `guess` that are among the k best in truth.

  Of equal values the first ones are taken as better.

  Args:
    guess: float[N].
    truth: float[N].
    k: 1..N.

  Raises:
    ValueError: k out of range.
  """
  best = [set(_best(values, k)) for values in (guess, truth)]
  return len(best[0] & best[1]) / k


def best_rank_at(guess: Sequence[float], truth: Sequence[float], k: int
                 ) -> int:
  """The true rank, from 1, of the best in truth of the k best by `guess`.

  The arguments are those of `precision_at`.
  """
  truth = _vector(truth)
  return 1 + int(np.sum(truth > max(truth[_best(guess, k)])))


def holm(p_values: Sequence[float]) -> np.ndarray:
  """p-values corrected for their number, float64[N], each at most 1.

  Holm, 1979. A simple sequentially rejective multiple test procedure.
  """
  p = np.asarray(p_values, np.float64)
  order = np.argsort(p, kind='stable')
  scaled = p[order] * (len(p) - np.arange(len(p)))
  corrected = np.empty_like(p)
  corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
  return corrected


def _pool(groups) -> tuple[np.ndarray, np.ndarray]:
  """(int[N], the order of each of all values; float64[G, N], weights)."""
  values = np.concatenate([_vector(g) for g in groups])
  _, places = np.unique(values, return_inverse=True)
  weights, start = np.zeros((len(groups), len(values))), 0
  for row, group in zip(weights, groups):
    row[start:start + len(group)] = 1 / len(group)
    start += len(group)
  return places, weights


def _expected_ranks(places, weights) -> np.ndarray:
  mass = np.bincount(places, weights.sum(axis=0))
  above = mass.sum() - np.cumsum(mass) + mass / 2  # equal ones count half
  # Beside its own group a value has a half of it above it on average.
  return weights @ above[places] + .5


def _best(values: Sequence[float], k: int) -> np.ndarray:
  """The places of the k greatest."""
  values = _vector(values)
  if not 1 <= k <= len(values):
    raise ValueError(f'k is {k}, expected a number in 1..{len(values)}')
  return np.argsort(-values, kind='stable')[:k]


def _vary(a: np.ndarray, b: np.ndarray) -> bool:
  """Whether there are ranks to compare."""
  if len(a) != len(b):
    raise ValueError(f'{len(a)} and {len(b)} values, expected as many of both')
  return len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0


def _vector(rewards: Sequence[float]) -> np.ndarray:
  values = np.asarray(rewards, np.float64)
  if values.ndim != 1:
    raise ValueError(f'rewards must be a vector, not of shape {values.shape}')
  if not np.isfinite(values).all():
    bad = values[~np.isfinite(values)][0]
    raise ValueError(f'rewards must be finite, but one is {bad}')
  return values
