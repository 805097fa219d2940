"""Chains of layers, each one of several choices: families of shared weights.

They are spaces whose networks networks/zoo.py builds, for SPOS and FairNAS.
"""

from collections.abc import Callable, Mapping, Sequence
import re
from typing import Any

import numpy as np

from nas_jax import base
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import discrete
from nas_jax.spaces import nasbench201
from nas_jax.spaces import nasbench_macro
from nas_jax.spaces import presets
from nas_jax.spaces import presets_single_path
from nas_jax.supernets import shared

_LAYER = re.compile(r'stage(\d+)_block(\d+)')


def macro(**sizes: Any) -> shared.Family:
  """NAS-Bench-Macro: 8 layers, each one of three.

  Args:
    **sizes: of `zoo.build`.

  Reference: Su et al., arXiv 2103.11922.
  """
  space = discrete.space(
      [range(len(nasbench_macro.OPERATIONS))] * sum(nasbench_macro.STAGES))
  # The stem counts as the first stage.
  return _family('nasbench_macro', space,
                 _by_layer(nasbench_macro.STAGES, 1), sizes)


def bench201(**sizes: Any) -> shared.Family:
  """NAS-Bench-201: 6 edges of a cell, each one of five; all cells are alike.

  Args:
    **sizes: of `zoo.build`.

  Reference: Dong, Yang, arXiv 2001.00326.
  """
  space = discrete.space([nasbench201.OPERATIONS] * len(nasbench201.EDGES))
  return _family('nasbench201', space, lambda *_: None, sizes)


def spos(**sizes: Any) -> shared.Family:
  """Single Path One-Shot for ImageNet: 20 blocks, each one of four.

  Norms of the shared network have neither scale nor bias, as in the published
  code.

  Args:
    **sizes: of `zoo.build`.

  Reference: Guo et al., arXiv 1904.00420.
  """
  blocks = [size for _, size in presets_single_path.SPOS_STAGES]
  space = discrete.space([presets_single_path.SPOS_CHOICES] * sum(blocks))
  return _family('spos', space, _by_layer(blocks, 0), sizes | dict(
      network='imagenet', affine=False))


def fairnas(**sizes: Any) -> shared.Family:
  """FairNAS for ImageNet: 19 layers, each one of six.

  Args:
    **sizes: of `zoo.build`.

  Reference: Chu et al., arXiv 1907.01845.
  """
  layers = [size for _, size, _ in presets_single_path.FAIRNAS_STAGES]
  space = discrete.space([presets_single_path.FAIRNAS_CHOICES] * sum(layers))
  return _family('fairnas', space, _by_layer(layers, 0),
                 sizes | dict(network='imagenet'))


# Those for small images.
FAMILIES: Mapping[str, Callable[..., shared.Family]] = dict(
    nasbench_macro=macro, nasbench201=bench201)


def _by_layer(layers: Sequence[int], first: int
              ) -> Callable[[base.Genotype, str], str | None]:
  """The choice of the layer that a node's name speaks of, as a word.

  Args:
    layers: how many each stage has.
    first: the number of the first stage.
  """
  starts = np.cumsum([0, *layers])

  def choice(genotype, name):
    found = _LAYER.match(name)
    if not found:
      return None
    chosen = genotype[starts[int(found[1]) - first] + int(found[2])]
    return '_'.join(map(str, np.atleast_1d(chosen)))

  return choice


def _family(name: str, space: base.Space,
            choice: Callable[[base.Genotype, str], str | None],
            sizes: dict[str, Any]) -> shared.Family:
  """The family of a zoo's networks.

  Args:
    name: of the networks.
    space: of one number of choices at every position.
    choice: (genotype, name of a node) -> what must be added to the name so
      that equal names mean equal modules; None: nothing.
    sizes: of `zoo.build`.
  """
  def build(genotype: base.Genotype) -> graph.Graph:
    net = zoo.build(presets.Preset(name, genotype), **sizes)

    def named(node):
      added = choice(genotype, node.name)
      return node if added is None else node._replace(
          name=f'{node.name}_choice{added}')

    return net._replace(nodes=tuple(map(named, net.nodes)))

  # Networks of one choice throughout: together they have every node.
  every = [space.genotype([i] * len(space.choices))
           for i in range(len(space.choices[0]))]
  return shared.Family(space, build, shared.union(list(map(build, every))))
