"""Shared weights and a policy that learn in turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import records
from nas_jax.controllers import sequence
from nas_jax.data import images as image_data
from nas_jax.spaces import discrete
from nas_jax.strategies import enas
from nas_jax.supernets import alternating
from nas_jax.supernets import shared
from nas_jax.training import recipes
from nas_jax.training import steps

_SPACE = discrete.space([range(3), range(2)])
_RECIPE = recipes.Recipe(epochs=3, batch_size=4)
_KEY = jax.random.key(0)


class _Weights:
  """Counts how often a genotype is trained; the reward is its first choice."""

  def __init__(self):
    self.trained, self.scored = [], []

  def made(self, loss=1.):
    def init(key):
      return steps.TrainState(
          {'w': jax.random.uniform(key, (3, 2))}, {}, {})

    def step(state, genotypes, images, labels, key, pace):
      (genotype,) = genotypes
      self.trained.append((genotype, labels.tolist(), float(pace.rate)))
      w = state.params['w'].at[genotype].add(jax.random.uniform(key))
      return state._replace(params={'w': w}), steps.Metrics(
          jnp.float32(loss), jnp.float32(.5))

    def score(state, genotype, images, labels):
      self.scored.append((genotype, labels.tolist(),
                          float(jnp.sum(state.params['w']))))
      return float(genotype[0]) / 2, 0.

    return shared.Weights(init, step, score, None)


def _split(size):
  labels = np.arange(size, dtype=np.int32)
  return image_data.Split(np.zeros((size, 2, 2, 1), np.uint8), labels)


def _policy(batch_size=2):
  controller = sequence.controller(_SPACE.choices, hidden_size=4)
  return alternating.Policy(
      enas.enas(controller, batch_size=batch_size, learning_rate=.1),
      lambda key, state: controller.sample(state.params, key)[0],
      lambda state, genomes: {'baseline': float(state.baseline),
                              'seen': len(genomes)})


def _run(weights, recipe=_RECIPE, num_rounds=2, policy=None, **kwargs):
  return alternating.alternate(
      _KEY, weights, policy or _policy(), _SPACE.genotype, recipe, _split(9),
      _split(6), num_rounds=num_rounds, seed=0, **kwargs)


def test_an_epoch_trains_weights_then_the_policy():
  weights = _Weights()
  state, log = _run(weights.made())
  # 9 images in batches of 4: two steps; two rounds of two architectures.
  assert (len(weights.trained), len(weights.scored)) == (3 * 2, 3 * 4)
  assert [r['epoch'] for r in log] == [0, 1, 2]
  assert all(r['seen'] == 4 and r['loss'] == 1 for r in log)
  for epoch, record in enumerate(log):
    scored = weights.scored[4 * epoch:4 * epoch + 4]
    assert record['reward'] == pytest.approx(
        np.mean([g[0] / 2 for g, _, _ in scored]))
    assert len({total for _, _, total in scored}) == 1  # The weights rest.
  assert log[-1]['baseline'] == float(state.policy.baseline) > 0
  # The learning rate is that of the epoch.
  assert weights.trained[0][2] == pytest.approx(_RECIPE.learning_rate)
  assert weights.trained[-1][2] < .5 * _RECIPE.learning_rate


def test_every_reward_has_a_batch_of_its_own():
  weights = _Weights()
  _run(weights.made(), recipes.Recipe(epochs=1, batch_size=3), num_rounds=2)
  labels = [found for _, found, _ in weights.scored]
  # Two passes of two batches.
  assert sorted(labels[0] + labels[1]) == list(range(6))
  assert sorted(labels[2] + labels[3]) == list(range(6))
  assert labels[:2] != labels[2:]


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
  whole, lines = _run(_Weights().made())

  class Stop(Exception):
    pass

  def stop(record):
    if record['epoch'] == 1:
      raise Stop

  with pytest.raises(Stop):
    _run(_Weights().made(), workdir=tmp_path, on_epoch=stop)
  again = _Weights()
  resumed, log = _run(again.made(), workdir=tmp_path)
  assert len(again.trained) == 2  # Of the last epoch alone.
  jax.tree.map(np.testing.assert_array_equal, whole, resumed)
  for a, b in zip(lines, log, strict=True):
    assert a | {'seconds': 0} == b | {'seconds': 0}
  assert records.read(tmp_path / alternating.FILE) == log


def test_a_policy_need_not_learn():
  weights = _Weights()
  policy = alternating.Policy(
      base.Strategy(lambda key: (), None, None),
      lambda key, state: _SPACE.sample(key))
  state, log = _run(weights.made(), num_rounds=0, policy=policy)
  assert state.policy == () and 'reward' not in log[0]
  assert not weights.scored and len({g for g, _, _ in weights.trained}) > 2


def test_diverged_weights_end_the_run():
  with pytest.raises(ValueError, match='diverged in epoch 0: choose a learning'
                     ' rate below 0.024'):
    _run(_Weights().made(loss=np.nan))
  with pytest.raises(ValueError, match='num_rounds is -1'):
    _run(_Weights().made(), num_rounds=-1)
