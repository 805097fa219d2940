from nas_jax import layout


def _height(item):
  return 10 + item[0]


def test_neighbours_are_straight_ahead():
  a, b, c = (0, 0), (1, 1), (2, 2)
  y = layout.place([a, b, c], [(a, b), (b, c)], _height)
  assert y == {a: 0., b: 0., c: 0.}


def test_boxes_of_a_column_do_not_touch():
  items = [(i, 1) for i in range(1, 6)]
  y = layout.place([(0, 0), *items], [((0, 0), i) for i in items], _height)
  ordered = sorted(items, key=y.get)
  for a, b in zip(ordered, ordered[1:]):
    assert y[b] - y[a] >= (_height(a) + _height(b)) / 2 + 15.9


def test_an_order_without_crossings_is_found():
  # Two inputs whose readers were named the other way round.
  links = [((0, 0), (3, 1)), ((1, 0), (2, 1))]
  y = layout.place([(0, 0), (1, 0), (2, 1), (3, 1)], links, _height)
  assert (y[0, 0] - y[1, 0]) * (y[3, 1] - y[2, 1]) > 0


def test_what_only_links_name_has_a_place():
  y = layout.place([(0, 0), (0, 2)], [((0, 0), (0, 1)), ((0, 1), (0, 2))],
                   _height)
  assert set(y) == {(0, 0), (0, 1), (0, 2)}
