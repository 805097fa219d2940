"""History and checkpoints of a run that agree with each other."""

from collections.abc import Iterator
import contextlib
import math
import os
import pathlib
from typing import Any, NamedTuple

from absl import logging

from nas_jax import checkpoint
from nas_jax import records as jsonl

Record = dict[str, Any]


def number(value: Any) -> float | None:
  """A scalar for a record; None, as JSON has no other, if not finite."""
  value = float(value)
  return value if math.isfinite(value) else None


def at(workdir: str | os.PathLike, done: int, state: Any,
       checkpoints: str = 'checkpoints/search') -> Any:
  """The state that a journal has kept of an earlier unit.

  Args:
    workdir: of the journal.
    done: units that it had counted.
    state: of the same structure.
    checkpoints: name of its folder of checkpoints.

  Raises:
    ValueError: there is no whole checkpoint of this unit.
  """
  folder = pathlib.Path(workdir) / checkpoints
  found = checkpoint.restore(folder, _Checkpoint(0, state), before=done + 1)
  if found is None or found[0] != done:
    raise ValueError(f'{folder} has no checkpoint after {done}, only after '
                     f'{checkpoint.steps(folder)}')
  return found[1].state


class _Checkpoint(NamedTuple):
  lines: int  # of the history, when the checkpoint was written
  state: Any


class Journal:
  """Keeps a file of lines and a folder of checkpoints of a workdir.

  The lines of a unit (a round or a step) are on the disk before its
  checkpoint is, so a checkpoint can be trusted only with its lines.
  """

  def __init__(
      self,
      workdir: str | os.PathLike | None,
      unit: str,
      checkpoint_every: int,
      keep: int,
      *,
      history: str = 'history.jsonl',
      checkpoints: str = 'checkpoints/search',
  ):
    """A journal; without a workdir nothing is written.

    Args:
      workdir: made if it does not exist.
      unit: the field of a record that counts, 'round' or 'step'.
      checkpoint_every: units between checkpoints.
      keep: checkpoints to keep.
      history: name of the file of lines.
      checkpoints: name of the folder of checkpoints.

    Raises:
      ValueError: an argument out of range.
    """
    if checkpoint_every < 1 or keep < 1:
      raise ValueError(f'checkpoint_every {checkpoint_every} and keep {keep} '
                       'must be at least 1')
    self._unit = unit
    self._every = checkpoint_every
    self._keep = keep
    self._workdir = None if workdir is None else pathlib.Path(workdir)
    if workdir is not None:
      self._history = self._workdir / history
      self._checkpoints = self._workdir / checkpoints
    self._done = None  # units, lines, state: replaced as one
    self._saved = 0

  def resume(self, state: Any) -> tuple[Any, list[Record]]:
    """The newest state that checkpoint and history agree on, and its lines.

    Lines of later units are cut off. Without such a state it is `state`, and
    the history is empty.

    Raises:
      ValueError: a checkpoint of another search, or a damaged history.
    """
    self._done = 0, 0, state
    if self._workdir is None:
      return state, []
    self._workdir.mkdir(parents=True, exist_ok=True)
    lines = jsonl.read(self._history)
    for i, line in enumerate(lines, 1):
      if not isinstance(line, dict) or self._unit not in line:
        raise ValueError(f'{self._history}, line {i} has no '
                         f'{self._unit!r}: {line!r}')
    before = None
    kept = []
    while found := checkpoint.restore(
        self._checkpoints, _Checkpoint(0, state), before=before):
      done, (count, saved) = found
      kept = [line for line in lines if line[self._unit] < done]
      if len(kept) == count:
        self._done = done, count, saved
        self._saved = done
        break
      logging.warning(
          '%s has %d lines before %s %d, but its checkpoint was written '
          'after %d: passing it over', self._history, len(kept), self._unit,
          done, count)
      before, kept = done, []
    if len(kept) < len(lines):
      logging.info('cutting %s from %d to %d lines', self._history,
                   len(lines), len(kept))
    # Also removes a line that was cut off while it was written.
    jsonl.rewrite(self._history, kept)
    return self._done[2], kept

  def commit(
      self, done: int, state: Any, records: list[Record], *, last: bool
  ) -> None:
    """Writes the records of a unit, then its checkpoint when it is due.

    Raises:
      checkpoint.CheckpointError: they could not be written.
    """
    if self._workdir is not None and records:
      try:
        jsonl.append(self._history, records)
      except OSError as e:
        raise checkpoint.CheckpointError(
            f'could not write to {self._history}: {e.strerror or e}') from e
    self._done = done, self._done[1] + len(records), state
    if last or done % self._every == 0:
      self._save()

  @contextlib.contextmanager
  def saved_on_interrupt(self) -> Iterator[None]:
    """Checkpoints the last completed unit if the user interrupts."""
    try:
      yield
    except KeyboardInterrupt:
      self._save()
      raise

  def _save(self) -> None:
    done, lines, state = self._done
    if self._workdir is None or done == self._saved:
      return
    checkpoint.save(self._checkpoints, done, _Checkpoint(lines, state),
                    keep=self._keep)
    self._saved = done
