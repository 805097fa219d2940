"""What searches add to the validation loss: functions of the alphas."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.supernets import relax

Array = jax.Array

_KERNELS = {'sep_conv_3x3': 3, 'sep_conv_5x5': 5, 'sep_conv_7x7': 7,
            'dil_conv_3x3': 3, 'dil_conv_5x5': 5}


def zero_one(alphas: relax.Alphas) -> Array:
  """FairDARTS' L01 = -mean (sigmoid(alpha) - 1/2)^2; its weight is 10.

  0 at alpha = 0, where its gradient is 0 too, and -1/4 far from there.

  Args:
    alphas: the mean is over all candidates of all kinds.

  Reference: Chu et al., FairDARTS, arXiv 1911.12126, and its public code.
  """
  values = _of_all_kinds(alphas)
  return -jnp.mean((jax.nn.sigmoid(values) - .5)**2)


def absolute_zero_one(alphas: relax.Alphas) -> Array:
  """The variant that FairDARTS finds worse: -mean |sigmoid(alpha) - 1/2|."""
  values = _of_all_kinds(alphas)
  return -jnp.mean(jnp.abs(jax.nn.sigmoid(values) - .5))


def beta(alphas: relax.Alphas) -> Array:
  """beta-DARTS' mean over edges of logsumexp(alpha of the edge).

  Its gradient in the alphas of an edge is their softmax / E.

  Reference: Ye et al., beta-DARTS, arXiv 2203.01665, and its public code.

  Note: The public code searches cells of one kind; here the means of several
    kinds are added.
  """
  return sum(jax.nn.logsumexp(alphas[kind], axis=-1).mean()
             for kind in filter(relax.is_kind, alphas))


def resource(weights: relax.Alphas, costs: Mapping[str, Array]) -> Array:
  """SNAS' cost on a logarithmic scale; its weight is 1.5e-3.

  For each edge the mean of the logarithms of its expected parameters,
  multiply-adds and memory access (1 where less than 1); summed over edges,
  averaged over the cells of a kind, and added over kinds.

  Args:
    weights: of the candidates, sampled.
    costs: kind -> float32[cells, 3, E, K], see `costs_of`.

  Reference: Xie et al., SNAS, arXiv 1812.09926; SNAS-Series/SNAS-Series,
  `reparametrization` with `log_penalty`.
  """
  total = 0.
  for kind, cost in costs.items():
    expected = (jnp.asarray(cost) * weights[kind]).sum(-1)  # [cells, 3, E]
    found = jnp.log(jnp.maximum(expected, 1.))
    total = total + found.mean(1).sum(-1).mean()
  return total


def costs_of(candidates: Mapping[str, Sequence[Sequence[str]]], *,
             features: int = 16, num_cells: int = 8, image_size: int = 32
             ) -> dict[str, np.ndarray]:
  """Parameters, multiply-adds and memory access of each candidate.

  As counted by SNAS' public code: norms are left out, and memory access is
  what the layers of an operation read and write.

  Args:
    candidates: kind ('normal', 'reduce') -> operations of each edge.
    features: F of the first cells.
    num_cells: L; cells L // 3 and 2 L // 3 halve the image and double F.
    image_size: height and width, equal.

  Returns:
    kind -> float32[cells of this kind, 3, E, K].

  Raises:
    ValueError: an operation without a count.
  """
  found: dict[str, list] = {kind: [] for kind in candidates}
  size = image_size
  for cell in range(num_cells):
    reduction = cell in (num_cells // 3, 2 * num_cells // 3)
    kind = 'reduce' if reduction else 'normal'
    if reduction:
      features, size = 2 * features, size // 2
    if kind not in candidates:
      continue
    sources = _sources(len(candidates[kind]))
    # [E, K, 3]; the sizes are those of the results.
    found[kind].append([
        [_cost(name, features, size, reduction and source < 2)
         for name in names] for names, source in
        zip(candidates[kind], sources)])
  return {kind: np.asarray(cells, np.float32).transpose(0, 3, 1, 2)
          for kind, cells in found.items() if cells}


def _of_all_kinds(alphas) -> Array:
  return jnp.concatenate([
      alphas[kind].ravel() for kind in filter(relax.is_kind, alphas)])


def _sources(num_edges: int) -> list[int]:
  return [source for size in relax.node_sizes('normal', num_edges)
          for source in range(size)]


def _cost(name: str, c: int, size: int, halves: bool
          ) -> tuple[float, float, float]:
  """Of an operation with c channels and a result of size x size."""
  area = size * size
  if name in ('none', 'noise'):
    return 0, 0, 0
  if name in ('max_pool_3x3', 'avg_pool_3x3'):
    return 0, 9 * area * c, (5 if halves else 2) * area * c
  if name == 'skip_connect' and not halves:
    return 0, 0, 2 * area * c
  if name == 'skip_connect':
    params = 2 * c * (c // 2)
    return params, params * area, 2 * area * (4 * c + c // 2) + params
  if name not in _KERNELS:
    raise ValueError(f'no cost of operation {name!r} is known, expected none, '
                     'noise, a 3x3 pool, skip_connect or one of '
                     f'{", ".join(_KERNELS)}')
  kernel = _KERNELS[name]
  layers = 2 if name.startswith('sep') else 1
  params = layers * (c * kernel**2 + c * c)
  # Each layer of the code's count reads or writes c channels once; where the
  # image is halved, those of the first are four times as many.
  passes = (8 if layers == 2 else 4) + 3 * halves
  return params, params * area, passes * area * c + params
