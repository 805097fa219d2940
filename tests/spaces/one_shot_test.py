import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import one_shot


def test_the_size_of_the_space():
  space = one_shot.space()
  assert discrete.sizes_of(space.choices) == (3, 28, 6, 28, 10, 28, 15, 28)
  assert discrete.size(space.choices) == 1_659_571_200


def test_a_genome_says_sets_of_states_and_operations():
  space = one_shot.space()
  genotype = ((0,), ('skip_connect',), (0, 2),
              ('sep_conv_3x3', 'avg_pool_3x3'), (3,), ('conv_1x7_7x1',),
              (1, 4), ('sep_conv_7x7', 'max_pool_3x3'))
  genome = space.encode(genotype)
  assert space.genotype(genome) == genotype
  paths = jax.jit(space.decode)(genome)
  assert paths.inputs.astype(int).tolist() == [
      [1, 0, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 1]]
  assert paths.operations.astype(int).tolist() == [
      [1, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0],
      [0, 0, 0, 1, 0, 1, 0]]
  assert one_shot.genotype_of(paths) == genotype


def test_random_genomes_have_one_or_two_of_each():
  space = one_shot.space()
  genomes = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 200))
  paths = jax.vmap(space.decode)(genomes)
  for masks in paths:
    counts = np.asarray(masks).sum(-1)
    assert set(np.unique(counts)) == {1, 2}
  # Sets are equally likely: of the three of block 0 two have one state.
  one = np.mean(np.asarray(paths.inputs)[:, 0].sum(-1) == 1)
  assert abs(one - 2 / 3) < .1


def test_all_paths_and_none_can_be_said():
  assert one_shot.all_paths(('a', 'b'), 2) == (
      (0, 1), ('a', 'b'), (0, 1, 2), ('a', 'b'))
  nothing = one_shot.Paths(np.zeros((2, 3), bool), np.zeros((2, 2), bool))
  assert one_shot.genotype_of(nothing, ('a', 'b')) == ((), (), (), ())
  assert one_shot.check(((), (), (1,), ('a',))) == [
      ((), ()), ((1,), ('a',))]
  assert one_shot.num_inputs(4).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize('genotype, message', [
    (((0,),), 'a genotype of choice blocks is'),
    (((2,), ('a',)), r'block 0 reads states \(2,\), expected some of 0..1'),
    (((0, 0), ('a',)), 'block 0 names one of its states twice'),
    (((0,), ('a', 'a')), 'block 0 names one of its operations twice'),
])
def test_what_is_no_genotype(genotype, message):
  with pytest.raises(ValueError, match=message):
    one_shot.check(genotype)


def test_numbers_out_of_range():
  with pytest.raises(ValueError, match='num_blocks is 0, expected at least 1'):
    one_shot.space(num_blocks=0)
