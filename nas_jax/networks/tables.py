"""Which operations a paper has: tables from names to operations.

Operations of one name differ between papers. A value is called with features=,
stride= and style=; names are those of DARTS where it has the operation.
"""

from collections.abc import Callable, Mapping
import functools

from nas_jax.networks import ops

Table = Mapping[str, Callable[..., ops.Op]]
_partial = functools.partial

# ReLU, convolution, norm in this order; separable convolutions twice; a 1x1
# convolution wherever the number of channels must change.
# Zoph et al., arXiv 1707.07012, sec. 3 and appendix A.4, and tensorflow/models
# nasnet_utils.py; Real et al., arXiv 1802.01548, sec. 3, and tensorflow/tpu
# amoeba_net/network_utils.py.
NASNET: Table = dict(
    skip_connect=ops.Identity,
    conv_1x3_3x1=_partial(ops.Conv, sizes=((1, 3), (3, 1)), bottleneck=8 / 3),
    conv_1x7_7x1=_partial(ops.Conv, sizes=((1, 7), (7, 1)), bottleneck=4),
    dil_conv_3x3=_partial(
        ops.Conv, sizes=((3, 3),), dilation=2, bottleneck=4),
    avg_pool_3x3=_partial(ops.Pool, kind='avg'),
    max_pool_3x3=_partial(ops.Pool, kind='max'),
    max_pool_5x5=_partial(ops.Pool, kind='max', size=5),
    max_pool_7x7=_partial(ops.Pool, kind='max', size=7),
    conv_1x1=ops.Conv,
    conv_3x3=_partial(ops.Conv, sizes=((3, 3),), bottleneck=4),
    sep_conv_3x3=_partial(ops.SeparableConv, size=3),
    sep_conv_5x5=_partial(ops.SeparableConv, size=5),
    sep_conv_7x7=_partial(ops.SeparableConv, size=7),
    # Only in AmoebaNet's spaces.
    max_pool_2x2=_partial(ops.Pool, kind='max', size=2),
    dil_sep_conv_3x3=_partial(ops.SeparableConv, size=3, dilation=2),
    dil_sep_conv_5x5=_partial(ops.SeparableConv, size=5, dilation=2),
)

# Liu et al., arXiv 1806.09055, sec. 3.1, and quark0/darts operations.py.
DARTS: Table = dict(
    none=ops.Zero,
    max_pool_3x3=_partial(ops.Pool, kind='max'),
    avg_pool_3x3=_partial(ops.Pool, kind='avg'),
    skip_connect=ops.SkipConnect,
    sep_conv_3x3=_partial(ops.SeparableConv, size=3),
    sep_conv_5x5=_partial(ops.SeparableConv, size=5),
    dil_conv_3x3=_partial(ops.SeparableConv, size=3, dilation=2, repeats=1),
    dil_conv_5x5=_partial(ops.SeparableConv, size=5, dilation=2, repeats=1),
    # Not searched: for cells of other papers, and space S4 of R-DARTS.
    sep_conv_7x7=_partial(ops.SeparableConv, size=7),
    conv_7x1_1x7=_partial(ops.Conv, sizes=((1, 7), (7, 1)), factorized=True),
    noise=ops.Noise,
)

TABLES: dict[str, Table] = dict(
    nasnet=NASNET,
    darts=DARTS,
)
