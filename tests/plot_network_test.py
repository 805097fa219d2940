"""Networks are drawn whole, deterministic, and nothing lies on a box."""

import itertools
import re
from xml.etree import ElementTree

import pytest

from nas_jax import plot_network
from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import zoo
from nas_jax.spaces import presets

SVG = '{http://www.w3.org/2000/svg}'


def _texts(root):
  return [t.text for t in root.iter(f'{SVG}text')]


def _boxes(root):
  return [[float(r.get(k)) for k in ('x', 'y', 'width', 'height')]
          for r in root.iter(f'{SVG}rect')]


def _check(picture):
  """The root, if the boxes are apart and everything is inside."""
  root = ElementTree.fromstring(picture)
  width, height = (float(root.get(k)) for k in ('width', 'height'))
  boxes = _boxes(root)
  for (x, y, w, h), (_, below, _, _) in itertools.pairwise(boxes):
    assert x > 0 and x + w < width and y + h + 10 < below < height
  right = boxes[0][0] + boxes[0][2]
  for text in root.iter(f'{SVG}text'):
    assert boxes[0][0] <= float(text.get('x')) <= right
  for path in root.iter(f'{SVG}path'):
    assert min(map(float, re.findall(r'[MH](\d[\d.]*)', path.get('d')))) > 0
  return root


def test_parts_connections_and_sizes_of_a_small_network():
  builder = graph.Builder((8, 8, 3))
  stem = builder.add('stem', ops.Conv(4, sizes=((3, 3),)), [builder.image])
  layer1 = builder.add('layer1', ops.Conv(4), [stem])
  layer2 = builder.sum('layer2', [stem, layer1])
  layer3 = builder.add('layer3', ops.SeparableConv(4, 2), [layer2])
  net = builder.finish(layer3)
  root = _check(plot_network.draw_network(net, 'small & good'))
  texts = _texts(root)
  assert texts[0] == 'small & good'
  assert texts[1].startswith('260 parameters, 9,600 multiply-adds')
  assert [t for t in texts if t and re.match('image|stem|layer', t)] == [
      'image', 'stem', 'layer1', 'layer2', 'layer3']
  for text in ('3x3', '1x1 (2), depthwise 3x3 (2)', '8 x 8 x 3', '4 x 4 x 4',
               '116', '6,912'):
    assert text in texts
  paths = [p.get('d') for p in root.iter(f'{SVG}path')]
  # Four arrows down, and one line on the left: from the stem to layer 2.
  assert len(paths) == 5 and sum('q' in d for d in paths) == 1
  assert [r.get('class') for r in root.iter(f'{SVG}rect')] == [
      'skip', 'box', 'box', 'box', 'pool']


@pytest.mark.parametrize('name', [
    'DARTS_V2', 'NASNet-A', 'NAS-RL-v1', 'ENAS-macro', 'AutoDL-Design',
    'BlockQNN-inception-like', 'ResNet-20', 'DenseNet-40-12'])
def test_families_are_drawn(name):
  net = zoo.build(presets.PRESETS[name])
  picture = plot_network.draw_network(net, name)
  assert picture == plot_network.draw_network(net, name)
  root = _check(picture)
  texts = _texts(root)
  assert texts.count('image') == texts.count('classifier') == 1


def test_every_skip_connection_has_an_arrow():
  # Layer i of the dense network reads all layers before it.
  net = zoo.build(presets.PRESETS['NAS-RL-v1-dense'])
  root = _check(plot_network.draw_network(net, 'dense'))
  lines = [p.get('d') for p in root.iter(f'{SVG}path') if 'q' in p.get('d')]
  assert sum(d.count('l5,3') for d in lines) == sum(range(14))


def test_poolings_of_all_layers_are_passed_through():
  net = zoo.build(presets.PRESETS['ENAS-macro'])
  rows = plot_network._rows(net)
  names = [row.cells[0] for row in rows]
  assert names[10:12] == ['pool7', 'layer8']
  # Layer 8 reads earlier layers through the pooling, and the pooling of 7.
  assert 10 in rows[11].inputs and min(rows[11].inputs) < 9


def test_many_equal_parts_share_a_box():
  net = zoo.build(presets.PRESETS['ResNet-110'])
  texts = _texts(_check(plot_network.draw_network(net, 'ResNet-110')))
  assert 'stage0_block0 .. stage0_block17 (18)' in texts
  assert '84,096' in texts  # 18 times 4,672


def test_the_auxiliary_classifier_is_dashed():
  net = zoo.build(presets.PRESETS['DARTS_V2'], features=4, num_cells=3,
                  auxiliary=True)
  root = _check(plot_network.draw_network(net, 'x'))
  classes = [r.get('class') for r in root.iter(f'{SVG}rect')]
  assert classes == ['skip', 'box', 'box', 'pool', 'pool', 'none', 'box']
