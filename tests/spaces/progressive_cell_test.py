"""PNAS's cells: genomes, samples, mutations, names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import presets
from nas_jax.spaces import progressive_cell

# One token after the other: I1, I2, O1, O2 of each block.
_PNASNET_5 = [4, 0, 0, 1, 6, 1, 1, 2, 6, 1, 1, 1, 0, 4, 1, 0, 6, 0, 1, 0, 4]


@pytest.fixture(scope='module')
def tiny():
  return progressive_cell.space(('a', 'b'), num_blocks=3)


def test_pnasnet_5_is_a_genome_of_the_space():
  space = progressive_cell.space()
  genotype = presets.load('PNASNet-5').genotype
  genome = space.encode(genotype)
  assert genome.tolist() == _PNASNET_5
  assert space.genotype(genome) == genotype
  cell = space.decode(genome)
  assert cell.num_blocks == 5
  assert cell.inputs.tolist() == [[0, 0], [1, 1], [1, 1], [4, 1], [0, 1]]
  assert cell.operations.tolist() == [[1, 6], [2, 6], [1, 0], [0, 6], [0, 4]]
  assert cell.output.tolist() == [False] * 2 + [True] * 5


def test_a_loose_output_leaves_out_what_is_read():
  space = progressive_cell.space(concat='loose')
  genome = jnp.array(_PNASNET_5, jnp.int32)
  assert space.genotype(genome).normal_concat == (2, 3, 5, 6)
  assert np.flatnonzero(space.decode(genome).output).tolist() == [2, 3, 5, 6]
  with pytest.raises(ValueError, match=r'imply \(2, 3, 5, 6\)'):
    space.encode(presets.load('PNASNet-5').genotype)


def test_samples_are_uniform_over_all_cells(tiny):
  keys = jax.random.split(jax.random.key(0), 100_000)
  genomes = np.asarray(jax.vmap(tiny.sample)(keys))
  assert discrete.is_legal(tiny.choices, genomes).all()
  # 16, 16 * 36 and 16 * 36 * 64 cells.
  shares = np.bincount(genomes[:, 0], minlength=3) / len(genomes)
  total = 16 + 576 + 36864
  error = 4 * np.sqrt(576 / total / len(genomes))
  assert np.abs(shares - np.array([16, 576, 36864]) / total).max() < error
  first = genomes[genomes[:, 0] == 2][:, 1:5]
  assert np.abs(first.mean(0) - .5).max() < .01
  for genome in genomes[:200]:
    assert (genome[5 + 4 * genome[0]:] == 0).all()
    assert (tiny.encode(tiny.genotype(genome)) == genome).all()


def test_mutations_are_legal_and_change_the_cell(tiny):
  keys = jax.random.split(jax.random.key(1), 4000)
  genomes = jax.vmap(tiny.sample)(keys)
  mutants = np.asarray(jax.vmap(tiny.mutate)(
      jax.random.split(jax.random.key(2), 4000), genomes))
  assert discrete.is_legal(tiny.choices, mutants).all()
  assert (mutants != genomes).any(1).all()
  for genome in mutants[:100]:
    assert (genome[5 + 4 * genome[0]:] == 0).all()
  same_depth = mutants[:, 0] == genomes[:, 0]
  assert ((mutants != genomes).sum(1)[same_depth] == 1).all()


@pytest.mark.parametrize('options, message', [
    (dict(num_blocks=0), 'num_blocks must be at least 1, got 0'),
    (dict(operations=()), r'operations must be different and at least one, '
     r'got \(\)'),
    (dict(operations=('a', 'a')), 'operations must be different'),
    (dict(concat='all'), "unknown concat 'all', expected one of 'nodes', "
     "'loose'"),
    (dict(num_blocks=7), 'num_blocks 7 with 8 operations make more than 2.63'),
])
def test_bad_spaces(options, message):
  with pytest.raises(ValueError, match=message):
    progressive_cell.space(**options)


@pytest.mark.parametrize('changes, message', [
    (dict(normal=(('a', 0),) * 8), 'the cell has 8 .* two for each of 1..3'),
    (dict(normal=(('a', 0), ('c', 0))), "unknown operation 'c' in block 0"),
    (dict(normal=(('a', 0), ('a', 2))), 'block 0 reads state 2, expected 0..1'),
    (dict(normal_concat=(0, 2)), r'normal_concat is \(0, 2\), .* imply \(2,\)'),
    (dict(reduce_concat=(0,)), 'the reduce cell differs'),
    (dict(normal_combine=('concat',)), 'blocks of this space add'),
])
def test_genotypes_that_are_not_in_the_space(tiny, changes, message):
  genotype = tiny.genotype(np.zeros(13, np.int32))
  changes = dict(changes)
  for name in list(changes):
    other = name.replace('normal', 'reduce')
    changes.setdefault(other, changes[name])
  concat = tuple(range(2, 2 + len(changes.get('normal', 'ab')) // 2))
  changes = dict(normal_concat=concat, reduce_concat=concat) | changes
  with pytest.raises(ValueError, match=message):
    tiny.encode(genotype._replace(**changes))
