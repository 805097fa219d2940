"""The study of benchmarks/pnas_table.py, with few seeds."""

import numpy as np
import pytest

from benchmarks import pnas_table
from nas_jax import tables


@pytest.fixture(scope='module')
def table(shared_data):
  return tables.load(shared_data / 'nasbench201.npz')


def test_predictors_rank_what_they_have_not_seen(table):
  found = pnas_table.correlations(
      table, 2, 64, {'MLP': pnas_table.PREDICTORS['MLP']})
  row = {name: value['mean'] for name, value in found['MLP'].items()
         if isinstance(value, dict)}
  assert set(row) == {
      'hat 1', 'tilde 2', 'hat 2', 'same 2', 'tilde 3', 'hat 3', 'same 3'}
  assert row['hat 2'] > .7 and row['hat 3'] > .7
  assert row['same 3'] > row['tilde 3'] > 0
  text = pnas_table.rank_table(found)
  assert '0.94' in text and '0.45' in text and 'recalled' in text


def test_searches_are_counted(table):
  found = pnas_table.savings(table, 2, 60, 16)
  random, ours, untrained = (found['searches'][name] for name in (
      'random search', 'PNAS', 'PNAS, not trained'))
  assert random['searches'] == 20 and ours['searches'] == 2
  assert found['goal'] == pytest.approx(random['reward']['mean'])
  assert ours['reward']['mean'] > untrained['reward']['mean'] - .05
  for row in random, ours, untrained:
    assert row['evaluations']['low'] <= row['evaluations']['mean'] <= 60
    assert row['factor']['mean'] == pytest.approx(
        60 / row['evaluations']['mean'])
    assert 60 < row['test_accuracy']['mean'] < 94.38
  text = pnas_table.savings_table(found)
  assert '5 (top 1), 3.5 (top 5), 3.2 (top 25) times fewer models' in text


def test_rewards_are_those_of_the_table(table):
  # Three convolutions of 3 x 3 on the way, and skips.
  genome = np.array([[3, 1, 3, 1, 1, 3]])
  row = int(table.number(genome[0]))
  assert pnas_table.rewards_of(table, genome)[0] == pytest.approx(
      table.columns['cifar10_val_12'][row] / 100)
