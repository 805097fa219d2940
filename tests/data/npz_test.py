import numpy as np
import pytest

from nas_jax.data import images
from tests.data.helpers import ids
from tests.data.helpers import message_of
from tests.data.helpers import ramp
from tests.data.helpers import write_npz


def test_subset_of_cifar10_is_read(shared_data):
  data = images.load(f'npz:{shared_data / "cifar10_small.npz"}')
  assert data.train.images.shape == (1800, 32, 32, 3)
  assert data.validation.images.shape == (200, 32, 32, 3)
  assert data.test.images.shape == (500, 32, 32, 3)
  assert np.bincount(data.train.labels).tolist() == [180] * 10
  assert np.bincount(data.validation.labels).tolist() == [20] * 10
  assert data.class_names == tuple('0123456789')
  # Near the constants of all 50,000 images, but not equal to them.
  np.testing.assert_allclose(
      data.mean, [0.4914, 0.4822, 0.4465], rtol=0, atol=0.01)
  np.testing.assert_allclose(
      data.std, [0.2470, 0.2435, 0.2616], rtol=0, atol=0.01)


def test_images_without_channels_get_one(tmp_path):
  name = write_npz(
      tmp_path / 'x.npz', x_train=ramp(20, 4, 4), x_test=ramp(10, 4, 4))
  assert images.load(name).train.images.shape == (18, 4, 4, 1)


def test_floats_are_rounded_to_bytes(tmp_path):
  values = np.array([0, 1, 0.5, 0.9 / 255, 0.4 / 255], np.float32)
  name = write_npz(
      tmp_path / 'x.npz', x_test=np.tile(values[:, None, None, None], (
          1, 4, 4, 1)), y_test=np.array([0, 1, 0, 1, 0]))
  assert ids(images.load(name).test) == [0, 255, 128, 1, 0]


def test_own_validation_split_and_names_are_kept(tmp_path):
  name = write_npz(
      tmp_path / 'x.npz', x_validation=200 + ramp(4, 4, 4, 1),
      y_validation=np.array([0, 1, 1, 0]), class_names=np.array(['a', 'b']))
  data = images.load(name, validation_fraction=0.5, seed=3)
  assert ids(data.train) == list(range(20))
  assert ids(data.validation) == [200, 201, 202, 203]
  assert data.validation.labels.tolist() == [0, 1, 1, 0]
  assert data.class_names == ('a', 'b')


def test_missing_file_is_named(tmp_path):
  path = tmp_path / 'none.npz'
  assert message_of(images.load, f'npz:{path}') == (
      f"data set 'npz:{path}': no such file; looked for {path}")


@pytest.mark.parametrize('part', ['x_train', 'y_test'])
def test_missing_array_is_named(tmp_path, part):
  path = tmp_path / 'x.npz'
  name = write_npz(path, **{part: None})
  found = sorted({'x_train', 'y_train', 'x_test', 'y_test'} - {part})
  assert message_of(images.load, name) == (
      f'{path}: no array {part!r}; found {found}, expected x_train, y_train, '
      'x_test, y_test')


@pytest.mark.parametrize('size', [0, 100, 1000])
def test_truncated_file_is_refused(tmp_path, size):
  path = tmp_path / 'x.npz'
  name = write_npz(path)
  path.write_bytes(path.read_bytes()[:size])
  assert message_of(images.load, name) == (
      f'{path} is truncated or not an .npz file of plain arrays: {size} bytes '
      'found; File is not a zip file')


def test_pickled_arrays_are_refused(tmp_path):
  path = tmp_path / 'x.npz'
  name = write_npz(path, y_test=np.array([None] * 10))
  assert message_of(images.load, name).startswith(
      f'{path} is truncated or not an .npz file of plain arrays: ')


@pytest.mark.parametrize('dtype', [np.int64, np.uint16, bool])
def test_other_types_of_images_are_refused(tmp_path, dtype):
  path = tmp_path / 'x.npz'
  name = write_npz(path, x_train=ramp(20, 4, 4, 1).astype(dtype))
  assert message_of(images.load, name) == (
      f'{path}: x_train is of {np.dtype(dtype)}, expected uint8, or floats in '
      '[0, 1]')


@pytest.mark.parametrize('low, high', [(0., 255.), (-1., 1.), (0., np.nan)])
def test_floats_out_of_range_are_refused(tmp_path, low, high):
  path = tmp_path / 'x.npz'
  values = np.full((20, 4, 4, 1), low)
  values[3] = high
  name = write_npz(path, x_train=values)
  low, high = values.min(), values.max()
  assert message_of(images.load, name) == (
      f'{path}: x_train holds floats from {low} to {high}, expected uint8, or '
      'floats in [0, 1]')


@pytest.mark.parametrize('changes, message', [
    ({'y_train': np.arange(19) % 2},
     'train split: labels are int64[19], expected integers [20], one per '
     'image'),
    ({'y_train': np.arange(20)[:, None] % 2},
     'train split: labels are int64[20, 1], expected integers [20], one per '
     'image'),
    ({'y_train': np.arange(20) / 2},
     'train split: labels are float64[20], expected integers [20], one per '
     'image'),
    ({'y_train': np.arange(20) % 2 - 1},
     'train split: labels are in -1..0, expected 0 or more'),
    ({'y_test': np.full(10, 2)},
     'test split: labels are in 2..2, expected 0..1, one per class'),
    ({'class_names': np.array(['a'])},
     'train split: labels are in 0..1, expected 0..0, one per class'),
    ({'x_test': ramp(10, 4, 5, 1)},
     'test split: images are [4, 5, 1], but the training images are '
     '[4, 4, 1]'),
    ({'x_train': ramp(20, 4)},
     'train split: images are uint8[20, 4], expected uint8[N, H, W, C], none '
     'of them 0'),
    ({'x_test': ramp(10, 4, 4, 1)[:0], 'y_test': np.arange(0)},
     'test split: images are uint8[0, 4, 4, 1], expected uint8[N, H, W, C], '
     'none of them 0')])
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, message):
  name = write_npz(tmp_path / 'x.npz', **changes)
  assert message_of(images.load, name) == f'data set {name!r}, {message}'
