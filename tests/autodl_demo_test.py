"""The demo of AutoDL Design learns as the reference says."""

import jax
import numpy as np
import pytest

from nas_jax import autodl_demo
from nas_jax import base
from nas_jax import search
from nas_jax import statistics


def _rewards(num_seeds, num_rounds):
  space = autodl_demo.space()
  evaluator, strategy = (
      autodl_demo.evaluator(space), autodl_demo.strategy(space))
  keys = jax.random.split(jax.random.key(0), num_seeds)
  _, history = jax.jit(jax.vmap(lambda key: search.scan(
      key, strategy, evaluator, num_rounds=num_rounds, rewards_only=True)))(
          keys)
  return np.asarray(history.rewards)


def test_only_operations_of_number_one_earn():
  space = autodl_demo.space()
  assert len(space.choices) == 110
  genome = np.ones((1, 110), np.int32)
  genome[0, [0, 19]] = 2, 0
  evaluation, _ = autodl_demo.evaluator(space).evaluate(
      jax.random.key(0), (), base.Proposals(genome))
  assert evaluation.rewards.tolist() == [18.]


def test_the_bound_by_hand():
  # e^5 / (e^5 + 9) = 0.942826.
  assert autodl_demo.bound() == pytest.approx(20 * .942826, abs=2e-5)


@pytest.mark.slow
def test_the_whole_curve_lies_within_the_reference():
  curve = statistics.over_seeds(_rewards(20, autodl_demo.NUM_ROUNDS), 11)
  found = autodl_demo.compare(curve)
  assert [row.round for row in found] == list(autodl_demo.REFERENCE)
  for row in found:
    assert row.outside <= 2 * row.error, row
  assert max(curve['mean']) < autodl_demo.bound()
  assert sum(row.inside for row in found) >= 12


def test_the_comparison_is_a_table():
  mean = np.full(506, 2.1)
  curve = {'mean': mean.tolist(), 'error': (0 * mean + .05).tolist()}
  rows = autodl_demo.compare(curve)
  assert [row.round for row in rows] == [
      0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 460, 500]
  assert [row.inside for row in rows] == [False, True] + 10 * [False]
  assert rows[0].outside == pytest.approx(.08)
  assert rows[9].published == 17.1
  text = autodl_demo.comparison(curve).splitlines()
  assert text[1].split() == [
      '0', '2.10', '0.05', '1.97', '1.92..2.02', 'no,', 'by', '0.08', '2.500']
  assert text[2].split()[-2:] == ['yes', '-']
  assert text[-1] == 'greatest mean 2.100, bound 18.857'
