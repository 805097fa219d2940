"""Helpers of the tests of data sets."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest


def message_of(function: Callable, *args, **kwargs) -> str:
  """The message of the ValueError that a call must raise."""
  with pytest.raises(ValueError) as error:
    function(*args, **kwargs)
  return str(error.value)


def write_npz(path: pathlib.Path, **changes) -> str:
  """Writes a small sound .npz data set, with `changes`; returns its name.

  A change to None leaves the array out. Every image is filled with its index.
  """
  arrays = {
      'x_train': ramp(20, 4, 4, 1), 'y_train': np.arange(20) % 2,
      'x_test': 100 + ramp(10, 4, 4, 1), 'y_test': np.arange(10) % 2}
  arrays.update(changes)
  np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
  return f'npz:{path}'


def ramp(*shape: int) -> np.ndarray:
  """uint8 images, each filled with its index."""
  values = np.arange(shape[0]).astype(np.uint8)
  return np.broadcast_to(
      values.reshape(-1, *[1] * (len(shape) - 1)), shape).copy()


def ids(split) -> list[int]:
  """The indices that fill the images of `ramp`."""
  return split.images[:, 0, 0, 0].tolist()
