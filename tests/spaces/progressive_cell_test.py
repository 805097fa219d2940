"""PNAS's cells: genomes, names, canonical forms, expansion."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import presets
from nas_jax.spaces import progressive_cell
from nas_jax.spaces import progressive_count

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


def _relabelled(genome, order, swaps):
  """The same cell with its blocks in another order and halves exchanged."""
  blocks = genome[1:].reshape(-1, 4)
  labels = {0: 0, 1: 1} | {2 + old: 2 + new for new, old in enumerate(order)}
  found = []
  for new, old in enumerate(order):
    halves = [(labels[blocks[old, i]], blocks[old, 2 + i]) for i in (0, 1)]
    if max(halves)[0] >= 2 + new:
      return None  # Not an order in which blocks read earlier ones.
    (i1, o1), (i2, o2) = halves[::-1] if swaps >> new & 1 else halves
    found += [i1, i2, o1, o2]
  return np.array([genome[0], *found], np.int32)


def test_all_namings_of_a_cell_have_one_canonical_form():
  # The last two are cells of equal blocks, of which others read some.
  cells = [_PNASNET_5,
           [3] + [0, 0, 1, 1] + [0, 0, 1, 1] + [2, 3, 0, 0] + [3, 3, 0, 1],
           [4] + [0, 1, 0, 0] * 3 + [2, 3, 1, 1] + [3, 4, 1, 1]]
  forms = set()
  for cell in cells:
    cell = np.array(cell)
    b = cell[0] + 1
    namings = [
        naming for order in itertools.permutations(range(b))
        for swaps in range(2**b)
        if (naming := _relabelled(cell, order, swaps)) is not None]
    assert len(namings) >= 2 * 2**b
    found = np.unique(progressive_cell.canonical(np.stack(namings), 8), axis=0)
    assert len(found) == 1
    assert any((found[0] == naming).all() for naming in namings)
    forms.add(found.tobytes())
  assert len(forms) == 3


def test_equal_blocks_are_not_one_block():
  # Reading two equal blocks is not reading one of them twice.
  twice = [2] + [0, 0, 1, 1] * 2 + [2, 2, 0, 0]
  both = [2] + [0, 0, 1, 1] * 2 + [2, 3, 0, 0]
  found = progressive_cell.canonical(np.array([twice, both]), 2)
  assert (found[0] != found[1]).any()


def test_cells_of_different_depth_are_put_in_form_together():
  genomes = np.array([[0, 1, 0, 1, 0, 0, 0, 0, 0], [1] + [1, 0, 1, 0] * 2])
  assert progressive_cell.canonical(genomes, 2).tolist() == [
      [0, 0, 1, 0, 1, 0, 0, 0, 0], [1] + [0, 1, 0, 1] * 2]


def test_levels_of_eight_operations():
  first = progressive_cell.first(8, 2)
  assert len(first) == 136
  assert len(progressive_cell.expand(first, 8)) == 31620


@pytest.mark.parametrize('num_operations, num_blocks', [(1, 5), (2, 4), (3, 3)])
def test_enumeration_finds_as_many_as_burnside(num_operations, num_blocks):
  cells = progressive_cell.first(num_operations, num_blocks)
  for b in range(1, num_blocks + 1):
    if b > 1:
      cells = progressive_cell.expand(cells, num_operations)
    assert len(cells) == progressive_count.count(num_operations, b).unique
  assert (progressive_cell.canonical(cells, num_operations) == cells).all()
  choices = progressive_cell.choices_of(range(num_operations), num_blocks)
  assert discrete.is_legal(choices, cells).all()


def test_a_beam_of_four_blocks_is_expanded_in_seconds():
  rng = np.random.default_rng(0)
  keys = jax.random.split(jax.random.key(0), 256)
  space = progressive_cell.space(num_blocks=5)
  beam = np.asarray(jax.vmap(space.sample)(keys)).copy()
  beam[:, 0], beam[:, 17:] = 3, 0
  beam[:64, 5:9] = beam[:64, 1:5]  # Equal blocks are the costly case.
  beam = progressive_cell.canonical(beam, 8)[rng.permutation(256)]
  start = time.process_time()
  found = progressive_cell.expand(beam, 8)
  assert time.process_time() - start < 20
  assert 250_000 < len(found) <= 301_056
  assert (found[:, 0] == 4).all()


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
