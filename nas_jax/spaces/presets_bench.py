"""Cells of the tabular benchmarks that are named in their papers.

Any other cell is a genotype of the family `nasbench101`, `nasbench201`,
`nats_size` or `nasbench_macro`; see spaces/nasbench101.py, nasbench201.py and
nasbench_macro.py.

References:
  Ying et al., NAS-Bench-101, arXiv 1902.09635; the cell of its readme.
  Dong, Yang, NAS-Bench-201, arXiv 2001.00326: the best cells of its table
    (after 200 epochs, on the test images) with their indices.
"""

from collections.abc import Mapping

from nas_jax.spaces import nasbench101
from nas_jax.spaces import nasbench201
from nas_jax.spaces import nasbench_macro
from nas_jax.spaces.preset import Preset

_C3, _C1, _POOL = nasbench101.OPERATIONS
_SHORT = {'c3': 'nor_conv_3x3', 'c1': 'nor_conv_1x1', 'skip': 'skip_connect',
          'none': 'none'}


def _101(edges, *operations) -> Preset:
  count = len(operations) + 2
  matrix = tuple(tuple(int((i, j) in edges) for j in range(count))
                 for i in range(count))
  return Preset('nasbench101', tuple(nasbench101.cell(
      matrix, (nasbench101.INPUT, *operations, nasbench101.OUTPUT))))


def _chain(operation: str) -> Preset:
  return _101({(i, i + 1) for i in range(6)}, *[operation] * 5)


def _201(operations: str) -> Preset:
  """Edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
  return Preset('nasbench201', nasbench201.check(
      [_SHORT[name] for name in operations.split()]))


PRESETS: Mapping[str, Preset] = {
    'NAS-Bench-101:Inception': _101(
        {(0, 1), (0, 2), (0, 3), (0, 5), (1, 6), (2, 6), (3, 4), (4, 6),
         (5, 6)}, _C1, _C3, _C3, _C3, _POOL),
    'NAS-Bench-101:ResNet': _101({(0, 1), (1, 2), (2, 3), (0, 3)}, _C3, _C3),
    'NAS-Bench-101:conv3x3': _chain(_C3),
    'NAS-Bench-101:conv1x1': _chain(_C1),
    'NAS-Bench-101:maxpool3x3': _chain(_POOL),
    'NAS-Bench-101:identity': _101({(0, 1)}),
    'NAS-Bench-201:ResNet': _201('c3 none c3 skip none skip'),  # 11472
    'NAS-Bench-201:best-cifar10': _201('c3 c3 c3 skip c3 c1'),  # 6111
    'NAS-Bench-201:best-cifar100': _201('c3 c3 c3 skip c3 c3'),  # 9930
    'NAS-Bench-201:best-imagenet16': _201('c1 c1 c3 skip c3 c3'),  # 857
    'NAS-Bench-201:conv3x3': _201('c3 c3 c3 c3 c3 c3'),  # 1462
    'NAS-Bench-201:skip': _201('skip skip skip skip skip skip'),  # 1835
    'NATS-Bench:8:8:8:8:8': Preset('nats_size', (8, 8, 8, 8, 8)),
    'NATS-Bench:64:64:64:64:64': Preset('nats_size', (64, 64, 64, 64, 64)),
    'NAS-Bench-Macro:best': Preset(
        'nasbench_macro', nasbench_macro.parse('22212220')),
}
