"""What the pictures of recurrent cells show."""

import re
from xml.etree import ElementTree

import pytest

from nas_jax import plot_recurrent
from nas_jax.networks import language
from nas_jax.spaces import presets
from nas_jax.spaces import presets_recurrent


def _texts(picture):
  root = ElementTree.fromstring(picture)
  return [t.text for t in root.iter('{http://www.w3.org/2000/svg}text')
          if t.text]


def _arrows(picture):
  return picture.count('m-4,-6l4,6l4,-6')


def test_a_chain_shows_its_nodes_and_the_states_of_its_mean():
  picture = plot_recurrent.draw_cell(presets.load('ENAS_RNN'))
  assert _texts(picture)[:5] == ['x, h', '0', 'tanh', '1', 'tanh']
  assert _texts(picture)[-3:] == ['11', 'relu', "mean: h'"]
  # One per node with state 0, and six states of the mean.
  assert _arrows(picture) == 12 + 6
  assert '<title>chain of 11 nodes with highway connections</title>' in picture


def test_a_tree_shows_where_c_enters_and_leaves():
  picture = plot_recurrent.draw_cell(presets.load('NASCell'))
  texts = _texts(picture)
  assert texts[texts.index("8'") + 1] == '+, tanh'
  assert texts[-1] == "h'" and texts.count("c'") == 1
  # 8 leaves, 7 inner nodes, the injection, c' and h'.
  assert _arrows(picture) == 8 + 14 + 2 + 1 + 1


def test_the_new_c_is_the_value_before_an_activation():
  figure = presets.Preset('rnn_tree', (
      (('add', 'tanh'), ('elem_mult', 'relu'), ('elem_mult', 'sigmoid')),
      ('add', 'relu'), (1, 0)))
  assert "c', before relu" in _texts(plot_recurrent.draw_cell(figure))


def test_hand_made_cells_have_pictures_of_their_own():
  lstm = _texts(plot_recurrent.draw_cell(presets.load('LSTM')))
  assert lstm.count('times') == 3 and lstm.count('sigmoid') == 3
  assert lstm == _texts(plot_recurrent.draw_cell(presets.load('AWD_LSTM')))
  rhn = _texts(plot_recurrent.draw_cell(presets.load('Variational_RHN')))
  assert rhn.count('tanh') == 10


@pytest.mark.parametrize('name', presets_recurrent.PRESETS)
def test_boxes_lie_in_the_picture(name):
  picture = plot_recurrent.draw_cell(presets.load(name))
  width, height = map(float, re.search(
      r'viewBox="0 0.0 ([\d.]+) ([\d.]+)"', picture).groups())
  root = ElementTree.fromstring(picture)
  boxes = list(root.iter('{http://www.w3.org/2000/svg}rect'))
  assert len(boxes) > 9
  for box in boxes:
    x, y, w, h = (float(box.get(k)) for k in ('x', 'y', 'width', 'height'))
    assert 0 <= x < x + w <= width and 0 <= y < y + h <= height


def test_a_model_shows_its_layers_and_parameters():
  model = language.make('lstm', (), language.Sizes(20, 4, 6, 2))
  picture = plot_recurrent.draw_model(model, 'small')
  assert _texts(picture) == [
      'tokens', 'embedding of 20 tokens, 4 features', '1',
      'recurrent layer, 6 units', '2', 'recurrent layer, 4 units',
      'softmax over 20 tokens, the embedding again', 'next token']
  assert '<title>small: 540 parameters</title>' in picture


def test_other_families_are_refused():
  with pytest.raises(ValueError, match="'darts' is no family of recurrent"):
    plot_recurrent.draw_cell(presets.load('DARTS_V2'))
  with pytest.raises(ValueError, match='an LSTM has the genotype'):
    plot_recurrent.draw_cell(presets.Preset('lstm', (1,)))
