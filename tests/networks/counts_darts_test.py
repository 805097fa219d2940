"""Sizes of the networks of DARTS, and of all cells evaluated with them.

Counted by instantiating quark0/darts in PyTorch unless a row says otherwise;
parameters leave out the auxiliary classifier, multiply-adds are those of
convolutions in evaluation mode at batch 1.
"""

import json

import pytest

from nas_jax import cost
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

_SIZES = {'c36l20': ('cifar', 36, 20), 'c16l8': ('cifar', 16, 8),
          'c48l14': ('imagenet', 48, 14)}


def _net(name, network='cifar', **kwargs):
  return zoo.build(presets.load(name), network, **kwargs)


# name, params, auxiliary, batch norm floats, conv MACs, linear MACs.
@pytest.mark.parametrize('name, params, auxiliary, stats, convs, linear', [
    ('NASNet-in-DARTS', 3_830_950, 457_994, 43_480, 603_445_248, 7_200),
    ('AmoebaNet-in-DARTS', 3_145_078, 457_994, 37_000, 488_927_232, 4_320),
    ('DARTS_V1', 3_169_414, 476_426, 39_160, 500_981_760, 5_760),
    # Published 3.3M; the log of quark0/darts says 3.349342MB.
    ('DARTS_V2', 3_349_342, 476_426, 42_184, 528_353_280, 5_760),
])
def test_cifar_networks_of_36_features_and_20_cells(
    name, params, auxiliary, stats, convs, linear):
  found = cost.count(_net(name, auxiliary=True))
  assert (found.params, found.auxiliary_params) == (params, auxiliary)
  # The source counts those of the auxiliary classifier too.
  assert found.batch_stats + 2 * (128 + 768) == stats
  assert (found.conv_macs, found.linear_macs) == (convs, linear)


@pytest.mark.parametrize('name, params', [
    ('NASNet-in-DARTS', 3_895_840), ('AmoebaNet-in-DARTS', 3_184_048),
    ('DARTS_V1', 3_221_344), ('DARTS_V2', 3_401_272)])
def test_cifar_100(name, params):
  assert graph.num_params(_net(name, num_classes=100)) == params


@pytest.mark.parametrize('name, params', [
    ('NASNet-in-DARTS', 333_946), ('AmoebaNet-in-DARTS', 326_330),
    ('DARTS_V1', 232_890), ('DARTS_V2', 246_106)])
def test_the_small_networks_of_robust_darts(name, params):
  assert graph.num_params(_net(name, features=16, num_cells=8)) == params


@pytest.mark.parametrize('name, params, auxiliary, convs, linear', [
    # Published for networks of their own papers: 5.3M, 564M.
    ('NASNet-in-DARTS', 5_564_320, 1_236_200, 603_071_616, 960_000),
    # 5.1M, 555M likewise.
    ('AmoebaNet-in-DARTS', 4_627_360, 1_236_200, 526_170_624, 576_000),
    ('DARTS_V1', 4_510_432, 1_260_776, 505_096_704, 768_000),
    # Published 4.7M, and 574M multiply-adds, which no way of counting gives.
    ('DARTS_V2', 4_718_752, 1_260_776, 529_143_552, 768_000),
])
def test_imagenet_networks_of_48_features_and_14_cells(
    name, params, auxiliary, convs, linear):
  found = cost.count(_net(name, 'imagenet', auxiliary=True))
  assert (found.params, found.auxiliary_params) == (params, auxiliary)
  assert (found.conv_macs, found.linear_macs) == (convs, linear)


@pytest.mark.parametrize('name, published', [
    ('P-DARTS', 557), ('PC-DARTS-CIFAR', 586), ('PC-DARTS-ImageNet', 597)])
def test_published_multiply_adds_that_count_norms_and_relus(name, published):
  found = cost.count(_net(name, 'imagenet'))
  total = (found.conv_macs + found.linear_macs + 2 * found.norm_elements +
           found.relu_elements)
  assert round(total / 1e6) == published


def test_gdas_on_imagenet_has_50_features():
  found = cost.count(_net('GDAS_V1', 'imagenet', features=50))
  assert (found.params, found.conv_macs, found.linear_macs) == (
      5_345_075, 580_209_000, 800_000)  # published 5.3M, 581M


@pytest.mark.parametrize('name, params, convs', [
    # Published, with the auxiliary classifier but for c: 2.83, 3.88, 2.59,
    # 3.84, 3.12, 3.62, 3.38 million; 373, 536, 400, 532, 414, 497, 453 M.
    ('FairDARTS-a', 2_360_782, 371_450_880),
    ('FairDARTS-b', 3_407_878, 536_481_792),
    ('FairDARTS-c', 2_598_814, 399_983_616),
    ('FairDARTS-d', 3_365_542, 532_500_480),
    ('FairDARTS-e', 2_643_742, 414_692_352),
    ('FairDARTS-f', 3_151_054, 497_608_704),
    ('FairDARTS-g', 2_899_054, 453_371_904),
    # The six released models of PaddlePaddle/AutoDL, LRC.
    ('LRC-0', 3_529_270, None), ('LRC-1', 2_657_926, None),
    ('LRC-2', 2_653_822, None),
    ('GDAS_V1', 3_368_782, 519_422_976),
    ('SNAS-mild', 2_661_382, 422_212_608),
    ('SNAS-moderate', 2_847_358, 440_681_472),  # published 2.8M
    ('SNAS-aggressive', 2_313_622, 374_906_880),  # published 2.3M
    ('MdeNAS', 3_783_286, 599_104_512),
    ('SDARTS-RS', 3_606_166, 562_387_968),  # published 3.4M (mean)
    ('SDARTS-ADV', 3_344_806, 526_749_696),  # published 3.3M
    ('DARTS-PT', 2_851_246, 449_114_112),
])
def test_cells_of_other_papers(name, params, convs):
  net = _net(name)
  assert graph.num_params(net) == params
  if convs:
    assert cost.count(net).conv_macs == convs


def test_all_published_cells_build_and_those_with_sizes_match(shared_data):
  cells = json.loads((shared_data / 'genotypes.json').read_text())['cnn']
  assert len(cells) == 179
  checked = 0
  for name, cell in cells.items():
    genotype = genotypes.from_json(
        {k: cell[k] for k in genotypes.Genotype._fields[:4]})
    preset = presets.Preset('darts', genotype)
    for size, (network, features, num_cells) in _SIZES.items():
      if size not in cell:
        continue
      expected = cell[size]
      net = zoo.build(preset, network, features=features, num_cells=num_cells,
                      auxiliary='aux' in expected)
      found = cost.count(net)
      assert found.params == expected['params'], (name, size)
      if 'aux' in expected:
        assert found.auxiliary_params == expected['aux'], (name, size)
        assert found.conv_macs == expected['conv_macs'], (name, size)
        assert found.linear_macs == expected['linear_macs'], (name, size)
      checked += 1
    if 'c36l20' not in cell:
      assert zoo.build(preset, features=4, num_cells=3).nodes
  assert checked == 44 * 2 + 6
