import copy
import json

import jax
import pytest

from nas_jax.spaces import cell
from nas_jax.spaces import genotypes

_GENOTYPE = genotypes.Genotype(
    normal=(('sep_conv_3x3', 0), ('skip_connect', 1),
            ('max_pool_3x3', 2), ('sep_conv_3x3', 0)),
    normal_concat=(3,),
    reduce=(('skip_connect', 0), ('skip_connect', 0)),
    reduce_concat=(1, 2))
_JSON = {
    'normal': [['sep_conv_3x3', 0], ['skip_connect', 1],
               ['max_pool_3x3', 2], ['sep_conv_3x3', 0]],
    'normal_concat': [3],
    'reduce': [['skip_connect', 0], ['skip_connect', 0]],
    'reduce_concat': [1, 2],
}


def test_json_form():
  assert genotypes.to_json(_GENOTYPE) == _JSON
  assert genotypes.from_json(json.loads(json.dumps(_JSON))) == _GENOTYPE


_COMBINED = _GENOTYPE._replace(normal_combine=('concat', 'add'))


def test_combinations_are_said_only_where_there_is_a_concat():
  found = genotypes.to_json(_COMBINED)
  assert found == _JSON | {'normal_combine': ['concat', 'add']}
  assert genotypes.from_json(found) == _COMBINED
  # To add is what a cell does that does not say: one way to write it.
  assert genotypes.from_json(_JSON | {
      'normal_combine': ['add', 'add'], 'reduce_combine': []}) == _GENOTYPE


def test_combinations_of_nodes():
  assert genotypes.node_combinations(_COMBINED, 'normal') == ('concat', 'add')
  assert genotypes.node_combinations(_COMBINED, 'reduce') == ('add',)
  assert genotypes.node_combinations(_GENOTYPE, 'normal', ('add',)) == (
      'add', 'add')
  with pytest.raises(ValueError) as e:
    genotypes.node_combinations(_COMBINED, 'normal', ('add',))
  assert str(e.value) == ("node 0 of the normal cell combines its operations "
                          "by 'concat', expected add")


def test_the_text_of_a_genotype_is_read_again():
  assert genotypes.parse(f'found {_GENOTYPE}') == _GENOTYPE
  assert 'combine' not in str(_GENOTYPE)
  assert str(_COMBINED).endswith(
      "reduce_concat=(1, 2), normal_combine=('concat', 'add'))")
  assert genotypes.parse(f'found {_COMBINED}') == _COMBINED


def test_other_tuples_are_lists():
  assert genotypes.to_json(('a', 3, (None, 2.5))) == ['a', 3, [None, 2.5]]
  assert genotypes.from_json(['a', 3, [None, 2.5]]) == ('a', 3, (None, 2.5))


def test_files(tmp_path):
  path = tmp_path / 'genotype.json'
  genotypes.save(path, _GENOTYPE)
  assert json.loads(path.read_text()) == _JSON
  loaded = genotypes.load(path)
  assert loaded == _GENOTYPE and isinstance(loaded, genotypes.Genotype)
  hash(loaded)


def test_a_loaded_genotype_is_in_its_space(tmp_path):
  space = cell.space(cell.NASNET_OPERATIONS)
  genome = space.sample(jax.random.key(0))
  genotypes.save(tmp_path / 'g.json', space.genotype(genome))
  assert (space.encode(genotypes.load(tmp_path / 'g.json')) == genome).all()


@pytest.mark.parametrize('key, value, message', [
    ('normal', None, "the genotype has no 'normal'"),
    ('reduce_concat', None, "the genotype has no 'reduce_concat'"),
    ('extra', 1, "unknown key 'extra', expected normal, normal_concat, reduce, "
     'reduce_concat, normal_combine, reduce_combine'),
    ('normal', 3, 'normal is not a list: 3'),
    ('reduce', [], 'reduce has 0 entries, expected two per node'),
    ('reduce', [['a', 0]], 'reduce has 1 entries, expected two per node'),
    ('normal', [['a', 0], 'b'],
     "normal[1] is 'b', expected [operation, state]"),
    ('normal', [['a', 0], [0, 'a']],
     "normal[1] is [0, 'a'], expected [operation, state]"),
    ('normal', [['a', True], ['a', 0]],
     "normal[0] is ['a', True], expected [operation, state]"),
    ('normal', [['a', 0], ['a', 2]],
     'normal[1] reads state 2, but node 0 may read states 0..1'),
    ('normal', [['a', 0], ['a', 1], ['a', -1], ['a', 0]],
     'normal[2] reads state -1, but node 1 may read states 0..2'),
    ('normal_concat', {}, 'normal_concat is not a list: {}'),
    ('normal_concat', [], 'normal_concat is empty'),
    ('normal_concat', [2, 4], 'normal_concat[1] is 4, expected a state 0..3'),
    ('normal_concat', ['2'], "normal_concat[0] is '2', expected a state 0..3"),
    ('reduce_concat', [2, 2], 'reduce_concat names a state twice: [2, 2]'),
    ('normal_combine', 'add', "normal_combine is not a list: 'add'"),
    ('normal_combine', ['add'],
     'normal_combine has 1 entries, expected one for each of 2 nodes'),
    ('reduce_combine', ['mul'], 'node 0 of the reduce cell combines its '
     "operations by 'mul', expected add or concat"),
])
def test_bad_files_are_refused_by_name_and_place(tmp_path, key, value, message):
  bad = copy.deepcopy(_JSON)
  bad[key] = value
  if value is None:
    del bad[key]
  path = tmp_path / 'genotype.json'
  path.write_text(json.dumps(bad))
  with pytest.raises(ValueError) as e:
    genotypes.load(path)
  assert str(e.value) == f'{path}: {message}'


def test_what_is_no_genotype_at_all(tmp_path):
  path = tmp_path / 'genotype.json'
  with pytest.raises(ValueError, match=f'cannot read {path}: No such file'):
    genotypes.load(path)
  path.write_text('{')
  with pytest.raises(ValueError, match=f'^{path} is not a JSON file'):
    genotypes.load(path)
  path.write_text('3')
  with pytest.raises(ValueError, match=(
      f'^{path}: a genotype is an object or a list, got 3')):
    genotypes.load(path)


_TEXT = '''
# A line of genotypes.py.
MINE = Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)],
                normal_concat=range(2, 3),
                reduce=[('max_pool_3x3', 1), ('none', 0)], reduce_concat=[2])
'''
_PARSED = genotypes.Genotype(
    normal=(('sep_conv_3x3', 0), ('skip_connect', 1)), normal_concat=(2,),
    reduce=(('max_pool_3x3', 1), ('none', 0)), reduce_concat=(2,))


def test_the_text_of_darts_is_read_from_a_file(tmp_path):
  (tmp_path / 'g.txt').write_text(_TEXT)
  assert genotypes.load_with_family(tmp_path / 'g.txt') == (None, _PARSED)
  log = ("07/01 03:00:00 PM genotype = Genotype(normal=[('sep_conv_3x3', 0), "
         "('skip_connect', 1)], normal_concat=list(range(2, 3)), reduce=[("
         "'max_pool_3x3', 1), ('none', 0)], reduce_concat=(2,))")
  assert genotypes.parse(log) == _PARSED
  assert genotypes.parse(f'{log}\n{log}') == _PARSED


@pytest.mark.parametrize('text, message', [
    ('nothing', "no 'Genotype\\('"),
    ("Genotype(normal=[('a', 0)", 'ends inside'),
    ("Genotype(normal=open('x'))", 'cannot read'),
    (_TEXT + _TEXT.replace('none', 'skip_connect'), '2 genotypes in the text'),
    ("Genotype(normal=[('a', 0), ('b', 5)], normal_concat=[2], reduce=[], "
     'reduce_concat=[2])', r'normal\[1\] reads state 5'),
])
def test_broken_text(text, message):
  with pytest.raises(ValueError, match=message):
    genotypes.parse(text)


def test_a_file_may_say_its_family(tmp_path):
  path = tmp_path / 'g.json'
  genotypes.save(path, _PARSED, 'nasnet')
  assert genotypes.load_with_family(path) == ('nasnet', _PARSED)
  genotypes.save(path, ((1, 'a'), (2, 'b')), 'chain')
  assert genotypes.load_with_family(path) == ('chain', ((1, 'a'), (2, 'b')))


def test_nodes_of_any_number_of_edges():
  genotype = genotypes.from_json({
      'normal': [['a', 2, 0], ['b', 4, 1], ['c', 4, 3], ['d', 2, 1]],
      'normal_concat': [2, 3, 4], 'reduce': [['a', 0], ['b', 1]],
      'reduce_concat': [2]})
  assert genotypes.node_edges(genotype, 'normal') == (
      ((('a', 0), ('d', 1)), (), (('b', 1), ('c', 3))), (2, 3, 4))
  assert genotypes.node_edges(genotype, 'reduce') == (
      ((('a', 0), ('b', 1)),), (2,))
  assert genotypes.from_json(genotypes.to_json(genotype)) == genotype


def test_a_complete_cell_lists_all_edges_of_each_node_in_turn():
  pairs = [['a', 0], ['b', 1], ['c', 2], ['d', 0], ['e', 1]]
  genotype = genotypes.from_json({
      'normal': pairs, 'normal_concat': [2, 3], 'reduce': pairs[:2],
      'reduce_concat': [2]})
  assert genotypes.node_edges(genotype, 'normal')[0] == (
      (('a', 0), ('b', 1)), (('c', 2), ('d', 0), ('e', 1)))


@pytest.mark.parametrize('edge, message', [
    (['a', 1, 0], 'leads to state 1, but nodes are states 2'),
    (['a', 3, 3], 'reads state 3, but node 1 may read states 0..2'),
    (['a', 3], r'expected \[operation, state of the node, state\]'),
])
def test_bad_edges(edge, message):
  with pytest.raises(ValueError, match=message):
    genotypes.from_json({
        'normal': [['a', 2, 0], edge], 'normal_concat': [2],
        'reduce': [['a', 0], ['b', 1]], 'reduce_concat': [2]})
