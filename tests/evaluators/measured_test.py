import jax
import numpy as np

from nas_jax import base
from nas_jax.evaluators import measured
from nas_jax.spaces import discrete


def test_children_are_measured_once_unless_they_failed():
  space = discrete.space([range(3), range(3)])
  calls = []

  def evaluate(key, state, proposals):
    del key
    rewards = np.float32([.5, .25, 0., .5])
    failed = np.float32([0, 0, 1, 0])
    return base.Evaluation(rewards, {'failed': failed}), state + 1

  def total(genotype):
    calls.append(genotype)
    return sum(genotype)

  evaluator = measured.measured(
      base.Evaluator(lambda key: 0, evaluate, jittable=False), space.genotype,
      {'total': total})
  genomes = np.array([[1, 2], [0, 1], [2, 2], [1, 2]], np.int32)
  found, state = evaluator.evaluate(
      jax.random.key(0), evaluator.init(jax.random.key(0)),
      base.Proposals(genomes))
  assert found.metrics['total'].tolist() == [3, 1, 0, 3]
  assert found.rewards.tolist() == [.5, .25, 0, .5] and state == 1
  assert calls == [(1, 2), (0, 1)] and not evaluator.jittable
