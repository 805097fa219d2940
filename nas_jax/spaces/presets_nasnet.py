"""Published cells of NASNet and its relatives, as literals.

States are numbered as in DARTS: 0 is the output of the cell before the last,
1 that of the last cell. The published lists of NASNet and AmoebaNet number
these two the other way round, and their outputs are not always the states
that nobody reads: the concat lists are part of the genotype.

References:
  NASNet-A: Zoph et al., arXiv 1707.07012; tensorflow/models nasnet_utils.py.
  AmoebaNet: Real et al., arXiv 1802.01548; tensorflow/tpu amoeba_net.
"""

from nas_jax.spaces import genotypes
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

PRESETS: dict[str, preset.Preset] = {
    'NASNet-A': preset.Preset('nasnet', NASNET_A),
    'AmoebaNet-A': preset.Preset('nasnet', AMOEBANET_A),
    'AmoebaNet-B': preset.Preset('nasnet', AMOEBANET_B),
    'AmoebaNet-C': preset.Preset('nasnet', AMOEBANET_C),
    'AmoebaNet-D': preset.Preset('nasnet', AMOEBANET_D),
}
