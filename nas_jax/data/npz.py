"""Any images, from the arrays of a numpy .npz file."""

import pathlib
import zipfile
import zlib

import numpy as np

from nas_jax.data import source


def read(
    argument: str | None, data_dir: str | None, image_size: int | None
) -> source.Raw:
  """Reads x_train, y_train, x_test, y_test and more from the file `argument`.

  Images are [N, H, W] or [N, H, W, C], of uint8, or of floats in [0, 1],
  which are rounded to the nearest of 256 levels; labels are integers [N].
  The file may also hold x_validation with y_validation, and class_names.

  Raises:
    ValueError: no such file, not a whole .npz file, an array is missing, or
      is of another type than these.
  """
  del data_dir, image_size
  path = pathlib.Path(argument).expanduser()
  if not path.is_file():
    raise source.missing(f'npz:{argument}', [path])
  arrays = _read_arrays(path)
  class_names = None
  if 'class_names' in arrays:
    class_names = tuple(str(name) for name in arrays['class_names'])
  validation = None
  if 'x_validation' in arrays or 'y_validation' in arrays:
    validation = _split(path, arrays, 'validation')
  return source.Raw(
      train=_split(path, arrays, 'train'), validation=validation,
      test=_split(path, arrays, 'test'), class_names=class_names)


def _read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  broken = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError)
  try:
    # Opened here, as numpy would take anything but a zip file for a pickle.
    with zipfile.ZipFile(path):
      pass
    # Pickles, which could run code, are refused.
    with np.load(path, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except broken as error:
    raise ValueError(
        f'{path} is truncated or not an .npz file of plain arrays: '
        f'{path.stat().st_size} bytes found; {error}') from None


def _split(
    path: pathlib.Path, arrays: dict[str, np.ndarray], part: str
) -> source.Split:
  for name in (f'x_{part}', f'y_{part}'):
    if name not in arrays:
      raise ValueError(
          f'{path}: no array {name!r}; found {sorted(arrays)}, expected '
          'x_train, y_train, x_test, y_test')
  images = _as_bytes(path, f'x_{part}', arrays[f'x_{part}'])
  return source.Split(source.with_channels(images), arrays[f'y_{part}'])


def _as_bytes(
    path: pathlib.Path, name: str, images: np.ndarray) -> np.ndarray:
  if images.dtype == np.uint8:
    return images
  if images.dtype.kind != 'f':
    raise ValueError(
        f'{path}: {name} is of {images.dtype}, expected uint8, or floats in '
        '[0, 1]')
  # Written so that NaN fails it too.
  if images.size and not (images.min() >= 0 and images.max() <= 1):
    raise ValueError(
        f'{path}: {name} holds floats from {images.min()} to {images.max()}, '
        'expected uint8, or floats in [0, 1]')
  return np.round(images * 255).astype(np.uint8)
