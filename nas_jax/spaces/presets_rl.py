"""Published architectures that were found by reinforcement learning.

References:
  NAS-RL: Zoph, Le, arXiv 1611.01578, figure 7 and the two changes of it that
    the paper tests: all layers connected, and no skip connections.
  ENAS: melodyguan/enas, scripts/cifar10_macro_final.sh.
  BlockQNN: Zhong et al., arXiv 1708.05552, figure 3: the codes of a
    multi-branch block and of a residual block. Those of Block-QNN-A, -B and -S
    are not published.
  AutoDL Design: PaddlePaddle/AutoDL, img/cnn_net.png; the order of the nodes
    is chosen here.
"""

from collections.abc import Mapping

from nas_jax.spaces import adjacency
from nas_jax.spaces import chain_code
from nas_jax.spaces import macro_code
from nas_jax.spaces import preset

_ONE = (1, 1)

NAS_RL_V1 = (
    ('conv_3x3', _ONE, 36, (0,)),
    ('conv_3x3', _ONE, 48, (1,)),
    ('conv_3x3', _ONE, 36, (1, 2)),
    ('conv_5x5', _ONE, 36, (1, 2, 3)),
    ('conv_3x7', _ONE, 48, (3, 4)),
    ('conv_7x7', _ONE, 48, (2, 3, 4, 5)),
    ('conv_7x7', _ONE, 48, (2, 3, 4, 5, 6)),
    ('conv_7x3', _ONE, 36, (1, 6, 7)),
    ('conv_7x1', _ONE, 36, (1, 5, 6, 8)),
    ('conv_7x7', _ONE, 36, (1, 3, 4, 5, 6, 7, 8, 9)),
    ('conv_5x7', _ONE, 36, (1, 2, 5, 6, 7, 8, 9, 10)),
    ('conv_7x7', _ONE, 48, (1, 2, 3, 4, 6, 11)),
    ('conv_7x5', _ONE, 48, (1, 3, 6, 7, 8, 9, 10, 11, 12)),
    ('conv_7x5', _ONE, 48, (3, 7, 12, 13)),
    ('conv_7x5', _ONE, 48, (6, 7, 11, 12, 13, 14)),
)

# Each line is an operation and the values that are joined to its output.
ENAS_MACRO = macro_code.rows([
    0,
    3, 0,
    0, 1, 0,
    2, 0, 0, 1,
    2, 0, 0, 0, 0,
    3, 1, 1, 0, 1, 0,
    2, 0, 0, 0, 0, 0, 1,
    2, 0, 1, 1, 0, 1, 1, 1,
    1, 0, 1, 1, 1, 0, 1, 0, 1,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
    0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1,
    2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0,
    1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 1,
    0, 1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0,
    2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1,
    2, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0,
    2, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1,
    3, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0,
    3, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1,
    0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0,
    3, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0,
    0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0,
    0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0,
])

INCEPTION_LIKE = (
    (1, 4, 0, 0, 0),
    (2, 1, 1, 1, 0),
    (3, 1, 3, 2, 0),
    (4, 1, 1, 1, 0),
    (5, 1, 5, 4, 0),
    (6, 6, 0, 3, 5),
    (7, 2, 3, 1, 0),
    (8, 1, 1, 7, 0),
    (9, 6, 0, 6, 8),
    (10, 7, 0, 0, 0),
)

RESNET_LIKE = (
    (1, 4, 0, 0, 0),
    (2, 1, 3, 1, 0),
    (3, 1, 3, 2, 0),
    (4, 5, 0, 1, 3),
    (5, 7, 0, 0, 0),
)

AUTODL_DESIGN = (
    ((1, 8, 4, 4, 6, 6, 6, 1, 1, 1),
     adjacency.bits([(3, 4), (7, 9), (8, 9)], 10)),
    ((1, 1, 0, 3, 1, 2, 8, 0, 6, 3),
     adjacency.bits([(5, 6), (3, 7), (4, 7), (6, 7), (3, 8), (4, 8), (5, 8),
                     (6, 8), (5, 9), (6, 9)], 10)),
)

PRESETS: Mapping[str, preset.Preset] = {
    'NAS-RL-v1': preset.Preset('nas_rl', NAS_RL_V1),
    'NAS-RL-v1-dense': preset.Preset('nas_rl', chain_code.dense(NAS_RL_V1)),
    'NAS-RL-v1-without-skips': preset.Preset(
        'nas_rl', chain_code.without_skips(NAS_RL_V1)),
    # As the published code trains it, and with separable convolutions where
    # its operations name them.
    'ENAS-macro': preset.Preset('enas_macro', ENAS_MACRO),
    'ENAS-macro-separable': preset.Preset('enas_macro_separable', ENAS_MACRO),
    'BlockQNN-inception-like': preset.Preset('blockqnn', INCEPTION_LIKE),
    'BlockQNN-resnet-like': preset.Preset('blockqnn', RESNET_LIKE),
    'AutoDL-Design': preset.Preset('autodl', AUTODL_DESIGN),
}
