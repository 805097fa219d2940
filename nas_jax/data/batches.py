"""Which images make up each batch, as a pure function of (seed, epoch)."""

from typing import NamedTuple

import jax
import numpy as np

from nas_jax.data import source
from nas_jax.data import splits


class Batches(NamedTuple):
  """The batches of a pass over a split; places beyond its end are masked."""
  indices: np.ndarray  # int32[steps, batch_size], 0 where the mask is 0
  mask: np.ndarray  # float32[steps, batch_size], 1 for images, 0 for padding


def epoch_order(seed: int, epoch: int, size: int) -> np.ndarray:
  """The order of `size` images in an epoch, int32[size]."""
  return splits.random_order((seed, epoch), size)


def epoch_batches(
    seed: int, epoch: int, size: int, batch_size: int, *, drop_last: bool,
    fill_last: bool = False,
) -> Batches:
  """The batches of a training epoch, in random order.

  Args:
    seed: non-negative, the same for all epochs of a run.
    epoch: from 0.
    size: number of images.
    batch_size: images per step.
    drop_last: leave out the last size % batch_size images of the order;
      otherwise the last batch is padded with index 0 under mask 0.
    fill_last: instead of either, fill it with the first images of the order.

  Raises:
    ValueError: no batch at all, or sizes below 1.
  """
  if drop_last and size < batch_size:
    raise ValueError(
        f'batch_size {batch_size} exceeds the {size} images, so no batch is '
        'left: lower batch_size or pass drop_last=False')
  order = epoch_order(seed, epoch, size)
  if fill_last:
    order = np.concatenate([order, order[:-size % batch_size]])
  return _batches(order, batch_size, drop_last)


def eval_batches(size: int, batch_size: int) -> Batches:
  """All images once in their own order, the last batch padded."""
  return _batches(np.arange(size, dtype=np.int32), batch_size, False)


def to_device(
    split: source.Split, *, max_bytes: int = 2 << 30) -> source.Split:
  """Puts a split on the default device, if it has at most max_bytes (2 GiB).

  Indexing by a batch is then free of copies from the host. A larger split is
  returned as it is, in numpy.
  """
  if split.images.nbytes + split.labels.nbytes > max_bytes:
    return split
  return source.Split(*map(jax.device_put, split))


def _batches(order: np.ndarray, batch_size: int, drop_last: bool) -> Batches:
  size = len(order)
  if size < 1 or batch_size < 1:
    raise ValueError(
        f'cannot batch {size} images by batch_size {batch_size}: both must be '
        'at least 1')
  steps = size // batch_size if drop_last else -(-size // batch_size)
  indices = np.zeros(steps * batch_size, np.int32)
  mask = np.zeros(steps * batch_size, np.float32)
  used = min(size, steps * batch_size)
  indices[:used] = order[:used]
  mask[:used] = 1
  shape = (steps, batch_size)
  return Batches(indices.reshape(shape), mask.reshape(shape))
