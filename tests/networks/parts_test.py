from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import parts


def test_nodes_are_grouped_by_the_beginning_of_their_names():
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


def test_stages_are_divided_into_blocks():
  builder = graph.Builder((8, 8, 3))
  value = builder.image
  for name in ('stage0_block0_branch', 'stage0_block0_sum', 'stage0_block1',
               'stage0_cell2_edge01', 'block0_layer0', 'block0_layer1'):
    value = builder.add(name, ops.Conv(4), [value])
  assert [(part.name, part.nodes) for part in parts.parts(
      builder.finish(value))] == [
          ('stage0_block0', (0, 1)), ('stage0_block1', (2,)),
          ('stage0_cell2', (3,)), ('block0', (4, 5))]
