import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax.evaluators import toy
from nas_jax.spaces import block
from nas_jax.spaces import discrete


def _space():
  return discrete.space([range(s) for s in (2, 3, 1, 4)])


def _all(space):
  sizes = discrete.sizes_of(space.choices)
  return jnp.array(list(itertools.product(*map(range, sizes))), jnp.int32)


def _evaluate(evaluator, genomes, seed=0):
  key = jax.random.key(seed)
  evaluation, _ = jax.jit(evaluator.evaluate)(
      key, evaluator.init(key), base.Proposals(genomes))
  rewards = evaluation.rewards
  assert rewards.shape == (len(genomes),) and rewards.dtype == jnp.float32
  assert evaluation.metrics['failed'].tolist() == [0.] * len(genomes)
  assert evaluation.metrics['failed'].dtype == jnp.float32
  return np.asarray(rewards)


def test_number_of_ones():
  genomes = jnp.array([[0, 0, 0, 0], [1, 1, 0, 1], [0, 2, 0, 1], [1, 1, 0, 3]])
  assert _evaluate(toy.number_of_ones(_space()), genomes).tolist() == [
      0, 3, 1, 2]
  np.testing.assert_allclose(
      _evaluate(toy.number_of_ones(_space(), scale='mean'), genomes),
      [0, 0.75, 0.25, 0.5])


def test_number_of_ones_among_the_first_positions():
  genomes = jnp.array([[0, 0, 0, 1], [1, 1, 0, 1], [0, 2, 0, 1], [1, 0, 0, 0]])
  assert _evaluate(
      toy.number_of_ones(_space(), positions=2), genomes).tolist() == [
          0, 2, 0, 1]
  assert _evaluate(toy.number_of_ones(
      _space(), positions=2, scale='mean'), genomes).tolist() == [0, 1, 0, .5]


def test_noise_is_gaussian_clipped_and_a_function_of_the_key():
  space = discrete.space([range(2)] * 100)
  genomes = jnp.tile(jnp.arange(100) % 2, (4000, 1))
  noisy = toy.number_of_ones(space, scale='mean', noise=0.01, clip=(0., 1.))
  rewards = _evaluate(noisy, genomes)
  np.testing.assert_allclose(rewards.mean(), 0.5, atol=0.001)
  np.testing.assert_allclose(rewards.std(), 0.01, rtol=0.06)
  assert (rewards == _evaluate(noisy, genomes)).all()
  assert (rewards != _evaluate(noisy, genomes, seed=1)).any()
  ones = _evaluate(noisy, jnp.ones((1000, 100), jnp.int32))
  assert ones.max() == 1 and 0.4 < np.mean(ones == 1) < 0.6


@pytest.mark.parametrize('options, message', [
    ({'scale': 'sum'}, "unknown scale 'sum', expected one of count, mean"),
    ({'noise': -1.}, 'noise must not be negative, got -1.0'),
    ({'positions': 0}, r'positions 0 is not in 1\.\.4'),
    ({'positions': 5}, r'positions 5 is not in 1\.\.4'),
    ({'clip': (1., 0.)}, r'clip must be \(lower, higher\), got \(1.0, 0.0\)'),
])
def test_options_of_number_of_ones_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    toy.number_of_ones(_space(), **options)


_CONV, _POOL, _JOIN = (1, 3), (2, 3), (5, 0)


@pytest.mark.parametrize('layers, depth', [
    ([(*_POOL, 0, 0)], 0),
    ([(*_CONV, 0, 0)], 1),
    # Two in a row and one beside them.
    ([(*_CONV, 0, 0), (*_CONV, 1, 0), (*_CONV, 1, 0)], 2),
    # The longer path leads through either side of a sum.
    ([(*_CONV, 0, 0), (*_CONV, 1, 0), (*_JOIN, 1, 2), (*_CONV, 3, 0)], 3),
    ([(*_CONV, 0, 0), (*_CONV, 1, 0), (*_JOIN, 2, 1), (*_CONV, 3, 0)], 3),
    ([(*_CONV, 0, 0), (*_POOL, 1, 0), (*_CONV, 2, 0), (*_CONV, 2, 0)], 2),
])
def test_block_depth_counts_convolutions_on_the_longest_path(layers, depth):
  space = block.space(max_index=6)
  genome = space.encode(tuple((i, *layer) for i, layer in enumerate(layers, 1)))
  evaluator = toy.block_depth(space, low=0.2, high=0.8, scale=2.)
  np.testing.assert_allclose(
      _evaluate(evaluator, genome[None]), 0.8 - 0.6 * np.exp(-depth / 2),
      rtol=1e-6)


def test_block_depth_with_noise():
  space = block.space(max_index=3)
  genomes = jnp.zeros((4000, 2), jnp.int32).at[:, 1].set(10)
  rewards = _evaluate(toy.block_depth(space, noise=0.05), genomes)
  np.testing.assert_allclose(
      rewards.mean(), 0.9 - 0.8 * np.exp(-1 / 3), atol=0.004)
  np.testing.assert_allclose(rewards.std(), 0.05, rtol=0.06)
  for options in ({'low': 0.9}, {'scale': 0.}, {'noise': -1.}):
    with pytest.raises(ValueError, match='expected low < high, a positive'):
      toy.block_depth(space, **options)


@pytest.mark.parametrize('k', [0, 1, 3])
def test_nk_is_a_mean_of_contributions_in_0_1(k):
  space = _space()
  rewards = _evaluate(toy.nk(space, num_interactions=k, seed=3), _all(space))
  assert rewards.min() > 0 and rewards.max() < 1
  assert len(np.unique(rewards)) == 24
  again = _evaluate(toy.nk(space, num_interactions=k, seed=3), _all(space))
  assert (rewards == again).all()
  other = _evaluate(toy.nk(space, num_interactions=k, seed=4), _all(space))
  assert (rewards != other).all()


def test_nk_without_interactions_is_additive():
  space = _space()
  genomes = _all(space)
  rewards = _evaluate(toy.nk(space, num_interactions=0, seed=0), genomes)
  table = rewards.reshape(2, 3, 4).astype(np.float64)
  additive = (table[:, :1, :1] + table[:1, :, :1] + table[:1, :1, :]
              - 2 * table[0, 0, 0])
  np.testing.assert_allclose(table, additive, atol=1e-6)
  rugged = _evaluate(toy.nk(space, num_interactions=2, seed=0), genomes)
  table = rugged.reshape(2, 3, 4)
  assert np.abs(table - (table[:, :1, :1] + table[:1, :, :1]
                         + table[:1, :1, :] - 2 * table[0, 0, 0])).max() > 0.01


def test_nk_edit_changes_the_contributions_that_depend_on_it():
  """With K of L - 1 interactions an edit changes K + 1 terms on average."""
  space = discrete.space([range(3)] * 12)
  evaluator = toy.nk(space, num_interactions=2, seed=0)
  genome = space.sample(jax.random.key(0))
  neighbours = jnp.stack([genome.at[i].set((genome[i] + 1) % 3)
                          for i in range(12)])
  base_reward = _evaluate(evaluator, genome[None])[0]
  changes = np.abs(_evaluate(evaluator, neighbours) - base_reward)
  # Each term changes the mean by at most 1 / 12.
  assert (changes > 0).all() and changes.mean() < 3 / 12


def test_nk_optimum_is_the_best_of_all():
  space = _space()
  genome, reward = toy.nk_optimum(space, num_interactions=2, seed=5)
  rewards = _evaluate(
      toy.nk(space, num_interactions=2, seed=5), _all(space))
  assert genome.dtype == np.int32
  assert reward == rewards.max()
  assert genome.tolist() == _all(space)[np.argmax(rewards)].tolist()


def test_nk_optimum_in_several_chunks():
  space = discrete.space([range(2)] * 17)
  genome, reward = toy.nk_optimum(space, num_interactions=3, seed=1)
  evaluator = toy.nk(space, num_interactions=3, seed=1)
  np.testing.assert_allclose(
      _evaluate(evaluator, jnp.asarray(genome)[None])[0], reward, rtol=1e-6)
  # No single edit improves it.
  neighbours = np.array([genome ^ (np.arange(17) == i) for i in range(17)])
  assert _evaluate(evaluator, jnp.asarray(neighbours)).max() < reward


def test_nk_arguments_are_checked():
  with pytest.raises(ValueError, match=r'num_interactions 4 is not in 0\.\.3'):
    toy.nk(_space(), num_interactions=4, seed=0)
  with pytest.raises(ValueError, match='num_interactions 9 needs tables of'):
    toy.nk(discrete.space([range(10)] * 10), num_interactions=9, seed=0)
  with pytest.raises(ValueError, match='the space has 8388608 genomes, more '):
    toy.nk_optimum(discrete.space([range(2)] * 23), num_interactions=0, seed=0)
