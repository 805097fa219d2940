"""JSON files of a run: appended lines, and whole files replaced atomically."""

from collections.abc import Callable, Iterable
import json
import os
import pathlib
from typing import Any

Path = str | os.PathLike


def append(path: Path, records: Iterable[dict[str, Any]]) -> None:
  """Appends one line per record and waits until they are on the disk."""
  text = ''.join(json.dumps(r, allow_nan=False) + '\n' for r in records)
  _write(path, 'a', text)


def read(path: Path) -> list[dict[str, Any]]:
  """The records of a JSON-lines file; [] where there is none.

  A last line without an end, as a killed process leaves it, is not read.

  Raises:
    ValueError: a complete line that is not JSON, with its number.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return []
  *lines, _ = path.read_text('utf-8', errors='replace').split('\n')
  records = []
  for number, line in enumerate(lines, 1):
    try:
      records.append(json.loads(line))
    except json.JSONDecodeError as e:
      raise ValueError(f'{path}, line {number} is not JSON: {e}') from e
  return records


def rewrite(path: Path, records: Iterable[dict[str, Any]]) -> None:
  """Replaces a JSON-lines file atomically."""
  write_text(path, ''.join(
      json.dumps(r, allow_nan=False) + '\n' for r in records))


def write_text(path: Path, text: str) -> None:
  """Replaces a file atomically."""
  temporary = f'{os.fspath(path)}.tmp'
  _write(temporary, 'w', text)
  os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
  """Replaces a JSON file atomically."""
  write_text(path, json.dumps(value, indent=2, allow_nan=False) + '\n')


def read_json(path: Path) -> Any:
  """The value of a JSON file.

  Raises:
    ValueError: the file is missing or not JSON.
  """
  try:
    return json.loads(pathlib.Path(path).read_text('utf-8'))
  except OSError as e:
    raise ValueError(f'cannot read {path}: {e.strerror}') from e
  except ValueError as e:
    raise ValueError(f'{path} is not a JSON file: {e}') from e


def once(path: Path, make: Callable[[], Any]) -> Any:
  """The value of a JSON file, which is made first where there is none."""
  path = pathlib.Path(path)
  if not path.exists():
    write_json(path, make())
  return read_json(path)


def _write(path: Path, mode: str, text: str) -> None:
  """Writes and waits for the disk; an OSError names the file."""
  try:
    with open(path, mode, encoding='utf-8') as f:
      f.write(text)
      f.flush()
      os.fsync(f.fileno())
  except OSError as e:
    e.filename = e.filename or os.fspath(path)
    raise
