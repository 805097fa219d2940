"""Which operations a paper has: tables from names to operations.

Operations of one name differ between papers. A value is called with features=,
stride= and style=; names are those of DARTS where it has the operation.
"""

from collections.abc import Callable, Mapping
import functools

from nas_jax.networks import ops
from nas_jax.networks import ops_bench
from nas_jax.networks import ops_nao
from nas_jax.networks import ops_one_shot
from nas_jax.networks import ops_rl

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
    skip_connect=ops.skip_connect,
    sep_conv_3x3=_partial(ops.SeparableConv, size=3),
    sep_conv_5x5=_partial(ops.SeparableConv, size=5),
    dil_conv_3x3=_partial(ops.SeparableConv, size=3, dilation=2, repeats=1),
    dil_conv_5x5=_partial(ops.SeparableConv, size=5, dilation=2, repeats=1),
    # Not searched: for cells of other papers, and space S4 of R-DARTS.
    sep_conv_7x7=_partial(ops.SeparableConv, size=7),
    conv_7x1_1x7=_partial(ops.Conv, sizes=((1, 7), (7, 1)), factorized=True),
    noise=ops.Noise,
)

# Zoph, Le, arXiv 1611.01578, sec. 3.1 and 4.1: convolution, norm, ReLU.
NAS_RL: Table = dict(
    {f'conv_{h}x{w}': _partial(ops_rl.ConvNormRelu, size=(h, w))
     for h in (1, 3, 5, 7) for w in (1, 3, 5, 7)},
    max_pool_2x2=_partial(ops.Pool, kind='max', size=2),
    max_pool_3x3=_partial(ops.Pool, kind='max'),
    avg_pool_2x2=_partial(ops.Pool, kind='avg', size=2),
    avg_pool_3x3=_partial(ops.Pool, kind='avg'),
)

# Pham et al., arXiv 1802.03268, sec. 2.3, and melodyguan/enas
# general_child.py: each after a ReLU, a 1x1 convolution and norm.
ENAS_MACRO: Table = dict(
    conv_3x3=ops_rl.PointwiseThen,
    sep_conv_3x3=_partial(ops_rl.PointwiseThen, kind='separable'),
    conv_5x5=_partial(ops_rl.PointwiseThen, size=5),
    sep_conv_5x5=_partial(ops_rl.PointwiseThen, kind='separable', size=5),
    avg_pool_3x3=_partial(ops_rl.PointwiseThen, kind='avg'),
    max_pool_3x3=_partial(ops_rl.PointwiseThen, kind='max'),
)

# Zhong et al., arXiv 1708.05552, sec. 3.1: ReLU, convolution, norm ("PCC").
BLOCKQNN: Table = dict(
    conv_1x1=ops.Conv,
    conv_3x3=_partial(ops.Conv, sizes=((3, 3),)),
    conv_5x5=_partial(ops.Conv, sizes=((5, 5),)),
    max_pool_3x3=_partial(ops.Pool, kind='max'),
    avg_pool_3x3=_partial(ops.Pool, kind='avg'),
)

# PaddlePaddle/AutoDL, inception_train/models/ops.py: norm, ReLU, operation.
AUTODL: Table = dict(
    conv_1x1=ops_rl.NormReluConv,
    conv_3x3=_partial(ops_rl.NormReluConv, sizes=((3, 3),)),
    conv_5x5=_partial(ops_rl.NormReluConv, sizes=((5, 5),)),
    dil_conv_3x3=_partial(ops_rl.NormReluConv, sizes=((3, 3),), dilation=2),
    conv_1x3_3x1=_partial(ops_rl.NormReluConv, sizes=((1, 3), (3, 1))),
    conv_1x5_5x1=_partial(ops_rl.NormReluConv, sizes=((1, 5), (5, 1))),
    max_pool_3x3=ops_rl.NormReluPool,
    max_pool_5x5=_partial(ops_rl.NormReluPool, size=5),
    avg_pool_3x3=_partial(ops_rl.NormReluPool, kind='avg'),
    avg_pool_5x5=_partial(ops_rl.NormReluPool, kind='avg', size=5),
)

# What the 60 tokens of NAO can say; eleven of them make up its space.
# Luo et al., arXiv 1808.07233, and its network in TensorFlow.
NAO: Table = dict(
    skip_connect=ops.Identity,
    **{f'conv_{k}x{k}': _partial(ops.Conv, sizes=((k, k),))
       for k in (1, 3, 5, 7)},
    **{f'conv_1x{k}_{k}x1': _partial(ops_nao.FactorizedConv, size=k)
       for k in (3, 7)},
    **{f'sep_conv_{k}x{k}': _partial(ops.SeparableConv, size=k)
       for k in (3, 5, 7)},
    **{f'dil_sep_conv_{k}x{k}': _partial(
        ops.SeparableConv, size=k, dilation=2) for k in (3, 5, 7)},
    **{f'{kind}_pool_{k}x{k}': _partial(ops_nao.Pool, kind=kind, size=k)
       for kind in ('avg', 'max', 'min') for k in (2, 3, 5, 7)},
)

# The five operations of ENAS' micro space and of NAO with weight sharing.
# Pham et al., arXiv 1802.03268, sec. 2.4, and melodyguan/enas micro_child.py.
ENAS: Table = dict(
    sep_conv_3x3=_partial(ops.SeparableConv, size=3),
    sep_conv_5x5=_partial(ops.SeparableConv, size=5),
    avg_pool_3x3=_partial(ops_nao.Pool, kind='avg'),
    max_pool_3x3=_partial(ops_nao.Pool, kind='max'),
    skip_connect=ops_nao.Identity,
)

# NAO's network in PyTorch: these five and its own eleven.
NAO_PYTORCH: Table = dict(
    **ENAS,
    conv_1x1=ops.Conv,
    conv_3x3=_partial(ops.Conv, sizes=((3, 3),)),
    conv_1x3_3x1=_partial(ops.Conv, sizes=((1, 3), (3, 1))),
    conv_1x7_7x1=_partial(ops.Conv, sizes=((1, 7), (7, 1))),
    max_pool_2x2=_partial(ops_nao.ZeroPaddedPool, kind='max'),
    max_pool_5x5=_partial(ops_nao.Pool, kind='max', size=5),
    avg_pool_2x2=_partial(ops_nao.ZeroPaddedPool, kind='avg'),
    avg_pool_5x5=_partial(ops_nao.Pool, kind='avg', size=5),
)

# Norm, ReLU, convolution in this order.
# Bender et al., ICML 2018, sec. 3; the seven operations of a choice block.
ONE_SHOT: Table = dict(
    skip_connect=ops_one_shot.Identity,
    sep_conv_3x3=_partial(ops_one_shot.SeparableConv, size=3),
    sep_conv_5x5=_partial(ops_one_shot.SeparableConv, size=5),
    sep_conv_7x7=_partial(ops_one_shot.SeparableConv, size=7),
    conv_1x7_7x1=_partial(ops_one_shot.Conv, sizes=((1, 7), (7, 1))),
    max_pool_3x3=_partial(ops_one_shot.Pool, kind='max'),
    avg_pool_3x3=_partial(ops_one_shot.Pool, kind='avg'),
)

# Convolution, norm, ReLU in this order.
# Ying et al., arXiv 1902.09635, sec. 2.2; nasbench/lib/base_ops.py.
NASBENCH101: Table = {
    'conv3x3-bn-relu': _partial(ops_bench.ConvNormRelu, size=3),
    'conv1x1-bn-relu': ops_bench.ConvNormRelu,
    'maxpool3x3': _partial(ops.Pool, kind='max'),
}

# Dong, Yang, arXiv 2001.00326, sec. 2; also of NATS-Bench.
NASBENCH201: Table = dict(
    none=ops.Zero,
    skip_connect=ops_bench.Skip,
    nor_conv_1x1=ops_bench.ReluConvNorm,
    nor_conv_3x3=_partial(ops_bench.ReluConvNorm, size=3),
    avg_pool_3x3=ops_bench.AveragePool,
)

TABLES: dict[str, Table] = dict(
    nasnet=NASNET,
    darts=DARTS,
    nao=NAO,
    nao_pytorch=NAO_PYTORCH,
    nao_ws=ENAS,
    enas=ENAS,
    one_shot=ONE_SHOT,
    nas_rl=NAS_RL,
    enas_macro=ENAS_MACRO,
    blockqnn=BLOCKQNN,
    autodl=AUTODL,
    nasbench101=NASBENCH101,
    nasbench201=NASBENCH201,
)
