"""NASNet, AmoebaNet and PNASNet, for CIFAR and ImageNet.

`features` is F, channels of the first stage; `num_cells` is N, cells per
stage. NASNet and AmoebaNet add a reduction cell before the second and before
the third stage; PNASNet has one kind of cell, and 3 N of them, of which the
numbers N and 2 N have stride 2.

Note: AmoebaNet's code narrows the auxiliary head by 0.4; here it has the
width of NASNet's, which the other published codes share. Its drop path
does not grow with the depth; here it is the ScheduledDropPath of its paper.

References:
  Zoph et al., arXiv 1707.07012, appendix A; tensorflow/models nasnet.py.
  Real et al., arXiv 1802.01548; tensorflow/tpu amoeba_net.
  Liu et al., arXiv 1712.00559; tensorflow/models pnasnet.py.
"""

import functools

from nas_jax.networks import cells
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.spaces import genotypes

_RULES = cells.Rules('nasnet', combinations=genotypes.COMBINATIONS)
_CIFAR = image.Plan(_RULES)
_MOBILE = image.Plan(_RULES, stem='cells', stem_channels=32)
_IMAGENET = functools.partial(
    graph.Defaults, style=ops.Style(momentum=.9997, epsilon=1e-3),
    dropout_keep=.5, num_classes=1000)
_mobile = functools.partial(_IMAGENET, image_shape=(224, 224, 3))
_large = functools.partial(_IMAGENET, image_shape=(331, 331, 3))

NASNET_PLANS = dict(
    cifar=_CIFAR, imagenet=_MOBILE,
    imagenet_large=_MOBILE._replace(
        stem_channels=96, skip_reduction_input=True))
NASNET_DEFAULTS = dict(
    cifar=graph.Defaults(32, 6), imagenet=_mobile(44, 4),
    imagenet_large=_large(168, 6))

AMOEBANET_PLANS = dict(
    cifar=_CIFAR, imagenet=_MOBILE, imagenet_large=_MOBILE)
AMOEBANET_DEFAULTS = dict(
    cifar=graph.Defaults(36, 6), imagenet=_mobile(50, 4),
    imagenet_large=_large(190, 6))

_ONE_KIND = dict(rules=cells.Rules('nasnet'), reduction_cells=False)
PNASNET_PLANS = dict(
    cifar=_CIFAR._replace(**_ONE_KIND), imagenet=_MOBILE._replace(**_ONE_KIND),
    imagenet_large=_MOBILE._replace(stem_channels=96, **_ONE_KIND))
PNASNET_DEFAULTS = dict(
    cifar=graph.Defaults(48, 3), imagenet=_mobile(54, 3),
    imagenet_large=_large(216, 4))

build_nasnet = functools.partial(image.build, NASNET_PLANS)
build_amoebanet = functools.partial(image.build, AMOEBANET_PLANS)
build_pnasnet = functools.partial(image.build, PNASNET_PLANS)
