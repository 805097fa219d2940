"""The networks of NAO, as its TensorFlow and its PyTorch code build them.

`features` is F, channels of the first stage; `num_cells` is N, normal cells
per stage. The two codes count differently for one architecture: in PyTorch
the output of the last cell is projected only where its channels differ, the
first cell projects both its inputs, identities of stride 2 are factorized
reductions, 1 x k convolutions stride along their own axis, paths of identities
are dropped too (not in the second PyTorch code, NAO-V2), and there is no ReLU
before the global pool.

Note: some versions of the PyTorch code count the padding of averages of 3 x 3
and 5 x 5 pixels; here, as in the others, it does not count.

Reference: Luo et al., Neural Architecture Optimization, arXiv 1808.07233.
"""

import functools

from nas_jax.networks import cells
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops

_STYLE = ops.Style(initializer='unit_fan_out')
PLANS = dict(cifar=image.Plan(cells.Rules('nao'), auxiliary_after=1))
DEFAULTS = dict(cifar=graph.Defaults(36, 6, _STYLE, dropout_keep=.6))

_PYTORCH_STYLE = ops.Style(padding='symmetric', initializer='he_fan_in')
_PYTORCH = image.Plan(
    cells.Rules('nao_pytorch', entry='match', drop_identities=True),
    raw_first_input=False, auxiliary_after=0, final_relu=False)
PYTORCH_PLANS = dict(
    cifar=_PYTORCH,
    imagenet=_PYTORCH._replace(stem='strided', auxiliary_stride=2))
_V2_RULES = _PYTORCH.rules._replace(drop_identities=False)
PYTORCH_V2_PLANS = {
    network: plan._replace(rules=_V2_RULES)
    for network, plan in PYTORCH_PLANS.items()}
PYTORCH_DEFAULTS = dict(
    cifar=graph.Defaults(36, 6, _PYTORCH_STYLE, dropout_keep=.6),
    imagenet=graph.Defaults(
        42, 4, _PYTORCH_STYLE, image_shape=(224, 224, 3), num_classes=1000))

build = functools.partial(image.build, PLANS)
build_pytorch = functools.partial(image.build, PYTORCH_PLANS)
build_pytorch_v2 = functools.partial(image.build, PYTORCH_V2_PLANS)
