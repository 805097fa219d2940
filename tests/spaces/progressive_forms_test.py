"""Canonical forms of PNAS's cells, and what they grow into."""

import itertools
import time

import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import progressive_cell
from nas_jax.spaces import progressive_count
from nas_jax.spaces import progressive_forms

# One token after the other: I1, I2, O1, O2 of each block.
_PNASNET_5 = [4, 0, 0, 1, 6, 1, 1, 2, 6, 1, 1, 1, 0, 4, 1, 0, 6, 0, 1, 0, 4]


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
    found = np.unique(progressive_forms.canonical(np.stack(namings), 8), axis=0)
    assert len(found) == 1
    assert any((found[0] == naming).all() for naming in namings)
    forms.add(found.tobytes())
  assert len(forms) == 3


def test_equal_blocks_are_not_one_block():
  # Reading two equal blocks is not reading one of them twice.
  twice = [2] + [0, 0, 1, 1] * 2 + [2, 2, 0, 0]
  both = [2] + [0, 0, 1, 1] * 2 + [2, 3, 0, 0]
  found = progressive_forms.canonical(np.array([twice, both]), 2)
  assert (found[0] != found[1]).any()


def test_cells_of_different_depth_are_put_in_form_together():
  genomes = np.array([[0, 1, 0, 1, 0, 0, 0, 0, 0], [1] + [1, 0, 1, 0] * 2])
  assert progressive_forms.canonical(genomes, 2).tolist() == [
      [0, 0, 1, 0, 1, 0, 0, 0, 0], [1] + [0, 1, 0, 1] * 2]


def test_levels_of_eight_operations():
  first = progressive_forms.first(8, 2)
  assert len(first) == 136
  assert len(progressive_forms.expand(first, 8)) == 31620


@pytest.mark.parametrize('num_operations, num_blocks', [(1, 5), (2, 4), (3, 3)])
def test_enumeration_finds_as_many_as_burnside(num_operations, num_blocks):
  cells = progressive_forms.first(num_operations, num_blocks)
  for b in range(1, num_blocks + 1):
    if b > 1:
      cells = progressive_forms.expand(cells, num_operations)
    assert len(cells) == progressive_count.count(num_operations, b).unique
  assert (progressive_forms.canonical(cells, num_operations) == cells).all()
  choices = progressive_cell.choices_of(range(num_operations), num_blocks)
  assert discrete.is_legal(choices, cells).all()


def test_a_beam_of_four_blocks_is_expanded_in_seconds():
  rng = np.random.default_rng(0)
  keys = jax.random.split(jax.random.key(0), 256)
  space = progressive_cell.space(num_blocks=5)
  beam = np.asarray(jax.vmap(space.sample)(keys)).copy()
  beam[:, 0], beam[:, 17:] = 3, 0
  beam[:64, 5:9] = beam[:64, 1:5]  # Equal blocks are the costly case.
  beam = progressive_forms.canonical(beam, 8)[rng.permutation(256)]
  start = time.process_time()
  found = progressive_forms.expand(beam, 8)
  assert time.process_time() - start < 20
  assert 250_000 < len(found) <= 301_056
  assert (found[:, 0] == 4).all()
