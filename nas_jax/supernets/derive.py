"""From architecture parameters to architectures, by each method's rule.

Alphas are kind -> float[E, K] (relax.py); candidates are kind -> operations of
each edge, `normal` and `reduce` of a `darts.Spec`. Ties go to the first
operation and to the lower state. All of it runs on the host.
"""

from collections.abc import Callable, Mapping, Sequence

from absl import logging
import numpy as np

from nas_jax.spaces import genotypes
from nas_jax.spaces import nasbench201
from nas_jax.supernets import relax

Candidates = Mapping[str, Sequence[Sequence[str]]]
Rows = Mapping[str, np.ndarray]
Edge = tuple[str, int]

_KINDS = ('normal', 'reduce')
_NONE = 'none'
_SKIP = 'skip_connect'


def strongest(weights: Rows, candidates: Candidates) -> genotypes.Genotype:
  """DARTS' rule for any weights: two edges per node, strongest first.

  An edge is as strong as its best operation other than 'none'.

  Args:
    weights: kind -> float[E, K]; larger is better.
    candidates: kind -> operations of each edge.

  Raises:
    ValueError: shapes that do not fit, or an edge without a choice.

  Reference: Liu et al., DARTS, arXiv 1806.09055; quark0/darts.
  """
  return _genotype(weights, candidates, _two_strongest)


def darts(alphas: relax.Alphas, candidates: Candidates) -> genotypes.Genotype:
  """`strongest` of the softmax; with alphas of edges, times theirs (PC-DARTS).

  'none' takes part in the softmax, though it is never chosen.

  Raises:
    ValueError: see `strongest`.

  References:
    Liu et al., DARTS, arXiv 1806.09055; quark0/darts.
    Xu et al., PC-DARTS, arXiv 1907.05737; yuhuixu1993/PC-DARTS.
  """
  return strongest(_softmax(alphas), candidates)


def gdas(alphas: relax.Alphas, candidates: Candidates) -> genotypes.Genotype:
  """The two largest entries of a node, of one edge or of two.

  Raises:
    ValueError: see `strongest`.

  Reference: Dong, Yang, GDAS, arXiv 1910.04465; D-X-Y/AutoDL-Projects.
  """
  def choose(rows, names):
    entries = [(-rows[j][k], j, k) for j, k in _entries(names)]
    return [(names[j][k], j) for _, j, k in sorted(entries)[:2]]

  return _genotype(_softmax(alphas), candidates, choose)


def fair_darts(alphas: relax.Alphas, candidates: Candidates, *,
               threshold: float = .85, strict: bool = False
               ) -> genotypes.Genotype:
  """At most two edges per node, those whose best sigmoid is large enough.

  A node may end up without edges; networks/darts.py leaves it out.

  Args:
    alphas: of the candidates.
    candidates: kind -> operations of each edge.
    threshold: least sigmoid(alpha).
    strict: whether each cell needs such an operation.

  Raises:
    ValueError: it needs one and has none, or see `strongest`.

  Note: the paper does not say what a cell is in which no operation reaches the
  threshold, as after a short search; unless strict, it has its strongest one
  here, and the log says so.

  Reference: Chu et al., FairDARTS, arXiv 1911.12126; xiaomi-automl/FairDARTS,
  `threshold_sparse`.
  """
  weights = {k: np.asarray(relax.sigmoid({k: np.asarray(alphas[k])})[k])
             for k in _KINDS}

  for kind, found in weights.items():
    most = found.max()
    if most < threshold:
      problem = (f'no operation of the {kind} cell has sigmoid(alpha) of at '
                 f'least {threshold}, the largest is {most:.3f}: search longer '
                 'or lower the threshold')
      if strict:
        raise ValueError(problem)
      logging.warning('%s. It makes up the cell', problem)
    weights[kind] = np.where(found >= min(threshold, most), found, 0.)

  def choose(rows, names):
    return [(op, j) for op, j in _two_strongest(rows, names)
            if rows[j][list(names[j]).index(op)] > 0]

  return _genotype(weights, candidates, choose, by_node=True)


def snas(alphas: relax.Alphas, candidates: Candidates) -> genotypes.Genotype:
  """The best operation of every edge, 'none' included; all edges are kept.

  Edges of a node are in order of strength.

  Raises:
    ValueError: see `strongest`.

  Reference: Xie et al., SNAS, arXiv 1812.09926; SNAS-Series/SNAS-Series,
  `genotype_edge_all`.
  """
  def choose(rows, names):
    order = sorted(range(len(rows)), key=lambda j: -max(rows[j]))
    return [(names[j][int(np.argmax(rows[j]))], j) for j in order]

  return _genotype(_softmax(alphas), candidates, choose, by_node=True)


def p_darts(alphas: relax.Alphas, candidates: Candidates, *,
            max_skips: int = 2) -> genotypes.Genotype:
  """The last stage of P-DARTS, with at most `max_skips` in the normal cell.

  'none' counts as 0. While there are too many skips, the kept one of the
  smallest weight counts as 0 too, and the cell is derived again. Edges are in
  order of their sources.

  Args:
    alphas: of the last stage.
    candidates: of the last stage.
    max_skips: M.

  Raises:
    ValueError: a negative number, skips that cannot be avoided, or see
      `strongest`.

  Reference: Chen et al., P-DARTS, arXiv 1904.12760; chenxin061/pdarts.
  """
  if max_skips < 0:
    raise ValueError(f'max_skips must be at least 0, got {max_skips}')
  weights = {kind: _without_none(x, candidates[kind])
             for kind, x in _softmax(alphas).items()}
  while True:
    found = _genotype(weights, candidates, _two_strongest_by_source)
    if num_skips(found)['normal'] <= max_skips:
      return found
    weights['normal'] = _without_weakest_skip(
        weights['normal'], candidates['normal'], found)


def bench201(alphas: relax.Alphas, operations: Sequence[str]
             = nasbench201.OPERATIONS) -> nasbench201.Cell:
  """The best operation of each of the six edges, 'none' included.

  Args:
    alphas: 'cell' -> float[6, K].
    operations: names of the K candidates.

  Raises:
    ValueError: a shape that does not fit.

  Reference: Dong, Yang, NAS-Bench-201, arXiv 2001.00326.
  """
  rows = np.asarray(alphas['cell'])
  if rows.shape != (len(nasbench201.EDGES), len(operations)):
    raise ValueError(f'alphas have shape {rows.shape}, expected '
                     f'{(len(nasbench201.EDGES), len(operations))}')
  return nasbench201.check([operations[k] for k in rows.argmax(-1)])


def num_skips(genotype: genotypes.Genotype) -> dict[str, int]:
  """Kind -> how many of the operations are skips."""
  return {kind: sum(edge[0] == _SKIP for edge in getattr(genotype, kind))
          for kind in _KINDS}


def _genotype(weights: Rows, candidates: Candidates,
              choose: Callable[[np.ndarray, Sequence], list[Edge]],
              by_node: bool = False) -> genotypes.Genotype:
  """Both cells, node by node.

  Args:
    weights: kind -> float[E, K].
    candidates: kind -> operations of each edge.
    choose: from the rows and operations of the edges of a node to the chosen
      operations, each with its source.
    by_node: whether nodes may have other than two of them.
  """
  cells = []
  for kind in _KINDS:
    rows, names = np.asarray(weights[kind]), candidates[kind]
    if rows.shape != (len(names), len(names[0])):
      raise ValueError(f'weights of the {kind} cell have shape {rows.shape}, '
                       f'expected {(len(names), len(names[0]))}')
    sizes = relax.node_sizes(kind, len(names))
    edges, start = [], 0
    for node, size in enumerate(sizes, 2):
      end = start + size
      edges += [(op, node, source) if by_node else (op, source)
                for op, source in choose(rows[start:end], names[start:end])]
      start = end
    cells += tuple(edges), tuple(range(2, 2 + len(sizes)))
  return genotypes.Genotype(*cells)


def _softmax(alphas: relax.Alphas) -> dict[str, np.ndarray]:
  """kind -> float64[E, K], times the weights of whole edges."""
  found = {}
  for kind in filter(relax.is_kind, alphas):
    rows = np.asarray(alphas[kind], np.float64)
    rows = np.exp(rows - rows.max(-1, keepdims=True))
    rows /= rows.sum(-1, keepdims=True)
    if f'edges_{kind}' in alphas:
      edges = relax.softmax({f'edges_{kind}': alphas[f'edges_{kind}']})
      rows = rows * np.asarray(edges[f'edges_{kind}'])[:, None]
    found[kind] = rows
  return found


def _entries(names) -> list[tuple[int, int]]:
  """(edge, operation) of all operations but 'none'."""
  found = [(j, k) for j, row in enumerate(names)
           for k, name in enumerate(row) if name != _NONE]
  if len({j for j, _ in found}) < len(names):
    raise ValueError(f"an edge has no operation but 'none': {names!r}")
  return found


def _two_strongest(rows, names) -> list[Edge]:
  best: dict[int, int] = {}
  for j, k in _entries(names):
    if j not in best or rows[j][k] > rows[j][best[j]]:
      best[j] = k
  order = sorted(best, key=lambda j: -rows[j][best[j]])[:2]
  return [(names[j][best[j]], j) for j in order]


def _two_strongest_by_source(rows, names) -> list[Edge]:
  return sorted(_two_strongest(rows, names), key=lambda edge: edge[1])


def _without_none(rows: np.ndarray, names) -> np.ndarray:
  return np.where([[name == _NONE for name in row] for row in names], 0, rows)


def _without_weakest_skip(rows: np.ndarray, names, genotype) -> np.ndarray:
  """A copy in which the weakest skip of the derived normal cell counts 0."""
  offsets = np.cumsum([0, *relax.node_sizes('normal', len(names))])
  kept = [offsets[i // 2] + source for i, (op, source)
          in enumerate(genotype.normal) if op == _SKIP]
  weights = {e: rows[e][list(names[e]).index(_SKIP)] for e in kept}
  positive = [e for e in kept if weights[e] > 0]
  if not positive:
    raise ValueError(f'the normal cell cannot do without the skips of edges '
                     f'{kept}: there is nothing else to choose')
  edge = min(positive, key=lambda e: weights[e])
  rows = rows.copy()
  rows[edge][list(names[edge]).index(_SKIP)] = 0
  return rows
