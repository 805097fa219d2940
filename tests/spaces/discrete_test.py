import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.spaces import discrete

_CHOICES = (('a', 'b'), (3, 5, 7), ('only',), (None, 'x', 2.5, True, ()))
_SIZES = (2, 3, 1, 5)


def _keys(n, seed=0):
  return jax.random.split(jax.random.key(seed), n)


def _assert_uniform(counts, n):
  """Within five standard deviations of n / len(counts) everywhere."""
  p = 1 / len(counts)
  slack = 5 * np.sqrt(n * p * (1 - p))
  np.testing.assert_allclose(counts, n * p, atol=slack)


def test_samples_are_legal_and_uniform_over_all_genomes():
  space = discrete.space(_CHOICES)
  n = 30_000
  genomes = jax.jit(jax.vmap(space.sample))(_keys(n))
  assert genomes.dtype == jnp.int32 and genomes.shape == (n, 4)
  assert bool(jnp.all(discrete.is_legal(space.choices, genomes)))
  numbers = np.ravel_multi_index(np.asarray(genomes).T, _SIZES)
  _assert_uniform(np.bincount(numbers, minlength=30), n)


def test_mutation_is_uniform_over_positions_and_over_other_values():
  space = discrete.space(_CHOICES)
  n = 30_000
  parent = jnp.array([1, 0, 0, 3])
  children = np.asarray(
      jax.jit(jax.vmap(space.mutate, (0, None)))(_keys(n), parent))
  changed = children != np.asarray(parent)
  assert (changed.sum(1) == 1).all()
  # Position 2 has nothing to change to; each of the others has a third.
  counts = changed.sum(0)
  assert counts[2] == 0
  _assert_uniform(counts[[0, 1, 3]], n)
  for position, others in ((0, [0]), (1, [1, 2]), (3, [0, 1, 2, 4])):
    values = children[changed[:, position], position]
    counts = np.bincount(values, minlength=_SIZES[position])
    assert counts[parent[position]] == 0
    _assert_uniform(counts[others], len(values))


def test_where_the_same_value_is_allowed_all_values_are_drawn():
  n = 30_000
  parent = jnp.array([1, 2])
  children = np.asarray(jax.vmap(
      lambda key: discrete.mutate_one(key, parent, (4, 3), (True, False)))(
          _keys(n)))
  # Half of the mutations go to each position; a quarter of the first half
  # repeats the value.
  same = (children == np.asarray(parent)).all(1)
  np.testing.assert_allclose(same.mean(), 1 / 8, atol=0.01)
  np.testing.assert_allclose((children[:, 1] != 2).mean(), 1 / 2, atol=0.015)
  moved = children[children[:, 0] != 1, 0]
  _assert_uniform(np.bincount(moved, minlength=4)[[0, 2, 3]], len(moved))
  assert set(children[:, 1]) == {0, 1, 2}


def test_mutation_depends_on_the_key_only():
  space = discrete.space([range(50)] * 30)
  parent = space.sample(jax.random.key(0))
  a, b, c = (space.mutate(jax.random.key(s), parent) for s in (1, 1, 2))
  assert bool(jnp.all(a == b)) and bool(jnp.any(a != c))


def test_a_space_of_one_genome_mutates_to_itself():
  space = discrete.space([['x'], ['y']])
  genome = space.sample(jax.random.key(0))
  assert space.mutate(jax.random.key(1), genome).tolist() == [0, 0]
  assert discrete.size(space.choices) == 1


@pytest.mark.parametrize('size', [1, 2, 3, 7, 100, 65535, 65536])
def test_random_below_is_exact(size):
  bits = np.array([0, 1, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffff0000,
                   0xfffffffe, 0xffffffff], np.uint32)
  bits = np.append(bits, np.random.default_rng(0).integers(
      0, 2**32, 1000, np.uint32))
  expected = [int(b) * size >> 32 for b in bits]
  found = discrete.random_below(jnp.asarray(bits), np.uint32(size))
  assert found.dtype == jnp.int32 and found.tolist() == expected


def test_genotypes_are_the_chosen_values():
  space = discrete.space(_CHOICES)
  assert space.genotype(jnp.array([1, 2, 0, 3])) == ('b', 7, 'only', True)
  hash(space.genotype(jnp.array([1, 2, 0, 4])))
  for genome in itertools.product(*map(range, _SIZES)):
    encoded = space.encode(space.genotype(np.array(genome)))
    assert encoded.dtype == jnp.int32 and tuple(encoded.tolist()) == genome


def test_decode():
  space = discrete.space(_CHOICES)
  genome = jnp.array([1, 2, 0, 3])
  assert space.decode(genome).choices is genome
  assert discrete.space(_CHOICES, decode=lambda g: g[:1]).decode(
      genome).tolist() == [1]


@pytest.mark.parametrize('value, message', [
    (('a', 3, 'only'), "has 4 values, got 3: \\('a', 3, 'only'\\)"),
    (('a', 4, 'only', 'x'), 'position 1 holds 4, expected one of 3, 5, 7$'),
    (('c', 3, 'only', 'x'), "position 0 holds 'c', expected one of 'a', 'b'$"),
])
def test_unknown_genotypes_are_refused(value, message):
  with pytest.raises(ValueError, match=message):
    discrete.space(_CHOICES).encode(value)


@pytest.mark.parametrize('genome, message', [
    ([1, 3, 0, 0], r'position 1 of the genome holds 3, expected 0\.\.2'),
    ([1, 0, 0, -1], r'position 3 of the genome holds -1, expected 0\.\.4'),
    ([1, 0, 0], r'is int32\[4\], got int64\[3\]'),
    ([1., 0., 0., 0.], r'is int32\[4\], got float64\[4\]'),
])
def test_illegal_genomes_are_refused(genome, message):
  genome = np.array(genome)
  assert genome.dtype.kind == 'f' or not discrete.is_legal(_CHOICES, genome)
  with pytest.raises(ValueError, match=message):
    discrete.check(_CHOICES, genome)
  with pytest.raises(ValueError, match=message):
    discrete.space(_CHOICES).genotype(genome)


def test_legality_is_jittable():
  genomes = jnp.array([[0, 0, 0, 0], [1, 2, 0, 4], [0, 0, 1, 0], [0, -1, 0, 0]])
  legal = jax.jit(lambda g: discrete.is_legal(_CHOICES, g))(genomes)
  assert legal.tolist() == [True, True, False, False]


def test_index_counts_in_lexical_order():
  genomes = itertools.product(*map(range, _SIZES))
  for number, genome in enumerate(genomes):
    assert discrete.index(_SIZES, np.array(genome)) == number
    found = discrete.from_index(_SIZES, number)
    assert found.dtype == np.int32 and tuple(found) == genome
  assert discrete.size(_CHOICES) == 30
  for number in (-1, 30):
    with pytest.raises(ValueError, match=rf'index {number} is not in 0\.\.29'):
      discrete.from_index(_SIZES, number)


def test_index_is_exact_in_large_spaces():
  sizes = (7,) * 60
  last = np.full(60, 6)
  assert discrete.index(sizes, last) == 7**60 - 1
  assert (discrete.from_index(sizes, 7**60 - 1) == last).all()


@pytest.mark.parametrize('choices, message', [
    ([], 'at least one position'),
    ([[1], []], r'position 1 has 0 choices, expected 1\.\.65536'),
    ([range(65537)], 'position 0 has 65537 choices'),
    ([[1, 2], ['a', 'b', 'a']],
     r"position 1 names a choice twice: \('a', 'b', 'a'\)"),
])
def test_bad_choices_are_refused(choices, message):
  with pytest.raises(ValueError, match=message):
    discrete.space(choices)


def test_same_allowed_must_cover_every_position():
  with pytest.raises(ValueError, match='1 entries for 2 positions'):
    discrete.space([[1, 2], [1, 2]], same_allowed=[True])
