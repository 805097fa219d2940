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


def random_resized_crop(
    key: jax.Array, image: jax.Array, least_area: float = .08) -> jax.Array:
  """Cuts out a random rectangle and resizes it to the original size.

  Its area is uniform in least_area..1 of the image's, the logarithm of its
  ratio of sides uniform in log(3/4)..log(4/3), its place uniform; bilinear.

  Note: a rectangle that is too long for the image is cut to its side, where
  torchvision draws again.

  Args:
    key: consumed.
    image: [H, W, C].
    least_area: in (0, 1].

  Returns:
    float32[H, W, C], on the scale of the image.

  References:
    C. Szegedy et al., "Going Deeper with Convolutions", 2015, sec. 6.
  """
  area_key, ratio_key, place_key = jax.random.split(key, 3)
  area = jax.random.uniform(area_key, minval=least_area)
  root = jnp.exp(jax.random.uniform(
      ratio_key, minval=-math.log(4 / 3), maxval=math.log(4 / 3)) / 2)
  sides = jnp.minimum(1., jnp.sqrt(area) * jnp.stack([1 / root, root]))
  start = jax.random.uniform(place_key, (2,)) * (1 - sides)
  size = jnp.array(image.shape[:2], jnp.float32)
  return jax.image.scale_and_translate(
      image.astype(jnp.float32), image.shape, (0, 1), 1 / sides,
      -start * size / sides, 'linear')


def colour_jitter(
    key: jax.Array, image: jax.Array, strength: float = .4, hue: float = 0.
) -> jax.Array:
  """Changes brightness, contrast, saturation and hue, in this order.

  Each of the first three blends the image with black, with its mean grey,
  with its own grey, at a factor uniform in 1 - strength..1 + strength; the
  hue is turned by up to `hue` of the circle.

  Note: torchvision changes them in random order.

  Args:
    key: consumed.
    image: [H, W, 3], on the scale 0..255.
    strength: in [0, 1].
    hue: in [0, 0.5].

  Returns:
    float32[H, W, 3] in 0..255.
  """
  if image.shape[-1] != 3:
    raise ValueError(f'images have {image.shape[-1]} channels, but colour '
                     'jitter is for 3')
  factor_key, hue_key = jax.random.split(key)
  brightness, contrast, saturation = jax.random.uniform(
      factor_key, (3,), minval=1 - strength, maxval=1 + strength)
  blend = lambda a, b, factor: jnp.clip(factor * a + (1 - factor) * b, 0, 255)
  x = blend(image.astype(jnp.float32), 0., brightness)
  x = blend(x, jnp.mean(_grey(x)), contrast)
  x = blend(x, _grey(x), saturation)
  if not hue:
    return x
  return _turn_hue(x, jax.random.uniform(hue_key, minval=-hue, maxval=hue))


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
    cutout_kind: str = 'centre', kind: str = 'channels',
    resized_crop: float = 0., colour: float = 0., hue: float = 0.
) -> jax.Array:
  """Crop, flip, colours, standardisation, cutout, in this order.

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
    resized_crop: least area of `random_resized_crop`; 0 turns it off.
    colour: strength of `colour_jitter`; 0 turns it off.
    hue: see `colour_jitter`.

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
    if resized_crop:
      image = random_resized_crop(
          jax.random.fold_in(crop_key, 0), image, resized_crop)
    if padding:
      image = random_crop(crop_key, image, padding)
    if flip:
      image = random_flip(flip_key, image)
    if colour:
      image = colour_jitter(
          jax.random.fold_in(flip_key, 0), image, colour, hue)
    image = standardise(image, kind, mean=mean, std=std)
    if cutout_length:
      image = cutout(cutout_key, image, cutout_length, cutout_kind)
    return image

  return jax.vmap(augment_one)(jax.random.split(key, len(images)), images)


def _grey(image: jax.Array) -> jax.Array:
  """Luma (ITU-R 601): [H, W, 3] -> [H, W, 1]."""
  return image @ jnp.array([[.299], [.587], [.114]], image.dtype)


def _turn_hue(image: jax.Array, turn: jax.Array) -> jax.Array:
  """Moves the hue of HSV by a part of its circle."""
  largest = jnp.max(image, -1)
  chroma = largest - jnp.min(image, -1)
  red, green, blue = jnp.moveaxis(image, -1, 0)
  sixth = jnp.select(
      [largest == red, largest == green],
      [green - blue, 2 * chroma + blue - red], 4 * chroma + red - green)
  hue = sixth / jnp.where(chroma > 0, chroma, 1.) + 6 * turn
  # Channel n of HSV: V - C max(0, min(k, 4 - k, 1)), k = (n + hue) mod 6.
  k = (jnp.array([5., 3., 1.]) + hue[..., None]) % 6
  down = jnp.clip(jnp.minimum(k, 4 - k), 0, 1)
  return largest[..., None] - chroma[..., None] * down


def _box(positions: jax.Array, centre: jax.Array, length: int) -> jax.Array:
  return (positions >= centre - length // 2) & (
      positions < centre + length // 2)
