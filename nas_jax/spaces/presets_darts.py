"""Published cells that are evaluated with the networks of DARTS.

A cell is written as in the papers' tables: nodes separated by /, operation
(source state) joined by +, in the published order; - is a node without edges.
"""

from collections.abc import Sequence

from nas_jax.spaces import genotypes
from nas_jax.spaces import preset

_NAMES = dict(
    s3='sep_conv_3x3', s5='sep_conv_5x5', s7='sep_conv_7x7',
    d3='dil_conv_3x3', d5='dil_conv_5x5', mp='max_pool_3x3',
    ap='avg_pool_3x3', skip='skip_connect', c7='conv_7x1_1x7', none='none')


def _cells(normal: str, reduce: str,
           normal_concat: Sequence[int] = (2, 3, 4, 5),
           reduce_concat: Sequence[int] = (2, 3, 4, 5)) -> preset.Preset:
  return preset.Preset('darts', genotypes.Genotype(
      _edges(normal), tuple(normal_concat), _edges(reduce),
      tuple(reduce_concat)))


def _edges(text: str) -> tuple[genotypes.Edge, ...]:
  nodes = [[] if node == '-' else [
      edge.rstrip(')').split('(') for edge in node.split('+')]
           for node in text.split(' / ')]
  if all(len(node) == 2 for node in nodes):
    return tuple((_NAMES[op], int(source)) for node in nodes
                 for op, source in node)
  return tuple((_NAMES[op], state, int(source))
               for state, node in enumerate(nodes, 2) for op, source in node)


PRESETS: dict[str, preset.Preset] = {
    # Liu et al., arXiv 1806.09055, first and second order; quark0/darts.
    'DARTS_V1': _cells(
        's3(1)+s3(0) / skip(0)+s3(1) / skip(0)+s3(1) / s3(0)+skip(2)',
        'mp(0)+mp(1) / skip(2)+mp(0) / mp(0)+skip(2) / skip(2)+ap(0)'),
    'DARTS_V2': _cells(
        's3(0)+s3(1) / s3(0)+s3(1) / s3(1)+skip(0) / skip(0)+d3(2)',
        'mp(0)+mp(1) / skip(2)+mp(1) / mp(0)+skip(2) / skip(2)+mp(1)'),
    # Chen et al., arXiv 1904.12760; chenxin061/pdarts.
    'P-DARTS': _cells(
        'skip(0)+d3(1) / skip(0)+s3(1) / s3(1)+s3(3) / s3(0)+d5(4)',
        'ap(0)+s5(1) / s3(0)+d5(2) / mp(0)+d3(1) / d3(1)+d5(3)'),
    # Xu et al., arXiv 1907.05737; yuhuixu1993/PC-DARTS.
    'PC-DARTS-CIFAR': _cells(
        's3(1)+skip(0) / s3(0)+d3(1) / s5(0)+s3(1) / ap(0)+d3(1)',
        's5(1)+mp(0) / s5(1)+s5(2) / s3(0)+s3(3) / s3(1)+s3(2)'),
    'PC-DARTS-ImageNet': _cells(
        'skip(1)+s3(0) / s3(0)+skip(1) / s3(1)+s3(3) / s3(1)+d5(4)',
        's3(0)+skip(1) / d5(2)+mp(1) / s3(2)+s3(1) / s5(0)+s3(3)'),
    # Dong, Yang, arXiv 1910.04465; D-X-Y/GDAS.
    # Note: FairDARTS' copy ends with s5(0)+s5(2).
    'GDAS_V1': _cells(
        'skip(0)+skip(1) / skip(0)+s5(2) / s3(3)+skip(0) / s5(4)+s3(3)',
        's5(0)+s3(1) / s5(2)+s5(1) / d5(2)+s3(1) / s5(0)+s5(1)'),
    # Xie et al., arXiv 1812.09926; SNAS-Series.
    'SNAS-mild': _cells(
        's3(0)+s3(1) / skip(0)+d3(1) / skip(0)+skip(1) / skip(0)+s3(1)',
        'mp(0)+mp(1) / mp(1)+skip(2) / mp(1)+skip(2) / mp(0)+d5(2)'),
    'SNAS-moderate': _cells(
        'd5(0)+skip(1) / s3(0)+skip(1) / skip(0)+skip(1) / s3(0)+d5(1)',
        'mp(0)+mp(1) / s5(0)+d5(1) / s5(0)+s5(1) / s5(0)+s5(0)'),
    'SNAS-aggressive': _cells(
        's5(0)+skip(1) / skip(0)+skip(1) / d5(1)+skip(0) / skip(0)+d5(1)',
        's5(0)+none(1) / s5(0)+none(1) / none(1)+none(0) / none(1)+none(0)'),
    # Chu et al., arXiv 1911.12126; xiaomi-automl/FairDARTS. Nodes have 0, 1 or
    # 2 edges.
    'FairDARTS-a': _cells(
        's3(0)+s5(1) / - / mp(0) / s3(0)',
        'mp(0)+ap(1) / ap(0)+d5(1) / ap(0)+s5(1) / skip(0)+skip(1)'),
    'FairDARTS-b': _cells(
        's3(0)+s3(1) / s3(1) / d3(0)+s5(1) / d5(1)',
        'skip(0)+d3(1) / skip(0)+d3(1) / mp(0)+s3(1) / skip(2)+mp(0)'),
    'FairDARTS-c': _cells(
        'mp(0)+s5(1) / - / d3(0)+d5(2) / skip(3)+s3(0)',
        'd3(1)+d5(0) / d3(0)+s3(1) / s5(0)+s5(3) / s5(0)+skip(1)'),
    'FairDARTS-d': _cells(
        's3(0)+s5(1) / d3(1)+mp(0) / d3(0)+d3(1) / s3(0)+d5(1)',
        'mp(0)+s5(1) / ap(0)+d5(2) / d3(3)+ap(0) / ap(0)+skip(3)'),
    'FairDARTS-e': _cells(
        's3(0)+s3(1) / - / d3(1)+d3(2) / d3(0)+d5(1)',
        'mp(1)+mp(0) / mp(1)+mp(0) / s5(1)+mp(0) / ap(0)+d5(1)'),
    'FairDARTS-f': _cells(
        'mp(0)+s3(1) / d3(1) / s5(1) / s3(0)+s3(1)',
        'mp(0)+mp(1) / mp(0)+d3(1) / d3(2)+mp(0) / mp(0)+s3(1)'),
    'FairDARTS-g': _cells(
        's3(0)+s3(1) / - / skip(3)+s5(1) / d3(0)+s3(1)',
        'ap(1)+skip(0) / skip(2)+mp(1) / s5(3)+mp(0) / d3(1)+d3(4)'),
    # Chen, Hsieh, arXiv 2002.05283, random and adversarial perturbation;
    # xiangning-chen/SmoothDARTS.
    'SDARTS-RS': _cells(
        's3(1)+s3(0) / s5(1)+skip(0) / s3(3)+skip(1) / s3(1)+d3(2)',
        'mp(0)+s3(1) / skip(2)+mp(0) / d5(3)+mp(0) / s3(2)+s5(3)'),
    'SDARTS-ADV': _cells(
        's3(0)+s3(1) / s3(1)+skip(0) / s5(0)+d3(3) / d3(4)+skip(0)',
        'mp(0)+s5(1) / skip(2)+mp(0) / skip(3)+skip(2) / skip(2)+s5(4)'),
    # Wang et al., arXiv 2108.04392, first seed; ruocwang/darts-pt.
    'DARTS-PT': _cells(
        's3(0)+s3(1) / s5(0)+d3(1) / skip(0)+skip(2) / skip(0)+mp(4)',
        's3(0)+ap(1) / d5(1)+d3(2) / ap(0)+mp(2) / s3(2)+skip(4)'),
    # Zheng et al., arXiv 1905.07529, as in FairDARTS' list.
    'MdeNAS': _cells(
        's5(1)+s3(0) / skip(0)+s5(1) / s5(3)+s3(1) / d5(3)+mp(4)',
        'mp(0)+s5(1) / skip(0)+skip(1) / s3(3)+skip(2) / d3(3)+s5(0)'),
    # The cells of the six released models of PaddlePaddle/AutoDL, LRC: models 0
    # and 1, 2 to 4, and 5 (Yang, Li, Huan, arXiv 1902.00873).
    'LRC-0': _cells(
        's3(0)+skip(1) / s3(0)+s3(1) / s3(0)+s3(1) / skip(0)+s3(2)',
        'mp(0)+mp(1) / skip(2)+mp(0) / skip(3)+ap(1) / skip(2)+skip(3)'),
    'LRC-1': _cells(
        's3(0)+s3(1) / skip(0)+d3(2) / skip(0)+s3(1) / skip(0)+skip(1)',
        'mp(0)+mp(1) / skip(2)+d3(0) / skip(3)+skip(2) / skip(3)+skip(2)'),
    'LRC-2': _cells(
        's3(0)+skip(1) / skip(0)+d5(1) / skip(0)+s3(1) / skip(0)+s3(1)',
        'mp(0)+mp(1) / mp(0)+skip(2) / mp(0)+skip(2) / skip(2)+skip(3)'),
    # Cells of other papers in the form in which quark0/darts and xiaomi-automl/
    # FairDARTS evaluate them, which is not that of their papers.
    'NASNet-in-DARTS': _cells(
        's5(1)+s3(0) / s5(0)+s3(0) / ap(1)+skip(0) / ap(0)+ap(0) / '
        's3(1)+skip(1)',
        's5(1)+s7(0) / mp(1)+s7(0) / ap(1)+s5(0) / skip(3)+ap(2) / s3(2)+mp(1)',
        (2, 3, 4, 5, 6), (4, 5, 6)),
    'AmoebaNet-in-DARTS': _cells(
        'ap(0)+mp(1) / s3(0)+s5(2) / s3(0)+ap(3) / s3(1)+skip(1) / '
        'skip(0)+ap(1)',
        'ap(0)+s3(1) / mp(0)+s7(2) / s7(0)+ap(1) / mp(0)+mp(1) / c7(0)+s3(5)',
        (4, 5, 6), (3, 4, 6)),
    'ENASNet-in-DARTS': _cells(
        's3(1)+skip(1) / s5(1)+skip(0) / ap(0)+s3(1) / s3(0)+ap(1) / '
        's5(1)+ap(0)',
        's5(0)+s3(1) / s3(1)+ap(1) / s3(1)+ap(1) / ap(1)+s5(4) / s3(5)+s5(0)',
        (2, 3, 4, 5, 6), (2, 3, 4, 5, 6)),
}
