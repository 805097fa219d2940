"""MNIST and Fashion-MNIST, from IDX files, compressed or not."""

import functools
import pathlib
import zlib

import numpy as np

from nas_jax.data import source


def read_files(
    argument: str | None, data_dir: str | None, image_size: int | None, *,
    name: str, folders: tuple[str, ...]) -> source.Raw:
  """Reads the four IDX files of a data set.

  `data_dir` is the folder of the files, or the parent of a folder that is
  named after the data set. Files may end in .gz, and may have a dot in place
  of the dash before `idx`.

  Returns:
    Training and test images uint8[N, H, W, 1].

  Raises:
    ValueError: a file is missing, truncated, or of another type.

  References:
    Y. LeCun, C. Cortes, C. Burges, "The MNIST database", 1998.
    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017.
  """
  del argument, image_size
  root = source.data_folder(name, data_dir)
  # The folder of its own goes first: beside it may lie another data set.
  places = [root / folder for folder in (*folders, '')]
  first = source.first_existing(name, _names(places, 'train-images', 3))
  read = functools.partial(_read_split, name, first.parent)
  return source.Raw(train=read('train'), test=read('t10k'))


def read_array(path: pathlib.Path, rank: int) -> np.ndarray:
  """Reads one IDX file of unsigned bytes.

  Args:
    path: a file; it is decompressed where its name ends in .gz.
    rank: number of dimensions that it must have.

  Returns:
    uint8 array of that rank.

  Raises:
    ValueError: wrong magic number, or not the size that the header says.
  """
  data = path.read_bytes()
  whole = True
  if path.suffix == '.gz':
    data, whole = _decompress(path, data)
  header = 4 + 4 * rank
  if len(data) < header:
    source.check_size(path, len(data), header)
  magic = int.from_bytes(data[:4], 'big')
  expected = 0x0800 + rank
  if magic != expected:
    raise ValueError(
        f'{path}: IDX magic number {magic}, expected {expected} (unsigned '
        f'bytes in {rank} dimension{"s" if rank > 1 else ""})')
  shape = np.frombuffer(data, '>u4', count=rank, offset=4).astype(int)
  source.check_size(path, len(data), header + int(np.prod(shape)))
  if not whole:
    raise ValueError(
        f'{path} is truncated: the checksum at the end of the compressed '
        'file is missing')
  return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


read_mnist = functools.partial(
    read_files, name='mnist', folders=('mnist', 'MNIST/raw'))
read_fashion_mnist = functools.partial(
    read_files, name='fashion_mnist',
    folders=('fashion_mnist', 'fashion-mnist', 'FashionMNIST/raw'))


def _read_split(name: str, folder: pathlib.Path, part: str) -> source.Split:
  images, labels = (
      read_array(source.first_existing(
          name, _names([folder], f'{part}-{content}', rank)), rank)
      for content, rank in (('images', 3), ('labels', 1)))
  return source.Split(source.with_channels(images), labels)


def _names(
    folders: list[pathlib.Path], stem: str, rank: int) -> list[pathlib.Path]:
  return [folder / f'{stem}{mark}idx{rank}-ubyte{ending}'
          for folder in folders for mark in '-.' for ending in ('', '.gz')]


def _decompress(path: pathlib.Path, data: bytes) -> tuple[bytes, bool]:
  """What can be decompressed, and whether that is all of it."""
  decoder = zlib.decompressobj(wbits=31)  # 31 stands for the gzip format
  try:
    return decoder.decompress(data), decoder.eof
  except zlib.error as error:
    raise ValueError(f'{path} is not a sound gzip file: {error}') from None
