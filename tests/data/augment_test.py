import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.data import augment
from tests.data.helpers import message_of

_MEAN = jnp.array([0.25, 0.5, 0.75])
_STD = jnp.array([0.5, 0.25, 0.125])


def _keys(count, seed=0):
  return jax.random.split(jax.random.key(seed), count)


def _noise(*shape):
  # No zeros, which mark the border.
  rng = np.random.default_rng(0)
  return rng.integers(1, 256, shape, dtype=np.uint8)


def test_crop_reaches_all_81_offsets_equally():
  image = _noise(32, 32, 3)
  crops = np.asarray(jax.jit(jax.vmap(
      augment.random_crop, in_axes=(0, None)))(_keys(4050), image))
  padded = np.zeros((40, 40, 3), np.uint8)
  padded[4:36, 4:36] = image
  counts = [
      (crops == padded[y:y + 32, x:x + 32]).all(axis=(1, 2, 3)).sum()
      for y in range(9) for x in range(9)]
  # Each crop is one of the 81 with its black border; 50 each on average,
  # give or take five standard deviations.
  assert sum(counts) == 4050
  assert min(counts) > 15 and max(counts) < 85


def test_crop_keeps_bytes_and_uneven_shapes():
  image = _noise(6, 9, 1)
  crop = augment.random_crop(jax.random.key(0), jnp.asarray(image), 2)
  assert crop.shape == (6, 9, 1) and crop.dtype == jnp.uint8
  same = augment.random_crop(jax.random.key(0), jnp.asarray(image), 0)
  np.testing.assert_array_equal(same, image)


def test_flip_mirrors_half_of_the_images():
  image = _noise(4, 5, 3)
  flips = np.asarray(jax.vmap(augment.random_flip, in_axes=(0, None))(
      _keys(1000), image))
  mirrored = (flips == image[:, ::-1]).all(axis=(1, 2, 3))
  kept = (flips == image).all(axis=(1, 2, 3))
  assert (mirrored ^ kept).all()
  assert 420 < mirrored.sum() < 580


def test_normalise_by_hand():
  image = jnp.array([[[0, 255, 51]]], jnp.uint8)
  out = augment.normalise(image, _MEAN, _STD)
  assert out.dtype == jnp.float32
  np.testing.assert_allclose(out, [[[-0.5, 2.0, -4.4]]], rtol=1e-6)


def test_cutout_area_at_every_centre():
  positions = jnp.arange(32)
  sides = [int(augment._box(positions, y, 16).sum()) for y in range(32)]
  assert sides == [8, 9, 10, 11, 12, 13, 14, 15] + [16] * 17 + [
      15, 14, 13, 12, 11, 10, 9]
  areas = np.outer(sides, sides)
  assert areas.mean() == 196 and areas.min() == 64 and areas.max() == 256
  # [y - 8, y + 8) around the centre, not (y - 8, y + 8].
  assert np.flatnonzero(augment._box(positions, 12, 16)).tolist() == list(
      range(4, 20))


def test_cutout_has_the_areas_of_uniform_centres():
  image = jnp.ones((32, 32, 2))
  out = np.asarray(jax.jit(jax.vmap(
      augment.cutout, in_axes=(0, None)))(_keys(4000), image))
  assert (out[..., 0] == out[..., 1]).all()
  erased = out[..., 0] == 0
  # A side is 14 with variance 7.25 (by hand from the 32 sides), so an area
  # has standard deviation 54 and the mean of 4000 areas 0.9.
  assert abs(erased.sum(axis=(1, 2)).mean() - 196) < 4
  assert erased.sum(axis=(1, 2)).min() >= 64
  assert erased.sum(axis=(1, 2)).max() == 256
  # Every box is a rectangle, and corners are reached.
  rows, columns = erased.any(axis=2), erased.any(axis=1)
  assert (erased == rows[:, :, None] & columns[:, None, :]).all()
  assert (erased[:, 0, 0]).any() and erased[:, 31, 31].any()


def test_cutout_is_uniform_on_uneven_images():
  image = jnp.ones((4, 10, 1))
  out = np.asarray(jax.vmap(augment.cutout, in_axes=(0, None, None))(
      _keys(2000), image, 2))
  # Pixel y lies in the boxes of the centres y and y + 1: 1/2 of them, but
  # the last one only in its own.
  share = (out[..., 0] == 0).mean(axis=0)
  expected = np.outer([2, 2, 2, 1], [2] * 9 + [1]) / 40
  np.testing.assert_allclose(share, expected, atol=0.03)


def test_cutout_of_length_0_is_the_image():
  image = jnp.ones((4, 4, 1))
  np.testing.assert_array_equal(
      augment.cutout(jax.random.key(0), image, 0), image)


@pytest.mark.parametrize('length', [-2, 7, 16])
def test_cutout_that_does_not_fit_is_refused(length):
  assert message_of(
      augment.cutout, jax.random.key(0), jnp.ones((8, 9, 1)), length) == (
          f'cutout length {length} must be even and in 0..8 for images of 8 x '
          '9 pixels')


def test_negative_padding_is_refused():
  assert message_of(
      augment.random_crop, jax.random.key(0), jnp.ones((8, 8, 1)), -1) == (
          'padding -1 must not be negative')


def test_augment_is_crop_flip_normalise_cutout():
  images = jnp.asarray(_noise(16, 12, 12, 3))
  key = jax.random.key(5)
  out = augment.augment(key, images, mean=_MEAN, std=_STD, cutout_length=6)
  assert out.shape == (16, 12, 12, 3) and out.dtype == jnp.float32
  for image_key, image, result in zip(jax.random.split(key, 16), images, out):
    crop_key, flip_key, cutout_key = jax.random.split(image_key, 3)
    image = augment.random_crop(crop_key, image, 4)
    image = augment.random_flip(flip_key, image)
    image = augment.normalise(image, _MEAN, _STD)
    image = augment.cutout(cutout_key, image, 6)
    np.testing.assert_allclose(result, image, rtol=1e-6, atol=1e-6)


def test_border_is_black_and_hole_is_the_mean_colour():
  # White images: after normalising, only the border of the crop is black
  # (-mean / std), and only the hole is 0.
  images = jnp.full((64, 12, 12, 3), 255, jnp.uint8)
  out = np.asarray(augment.augment(
      jax.random.key(0), images, mean=_MEAN, std=_STD, cutout_length=6))
  white, black = (1 - _MEAN) / _STD, -_MEAN / _STD
  kinds = [np.isclose(out, value, atol=1e-6).all(axis=-1)
           for value in (white, black, 0)]
  assert (np.sum(kinds, axis=0) == 1).all()
  assert all(kind.any() for kind in kinds)
  # The hole covers the border too: cutout comes after the crop.
  assert kinds[2][:, 0].any()


def test_equal_keys_give_equal_images_and_images_differ():
  images = jnp.tile(jnp.asarray(_noise(1, 12, 12, 3)), (8, 1, 1, 1))
  run = jax.jit(lambda key: augment.augment(
      key, images, mean=_MEAN, std=_STD, cutout_length=6))
  one, same, other = (np.asarray(run(jax.random.key(s))) for s in (0, 0, 1))
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()
  assert len({image.tobytes() for image in one}) == 8


def test_parts_can_be_turned_off():
  images = jnp.asarray(_noise(8, 8, 8, 1))
  mean, std = jnp.array([0.5]), jnp.array([0.25])
  plain = augment.augment(
      jax.random.key(0), images, mean=mean, std=std, padding=0, flip=False)
  np.testing.assert_allclose(
      plain, augment.normalise(images, mean, std), rtol=1e-6)


@pytest.mark.parametrize('images, found', [
    (np.zeros((8, 8, 3), np.uint8), 'uint8[8, 8, 3]'),
    (np.zeros((2, 8, 8, 3), np.float32), 'float32[2, 8, 8, 3]')])
def test_other_images_are_refused(images, found):
  assert message_of(
      augment.augment, jax.random.key(0), images, mean=_MEAN, std=_STD) == (
          f'images are {found}, expected uint8[B, H, W, C]')


def test_the_square_of_a_uniform_corner():
  """It reaches over the right and the lower border only (NAO's code)."""
  image = jnp.ones((32, 32, 1))
  out = np.asarray(jax.jit(jax.vmap(lambda key: augment.cutout(
      key, image, 16, 'corner')))(_keys(4000)))[..., 0]
  erased = out == 0
  # A side is 16 for the corners 0..16, then 15 .. 1: 12.25 on average.
  assert abs(erased.sum(axis=(1, 2)).mean() - 12.25**2) < 5
  assert erased.sum(axis=(1, 2)).max() == 256
  assert erased.sum(axis=(1, 2)).min() < 16
  # Pixel (0, 0) only by its own corner, the last by 16 x 16 of them.
  assert erased[:, 0, 0].mean() < .01
  assert abs(erased[:, 31, 31].mean() - .25) < .03


def test_standardisation_of_each_image():
  images = jnp.asarray(_noise(2, 4, 6, 3))
  for kind, least in (('image', 72**-.5), ('image_root', 72**.5)):
    out = np.asarray(augment.standardise(images, kind, mean=None, std=None))
    for image, result in zip(np.asarray(images, np.float64) / 255, out):
      expected = (image - image.mean()) / max(image.std(), least)
      np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
  flat = jnp.full((1, 32, 32, 3), 7, jnp.uint8)
  assert float(jnp.abs(augment.standardise(
      flat, 'image', mean=None, std=None)).max()) < 1e-4
  # AutoDL Design divides every image by sqrt(3072) = 55.43.
  ramp = jnp.asarray(_noise(1, 32, 32, 3))
  out = augment.standardise(ramp, 'image_root', mean=None, std=None)
  x = np.asarray(ramp) / 255
  np.testing.assert_allclose(out, (x - x.mean()) / 55.4256, atol=1e-5)


def test_a_resized_crop_keeps_size_and_range():
  ramp = jnp.tile(jnp.arange(24.)[:, None, None], (1, 24, 1))
  out = np.asarray(jax.jit(jax.vmap(lambda key: augment.random_resized_crop(
      key, ramp)))(_keys(300)))
  assert out.shape == (300, 24, 24, 1)
  assert out.min() >= -1e-3 and out.max() <= 23.001
  # Along a column values rise evenly: a part of the ramp, enlarged.
  rise = out[:, 12, 12, 0] - out[:, 11, 12, 0]
  assert rise.min() > .15 and rise.max() <= 1.001
  # Every part of the image is seen, the middle most.
  assert out[:, 0, 0].min() < 1 and out[:, -1, 0].max() > 22
  whole = augment.random_resized_crop(jax.random.key(0), ramp, .999)
  assert float(whole.mean()) == pytest.approx(11.5, abs=1.5)


def test_colours_by_hand():
  image = jnp.array([[[200., 100., 50.], [10., 10., 10.]]])
  same = augment.colour_jitter(jax.random.key(0), image, 0.)
  np.testing.assert_allclose(same, image, atol=1e-3)
  many = np.asarray(jax.vmap(lambda key: augment.colour_jitter(
      key, image, .4, .2))(_keys(200)))
  assert many.min() >= 0 and many.max() <= 255
  assert many.std(0).min() > .5
  assert message_of(
      augment.colour_jitter, jax.random.key(0), jnp.ones((2, 2, 1))) == (
          'images have 1 channels, but colour jitter is for 3')


def test_a_third_of_the_circle_exchanges_the_primaries():
  image = jnp.array([[[200., 100., 50.], [30., 60., 90.], [7., 7., 7.]]])
  turned = augment._turn_hue(image, jnp.float32(1 / 3))
  np.testing.assert_allclose(turned[0, :, [1, 2, 0]].T, image[0], atol=1e-3)
  for turn in (0., 1., -1.):
    np.testing.assert_allclose(
        augment._turn_hue(image, jnp.float32(turn)), image, atol=1e-3)
