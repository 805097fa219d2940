import collections
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.spaces import block
from nas_jax.spaces import block_code
from nas_jax.spaces import discrete
from nas_jax.spaces import presets_rl
from nas_jax.strategies import evolution


def _draw(space, n):
  keys = jax.random.split(jax.random.key(0), n)
  return np.asarray(jax.jit(jax.vmap(space.sample))(keys))


def _mutants(space, n, parent):
  keys = jax.random.split(jax.random.key(0), n)
  return np.asarray(jax.jit(jax.vmap(space.mutate, (0, None)))(keys, parent))


@pytest.mark.parametrize('rules, counts, last', [
    ('ordered', [8, 11, 25, 43, 65, 91, 121, 155, 193, 235], 1145),
    ('unordered', [8, 9, 19, 31, 45, 61, 79, 99, 121, 145], 639),
    ('distinct', [8, 21, 37, 57, 81, 109, 141, 177, 217, 261], 1197)])
def test_codes_of_each_layer(rules, counts, last):
  assert [len(block.layers(i, rules)) for i in range(1, 11)] == counts
  assert len(block.layers(23, rules)) == last
  space = block.space(max_index=11, rules=rules)
  assert list(discrete.sizes_of(space.choices)) == counts


def test_layers_by_hand():
  assert block.layers(1) == (
      (1, 1, 1, 0, 0), (1, 1, 3, 0, 0), (1, 1, 5, 0, 0), (1, 2, 1, 0, 0),
      (1, 2, 3, 0, 0), (1, 3, 1, 0, 0), (1, 3, 3, 0, 0), (1, 4, 0, 0, 0))
  joins = {rules: [layer[3:] for layer in block.layers(3, rules)
                   if layer[1] == block_code.ADD] for rules in block.RULES}
  assert joins == {
      'ordered': [(1, 1), (1, 2), (2, 1), (2, 2)], 'unordered': [(1, 2)],
      'distinct': [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]}
  assert block.layers(3)[-1] == (3, 7, 0, 0, 0)


@pytest.mark.parametrize('rules, logarithm', [
    ('ordered', 50.744), ('distinct', 52.086), ('unordered', 46.394)])
def test_number_of_blocks(rules, logarithm):
  assert round(math.log10(block.size(23, rules)), 3) == logarithm


def test_number_of_small_blocks():
  assert block.size(5) == 82_648
  # Two layers: one of 8 alone, or followed by one of 10.
  assert block.size(3) == 8 * (1 + 10) == 88
  assert block.size(2) == 8


@pytest.mark.parametrize('code, density, with_input', [
    (presets_rl.INCEPTION_LIKE, 10 / 9, 1.1), (presets_rl.RESNET_LIKE, 1., 1.)])
@pytest.mark.parametrize('rules', block.RULES)
def test_published_blocks(code, density, with_input, rules):
  space = block.space(rules=rules)
  genome = space.encode(code)
  assert genome.shape == (22,)
  assert space.genotype(genome) == code
  assert (space.encode(code[:-1]) == genome).all()
  found = space.decode(genome)
  assert found.num_layers == len(code) - 1
  assert found.layers[:len(code)].tolist() == list(map(list, code))
  assert found.layers[-1].tolist() == [22, 7, 0, 0, 0]
  assert block_code.density(space.genotype(genome)) == density
  assert block_code.density(code, input_is_node=True) == with_input


@pytest.mark.parametrize('rules', block.RULES)
def test_samples_are_canonical_and_round_trip(rules):
  space = block.space(max_index=6, rules=rules)
  lengths = collections.Counter()
  for genome in _draw(space, 200):
    code = space.genotype(genome)
    assert np.array_equal(space.encode(code), genome)
    assert block.is_terminal(code[-1])
    assert not any(map(block.is_terminal, code[:-1]))
    assert space.decode(genome).num_layers == len(code) - 1
    lengths[len(code) - 1] += 1
  assert lengths[5] > lengths[1] > 0


def test_a_block_of_the_largest_size_ends_with_the_forced_terminal_layer():
  space = block.space(max_index=3)
  code = ((1, 1, 3, 0, 0), (2, 5, 0, 1, 1), (3, 7, 0, 0, 0))
  assert space.encode(code).shape == (2,)
  assert space.genotype(space.encode(code)) == code


def test_every_layer_is_uniform_until_the_block_ends():
  n = 40_000
  space = block.space(max_index=4)
  genomes = _draw(space, n)
  for t, size in enumerate((8, 11, 25)):
    alive = genomes if t < 2 else genomes[genomes[:, 1] != 10]
    found = np.bincount(alive[:, t], minlength=size) / len(alive)
    np.testing.assert_allclose(found, 1 / size, atol=0.01)
  assert (genomes[genomes[:, 1] == 10, 2] == 24).all()


def test_all_blocks_of_a_small_space():
  space = block.space(max_index=3, rules='unordered')
  genomes = _draw(space, 2000)
  codes = set(map(space.genotype, np.unique(genomes, axis=0)))
  assert len(codes) == block.size(3, 'unordered') == 8 * (1 + 8)


def test_a_mutation_edits_one_layer_or_moves_the_end():
  space = block.space(max_index=6)
  parent = space.encode(((1, 4, 0, 0, 0), (2, 1, 3, 1, 0), (3, 5, 0, 1, 2)))
  n = 10_000
  children = _mutants(space, n, parent)
  assert bool(jnp.all(discrete.is_legal(space.choices, children)))
  num_layers = np.asarray(block.num_layers(space.choices, children))
  assert set(num_layers) == {1, 2, 3, 4}
  # Four positions are alike: three layers and the terminal one.
  np.testing.assert_allclose((num_layers == 4).mean(), 1 / 4, atol=0.022)
  np.testing.assert_allclose((num_layers == 1).mean(), 1 / 40, atol=0.008)
  np.testing.assert_allclose((num_layers == 2).mean(), 1 / 96, atol=0.005)
  changed = children != np.asarray(parent)
  for child, edits, layers in zip(children, changed, num_layers):
    assert np.array_equal(space.encode(space.genotype(child)), child)
    assert edits[:min(layers + 1, 4)].sum() == 1


def test_the_largest_block_mutates_within_the_space():
  space = block.space(max_index=3)
  parent = space.encode(((1, 4, 0, 0, 0), (2, 1, 3, 1, 0)))
  children = _mutants(space, 500, parent)
  assert ((children != parent).sum(1) == 1).all()


def test_evolution_finds_many_convolutions():
  space = block.space(max_index=6)
  # Index 1 at every position is a convolution, whose block never ends early.
  state, _ = search.scan(
      jax.random.key(1), evolution.regularized_evolution(
          space, population_size=40, sample_size=10),
      toy.number_of_ones(space), num_rounds=3000)
  assert state.best_reward >= 4
  assert block.num_layers(space.choices, state.best_genome) == 5


@pytest.mark.parametrize('call, message', [
    (lambda: block.space(rules='any'), "unknown rules 'any', expected one of "
     'ordered, unordered, distinct'),
    (lambda: block.space(max_index=1), 'max_index must be at least 2, got 1'),
    (lambda: block.space(max_index=4).encode(presets_rl.RESNET_LIKE),
     'the block has 4 layers, expected at most 3'),
    (lambda: block.space(rules='distinct').encode(
        ((1, 4, 0, 0, 0), (2, 5, 0, 1, 1))),
     "the layer (2, 5, 0, 1, 1) is not legal under the rules 'distinct'"),
    (lambda: block.space().encode(((1, 4, 0, 0, 0), (2, 1, 3, 0, 0))),
     "the layer (2, 1, 3, 0, 0) is not legal under the rules 'ordered'"),
    (lambda: block.space().encode(((1, 7, 0, 0, 0),)), 'has no layer'),
])
def test_what_is_refused(call, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    call()
