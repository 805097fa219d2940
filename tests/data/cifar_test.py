import fractions
import hashlib
import os
import pickle

import numpy as np
import pytest

from nas_jax.data import cifar
from nas_jax.data import images
from nas_jax.data import pickles
from tests.data.helpers import message_of

# A pickle as Python 2 wrote those of CIFAR: {'data': uint8[2, 6],
# 'labels': [0, 1]}.
_PYTHON2_PICKLE = (
    b'\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\n'
    b'ndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02K\x06\x86cnumpy\ndtype\n'
    b'U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff'
    b'K\x00tb\x89U\x0cabcdefghijkltbU\x06labels](K\x00K\x01eu.')

_TINY_BINARY = cifar.CIFAR10_BINARY._replace(train_records=4, test_records=2)
_TINY_PYTHON = cifar.CIFAR10_PYTHON._replace(train_records=4, test_records=2)
_TINY_BINARY100 = cifar.CIFAR100_BINARY._replace(
    train_records=4, test_records=2)
_TINY_PYTHON100 = cifar.CIFAR100_PYTHON._replace(
    train_records=4, test_records=2)


def _read(folder, *forms, name='cifar10'):
  return cifar.read_files(
      None, str(folder), None, name=name, forms=forms, mean=(0., 0., 0.),
      std=(1., 1., 1.))


def _rows(seed, records):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (records, 3072), dtype=np.uint8)


def _write_binary(folder, form):
  folder.mkdir()
  for i, file in enumerate((*form.train, form.test)):
    records = 2 if file == form.test else 4
    labels = np.full((records, form.label_bytes), 77, np.uint8)
    labels[:, -1] = np.arange(records)
    np.concatenate([labels, _rows(i, records)], axis=1).tofile(folder / file)
  (folder / form.meta).write_text('a\nb\nc\nd\n\n')


def _write_python(folder, form, protocol=2):
  folder.mkdir()
  for i, file in enumerate((*form.train, form.test)):
    records = 2 if file == form.test else 4
    batch = {b'data': _rows(i, records), b'coarse_labels': [77] * records,
             form.label_key: list(range(records))}
    (folder / file).write_bytes(pickle.dumps(batch, protocol))
  names = {form.names_key: [b'a', b'b', b'c', b'd']}
  (folder / form.meta).write_bytes(pickle.dumps(names, protocol))


@pytest.fixture(scope='module', params=['binary', 'python'])
def real(request, cifar10_folder):
  """CIFAR-10 as read from the binary, then from the Python files."""
  sub = {'binary': 'cifar-10-batches-bin', 'python': 'cifar-10-batches-py'}
  return images.load('cifar10', str(cifar10_folder / sub[request.param]))


def test_cifar10_has_its_published_content(real):
  assert real.train.images.shape == (45_000, 32, 32, 3)
  assert real.validation.images.shape == (5_000, 32, 32, 3)
  assert real.test.images.shape == (10_000, 32, 32, 3)
  assert np.bincount(real.train.labels).tolist() == [4_500] * 10
  assert np.bincount(real.validation.labels).tolist() == [500] * 10
  assert np.bincount(real.test.labels).tolist() == [1_000] * 10
  assert real.class_names[3] == 'cat' and real.num_classes == 10
  np.testing.assert_array_equal(
      real.mean, np.float32([0.49139968, 0.48215827, 0.44653124]))
  np.testing.assert_array_equal(
      real.std, np.float32([0.24703233, 0.24348505, 0.26158768]))
  # The SHA-1 sum of the published test_batch.bin.
  planes = real.test.images.transpose(0, 3, 1, 2).reshape(10_000, -1)
  records = np.concatenate(
      [real.test.labels.astype(np.uint8)[:, None], planes], axis=1)
  assert hashlib.sha1(records.tobytes()).hexdigest() == (
      '67eb016db431130d61cd03c7ad570b013799c88c')


def test_both_forms_of_cifar10_are_equal(cifar10_folder):
  binary, python = (
      cifar.read_cifar10(None, str(cifar10_folder / folder), None)
      for folder in ('cifar-10-batches-bin', 'cifar-10-batches-py'))
  assert binary.train.images.shape == (50_000, 32, 32, 3)
  for part in ('train', 'test'):
    for one, other in zip(getattr(binary, part), getattr(python, part)):
      np.testing.assert_array_equal(one, other)
  assert binary.class_names == python.class_names


def test_computed_statistics_of_cifar10_are_the_published_ones(cifar10_folder):
  raw = cifar.read_cifar10(None, str(cifar10_folder), None)
  mean, std = images.mean_and_std(raw.train.images)
  np.testing.assert_allclose(
      mean, [0.49139968, 0.48215841, 0.44653091], rtol=0, atol=5e-8)
  np.testing.assert_allclose(
      std, [0.24703223, 0.24348513, 0.26158784], rtol=0, atol=5e-8)
  # The published constants differ from the exact ones in the 7th digit.
  np.testing.assert_allclose(mean, raw.mean, rtol=0, atol=4e-7)
  np.testing.assert_allclose(std, raw.std, rtol=0, atol=4e-7)


@pytest.mark.parametrize('sub', ['', 'cifar-10-batches-bin'])
def test_binary_records_are_a_label_and_three_planes(tmp_path, sub):
  _write_binary(tmp_path / 'cifar-10-batches-bin', _TINY_BINARY)
  raw = _read(tmp_path / sub, _TINY_BINARY, _TINY_PYTHON)
  assert raw.train.images.shape == (20, 32, 32, 3)
  assert raw.train.labels.tolist() == [0, 1, 2, 3] * 5
  assert raw.test.labels.tolist() == [0, 1]
  assert raw.class_names == ('a', 'b', 'c', 'd')
  # Pixel (2, 5) of channel 1 of the second image of the third batch.
  assert raw.train.images[9, 2, 5, 1] == _rows(2, 4)[1, 1024 + 2 * 32 + 5]


@pytest.mark.parametrize('sub', ['', 'cifar-10-batches-py'])
@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_python_files_hold_the_same_as_binary_ones(tmp_path, sub, protocol):
  _write_binary(tmp_path / 'binary', _TINY_BINARY)
  _write_python(tmp_path / 'cifar-10-batches-py', _TINY_PYTHON, protocol)
  binary = _read(tmp_path / 'binary', _TINY_BINARY)
  python = _read(tmp_path / sub, _TINY_BINARY, _TINY_PYTHON)
  np.testing.assert_array_equal(binary.train.images, python.train.images)
  np.testing.assert_array_equal(binary.test.labels, python.test.labels)
  assert python.class_names == ('a', 'b', 'c', 'd')


def test_cifar100_has_the_fine_labels(tmp_path):
  _write_binary(tmp_path / 'cifar-100-binary', _TINY_BINARY100)
  _write_python(tmp_path / 'cifar-100-python', _TINY_PYTHON100)
  binary = _read(tmp_path, _TINY_BINARY100, name='cifar100')
  python = _read(tmp_path, _TINY_PYTHON100, name='cifar100')
  assert binary.train.labels.tolist() == [0, 1, 2, 3]
  assert python.train.labels.tolist() == [0, 1, 2, 3]
  np.testing.assert_array_equal(binary.train.images, python.train.images)
  assert binary.class_names == python.class_names == ('a', 'b', 'c', 'd')


def test_cifar100_is_expected_at_its_published_size(tmp_path):
  _write_binary(tmp_path / 'cifar-100-binary', _TINY_BINARY100)
  path = tmp_path / 'cifar-100-binary' / 'train.bin'
  assert message_of(images.load, 'cifar100', str(tmp_path)) == (
      f'{path} is truncated: 12296 bytes found, 153700000 bytes expected')


def test_data_dir_is_needed():
  assert message_of(images.load, 'cifar10') == (
      "data set 'cifar10' is read from files: pass --data_dir=DIR, the folder "
      'that holds them')


def test_data_dir_must_be_a_folder(tmp_path):
  path = tmp_path / 'none'
  assert message_of(images.load, 'cifar10', str(path)) == (
      f"--data_dir={path} is not a folder; data set 'cifar10' is read from "
      'there')


def test_missing_data_set_names_the_files_looked_for(tmp_path):
  assert message_of(images.load, 'cifar10', str(tmp_path)) == (
      "data set 'cifar10': no such file; looked for "
      f'{tmp_path}/cifar-10-batches-bin/data_batch_1.bin, '
      f'{tmp_path}/data_batch_1.bin, '
      f'{tmp_path}/cifar-10-batches-py/data_batch_1, '
      f'{tmp_path}/data_batch_1')


def test_missing_batches_are_named(tmp_path):
  _write_binary(tmp_path / 'x', _TINY_BINARY)
  (tmp_path / 'x' / 'data_batch_3.bin').unlink()
  (tmp_path / 'x' / 'batches.meta.txt').unlink()
  assert message_of(_read, tmp_path / 'x', _TINY_BINARY) == (
      f"data set 'cifar10': no such file; looked for {tmp_path}/x/"
      f'data_batch_3.bin, {tmp_path}/x/batches.meta.txt')


@pytest.mark.parametrize('size, state', [
    (12_291, 'truncated'), (3073, 'truncated'), (0, 'truncated'),
    (12_293, 'too long'), (15_365, 'too long')])
def test_binary_file_of_another_size_is_refused(tmp_path, size, state):
  _write_binary(tmp_path / 'x', _TINY_BINARY)
  path = tmp_path / 'x' / 'data_batch_2.bin'
  path.write_bytes((path.read_bytes() * 2)[:size])
  assert message_of(_read, tmp_path / 'x', _TINY_BINARY) == (
      f'{path} is {state}: {size} bytes found, 12292 bytes expected')


def test_truncated_pickle_is_refused(tmp_path):
  _write_python(tmp_path / 'x', _TINY_PYTHON, 4)
  path = tmp_path / 'x' / 'data_batch_2'
  path.write_bytes(path.read_bytes()[:1000])
  assert message_of(_read, tmp_path / 'x', _TINY_PYTHON).startswith(
      f'{path} is truncated or not a pickle of arrays: 1000 bytes found, ')


def test_pickle_of_another_number_of_images_is_refused(tmp_path):
  _write_python(tmp_path / 'x', _TINY_PYTHON)
  path = tmp_path / 'x' / 'data_batch_2'
  path.write_bytes(pickle.dumps({b'data': _rows(0, 3), b'labels': [0, 1, 2]}))
  assert message_of(_read, tmp_path / 'x', _TINY_PYTHON) == (
      f"{path}: entry 'data' is uint8[3, 3072], expected uint8[4, 3072]")


def test_pickle_without_labels_is_refused(tmp_path):
  _write_python(tmp_path / 'x', _TINY_PYTHON)
  path = tmp_path / 'x' / 'data_batch_2'
  path.write_bytes(pickle.dumps({b'data': _rows(0, 4)}))
  assert message_of(_read, tmp_path / 'x', _TINY_PYTHON) == (
      f"{path}: no entry 'labels'; found the entries [\"b'data'\"]")


def test_pickle_of_python2_is_read(tmp_path):
  path = tmp_path / 'batch'
  path.write_bytes(_PYTHON2_PICKLE)
  content = pickles.read(path)
  assert content[b'labels'] == [0, 1]
  assert content[b'data'].dtype == np.uint8
  assert content[b'data'].tolist() == [
      list(b'abcdef'), list(b'ghijkl')]


class _Attack:

  def __init__(self, function, *args):
    self._call = function, args

  def __reduce__(self):
    return self._call


def test_malicious_pickle_is_refused_and_not_run(tmp_path):
  _write_python(tmp_path / 'x', _TINY_PYTHON)
  path, marker = tmp_path / 'x' / 'data_batch_1', tmp_path / 'marker'
  path.write_bytes(pickle.dumps(_Attack(os.system, f'touch {marker}')))
  assert message_of(_read, tmp_path / 'x', _TINY_PYTHON) == (
      f'{path} is refused: it names the global {os.system.__module__}.system, '
      'but a data set holds only containers and numeric numpy arrays')
  assert not marker.exists()
  # The same file does run under the ordinary reader.
  pickle.loads(path.read_bytes())
  assert marker.exists()


@pytest.mark.parametrize('value, refused', [
    (_Attack(eval, '1'), '__builtin__.eval'),
    (_Attack(np.load, 'x'), 'numpy.load'),
    (fractions.Fraction(1, 2), 'fractions.Fraction'),
    (np.array([None]), "numpy.dtype('O8')"),
    (np.zeros(1, [('x', 'u1')]), "numpy.dtype('V1')")])
def test_other_globals_are_refused(tmp_path, value, refused):
  path = tmp_path / 'file'
  path.write_bytes(pickle.dumps({b'data': value}, protocol=2))
  assert message_of(pickles.read, path) == (
      f'{path} is refused: it names the global {refused}, but a data set '
      'holds only containers and numeric numpy arrays')
