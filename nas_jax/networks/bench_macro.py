"""The network of NAS-Bench-Macro: a chain of inverted bottlenecks.

Reference: Su et al., arXiv 2103.11922, sec. 4.1; train/model.py of
xiusu/NAS-Bench-Macro.
"""

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import staged
from nas_jax.networks.staged import NORM, RELU
from nas_jax.spaces import nasbench_macro

Conv = staged.Conv

_STYLE = ops.Style(padding='symmetric', initializer='torch')
_HEAD = 1280  # channels before the classifier
_INVERTED = {1: (3, 3), 2: (5, 6)}  # kernel size, expansion


def _macro(settings: staged.Settings, *code: int) -> graph.Graph:
  style, width = settings.style, settings.features
  layers = iter(code)

  def add_block(builder, name, x, width, stride, at):
    del at
    layer = next(layers)
    if layer:
      size, expansion = _INVERTED[layer]
      inner = expansion * x.channels
      steps = (Conv(inner, 1), NORM, RELU, staged.Depthwise(size, stride), NORM,
               RELU, Conv(width, 1), NORM)
    else:
      steps = (Conv(width, 1, stride), NORM)
    if stride > 1:
      return builder.add(name, staged.Chain(steps, style), [x])
    return staged.add_residual(
        builder, name, x, steps, None, 0., features=width) if layer else x

  # The stem is a stage without blocks: every stage halves the image.
  return staged.build(
      settings, (Conv(width), NORM, RELU),
      [[], *([width * 2**s] * n for s, n in enumerate(
          nasbench_macro.STAGES, 1))],
      add_block, (Conv(_HEAD, 1), NORM, RELU), settings.dropout_keep)


FAMILIES = dict(
    nasbench_macro=(
        staged.family('nasbench_macro', nasbench_macro.parse, _macro,
                      halvings=dict(cifar=len(nasbench_macro.STAGES)),
                      has_paths=False),
        dict(cifar=graph.Defaults(32, None, _STYLE))),
)
