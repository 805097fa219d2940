"""Chains of layers, each one of several choices: families of shared weights.

They are spaces whose networks networks/zoo.py builds, for SPOS and FairNAS.
"""

from collections.abc import Callable, Mapping
import re
from typing import Any

from nas_jax import base
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import discrete
from nas_jax.spaces import nasbench201
from nas_jax.spaces import nasbench_macro
from nas_jax.spaces import presets
from nas_jax.supernets import shared

_LAYER = re.compile(r'stage(\d+)_block(\d+)')


def macro(**sizes: Any) -> shared.Family:
  """NAS-Bench-Macro: 8 layers, each one of three.

  Args:
    **sizes: of `zoo.build`.

  Reference: Su et al., arXiv 2103.11922.
  """
  layers = sum(nasbench_macro.STAGES)
  first = [sum(nasbench_macro.STAGES[:s])
           for s in range(len(nasbench_macro.STAGES))]

  def choice(genotype, name):
    # The stem counts as the first stage.
    found = _LAYER.match(name)
    return found and genotype[first[int(found[1]) - 1] + int(found[2])]

  space = discrete.space([range(len(nasbench_macro.OPERATIONS))] * layers)
  return _family('nasbench_macro', space, choice, sizes)


def bench201(**sizes: Any) -> shared.Family:
  """NAS-Bench-201: 6 edges of a cell, each one of five; all cells are alike.

  Args:
    **sizes: of `zoo.build`.

  Reference: Dong, Yang, arXiv 2001.00326.
  """
  space = discrete.space([nasbench201.OPERATIONS] * len(nasbench201.EDGES))
  return _family('nasbench201', space, lambda *_: None, sizes)


FAMILIES: Mapping[str, Callable[..., shared.Family]] = dict(
    nasbench_macro=macro, nasbench201=bench201)


def _family(name: str, space: base.Space,
            choice: Callable[[base.Genotype, str], int | None],
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
