import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import presets_recurrent
from nas_jax.spaces import recurrent
from nas_jax.spaces import sequences

_SMALL = (('tanh', 0), ('relu', 1), ('relu', 2), ('tanh', 1))
_NAO_TOKENS = '1 13 1 13 2 13 4 12 5 13 5 13 6 13 2 13 8 13 2 13 2 14'
_NAO_WS_TOKENS = '1 13 2 13 3 14 2 14 5 13 5 13 5 13 8 13 9 14 2 12 5 13'


@pytest.mark.parametrize('num_nodes, published', [
    (8, 2_642_411_520), (11, 167_423_193_907_200),
    (12, 8_036_313_307_545_600)])
def test_the_space_has_as_many_chains_as_the_formula_says(num_nodes, published):
  space = recurrent.chain_space(num_nodes)
  assert discrete.size(space.choices) == published
  assert recurrent.size(num_nodes) == published
  assert len(space.choices) == 2 * num_nodes


def test_a_genome_holds_a_state_and_an_activation_per_node():
  space = recurrent.chain_space(4)
  chain = recurrent.Chain(_SMALL, (1, 2, 3, 4))
  genome = space.encode(chain)
  np.testing.assert_array_equal(genome, [0, 0, 1, 1, 2, 1, 1, 0])
  assert genome.dtype == np.int32
  assert space.genotype(genome) == chain
  assert space.genotype(genome).nodes[2] == ('relu', 2)
  found = space.decode(genome)
  np.testing.assert_array_equal(found.predecessors, [0, 1, 2, 1])
  np.testing.assert_array_equal(found.activations, [0, 1, 1, 0])


def test_the_example_of_enas_ends_in_its_leaves():
  assert recurrent.leaves(_SMALL) == (3, 4)


def test_samples_are_uniform_and_mutations_change_one_position():
  space = recurrent.chain_space(3)
  keys = jax.random.split(jax.random.key(0), 3000)
  genomes = np.asarray(jax.jit(jax.vmap(space.sample))(keys))
  assert discrete.is_legal(space.choices, genomes).all()
  np.testing.assert_allclose(
      np.bincount(genomes[:, 4]) / 3000, [1 / 3] * 3, atol=.04)
  np.testing.assert_allclose(
      np.bincount(genomes[:, 5]) / 3000, [1 / 4] * 4, atol=.04)
  mutants = np.asarray(jax.jit(jax.vmap(space.mutate))(keys, genomes))
  assert ((mutants != genomes).sum(1) == 1).all()
  assert discrete.is_legal(space.choices, mutants).all()


@pytest.mark.parametrize('name, tokens, activations', [
    ('NAO_RNN', _NAO_TOKENS, recurrent.NAO_ACTIVATIONS),
    ('NAO_WS_RNN', _NAO_WS_TOKENS, recurrent.ACTIVATIONS)])
def test_the_tokens_of_nao_are_those_that_its_encoder_reads(
    name, tokens, activations):
  chain = presets_recurrent.PRESETS[name].genotype
  expected = tuple(map(int, tokens.split()))
  assert recurrent.to_tokens(chain, activations) == expected
  assert recurrent.parse_tokens(tokens, activations) == chain
  space = recurrent.chain_space(11, activations)
  code = sequences.of_space(space)
  assert code.vocabulary == 16
  np.testing.assert_array_equal(
      sequences.to_tokens(code, space.encode(chain)), expected)
  np.testing.assert_array_equal(
      sequences.to_genomes(code, np.array(expected)), space.encode(chain))


def test_numbers_of_the_two_codes_of_nao_differ_in_two_activations():
  chain = recurrent.parse('0 2 1 3', recurrent.NAO_ACTIVATIONS)
  assert chain.nodes == (('identity', 0), ('sigmoid', 1))
  assert recurrent.numbers(chain) == (0, 3, 1, 2)


@pytest.mark.parametrize('numbers, message', [
    ('', '0 numbers, expected two for each node'),
    ('0 1 1', '3 numbers, expected two'),
    ('1 0', 'node 1 reads state 1, expected 0..0'),
    ('0 4', 'number 1 is 4, expected an activation 0..3'),
    ('0 a', "'a' is not a number")])
def test_numbers_that_mean_no_chain(numbers, message):
  with pytest.raises(ValueError, match=message):
    recurrent.parse(numbers)


@pytest.mark.parametrize('genotype, message', [
    ([], r'expected \(nodes, concat\) of a chain'),
    (((), (1,)), 'the chain has no node'),
    ((('tanh',), (1,)), "node 1 is 'tanh'"),
    (((('none', 0),), (1,)), "node 1 has activation 'none', expected one of "
     'tanh, relu, sigmoid, identity'),
    (((('tanh', 0), ('tanh', 2)), (1,)), 'node 2 reads state 2, expected 0..1'),
    (((('tanh', True),), (1,)), 'node 1 reads state True'),
    (((('tanh', 0),), ()), 'expected different states'),
    (((('tanh', 0),), (1, 1)), 'expected different states'),
    (((('tanh', 0),), (2,)), 'concat holds 2, expected a state 0..1')])
def test_what_is_no_chain(genotype, message):
  with pytest.raises(ValueError, match=message):
    recurrent.check(genotype)


def test_a_cell_outside_the_space_is_refused():
  space = recurrent.chain_space(4)
  with pytest.raises(ValueError, match='the mean of all of 4'):
    space.encode((_SMALL, (3, 4)))
  with pytest.raises(ValueError, match='the mean of all of 4'):
    space.encode((_SMALL[:2], (1, 2)))
  with pytest.raises(ValueError, match='at least 1, got 0'):
    recurrent.chain_space(0)
  with pytest.raises(ValueError, match="has activation 'sin'"):
    recurrent.chain_space(2, ('tanh', 'sin'))
