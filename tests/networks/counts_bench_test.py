"""Sizes of the networks of the tabular benchmarks, exact."""

import itertools
import json

import numpy as np
import pytest

from nas_jax import cost
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import nasbench201
from nas_jax.spaces import nasbench_macro
from nas_jax.spaces import preset
from nas_jax.spaces import presets_bench

_PRESETS = presets_bench.PRESETS

# Name; parameters. The first is that of google-research/nasbench's readme.
_CELLS_101 = [
    ('Inception', 2_694_282),
    ('conv3x3', 47_358_090),
    ('conv1x1', 6_070_410),
    ('maxpool3x3', 882_570),
    ('identity', 882_570),
    ('ResNet', 20_346_506),
]

# Index in the benchmark; operations; parameters.
_CELLS_201 = [
    (6111, '3/33/s31', 1_073_466),
    (13714, '3/33/s13', 1_073_466),
    (9930, '3/33/s33', 1_288_506),
    (857, '1/13/s33', 858_426),
    (1462, '3/33/333', 1_531_546),
    (11472, '3/03/s0s', 559_386),
    (1835, 's/ss/sss', 73_306),
    (1651, '0/00/000', 73_306),
    (1, '3/3a/s3s', 802_426),
    (0, 'a/1s/1ss', 129_306),
    (11, '3/3a/03a', 802_426),
    (284, 's/ss/010', 101_306),
]
_SHORT = {'0': 'none', 's': 'skip_connect', '1': 'nor_conv_1x1',
          '3': 'nor_conv_3x3', 'a': 'avg_pool_3x3'}

# Widths; parameters; multiply-adds and biases of the classifier, in millions,
# as in the records of D-X-Y/NATS-Bench (for CIFAR-10).
_SIZES = [
    ('8:8:8:8:8', 11_714, 4.481),
    ('8:8:8:16:32', 49_202, 6.841),
    ('8:8:40:32:40', 144_834, 21.828),
]

# Code; parameters; multiply-adds: the benchmark file of xiusu/NAS-Bench-Macro.
_MACRO = [
    ('00000000', 387_882, 7_713_280),
    ('11111111', 1_588_874, 53_246_464),
    ('22222222', 2_932_586, 105_660_928),
    ('22212220', 1_985_514, 85_164_544),
]


@pytest.mark.parametrize('name, params', _CELLS_101)
def test_sizes_of_nasbench101(name, params):
  net = zoo.build(_PRESETS[f'NAS-Bench-101:{name}'])
  assert graph.num_params(net) == params


@pytest.mark.parametrize('index, operations, params', _CELLS_201)
def test_sizes_of_nasbench201(shared_data, index, operations, params):
  cell = tuple(_SHORT[c] for c in operations if c != '/')
  net = zoo.build(preset.Preset('nasbench201', cell))
  assert graph.num_params(net) == params
  table = np.load(shared_data / 'nasbench201.npz')
  assert tuple(table['op_names'][table['ops'][index]]) == cell


# Kind of network and classes; parameters and multiply-adds (the classifier's
# biases counted) of the empty cell and of each convolution, 2001.00326 sec. 2.
@pytest.mark.parametrize('network, classes, params, macs, per_3x3, per_1x1', [
    ('cifar', 10, 73_306, 7_783_050, 35_389_440, 3_932_160),
    ('cifar', 100, 79_156, 7_788_900, 35_389_440, 3_932_160),
    ('imagenet16', 120, 80_456, 1_953_400, 8_847_360, 983_040),
])
def test_formulas_of_nasbench201(network, classes, params, macs, per_3x3,
                                 per_1x1):
  rng = np.random.default_rng(classes)
  cells = {tuple(rng.choice(nasbench201.OPERATIONS, 6)) for _ in range(40)}
  cells |= {(name,) * 6 for name in nasbench201.OPERATIONS}
  for cell in cells:
    found = cost.count(zoo.build(preset.Preset(
        'nasbench201', cell), network, num_classes=classes))
    n3, n1 = cell.count('nor_conv_3x3'), cell.count('nor_conv_1x1')
    assert found.params == params + 243_040 * n3 + 28_000 * n1, cell
    assert found.macs + classes == macs + per_3x3 * n3 + per_1x1 * n1, cell


def test_the_table_of_nasbench201_has_the_sizes_of_the_formula(shared_data):
  table = np.load(shared_data / 'nasbench201.npz')
  names = table['op_names'][table['ops']]
  params = (73_306 + 243_040 * (names == 'nor_conv_3x3').sum(1)
            + 28_000 * (names == 'nor_conv_1x1').sum(1))
  assert params.min() == 73_306 and params.max() == 1_531_546
  known = ~table['params_seeds_disagree']
  np.testing.assert_allclose(
      table['cifar10_params_M'][known] * 1e6, params[known], atol=.5)


@pytest.mark.parametrize('widths, params, millions', _SIZES)
def test_sizes_of_nats_bench(widths, params, millions):
  found = cost.count(zoo.build(preset.Preset('nats_size', widths)))
  assert found.params == params
  assert round((found.macs + 10) / 1e6, 3) == millions


def test_the_official_records_of_nats_bench(shared_data):
  runs = json.loads((shared_data / 'nats_reference_runs.json').read_text())
  families = {'tss': 'nasbench201', 'sss': 'nats_size'}
  networks = {'cifar10-valid': ('cifar', 10), 'cifar10': ('cifar', 10),
              'cifar100': ('cifar', 100), 'ImageNet16-120': ('imagenet16', 120)}
  seen = {(run['space'], run['arch'], run['dataset'], run['params_M'],
           run['flops_M']) for run in runs}
  assert len(seen) == 24
  for space, arch, dataset, params, flops in seen:
    network, classes = networks[dataset]
    found = cost.count(zoo.build(preset.Preset(families[space], arch), network,
                                 num_classes=classes))
    assert found.params == round(params * 1e6), (arch, dataset)
    assert found.macs + classes == round(flops * 1e6), (arch, dataset)


@pytest.mark.parametrize('code, params, macs', _MACRO)
def test_sizes_of_nasbench_macro(code, params, macs):
  found = cost.count(zoo.build(preset.Preset('nasbench_macro', code)))
  assert (found.params, found.macs) == (params, macs)


def test_codes_of_equal_macro_networks_have_equal_sizes():
  assert nasbench_macro.canonical('10201201') == (1, 0, 2, 1, 0, 2, 1, 0)
  a, b = (cost.count(zoo.build(preset.Preset('nasbench_macro', code)))
          for code in ('10201201', '10210210'))
  assert a == b


def test_named_cells_of_nasbench201_are_those_of_the_table(shared_data):
  table = np.load(shared_data / 'nasbench201.npz')
  indices = {
      'ResNet': 11472, 'best-cifar10': 6111, 'best-cifar100': 9930,
      'best-imagenet16': 857, 'conv3x3': 1462, 'skip': 1835}
  for name, index in indices.items():
    cell = tuple(table['op_names'][table['ops'][index]])
    assert _PRESETS[f'NAS-Bench-201:{name}'].genotype == cell
  for name, data in (('best-cifar10', 'cifar10'), ('best-cifar100', 'cifar100'),
                     ('best-imagenet16', 'imagenet16_120')):
    accuracy = table[f'{data}_test_200']
    assert accuracy[indices[name]] == accuracy.max()


def test_all_codes_of_nasbench_macro():
  codes = list(itertools.product(range(3), repeat=8))
  assert len(codes) == 6_561
  assert len({nasbench_macro.canonical(code) for code in codes}) == 3_969
