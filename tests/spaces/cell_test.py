import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.spaces import cell
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes

_OPS = ('id', 'conv', 'pool')


def _keys(n, seed=0):
  return jax.random.split(jax.random.key(seed), n)


def _small(**kwargs):
  kwargs = {'num_nodes': 2, 'cell_types': ('normal',)} | kwargs
  return cell.space(_OPS, **kwargs)


# Node 0 reads states 0 and 1, node 1 reads state 0 twice: state 1 is read,
# states 2 and 3 are loose.
_GENOME = [0, 1, 1, 0, 0, 0, 2, 1]
_PAIRS = (('conv', 0), ('id', 1), ('pool', 0), ('conv', 0))


def test_operation_lists_of_the_papers():
  assert len(cell.NASNET_OPERATIONS) == len(set(cell.NASNET_OPERATIONS)) == 13
  assert len(cell.AMOEBANET_OPERATIONS) == 8
  assert len(set(cell.AMOEBANET_OPERATIONS)) == 8


def test_cardinalities_of_the_papers():
  one = cell.space(cell.AMOEBANET_OPERATIONS, cell_types=('normal',))
  assert discrete.size(one.choices) == 556_627_761_561_600
  two = cell.space(cell.AMOEBANET_OPERATIONS)
  assert discrete.size(two.choices) == 556_627_761_561_600**2
  assert f'{discrete.size(two.choices):.3e}' == '3.098e+29'
  # 19 operations, the second space of AmoebaNet.
  second = cell.space(tuple(f'op{i}' for i in range(19)),
                      cell_types=('normal',))
  assert f'{discrete.size(second.choices):.3e}' == '3.178e+18'


def test_layout_of_the_genome():
  space = cell.space(_OPS)
  assert len(space.choices) == 2 * 4 * 5
  for t, choices in enumerate(space.choices):
    node, field = t // 4 % 5, t % 4
    assert choices == (tuple(range(node + 2)) if field < 2 else _OPS)


def test_the_fifty_decisions_of_nasnet():
  space = cell.space(cell.NASNET_OPERATIONS, combinations=('add', 'concat'))
  assert len(space.choices) == 50
  sizes = []
  for num_states in (2, 3, 4, 5, 6):
    sizes += [num_states, num_states, 13, 13, 2]
  assert list(discrete.sizes_of(space.choices)) == sizes * 2
  assert space.choices[:5] == (
      (0, 1), (0, 1), cell.NASNET_OPERATIONS, cell.NASNET_OPERATIONS,
      ('add', 'concat'))
  assert space.choices[:25] == space.choices[25:]


def test_cardinalities_of_nasnet():
  both = ('add', 'concat')
  sizes = [discrete.size(cell.space(
      cell.NASNET_OPERATIONS, cell_types=types, combinations=combinations
  ).choices) for combinations in (both, ('add',))
           for types in (('normal',), ('normal', 'reduce'))]
  # 13^10 (2 3 4 5 6)^2, times 2^5 with the combinations; squared for a pair.
  one = 13**10 * 720**2
  assert sizes == [32 * one, (32 * one)**2, one, one**2]
  assert [f'{s:.3e}' for s in sizes] == [
      '2.287e+18', '5.230e+36', '7.147e+16', '5.107e+33']


def test_genotype_by_hand():
  space = _small()
  genotype = space.genotype(jnp.array(_GENOME))
  assert genotype == cell.Genotype(_PAIRS, (2, 3), _PAIRS, (2, 3))
  hash(genotype)
  assert space.encode(genotype).tolist() == _GENOME


_BOTH = {'combinations': ('add', 'concat')}


def test_genotype_with_combinations_by_hand():
  space = _small(**_BOTH)
  genome = [0, 1, 1, 0, 0, 0, 0, 2, 1, 1]
  genotype = space.genotype(jnp.array(genome))
  combine = ('add', 'concat')
  assert genotype == cell.Genotype(
      _PAIRS, (2, 3), _PAIRS, (2, 3), combine, combine)
  assert space.encode(genotype).tolist() == genome
  assert space.decode(jnp.array(genome)).combinations.tolist() == [[0, 1]]


def test_cells_that_only_add_have_one_genotype_in_both_spaces():
  genotype = _small(**_BOTH).genotype(jnp.array([0, 1, 1, 0, 0] * 2))
  assert genotype == _small().genotype(jnp.array([0, 1, 1, 0] * 2))
  assert _small().encode(genotype).tolist() == [0, 1, 1, 0] * 2
  assert _small().encode(tuple(genotype)[:4]).tolist() == [0, 1, 1, 0] * 2
  said = genotype._replace(normal_combine=('add', 'add'),
                           reduce_combine=('add', 'add'))
  assert _small(**_BOTH).encode(said).tolist() == [0, 1, 1, 0, 0] * 2


def test_two_cells_combine_each_in_its_way():
  space = cell.space(_OPS, num_nodes=1, **_BOTH)
  genotype = space.genotype(jnp.array([0, 1, 0, 0, 0, 1, 0, 2, 2, 1]))
  assert (genotype.normal_combine, genotype.reduce_combine) == (
      (), ('concat',))
  assert space.encode(genotype).tolist() == [0, 1, 0, 0, 0, 1, 0, 2, 2, 1]


def test_a_space_without_concat_refuses_it():
  genotype = cell.Genotype(
      _PAIRS, (2, 3), _PAIRS, (2, 3), ('add', 'concat'), ('add', 'concat'))
  with pytest.raises(ValueError) as e:
    _small().encode(genotype)
  assert str(e.value) == ("node 1 of the normal cell combines its operations "
                          "by 'concat', expected add")
  with pytest.raises(ValueError, match='the reduce cell differs'):
    _small(**_BOTH).encode(genotype._replace(reduce_combine=()))


@pytest.mark.parametrize('options, concat', [
    ({}, (1, 3)), ({'loose_inputs': False}, (3,)), ({'concat': 'nodes'}, (2, 3))
])
def test_output_states(options, concat):
  space = _small(**options)
  # State 1 is never read; node 0 is read by node 1.
  genome = jnp.array([0, 0, 0, 0, 2, 0, 0, 0])
  assert space.genotype(genome).normal_concat == concat
  loose = space.decode(genome).loose
  assert loose.shape == (1, 4)
  assert tuple(np.flatnonzero(loose[0]).tolist()) == concat


@pytest.mark.parametrize('options', [
    {}, {'loose_inputs': False}, {'concat': 'nodes'}, _BOTH,
    {'cell_types': ('normal', 'reduce'), 'num_nodes': 4},
    {'cell_types': ('normal', 'reduce'), 'num_nodes': 4} | _BOTH])
def test_decode_agrees_with_the_genotype(options):
  space = _small(**options)
  genomes = jax.vmap(space.sample)(_keys(50))
  cells = jax.jit(jax.vmap(space.decode))(genomes)
  assert cells.inputs.dtype == cells.operations.dtype == jnp.int32
  assert cells.loose.dtype == bool
  for i, genome in enumerate(genomes):
    genotype = space.genotype(genome)
    assert (space.encode(genotype) == genome).all()
    for c in range(cells.inputs.shape[1]):
      pairs = [(_OPS[o], int(s)) for o, s in zip(
          cells.operations[i, c].ravel().tolist(),
          cells.inputs[i, c].ravel().tolist())]
      assert tuple(pairs) == genotype[2 * c]
      assert tuple(np.flatnonzero(cells.loose[i, c])) == genotype[2 * c + 1]
      combined = genotypes.node_combinations(genotype, ('normal', 'reduce')[c])
      chosen = cells.combinations[i, c].tolist()
      assert combined == tuple(('add', 'concat')[k] for k in chosen)


def test_encode_inverts_genotype_everywhere():
  space = cell.space(('a', 'b'), num_nodes=1, cell_types=('normal',))
  genomes = list(itertools.product(range(2), repeat=4))
  assert len(genomes) == discrete.size(space.choices)
  found = {space.genotype(np.array(g)) for g in genomes}
  assert len(found) == 16
  for genome in genomes:
    assert tuple(space.encode(
        space.genotype(np.array(genome))).tolist()) == genome


def test_papers_spaces_round_trip():
  for operations in (cell.NASNET_OPERATIONS, cell.AMOEBANET_OPERATIONS):
    space = cell.space(operations)
    for genome in jax.vmap(space.sample)(_keys(10)):
      assert (space.encode(space.genotype(genome)) == genome).all()


def test_two_kinds_of_mutation_with_equal_chances():
  space = cell.space(_OPS)
  n = 40_000
  parent = space.sample(jax.random.key(5))
  children = np.asarray(
      jax.jit(jax.vmap(space.mutate, (0, None)))(_keys(n), parent))
  changed = children != np.asarray(parent)
  assert changed.sum(1).max() == 1
  is_input = np.arange(40) % 4 < 2
  # Hidden-state mutations always change something, op mutations only with
  # chance 2/3, as one of three operations is the present one.
  np.testing.assert_allclose(changed[:, is_input].sum() / n, 1 / 2, atol=0.0125)
  np.testing.assert_allclose(
      changed[:, ~is_input].sum() / n, 1 / 3, atol=0.0125)
  # Every input position alike, and every cell.
  np.testing.assert_allclose(changed[:, is_input].sum(0) / n, 1 / 40, atol=.004)
  np.testing.assert_allclose(
      changed[:, ~is_input].sum(0) / n, 1 / 60, atol=.004)
  assert bool(jnp.all(discrete.is_legal(space.choices, jnp.array(children))))


def test_one_mutation_in_five_is_of_a_combination():
  space = cell.space(_OPS, **_BOTH)
  n = 40_000
  parent = space.sample(jax.random.key(5))
  children = np.asarray(
      jax.jit(jax.vmap(space.mutate, (0, None)))(_keys(n), parent))
  changed = children != np.asarray(parent)
  assert changed.sum(1).max() == 1
  fields = changed.sum(0).reshape(10, 5).sum(0) / n
  # One of three operations is the present one; the others always change.
  np.testing.assert_allclose(
      fields, [1 / 5, 1 / 5, 2 / 15, 2 / 15, 1 / 5], atol=0.0125)
  np.testing.assert_allclose(changed[:, 4::5].sum(0) / n, 1 / 50, atol=.004)
  assert bool(jnp.all(discrete.is_legal(space.choices, jnp.array(children))))


def test_op_mutation_to_another_operation():
  space = cell.space(_OPS, op_mutation='other')
  parent = space.sample(jax.random.key(5))
  children = jax.vmap(space.mutate, (0, None))(_keys(1000), parent)
  assert ((children != parent).sum(1) == 1).all()


@pytest.mark.parametrize('pairs, concat, message', [
    ((('conv', 0), ('sep', 1), ('pool', 0), ('conv', 0)), (2, 3),
     "unknown operation 'sep' in node 0 of the normal cell, expected one of "
     'id, conv, pool'),
    ((('conv', 0), ('id', 2), ('pool', 0), ('conv', 0)), (2, 3),
     'node 0 of the normal cell reads state 2, expected 0..1'),
    ((('conv', 0), ('id', 1), ('pool', 3), ('conv', 0)), (2, 3),
     'node 1 of the normal cell reads state 3, expected 0..2'),
    ((('conv', 0), ('id', 1), ('pool', -1), ('conv', 0)), (2, 3),
     'node 1 of the normal cell reads state -1, expected 0..2'),
    (_PAIRS[:3], (2, 3),
     'the normal cell has 3 (operation, state) pairs, expected 4: two for '
     'each of 2 nodes'),
    (_PAIRS, (3,),
     'normal_concat is (3,), but in this space the nodes imply (2, 3)'),
])
def test_genotypes_outside_the_space(pairs, concat, message):
  with pytest.raises(ValueError) as e:
    _small().encode(cell.Genotype(pairs, concat, pairs, concat))
  assert str(e.value) == message


def test_what_is_no_cell_genotype():
  with pytest.raises(ValueError, match=r'a genotype is \(normal, .*, got \(1,'):
    _small().encode((1, 2))


def test_errors_name_the_reduction_cell():
  space = _small(cell_types=('normal', 'reduce'))
  bad = (('conv', 0), ('id', 1), ('pool', 0), ('conv', 9))
  with pytest.raises(ValueError) as e:
    space.encode(cell.Genotype(_PAIRS, (2, 3), bad, (2, 3)))
  assert str(e.value) == (
      'node 1 of the reduce cell reads state 9, expected 0..2')
  with pytest.raises(ValueError) as e:
    space.encode(cell.Genotype(_PAIRS, (2, 3), _PAIRS, (2,)))
  assert str(e.value) == (
      'reduce_concat is (2,), but in this space the nodes imply (2, 3)')


def test_one_cell_type_has_no_other_reduction_cell():
  other = (('id', 0), ('id', 1), ('pool', 0), ('conv', 0))
  with pytest.raises(ValueError) as e:
    _small().encode(cell.Genotype(_PAIRS, (2, 3), other, (2, 3)))
  assert str(e.value) == ('this space has one cell type, but the reduce cell '
                          'differs from the normal cell')


@pytest.mark.parametrize('options, message', [
    ({'num_nodes': 0}, 'num_nodes must be at least 1, got 0'),
    ({'cell_types': ('reduce',)}, r"unknown cell_types \('reduce',\)"),
    ({'concat': 'all'}, "unknown concat 'all', expected one of 'loose', 'nod"),
    ({'op_mutation': 'same'}, "unknown op_mutation 'same'"),
    ({'combinations': ('concat',)}, r"unknown combinations \('concat',\), "
     r"expected one of \('add',\), \('add', 'concat'\)"),
])
def test_options_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    cell.space(_OPS, **options)


def test_operations_must_differ():
  with pytest.raises(ValueError, match='names a choice twice'):
    cell.space(('a', 'a'))
