"""Where a population is kept: directories, or the memory of one process.

Both hold individuals by name; what the names mean is said in fleet.py. Each of
their operations is atomic, or leaves behind what is recognised as damaged.
"""

from collections.abc import Iterator
import contextlib
import errno
import json
import os
import pathlib
import shutil
import time
from typing import Any
import uuid
import zipfile

import numpy as np

from nas_jax import records

Record = dict[str, Any]  # that JSON can say
Arrays = dict[str, np.ndarray]

_RECORD, _ARRAYS = 'individual.json', 'weights.npz'
# Of a directory that another process has renamed or deleted.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class ConcurrencyError(Exception):
  """Another process has changed the individual: give up and start over."""


class DamagedError(Exception):
  """What an individual has written cannot be read."""


class Disk:
  """Directories in `population`, records of deleted ones in `history`."""

  def __init__(self, folder: pathlib.Path):
    self._folder = folder / 'population'
    self._history = folder / 'history'
    for path in (self._folder, self._history):
      path.mkdir(parents=True, exist_ok=True)

  def names(self):
    with os.scandir(self._folder) as entries:
      return [e.name for e in entries if e.is_dir(follow_symlinks=False)]

  def buried(self):
    return [name.removesuffix('.json') for name in os.listdir(self._history)
            if name.endswith('.json')]

  def write(self, name, record, arrays, new=False):
    path = self._folder / name
    with _nobody_else():
      if new:
        path.mkdir()
      if arrays is not None:
        with open(path / _ARRAYS, 'wb') as f:
          np.savez(f, **arrays)
          f.flush()
          os.fsync(f.fileno())
      records.write_json(path / _RECORD, record)

  def rename(self, old, new):
    rename(self._folder / old, self._folder / new)

  def read(self, name):
    path = self._folder / name
    try:
      with np.load(path / _ARRAYS, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
      raise _why(path, e) from e
    record = self.record(name)
    if not path.is_dir():  # What was read may be half of it.
      raise ConcurrencyError(name)
    return record, arrays

  def record(self, name):
    return _read_record(self._folder / name, self._folder / name / _RECORD)

  def buried_record(self, name):
    return _read_record(self._history, self._history / f'{name}.json')

  def touch(self, name):
    touch(self._folder / name)

  def is_old(self, name, seconds):
    return is_old(self._folder / name, seconds)

  def bury(self, name, buried):
    path = self._folder / name
    with contextlib.suppress(ConcurrencyError):  # It had none, or is moved.
      rename(path / _RECORD, self._history / f'{buried}.json')
    shutil.rmtree(path, ignore_errors=True)


class Memory:
  """Two dictionaries; each of their operations is atomic."""

  def __init__(self):
    self._content: dict[str, tuple[str, dict[str, np.ndarray]]] = {}
    self._history: dict[str, str] = {}

  def names(self):
    return list(self._content)

  def buried(self):
    return list(self._history)

  def write(self, name, record, arrays, new=False):
    if not new and name not in self._content:
      raise ConcurrencyError(name)
    self._content[name] = json.dumps(record, allow_nan=False), {
        key: np.array(value) for key, value in (arrays or {}).items()}

  def rename(self, old, new):
    content = self._content.pop(old, None)
    if content is None:
      raise ConcurrencyError(old)
    self._content[new] = content

  def read(self, name):
    return self.record(name), {
        key: value.copy() for key, value in self._content[name][1].items()}

  def record(self, name):
    if name not in self._content:
      raise ConcurrencyError(name)
    return json.loads(self._content[name][0])

  def buried_record(self, name):
    return json.loads(self._history[name])

  def touch(self, name):
    if name not in self._content:
      raise ConcurrencyError(name)

  def is_old(self, name, seconds):
    return False

  def bury(self, name, buried):
    content = self._content.pop(name, None)
    if content is not None:
      self._history[buried] = content[0]


@contextlib.contextmanager
def _nobody_else() -> Iterator[None]:
  """A missing directory means that another process was faster."""
  try:
    yield
  except OSError as e:
    if e.errno in _GONE:
      raise ConcurrencyError(e.filename) from e
    raise


def rename(old: pathlib.Path, new: pathlib.Path) -> None:
  with _nobody_else():
    os.rename(old, new)


def touch(path: pathlib.Path) -> None:
  with _nobody_else():
    os.utime(path)


def is_old(path: pathlib.Path, seconds: float) -> bool:
  """By the clock of the file system, which all processes share."""
  try:
    changed = path.stat().st_mtime
  except OSError:
    return False
  if time.time() - changed < seconds / 2:
    return False  # It saves the probe; clocks differ less than leases.
  probe = path.with_name(f'probe.{uuid.uuid4().hex}')
  probe.touch()
  now = probe.stat().st_mtime
  probe.unlink()
  return now - changed > seconds


def _read_record(folder: pathlib.Path, path: pathlib.Path) -> Record:
  try:
    record = records.read_json(path)
  except ValueError as e:
    raise _why(folder, e) from e
  if not isinstance(record, dict):
    raise DamagedError(f'{path} holds no record')
  return record


def _why(folder: pathlib.Path, error: Exception) -> Exception:
  """Why an individual could not be read: another process, damage, the disk."""
  if not folder.is_dir():
    return ConcurrencyError(folder.name)
  cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
  if isinstance(cause, OSError) and cause.errno not in _GONE:
    return cause
  return DamagedError(str(error))
