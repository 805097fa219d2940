from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import parts


def test_nodes_are_grouped_by_the_first_word_of_their_names():
  builder = graph.Builder((8, 8, 3))
  stem = builder.add('stem', ops.Conv(4), [builder.image])
  a = builder.add('cell0_a', ops.Conv(4), [stem])
  b = builder.add('cell0_b', ops.Conv(4), [builder.image])
  cell0 = builder.sum('cell0_sum', [a, b])
  cell1 = builder.add('cell1', ops.Conv(6, 2), [cell0])
  head = builder.add('head', ops.Conv(2), [cell0])
  cell1 = builder.concat('cell1_concat', [cell1, cell1])
  assert parts.parts(builder.finish(cell1, head)) == [
      ('stem', (0,), (parts.IMAGE,), (8, 8, 4)),
      ('cell0', (1, 2, 3), (parts.IMAGE, 0), (8, 8, 4)),
      ('head', (5,), (1,), (8, 8, 2)),
      ('cell1', (4, 6), (1,), (4, 4, 12))]
