import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import search
from nas_jax.data import source
from nas_jax.evaluators import shared
from nas_jax.spaces import discrete
from nas_jax.strategies import evolution
from nas_jax.supernets import shared as supernets
from tests import virtual_devices

_SPACE = discrete.space((('a', 'b', 'c'),) * 2)
_BATCHES = [(np.zeros((4, 1)), np.zeros(4)), (np.ones((4, 1)), np.zeros(4))]


class _Weights:
  """Counts what is scored; the accuracy follows from the letters."""

  def __init__(self):
    self.scored = []

  def __call__(self, state, genotype, images, labels):
    self.scored.append(genotype)
    if genotype == ('c', 'c'):
      raise ValueError('too deep')
    accuracy = sum(.1 if name == 'a' else .3 for name in genotype)
    return accuracy + .1 * float(np.mean(images)) + state, (
        math.nan if genotype == ('b', 'c') else 1.)


def _evaluator(weights, **options):
  return shared.shared(_SPACE.genotype, supernets.Weights(None, None, weights),
                       .05, _BATCHES, **options)


def test_rewards_are_accuracies_averaged_over_batches():
  weights = _Weights()
  evaluator = _evaluator(weights, floor=-1.)
  genomes = jnp.array([[0, 1], [1, 2], [2, 2], [0, 0], [0, 1]])
  found, _ = evaluator.evaluate(
      jax.random.key(0), (), base.Proposals(genomes))
  # .05 of the state, .1 * .5 of the batches.
  np.testing.assert_allclose(found.rewards, [.5, -1, -1, .3, .5], rtol=1e-6)
  assert found.metrics['failed'].tolist() == [0, 1, 1, 0, 0]
  assert found.metrics['validation_accuracy'][1] == 0
  assert found.metrics['score_seconds'][0] > 0
  assert found.metrics['score_seconds'][4] == 0
  assert weights.scored.count(('a', 'b')) == 2  # once on each batch
  evaluator.evaluate(jax.random.key(0), (), base.Proposals(genomes[:1]))
  assert weights.scored.count(('a', 'b')) == 2


def test_a_search_of_trained_weights():
  weights = _Weights()
  state, _ = search.run(
      jax.random.key(0), evolution.regularized_evolution(
          _SPACE, population_size=4, sample_size=2), _evaluator(weights),
      num_rounds=30, genotype=_SPACE.genotype)
  assert _SPACE.genotype(state.best_genome) in (
      ('b', 'b'), ('c', 'b'))
  assert len(weights.scored) <= 2 * 9


def test_batches_are_full_and_differ():
  split = source.Split(np.arange(10)[:, None], np.arange(10))
  found = shared.batches_of(split, 4)
  assert [len(labels) for _, labels in found] == [4, 4]
  assert len(set(np.concatenate([labels for _, labels in found]))) == 8
  assert (found[0][0][:, 0] == found[0][1]).all()
  assert len(shared.batches_of(split, 4, 1)) == 1
  assert len(shared.batches_of(split, 100)[0][1]) == 10


def test_no_batch_is_refused():
  with pytest.raises(ValueError, match='there is no batch to score on'):
    shared.scorer(None, [])


def test_genotypes_are_spread_over_devices():
  """The order of the scores is that of the genotypes."""
  found = virtual_devices.run('tests.evaluators.shared_test', 3)
  assert found['scores'] == list(range(8))
  assert found['devices'] == [i % 3 for i in range(8)]


def _main():
  places = [None] * 8

  def score(state, genotype, images, labels):
    del labels
    places[genotype], = (device.id for device in images.devices())
    return float(jnp.sum(state * images)) * genotype, 1.

  found, _ = shared.scorer(
      supernets.Weights(None, None, score), [(np.ones(1), np.zeros(1))],
      num_devices=3)(jnp.ones(1), list(range(8)))
  print(json.dumps({'scores': found.tolist(), 'devices': places}))


if __name__ == '__main__':
  _main()
