"""What a running search says: a bar or plain lines, and TensorBoard events."""

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import os
import pathlib
import sys
import time
from typing import Any, NamedTuple, TextIO

from absl import logging


class Progress(NamedTuple):
  update: Callable[..., None]  # update(n=1, **metrics): n more are done.


class Scalars(NamedTuple):
  write: Callable[[int, Mapping[str, Any]], None]  # (step, {name: value})
  close: Callable[[], None]


@contextlib.contextmanager
def progress(
    total: int | None,
    label: str,
    initial: int = 0,
    *,
    unit: str = 'child',
    interval: float = 10.0,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
  """Shows how far a loop is.

  On a terminal this is a bar. Anywhere else it is plain lines, such as
  `search 12/50 | best 0.9612 | 3.1 s/child | 2 min left`: one at the start,
  one at the end, and between them one in `interval` seconds at most.

  >>> with progress(50, 'search', initial=12) as bar:
  ...   bar.update(best=0.9612)

  Args:
    total: number of units of the whole loop; None where nobody knows it.
    label: what the loop does, in a word.
    initial: units done before, by the run that this one resumes; they count
      as done but not towards the rate.
    unit: what one unit is called.
    interval: seconds between two lines.
    stream: where it is written; sys.stderr if None.
    clock: seconds, never falling.

  Raises:
    ValueError: initial is negative or beyond total.
  """
  if initial < 0 or (total is not None and initial > total):
    raise ValueError(f'initial is {initial}, total is {total}')
  stream = sys.stderr if stream is None else stream
  show = _bar if stream.isatty() else _lines
  with show(total, label, initial, unit, interval, stream, clock) as update:
    yield Progress(update)


def warn_of_divergence(label: str, epoch: int, learning_rate: float) -> None:
  """Says that a training diverged, and what may help."""
  logging.warning(
      '%s diverged in epoch %d: its learning_rate %g is too high for this '
      'architecture; choose a lower one', label, epoch, learning_rate)


def warn_of_search(label: str, record: Mapping[str, Any]) -> None:
  """Says what is wrong with a gradient search, if its epoch's line says so."""
  if record['warning']:
    logging.warning('%s, epoch %d: %s', label, record['epoch'],
                    record['warning'])


@contextlib.contextmanager
def epochs(
    folder: str | os.PathLike, total: int, label: str, *, initial: int,
    shown: Collection[str],
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
  """Gives a function that shows a record of each epoch; TensorBoard's, too.

  Args:
    folder: of the events.
    total: epochs in all.
    label: what is trained.
    initial: epochs done before.
    shown: what of a record is beside the bar.
  """
  board = scalars(folder)
  with progress(total, label, unit='epoch', initial=initial) as bar:
    def on_epoch(record: Mapping[str, Any]) -> None:
      numbers = {k: v for k, v in record.items() if v is not None}
      bar.update(**{k: v for k, v in numbers.items() if k in shown})
      board.write(record['epoch'], {
          k: v for k, v in numbers.items() if k not in ('epoch', 'seconds')})

    yield on_epoch
  board.close()


def scalars(folder: str | os.PathLike) -> Scalars:
  """A writer of TensorBoard events that may be opened again by a resumed run.

  The file is made at the first write. Its first step is where this run goes
  on: what a killed run wrote in the folder at that step or later is hidden by
  TensorBoard. A step that this writer has already written under a name is
  left out. Two loops that count their own steps need a folder each.
  """
  state: dict[str, Any] = {'writer': None, 'last': {}}

  def write(step: int, values: Mapping[str, Any]) -> None:
    if state['writer'] is None:
      state['writer'] = _open(folder, step)
    for name, value in values.items():
      if step > state['last'].get(name, -1):
        state['writer'].add_scalar(name, float(value), step)
        state['last'][name] = step
    state['writer'].flush()

  def close() -> None:
    if state['writer'] is not None:
      state['writer'].close()
      state.update(writer=None, last={})

  return Scalars(write, close)


def duration(seconds: float) -> str:
  """'8 s', '2 min', '1 h 05 min' or '3 d 04 h'."""
  seconds = max(0.0, float(seconds))
  if seconds < 99.5:
    return f'{seconds:.0f} s'
  minutes = round(seconds / 60)
  if minutes < 60:
    return f'{minutes} min'
  if minutes < 48 * 60:
    return f'{minutes // 60} h {minutes % 60:02d} min'
  hours = round(minutes / 60)
  return f'{hours // 24} d {hours % 24:02d} h'


@contextlib.contextmanager
def _bar(total, label, initial, unit, interval, stream, clock):
  """A tqdm bar; its own clock paces it."""
  del interval, clock
  import tqdm  # pylint: disable=g-import-not-at-top
  with tqdm.tqdm(total=total, desc=label, initial=initial, unit=unit,
                 file=stream, dynamic_ncols=True) as bar:

    def update(n: int = 1, **metrics: Any) -> None:
      if metrics:
        bar.set_postfix_str(', '.join(_metrics(metrics)), refresh=False)
      bar.update(n)

    yield update


@contextlib.contextmanager
def _lines(total, label, initial, unit, interval, stream, clock):
  """Plain lines."""
  start = clock()
  state = {'done': initial, 'metrics': {}, 'time': start, 'said': None}

  def say(now: float, last: bool = False) -> None:
    done, fresh = state['done'], state['done'] - initial
    count = f'{done}' if total is None else f'{done}/{total}'
    parts = [f'{label} {count}', *_metrics(state['metrics'])]
    if fresh > 0:
      rate = (now - start) / fresh
      parts.append(f'{_rate(rate, unit)}')
      if last or done == total:
        parts.append(f'{duration(now - start)} in all')
      elif total is not None:
        parts.append(f'{duration(rate * (total - done))} left')
    print(' | '.join(parts), file=stream, flush=True)
    state.update(time=now, said=done)

  def update(n: int = 1, **metrics: Any) -> None:
    state['done'] += n
    state['metrics'] |= metrics
    now = clock()
    if now - state['time'] >= interval:
      say(now)

  say(start)
  try:
    yield update
  finally:
    if state['said'] != state['done']:
      say(clock(), last=True)


def _open(folder: str | os.PathLike, step: int):
  import tensorboardX  # pylint: disable=g-import-not-at-top
  folder = pathlib.Path(folder)
  files = len(list(folder.glob('events.*'))) if folder.exists() else 0
  # The suffix keeps apart two files of one second.
  return tensorboardX.SummaryWriter(
      str(folder), purge_step=step, filename_suffix=f'.{files:04d}')


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
  return [f'{name} {_number(value)}' for name, value in metrics.items()]


def _number(value: Any) -> str:
  if isinstance(value, (str, int)):
    return str(value)
  value = float(value)
  if value == 0 or 1e-3 <= abs(value) < 100:
    return f'{value:.4f}'
  return f'{value:.4g}' if abs(value) < 1e4 else f'{value:,.0f}'


def _rate(seconds: float, unit: str) -> str:
  if seconds >= 0.1 or seconds <= 0:
    return f'{seconds:.1f} s/{unit}'
  return f'{1 / seconds:,.0f} {unit}/s'
