"""Statistics against numbers worked out by hand."""

from fractions import Fraction
import itertools
import math

import numpy as np
import pytest

from nas_jax import statistics


def test_best_so_far():
  np.testing.assert_array_equal(
      statistics.best_so_far([0.2, 0.1, 0.5, 0.5, 0.4, 0.7]),
      [0.2, 0.2, 0.5, 0.5, 0.5, 0.7])
  assert statistics.best_so_far([]).shape == (0,)


def test_best_of_n_of_four():
  # n = 1: P(best <= r) = 1/4, 2/4, 3/4, 1.   n = 2: 0, 1/6, 3/6, 1.
  # n = 3: 0, 0, 1/4, 1.                      n = 4: 0, 0, 0, 1.
  got = statistics.best_of_n_quantiles([3., 1., 4., 2.], 4, (0.1, 0.5, 0.9))
  np.testing.assert_array_equal(
      got, [[1, 2, 4], [2, 3, 4], [3, 4, 4], [4, 4, 4]])


def test_best_of_n_counts_ties_once_each():
  # Two of three are 0.5: a pair holds the 0.9 with probability 2/3.
  got = statistics.best_of_n_quantiles([0.5, 0.9, 0.5], 2, (1 / 3, 0.34))
  np.testing.assert_array_equal(got, [[0.5, 0.5], [0.5, 0.9]])


def test_best_of_n_equals_enumeration():
  rewards = [0.3, 0.1, 0.4, 0.1, 0.5, 0.9, 0.2]
  levels = (0.1, 0.25, 0.5, 0.9, 1.0)
  got = statistics.best_of_n_quantiles(rewards, 7, levels)
  for n in range(1, 8):
    best = sorted(max(c) for c in itertools.combinations(rewards, n))
    for j, level in enumerate(levels):
      rank = math.ceil(Fraction(str(level)) * len(best))
      assert got[n - 1, j] == best[rank - 1]


def test_best_of_many():
  rewards = np.arange(1, 2001) / 2000
  median = statistics.best_of_n_quantiles(rewards, 2000, (0.5,))[:, 0]
  assert (np.diff(median) >= 0).all() and median[-1] == 1.0
  # Nearly with replacement: median of the best of 10 is 0.5 ** (1 / 10).
  assert median[9] == pytest.approx(0.5**0.1, abs=2e-3)


def test_wilson_interval():
  # z = 1.959964, z^2 = 3.841459. 90 of 100: the center is
  # (0.9 + 0.019207) / 1.038415 = 0.885203, the half width
  # 1.959964 / 1.038415 * sqrt(0.0009 + 0.0000960365) = 0.059567.
  low, high = statistics.wilson_interval(0.9, 100)
  assert low == pytest.approx(0.825636, abs=2e-6)
  assert high == pytest.approx(0.944771, abs=2e-6)
  # All right: low = n / (n + z^2).
  low, high = statistics.wilson_interval(1.0, 10)
  assert low == pytest.approx(10 / 13.841459, abs=1e-6) and high == 1.0
  low, high = statistics.wilson_interval(0.0, 10)
  assert low == pytest.approx(0.0, abs=1e-12)
  assert high == pytest.approx(3.841459 / 13.841459, abs=1e-6)


@pytest.mark.parametrize('call, said', [
    (lambda: statistics.best_of_n_quantiles([1., 2.], 3), 'n_max is 3'),
    (lambda: statistics.best_of_n_quantiles([1., 2.], 0), 'n_max is 0'),
    (lambda: statistics.best_of_n_quantiles([1.], 1, (0.,)), 'quantiles'),
    (lambda: statistics.best_so_far([float('nan')]), 'nan'),
    (lambda: statistics.best_so_far([[1.]]), 'shape'),
    (lambda: statistics.wilson_interval(98.5, 10), '98.5'),
    (lambda: statistics.wilson_interval(0.5, 0), 'not 0'),
    (lambda: statistics.wilson_interval(0.5, 9, 1.), 'confidence'),
])
def test_errors_name_the_value(call, said):
  with pytest.raises(ValueError, match=said):
    call()


def test_moving_mean_of_the_neighbours_that_there_are():
  np.testing.assert_allclose(
      statistics.moving_mean([1., 2., 6., 4., 8.], 3), [1.5, 3, 4, 6, 6])
  np.testing.assert_allclose(
      statistics.moving_mean([[1., 3.], [2., 8.]], 11), [[2, 2], [5, 5]])
  np.testing.assert_array_equal(statistics.moving_mean([5., 7.], 1), [5, 7])
  for width in (0, 2):
    with pytest.raises(ValueError, match=f'odd and at least 1, not {width}'):
      statistics.moving_mean([1.], width)


def test_over_seeds_by_hand():
  # Two seeds, three rounds, two children: means 1, 2, 3 and 3, 4, 8.
  rewards = np.array([[[0, 2], [2, 2], [3, 3]], [[3, 3], [3, 5], [6, 10]]])
  assert statistics.over_seeds(rewards, 1) == {
      'mean': [2., 3., 5.5], 'low': [1., 2., 3.], 'high': [3., 4., 8.],
      'error': [1., 1., 2.5]}
  smooth = statistics.over_seeds(rewards, 3)
  assert smooth['low'] == [1.5, 2., 2.5] and smooth['high'] == [3.5, 5., 6.]
  assert statistics.over_seeds(rewards[:1], 1)['error'] == [0., 0., 0.]


def test_superiority_counts_equal_values_half():
  assert statistics.superiority([1, 2], [1, 0]) == 7 / 8
  assert statistics.superiority([3], [1, 2]) == 1


def test_expected_ranks_are_those_of_all_combinations():
  rng = np.random.default_rng(0)
  groups = [rng.integers(0, 20, n) for n in (30, 50, 7)]
  expected = [1 + sum(statistics.superiority(other, mine)
                      for other in groups if other is not mine)
              for mine in groups]
  np.testing.assert_allclose(statistics.expected_ranks(groups), expected)
  low, high = statistics.rank_intervals(groups, num_samples=200).T
  assert (low < expected).all() and (expected < high).all()
  assert statistics.expected_ranks([[5], [1], [5]]).tolist() == [1.5, 3, 1.5]


def test_p_values_are_corrected_step_by_step():
  np.testing.assert_allclose(
      statistics.holm([.01, .04, .03]), [.03, .06, .06])
  assert statistics.holm([.6, .9]).tolist() == [1, 1]
  assert statistics.rank_sum_p([1, 1], [1, 1, 1]) == 1
  # Exact: 2 of C(8, 4) = 70 orders are as far apart.
  assert statistics.rank_sum_p(
      range(4), range(4, 8)) == pytest.approx(2 / 70)


def test_kendall_counts_pairs():
  # Of six pairs, one is discordant (4, 3), and one ties in b.
  a, b = [1., 2., 3., 4.], [1., 1., 3., 2.]
  # P = 4, Q = 1, one tie: (P - Q) / sqrt((P + Q + 1) (P + Q)).
  assert statistics.kendall(a, b) == pytest.approx(3 / math.sqrt(30))
  assert statistics.kendall(a, a) == 1
  assert statistics.kendall(a, a[::-1]) == -1
  assert math.isnan(statistics.kendall(a, [.5] * 4))


def test_near_accuracies_tie_in_the_sparse_rank_correlation():
  a, b = [.9001, .9002, .95], [.9004, .9001, .93]
  assert statistics.kendall(a, b) == pytest.approx(1 / 3)
  assert statistics.kendall(a, b, digits=3) == pytest.approx(1)


def test_spearman_uses_mean_ranks():
  assert statistics.spearman([1, 2, 3], [1, 10, 100]) == pytest.approx(1)
  # Ranks 1, 2.5, 2.5 against 1, 2, 3.
  assert statistics.spearman([1, 2, 2], [1, 2, 3]) == pytest.approx(
      math.sqrt(3) / 2)
  assert math.isnan(statistics.spearman([1], [1]))


def test_precision_among_the_best():
  guess, truth = [.1, .4, .3, .2], [.9, .8, .1, .2]
  assert statistics.precision_at(guess, truth, 1) == 0
  assert statistics.precision_at(guess, truth, 2) == .5
  assert statistics.precision_at(guess, truth, 4) == 1
  assert statistics.best_rank_at(guess, truth, 1) == 2
  assert statistics.best_rank_at(guess, truth, 4) == 1


@pytest.mark.parametrize('call, said', [
    (lambda: statistics.precision_at([1, 2], [1, 2], 3),
     'k is 3, expected a number in 1..2'),
    (lambda: statistics.kendall([1, 2], [1]),
     '2 and 1 values, expected as many of both')])
def test_ranks_need_two_of_each(call, said):
  with pytest.raises(ValueError, match=said):
    call()


def test_the_interval_of_a_mean():
  # Student's t with 2 degrees of freedom: 4.302653.
  assert statistics.mean_interval([1, 2, 3]) == pytest.approx(
      (2 - 4.302653 / 3**.5, 2 + 4.302653 / 3**.5))
  assert np.isnan(statistics.mean_interval([1.])).all()
