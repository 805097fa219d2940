"""Published cells of NASNet and its relatives, as literals.

States are numbered as in DARTS: 0 is the output of the cell before the last,
1 that of the last cell. The published lists of NASNet and AmoebaNet number
these two the other way round, and their outputs are not always the states
that nobody reads: the concat lists are part of the genotype.

References:
  NASNet-A: Zoph et al., arXiv 1707.07012; tensorflow/models nasnet_utils.py.
  AmoebaNet: Real et al., arXiv 1802.01548; tensorflow/tpu amoeba_net.
  PNASNet-5: Liu et al., arXiv 1712.00559; tensorflow/models pnasnet.py.
  NAONet: Luo et al., arXiv 1808.07233; the READMEs and scripts of NAO, NAO-WS
    and NAO in PyTorch.
  ENAS: Pham et al., arXiv 1802.03268; melodyguan/enas
    cifar10_micro_final.sh; the cells of the paper's figure as PaddlePaddle's
    NAS models transcribe them.
"""

from nas_jax.spaces import arcs
from nas_jax.spaces import genotypes
from nas_jax.spaces import nao_tokens
from nas_jax.spaces import preset

NASNET_A = genotypes.Genotype(
    normal=(
        ('sep_conv_5x5', 1), ('sep_conv_3x3', 0),
        ('sep_conv_5x5', 0), ('sep_conv_3x3', 0),
        ('avg_pool_3x3', 1), ('skip_connect', 0),
        ('avg_pool_3x3', 0), ('avg_pool_3x3', 0),
        ('sep_conv_3x3', 1), ('skip_connect', 1),
    ),
    normal_concat=(0, 2, 3, 4, 5, 6),
    reduce=(
        ('sep_conv_5x5', 1), ('sep_conv_7x7', 0),
        ('max_pool_3x3', 1), ('sep_conv_7x7', 0),
        ('avg_pool_3x3', 1), ('sep_conv_5x5', 0),
        ('skip_connect', 3), ('avg_pool_3x3', 2),
        ('sep_conv_3x3', 2), ('max_pool_3x3', 1),
    ),
    reduce_concat=(3, 4, 5, 6))

AMOEBANET_A = genotypes.Genotype(
    normal=(
        ('avg_pool_3x3', 1), ('max_pool_3x3', 1),
        ('sep_conv_3x3', 0), ('skip_connect', 0),
        ('skip_connect', 1), ('avg_pool_3x3', 0),
        ('sep_conv_3x3', 1), ('sep_conv_5x5', 2),
        ('avg_pool_3x3', 5), ('sep_conv_3x3', 1),
    ),
    normal_concat=(0, 3, 4, 6),
    reduce=(
        ('sep_conv_3x3', 0), ('avg_pool_3x3', 1),
        ('max_pool_3x3', 1), ('sep_conv_7x7', 2),
        ('max_pool_3x3', 0), ('max_pool_3x3', 1),
        ('sep_conv_3x3', 4), ('conv_1x7_7x1', 1),
        ('avg_pool_3x3', 0), ('sep_conv_7x7', 1),
    ),
    reduce_concat=(2, 3, 4, 5, 6))

AMOEBANET_B = genotypes.Genotype(
    normal=(
        ('conv_1x1', 0), ('max_pool_3x3', 0),
        ('skip_connect', 0), ('sep_conv_3x3', 1),
        ('conv_1x1', 0), ('sep_conv_3x3', 1),
        ('conv_1x1', 2), ('skip_connect', 2),
        ('avg_pool_3x3', 0), ('conv_1x1', 5),
    ),
    normal_concat=(1, 3, 4, 6),
    reduce=(
        ('max_pool_2x2', 1), ('max_pool_3x3', 1),
        ('skip_connect', 2), ('conv_3x3', 0),
        ('dil_sep_conv_5x5', 2), ('max_pool_3x3', 2),
        ('skip_connect', 3), ('sep_conv_3x3', 0),
        ('avg_pool_3x3', 4), ('conv_1x1', 3),
    ),
    reduce_concat=(5, 6))

AMOEBANET_C = genotypes.Genotype(
    normal=(
        ('avg_pool_3x3', 1), ('sep_conv_3x3', 1),
        ('skip_connect', 1), ('sep_conv_3x3', 1),
        ('avg_pool_3x3', 2), ('sep_conv_3x3', 0),
        ('skip_connect', 1), ('sep_conv_3x3', 0),
        ('avg_pool_3x3', 3), ('sep_conv_3x3', 1),
    ),
    normal_concat=(0, 2, 4, 5, 6),
    reduce=(
        ('max_pool_3x3', 1), ('max_pool_3x3', 1),
        ('sep_conv_7x7', 2), ('sep_conv_3x3', 1),
        ('sep_conv_7x7', 1), ('max_pool_3x3', 0),
        ('sep_conv_5x5', 4), ('sep_conv_5x5', 4),
        ('max_pool_3x3', 0), ('sep_conv_3x3', 0),
    ),
    reduce_concat=(1, 2, 3, 4, 5, 6))

AMOEBANET_D = genotypes.Genotype(
    normal=(
        ('conv_1x1', 0), ('max_pool_3x3', 0),
        ('skip_connect', 0), ('conv_1x7_7x1', 1),
        ('conv_1x1', 1), ('conv_1x7_7x1', 1),
        ('max_pool_3x3', 2), ('skip_connect', 2),
        ('avg_pool_3x3', 0), ('conv_1x1', 5),
    ),
    normal_concat=(1, 3, 4, 6),
    reduce=(
        ('max_pool_2x2', 1), ('max_pool_3x3', 1),
        ('skip_connect', 2), ('conv_3x3', 0),
        ('conv_1x7_7x1', 2), ('max_pool_3x3', 2),
        ('skip_connect', 3), ('max_pool_2x2', 0),
        ('avg_pool_3x3', 2), ('conv_1x1', 3),
    ),
    reduce_concat=(4, 5, 6))

_PNASNET_5_CELL = (
    ('sep_conv_5x5', 0), ('max_pool_3x3', 0),
    ('sep_conv_7x7', 1), ('max_pool_3x3', 1),
    ('sep_conv_5x5', 1), ('sep_conv_3x3', 1),
    ('sep_conv_3x3', 4), ('max_pool_3x3', 1),
    ('sep_conv_3x3', 0), ('skip_connect', 1),
)
# One cell, with stride 1 and 2.
PNASNET_5 = genotypes.Genotype(
    _PNASNET_5_CELL, (2, 3, 4, 5, 6), _PNASNET_5_CELL, (2, 3, 4, 5, 6))

# The tokens and strings of integers below are the published form.
NAONET_TOKENS = (
    '1 9 16 2 11 17 3 9 19 2 9 16 1 9 14 2 9 16 1 9 19 5 9 16 2 7 14 1 9 16 '
    '1 9 16 2 11 15 1 9 14 1 11 16 2 9 20 1 12 15 1 11 16 3 9 14 2 12 16 '
    '1 9 16')
# The same cells but for the third node of the reduction cell, whose two
# operations read each other's state here.
NAONET_A_ARC = ('0 7 1 15 2 8 1 7 0 6 1 7 0 8 4 7 1 5 0 7 '
                '0 7 1 13 0 6 0 14 0 9 1 10 0 14 2 6 1 11 0 7')
NAONET_B_ARC = ('0 1 0 2 0 1 2 2 1 3 0 2 4 0 1 3 2 1 0 3 '
                '1 1 1 0 2 1 2 4 1 0 2 3 3 1 2 2 0 2 0 2')
NAONET_V2_ARC = ('1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 '
                 '0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1')
NAONET_WS_ARC = ('0 1 0 4 2 2 1 3 1 0 2 0 2 3 1 3 1 2 0 4 '
                 '1 1 0 3 2 3 2 3 1 0 0 1 0 4 2 4 2 3 2 3')
ENAS_MICRO_ARC = ('0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 '
                  '1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1')
ENAS_MICRO_FIGURE_ARC = ('1 0 1 4 1 1 0 4 0 2 1 0 0 0 1 2 1 1 0 2 '
                         '0 1 1 0 1 0 1 2 1 0 1 2 1 2 4 1 5 0 0 1')

PRESETS: dict[str, preset.Preset] = {
    'NASNet-A': preset.Preset('nasnet', NASNET_A),
    'AmoebaNet-A': preset.Preset('amoebanet', AMOEBANET_A),
    # The published 84.0M parameters and 22.3B multiply-adds of the large
    # network are those of F = 196, not of the 190 that the paper gives.
    'AmoebaNet-B': preset.Preset('amoebanet', AMOEBANET_B, (
        ('imagenet', 62, 3), ('imagenet_large', 196, 6))),
    'AmoebaNet-C': preset.Preset('amoebanet', AMOEBANET_C, (
        ('imagenet_large', 228, 6),)),
    # 299 x 299 pixels in its TPU recipe.
    'AmoebaNet-D': preset.Preset('amoebanet', AMOEBANET_D, (
        ('imagenet_large', 256, 6),)),
    'PNASNet-5': preset.Preset('pnasnet', PNASNET_5),
    'NAONet': preset.Preset('nao', nao_tokens.parse(NAONET_TOKENS)),
    'NAONet-A': preset.Preset(
        'nao_pytorch', arcs.parse(NAONET_A_ARC, arcs.NAO)),
    'NAONet-B': preset.Preset('nao_pytorch', arcs.parse(NAONET_B_ARC)),
    'NAONet-V2': preset.Preset('nao_pytorch_v2', arcs.parse(NAONET_V2_ARC), (
        ('imagenet', 52, 4),)),
    'NAONet-WS': preset.Preset('nao_ws', arcs.parse(NAONET_WS_ARC)),
    'ENAS-micro': preset.Preset('enas_micro', arcs.parse(ENAS_MICRO_ARC)),
    'ENAS-micro-figure': preset.Preset(
        'enas_micro', arcs.parse(ENAS_MICRO_FIGURE_ARC)),
}
