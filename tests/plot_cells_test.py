"""Cells are well formed, deterministic, and nothing lies on a label."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from nas_jax import plot_cells
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

SVG = '{http://www.w3.org/2000/svg}'
OPS = ('sep_conv_3x3', 'conv_1x7_7x1', 'max_pool_3x3', 'skip_connect', 'none')


def random_cell(nodes, seed):
  rng = np.random.default_rng(seed)
  pairs = [(OPS[rng.integers(5)], int(rng.integers(2 + i // 2)))
           for i in range(2 * nodes)]
  states = [s for s in range(2 + nodes) if rng.random() < 0.6]
  return {'normal': pairs, 'normal_concat': states or [1 + nodes]}


def curves(path):
  """Points along the cubic curves of a path: float[P, 2]."""
  numbers = [float(v) for v in re.findall(r'-?[\d.]+', path.split('m')[0])]
  p = np.array(numbers).reshape(4, 2)
  t = np.linspace(0, 1, 60)[:, None]
  return ((1 - t)**3 * p[0] + 3 * (1 - t)**2 * t * p[1]
          + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3])


CELLS = [random_cell(n, seed) for n in range(1, 11) for seed in range(4)]
CELLS += [  # A chain; all on the inputs; only the inputs come out.
    {'normal': [('a', 1 + i // 2) for i in range(20)], 'normal_concat': [11]},
    {'normal': [('a', i % 2) for i in range(10)],
     'normal_concat': [2, 3, 4, 5, 6]},
    {'normal': [('a', 0), ('b', 0)], 'normal_concat': [0, 1]}]


@pytest.mark.parametrize('cell', CELLS)
def test_cell(cell):
  text = plot_cells.draw_cell(cell, 'normal')
  assert text == plot_cells.draw_cell(cell, 'normal')
  root = ElementTree.fromstring(text)
  x0, y0, width, height = map(float, root.get('viewBox').split())
  texts = [t.text for t in root.iter(f'{SVG}text')]
  for op in {op for op, _ in cell['normal']}:
    assert texts.count(op) == [o for o, _ in cell['normal']].count(op)
  assert 'concat' in texts
  boxes = [[float(r.get(k)) for k in ('x', 'y', 'width', 'height')]
           for r in root.iter(f'{SVG}rect')]
  for x, y, w, h in boxes:
    assert x >= x0 and y >= y0
    assert x + w <= x0 + width and y + h <= y0 + height
  frames = [b for b in boxes if b[3] != 26]  # 26: an operation, in a frame.
  assert len(frames) == 3 + len(cell['normal']) // 2
  for (x, y, w, h), (u, v, s, r) in itertools.combinations(frames, 2):
    assert x + w < u or u + s < x or y + h < v or v + r < y
  # Arrows between the frames are the paths outside of groups.
  arrows = [p.get('d') for p in root.findall(f'{SVG}path')]
  assert len(arrows) >= len(cell['normal']) + len(cell['normal_concat']) + 1
  for x, y, w, h in frames:
    for arrow in arrows:
      px, py = curves(arrow).T
      inside = (px > x + 1) & (px < x + w - 1) & (py > y - 1) & (py < y + h + 1)
      assert not inside.any()


def test_nodes_may_have_any_number_of_operations():
  cell = {'normal': [('a', 2, 0), ('b', 2, 1), ('d', 2, 0), ('e', 4, 2),
                     ('f', 4, 3)],
          'normal_concat': [2, 3, 4]}
  root = ElementTree.fromstring(plot_cells.draw_cell(cell, 'normal'))
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert [texts.count(op) for op in 'abdef'] == [1, 1, 1, 1, 0]
  assert '2' in texts and '3' not in texts and '4' in texts
  heights = [float(r.get('height')) for r in root.iter(f'{SVG}rect')]
  # Three operations, one operation, and the concat of two states.
  assert heights.count(26 + 3 * 31) == 1 and heights.count(26 + 31) == 1
  assert heights.count(20 + 2 * 13) == 1
  assert len(list(root.iter(f'{SVG}circle'))) == 1
  assert root.find(f'{SVG}title').text == 'normal cell of 2 nodes'


@pytest.mark.parametrize('name', presets.PRESETS)
def test_every_published_cell_has_each_operation_once_per_edge(name):
  genotype = presets.PRESETS[name].genotype
  if not isinstance(genotype, genotypes.Genotype):
    return
  for kind in ('normal', 'reduce'):
    text = plot_cells.draw_cell(genotype._asdict(), kind)
    texts = [t.text for t in ElementTree.fromstring(text).iter(f'{SVG}text')]
    nodes, _ = genotypes.node_edges(genotype, kind)
    there = {0, 1, *(i for i, node in enumerate(nodes, 2) if node)}
    edges = [op for node in nodes for op, source in node if source in there]
    assert {op: texts.count(op) for op in edges} == {
        op: edges.count(op) for op in edges}


def test_nodes_that_concatenate_are_marked():
  cell = {'normal': [('a', 0), ('b', 1), ('c', 2), ('d', 2)],
          'normal_concat': [3]}
  added = plot_cells.draw_cell(cell, 'normal')
  assert plot_cells.draw_cell(
      cell | {'normal_combine': ['add', 'add']}, 'normal') == added
  root = ElementTree.fromstring(plot_cells.draw_cell(
      cell | {'normal_combine': ['concat', 'add']}, 'normal'))
  node2, node3 = (group for group in root.iter(f'{SVG}g')
                  if len(group.findall(f'{SVG}text')) > 2)
  texts = lambda group: [t.text for t in group.iter(f'{SVG}text')]
  assert texts(node2) == ['2', 'a', 'b', 'concat']
  assert texts(node3) == ['3', 'c', 'd']
  assert [len(list(g.iter(f'{SVG}circle'))) for g in (node2, node3)] == [0, 1]
  # The bar inside of the frame, beside both operations.
  joint, = (r for r in node2.iter(f'{SVG}rect') if r.get('class') == 'joint')
  frame = node2.find(f'{SVG}rect')
  bounds = lambda rect: [float(rect.get(k)) for k in ('x', 'y')] + [
      float(rect.get(a)) + float(rect.get(b))
      for a, b in (('x', 'width'), ('y', 'height'))]
  (x, y, u, v), (x0, y0, u0, v0) = bounds(joint), bounds(frame)
  assert x0 < x < u < u0 and y0 < y < v < v0 and v - y > 31


def test_cell_marks_what_is_not_used():
  text = plot_cells.draw_cell(
      {'reduce': [('zero', 0), ('zero', 0), ('conv', 0), ('conv', 0)],
       'reduce_concat': [3]}, 'reduce')
  assert text.count('class="unused"') == 2 and '2, unused' in text
  assert text.count('class="none"') == 2 and text.count('class="conv"') == 2


@pytest.mark.parametrize('cell, said', [
    ({'reduce': []}, "no cell 'normal'"),
    ({'normal': [('a', 0)], 'normal_concat': [2]}, 'normal has 1'),
    ({'normal': [], 'normal_concat': []}, 'normal has 0'),
    ({'normal': [('a', 0), ('b', 2)], 'normal_concat': [2]}, r'\[0, 2\]'),
    ({'normal': [('a', 0), ('b', -1)], 'normal_concat': [2]}, r'\[0, -1\]'),
    ({'normal': [('a', 0), ('b', 1)], 'normal_concat': [3]}, r'\[3\]'),
    ({'normal': [('a', 2, 0), ('b', 4, 3)], 'normal_concat': [4]}, 'nothing'),
    ({'normal': [('a', 2, 0), ('b', 3, 4)], 'normal_concat': [3]}, r'\[4\]'),
    ({'normal': [('a', 0), ('b', 1)], 'normal_concat': [2],
      'normal_combine': ['mul']}, "by 'mul', expected add or concat"),
])
def test_errors_name_the_value(cell, said):
  with pytest.raises(ValueError, match=said):
    plot_cells.draw_cell(cell, 'normal')
