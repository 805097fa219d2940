"""DARTS-PT: what to keep is what the network misses most when it is removed.

After a search, one edge of each kind of cell per round is discretised: the
operation stays whose removal lowers the accuracy most; then, node by node, the
two edges whose removal does. Between rounds the network is tuned.

Reference: Wang et al., arXiv 2108.04392; ruocwang/darts-pt.

Note: A random edge of every kind is chosen each round, normal cells first, so
  that reduction cells are judged beside the new normal ones, as in the public
  code. Removed weights are not made up for by the others.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.supernets import derive
from nas_jax.supernets import relax
from nas_jax.training import schedules

Array = jax.Array
Accuracy = Callable[[relax.Weights], float]

_OPEN = -1
_KEPT = 2  # edges per node


class Selection(NamedTuple):
  """What has been decided so far; kind -> array."""
  operations: dict[str, Array]  # int32[E], -1 where open
  edges: dict[str, Array]  # bool[E], whether kept
  nodes: dict[str, Array]  # bool[N], whether their edges are decided


def init(weights: relax.Alphas) -> Selection:
  """Nothing decided; nodes with no more than two edges keep them.

  In NAS-Bench-201 ('cell') all edges are kept.
  """
  operations, edges, nodes = {}, {}, {}
  for kind in _kinds(weights):
    count = weights[kind].shape[0]
    sizes = relax.node_sizes(kind, count)
    operations[kind] = jnp.full(count, _OPEN, jnp.int32)
    edges[kind] = jnp.ones(count, bool)
    nodes[kind] = jnp.asarray(
        [size <= _KEPT or kind == 'cell' for size in sizes])
  return Selection(operations, edges, nodes)


def rounds_left(selection: Selection) -> int:
  """Rounds until all is decided: at first 14 and 3 in the space of DARTS."""
  return max(int((selection.operations[kind] == _OPEN).sum()) + int(
      (~selection.nodes[kind]).sum()) for kind in selection.operations)


def apply(weights: relax.Alphas, selection: Selection) -> relax.Weights:
  """Weights in which what is decided is 1 or 0; jittable."""
  found = dict(weights)
  for kind, index in selection.operations.items():
    rows = weights[kind]
    decided = jax.nn.one_hot(index, rows.shape[-1], dtype=rows.dtype)
    rows = jnp.where(index[:, None] == _OPEN, rows, decided)
    found[kind] = rows * selection.edges[kind][:, None]
  return found


def select(key: base.Key, selection: Selection, weights: relax.Alphas,
           accuracy: Accuracy) -> Selection:
  """One round: an edge of each kind, or a node when edges are done.

  Args:
    key: consumed; says which edge or node.
    selection: so far.
    weights: of the candidates, as the network is trained with.
    accuracy: of given weights on the validation images; higher is better.
      Called once per candidate or edge.
  """
  kinds = _kinds(selection.operations)
  for k, kind in zip(jax.random.split(key, len(kinds)), kinds):
    is_open = np.flatnonzero(np.asarray(selection.operations[kind]) == _OPEN)
    undecided = np.flatnonzero(~np.asarray(selection.nodes[kind]))
    if is_open.size:
      edge = _one_of(k, is_open)
      best = _operation(selection, weights, accuracy, kind, edge)
      selection = selection._replace(operations=selection.operations | {
          kind: selection.operations[kind].at[edge].set(best)})
    elif undecided.size:
      node = _one_of(k, undecided)
      edges = _edges_of(kind, len(selection.edges[kind]), node)
      kept = _strongest(selection, weights, accuracy, kind, edges)
      selection = selection._replace(
          edges=selection.edges | {kind: selection.edges[kind].at[
              np.asarray(edges)].set(np.isin(edges, kept))},
          nodes=selection.nodes | {
              kind: selection.nodes[kind].at[node].set(True)})
  return selection


def run(
    key: base.Key,
    state: Any,
    selection: Selection,
    *,
    weights: Callable[[Any], relax.Alphas],
    accuracy: Callable[[Any, relax.Weights], float],
    tune: Callable[[base.Key, Any, Selection], Any],
    on_round: Callable[[int, Any, Selection], None] | None = None,
) -> tuple[Any, Selection]:
  """All rounds that are left.

  Args:
    key: of all rounds; a resumed selection gets the same key.
    state: of the search: network and alphas.
    selection: so far, see `init`.
    weights: state -> weights of the candidates.
    accuracy: (state, weights) -> accuracy on the validation images.
    tune: (key, state, selection) -> state, trained for 5 epochs with weights
      `apply`d; alphas are trained too. Not called after the last round. For
      the learning rate see `tuning_rate`.
    on_round: called with the rounds that are left, state and selection.

  Returns:
    The last state and the whole selection.
  """
  while left := rounds_left(selection):
    keys = jax.random.split(jax.random.fold_in(key, left))
    selection = select(keys[0], selection, weights(state),
                       functools.partial(accuracy, state))
    if left > 1:
      state = tune(keys[1], state, selection)
    if on_round:
      on_round(left - 1, state, selection)
  return state, selection


def genotype(selection: Selection, candidates: derive.Candidates
             ) -> base.Genotype:
  """The architecture of a whole selection.

  Args:
    selection: with nothing left open.
    candidates: kind -> operations of each edge.

  Raises:
    ValueError: something is open.

  Note: Where 'none' is a candidate it can be selected, though it is not
    derived: such an edge counts as weak as a removed one, as in the public
    code, which only meets it in space S3.
  """
  if left := rounds_left(selection):
    raise ValueError(f'{left} rounds of the selection are left')
  rows = {kind: np.asarray(jax.nn.one_hot(index, len(candidates[kind][0]))
                           * selection.edges[kind][:, None])
          for kind, index in selection.operations.items()}
  if 'cell' in rows:
    return derive.bench201(rows, candidates['cell'][0])
  return derive.strongest(rows, candidates)


def tuning_rate(epoch: int, *, num_rounds: int = 17, epochs_per_round: int = 5,
                learning_rate: float = .025, last: float = .001) -> float:
  """Learning rate of the weights between rounds: a cosine from a tenth.

  Args:
    epoch: of tuning, counted from 0 over all rounds.
    num_rounds: `rounds_left` at first.
    epochs_per_round: 5.
    learning_rate: that the search started with.
    last: where the cosine ends, an epoch after the last round.
  """
  total = epochs_per_round * (num_rounds - 1) + 1
  return schedules.cosine(learning_rate / 10, last, min(1., epoch / total))


def _operation(selection, weights, accuracy, kind, edge) -> int:
  """The first candidate whose removal leaves the lowest accuracy."""
  found = []
  for k in range(weights[kind].shape[-1]):
    rows = apply(weights, selection)
    found.append(float(accuracy(
        rows | {kind: rows[kind].at[edge, k].set(0)})))
  return int(np.argmin(found))


def _strongest(selection, weights, accuracy, kind, edges) -> list[int]:
  """The two edges whose removal leaves the lowest accuracy."""
  rows = apply(weights, selection)
  found = [float(accuracy(rows | {kind: rows[kind].at[edge].set(0)}))
           for edge in edges]
  return [edges[i] for i in np.argsort(found, kind='stable')[:_KEPT]]


def _edges_of(kind: str, num_edges: int, node: int) -> list[int]:
  sizes = relax.node_sizes(kind, num_edges)
  start = sum(sizes[:node])
  return list(range(start, start + sizes[node]))


def _kinds(weights: Mapping[str, Any]) -> list[str]:
  """'normal' before 'reduce'."""
  return sorted(filter(relax.is_kind, weights))


def _one_of(key, values: np.ndarray) -> int:
  return int(values[int(jax.random.randint(key, (), 0, len(values)))])
