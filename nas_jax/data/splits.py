"""Deterministic choice of images, in proportion to the classes."""

import numpy as np


def random_order(entropy: int | tuple[int, ...], size: int) -> np.ndarray:
  """A permutation of range(size) that depends on the arguments only.

  It sorts the raw output of a bit generator, which numpy promises to keep,
  and not `Generator.permutation`, which may change between its releases.

  Args:
    entropy: non-negative integers, such as (seed, epoch).
    size: N.

  Returns:
    int32[N].

  Raises:
    ValueError: a negative number.
  """
  if np.min(entropy) < 0 or size < 0:
    raise ValueError(
        f'seed (and epoch) {entropy} and size {size} must not be negative')
  bits = np.random.PCG64(np.random.SeedSequence(entropy))
  order = np.argsort(bits.random_raw(size), kind='stable')
  return order.astype(np.int32)


def stratified(
    labels: np.ndarray, size: int, seed: int, *, leave: int
) -> tuple[np.ndarray, np.ndarray]:
  """Chooses images so that every class has its share.

  Shares are rounded to whole images; where there is room, every class is
  among the chosen, however small it is.

  Args:
    labels: int[N], none negative.
    size: how many to choose.
    seed: non-negative.
    leave: how many images of every class must not be chosen (0 or 1).

  Returns:
    The chosen and the other indices, both int32 and ascending.

  Raises:
    ValueError: `size` is not in 1..N less what must be left.
  """
  counts = np.bincount(labels)
  most = np.maximum(counts - leave, 0)
  if not 1 <= size <= most.sum():
    raise ValueError(
        f'cannot choose {size} of {len(labels)} images: at least 1 and, with '
        f'{leave} of each class left, at most {most.sum()} can be chosen')
  quotas = _quotas(counts, most, size)
  order = random_order(seed, len(labels))
  by_class = order[np.argsort(labels[order], kind='stable')]
  starts = np.cumsum(counts) - counts
  rank = np.arange(len(labels)) - starts[labels[by_class]]
  chosen = np.zeros(len(labels), bool)
  chosen[by_class[rank < quotas[labels[by_class]]]] = True
  indices = np.arange(len(labels), dtype=np.int32)
  return indices[chosen], indices[~chosen]


def _quotas(counts: np.ndarray, most: np.ndarray, size: int) -> np.ndarray:
  """Largest remainders, kept between 1 (if there is room) and `most`."""
  present = most > 0
  least = (present & (size >= present.sum())).astype(np.int64)
  ideal = counts * (size / counts.sum())
  quotas = np.clip(np.floor(ideal).astype(np.int64), least, most)
  # A bounded number of rounds: each moves the sum by one towards `size`.
  while quotas.sum() < size:
    quotas[np.argmax(np.where(quotas < most, ideal - quotas, -np.inf))] += 1
  while quotas.sum() > size:
    quotas[np.argmax(np.where(quotas > least, quotas - ideal, -np.inf))] -= 1
  return quotas
