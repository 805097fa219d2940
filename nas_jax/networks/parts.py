"""The parts of a network that people speak of: stem, cells, layers, ..."""

import re
from typing import NamedTuple

from nas_jax.networks import graph

IMAGE = -1


# cell3_node0 is in cell3, stage1_block2_sum in stage1_block2.
_NAME = re.compile(r'[^_]*(_(block|cell)\d+)?')


class Part(NamedTuple):
  """Nodes whose names begin alike."""
  name: str
  nodes: tuple[int, ...]  # indices of the graph's nodes
  inputs: tuple[int, ...]  # the parts that they read, ascending, or IMAGE
  shape: tuple[int, ...]  # of the last node's output


def parts(net: graph.Graph) -> list[Part]:
  """The parts of a network, in the order of their last nodes."""
  members: dict[str, list[int]] = {}
  for i, node in enumerate(net.nodes):
    members.setdefault(_NAME.match(node.name)[0], []).append(i)
  names = sorted(members, key=lambda name: members[name][-1])
  place = {i: index for index, name in enumerate(names)
           for i in members[name]} | {-1: IMAGE}
  return [
      Part(name, tuple(members[name]), tuple(sorted(
          {place[j - 1] for i in members[name] for j in net.nodes[i].inputs}
          - {index})), net.nodes[members[name][-1]].shape)
      for index, name in enumerate(names)]
