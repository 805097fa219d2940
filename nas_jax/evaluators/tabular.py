"""Evaluators that look the reward of every genome up in a table."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from nas_jax import base
from nas_jax import statistics
from nas_jax import tables
from nas_jax.spaces import discrete
from nas_jax.spaces import graph

_LARGEST_TABLE = 1 << 28
_NEIGHBOURS = 501  # rows of about one signal


def tabular(
    space: base.Space,
    rewards: npt.ArrayLike,
    *,
    failed_reward: float | None = None,
) -> base.Evaluator:
  """Rewards by the number of the genome in lexical order.

  Args:
    space: whose genomes to score; N in number.
    rewards: float[N]; entry n is that of `discrete.from_index(sizes, n)`.
    failed_reward: the floor. With it, entries that are not finite are
      children that fail.

  Raises:
    ValueError: not N entries, more than 2^28, one that is not finite without
      a `failed_reward`, or a `failed_reward` that is not finite.
  """
  sizes = discrete.sizes_of(space.choices)
  size = discrete.size(space.choices)
  if size > _LARGEST_TABLE:
    raise ValueError(f'the space has {size} genomes, more than the '
                     f'{_LARGEST_TABLE} of which a table can be made')
  values = np.asarray(rewards, np.float32)
  if values.shape != (size,):
    raise ValueError(f'the space has {size} genomes, but the rewards are of '
                     f'shape {values.shape}')
  bad = ~np.isfinite(values)
  if failed_reward is None:
    if bad.any():
      where = int(np.argmax(bad))
      raise ValueError(f'reward {where} is {values[where]}: without a '
                       'failed_reward all must be finite')
  elif not np.isfinite(failed_reward):
    raise ValueError(f'failed_reward must be finite, got {failed_reward}')
  table = np.where(bad, failed_reward or 0., values).astype(np.float32)
  radices = np.array(discrete.radices(sizes), np.int32)

  def evaluate(key, state, proposals):
    del key
    numbers = jnp.sum(proposals.genomes * radices, axis=-1)
    found = jnp.asarray(table)[numbers]
    failed = jnp.asarray(bad)[numbers].astype(jnp.float32)
    return base.Evaluation(found, {'failed': failed}), state

  return base.Evaluator(lambda key: (), evaluate)


def benchmark(
    table: tables.Table,
    *,
    signal: str,
    seconds: npt.ArrayLike | None = None,
    scale: float = .01,
    noise: npt.ArrayLike = 0.,
    failed_reward: float = 0.,
) -> base.Evaluator:
  """Looks up what training an architecture gave, and what it cost.

  Where the signal has a column per training, a reward is that of one of those
  that there are, drawn anew for each evaluation: the noise of the benchmarks
  (Dong, Yang, arXiv 2001.00326; Ying et al., arXiv 1902.09635).

  Args:
    table: N rows.
    signal: the column that rewards come from.
    seconds: float[N], the simulated time of an evaluation; by default 0.
    scale: reward per unit of the signal.
    noise: float[] or float[N], standard deviation of normal noise in units of
      the signal, for a signal that is a mean over trainings.
    failed_reward: of architectures that have no row or no finite signal.

  Returns:
    An evaluator that can be compiled. Metrics: failed, row (-1 for none),
    simulated_seconds.

  Raises:
    ValueError: an unknown signal, seconds or noise of another shape than the
      table's, negative or not finite, or a `failed_reward` that is not finite.
  """
  if signal not in table.columns:
    raise ValueError(f'the table {table.name} has no column {signal!r}, only '
                     f'{", ".join(table.columns)}')
  found = np.asarray(table.columns[signal], np.float32)
  num_rows = len(found)
  found = found.reshape(num_rows, -1)
  costs, spread = (np.broadcast_to(np.asarray(x, np.float32), (num_rows,))
                   if np.ndim(x) == 0 else np.asarray(x, np.float32)
                   for x in (0. if seconds is None else seconds, noise))
  for name, x in (('seconds', costs), ('noise', spread)):
    if x.shape != (num_rows,):
      raise ValueError(f'{name} is of shape {x.shape}, but the table has '
                       f'{num_rows} rows')
    if not (np.isfinite(x) & (x >= 0)).all():
      raise ValueError(f'{name} must be finite and at least 0, but one is '
                       f'{x[~(np.isfinite(x) & (x >= 0))][0]}')
  if not np.isfinite(failed_reward):
    raise ValueError(f'failed_reward must be finite, got {failed_reward}')
  # The trainings that there are, first.
  finite = np.isfinite(found)
  order = np.argsort(~finite, axis=1, kind='stable')
  values = np.where(finite, found, 0.)
  values = np.take_along_axis(values, order, axis=1) * np.float32(scale)
  counts = finite.sum(axis=1).astype(np.int32)
  spread = spread * np.float32(scale)
  has_noise = bool(spread.any())

  def evaluate(key, state, proposals):
    draw_key, noise_key = jax.random.split(key)
    rows = table.number(proposals.genomes)
    safe = jnp.maximum(rows, 0)
    count = jnp.asarray(counts)[safe]
    if values.shape[1] > 1:
      draw = jax.random.randint(draw_key, rows.shape, 0, jnp.maximum(count, 1))
      rewards = jnp.asarray(values)[safe, draw]
    else:
      rewards = jnp.asarray(values[:, 0])[safe]
    if has_noise:
      rewards += jnp.asarray(spread)[safe] * jax.random.normal(
          noise_key, rows.shape)
    failed = (rows < 0) | (count == 0)
    return base.Evaluation(jnp.where(failed, failed_reward, rewards), {
        'failed': failed.astype(jnp.float32),
        'row': rows.astype(jnp.float32),
        'simulated_seconds': jnp.where(rows < 0, 0., jnp.asarray(costs)[safe]),
    }), state

  return base.Evaluator(lambda key: (), evaluate)


def spread_of_equal_cells(table: tables.Table, signal: str) -> np.ndarray:
  """How far trainings of one cell are apart, measured in the table itself.

  In NAS-Bench-201 cells that compute the same were trained like any others.
  The variance among them is averaged over the rows of about the same signal.
  Where the signal is the mean of two trainings, this is also the standard
  deviation of one of the two from their mean.

  Args:
    table: of NAS-Bench-201.
    signal: a column of one number per row.

  Returns:
    float32[N], standard deviations in units of the signal.

  Raises:
    ValueError: a table of another space or without cells that are equal, or no
      such column.
  """
  values = table.columns.get(signal)
  if table.family != 'nasbench201' or np.ndim(values) != 1:
    raise ValueError(f'{table.name} has no column {signal!r} of one number per '
                     'cell of NAS-Bench-201')
  sizes = discrete.sizes_of(table.space.choices)
  genomes = np.indices(sizes).reshape(len(sizes), -1).T.astype(np.int32)
  rows = np.asarray(table.number(genomes))
  rows, classes = rows[rows >= 0], graph.isomorphism_classes()[rows >= 0]
  finite = np.isfinite(values[rows])
  rows, classes = rows[finite], classes[finite]
  found = values[rows].astype(np.float64)
  counts = np.bincount(classes)[classes]
  means = (np.bincount(classes, found) / np.maximum(
      np.bincount(classes), 1))[classes]
  several = counts > 1
  if not several.any():
    raise ValueError(f'no two cells of {table.name} compute the same')
  # Unbiased: k values of one class have k - 1 degrees of freedom.
  squares = np.where(several, (found - means)**2 * counts / np.maximum(
      counts - 1, 1), 0.)
  order = np.argsort(found, kind='stable')
  width = min(_NEIGHBOURS, len(found) - 1 + len(found) % 2)
  near = statistics.moving_mean(squares[order], width) / np.maximum(
      statistics.moving_mean(several[order].astype(float), width), 1e-9)
  spread = np.zeros(len(values), np.float32)
  spread[rows[order]] = np.sqrt(near)
  return spread
