import subprocess
import sys

import numpy as np
import pytest

from nas_jax.data import images
from nas_jax.data import splits
from tests.data.helpers import ids
from tests.data.helpers import message_of
from tests.data.helpers import write_npz


def test_digits_need_no_files():
  data = images.load('digits')
  assert data.name == 'digits' and data.num_classes == 10
  assert data.class_names == tuple('0123456789')
  assert data.train.images.shape == (1294, 8, 8, 1)
  assert data.validation.images.shape == (144, 8, 8, 1)
  assert data.test.images.shape == (359, 8, 8, 1)
  for split in (data.train, data.validation, data.test):
    assert split.images.dtype == np.uint8 and split.images.max() == 255
    assert split.labels.dtype == np.int32
    assert np.bincount(split.labels, minlength=10).min() >= 13
  assert data.mean.dtype == data.std.dtype == np.float32
  pixels = data.train.images / 255
  np.testing.assert_allclose(data.mean, pixels.mean((0, 1, 2)), rtol=1e-6)
  np.testing.assert_allclose(data.std, pixels.std((0, 1, 2)), rtol=1e-6)


def test_load_is_deterministic_and_the_test_split_ignores_the_seed():
  one, same, other = (images.load('digits', seed=seed) for seed in (1, 1, 2))
  np.testing.assert_array_equal(one.train.images, same.train.images)
  np.testing.assert_array_equal(one.test.images, other.test.images)
  assert (one.validation.images != other.validation.images).any()


def test_splits_are_disjoint_and_complete(tmp_path):
  data = images.load(write_npz(tmp_path / 'x.npz'), validation_fraction=0.25)
  assert len(ids(data.validation)) == 5
  assert sorted(ids(data.train) + ids(data.validation)) == list(range(20))
  assert ids(data.test) == list(range(100, 110))
  for split in (data.train, data.validation, data.test):
    assert split.labels.tolist() == [i % 2 for i in ids(split)]


def test_validation_does_not_change_between_releases(tmp_path):
  name = write_npz(tmp_path / 'x.npz')
  assert ids(images.load(name, validation_size=4).validation) == [2, 3, 11, 18]
  assert ids(images.load(
      name, validation_size=4, seed=1).validation) == [2, 9, 16, 19]


def test_validation_size_overrides_the_fraction(tmp_path):
  data = images.load(
      write_npz(tmp_path / 'x.npz'), validation_fraction=0.5,
      validation_size=3)
  assert len(data.validation.labels) == 3 and len(data.train.labels) == 17


def test_max_train_counts_training_and_validation_images(tmp_path):
  name = write_npz(tmp_path / 'x.npz')
  data = images.load(name, max_train=10, validation_fraction=0.2)
  assert len(data.train.labels) == 8 and len(data.validation.labels) == 2
  assert np.bincount(data.train.labels).tolist() == [4, 4]
  assert len(data.test.labels) == 10
  assert len(images.load(name, max_train=100).train.labels) == 18


def test_train_and_validation_has_both(tmp_path):
  data = images.load(write_npz(tmp_path / 'x.npz'))
  split = images.train_and_validation(data)
  assert split.images.shape == (20, 4, 4, 1)
  assert sorted(ids(split)) == list(range(20))
  assert split.labels.tolist() == [i % 2 for i in ids(split)]
  assert split.labels.dtype == np.int32


def test_image_size_resizes_any_source():
  data = images.load('digits', image_size=16)
  assert data.train.images.shape == (1294, 16, 16, 1)
  small = images.load('digits')
  np.testing.assert_allclose(data.mean, small.mean, atol=0.01)


def test_constant_channel_has_a_positive_deviation(tmp_path):
  pixels = np.zeros((20, 4, 4, 2), np.uint8)
  pixels[..., 1] = np.arange(20)[:, None, None] % 2 * 255
  name = write_npz(tmp_path / 'x.npz', x_train=pixels, x_test=pixels[:10])
  data = images.load(name)
  np.testing.assert_array_equal(data.mean, np.float32([0, 0.5]))
  np.testing.assert_array_equal(data.std, np.float32([0.001, 0.5]))


def test_unknown_name_lists_the_known_ones():
  assert message_of(images.load, 'imagenet') == (
      "unknown data set 'imagenet'; known are digits, cifar10, cifar100, "
      'mnist, fashion_mnist, npz:PATH, folder:PATH, tfds:NAME')


@pytest.mark.parametrize('name, key', [
    ('npz', 'npz:PATH'), ('folder:', 'folder:PATH'), ('digits:x', 'digits'),
    ('digits:', 'digits'), ('tfds', 'tfds:NAME')])
def test_argument_must_be_there_where_it_is_needed(name, key):
  assert message_of(images.load, name) == (
      f'data set {name!r} must be written as {key}')


@pytest.mark.parametrize('options, message', [
    ({'validation_fraction': 0.01},
     'validation_fraction 0.01: cannot choose 0 of 20 images: at least 1 and, '
     'with 1 of each class left, at most 18 can be chosen'),
    ({'validation_fraction': 0.96},
     'validation_fraction 0.96: cannot choose 19 of 20 images: at least 1 '
     'and, with 1 of each class left, at most 18 can be chosen'),
    ({'validation_size': 20},
     'validation_size 20: cannot choose 20 of 20 images: at least 1 and, '
     'with 1 of each class left, at most 18 can be chosen'),
    ({'validation_fraction': 0.0},
     'validation_fraction 0.0 must be between 0 and 1'),
    ({'validation_fraction': 1.5},
     'validation_fraction 1.5 must be between 0 and 1'),
    ({'max_train': 0},
     'max_train 0: cannot choose 0 of 20 images: at least 1 and, with 0 of '
     'each class left, at most 20 can be chosen'),
    ({'image_size': 0}, 'image_size 0 must be at least 1'),
    ({'seed': -1},
     'validation_fraction 0.1: seed (and epoch) -1 and size 20 must not be '
     'negative')])
def test_empty_splits_and_bad_numbers_are_refused(tmp_path, options, message):
  name = write_npz(tmp_path / 'x.npz')
  assert message_of(images.load, name, **options) == message


def test_stratified_shares_are_by_largest_remainder():
  labels = np.repeat([0, 1, 2], [50, 30, 20])
  chosen, rest = splits.stratified(labels, 11, 0, leave=1)
  # 5.5, 3.3 and 2.2 of 11.
  assert np.bincount(labels[chosen]).tolist() == [6, 3, 2]
  assert sorted([*chosen, *rest]) == list(range(100))
  assert (np.diff(chosen) > 0).all() and (np.diff(rest) > 0).all()


def test_stratified_keeps_small_classes_on_both_sides():
  labels = np.repeat([0, 1, 2, 4], [96, 2, 1, 1])
  chosen, rest = splits.stratified(labels, 10, 0, leave=1)
  # Class 3 has no image, and classes 2 and 4 have none to give away.
  assert np.bincount(labels[chosen], minlength=5).tolist() == [9, 1, 0, 0, 0]
  assert np.bincount(labels[rest]).tolist() == [87, 1, 1, 0, 1]
  chosen, _ = splits.stratified(labels, 4, 0, leave=0)
  assert np.bincount(labels[chosen]).tolist() == [1, 1, 1, 0, 1]


def test_stratified_can_choose_fewer_images_than_classes():
  labels = np.arange(10).repeat(3)
  chosen, _ = splits.stratified(labels, 4, 0, leave=1)
  assert len(chosen) == 4 and len(set(labels[chosen])) == 4


def test_statistics_are_exact_over_many_pieces():
  pixels = np.random.default_rng(0).integers(0, 256, (2500, 3, 2, 3), np.uint8)
  mean, std = images.mean_and_std(pixels)
  np.testing.assert_allclose(mean, (pixels / 255).mean((0, 1, 2)), rtol=1e-6)
  np.testing.assert_allclose(std, (pixels / 255).std((0, 1, 2)), rtol=1e-6)
  mean, std = images.mean_and_std(np.full((2, 2, 2, 1), 51, np.uint8))
  np.testing.assert_allclose([mean[0], std[0]], [0.2, 0.001], rtol=1e-6)


def test_import_is_light():
  code = (
      'import sys, nas_jax.data.images\n'
      'heavy = {"sklearn", "PIL", "tensorflow_datasets", "tensorflow"}\n'
      'print(sorted(heavy & set(sys.modules)))')
  result = subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert result.stdout == '[]\n'
