import pytest

from nas_jax.networks import image
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import presets_nasnet


@pytest.mark.parametrize('name', presets_nasnet.PRESETS)
def test_a_preset_has_five_nodes_that_read_earlier_states(name):
  genotype = presets.load(name).genotype
  assert isinstance(genotype, genotypes.Genotype)
  for nodes in genotype[::2]:
    assert len(nodes) == 10
    for i, (_, state) in enumerate(nodes):
      assert 0 <= state < 2 + i // 2


@pytest.mark.parametrize('name', presets_nasnet.PRESETS)
def test_sizes_are_of_networks_that_the_family_has(name):
  architecture = presets.load(name)
  networks = zoo.FAMILIES[architecture.family].defaults
  assert {size[0] for size in architecture.sizes} <= set(networks)
  for network in networks:
    net = zoo.build(architecture, network, num_cells=1)
    assert net.nodes[-1].shape == (networks[network].num_classes,)
    assert isinstance(net.nodes[-1].module, image.Classifier)


def test_pnasnet_has_one_cell():
  genotype = presets.load('PNASNet-5').genotype
  assert genotype[:2] == genotype[2:]
