"""Sizes of hand-designed networks, exact.

Convolutions have no bias, norms two numbers per channel, the classifier a
bias; running statistics do not count. Where a paper's table prints a number
that its definition does not give, ours stands here and the printed one in the
message.
"""

import pytest

from nas_jax import cost
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import presets_human

_PRESETS = presets_human.PRESETS

# Name; parameters for 10 and for 100 classes; what is printed.
_CIFAR = [
    # He et al., 1512.03385, table 6, by the definition of sec. 4.2.
    ('ResNet-20', 269_722, None, None),
    ('ResNet-32', 464_154, None, None),
    ('ResNet-44', 658_586, None, None),
    ('ResNet-56', 853_018, None, None),
    ('ResNet-110', 1_727_962, 1_733_812, '1.7M'),
    ('ResNet-110-B', 1_730_714, None, None),
    ('ResNet-1202', 19_421_274, 19_427_124, None),
    # He et al., 1603.05027, table 4, by its appendix.
    ('PreActResNet-164', 1_703_258, 1_726_388, None),
    ('PreActResNet-1001', 10_327_706, 10_350_836, '10.2M'),
    # Zagoruyko, Komodakis, 1605.07146, table 5, by table 1.
    ('WRN-16-8', 10_961_370, 11_007_540, None),
    ('WRN-28-10', 36_479_194, 36_536_884, '36.5M'),
    ('WRN-40-10', 55_841_754, 55_899_444,
     '55.8M, and 50.7M in Real et al., 1703.01041'),
    # Huang et al., 1608.06993, table 2, by sec. 3.
    ('DenseNet-40-12', 1_019_722, 1_060_132, None),
    ('DenseNet-100-12', 6_979_642, None, None),
    ('DenseNet-100-24', 27_249_082, None, None),
    ('DenseNet-BC-100-12', 769_162, 800_032, None),
    ('DenseNet-BC-250-24', 15_324_406, None, None),
    ('DenseNet-BC-190-40', 25_624_430, 25_821_620, '25.6M'),
    # Xie et al., 1611.05431, table 7, by appendix A.
    ('ResNeXt-29-8x64d', 34_426_698, 34_518_948, None),
    ('ResNeXt-29-16x64d', 68_155_210, 68_247_460, None),
    # Han et al., 1610.02915, table 4, by sec. 2 (widths rounded down).
    ('PyramidNet-110-48', 1_739_730, None, None),
    ('PyramidNet-110-84', 3_855_054, None, None),
    ('PyramidNet-110-270', 28_485_477, None, '28.3M'),
    ('PyramidNet-164-270', 27_216_021, None, '27.0M'),
    ('PyramidNet-200-240', 26_617_000, None, None),
    ('PyramidNet-236-220', 26_806_528, None, None),
    ('PyramidNet-272-200', 26_049_562, None, None),
    # Gastaldi, 1705.07485, by xgastaldi/shake-shake models/shakeshake.lua.
    ('Shake-Shake-26-2x32d', 2_923_162, None, None),
    ('Shake-Shake-26-2x64d', 11_653_978, None, None),
    ('Shake-Shake-26-2x96d', 26_192_922, None, '26.2M'),
]

# Name; parameters; multiply-adds with the linear layer; pixels of a side;
# printed parameters and multiply-adds.
_IMAGENET = [
    # He et al., 1512.03385, table 1, as there with the stride in the 1x1
    # convolution.
    ('ResNet-50', 25_557_032, 3_857_973_248, 224, '25.6M, 3.9 to 4.1B'),
    ('ResNet-101', 44_549_160, 7_570_194_432, 224,
     '44.5M, 7.8B (with the stride in the 3x3 convolution)'),
    ('ResNet-152', 60_192_808, 11_282_415_616, 224, '60.2M, 11.3B'),
    # Chollet, 1610.02357, fig. 5.
    ('Xception', 22_855_952, 8_357_403_496, 299, '22.8M, 8.38B'),
    # Howard et al., 1704.04861, table 1.
    ('MobileNet-224', 4_231_976, 568_740_352, 224, '4.2M, 569M'),
]


def test_every_preset_has_a_row():
  assert {row[0] for row in _CIFAR + _IMAGENET} == set(_PRESETS)


@pytest.mark.parametrize('name, params, params_100, printed', _CIFAR,
                         ids=[row[0] for row in _CIFAR])
def test_sizes_for_cifar(name, params, params_100, printed):
  message = f'printed: {printed}'
  net = zoo.build(_PRESETS[name])
  assert net.image_shape == (32, 32, 3)
  assert net.nodes[-1].shape == (10,)
  assert graph.num_params(net) == params, message
  if params_100:
    net = zoo.build(_PRESETS[name], num_classes=100)
    assert graph.num_params(net) == params_100, message


@pytest.mark.parametrize('name, params, macs, size, printed', _IMAGENET,
                         ids=[row[0] for row in _IMAGENET])
def test_sizes_for_imagenet(name, params, macs, size, printed):
  net = zoo.build(_PRESETS[name], 'imagenet')
  assert net.image_shape == (size, size, 3)
  assert net.nodes[-1].shape == (1000,)
  found = cost.count(net)
  assert (found.params, found.macs) == (params, macs), f'printed: {printed}'
