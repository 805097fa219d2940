import pytest

from nas_jax.networks import zoo
from nas_jax.spaces import cell
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import presets_nasnet
from nas_jax.spaces import recurrent


@pytest.mark.parametrize('name', presets.PRESETS)
def test_a_preset_survives_a_file_and_has_a_family(tmp_path, name):
  preset = presets.PRESETS[name]
  hash(preset)
  assert (preset.family in zoo.FAMILIES) != (
      preset.family in recurrent.FAMILIES)
  genotypes.save(tmp_path / 'genotype.json', preset.genotype, preset.family)
  for place in (tmp_path / 'genotype.json', tmp_path):
    assert presets.load(place) == preset._replace(sizes=())
  assert presets.load(name) is preset


@pytest.mark.parametrize('name', [
    name for name, preset in presets.PRESETS.items()
    if isinstance(preset.genotype, genotypes.Genotype)])
def test_nodes_of_a_preset_read_earlier_states(name):
  genotype = presets.PRESETS[name].genotype
  for kind in ('normal', 'reduce'):
    nodes, concat = genotypes.node_edges(genotype, kind)
    assert len(nodes) in (4, 5)
    assert set(concat) <= set(range(len(nodes) + 2))
    for state, edges in enumerate(nodes, 2):
      assert all(0 <= source < state for _, source in edges)


def test_names_are_found_whatever_their_case_and_punctuation():
  for name in ('darts_v2', 'Darts-V2', 'DARTSv2'):
    assert presets.load(name) is presets.PRESETS['DARTS_V2']
  assert presets.load('pdarts') is presets.PRESETS['P-DARTS']
  plain = [''.join(c for c in name.lower() if c.isalnum())
           for name in presets.PRESETS]
  assert len(set(plain)) == len(plain)


def test_operations_of_the_main_search_make_up_amoebanet_a():
  for nodes in presets_nasnet.AMOEBANET_A[::2]:
    assert {name for name, _ in nodes} <= set(cell.AMOEBANET_OPERATIONS)


def test_darts_v2_is_the_published_cell():
  assert presets.load('DARTS_V2').genotype.normal == (
      ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0),
      ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0),
      ('skip_connect', 0), ('dil_conv_3x3', 2))


@pytest.mark.parametrize('name, nearest', [
    ('DARTS_V3', 'DARTS_V2'), ('NASNetA1', 'NASNet-A'),
    ('WRN-28-12', 'WRN-28-10'), ('ResNet-111', 'ResNet-110')])
def test_a_misspelt_name_suggests_the_nearest(name, nearest):
  with pytest.raises(ValueError, match=(
      f'^{name} is neither a file nor a known architecture. Did you mean .*'
      f'{nearest}')):
    presets.load(name)


def test_a_name_like_nothing_lists_all():
  with pytest.raises(ValueError, match='Known are DARTS_V1, DARTS_V2, '):
    presets.load('xyz/qqq')


def test_a_folder_without_a_genotype(tmp_path):
  with pytest.raises(ValueError, match='has no genotype.json: it is not the '):
    presets.load(tmp_path)


def test_cells_without_a_family_are_of_darts(tmp_path):
  preset = presets.load('P-DARTS')
  genotypes.save(tmp_path / 'g.json', preset.genotype)
  assert presets.load(tmp_path / 'g.json') == preset


def test_a_list_needs_a_family(tmp_path):
  genotypes.save(tmp_path / 'g.json', (0, 1))
  with pytest.raises(ValueError, match='holds a list, expected an object'):
    presets.load(tmp_path / 'g.json')
