import pytest

from nas_jax.spaces import cell
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets


@pytest.mark.parametrize('name', presets.PRESETS)
def test_a_preset_survives_a_file(tmp_path, name):
  genotypes.save(tmp_path / 'genotype.json', presets.PRESETS[name])
  assert presets.load(tmp_path / 'genotype.json') == presets.load(name)


@pytest.mark.parametrize('name', presets.PRESETS)
def test_a_preset_has_five_nodes_that_read_earlier_states(name):
  for nodes in presets.PRESETS[name][::2]:
    assert len(nodes) == 10
    for i, (_, state) in enumerate(nodes):
      assert 0 <= state < 2 + i // 2


def test_operations_of_the_main_search_make_up_amoebanet_a():
  for nodes in presets_nasnet.AMOEBANET_A[::2]:
    assert {name for name, _ in nodes} <= set(cell.AMOEBANET_OPERATIONS)


def test_neither_a_preset_nor_a_file():
  with pytest.raises(ValueError, match=(
      '^NoNet is neither a file nor one of the presets NASNet-A, ')):
    presets.load('NoNet')


def test_a_list_is_not_a_preset(tmp_path):
  genotypes.save(tmp_path / 'g.json', (0, 1))
  with pytest.raises(ValueError, match='holds a list, expected an object'):
    presets.load(tmp_path / 'g.json')
