"""Rebuilds the published files of CIFAR-10 from the shared test data."""

import concurrent.futures
import hashlib
import lzma
import os
import pathlib
import pickle

import numpy as np

NAMES = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog',
         'horse', 'ship', 'truck')
BATCHES = (*[f'data_batch_{i}' for i in range(1, 6)], 'test_batch')


def write_binary(packed: pathlib.Path, folder: pathlib.Path) -> None:
  """Writes cifar-10-batches-bin; files that are there already are kept.

  Every file is checked against the SHA-1 sum of the published one.
  """
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'batches.meta.txt').write_text('\n'.join(NAMES) + '\n\n')

  def write(name: str) -> None:
    path = folder / f'{name}.bin'
    with np.load(packed / f'{name}.npz') as file:
      expected = str(file['sha1'])
      if path.exists() and sha1(path) == expected:
        return
      planes, labels = decode(file['x']), file['y']
    # Under another name first: an interrupted run must leave no half file.
    partial = path.with_suffix(f'.{os.getpid()}')
    np.concatenate([labels[:, None], planes], axis=1).tofile(partial)
    assert sha1(partial) == expected, name
    os.replace(partial, path)

  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    list(pool.map(write, BATCHES))


def write_python(binary: pathlib.Path, folder: pathlib.Path) -> None:
  """Writes cifar-10-batches-py from the binary files."""
  folder.mkdir(parents=True)
  for name in BATCHES:
    rows = np.fromfile(binary / f'{name}.bin', np.uint8).reshape(-1, 3073)
    batch = {
        b'data': rows[:, 1:].copy(), b'labels': rows[:, 0].tolist(),
        b'filenames': [b'%05d.png' % i for i in range(len(rows))],
        b'batch_label': name.encode()}
    (folder / name).write_bytes(pickle.dumps(batch, protocol=4))
  meta = {b'label_names': [name.encode() for name in NAMES],
          b'num_cases_per_batch': 10_000, b'num_vis': 3072}
  (folder / 'batches.meta').write_bytes(pickle.dumps(meta, protocol=2))


def sha1(path: pathlib.Path) -> str:
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha1').hexdigest()


def decode(stream: np.ndarray) -> np.ndarray:
  """Undoes xz, JPEG-LS median prediction and (G, R-G, B-G) planes.

  Args:
    stream: uint8, an xz file.

  Returns:
    uint8[N, 3072], planes R, G, B.
  """
  residual = np.frombuffer(lzma.decompress(stream.tobytes()), np.uint8)
  residual = residual.reshape(-1, 32, 32).transpose(1, 2, 0)
  plane = np.zeros((33, 33, residual.shape[2]), np.int16)
  # A pixel depends on those to its left and above, so that the pixels of one
  # anti-diagonal can be decoded together.
  for diagonal in range(63):
    i = np.arange(max(0, diagonal - 31), min(diagonal, 31) + 1)
    j = diagonal - i
    left, above, corner = plane[i + 1, j], plane[i, j + 1], plane[i, j]
    median = np.clip(left + above - corner, np.minimum(left, above),
                     np.maximum(left, above))
    predicted = np.where(
        (i == 0)[:, None], left, np.where((j == 0)[:, None], above, median))
    plane[i + 1, j + 1] = (residual[i, j] + predicted) & 255
  green, red, blue = plane[1:, 1:].transpose(2, 0, 1).astype(
      np.uint8).reshape(3, -1, 1024)
  half = np.uint8(128)
  return np.concatenate(
      [red + green - half, green, blue + green - half], axis=1)
