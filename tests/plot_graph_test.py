"""What the pictures of blocks and of cells of tokens show."""

import re
from xml.etree import ElementTree

import pytest

from nas_jax import plot_graph
from nas_jax.spaces import presets_rl

_LOCAL = '{http://www.w3.org/2000/svg}'


def _texts(picture):
  root = ElementTree.fromstring(picture)
  return [t.text for t in root.iter(f'{_LOCAL}text') if t.text]


def _arrows(picture):
  return picture.count('m-4,-6l4,6l4,-6')


def _boxes(picture):
  """(left, top, right, bottom) of each."""
  root = ElementTree.fromstring(picture)
  found = []
  for box in root.iter(f'{_LOCAL}rect'):
    x, y, w, h = (float(box.get(k)) for k in ('x', 'y', 'width', 'height'))
    found.append((x, y, x + w, y + h))
  return found


def test_a_block_shows_its_layers_by_number():
  picture = plot_graph.draw_block(presets_rl.INCEPTION_LIKE)
  assert _texts(picture) == [
      'input', '1', 'identity', '2', 'conv 1x1', '3', 'conv 3x3', '4',
      'conv 1x1', '5', 'conv 5x5', '6', 'concat', '7', 'max pool 3x3', '8',
      'conv 1x1', '9', 'concat', 'output']
  # One per predecessor, and one into the output.
  assert _arrows(picture) == 11 + 1
  assert '<title>block of 9 layers</title>' in picture


def test_unread_layers_meet_in_a_concatenation():
  picture = plot_graph.draw_block(
      ((1, 1, 3, 0, 0), (2, 3, 3, 0, 0), (3, 5, 0, 1, 1)))
  assert _texts(picture)[-1] == 'concat'
  # Both summands are the same layer: two arrows.
  assert _arrows(picture) == 2 + 2 + 2


def test_a_cell_of_tokens_shows_operations_and_edges():
  normal = plot_graph.draw_tokens(presets_rl.AUTODL_DESIGN, 'normal')
  assert _texts(normal)[:5] == ['input', '0', 'conv 3x3', '1', 'avg pool 3x3']
  assert _texts(normal)[-1] == 'concat, conv 1x1'
  # 8 of 10 nodes read the input, 3 edges, 7 ends.
  assert _arrows(normal) == 8 + 3 + 7
  reduce = plot_graph.draw_tokens(presets_rl.AUTODL_DESIGN, 'reduce')
  assert _texts(reduce).count('conv 3x3, stride 2') == 3
  assert _arrows(reduce) == 6 + 10 + 6


def test_boxes_do_not_meet_and_lie_in_the_picture():
  for picture in (plot_graph.draw_block(presets_rl.INCEPTION_LIKE),
                  plot_graph.draw_tokens(presets_rl.AUTODL_DESIGN, 'reduce')):
    width, height = map(float, re.search(
        r'viewBox="0 0.0 ([\d.]+) ([\d.]+)"', picture).groups())
    boxes = _boxes(picture)
    assert len(boxes) > 10
    for i, a in enumerate(boxes):
      assert 0 <= a[0] < a[2] <= width and 0 <= a[1] < a[3] <= height
      for b in boxes[:i]:
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_what_cannot_be_drawn_says_why():
  with pytest.raises(ValueError, match='has no layer'):
    plot_graph.draw_block(())
  with pytest.raises(ValueError, match="kind is 'whole', expected normal or"):
    plot_graph.draw_tokens(presets_rl.AUTODL_DESIGN, 'whole')
