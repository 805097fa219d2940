"""Reads pickled numpy arrays without running code from the file."""

import io
import pathlib
import pickle
from typing import Any

import numpy as np


def read(path: pathlib.Path) -> Any:
  """Reads a pickle of Python containers and numeric numpy arrays.

  Strings pickled by Python 2 come back as bytes.

  Raises:
    ValueError: the file is truncated, is no pickle, or names a global that
      arrays do not need (such a file could run any code).
  """
  data = path.read_bytes()
  try:
    return _Unpickler(io.BytesIO(data), encoding='bytes').load()
  except _Refused as error:
    raise ValueError(
        f'{path} is refused: it names the global {error}, but a data set '
        'holds only containers and numeric numpy arrays') from None
  except Exception as error:  # Malformed pickles raise almost anything.
    raise ValueError(
        f'{path} is truncated or not a pickle of arrays: {len(data)} bytes '
        f'found, which end in {type(error).__name__}: {error}') from None


class _Refused(Exception):
  """Names a global that must not be looked up."""


class _Unpickler(pickle.Unpickler):
  """Resolves the few globals that plain arrays need, and no other."""

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) not in _GLOBALS:
      raise _Refused(f'{module}.{name}')
    return _GLOBALS[module, name]


def _numeric_dtype(name: str | bytes, *unused: bool) -> np.dtype:
  # Arrays of objects or of records are not data of an image set.
  text = name.decode('ascii') if isinstance(name, bytes) else name
  dtype = np.dtype(str(text))
  if dtype.kind not in 'biuf':
    raise _Refused(f'numpy.dtype({text!r})')
  # A copy, because the pickle goes on to set the byte order of its dtype.
  return np.dtype(dtype, copy=True)


def _latin1(text: str, encoding: str) -> bytes:
  # The only use that Python 3 makes of it: bytes in protocols 0 to 2.
  if encoding != 'latin1':
    raise _Refused(f'_codecs.encode(..., {encoding!r})')
  return text.encode('latin1')


def _globals() -> dict[tuple[str, str], Any]:
  # numpy.core was renamed in numpy 2; both names must load in both.
  reconstruct = np.zeros(1).__reduce__()[0]
  from_buffer = np.zeros(1).__reduce_ex__(5)[0]
  return {
      ('numpy.core.multiarray', '_reconstruct'): reconstruct,
      ('numpy._core.multiarray', '_reconstruct'): reconstruct,
      ('numpy.core.numeric', '_frombuffer'): from_buffer,
      ('numpy._core.numeric', '_frombuffer'): from_buffer,
      ('numpy', 'ndarray'): np.ndarray,
      ('numpy', 'dtype'): _numeric_dtype,
      ('_codecs', 'encode'): _latin1,
  }


_GLOBALS = _globals()
