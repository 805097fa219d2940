import gzip

import numpy as np
import pytest

from nas_jax.data import idx
from nas_jax.data import images
from tests.data.helpers import ids
from tests.data.helpers import message_of
from tests.data.helpers import ramp


def _idx(array, magic=None):
  header = np.array([magic or 0x0800 + array.ndim, *array.shape], '>u4')
  return header.tobytes() + array.astype(np.uint8).tobytes()


def _write(folder, mark='-', pack=False, shift=0):
  folder.mkdir(parents=True, exist_ok=True)
  for part, size in (('train', 30), ('t10k', 10)):
    for content, array in (
        ('images', ramp(size, 5, 6) + np.uint8(shift)),
        ('labels', np.arange(size) % 3)):
      data = _idx(array)
      name = f'{part}-{content}{mark}idx{array.ndim}-ubyte'
      path = folder / (name + ('.gz' if pack else ''))
      path.write_bytes(gzip.compress(data) if pack else data)


@pytest.mark.parametrize('mark', ['-', '.'])
@pytest.mark.parametrize('pack', [False, True])
@pytest.mark.parametrize('name, folder', [
    ('mnist', ''), ('mnist', 'mnist'), ('mnist', 'MNIST/raw'),
    ('fashion_mnist', ''), ('fashion_mnist', 'fashion_mnist'),
    ('fashion_mnist', 'fashion-mnist')])
def test_idx_files_are_found_and_read(tmp_path, mark, pack, name, folder):
  _write(tmp_path / folder, mark, pack)
  data = images.load(name, str(tmp_path))
  assert data.train.images.shape == (27, 5, 6, 1)
  assert data.validation.images.shape == (3, 5, 6, 1)
  assert sorted(ids(data.train) + ids(data.validation)) == list(range(30))
  assert ids(data.test) == list(range(10))
  for split in (data.train, data.validation, data.test):
    assert split.labels.tolist() == [i % 3 for i in ids(split)]
  assert data.class_names == ('0', '1', '2')


def test_the_folder_of_a_data_set_goes_before_its_parent(tmp_path):
  _write(tmp_path)
  _write(tmp_path / 'fashion_mnist', shift=100)
  assert ids(images.load('mnist', str(tmp_path)).test)[0] == 0
  assert ids(images.load('fashion_mnist', str(tmp_path)).test)[0] == 100


def test_missing_file_is_named_in_all_its_forms(tmp_path):
  _write(tmp_path)
  (tmp_path / 't10k-labels-idx1-ubyte').unlink()
  assert message_of(images.load, 'mnist', str(tmp_path)) == (
      "data set 'mnist': no such file; looked for "
      f'{tmp_path}/t10k-labels-idx1-ubyte, '
      f'{tmp_path}/t10k-labels-idx1-ubyte.gz, '
      f'{tmp_path}/t10k-labels.idx1-ubyte, '
      f'{tmp_path}/t10k-labels.idx1-ubyte.gz')


def test_missing_data_set_names_all_folders(tmp_path):
  message = message_of(images.load, 'mnist', str(tmp_path))
  for folder in (tmp_path / 'mnist', tmp_path / 'MNIST' / 'raw', tmp_path):
    assert f'{folder}/train-images-idx3-ubyte.gz' in message


def test_wrong_magic_number_is_refused(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(_idx(np.zeros((2, 2, 2))))
  assert message_of(idx.read_array, path, 1) == (
      f'{path}: IDX magic number 2051, expected 2049 (unsigned bytes in 1 '
      'dimension)')
  path.write_bytes(_idx(np.zeros(20), magic=0x0D01))
  assert message_of(idx.read_array, path, 3) == (
      f'{path}: IDX magic number 3329, expected 2051 (unsigned bytes in 3 '
      'dimensions)')


@pytest.mark.parametrize('size, expected, state', [
    (0, 16, 'truncated'), (15, 16, 'truncated'), (16, 40, 'truncated'),
    (39, 40, 'truncated'), (41, 40, 'too long')])
def test_wrong_size_is_refused(tmp_path, size, expected, state):
  path = tmp_path / 'file'
  path.write_bytes((_idx(np.ones((2, 3, 4))) + b'more')[:size])
  assert message_of(idx.read_array, path, 3) == (
      f'{path} is {state}: {size} bytes found, {expected} bytes expected')


def test_truncated_gzip_file_is_refused(tmp_path):
  path = tmp_path / 'file.gz'
  noise = np.random.default_rng(0).integers(0, 256, (50, 10, 10))
  path.write_bytes(gzip.compress(_idx(noise))[:2000])
  message = message_of(idx.read_array, path, 3)
  assert message.startswith(f'{path} is truncated: ')
  assert message.endswith(' bytes found, 5016 bytes expected')


def test_gzip_file_without_its_checksum_is_refused(tmp_path):
  path = tmp_path / 'file.gz'
  path.write_bytes(gzip.compress(_idx(np.ones((2, 3, 4))))[:-3])
  assert message_of(idx.read_array, path, 3) == (
      f'{path} is truncated: the checksum at the end of the compressed file '
      'is missing')


def test_damaged_gzip_file_is_refused(tmp_path):
  path = tmp_path / 'file.gz'
  path.write_bytes(b'no gzip file at all')
  assert message_of(idx.read_array, path, 3).startswith(
      f'{path} is not a sound gzip file: ')


def test_labels_must_be_as_many_as_images(tmp_path):
  _write(tmp_path)
  (tmp_path / 'train-labels-idx1-ubyte').write_bytes(_idx(np.zeros(29)))
  assert message_of(images.load, 'mnist', str(tmp_path)) == (
      "data set 'mnist', train split: labels are uint8[29], expected integers "
      '[30], one per image')
