"""Cells of DARTS: each node has two operations, on two different states.

Candidates may differ from edge to edge, as in the spaces S1 to S4. A genome
holds, for each cell and each node, which pair of states is read, and for the
lower and for the higher one which of the candidates of that edge is applied.

References:
  Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, sec. 2.4 (random search).
  Zela et al., arXiv 1909.09656, sec. 3 (S1 to S4).
"""

from collections.abc import Mapping, Sequence
import itertools

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes

KINDS = ('normal', 'reduce')


def space(candidates: Mapping[str, Sequence[Sequence[str]]]) -> base.Space:
  """All pairs of cells, each as likely as any other.

  Args:
    candidates: 'normal' and 'reduce' -> operations of each edge; edges are in
      order of the node they enter, node 0's from states 0 and 1, node 1's
      from states 0, 1, 2, and so on. 'none' is left out.

  Raises:
    ValueError: edges that do not make up nodes, or different numbers of
      operations.
  """
  tables = {}
  choices = []
  for kind in KINDS:
    edges = [tuple(n for n in names if n != 'none')
             for names in candidates[kind]]
    sizes = {len(names) for names in edges}
    if len(sizes) != 1 or 0 in sizes:
      raise ValueError(f'all edges of the {kind} cell need the same number of '
                       f'operations beside none, got {sorted(sizes)}')
    tables[kind] = nodes = _by_node(kind, edges)
    operations = tuple(range(sizes.pop()))
    for names in nodes:
      pairs = tuple(itertools.combinations(range(len(names)), 2))
      choices += pairs, operations, operations
  plain = discrete.space(choices)

  def genotype(genome: base.Genome) -> genotypes.Genotype:
    values = iter(plain.genotype(genome))
    cells = []
    for nodes in tables.values():
      edges = []
      for names in nodes:
        pair, *chosen = next(values), next(values), next(values)
        edges += [(names[j][k], j) for j, k in zip(pair, chosen)]
      cells += tuple(edges), tuple(range(2, 2 + len(nodes)))
    return genotypes.Genotype(*cells)

  def encode(value: genotypes.Genotype) -> base.Genome:
    found = []
    for kind, nodes in tables.items():
      by_node, concat = genotypes.node_edges(value, kind)
      expected = tuple(range(2, 2 + len(nodes)))
      if len(by_node) != len(nodes) or concat != expected:
        raise ValueError(f'the {kind} cell has {len(by_node)} nodes and '
                         f'concat {concat}, expected {len(nodes)} and '
                         f'{expected}')
      for n, (edges, names) in enumerate(zip(by_node, nodes)):
        edges = sorted(edges, key=lambda edge: edge[1])
        states = tuple(j for _, j in edges)
        for name, j in edges:
          if not 0 <= j < len(names) or name not in names[j]:
            raise ValueError(f'node {n} of the {kind} cell has {name!r} on '
                             f'state {j}, which is not a candidate')
        if len(set(states)) != 2 or len(states) != 2:
          raise ValueError(f'node {n} of the {kind} cell reads the states '
                           f'{states}, expected two different ones')
        found += [states, *(names[j].index(name) for name, j in edges)]
    return plain.encode(tuple(found))

  return plain._replace(genotype=genotype, encode=encode)


def _by_node(kind: str, edges: list[tuple[str, ...]]
             ) -> list[list[tuple[str, ...]]]:
  nodes, start = [], 0
  while start < len(edges):
    size = 2 + len(nodes)
    nodes.append(edges[start:start + size])
    start += size
  if start != len(edges) or not edges:
    raise ValueError(f'{len(edges)} edges of the {kind} cell do not make up '
                     'nodes with 2, 3, 4, ... of them, such as 14')
  return nodes
