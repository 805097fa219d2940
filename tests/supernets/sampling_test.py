import collections

import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import one_shot
from nas_jax.supernets import sampling

_SPACE = discrete.space([range(3)] * 4)
_STEPS = 200


def _counts(choose, num_steps=_STEPS):
  """int[L, m], and the genotypes of each step."""
  steps = [choose(jax.random.key(i), 0.) for i in range(num_steps)]
  genomes = np.array([g for step in steps for g in step])
  return np.stack([(genomes == c).sum(0) for c in range(3)], 1), steps


def test_strictly_fair_steps_train_every_choice_once():
  counts, steps = _counts(sampling.fair(_SPACE))
  assert (counts == _STEPS).all()
  assert all(sorted(column) == [0, 1, 2]
             for step in steps for column in zip(*step))
  # Orders of two positions are independent: 36 pairs, equally likely.
  pairs = collections.Counter(
      tuple(zip(*step))[:2] for step in _counts(
          sampling.fair(_SPACE), 720)[1])
  assert len(pairs) == 36
  statistic = sum((n - 20) ** 2 / 20 for n in pairs.values())
  assert statistic < 66.6  # 35 degrees of freedom, p = .001


def test_uniform_steps_are_fair_in_expectation_only():
  counts, steps = _counts(sampling.uniform(_SPACE), 600)
  assert all(len(step) == 1 for step in steps)
  statistic = ((counts - 200) ** 2 / 200).sum(1)
  assert (statistic < 13.8).all()  # 2 degrees of freedom, p = .001
  # Variance n (m - 1) / m^2 = 133 of each count, where fair steps have 0.
  assert 20 < ((counts - 200) ** 2).mean() < 400


def test_ghosts_are_different_architectures():
  choose = sampling.uniform(_SPACE, num_ghosts=20)
  assert len(set(choose(jax.random.key(0), 0.))) > 10


def test_bins_are_equally_likely_whatever_they_hold():
  choose = sampling.uniform(_SPACE, size=sum, bins=(0, 3, 5, 9))
  counts = collections.Counter(
      sum(sum(choose(jax.random.key(i), 0.)[0]) >= edge for edge in (3, 5))
      for i in range(300))
  # Of 81 genomes 15, 35 and 31 have such sums.
  assert all(abs(counts[b] - 100) < 35 for b in range(3))
  anything = sampling.uniform(_SPACE, size=sum, bins=(90, 91), max_tries=2)
  assert len(anything(jax.random.key(0), 0.)[0]) == 4


@pytest.mark.parametrize('name, count, kind', [
    ('uniform', 2, int), ('fair', 3, int), ('path_dropout', 2, tuple)])
def test_names(name, count, kind):
  chosen = sampling.named(name, _SPACE, num_ghosts=2)(jax.random.key(0), .5)
  assert len(chosen) == count
  assert all(isinstance(part, kind) for part in chosen[0])


def test_fairness_needs_equally_many_choices():
  with pytest.raises(ValueError, match=r'they are \(3, 28, 6, 28, '):
    sampling.fair(one_shot.space())


@pytest.mark.parametrize('options, message', [
    (dict(num_ghosts=0), 'num_ghosts is 0'),
    (dict(size=sum), r'bins are \(\)'),
    (dict(bins=(1, 2)), r'bins are \(1, 2\)'),
    (dict(size=sum, bins=(2, 1)), r'bins are \(2, 1\)')])
def test_bad_settings(options, message):
  with pytest.raises(ValueError, match=message):
    sampling.uniform(_SPACE, **options)
