import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import presets_recurrent
from nas_jax.spaces import recurrent_tree

# Figure 5 of the paper.
_FIGURE = recurrent_tree.Tree(
    nodes=(('add', 'tanh'), ('elem_mult', 'relu'), ('elem_mult', 'sigmoid')),
    inject=('add', 'relu'), indices=(1, 0))


@pytest.mark.parametrize('base, tokens, published', [
    (2, 10, 36_864), (8, 34, 63_331_869_759_897_600)])
def test_the_space_has_the_published_size(base, tokens, published):
  space = recurrent_tree.tree_space(base)
  assert len(space.choices) == tokens
  assert discrete.size(space.choices) == published
  assert recurrent_tree.size(base) == published


def test_figure_5_is_decoded_to_its_equations():
  assert recurrent_tree.equations(_FIGURE) == (
      'a0 = tanh(W1 x + W2 h)',
      "a0' = relu(a0 + c)",
      'a1 = relu((W3 x) * (W4 h))',
      "a2 = sigmoid(a0' * a1)",
      "h' = a2",
      "c' = (W3 x) * (W4 h)")


def test_the_published_cell_is_that_of_tensorflow():
  found = recurrent_tree.equations(presets_recurrent.NAS_CELL)
  assert found[3] == 'a3 = relu((W7 x) * (W8 h))'
  assert found[8:] == (
      'a8 = tanh(a0 * a1)', "a8' = tanh(a8 + c)", 'a9 = tanh(a2 + a3)',
      'a10 = tanh(a4 * a5)', 'a11 = sigmoid(a6 + a7)', "a12 = a8' * a9",
      'a13 = tanh(a10 + a11)', 'a14 = tanh(a12 * a13)', "h' = a14",
      "c' = a8' * a9")


def test_other_combinations_are_written_as_functions():
  tree = _FIGURE._replace(nodes=(
      ('max', 'sin'), ('add', 'identity'), ('elem_mult', 'identity')),
                          indices=(2, 2))
  assert recurrent_tree.equations(tree) == (
      'a0 = sin(max(W1 x, W2 h))', 'a1 = W3 x + W4 h', 'a2 = a0 * a1',
      "a2' = relu(a2 + c)", "h' = a2'", "c' = a0 * a1")


def test_a_genome_holds_the_tokens_of_the_figure_in_their_order():
  space = recurrent_tree.tree_space(2)
  genome = space.encode(_FIGURE)
  np.testing.assert_array_equal(genome, [0, 1, 1, 3, 1, 2, 0, 3, 1, 0])
  assert space.genotype(genome) == _FIGURE
  assert space.genotype(genome).inject == ('add', 'relu')
  found = space.decode(genome)
  np.testing.assert_array_equal(found.combinations, [0, 1, 1])
  np.testing.assert_array_equal(found.activations, [1, 3, 2])
  np.testing.assert_array_equal(found.inject, [0, 3])
  np.testing.assert_array_equal(found.indices, [1, 0])


def test_samples_and_mutations_are_trees():
  space = recurrent_tree.tree_space()
  keys = jax.random.split(jax.random.key(1), 50)
  genomes = jax.jit(jax.vmap(space.sample))(keys)
  mutants = np.asarray(jax.jit(jax.vmap(space.mutate))(keys, genomes))
  assert ((mutants != genomes).sum(1) == 1).all()
  for genome in mutants[:5]:
    tree = recurrent_tree.check(space.genotype(genome))
    np.testing.assert_array_equal(space.encode(tree), genome)


def test_leaves_come_first_and_the_root_last():
  assert recurrent_tree.children(7) == (
      None, None, None, None, (0, 1), (2, 3), (4, 5))


@pytest.mark.parametrize('change, message', [
    (dict(nodes=_FIGURE.nodes[:2]), 'has 2 nodes, expected 2 base - 1'),
    (dict(nodes=_FIGURE.nodes * 2), 'the tree has 6 nodes'),
    (dict(nodes=('add', 'add', 'add')), "node 0 is 'add'"),
    (dict(inject=('sub', 'tanh')), "inject has combination 'sub', expected one "
     'of add, elem_mult, max'),
    (dict(inject=('add', 'swish')), "inject has activation 'swish'"),
    (dict(indices=(0,)), 'expected two nodes'),
    (dict(indices=(0, 3)), 'indices hold 3, expected a node 0..2')])
def test_what_is_no_tree(change, message):
  with pytest.raises(ValueError, match=message):
    recurrent_tree.check(_FIGURE._replace(**change))


def test_a_tree_of_another_size_or_choice_is_refused():
  with pytest.raises(ValueError, match='base is 6, expected a power of two'):
    recurrent_tree.tree_space(6)
  with pytest.raises(ValueError, match="has combination 'min'"):
    recurrent_tree.tree_space(2, combinations=('add', 'min'))
  with pytest.raises(ValueError, match='has 3 nodes, expected 7'):
    recurrent_tree.tree_space(4).encode(_FIGURE)
  with pytest.raises(ValueError, match=r'expected \(nodes, inject, indices\)'):
    recurrent_tree.check(())
