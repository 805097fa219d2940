"""The fixed networks of ENAS' micro search and of NAO with weight sharing.

Both codes build the same network: 3 N normal cells (15 in the papers) and two
reduction cells, each of which projects the output of the last cell twice.
`features` is F, channels of the first stage; `num_cells` is N.

Note: He initialisation of depthwise kernels counts k * k inputs here, and
k * k * C in the published codes; the auxiliary classifier has a bias here, and
none in the published codes.

References:
  Pham et al., arXiv 1802.03268; melodyguan/enas micro_child.py.
  Luo et al., arXiv 1808.07233, NAO-WS.
"""

import functools

from nas_jax.networks import cells
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops

_STYLE = ops.Style(initializer='fan_in')
_PLAN = image.Plan(
    cells.Rules('enas', entry='both'), raw_first_input=False,
    auxiliary_after=1, auxiliary_padding='same', linear_bias=False)
PLANS = dict(cifar=_PLAN)
DEFAULTS = dict(cifar=graph.Defaults(36, 5, _STYLE, dropout_keep=.8))

build = functools.partial(image.build, PLANS)
