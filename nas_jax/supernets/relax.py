"""From architecture parameters to the gates of a search network.

Alphas: kind -> float32[E, K], one row per edge, and for PC-DARTS
edges_<kind> -> float32[E]. Kinds are 'normal' and 'reduce' (edges of node 0,
of node 1, ..., from states 0, 1, ...), or 'cell' of NAS-Bench-201. Weights
have the same keys and shapes: how much each candidate counts. `gates` adds
what the network needs beside them. All functions here are jittable, and
differentiable in the alphas.
"""

from collections.abc import Callable, Mapping
import functools

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base

Array = jax.Array
Alphas = Mapping[str, Array]  # kind -> float32[E, K]
Weights = dict[str, Array]  # kind -> float32[E, K]

_EDGES = 'edges_'


def is_kind(name: str) -> bool:
  """Whether a key of alphas is of candidates, not of whole edges."""
  return not name.startswith(_EDGES)


def node_sizes(kind: str, num_edges: int) -> tuple[int, ...]:
  """How many edges enter each node, in order: 2, 3, ..., of 'cell' 1, 2, ...

  Raises:
    ValueError: edges that do not make up nodes.
  """
  sizes, size, left = [], 1 if kind == 'cell' else 2, num_edges
  while left > 0:
    sizes.append(size)
    left -= size
    size += 1
  if left or not num_edges:
    raise ValueError(f'{num_edges} edges of kind {kind!r} do not make up nodes '
                     f'with {sizes[0] if sizes else size}, ... of them')
  return tuple(sizes)


def init(key: base.Key, shapes: Mapping[str, tuple[int, ...]], *,
         mean: float = 0., scale: float = 1e-3) -> Weights:
  """Alphas drawn from a normal distribution.

  Args:
    key: consumed.
    shapes: of the alphas by name.
    mean: 0; SNAS' code has 1.
    scale: 1e-3 of quark0/darts; 0 of FairDARTS and of the paper of DARTS;
      .01 of SNAS' code.
  """
  keys = jax.random.split(key, len(shapes))
  return {name: mean + scale * jax.random.normal(k, shapes[name])
          for k, name in zip(keys, sorted(shapes))}


def gates(weights: Alphas, *, auxiliary_skip: float | Array = 0.,
          skip_dropout: float | Array = 0., drop_path: float | Array = 0.
          ) -> Weights:
  """The gates of a search network (`darts.rows`, `bench201.rows`).

  Args:
    weights: of the candidates, and of whole edges where they are not 1.
    auxiliary_skip: weight of the skip beside each edge (DARTS-).
    skip_dropout: rate at which elements of skips are dropped (P-DARTS).
    drop_path: rate at which edges are dropped (R-DARTS).
  """
  found = dict(weights)
  for kind in filter(is_kind, weights):
    found.setdefault(_EDGES + kind, jnp.ones(weights[kind].shape[0]))
  knobs = [jnp.asarray(x, jnp.float32)
           for x in (auxiliary_skip, skip_dropout, drop_path)]
  return found | {'knobs': jnp.stack(knobs)}


def softmax(alphas: Alphas) -> Weights:
  """DARTS; with alphas of edges, PC-DARTS.

  The alphas of edges are normalised over the edges that enter a node.

  References:
    Liu et al., DARTS, arXiv 1806.09055.
    Xu et al., PC-DARTS, arXiv 1907.05737.
  """
  return {name: jax.nn.softmax(x, -1) if is_kind(name) else
          _node_softmax(x, name.removeprefix(_EDGES))
          for name, x in alphas.items()}


def sigmoid(alphas: Alphas) -> Weights:
  """FairDARTS: candidates do not compete.

  Reference: Chu et al., arXiv 1911.12126.
  """
  return {name: jax.nn.sigmoid(x) for name, x in alphas.items()}


def gumbel(key: base.Key, alphas: Alphas, *, temperature: float | Array
           ) -> Weights:
  """GDAS: one candidate per edge, with the gradient of a soft choice.

  h = softmax((log softmax(alpha) + g) / temperature), g Gumbel noise; the
  value is exactly the one-hot argmax of h, the gradient that of h.

  Reference: Dong, Yang, GDAS, arXiv 1910.04465, and its public code.
  """
  def choose(k, x):
    soft = _concrete(k, jax.nn.log_softmax(x, -1), temperature)
    hard = jax.nn.one_hot(soft.argmax(-1), x.shape[-1], dtype=x.dtype)
    return hard + (soft - jax.lax.stop_gradient(soft))

  return _per_kind(choose, key, alphas)


def concrete(key: base.Key, alphas: Alphas, *, temperature: float | Array
             ) -> Weights:
  """SNAS: softmax((log alpha + g) / temperature), g Gumbel noise.

  The parameters are the logarithms.

  Reference: Xie et al., SNAS, arXiv 1812.09926.
  """
  return _per_kind(lambda k, x: _concrete(k, x, temperature), key, alphas)


def chosen(weights: Alphas) -> dict[str, Array]:
  """kind -> int32[E]: the candidate of the largest weight."""
  return {kind: weights[kind].argmax(-1).astype(jnp.int32)
          for kind in filter(is_kind, weights)}


def one_path(key: base.Key, shapes: Mapping[str, tuple[int, int]]) -> Weights:
  """A uniform architecture for random search with weight sharing.

  Each node draws two of its edges, and for each any of the K candidates,
  'none' included; all other weights are 0. In 'cell' every edge is kept.

  Args:
    key: consumed.
    shapes: kind -> (E, K).

  Reference: Li, Talwalkar, arXiv 1902.07638.
  """
  found = {}
  for k, kind in zip(jax.random.split(key, len(shapes)), sorted(shapes)):
    num_edges, candidates = shapes[kind]
    keys = jax.random.split(k, 2)
    keep = (jnp.ones(num_edges) if kind == 'cell' else
            _two_of_each(keys[0], node_sizes(kind, num_edges)))
    index = jax.random.randint(keys[1], (num_edges,), 0, candidates)
    found[kind] = jax.nn.one_hot(index, candidates) * keep[:, None]
  return found


def renormalise(weights: Alphas) -> Weights:
  """Rows clamped to [0, 1] that sum to 1; if all are 0, the largest is 1.

  Weights of whole edges stay as they are.
  """
  return {name: _renormalise(x) if is_kind(name) else x
          for name, x in weights.items()}


def perturb(key: base.Key, weights: Alphas, *, epsilon: float | Array
            ) -> Weights:
  """SDARTS-RS: weights plus uniform noise in [-epsilon, epsilon].

  Also the start of `attack`.

  Reference: Chen, Hsieh, SmoothDARTS, arXiv 2002.05283, and its public code.
  """
  def add(k, x):
    return x + jax.random.uniform(k, x.shape, x.dtype, -epsilon, epsilon)

  return dict(weights) | renormalise(_per_kind(add, key, weights))


def attack_step(weights: Alphas, start: Alphas, gradient: Alphas, *,
                epsilon: float | Array, num_steps: int = 7) -> Weights:
  """One step up the loss by the sign of its gradient.

  Args:
    weights: so far perturbed.
    start: unperturbed; no weight leaves it by more than epsilon before the
      rows are renormalised.
    gradient: of the loss in `weights`.
    epsilon: radius.
    num_steps: of the whole attack; a step is 2 epsilon / num_steps long.

  Reference: Chen, Hsieh, SmoothDARTS, arXiv 2002.05283, and its public code.
  """
  def step(x, origin, g):
    moved = x + 2 * epsilon / num_steps * jnp.sign(g)
    return origin + jnp.clip(moved - origin, -epsilon, epsilon)

  return dict(weights) | renormalise({
      kind: step(weights[kind], start[kind], gradient[kind])
      for kind in filter(is_kind, weights)})


def attack(
    key: base.Key,
    weights: Alphas,
    value: Callable[[Weights], Array],
    gradient: Callable[[Weights], Alphas],
    *,
    epsilon: float,
    num_steps: int = 7,
) -> Weights:
  """SDARTS-ADV: weights within epsilon that raise the training loss.

  Args:
    key: consumed; of the random start.
    weights: of the candidates.
    value: the loss of the mini-batch; with running statistics of norms.
    gradient: of that loss in the weights.
    epsilon: radius.
    num_steps: of projected gradient ascent.

  Returns:
    The perturbed weights, or the given ones if these have a higher loss.

  Reference: Chen, Hsieh, SmoothDARTS, arXiv 2002.05283, and its public code.

  Note: `value` and `gradient` run on the host as they please, so this is a
    plain loop; it is jittable if they are.
  """
  found = perturb(key, weights, epsilon=epsilon)
  for _ in range(num_steps):
    found = attack_step(found, weights, gradient(found), epsilon=epsilon,
                        num_steps=num_steps)
  worse = value(weights) > value(found)
  return jax.tree.map(
      functools.partial(jnp.where, worse), dict(weights), found)


def _per_kind(function, key, alphas: Alphas) -> Weights:
  """function(key, alphas[kind]) for each kind, in order of their names."""
  kinds = sorted(filter(is_kind, alphas))
  return {kind: function(k, alphas[kind])
          for k, kind in zip(jax.random.split(key, len(kinds)), kinds)}


def _concrete(key, logits, temperature):
  noise = jax.random.gumbel(key, logits.shape, logits.dtype)
  return jax.nn.softmax((logits + noise) / temperature, -1)


def _node_softmax(betas: Array, kind: str) -> Array:
  """Softmax over the edges of each node, float32[E]."""
  parts, start = [], 0
  for size in node_sizes(kind, betas.shape[0]):
    parts.append(jax.nn.softmax(betas[start:start + size]))
    start += size
  return jnp.concatenate(parts)


def _two_of_each(key, sizes: tuple[int, ...]) -> Array:
  """float32[E]: 1 for two edges of each node, drawn uniformly."""
  node = np.repeat(np.arange(len(sizes)), sizes)
  order = np.arange(len(node))
  drawn = jax.random.uniform(key, (len(node),))
  # Entry i, j: whether j is of the same node and comes before i.
  before = (drawn[None] > drawn[:, None]) | (
      (drawn[None] == drawn[:, None]) & (order[None] < order[:, None]))
  rank = (before & (node[None] == node[:, None])).sum(-1)
  return (rank < 2).astype(jnp.float32)


def _renormalise(rows: Array) -> Array:
  largest = jax.nn.one_hot(rows.argmax(-1), rows.shape[-1], dtype=rows.dtype)
  rows = jnp.clip(rows, 0, 1)
  total = rows.sum(-1, keepdims=True)
  return jnp.where(total > 0, rows / jnp.where(total > 0, total, 1), largest)
