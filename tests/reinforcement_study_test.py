"""The study of benchmarks/reinforcement.py on a space small enough to test."""

import jax
import numpy as np
import pytest

from benchmarks import reinforcement
from nas_jax.controllers import sequence
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.strategies import ppo
from nas_jax.strategies import q_learning
from nas_jax.strategies import random_search
from nas_jax.strategies import reinforce

_ROUNDS = 40  # of 10 children


def _strategies(space, num_children):
  policy = sequence.controller(space.choices, hidden_size=8)
  common = dict(controller=policy, batch_size=10, baseline_decay=.9)
  return {
      'random search': random_search.random_search(space, batch_size=10),
      'reinforce': reinforce.reinforce(space, learning_rate=.1, **common),
      'ppo': ppo.ppo(space, learning_rate=.03, **common),
      'q_learning': q_learning.q_learning(
          space, batch_size=10, learning_rate=.1,
          epsilon_schedule=q_learning.scaled_schedule(num_children // 10))}


@pytest.fixture(scope='module')
def found():
  space = discrete.space([range(2 + i % 4) for i in range(12)])
  return reinforcement.study(reinforcement.Task(
      space, toy.number_of_ones(space, scale='mean'), 10 * _ROUNDS,
      _strategies, unit=12), num_seeds=100)


@pytest.mark.parametrize('name', ['reinforce', 'ppo', 'q_learning'])
def test_each_strategy_beats_random_search(found, name):
  row, random = found[name], found['random search']
  for k in ('best', 'last'):
    gain = row[f'{k}_gain']
    assert 0 < gain['low'] < gain['mean'] < gain['high']
    assert gain['verdict'] == 'wins'
    assert gain['mean'] == pytest.approx(row[k] - random[k])
  # Of 12 ones a random child has 3.85: 3 (1/2 + 1/3 + 1/4 + 1/5).
  assert random['last'] == pytest.approx(3.85, abs=.1)
  assert row['last'] > 7


@pytest.mark.parametrize('name', ['reinforce', 'ppo'])
def test_the_mean_reward_rises(found, name):
  assert found[name]['last'] > found[name]['first'] + 3


def test_the_interval_of_a_difference():
  ours, others = np.array([1., 3.]), np.array([0., 1.])
  # Variances 2 and 1/2 of two each: the error is sqrt(1 + 1/4).
  gain = reinforcement.difference(ours, others)
  assert gain.mean == 1.5
  assert gain.high - gain.mean == pytest.approx(1.96 * 1.25 ** .5)
  assert gain.mean - gain.low == pytest.approx(1.96 * 1.25 ** .5)
  assert gain.verdict == 'open'
  assert reinforcement.difference(ours + 9, others).verdict == 'wins'
  assert reinforcement.difference(ours - 9, others).verdict == 'loses'


def test_outcomes_of_seeds():
  space = discrete.space([range(2)] * 3)
  best, first, last = reinforcement.outcomes(
      jax.random.split(jax.random.key(0), 50),
      random_search.random_search(space, batch_size=10),
      toy.number_of_ones(space), 20)
  assert best.tolist() == [3] * 50
  assert first.shape == last.shape == (50,)
  assert np.mean(first) == pytest.approx(1.5, abs=.1)


def test_the_table_names_every_strategy(found):
  lines = reinforcement.table(found).splitlines()
  assert [line.split('  ')[0] for line in lines] == [
      'strategy', 'random search', 'reinforce', 'ppo', 'q_learning']
