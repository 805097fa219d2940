"""Pictures are well formed, deterministic, and nothing lies on a label."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from nas_jax import plot

SVG = '{http://www.w3.org/2000/svg}'
OPS = ('sep_conv_3x3', 'conv_1x7_7x1', 'max_pool_3x3', 'skip_connect', 'none')


def child(reward, failed=0.0):
  return {'reward': reward, 'metrics': {'failed': failed}}


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
  text = plot.draw_cell(cell, 'normal')
  assert text == plot.draw_cell(cell, 'normal')
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


def test_cell_marks_what_is_not_used():
  text = plot.draw_cell(
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
])
def test_errors_name_the_value(cell, said):
  with pytest.raises(ValueError, match=said):
    plot.draw_cell(cell, 'normal')


def path_of(root, style):
  return next(p.get('d') for p in root.iter(f'{SVG}path')
              if p.get('class') == style and 'H' not in p.get('d'))


def test_search_curve():
  rewards = [0.90, 0.95, 0.93, 0.97]
  history = [*map(child, rewards), child(0.0, failed=1.0), child(0.94)]
  others = [child(r) for r in (0.91, 0.92, 0.0, 0.96, 0.93, 0.94)]
  text = plot.search_curve(history, others, 'a & b')
  assert text == plot.search_curve(history, others, 'a & b')
  root = ElementTree.fromstring(text)
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert 'a & b, best so far' in texts and 'failed (1)' in texts
  assert '0.9700' in texts and '0.9600' in texts  # Both ends, in numbers.
  assert root.find(f'{SVG}title').text == 'Best reward of 6 children: 0.97'
  paths = {p.get('class'): p.get('d') for p in root.findall(f'{SVG}path')[:-6]}
  assert paths['adots'].count('M') == 5 and paths['fail'].count('M') == 1
  assert paths['band'].endswith('z')
  steps = [p.split(',') for p in paths['a'][1:].split('L')]
  heights = [float(y) for _, y in steps]
  assert heights == sorted(heights, reverse=True)  # It only gets better.
  assert len(set(heights)) == 3  # 0.90, 0.95, 0.97


@pytest.mark.parametrize('rewards, others', [
    ([0.5], []), ([0.0, 0.0], [0.0]), ([-3.0, -1e-9], [-5.0] * 3),
    ([1e6, 2e6, 1.5e6], []), (list(range(30)), [1e-4] * 20)])
def test_search_curve_of_odd_rewards(rewards, others):
  history = [child(r) for r in rewards]
  text = plot.search_curve(history, [child(r) for r in others])
  assert ElementTree.fromstring(text) is not None and 'nan' not in text
  failed = [child(r, 1.0) for r in rewards]
  assert ElementTree.fromstring(plot.search_curve(failed)) is not None


def test_long_searches_stay_small():
  rng = np.random.default_rng(0)
  history = [child(float(r)) for r in rng.normal(size=5000)]
  assert len(plot.search_curve(history, history[::-1])) < 400_000


def test_empty_pictures_say_so():
  assert 'No child' in plot.search_curve([])
  assert 'No epoch' in plot.training_curve([])
  assert 'No epoch' in plot.training_curve([{'epoch': 0, 'seconds': 1.0}])


def test_training_curve():
  epochs = [{'epoch': e, 'loss': 1 / (e + 1), 'train_accuracy': 0.1 * e,
             'name': 'x', 'seconds': 2.0} for e in range(5)]
  root = ElementTree.fromstring(plot.training_curve(epochs, epochs[:3], 'mine'))
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert {'loss', 'train accuracy', 'mine', 'random search'} <= set(texts)
  assert 'name' not in texts and 'seconds' not in texts
  lines = [p for p in root.iter(f'{SVG}path') if 'L' in p.get('d')]
  assert [p.get('class') for p in lines] == ['b', 'a', 'b', 'a']
  one = plot.training_curve(epochs[:1])
  assert ElementTree.fromstring(one) is not None and 'adots"' in one
