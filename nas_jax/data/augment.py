"""Augmentation of images on the device, as pure functions of a key.

All but `augment` are written for one image: the caller adds `vmap`.
"""

import math

import jax
import jax.numpy as jnp


def random_crop(
    key: jax.Array, image: jax.Array, padding: int = 4) -> jax.Array:
  """Pads with zeros on all sides, then cuts out the original size.

  All (2 * padding + 1)**2 offsets are equally likely.

  Args:
    key: consumed.
    image: [H, W, C]; uint8, so that the border is black after normalising.
    padding: pixels on each side; 0 returns the image.

  Returns:
    [H, W, C] of the same dtype.
  """
  if padding < 0:
    raise ValueError(f'padding {padding} must not be negative')
  y, x = jax.random.randint(key, (2,), 0, 2 * padding + 1)
  padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
  # Under vmap a gather, and still the fastest of what was tried.
  return jax.lax.dynamic_slice(padded, (y, x, 0), image.shape)


def random_flip(key: jax.Array, image: jax.Array) -> jax.Array:
  """Mirrors left and right with probability 0.5; [H, W, C] -> the same."""
  return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def normalise(
    image: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
  """(image / 255 - mean) / std.

  Args:
    image: uint8[..., C].
    mean: float32[C], on the 0..1 scale.
    std: float32[C].

  Returns:
    float32[..., C].
  """
  return (image.astype(jnp.float32) / 255 - mean) / std


def standardise(
    images: jax.Array, kind: str, *, mean: jax.Array, std: jax.Array
) -> jax.Array:
  """Turns bytes into what networks read.

  channels: `normalise` with the constants of the data set.
  image: each image less its own mean, divided by max(deviation, 1 / sqrt(N))
    of its N values (TensorFlow's per_image_standardization).
  image_root: divided by max(deviation, sqrt(N)) instead, as AutoDL Design was
    released: 55.43 for every image of 32 x 32 x 3.

  Args:
    images: uint8[..., H, W, C].
    kind: one of the three.
    mean: float32[C], on the 0..1 scale; for channels.
    std: float32[C].

  Returns:
    float32[..., H, W, C].
  """
  if kind == 'channels':
    return normalise(images, mean, std)
  x = images.astype(jnp.float32) / 255
  size = math.prod(x.shape[-3:])
  least = {'image': size**-.5, 'image_root': size**.5}[kind]
  axes = (-3, -2, -1)
  deviation = jnp.maximum(jnp.std(x, axes, keepdims=True), least)
  return (x - jnp.mean(x, axes, keepdims=True)) / deviation


def cutout(
    key: jax.Array, image: jax.Array, length: int = 16, kind: str = 'centre'
) -> jax.Array:
  """Sets one box to 0, which is the mean colour after normalising.

  The centre (y, x) is uniform over the pixels, the box is [y - length/2,
  y + length/2) x [x - length/2, x + length/2), clipped at the borders: on
  32x32 pixels and at length 16 it has 64 to 256 pixels, 196 on average.

  With kind 'corner' (NAO's TensorFlow code) the top left corner is uniform
  over the pixels, so that the box may reach over the right and the lower
  border only, and has 1 to 256 pixels.

  Args:
    key: consumed.
    image: float[H, W, C], normalised.
    length: even, at most H and W; 0 returns the image.
    kind: 'centre' or 'corner'.

  Returns:
    [H, W, C].

  Raises:
    ValueError: `length` is odd, negative, or larger than the image.

  References:
    T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural
    Networks with Cutout", 2017.
  """
  height, width = image.shape[:2]
  if length % 2 or not 0 <= length <= min(height, width):
    raise ValueError(
        f'cutout length {length} must be even and in 0..{min(height, width)} '
        f'for images of {height} x {width} pixels')
  y, x = jax.random.randint(key, (2,), 0, jnp.array([height, width]))
  if kind == 'corner':
    y, x = y + length // 2, x + length // 2
  rows = _box(jnp.arange(height), y, length)
  columns = _box(jnp.arange(width), x, length)
  erased = rows[:, None, None] & columns[None, :, None]
  return jnp.where(erased, jnp.zeros((), image.dtype), image)


def augment(
    key: jax.Array, images: jax.Array, *, mean: jax.Array, std: jax.Array,
    padding: int = 4, flip: bool = True, cutout_length: int = 0,
    cutout_kind: str = 'centre', kind: str = 'channels') -> jax.Array:
  """Crop, flip, conversion to float, standardisation, cutout, in this order.

  Args:
    key: consumed; each image has a key of its own.
    images: uint8[B, H, W, C].
    mean: float32[C], on the 0..1 scale.
    std: float32[C].
    padding: of the random crop; 0 turns it off.
    flip: mirror at random; False for digits and letters.
    cutout_length: 16 in the recipe of DARTS; 0 turns it off.
    cutout_kind: see `cutout`.
    kind: see `standardise`.

  Returns:
    float32[B, H, W, C].

  Raises:
    ValueError: images of another type, or see `random_crop` and `cutout`.

  References:
    H. Liu, K. Simonyan, Y. Yang, "DARTS: Differentiable Architecture Search",
    2019, and its public code.
  """
  if images.ndim != 4 or images.dtype != jnp.uint8:
    raise ValueError(
        f'images are {images.dtype}{list(images.shape)}, expected '
        'uint8[B, H, W, C]')

  def augment_one(key: jax.Array, image: jax.Array) -> jax.Array:
    crop_key, flip_key, cutout_key = jax.random.split(key, 3)
    if padding:
      image = random_crop(crop_key, image, padding)
    if flip:
      image = random_flip(flip_key, image)
    image = standardise(image, kind, mean=mean, std=std)
    if cutout_length:
      image = cutout(cutout_key, image, cutout_length, cutout_kind)
    return image

  return jax.vmap(augment_one)(jax.random.split(key, len(images)), images)


def _box(positions: jax.Array, centre: jax.Array, length: int) -> jax.Array:
  return (positions >= centre - length // 2) & (
      positions < centre + length // 2)
