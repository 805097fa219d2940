"""Sizes of the networks of NASNet, AmoebaNet, PNASNet, NAO and ENAS (micro).

Parameters leave out the auxiliary classifier; multiply-adds are those of
convolutions and linear layers in evaluation mode at batch 1. What a paper
gives stands beside a row, and where no network of the paper's size has the
number, ours is asserted and the row says so.
"""

import pytest

from nas_jax import cost
from nas_jax.networks import zoo
from nas_jax.spaces import presets


def _net(name, network, **kwargs):
  size = kwargs.pop('size', None)
  shape = {'image_shape': (size, size, 3)} if size else {}
  return zoo.build(presets.load(name), network, auxiliary=True, **shape,
                   **kwargs)


def _check(name, network, changes, params, auxiliary, macs):
  found = cost.count(_net(name, network, **changes))
  assert (found.params, found.auxiliary_params, found.macs) == (
      params, auxiliary, macs)


# name, network, changes, params, auxiliary, multiply-adds.

# Zoph et al., arXiv 1707.07012, tables 1, 2; README of tensorflow/models slim.
@pytest.mark.parametrize('name, network, changes, params, auxiliary, macs', [
    # 3.3M.
    ('NASNet-A', 'cifar', {}, 3_346_538, 1_631_498, 544_333_312),
    # The network of the search, of 32 features.
    ('NASNet-A', 'cifar', dict(num_cells=2), 1_294_698, 1_631_498, 232_185_344),
    # 7 @ 2304: 27.6M, which neither 7 nor 6 cells have.
    ('NASNet-A', 'cifar', dict(num_cells=7, features=96), 32_590_954,
     1_729_802, 5_151_250_944),
    ('NASNet-A', 'cifar', dict(num_cells=6, features=96), 28_213_546,
     1_729_802, 4_501_903_872),
    # 5.3M, 564M.
    ('NASNet-A', 'imagenet', {}, 5_289_978, 2_411_240, 563_638_816),
    # 88.9M (with the 196,668 running statistics), 23.8B.
    ('NASNet-A', 'imagenet_large', {}, 88_753_150, 4_567_784, 23_783_414_658),
    # 5 @ 1538: 10.9M, 2.35B, which these 5 @ 1536 do not have.
    ('NASNet-A', 'imagenet', dict(num_cells=5, features=64, size=299),
     12_247_544, 3_326_696, 2_552_240_432),
    # 7 @ 1920: 22.6M, 4.93B, which neither of these has.
    ('NASNet-A', 'imagenet', dict(num_cells=7, features=80, size=299),
     24_595_884, 3_351_272, 5_226_678_524),
    ('NASNet-A', 'imagenet_large', dict(num_cells=7, features=80, size=299),
     24_613_292, 3_351_272, 5_373_739_132),
])
def test_nasnet(name, network, changes, params, auxiliary, macs):
  _check(name, network, changes, params, auxiliary, macs)


# Real et al., arXiv 1802.01548, tables 1 to 3.
@pytest.mark.parametrize('name, network, changes, params, auxiliary, macs', [
    # 2.6M, 3.2M, and the network of the search.
    ('AmoebaNet-A', 'cifar', dict(features=32), 2_567_754, 1_615_114,
     407_671_808),
    ('AmoebaNet-A', 'cifar', {}, 3_218_266, 1_619_210, 509_668_992),
    ('AmoebaNet-A', 'cifar', dict(features=24, num_cells=3), 843_322,
     1_606_922, 139_349_760),
    # 2.8M, 13.7M, 34.9M.
    ('AmoebaNet-B', 'cifar', {}, 2_839_186, 1_619_210, 454_925_952),
    ('AmoebaNet-B', 'cifar', dict(features=80), 13_716_250, 1_664_266,
     2_195_468_800),
    ('AmoebaNet-B', 'cifar', dict(features=128), 34_874_506, 1_713_418,
     5_580_279_808),
    # Not published.
    ('AmoebaNet-C', 'cifar', {}, 3_979_126, 1_628_426, 609_700_896),
    ('AmoebaNet-D', 'cifar', {}, 2_378_350, 1_619_210, 381_050_496),
    # 86.7M, 23.1B; 99.6M.
    ('AmoebaNet-A', 'imagenet_large', {}, 86_718_797, 4_504_296,
     23_133_663_507),
    ('AmoebaNet-A', 'imagenet_large', dict(features=204), 99_625_282,
     4_518_632, 26_623_181_694),
    # 469M, 104B: on images of 299 pixels.
    ('AmoebaNet-A', 'imagenet_large', dict(features=448), 468_151_184,
     4_768_488, 126_520_757_776),
    ('AmoebaNet-A', 'imagenet_large', dict(features=448, size=299),
     468_151_184, 3_687_144, 103_887_693_968),
    # 5.1M, 555M; 5.3M, 555M.
    ('AmoebaNet-A', 'imagenet', {}, 5_086_930, 2_394_856, 554_687_204),
    ('AmoebaNet-B', 'imagenet', {}, 5_258_700, 2_407_144, 555_060_408),
    # 84.0M, 22.3B: with 196 features, not 190.
    ('AmoebaNet-B', 'imagenet_large', dict(features=190), 79_008_676,
     4_504_296, 20_934_489_887),
    ('AmoebaNet-B', 'imagenet_large', {}, 83_960_973, 4_510_440,
     22_272_815_179),
    # 155.3M, 41.1B.
    ('AmoebaNet-C', 'imagenet_large', {}, 155_272_667, 4_601_576,
     41_129_488_875),
    # 5.1M, 535M.
    ('AmoebaNet-C', 'imagenet', dict(features=44), 5_056_969, 2_399_976,
     535_067_904),
    # 6.4M; the 570M beside it are not those of this network.
    ('AmoebaNet-C', 'imagenet', {}, 6_353_815, 2_407_656, 676_936_592),
    # Not published; the network of the TPU recipe.
    ('AmoebaNet-D', 'imagenet_large', dict(size=299), 121_911_016, 3_490_536,
     26_964_901_216),
])
def test_amoebanet(name, network, changes, params, auxiliary, macs):
  _check(name, network, changes, params, auxiliary, macs)


# Liu et al., arXiv 1712.00559, tables 3 to 5; tensorflow/models pnasnet.py.
@pytest.mark.parametrize('name, network, changes, params, auxiliary, macs', [
    # 3.2M.
    ('PNASNet-5', 'cifar', {}, 3_189_082, 1_643_786, 574_891_392),
    # 5.1M, 588M. Stem cells of 13 and 27 features: a count without the odd
    # channel of the shifted path is 32 smaller.
    ('PNASNet-5', 'imagenet', {}, 5_064_487, 2_412_776, 587_293_200),
    ('PNASNet-5', 'imagenet', dict(num_classes=1001), 5_065_568,
     2_413_545, 587_294_280),
    # 86.1M, 25.0B.
    ('PNASNet-5', 'imagenet_large', {}, 86_057_668, 4_586_216, 24_937_395_792),
    ('PNASNet-5', 'imagenet_large', dict(num_classes=1001), 86_061_989,
     4_586_985, 24_937_400_112),
])
def test_pnasnet(name, network, changes, params, auxiliary, macs):
  _check(name, network, changes, params, auxiliary, macs)


# Luo et al., arXiv 1808.07233, tables 1, 2.
@pytest.mark.parametrize('name, network, changes, params, auxiliary, macs', [
    # 10.6M and 128M (128 features), which the released cells do not have.
    ('NAONet', 'cifar', {}, 11_523_214, 457_994, 1_709_646_048),
    ('NAONet', 'cifar', dict(features=64), 36_353_866, 501_002, 5_399_191_040),
    ('NAONet', 'cifar', dict(features=128), 145_247_882, 599_306,
     21_586_131_968),
    # The network of the search.
    ('NAONet', 'cifar', dict(features=32, num_cells=3), 4_964_522, 451_850,
     747_147_008),
    # 10.8M and 128M likewise.
    ('NAONet', 'cifar', dict(num_classes=100), 11_562_184, 527_204,
     1_709_684_928),
    ('NAONet', 'cifar', dict(features=128, num_classes=100), 145_386_212,
     668_516, 21_586_270_208),
    # Not published, as are the others of the code in PyTorch.
    ('NAONet-A', 'cifar', {}, 11_470_150, 476_426, 1_673_814_240),
    ('NAONet-A', 'cifar', dict(features=64), 36_186_058, 533_770,
     5_285_944_832),
    ('NAONet-A', 'cifar', dict(features=128), 144_576_394, 664_842,
     21_133_147_136),
    ('NAONet-B', 'cifar', {}, 2_921_302, 457_994, 462_002_400),
    ('NAONet-V2', 'cifar', {}, 4_387_654, 476_426, 684_238_464),
    ('NAONet-A', 'imagenet', {}, 11_353_831, 1_250_024, 1_243_996_992),
    ('NAONet-V2', 'imagenet', {}, 7_026_850, 1_270_504, 782_069_184),
    # 2.5M. The classifier is without bias, the auxiliary one is not.
    ('NAONet-WS', 'cifar', {}, 2_466_252, 476_426, 394_966_656),
])
def test_nao(name, network, changes, params, auxiliary, macs):
  _check(name, network, changes, params, auxiliary, macs)


# Pham et al., arXiv 1802.03268, table 2: 4.6M, which neither the cells of the
# authors' script nor those of the paper's figure have.
@pytest.mark.parametrize('name, network, changes, params, auxiliary, macs', [
    ('ENAS-micro', 'cifar', {}, 3_894_372, 494_858, 620_907_552),
    ('ENAS-micro-figure', 'cifar', {}, 3_492_252, 494_858, 552_487_968),
])
def test_enas_micro(name, network, changes, params, auxiliary, macs):
  _check(name, network, changes, params, auxiliary, macs)


@pytest.mark.parametrize('network, stats', [
    ('imagenet', 36_738), ('imagenet_large', 196_668)])
def test_running_statistics_of_nasnet(network, stats):
  assert cost.count(_net('NASNet-A', network)).batch_stats == stats


def _stages(name, network, **changes):
  """Shapes of the outputs of the stem and of all cells, equal ones once."""
  net = _net(name, network, **changes)
  shapes = [node.shape for node in net.nodes
            if node.name in ('stem', 'stem0', 'stem1')
            or node.name.endswith('_output')]
  counted = []
  for shape in shapes:
    if counted and counted[-1][0] == shape:
      counted[-1][1] += 1
    else:
      counted.append([shape, 1])
  return [(*shape, times) for shape, times in counted]


# NASNet's are those of tensorflow/models nasnet_test.py.
@pytest.mark.parametrize('name, network, expected', [
    ('NASNet-A', 'cifar', [
        (32, 32, 96, 1), (32, 32, 192, 6), (16, 16, 256, 1), (16, 16, 384, 6),
        (8, 8, 512, 1), (8, 8, 768, 6)]),
    ('NASNet-A', 'imagenet', [
        (111, 111, 32, 1), (56, 56, 44, 1), (28, 28, 88, 1), (28, 28, 264, 4),
        (14, 14, 352, 1), (14, 14, 528, 4), (7, 7, 704, 1), (7, 7, 1056, 4)]),
    ('NASNet-A', 'imagenet_large', [
        (165, 165, 96, 1), (83, 83, 168, 1), (42, 42, 336, 1),
        (42, 42, 1008, 6), (21, 21, 1344, 1), (21, 21, 2016, 6),
        (11, 11, 2688, 1), (11, 11, 4032, 6)]),
    ('AmoebaNet-A', 'cifar', [
        (32, 32, 108, 1), (32, 32, 144, 6), (16, 16, 360, 1), (16, 16, 288, 6),
        (8, 8, 720, 1), (8, 8, 576, 6)]),
    ('PNASNet-5', 'cifar', [
        (32, 32, 144, 1), (32, 32, 240, 3), (16, 16, 480, 3), (8, 8, 960, 3)]),
    ('PNASNet-5', 'imagenet', [
        (111, 111, 32, 1), (56, 56, 65, 1), (28, 28, 135, 1), (28, 28, 270, 3),
        (14, 14, 540, 3), (7, 7, 1080, 3)]),
    ('PNASNet-5', 'imagenet_large', [
        (165, 165, 96, 1), (83, 83, 270, 1), (42, 42, 540, 1),
        (42, 42, 1080, 4), (21, 21, 2160, 4), (11, 11, 4320, 4)]),
    ('NAONet', 'cifar', [
        (32, 32, 108, 7), (16, 16, 288, 1), (16, 16, 216, 6), (8, 8, 576, 1),
        (8, 8, 432, 6)]),
    ('NAONet-A', 'imagenet', [
        (56, 56, 42, 1), (28, 28, 42, 1), (28, 28, 126, 4), (14, 14, 336, 1),
        (14, 14, 252, 4), (7, 7, 672, 1), (7, 7, 504, 4)]),
    ('NAONet-WS', 'cifar', [
        (32, 32, 108, 1), (32, 32, 144, 5), (16, 16, 288, 6), (8, 8, 576, 6)]),
    ('ENAS-micro', 'cifar', [
        (32, 32, 108, 1), (32, 32, 180, 5), (16, 16, 288, 1), (16, 16, 360, 5),
        (8, 8, 576, 1), (8, 8, 720, 5)]),
])
def test_shapes_of_the_stages(name, network, expected):
  assert _stages(name, network) == expected
