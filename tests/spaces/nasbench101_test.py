import re

import pytest

from nas_jax.spaces import nasbench101

_IN, _OUT = nasbench101.INPUT, nasbench101.OUTPUT
_C3, _C1, _POOL = nasbench101.OPERATIONS
# google-research/nasbench README.md.
_INCEPTION = (
    (0, 1, 1, 1, 0, 1, 0),
    (0, 0, 0, 0, 0, 0, 1),
    (0, 0, 0, 0, 0, 0, 1),
    (0, 0, 0, 0, 1, 0, 0),
    (0, 0, 0, 0, 0, 0, 1),
    (0, 0, 0, 0, 0, 0, 1),
    (0, 0, 0, 0, 0, 0, 0))
_INCEPTION_OPS = _IN, _C1, _C3, _C3, _C3, _POOL, _OUT
_CHAIN = tuple(tuple(int(j == i + 1) for j in range(7)) for i in range(7))


@pytest.mark.parametrize('matrix, operations, expected', [
    (_INCEPTION, _INCEPTION_OPS, '28cfc7874f6d200472e1a9dcd8650aa0'),
    (_CHAIN, (_IN, *[_C3] * 5, _OUT), 'b3bc0991ac661443a583796ce582f11f'),
    (_CHAIN, (_IN, *[_C1] * 5, _OUT), 'f7f0e45d0ca871370dbd782062ad03ab'),
    (_CHAIN, (_IN, *[_POOL] * 5, _OUT), '57ce398bf6e143974d21b0046b4c85e3'),
    ([[0, 1], [0, 0]], (_IN, _OUT), '043721b9c7fe8c5fad811d47d83132ec'),
    ([[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]],
     (_IN, _C3, _C3, _OUT), 'b5fb4f6193360330b6ff6a52cbf0cad7'),
])
def test_fingerprints_of_the_benchmark(matrix, operations, expected):
  cell = nasbench101.cell(matrix, operations)
  assert nasbench101.fingerprint(cell) == expected


def test_the_fingerprint_does_not_see_the_numbering():
  # Vertices 3 -> 4 stay in this order.
  place = {old: new for new, old in enumerate((0, 5, 3, 4, 2, 1, 6))}
  matrix = [[0] * 7 for _ in range(7)]
  for i, row in enumerate(_INCEPTION):
    for j, edge in enumerate(row):
      matrix[place[i]][place[j]] = edge
  operations = [''] * 7
  for i, name in enumerate(_INCEPTION_OPS):
    operations[place[i]] = name
  cell = nasbench101.cell(matrix, operations)
  assert cell != nasbench101.cell(_INCEPTION, _INCEPTION_OPS)
  assert nasbench101.fingerprint(cell) == '28cfc7874f6d200472e1a9dcd8650aa0'
  operations[1], operations[2] = operations[2], operations[1]
  assert nasbench101.fingerprint(nasbench101.cell(matrix, operations)) != (
      '28cfc7874f6d200472e1a9dcd8650aa0')


def test_vertices_that_lead_nowhere_are_pruned():
  matrix = [[0, 1, 1, 0, 0],
            [0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0],  # leads nowhere
            [0, 0, 0, 0, 1],  # is reached from nowhere
            [0, 0, 0, 0, 0]]
  cell = nasbench101.cell(matrix, (_IN, _C3, _C1, _POOL, _OUT))
  assert cell == (((0, 1, 0), (0, 0, 1), (0, 0, 0)), (_IN, _C3, _OUT))


def test_edges_are_counted_after_pruning():
  # Ten edges, of which two lead to a vertex that leads nowhere.
  edges = {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (1, 4), (3, 4),
           (0, 5), (1, 5)}
  matrix = [[int((i, j) in edges) for j in range(6)] for i in range(6)]
  # Vertex 5 leads nowhere: the output is the last vertex of seven.
  matrix = [row[:] + [int(i == 4)] for i, row in enumerate(matrix)] + [[0] * 7]
  cell = nasbench101.cell(matrix, (_IN, *[_C3] * 5, _OUT))
  assert len(cell.operations) == 6
  assert sum(map(sum, cell.matrix)) == 9
  matrix[2][4] = 1
  with pytest.raises(ValueError, match='10 edges after pruning, at most 9'):
    nasbench101.cell(matrix, (_IN, *[_C3] * 5, _OUT))


@pytest.mark.parametrize('matrix, operations, message', [
    ([[0, 1]], (_IN, _OUT), 'rows of lengths [2], expected a square'),
    ([[0, 1], [0]], (_IN, _OUT), 'rows of lengths [2, 1]'),
    ([[0, 2], [0, 0]], (_IN, _OUT),
     'has 2 in row 0, column 1, expected 0 or 1'),
    ([[0, 1], [1, 0]], (_IN, _OUT),
     'an edge from vertex 1 to vertex 0, expected it to be upper triangular'),
    ([[0, 1], [0, 0]], (_IN, _C3, _OUT),
     '3 operations are named for a matrix of 2 vertices'),
    ([[0, 1], [0, 0]], (_OUT, _IN), "vertex 0 is 'output', expected input"),
    ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], (_IN, 'conv5x5', _OUT),
     "vertex 1 is 'conv5x5', expected conv3x3-bn-relu or conv1x1-bn-relu or "
     'maxpool3x3'),
    ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], (_IN, _C3, _OUT),
     'no path leads from the input to the output'),
    ([[int(j == i + 1) for j in range(8)] for i in range(8)],
     (_IN, *[_C3] * 6, _OUT), 'has 8 vertices after pruning, at most 7'),
])
def test_what_is_not_a_cell(matrix, operations, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    nasbench101.cell(matrix, operations)


@pytest.mark.parametrize('edges, count, inputs, outputs, expected', [
    # Three vertices feed the output: the remainder goes to the first ones.
    ({(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)}, 5, 128, 128,
     (128, 43, 43, 42, 128)),
    # Others are as wide as the widest that they feed.
    ({(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (0, 4)}, 5, 128, 257,
     (128, 129, 129, 128, 257)),
    ({(0, 1), (1, 2), (2, 3)}, 4, 128, 256, (128, 256, 256, 256)),
    ({(0, 1)}, 2, 128, 256, (128, 256)),
])
def test_channels_of_vertices(edges, count, inputs, outputs, expected):
  matrix = tuple(tuple(int((i, j) in edges) for j in range(count))
                 for i in range(count))
  assert nasbench101.channels(matrix, inputs, outputs) == expected


def test_more_feeders_than_channels():
  with pytest.raises(ValueError, match='3 channels cannot be shared by 4'):
    nasbench101.channels(_INCEPTION, 128, 3)


# Vertices; matrices; labelled cells; cells up to numbering (sec. 2.1, S1).
@pytest.mark.parametrize('vertices, matrices, labelled, unique', [
    (2, 1, 1, 1), (3, 2, 6, 6), (4, 10, 90, 84), (5, 121, 3_267, 2_441)])
def test_numbers_of_cells(vertices, matrices, labelled, unique):
  cells = list(nasbench101.cells(vertices))
  assert len({cell.matrix for cell in cells}) == matrices
  assert len(cells) == labelled
  assert len(set(map(nasbench101.fingerprint, cells))) == unique


def test_bits_of_a_matrix():
  assert nasbench101.matrix_of(0b101, 3) == ((0, 1, 0), (0, 0, 1), (0, 0, 0))
  assert nasbench101.matrix_of(0b010, 3) == ((0, 0, 1), (0, 0, 0), (0, 0, 0))
