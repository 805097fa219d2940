import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.spaces import adjacency
from nas_jax.spaces import discrete
from nas_jax.spaces import presets_rl
from nas_jax.spaces import token_code
from nas_jax.spaces import tokens
from nas_jax.strategies import evolution


def _draw(space, n):
  keys = jax.random.split(jax.random.key(0), n)
  return np.asarray(jax.jit(jax.vmap(space.sample))(keys))


def test_cardinality_and_layout():
  space = tokens.space()
  assert discrete.size(space.choices) == 10**20 * 2**90
  assert f'{discrete.size(space.choices):.4e}' == '1.2379e+47'
  assert len(space.choices) == 110
  assert space.choices[:20] == (tuple(range(10)),) * 20
  assert space.choices[20:] == ((0, 1),) * 90


def test_published_cells():
  space = tokens.space()
  genome = space.encode(presets_rl.AUTODL_DESIGN)
  assert space.genotype(genome) == presets_rl.AUTODL_DESIGN
  assert genome[:20].tolist() == [
      1, 8, 4, 4, 6, 6, 6, 1, 1, 1, 1, 1, 0, 3, 1, 2, 8, 0, 6, 3]
  normal, reduction = np.split(genome[20:], 2)
  assert np.flatnonzero(normal).tolist() == [9, 43, 44]
  assert np.flatnonzero(reduction).tolist() == [
      20, 24, 25, 27, 31, 32, 33, 34, 41, 42]


def test_decode_of_the_published_cells():
  space = tokens.space()
  cells = jax.jit(space.decode)(space.encode(presets_rl.AUTODL_DESIGN))
  assert cells.tokens[0].tolist() == [1, 8, 4, 4, 6, 6, 6, 1, 1, 1]
  assert np.argwhere(cells.edges[0]).tolist() == [[3, 4], [7, 9], [8, 9]]
  assert np.flatnonzero(cells.leaves[0]).tolist() == [0, 1, 2, 4, 5, 6, 9]
  assert np.flatnonzero(cells.leaves[1]).tolist() == [0, 1, 2, 7, 8, 9]


def test_decode_agrees_with_the_genotype():
  space = tokens.space(num_nodes=4)
  genomes = _draw(space, 40)
  cells = jax.jit(jax.vmap(space.decode))(genomes)
  assert cells.tokens.dtype == jnp.int32 and cells.edges.dtype == bool
  for k, genome in enumerate(genomes):
    code = space.genotype(genome)
    hash(code)
    assert np.array_equal(space.encode(code), genome)
    for c, (found, bits) in enumerate(code):
      assert cells.tokens[k, c].tolist() == list(found)
      assert set(map(tuple, np.argwhere(cells.edges[k, c]).tolist())) == set(
          adjacency.edges(bits, 4))
      assert np.flatnonzero(cells.leaves[k, c]).tolist() == list(
          adjacency.leaves(bits, 4))


def test_expected_number_of_leaves():
  """1.998 of 10 nodes where every bit is 0.5: the sum of 2^-(9 - i)."""
  space = tokens.space()
  cells = jax.jit(jax.vmap(space.decode))(_draw(space, 20_000))
  np.testing.assert_allclose(
      cells.leaves.sum(-1).mean(), sum(2.**-i for i in range(10)), atol=0.02)


def test_some_of_the_operations():
  space = tokens.space(
      num_nodes=2, operations=('max_pool_3x3', 'conv_1x1'))
  genome = jnp.array([0, 1, 1, 1, 1, 0])
  code = (((6, 0), (1,)), ((0, 0), (0,)))
  assert space.genotype(genome) == code
  assert space.encode(code).tolist() == genome.tolist()
  assert space.decode(genome).tokens.tolist() == [[6, 0], [0, 0]]
  with pytest.raises(ValueError, match='position 0 holds 1, expected one of '
                     '6, 0'):
    space.encode((((1, 0), (1,)), ((0, 0), (0,))))


def test_a_single_node_has_no_bits():
  space = tokens.space(num_nodes=1)
  assert len(space.choices) == 2
  cells = space.decode(jnp.array([3, 4]))
  assert cells.edges.shape == (2, 1, 1) and cells.leaves.all()
  assert space.genotype(jnp.array([3, 4])) == (((3,), ()), ((4,), ()))


def test_evolution_counts_ones():
  space = tokens.space(num_nodes=3)
  state, _ = search.scan(
      jax.random.key(0), evolution.regularized_evolution(
          space, population_size=20, sample_size=10),
      toy.number_of_ones(space, positions=6), num_rounds=600)
  assert state.best_reward == 6
  (first, _), (second, _) = space.genotype(state.best_genome)
  assert first == second == (1, 1, 1)
  assert token_code.OPERATIONS[1] == 'conv_3x3'


@pytest.mark.parametrize('call, message', [
    (lambda: tokens.space(num_nodes=0), 'num_nodes must be at least 1, got 0'),
    (lambda: tokens.space(operations=('conv',)),
     "unknown operation 'conv', expected one of conv_1x1, conv_3x3"),
    (lambda: tokens.space(num_nodes=2).encode((((1,), ()), ((1,), ()))),
     'a cell has 1 nodes, expected 2'),
    (lambda: tokens.space(num_nodes=1).encode((((10,), ()), ((1,), ()))),
     'node 0 of the normal cell has token 10, expected 0..9'),
])
def test_what_is_refused(call, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    call()
