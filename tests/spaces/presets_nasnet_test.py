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
  for nodes in (genotype.normal, genotype.reduce):
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
  assert genotype[:2] == genotype[2:4]


_SHORT = {
    'id': 'skip_connect', '1x1': 'conv_1x1', '3x3': 'conv_3x3',
    '1x7': 'conv_1x7_7x1', 'dil5': 'dil_sep_conv_5x5',
    **{f'sep{k}': f'sep_conv_{k}x{k}' for k in (3, 5, 7)},
    **{f'{kind}{k}': f'{kind}_pool_{k}x{k}'
       for kind in ('avg', 'max') for k in (2, 3)}}


# In the numbering of tensorflow/models and tensorflow/tpu, where 0 is the
# output of the last cell and 1 that of the cell before it; normal cell, then
# reduction cell: nodes, output.
@pytest.mark.parametrize('name, cells', [
    ('NASNet-A', (
        'sep5 0 sep3 1 sep5 1 sep3 1 avg3 0 id 1 avg3 1 avg3 1 sep3 0 id 0',
        '123456',
        'sep5 0 sep7 1 max3 0 sep7 1 avg3 0 sep5 1 id 3 avg3 2 sep3 2 max3 0',
        '3456')),
    ('AmoebaNet-A', (
        'avg3 0 max3 0 sep3 1 id 1 id 0 avg3 1 sep3 0 sep5 2 avg3 5 sep3 0',
        '1346',
        'sep3 1 avg3 0 max3 0 sep7 2 max3 1 max3 0 sep3 4 1x7 0 avg3 1 sep7 0',
        '23456')),
    ('AmoebaNet-B', (
        '1x1 1 max3 1 id 1 sep3 0 1x1 1 sep3 0 1x1 2 id 2 avg3 1 1x1 5',
        '0346',
        'max2 0 max3 0 id 2 3x3 1 dil5 2 max3 2 id 3 sep3 1 avg3 4 1x1 3',
        '56')),
    ('AmoebaNet-C', (
        'avg3 0 sep3 0 id 0 sep3 0 avg3 2 sep3 1 id 0 sep3 1 avg3 3 sep3 0',
        '12456',
        'max3 0 max3 0 sep7 2 sep3 0 sep7 0 max3 1 sep5 4 sep5 4 max3 1 sep3 1',
        '023456')),
    ('AmoebaNet-D', (
        '1x1 1 max3 1 id 1 1x7 0 1x1 0 1x7 0 max3 2 id 2 avg3 1 1x1 5',
        '0346',
        'max2 0 max3 0 id 2 3x3 1 1x7 2 max3 2 id 3 max2 1 avg3 2 1x1 3',
        '456')),
    ('PNASNet-5', (
        'sep5 1 max3 1 sep7 0 max3 0 sep5 0 sep3 0 sep3 4 max3 0 sep3 1 id 0',
        '23456') * 2),
])
def test_the_published_codes_number_the_inputs_the_other_way_round(name, cells):
  state = lambda text: {0: 1, 1: 0}.get(int(text), int(text))
  genotype = presets.load(name).genotype
  for nodes, concat, text, output in zip(
      genotype[:4:2], genotype[1:4:2], cells[::2], cells[1::2]):
    words = text.split()
    assert nodes == tuple(
        (_SHORT[op], state(source))
        for op, source in zip(words[::2], words[1::2]))
    assert sorted(concat) == sorted(map(state, output))
