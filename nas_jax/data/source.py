"""What a reader of images returns, and the checks that readers share."""

import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
  """Labelled images."""
  images: np.ndarray  # uint8[N, H, W, C]
  labels: np.ndarray  # int32[N]


class Raw(NamedTuple):
  """A data set as its files hold it; what is None is derived by the caller."""
  train: Split
  validation: Split | None = None
  test: Split | None = None
  class_names: tuple[str, ...] | None = None
  mean: np.ndarray | None = None  # float32[C], published, on the 0..1 scale
  std: np.ndarray | None = None  # float32[C]


# (what follows the colon of the name or None, data_dir, image_size) -> Raw.
# Only readers whose files may differ in size need to look at image_size.
Reader = Callable[[str | None, str | None, int | None], Raw]


def data_folder(name: str, data_dir: str | None) -> pathlib.Path:
  """The folder of --data_dir; ValueError where missing or not a folder."""
  if data_dir is None:
    raise ValueError(
        f'data set {name!r} is read from files: pass --data_dir=DIR, the '
        'folder that holds them')
  folder = pathlib.Path(data_dir).expanduser()
  if not folder.is_dir():
    raise ValueError(
        f'--data_dir={data_dir} is not a folder; data set {name!r} is read '
        'from there')
  return folder


def first_existing(
    name: str, candidates: Sequence[pathlib.Path]) -> pathlib.Path:
  """The first file that exists; ValueError lists all that were looked for."""
  for path in candidates:
    if path.is_file():
      return path
  raise missing(name, candidates)


def missing(name: str, paths: Iterable[pathlib.Path]) -> ValueError:
  """The error that says which files of a data set were looked for."""
  listed = ', '.join(str(path) for path in paths)
  return ValueError(f'data set {name!r}: no such file; looked for {listed}')


def check_size(path: pathlib.Path, found: int, expected: int) -> None:
  """ValueError with both sizes where a file is cut off or too long."""
  if found != expected:
    state = 'truncated' if found < expected else 'too long'
    raise ValueError(
        f'{path} is {state}: {found} bytes found, {expected} bytes expected')


def with_channels(images: np.ndarray) -> np.ndarray:
  """[N, H, W] -> [N, H, W, 1]; anything else is returned as it is."""
  return images[..., None] if images.ndim == 3 else images


def stack(images: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
  """Stacks images of one size into an array.

  Args:
    images: arrays [H, W, C] or [H, W].
    names: of each image, for the error message.

  Returns:
    [N, H, W, C].

  Raises:
    ValueError: naming two images, where their sizes differ.
  """
  for image, name in zip(images, names, strict=True):
    if image.shape != images[0].shape:
      raise ValueError(
          f'images must be of one size: {names[0]} is {_size(images[0])} and '
          f'{name} is {_size(image)} (height x width x channels); pass '
          'image_size to resize all of them')
  return with_channels(np.stack(images))


def resize(image: np.ndarray, size: int) -> np.ndarray:
  """Resizes a uint8[H, W, C] to [size, size, C], bilinear, sides not kept."""
  from PIL import Image
  if image.shape[:2] == (size, size):
    return image
  # One channel at a time, so that any number of channels will do.
  channels = [
      np.asarray(Image.fromarray(channel).resize(
          (size, size), Image.Resampling.BILINEAR))
      for channel in np.moveaxis(np.ascontiguousarray(image), -1, 0)]
  return np.stack(channels, axis=-1)


def _size(image: np.ndarray) -> str:
  return ' x '.join(str(side) for side in image.shape)
