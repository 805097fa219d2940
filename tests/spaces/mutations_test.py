"""Mutations: their ranges, exactly, and that nothing ever breaks a DNA."""

import collections

import numpy as np
import pytest

from nas_jax.spaces import dna as dnas
from nas_jax.spaces import mutations

_DRAWS = 2000


def rng(seed=0):
  return np.random.default_rng(seed)


def with_convolution(**changes):
  """One convolution between the image and the output."""
  found = dnas.initial(rng(99))
  vertex = dnas.Vertex('middle', 'bn_relu', 0., True, True, True)
  image, output = found.vertices
  return found._replace(vertices=(image, vertex, output), edges=(
      dnas.convolution(rng(), image.id, 'middle', 0)._replace(
          id='conv', **changes),
      found.edges[0]._replace(source='middle')))


def drawn(name, dna, read, channels=3):
  random = rng(1)
  return collections.Counter(
      read(mutations.MUTATIONS[name](random, dna, channels))
      for _ in range(_DRAWS))


def conv(dna):
  return next(e for e in dna.edges if e.id == 'conv')


def uniform(counts):
  """Whether counts differ by no more than chance (5 deviations)."""
  expected = sum(counts.values()) / len(counts)
  return all(abs(c - expected) < 5 * expected**.5 for c in counts.values())


def test_there_are_eleven():
  assert len(mutations.MUTATIONS) == 11


def test_all_are_equally_likely():
  random, dna = rng(), with_convolution()
  # So that all are possible.
  dna = mutations.insert_one_to_one(random, dna, 3)
  dna = mutations.add_skip(random, dna, 3)
  counts = collections.Counter(
      mutations.mutate(random, dna)[1][0] for _ in range(5 * _DRAWS))
  assert set(counts) == set(mutations.MUTATIONS) and uniform(counts)


def test_ten_channels_become_five_to_twenty():
  counts = drawn('alter_number_of_channels', with_convolution(depth_factor=2.5),
                 lambda d: dnas.edge_shape(conv(d), (1, 1, 4))[2],
                 channels=4)
  assert sorted(counts) == list(range(5, 21)) and uniform(counts)


def test_the_rate_is_log_uniform_from_half_to_double():
  random, dna = rng(), with_convolution()
  found = np.sort([np.log2(
      mutations.alter_learning_rate(random, dna, 3).learning_rate / .1)
                   for _ in range(_DRAWS)])
  assert -1 <= found[0] < -.99 and .99 < found[-1] <= 1
  # The greatest distance from the uniform distribution: Kolmogorov, 1 in 10^4.
  assert np.abs(found - np.linspace(-1, 1, _DRAWS)).max() / 2 < .05


@pytest.mark.parametrize('scale, expected', [
    (0, [0, 1]), (1, [1, 2]), (3, [2, 3, 4, 5, 6])])
def test_strides_are_powers_of_two(scale, expected):
  counts = drawn('alter_stride', with_convolution(stride_scale=scale),
                 lambda d: conv(d).stride_scale)
  assert sorted(counts) == expected and uniform(counts)


@pytest.mark.parametrize('half, sides', [
    (0, {1, 3}), (1, {3, 5}), (2, {3, 5, 7, 9}), (4, {5, 7, 9, 11, 13, 15, 17})
])
def test_filter_sides_are_odd_and_one_of_two_changes(half, sides):
  dna = with_convolution(filter_half_width=half, filter_half_height=half)
  counts = drawn('filter_size', dna, lambda d: dnas.filter_size(conv(d)))
  side = 2 * half + 1
  assert set(counts) == {(s, side) for s in sides} | {
      (side, s) for s in sides}
  assert all(h % 2 and w % 2 for h, w in counts)


def test_a_new_convolution_keeps_the_channels():
  random, dna = rng(), with_convolution(depth_factor=4.)
  seen = collections.Counter()
  for _ in range(200):
    child = mutations.insert_convolution(random, dna, 3)
    new, = (e for e in child.edges
            if e.id not in [x.id for x in dna.edges])
    vertex, = (v for v in child.vertices if v.id == new.target)
    assert dnas.filter_size(new) == (3, 3) and new.depth_factor == 1
    shapes = dnas.shapes(dnas.check(child), (32, 32, 3))
    assert shapes[new.target][2] == shapes[new.source][2]
    assert shapes[child.vertices[-1].id][2] == 12
    seen[new.stride_scale, vertex.type] += 1
  assert len(seen) == 4


def test_removing_what_was_inserted_gives_the_parent_back():
  random, dna = rng(), dnas.initial(rng(99))
  child = mutations.insert_convolution(random, dna, 3)
  assert mutations.remove_convolution(random, child, 3) == dna


def test_skips_lead_forwards_and_are_never_doubled():
  random, dna = rng(), with_convolution()
  dna = mutations.add_skip(random, dna, 3)
  skip = next(e for e in dna.edges if e in dnas.skips(dna))
  # The only pair that no edge joined.
  assert (skip.source, skip.target) == (
      dna.vertices[0].id, dna.vertices[-1].id)
  with pytest.raises(mutations.Impossible):
    mutations.add_skip(random, dna, 3)
  assert not dnas.skips(mutations.remove_skip(random, dna, 3))


def test_reset_keeps_the_graph_and_no_identifier():
  dna = with_convolution()
  child = mutations.reset_weights(rng(), dna, 3)
  ids = lambda d: {p.id for p in (*d.vertices, *d.edges)}
  assert not ids(dna) & ids(child)
  assert list(dnas.shapes(dna, (8, 8, 3)).values()) == list(
      dnas.shapes(child, (8, 8, 3)).values())


@pytest.mark.parametrize('name', [
    'remove_convolution', 'alter_stride', 'alter_number_of_channels',
    'filter_size', 'add_skip', 'remove_skip'])
def test_what_has_nothing_to_change_is_impossible(name):
  with pytest.raises(mutations.Impossible):
    mutations.MUTATIONS[name](rng(), dnas.initial(rng(99)), 3)


def test_ten_thousand_mutations_leave_a_dna():
  random = rng()
  dna = dnas.initial(random)
  for i in range(10_000):
    dna, _ = mutations.mutate(random, dna)
    if len(dna.vertices) > 40:
      dna = dnas.initial(random)
    if not i % 20:
      assert dnas.check(dna) == dna


def test_counts():
  random, dna = rng(), dnas.initial(rng(99))
  assert mutations.mutate(random, dna, count=0) == (dna, ())
  assert len(mutations.mutate(random, dna, count=5)[1]) == 5
  with pytest.raises(ValueError, match='count is -1'):
    mutations.mutate(random, dna, count=-1)
