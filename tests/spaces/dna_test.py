"""DNA: what it says about shapes, and what is refused."""

import json

import numpy as np
import pytest

from nas_jax.spaces import dna as dnas


def chain():
  """image -conv-> v1 -identity-> v2, and a skip from the image to v2."""
  vertex = lambda name, kind: dnas.Vertex(name, kind, 0., True, True, True)
  edge = lambda name, *ends, p=1, **more: dnas.Edge(*{
      **dict(id=name, source=ends[0], target=ends[1], type='identity',
             depth_factor=1., filter_half_width=1, filter_half_height=1,
             stride_scale=0, depth_precedence=p, scale_precedence=p),
      **more}.values())
  return dnas.Dna(.1, 1e-4, (
      vertex('a', 'linear'), vertex('b', 'bn_relu'), vertex('c', 'linear')), (
          edge('e', 'a', 'b', type='conv', depth_factor=8 / 3, stride_scale=1,
               filter_half_height=0),
          edge('f', 'b', 'c'), edge('g', 'a', 'c', p=0)))


def test_the_first_individual_has_no_convolution():
  found = dnas.initial(np.random.default_rng(0))
  assert [e.type for e in found.edges] == ['identity']
  assert found.learning_rate == .1 and len(found.vertices) == 2
  image, output = found.vertices
  assert not image.inputs_mutable and not output.outputs_mutable


def test_the_primary_edge_says_the_shape():
  assert dnas.shapes(chain(), (32, 32, 3)) == {
      'a': (32, 32, 3), 'b': (16, 16, 8), 'c': (16, 16, 8)}
  assert [e.id for e in dnas.inputs(chain(), 'c')] == ['f', 'g']


def test_filters_are_odd_and_odd_images_are_rounded_up():
  edge, *_ = chain().edges
  assert dnas.filter_size(edge) == (1, 3)
  assert dnas.edge_shape(edge, (7, 5, 3)) == (4, 3, 8)
  assert dnas.edge_shape(edge._replace(depth_factor=.01), (2, 2, 3)) == (
      1, 1, 1)


def test_a_file_holds_all_of_it():
  text = json.dumps(dnas.to_json(chain()))
  assert dnas.from_json(json.loads(text)) == chain()


def _with_edge(index, **changes):
  edges = list(chain().edges)
  edges[index] = edges[index]._replace(**changes)
  return chain()._replace(edges=tuple(edges))


@pytest.mark.parametrize('value, message', [
    ([1], 'a DNA is'),
    ('text', 'a DNA is'),
    ([.1, 0., [['a']], []], 'expected lists of'),
    ([.1, 0., [], []], '0 vertices without input'),
    (chain()._replace(learning_rate=-1.), 'learning_rate is -1.0'),
    (chain()._replace(weight_decay=float('nan')), 'weight_decay is nan'),
    (_with_edge(0, id='f'), "'f' is the id of two parts"),
    (_with_edge(0, source='z'), "the source of edge 'e' is 'z'"),
    (_with_edge(0, stride_scale=-1), "edge 'e' has stride_scale -1"),
    (_with_edge(0, filter_half_width=.5), "'e' has filter_half_width 0.5"),
    (_with_edge(0, depth_factor=0.), "edge 'e' has depth_factor 0.0"),
    (_with_edge(0, type='pool'), "edge 'e' has type 'pool'"),
    (_with_edge(1, depth_precedence=0), 'the highest depth_precedence'),
    (_with_edge(1, depth_precedence=-1), "vertex 'b' is not on the backbone"),
])
def test_what_is_no_dna_is_refused(value, message):
  with pytest.raises(ValueError, match=message):
    dnas.from_json(value)
