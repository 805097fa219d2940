"""CIFAR-10 and CIFAR-100, from the binary or the Python files."""

import functools
import pathlib
from typing import NamedTuple

import numpy as np

from nas_jax.data import pickles
from nas_jax.data import source

_PIXELS = 3 * 32 * 32


class Files(NamedTuple):
  """One published form of a data set: names of files, and what they hold."""
  folder: str
  train: tuple[str, ...]
  test: str
  meta: str  # class names
  train_records: int  # in each of the training files
  test_records: int
  label_bytes: int  # binary files: bytes before the pixels; the last counts
  label_key: bytes  # Python files: entry with the labels
  names_key: bytes  # Python files: entry of `meta` with the class names


CIFAR10_BINARY = Files(
    folder='cifar-10-batches-bin',
    train=tuple(f'data_batch_{i}.bin' for i in range(1, 6)),
    test='test_batch.bin', meta='batches.meta.txt',
    train_records=10_000, test_records=10_000,
    label_bytes=1, label_key=b'', names_key=b'')
CIFAR10_PYTHON = Files(
    folder='cifar-10-batches-py',
    train=tuple(f'data_batch_{i}' for i in range(1, 6)),
    test='test_batch', meta='batches.meta',
    train_records=10_000, test_records=10_000,
    label_bytes=0, label_key=b'labels', names_key=b'label_names')
CIFAR100_BINARY = Files(
    folder='cifar-100-binary', train=('train.bin',), test='test.bin',
    meta='fine_label_names.txt', train_records=50_000, test_records=10_000,
    label_bytes=2, label_key=b'', names_key=b'')
CIFAR100_PYTHON = Files(
    folder='cifar-100-python', train=('train',), test='test', meta='meta',
    train_records=50_000, test_records=10_000,
    label_bytes=0, label_key=b'fine_labels', names_key=b'fine_label_names')

# Constants of the public code of DARTS (Liu et al., 2019).
_CIFAR10_MEAN = (0.49139968, 0.48215827, 0.44653124)
_CIFAR10_STD = (0.24703233, 0.24348505, 0.26158768)
_CIFAR100_MEAN = (0.5071, 0.4865, 0.4409)
_CIFAR100_STD = (0.2673, 0.2564, 0.2762)


def read_files(
    argument: str | None, data_dir: str | None, image_size: int | None, *,
    name: str, forms: tuple[Files, ...], mean: tuple[float, ...],
    std: tuple[float, ...]) -> source.Raw:
  """Reads the first of the published forms that is there.

  `data_dir` is the folder of the files or its parent. CIFAR-100 has its 100
  fine labels.

  Returns:
    Training and test images uint8[N, 32, 32, 3], in the order of the files.

  Raises:
    ValueError: a file is missing, of the wrong size, or not what its name
      says.

  References:
    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
    2009.
  """
  del argument, image_size
  root = source.data_folder(name, data_dir)
  found = source.first_existing(name, [
      folder / form.train[0]
      for form in forms for folder in (root / form.folder, root)])
  form = next(form for form in forms if form.train[0] == found.name)
  paths = [found.parent / file for file in (*form.train, form.test, form.meta)]
  absent = [path for path in paths if not path.is_file()]
  if absent:
    raise source.missing(name, absent)
  *train_paths, test_path, meta_path = paths
  read, read_names = (
      (_read_binary, _read_text_names) if form.label_bytes
      else (_read_python, _read_python_names))
  train = [read(path, form, form.train_records) for path in train_paths]
  return source.Raw(
      train=source.Split(*map(np.concatenate, zip(*train))),
      test=read(test_path, form, form.test_records),
      class_names=read_names(meta_path, form),
      mean=np.asarray(mean, np.float32), std=np.asarray(std, np.float32))


read_cifar10 = functools.partial(
    read_files, name='cifar10', forms=(CIFAR10_BINARY, CIFAR10_PYTHON),
    mean=_CIFAR10_MEAN, std=_CIFAR10_STD)
read_cifar100 = functools.partial(
    read_files, name='cifar100', forms=(CIFAR100_BINARY, CIFAR100_PYTHON),
    mean=_CIFAR100_MEAN, std=_CIFAR100_STD)


def _read_binary(
    path: pathlib.Path, form: Files, records: int) -> source.Split:
  data = np.fromfile(path, np.uint8)
  record = form.label_bytes + _PIXELS
  source.check_size(path, data.size, records * record)
  data = data.reshape(records, record)
  return source.Split(
      _to_images(data[:, form.label_bytes:]), data[:, form.label_bytes - 1])


def _read_python(
    path: pathlib.Path, form: Files, records: int) -> source.Split:
  batch = _read_dict(path, (b'data', form.label_key))
  pixels, labels = batch[b'data'], np.asarray(batch[form.label_key])
  if getattr(pixels, 'shape', None) != (records, _PIXELS) or (
      pixels.dtype != np.uint8):
    raise ValueError(
        f"{path}: entry 'data' is {_describe(pixels)}, expected "
        f'uint8[{records}, {_PIXELS}]')
  return source.Split(_to_images(pixels), labels)


def _read_text_names(path: pathlib.Path, form: Files) -> tuple[str, ...]:
  del form
  return tuple(path.read_text(encoding='utf-8').split())


def _read_python_names(path: pathlib.Path, form: Files) -> tuple[str, ...]:
  names = _read_dict(path, (form.names_key,))[form.names_key]
  # Python 2 wrote the names of CIFAR as bytes, a Python 3 copy has strings.
  return tuple(
      name.decode('utf-8') if isinstance(name, bytes) else str(name)
      for name in names)


def _read_dict(path: pathlib.Path, keys: tuple[bytes, ...]) -> dict:
  content = pickles.read(path)
  for key in keys:
    if not isinstance(content, dict) or key not in content:
      raise ValueError(
          f'{path}: no entry {key.decode()!r}; found {_describe(content)}')
  return content


def _describe(value: object) -> str:
  if isinstance(value, np.ndarray):
    return f'{value.dtype}{list(value.shape)}'
  if isinstance(value, dict):
    return f'the entries {sorted(map(str, value))}'
  return type(value).__name__


def _to_images(pixels: np.ndarray) -> np.ndarray:
  """Planes uint8[N, 3072] -> images uint8[N, 32, 32, 3]."""
  planes = pixels.reshape(-1, 3, 32, 32)
  return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
