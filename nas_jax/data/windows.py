"""Pieces of text that are learned at once: where they begin and end."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# AWD-LSTM draws lengths with this deviation, at least so long, at most so
# much longer than usual, and halves the mean of so many in a hundred.
_DEVIATION = 5.
_LEAST = 5
_LONGER = 20
_HALVED = .05


class Window(NamedTuple):
  """Rows start .. start + length - 1 of streams, and the tokens after them."""
  start: int
  length: int


def batchify(tokens: np.ndarray, batch_size: int) -> np.ndarray:
  """Lays a text out in streams that are read side by side.

  Args:
    tokens: int32[N].
    batch_size: number of streams.

  Returns:
    int32[T, B]; column b is a contiguous stretch of T = N // B tokens, and
    what remains at the end of the text is left out.

  Raises:
    ValueError: batch_size below 1, or streams shorter than two tokens.
  """
  if batch_size < 1:
    raise ValueError(f'batch_size {batch_size} must be at least 1')
  rows = len(tokens) // batch_size
  if rows < 2:
    raise ValueError(
        f'a text of {len(tokens)} tokens is too short for batch_size '
        f'{batch_size}: each row of the batch needs 2 tokens or more')
  return np.ascontiguousarray(
      tokens[:rows * batch_size].reshape(batch_size, rows).T)


def check(num_tokens: int, batch_size: int, bptt: int) -> None:
  """Raises ValueError unless each row of a batch has a window of `bptt`."""
  _check_bptt(bptt)
  if batch_size < 1:
    raise ValueError(f'batch_size {batch_size} must be at least 1')
  if num_tokens // batch_size < bptt + 1:
    raise ValueError(
        f'a text of {num_tokens} tokens gives each of the {batch_size} rows '
        f'of a batch {num_tokens // batch_size}, but a window of bptt {bptt} '
        f'needs {bptt + 1}: lower batch_size or bptt, or use a longer text')


def fixed(num_steps: int, bptt: int) -> list[Window]:
  """All windows of one length; the last may be shorter.

  Args:
    num_steps: T, rows of the streams; the last row is only predicted.
    bptt: length of windows.

  Raises:
    ValueError: bptt below 1, or streams without a window of that length.
  """
  _check_steps(num_steps, bptt)
  return [Window(start, min(bptt, num_steps - 1 - start))
          for start in range(0, num_steps - 1, bptt)]


def random(
    seed: int, epoch: int, num_steps: int, bptt: int, *,
    deviation: float = _DEVIATION,
) -> list[Window]:
  """The windows of an epoch, of random length, as AWD-LSTM draws them.

  The length is max(5, floor(N(bptt, 5))), with bptt halved in 5 of 100
  cases, and at most bptt + 20.

  Args:
    seed: non-negative, the same for all epochs of a run.
    epoch: from 0.
    num_steps: T, rows of the streams; the last row is only predicted.
    bptt: usual length of windows.
    deviation: 0 where a search has windows of bptt and of half of it only.

  Returns:
    Windows that follow on each other from row 0 to row T - 2; the last is
    cut off there.

  Raises:
    ValueError: bptt below 1, streams without a window of that length, or
      negative numbers.

  References:
    S. Merity, N. S. Keskar, R. Socher, "Regularizing and optimizing LSTM
    language models", 2018, section 5; the limit above is that of its code.
  """
  _check_steps(num_steps, bptt)
  if min(seed, epoch) < 0 or deviation < 0:
    raise ValueError(f'seed {seed}, epoch {epoch} and deviation {deviation} '
                     'must not be negative')
  bits = np.random.PCG64(np.random.SeedSequence((seed, epoch)))
  normal = statistics.NormalDist()
  windows, start = [], 0
  while start < num_steps - 1:
    # Raw bits: numpy promises to keep these, other draws may change.
    coin, place = ((bits.random_raw(2) >> 11) + .5) / 2**53
    mean = bptt / 2 if coin < _HALVED else bptt
    length = math.floor(mean + deviation * normal.inv_cdf(place))
    length = min(max(length, _LEAST), bptt + _LONGER, num_steps - 1 - start)
    windows.append(Window(start, length))
    start += length
  return windows


def capacities(bptt: int, randomly: bool) -> tuple[int, ...]:
  """Sizes to which windows are padded, few so that few programs compile.

  Args:
    bptt: usual length of windows.
    randomly: whether lengths are those of `random` or those of `fixed`.

  Returns:
    Ascending; the last holds every window. With random lengths a tenth of
    the steps is padding for bptt 35.
  """
  _check_bptt(bptt)
  if not randomly:
    return (bptt,)
  sizes = (bptt // 2 + _LEAST, bptt - 3, bptt + 3, bptt + 9, bptt + _LONGER)
  return tuple(sorted({max(size, _LEAST) for size in sizes}))


def capacity_of(length: int, sizes: Sequence[int]) -> int:
  """The least of the ascending sizes that holds a window of this length."""
  for size in sizes:
    if length <= size:
      return size
  raise ValueError(f'no size of {tuple(sizes)} holds a window of {length}')


def at(
    streams: np.ndarray, window: Window, capacity: int
) -> tuple[np.ndarray, np.ndarray]:
  """What a window reads and what it should predict.

  Args:
    streams: int32[T, B].
    window: within the streams.
    capacity: number of rows to return.

  Returns:
    inputs and targets int32[capacity, B], zero from window.length on.

  Raises:
    ValueError: the window is empty, ends outside the streams or exceeds the
      capacity.
  """
  start, length = window
  if not (0 <= start and 1 <= length <= min(
      capacity, len(streams) - 1 - start)):
    raise ValueError(
        f'a window of {length} from row {start} does not fit into capacity '
        f'{capacity} and streams of {len(streams)} rows, the last of which '
        'is only predicted')
  inputs, targets = np.zeros((2, capacity, streams.shape[1]), np.int32)
  inputs[:length] = streams[start:start + length]
  targets[:length] = streams[start + 1:start + 1 + length]
  return inputs, targets


def _check_bptt(bptt: int) -> None:
  if bptt < 1:
    raise ValueError(f'bptt {bptt}: a window has at least 1 step')


def _check_steps(num_steps: int, bptt: int) -> None:
  _check_bptt(bptt)
  if num_steps < bptt + 1:
    raise ValueError(
        f'streams of {num_steps} steps hold no window of bptt {bptt}, which '
        f'needs {bptt + 1}: lower batch_size or bptt, or use a longer text')
