import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.strategies import random_search


def _space():
  return discrete.space([range(2), range(3), range(5)])


def test_children_are_uniform_and_independent():
  space = _space()
  strategy = random_search.random_search(space, batch_size=3000)
  proposals = strategy.ask(jax.random.key(0), strategy.init(jax.random.key(1)))
  assert proposals.genomes.shape == (3000, 3) and proposals.aux == ()
  counts = np.bincount(np.ravel_multi_index(proposals.genomes.T, (2, 3, 5)),
                       minlength=30)
  # 100 each, give or take five standard deviations.
  np.testing.assert_allclose(counts, 100, atol=50)


def test_rounds_differ_and_learn_nothing():
  space = _space()
  strategy = random_search.random_search(space, batch_size=2)
  _, history = search.scan(
      jax.random.key(0), strategy, toy.number_of_ones(space), num_rounds=500)
  genomes = history.genomes.reshape(1000, 3)
  half = history.rewards.reshape(2, 500).mean(1)
  np.testing.assert_allclose(half, 1 / 2 + 1 / 3 + 1 / 5, atol=0.12)
  assert len(np.unique(genomes, axis=0)) == 30


def test_batch_size_is_checked():
  with pytest.raises(ValueError, match='batch_size must be at least 1, got 0'):
    random_search.random_search(_space(), batch_size=0)


def test_sample_is_what_ask_draws():
  space = _space()
  strategy = random_search.random_search(space, batch_size=4)
  key = jax.random.key(3)
  genomes = strategy.ask(key, strategy.init(key)).genomes
  assert bool(jnp.all(genomes == random_search.sample(key, space, 4)))
