"""Genomes of NAS-Bench-101: published counts, equal and different cells."""

import jax
import numpy as np
import pytest

from nas_jax.spaces import graph
from nas_jax.spaces import nasbench101
from nas_jax.spaces import nasbench101_keys as keys

_OPS = nasbench101.OPERATIONS
# Two vertices side by side.
_CELL = nasbench101.Cell(
    ((0, 1, 1, 0), (0, 0, 0, 1), (0, 0, 0, 1), (0, 0, 0, 0)),
    ('input', *_OPS[:2], 'output'))
_SWAPPED = _CELL._replace(operations=('input', *_OPS[1::-1], 'output'))


def _prints(genomes):
  return [nasbench101.fingerprint(nasbench101.prune(*keys.to_cell(g)))
          for g in genomes]


def test_all_423624_cells_have_different_keys():
  cells = [keys.unique(vertices) for vertices in range(2, 8)]
  # The sum is published, its parts follow from the published rules.
  assert [len(c) for c in cells] == [1, 6, 84, 2_441, 62_010, 359_082]
  assert len(np.unique(keys.keys_of(np.concatenate(cells)))) == 423_624
  with pytest.raises(ValueError, match='of 2..7 vertices, not 8'):
    keys.unique(8)


def test_keys_agree_with_fingerprints():
  """Of all labelled cells of up to five vertices."""
  cells = [c for v in range(2, 6) for c in nasbench101.cells(v)]
  assert len(cells) == 1 + 6 + 90 + 3_267
  matrix, inner = _arrays(cells)
  genomes = keys.from_matrices(matrix, inner)
  assert (keys.from_cells([cells[-1]])[0] == genomes[-1]).all()
  found = keys.keys_of(genomes)
  pairs = set(zip(map(nasbench101.fingerprint, cells), found))
  prints, words = map(set, zip(*pairs))
  assert len(pairs) == len(prints) == len(words) == 2_532
  assert _prints(genomes[::50]) == list(
      map(nasbench101.fingerprint, cells[::50]))


def _arrays(cells):
  matrix = np.zeros((len(cells), 7, 7), int)
  inner = np.full((len(cells), 5), -1)
  for i, (found, operations) in enumerate(cells):
    size = len(operations)
    matrix[i, :size, :size] = found
    inner[i, :size - 2] = list(map(_OPS.index, operations[1:-1]))
  return matrix, inner


def test_keys_do_not_see_what_is_pruned():
  genome = keys.from_cells([_CELL])[0]
  # An edge and an operation of a vertex that leads nowhere.
  other = genome.copy()
  other[0 + 4 * 3 // 2] = 1  # 0 -> 4
  other[21 + 3] = 2
  assert _prints([other]) == _prints([genome])
  assert len(np.unique(keys.keys_of(np.array([genome, other])))) == 1


def test_rows_are_found_under_any_numbering():
  space = graph.nasbench101()
  genomes = np.asarray(jax.jit(jax.vmap(space.sample))(
      jax.random.split(jax.random.key(0), 512)))
  words = keys.keys_of(genomes)
  _, first = np.unique(words, return_index=True)
  number = jax.jit(keys.finder(genomes[first]))
  assert (words[first][np.asarray(number(genomes))] == words).all()
  assert number(genomes.reshape(2, 256, 26)).shape == (2, 256)
  half = first[::2]
  rows = np.asarray(jax.jit(keys.finder(genomes[half]))(genomes))
  there = np.isin(words, words[half])
  assert (rows[~there] == -1).all() and 0 < there.sum() < len(there)
  assert (words[half][rows[there]] == words[there]).all()
  one = jax.jit(keys.finder(keys.from_cells([_CELL])))
  found = one(np.append(
      keys.from_cells([_SWAPPED]), np.zeros((1, 26), np.int32), axis=0))
  assert found.tolist() == [0, -1]  # The second is no cell.


def test_a_row_twice():
  both = keys.from_cells([_CELL, _SWAPPED])
  with pytest.raises(ValueError, match='rows 0 and 1 are of the same cell'):
    keys.finder(both)


def test_cells_of_published_fingerprints():
  # input -> output; two 3x3 convolutions beside input -> output.
  prints = ['b5fb4f6193360330b6ff6a52cbf0cad7',
            '043721b9c7fe8c5fad811d47d83132ec']
  genomes = keys.from_fingerprints(prints)
  assert _prints(genomes) == prints
  assert nasbench101.prune(*keys.to_cell(genomes[1])).matrix == (
      (0, 1), (0, 0))


@pytest.mark.parametrize('change, message', [
    (lambda m, i: m.__setitem__((1, 0, 2), 2), 'row 1 has a matrix with other'),
    (lambda m, i: m.__setitem__((0, 2, 1), 1), 'row 0 has a matrix that is not '
     'upper triangular'),
    (lambda m, i: i.__setitem__((1, 0), -1), 'row 1 has an operation after'),
    (lambda m, i: m.__setitem__((0, 0, 5), 1), 'row 0 has edges of vertices '
     'without an operation'),
    (lambda m, i: m.__setitem__((1, slice(None), 3), 0), 'row 1 has no path'),
])
def test_matrices_that_are_no_cells(change, message):
  matrix, inner = _arrays([_CELL, _SWAPPED])
  change(matrix, inner)
  with pytest.raises(ValueError, match=message):
    keys.from_matrices(matrix, inner)


def test_ten_edges_are_too_many():
  matrix = np.triu(np.ones((1, 7, 7), int), 1)
  with pytest.raises(ValueError, match='or more than 9 edges that count'):
    keys.from_matrices(matrix, np.zeros((1, 5), int))
