"""Edges of supernets: all candidate operations at once, weighted by gates.

An edge reads the state it leaves, the pools of that state (nodes of their own:
all edges that leave it share them) and a row of gates.
"""

from collections.abc import Mapping, Sequence
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import ops_bench
from nas_jax.networks import pooling
from nas_jax.networks import tables

Array = jax.Array
Value = graph.Value

# What a row has after the weights of the K candidates: the weight of the whole
# edge, that of the auxiliary skip, the rate at which elements of the skip are
# dropped in training, and that at which the edge is dropped for an example.
NUM_EXTRA = 4
KNOBS = 3  # of these, what all edges share
_POOLS = {'max_pool_3x3': 'max', 'avg_pool_3x3': 'avg'}


class NormedPool(ops.Op):
  """3x3 pool and norm, of the channels that take part in an edge.

  Attributes:
    kind: 'max' or 'avg'.
    partial: 1 / partial of the channels, the first, take part.
    normed: whether there is a norm.
  """
  kind: str = 'max'
  partial: int = 1
  normed: bool = True

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = pooling.pool(x[..., :x.shape[-1] // self.partial], self.kind, 3,
                     self.stride, self.style.padding)
    return self.norm(x, train) if self.normed else x


class MixedEdge(nn.Module):
  """Sum over candidates k of row[k] * operation_k(x), all times row[K].

  Attributes:
    operations: names of the K candidates, of `table`.
    features: F, channels of the state and of the result.
    stride: 1 or 2.
    style: shared settings.
    table: a key of `tables.TABLES`.
    partial: 1 / partial of the channels go through the operations, the others
      around them; then channels are shuffled between `partial` groups.
    auxiliary_skip: whether row[K + 1] times a skip is added.
    skip_dropout: whether elements of a skip of stride 1 are dropped in
      training, at the rate row[K + 2].
    drop_path: whether the result is dropped for whole examples in training, at
      the rate row[K + 3].
    sampled: whether each edge has one candidate of weight 1 and the others of
      0. These add their weight instead of their result: their gradient is the
      sum of the edge's.
    chosen: the same, and only this candidate is computed; none for -1.
    batch_statistics: whether norms use those of the batch in evaluation, too.

  References:
    Liu et al., DARTS, arXiv 1806.09055, eq. 2.
    Xu et al., PC-DARTS, arXiv 1907.05737, eq. 2 (partial).
    Chu et al., DARTS-, arXiv 2009.01027, eq. 3 (auxiliary_skip).
    Dong, Yang, GDAS, arXiv 1910.04465, and its public code (sampled).
  """
  operations: tuple[str, ...]
  features: int
  stride: int = 1
  style: ops.Style = ops.Style()
  table: str = 'darts'
  partial: int = 1
  auxiliary_skip: bool = False
  skip_dropout: bool = False
  drop_path: bool = False
  sampled: bool = False
  chosen: int | None = None
  batch_statistics: bool = False

  @nn.compact
  def __call__(self, x: Array, *pools_row_train) -> Array:
    """float[B, H, W, F], pools of it, row float[K + 4] -> the same or halved.

    Pools come in the order of `pools_of(self.operations)`.
    """
    *pools, row, train = pools_row_train
    row = row.astype(jnp.promote_types(row.dtype, x.dtype))
    width = x.shape[-1] // self.partial
    taken = x[..., :width] if self.partial > 1 else x
    pooled = dict(zip(pools_of(self.operations, self.chosen), pools))
    shape = (x.shape[0], *(-(-n // self.stride) for n in x.shape[1:3]), width)
    total = jnp.zeros(shape, x.dtype)
    for k, name in enumerate(self.operations):
      if self.chosen is not None and k != self.chosen:
        total = total + row[k].astype(x.dtype)
        continue
      if name in pooled:
        y = pooled[name] * row[k].astype(x.dtype)
      elif name == 'none':
        y = 0
      else:
        y = self._operation(name, taken, row[k], row, train)
      if self.sampled and self.chosen is None:
        y = jnp.where(row[k] > .5, y, row[k].astype(x.dtype))
      total = total + y
    if self.auxiliary_skip:
      total = total + self._skip(
          'auxiliary', taken, row[len(self.operations) + 1].astype(x.dtype),
          train)
    if self.partial > 1:
      around = x[..., width:]
      if self.stride == 2:
        around = pooling.pool(around, 'max', 2, 2, 'same')
      total = _shuffle(jnp.concatenate([total, around], -1), self.partial)
      total = total * row[len(self.operations)].astype(x.dtype)
    if self.drop_path and train:
      keep = 1 - row[len(self.operations) + 3]
      total = graph.drop_path(self.make_rng('dropout'), total, keep)
    return total

  def _operation(self, name, x, weight, row, train):
    if name == 'skip_connect':
      y = self._skip(name, x, weight.astype(x.dtype), train)
      if self.skip_dropout and train and self.stride == 1:
        keep = 1 - row[len(self.operations) + 2]
        kept = jax.random.bernoulli(self.make_rng('dropout'), keep, y.shape)
        y = jnp.where(kept, y / keep.astype(y.dtype), 0)
      return y
    module = tables.TABLES[self.table][name](
        features=x.shape[-1], stride=self.stride, style=self.style, name=name)
    train = train or self.batch_statistics
    if isinstance(module, (ops.SeparableConv, ops_bench.ReluConvNorm)):
      return module(x, train, weight)
    return module(x, train) * weight.astype(x.dtype)

  def _skip(self, name, x, weight, train):
    module = tables.TABLES[self.table]['skip_connect'](
        features=x.shape[-1], stride=self.stride, style=self.style, name=name)
    return module(x, train or self.batch_statistics) * weight


def pools_of(operations: Sequence[str], chosen: int | None = None
             ) -> tuple[str, ...]:
  """Which of the candidates are pools that nodes of their own compute."""
  return tuple(name for k, name in enumerate(operations) if name in _POOLS
               and (chosen is None or k == chosen))


class Adder:
  """Adds edges to a graph; edges of one state share its pools."""

  def __init__(self, builder: graph.Builder, features: int, *,
               edge: Mapping[str, object], normed_pools: bool = True,
               remat: bool = False, style: ops.Style | None = None):
    """Of one cell.

    Args:
      builder: the graph so far.
      features: F.
      edge: further attributes of `MixedEdge`.
      normed_pools: whether norms follow the pools.
      remat: whether an edge's inside is computed again in the backward pass
        instead of being kept.
      style: of the edges, the builder's if not set.
    """
    self._builder = builder
    self._style = style or builder.style
    self._features = features
    self._edge = dict(edge)
    self._normed = normed_pools
    self._remat = remat
    self._pools: dict[tuple, Value] = {}

  def add(self, cell: str, edge: int, state: int, source: Value, row: Value,
          operations: tuple[str, ...], stride: int,
          chosen: int | None = None) -> Value:
    """Appends an edge.

    Args:
      cell: scope of the names.
      edge: its number in the cell.
      state: the number of the state that it leaves.
      source: that state.
      row: its gates.
      operations: its candidates.
      stride: 1 or 2.
      chosen: see `MixedEdge`.
    """
    style = self._style
    size = tuple(-(-n // stride) for n in source.size)
    partial = self._edge.get('partial', 1)
    pools = []
    for pool in pools_of(operations, chosen):
      key = cell, state, pool
      if key not in self._pools:
        self._pools[key] = self._builder.add(
            f'{cell}_state{state}_{pool}', NormedPool(
                self._features, stride, style, _POOLS[pool], partial,
                self._normed),
            [source], (*size, self._features // partial))
      pools.append(self._pools[key])
    kind = _rematerialised(len(pools)) if self._remat else MixedEdge
    module = kind(
        operations=tuple(operations), features=self._features, stride=stride,
        style=style, chosen=chosen, **self._edge)
    return self._builder.add(
        f'{cell}_edge{edge}', module, [source, *pools, row],
        (*size, self._features))


@functools.lru_cache
def _rematerialised(num_pools: int) -> type[nn.Module]:
  """`MixedEdge` that keeps its inputs only; `train` is its last argument."""
  return nn.remat(MixedEdge, static_argnums=(3 + num_pools,))


def _shuffle(x: Array, groups: int) -> Array:
  """Channels [groups, C / groups] transposed: a permutation of them."""
  shape = x.shape
  x = x.reshape(*shape[:-1], groups, shape[-1] // groups)
  return jnp.swapaxes(x, -1, -2).reshape(shape)
