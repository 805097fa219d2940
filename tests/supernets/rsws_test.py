import jax
import pytest

from nas_jax.networks import graph
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes
from nas_jax.supernets import darts
from nas_jax.supernets import rsws

_SIZE = dict(image_shape=(8, 8, 3), num_classes=10, features=4, num_cells=3)


def test_the_shared_network_is_that_of_darts():
  family = rsws.family(image_shape=(32, 32, 3), num_classes=10)
  assert graph.num_params(family.full) == 3_998_194
  search = darts.build(darts.uniform(), image_shape=(32, 32, 3),
                       num_classes=10, features=24)
  assert graph.num_params(search) == 3_998_194


def test_architectures_share_what_has_one_name():
  family = rsws.family(**_SIZE)
  shapes = graph.shapes(family.full).params
  genomes = jax.vmap(family.space.sample)(
      jax.random.split(jax.random.key(0), 20))
  for genome in genomes:
    genotype = family.space.genotype(genome)
    assert (family.space.encode(genotype) == genome).all()
    own = graph.shapes(family.build(genotype)).params
    for node, tree in own.items():
      assert tree == shapes.get(node, {})


def test_a_node_reads_two_different_states():
  space = rsws.space()
  assert discrete.sizes_of(space.choices) == (
      1, 8, 8, 3, 8, 8, 6, 8, 8, 10, 8, 8) * 2
  genotype = space.genotype(space.sample(jax.random.key(1)))
  for kind in darts.KINDS:
    nodes, concat = genotypes.node_edges(genotype, kind)
    assert concat == (2, 3, 4, 5)
    assert all(a < b < n + 2 for n, ((_, a), (_, b)) in enumerate(nodes))


def test_a_node_of_nothing_is_zeros():
  family = rsws.family(num_nodes=1, **_SIZE | dict(num_cells=1))
  nothing = (('none', 0), ('none', 1))
  one = (('none', 0), ('sep_conv_3x3', 1))
  names = lambda cell: [n.name for n in family.build(genotypes.Genotype(
      cell, (2,), cell, (2,))).nodes]
  assert names(nothing) == ['stem', 'cell0_enter0', 'cell0_edge0_2_none',
                            'cell0_output', 'classifier']
  assert names(one) == ['stem', 'cell0_enter1', 'cell0_edge1_2_sep_conv_3x3',
                        'cell0_output', 'classifier']


def test_odd_features():
  with pytest.raises(ValueError, match='features is 3, expected an even'):
    rsws.family(**_SIZE | dict(features=3))
