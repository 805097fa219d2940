"""Sizes of published cells in the networks of DARTS, exact.

Of the cells for which the file of published cells does not say them; counted
by instantiating quark0/darts in PyTorch, without the auxiliary classifier.
"""

import json

import pytest

from nas_jax import cost
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

# Name in the file; parameters and multiply-adds of convolutions with 36
# features and 20 cells; parameters with 16 and 8; both on ImageNet with 48 and
# 14.
_CELLS = [
    ('PDARTS', 3_433_798, 532_168_704, 292_026, (4_944_352, 542_051_328)),
    ('PC_DARTS_cifar', 3_634_678, 556_664_832, 335_738,
     (5_270_560, 570_369_408)),
    ('PC_DARTS_image', 3_721_510, 570_461_184, 327_546,
     (5_342_464, 580_859_328)),
    ('GDAS_V1', 3_368_782, 519_422_976, 330_330, (4_969_216, 536_829_888)),
    ('SNAS_mild', 2_661_382, 422_212_608, 200_954, (3_939_328, 437_274_432)),
    ('SNAS_moderate', 2_847_358, 440_681_472, 272_026,
     (4_312_576, 464_839_872)),
    ('SNAS_aggressive', 2_313_622, 374_906_880, 198_778, None),
    ('MdeNAS', 3_783_286, 599_104_512, 331_194, (5_325_760, 594_745_536)),
    ('c10_s5_random', 3_606_166, 562_387_968, 301_114,
     (5_120_320, 565_994_688)),
    ('c10_s5_pgd', 3_344_806, 526_749_696, 270_906, (4_768_864, 530_799_360)),
    ('cifar10_s0_0', 3_454_318, 546_545_664, 265_626, (4_860_256, 545_306_496)),
    ('cifar10_s0_1', 3_634_246, 573_917_184, 278_842, None),
    ('darts_pt_s5_0', 2_851_246, 449_114_112, 239_002, None),
    ('darts_pt_s5_2', 2_658_142, 413_144_064, 227_866, None),
    ('blank_pt_s5_0', 3_039_598, 477_563_904, 255_962, None),
    ('blank_pt_s5_1', 3_148_030, 496_198_656, 277_018, None),
    ('blank_pt_s5_2', 2_581_894, 411_429_888, 232_058, None),
    ('blank_pt_s5_3', 3_404_854, 532_998_144, 284_794, None),
    ('FairDARTS_a', 2_360_782, 371_450_880, 207_258, (3_472_000, 394_166_976)),
    ('FairDARTS_b', 3_407_878, 536_481_792, 278_970, (4_865_248, 540_433_152)),
    ('FairDARTS_c', 2_598_814, 399_983_616, 261_082, (3_859_264, 427_508_928)),
    ('FairDARTS_e', 2_643_742, 414_692_352, 219_482, None),
    ('FairDARTS_f', 3_151_054, 497_608_704, 251_546, None),
    ('FairDARTS_g', 2_899_054, 453_371_904, 246_234, None),
    ('c10_s1_random', 3_405_502, 529_265_664, 285_850, None),
    ('c10_s2_random', 3_622_150, 547_430_400, 331_706, None),
    ('c10_s2_pgd', 4_281_382, 650_612_736, 370_490, None),
    ('c10_s3_random', 4_311_622, 653_764_608, 377_530, None),
    ('c10_s3_pgd', 4_341_862, 656_916_480, 384_570, None),
    ('c10_s4_random', 4_701_718, 711_659_520, 411_002, None),
    ('c10_s4_pgd', 4_701_718, 711_659_520, 411_002, None),
    ('darts_pt_s1_1', 1_870_822, 300_257_280, 156_986, None),
    ('darts_pt_s2_1', 3_092_518, 475_269_120, 268_218, None),
    ('darts_pt_s3_1', 3_422_134, 526_860_288, 287_610, None),
    ('blank_pt_s1_1', 2_357_470, 377_008_128, 185_818, None),
    ('blank_pt_s2_1', 3_452_374, 530_012_160, 294_650, None),
    ('blank_pt_s3_1', 2_902_438, 437_944_320, 278_842, None),
    ('blank_pt_s4_1', 4_701_718, 711_659_520, 411_002, None),
    ('cifar10_s1_0', 2_629_630, 418_867_200, 193_242, None),
    ('cifar10_s2_0', 4_058_902, 627_886_080, 322_810, None),
    ('cifar10_s3_0', 4_058_902, 627_886_080, 322_810, None),
]

# Name of the preset; name in the file.
_SAME = [
    ('DARTS_V1', 'DARTS_V1'), ('DARTS_V2', 'DARTS_V2'), ('P-DARTS', 'PDARTS'),
    ('PC-DARTS-CIFAR', 'PC_DARTS_cifar'),
    ('PC-DARTS-ImageNet', 'PC_DARTS_image'), ('SNAS-mild', 'SNAS_mild'),
    ('SNAS-moderate', 'SNAS_moderate'), ('SNAS-aggressive', 'SNAS_aggressive'),
    *((f'FairDARTS-{x}', f'FairDARTS_{x}') for x in 'abcdefg'),
    ('SDARTS-RS', 'c10_s5_random'), ('SDARTS-ADV', 'c10_s5_pgd'),
    ('DARTS-PT', 'darts_pt_s5_0'), ('MdeNAS', 'MdeNAS'),
    ('NASNet-in-DARTS', 'NASNet'), ('AmoebaNet-in-DARTS', 'AmoebaNet'),
    ('ENASNet-in-DARTS', 'ENASNet'),
]


@pytest.fixture(name='cells', scope='module')
def _cells(shared_data):
  found = json.loads((shared_data / 'genotypes.json').read_text())['cnn']
  return {name: genotypes.from_json(
      {k: cell[k] for k in genotypes.Genotype._fields[:4]})
          for name, cell in found.items()}


@pytest.mark.parametrize('name, params, convs, small, imagenet', _CELLS,
                         ids=[row[0] for row in _CELLS])
def test_sizes(cells, name, params, convs, small, imagenet):
  preset = presets.Preset('darts', cells[name])
  found = cost.count(zoo.build(preset))
  assert (found.params, found.conv_macs) == (params, convs)
  net = zoo.build(preset, features=16, num_cells=8)
  assert graph.num_params(net) == small
  if imagenet:
    found = cost.count(zoo.build(preset, 'imagenet'))
    assert (found.params, found.conv_macs) == imagenet


@pytest.mark.parametrize('preset, name', _SAME)
def test_presets_are_the_cells_of_the_file(cells, preset, name):
  genotype = presets.load(preset).genotype
  for kind in ('normal', 'reduce'):
    nodes, concat = genotypes.node_edges(genotype, kind)
    expected, expected_concat = genotypes.node_edges(cells[name], kind)
    assert concat == expected_concat
    # FairDARTS' file lists the edges of a node in another order.
    assert [sorted(edges) for edges in nodes] == [
        sorted(edges) for edges in expected]


def test_gdas_differs_in_one_edge_of_the_copy_in_the_file(cells):
  ours, copy = presets.load('GDAS_V1').genotype, cells['GDAS_V1']
  assert ours._replace(reduce=()) == copy._replace(reduce=())
  assert ours.reduce[:7] == copy.reduce[:7]
  assert (ours.reduce[7], copy.reduce[7]) == (
      ('sep_conv_5x5', 1), ('sep_conv_5x5', 2))


# Chen et al., Xu et al.: the papers' 557, 586 and 597M count norms too.
@pytest.mark.parametrize('name, millions', [
    ('P-DARTS', 542.8), ('PC-DARTS-CIFAR', 571.1),
    ('PC-DARTS-ImageNet', 581.6)])
def test_multiply_adds_on_imagenet_with_the_classifier(name, millions):
  found = cost.count(zoo.build(presets.load(name), 'imagenet'))
  assert round(found.macs / 1e6, 1) == millions


@pytest.mark.parametrize('name', ['LRC-0', 'LRC-1', 'LRC-2'])
def test_the_auxiliary_classifier_of_the_lrc_models(name):
  found = cost.count(zoo.build(presets.load(name), auxiliary=True))
  assert found.auxiliary_params == 476_426
