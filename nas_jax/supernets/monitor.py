"""How far a search has collapsed: skips, entropy, curvature."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
from jax import flatten_util
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import genotypes
from nas_jax.supernets import relax
from nas_jax.supernets import stopping

Array = jax.Array
Product = Callable[[relax.Alphas], relax.Alphas]

# The largest weight over that of equal ones, below which nothing is decided.
_EQUAL = 1.05
_WATCHED = ('skip_connect', 'none', 'noise')


class Census(NamedTuple):
  """Of the cells of one kind."""
  operations: int  # of the derived cell
  skips: int  # of these, skip_connect
  none: int
  noise: int
  edges: int  # of the search network
  leading_skips: int  # edges on which skip_connect has the largest weight
  leading_none: int
  leading_noise: int
  entropy: float  # nats, mean over edges of that of the normalised weights
  largest: float  # mean over edges of the largest normalised weight
  candidates: int  # per edge, of which the weights are about equal at first


def census(weights: relax.Alphas,
           candidates: Mapping[str, Sequence[Sequence[str]]],
           derived: base.Genotype | None = None) -> dict[str, Census]:
  """Counts for each kind of cell.

  Args:
    weights: of the candidates, at least 0; kind -> float[E, K].
    candidates: kind -> operations of each edge.
    derived: cells of DARTS or of NAS-Bench-201; counted as without operations
      if not given.
  """
  found = {}
  for kind in candidates:
    rows = np.asarray(weights[kind], np.float64)
    rows = rows / np.maximum(rows.sum(-1, keepdims=True), 1e-30)
    leading = [names[k] for names, k in zip(candidates[kind], rows.argmax(-1))]
    operations = _operations(derived, kind)
    entropy = -(rows * np.log(np.maximum(rows, 1e-30))).sum(-1)
    found[kind] = Census(
        len(operations), *map(operations.count, _WATCHED),
        len(leading), *map(leading.count, _WATCHED),
        float(entropy.mean()), float(rows.max(-1).mean()), rows.shape[-1])
  return found


def warning(counts: Mapping[str, Census],
            stop: stopping.Stop | None = None) -> str | None:
  """What is wrong with a search, in words, or None.

  Skips as more than half of the operations of a normal cell are called a
  collapse; so is noise, and no operation or a skip on more than half of the
  edges of NAS-Bench-201. While all weights are about equal, nothing is.

  Args:
    counts: see `census`.
    stop: what `stopping.eigenvalue_grows` says.

  Note: Where exactly collapse begins is a choice made here. DARTS+ stops at
    two skips, which published good cells have.
  """
  found = []
  for kind, count in counts.items():
    name = 'cell' if kind == 'cell' else f'{kind} cell'
    idle = count.skips + (count.none if kind == 'cell' else 0)
    if count.largest * count.candidates < _EQUAL:
      continue  # What is derived is chance.
    if kind != 'reduce' and 2 * idle > count.operations:
      found.append(
          f'{count.skips} of {count.operations} operations of the derived '
          f'{name} are skips' + (f' and {count.none} none'
                                 if count.none else ''))
    if count.noise:
      found.append(f'{count.noise} of {count.operations} operations of the '
                   f'derived {name} are noise')
  if stop:
    found.append(
        'the largest eigenvalue of the Hessian in alpha has grown: DARTS-ES '
        f'returns the architecture of epoch {stop.best}')
  if not found:
    return None
  return f'The search seems to collapse: {"; ".join(found)}.'


def recurrent_warning(count: Census, activations: Sequence[str]
                      ) -> str | None:
  """What is wrong with a search of recurrent cells, in words, or None.

  Identity is to a recurrent cell what a skip is to one of images. While all
  weights are about equal, nothing is wrong.

  Args:
    count: see `census`.
    activations: of all nodes of the derived cell.

  Note: That it is wrong is an observation made here: a cell of identities alone
    diverged when it was trained, see docs/results.md.
  """
  decided = count.largest * count.candidates >= _EQUAL
  if not decided or set(activations) != {'identity'}:
    return None
  return (f'The search seems to collapse: all {len(activations)} nodes of the '
          'derived cell are identities, so its states have no bounds, and its '
          'own training may diverge.')


def hessian(product: Product, alphas: relax.Alphas, *,
            weight_decay: float = 1e-3) -> np.ndarray:
  """float64[n, n]: of a loss in all n alphas, in order of the kinds' names.

  Args:
    product: vector like the alphas -> Hessian times it, of the validation loss
      of one mini-batch with norms in training mode, such as
      `curvature.hessian_product`. Called n times.
    alphas: where.
    weight_decay: of the alphas, on the diagonal.

  Reference: Zela et al., arXiv 1909.09656, and its public code.

  Note: Differences of gradients do not replace the product: they count every
    ReLU and maximum that changes sides, and depend on how far apart they are.
  """
  flat, n = _flat(product, alphas)
  rows = np.stack([flat(row) for row in np.eye(n)])
  return (rows + rows.T) / 2 + weight_decay * np.eye(n)


def largest_eigenvalue(matrix: np.ndarray | Array) -> float:
  """Of a symmetric matrix; not the largest in magnitude."""
  return float(np.linalg.eigvalsh(np.asarray(matrix, np.float64))[-1])


def lanczos(product: Product, alphas: relax.Alphas, *, num_products: int = 25,
            weight_decay: float = 1e-3) -> float:
  """The largest eigenvalue of `hessian`, from below, by few products.

  Args:
    product: see `hessian`.
    alphas: where.
    num_products: 25 gave six digits of the 224 x 224 matrix of the space of
      DARTS; exact if there are as many as alphas.
    weight_decay: see `hessian`.

  Raises:
    ValueError: no product.

  Note: Not in the paper, which computes the whole Hessian: 224 products in
    the space of DARTS.
  """
  if num_products < 1:
    raise ValueError(f'num_products must be at least 1, got {num_products}')
  flat, n = _flat(product, alphas)
  start = np.random.default_rng(0).normal(size=n)
  basis = [start / np.linalg.norm(start)]
  diagonal, beside = [], []
  for _ in range(min(num_products, n)):
    vector = flat(basis[-1])
    diagonal.append(float(vector @ basis[-1]))
    for _ in range(2):  # Once is not enough in finite precision.
      vector = vector - np.stack(basis).T @ (np.stack(basis) @ vector)
    length = float(np.linalg.norm(vector))
    if length < 1e-6 * max(map(abs, diagonal)) or len(diagonal) == n:
      break
    beside.append(length)
    basis.append(vector / length)
  size = len(diagonal)
  beside = beside[:size - 1]
  tridiagonal = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
  return largest_eigenvalue(tridiagonal) + weight_decay


def _flat(product, alphas):
  """(float64[n] -> the Hessian times it, n)."""
  origin, unravel = flatten_util.ravel_pytree(dict(alphas))

  def flat(vector: np.ndarray) -> np.ndarray:
    found = product(unravel(jnp.asarray(vector, origin.dtype)))
    return np.asarray(flatten_util.ravel_pytree(
        {name: found[name] for name in alphas})[0], np.float64)

  return flat, origin.size


def _operations(derived, kind: str) -> list[str]:
  if derived is None:
    return []
  if isinstance(derived, genotypes.Genotype):
    return [edge[0] for edge in getattr(derived, kind)]
  return list(derived)
