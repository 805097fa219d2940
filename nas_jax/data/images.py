"""Image data sets by name, split into training, validation and test."""

from typing import NamedTuple

import numpy as np

from nas_jax.data import cifar
from nas_jax.data import digits
from nas_jax.data import folder
from nas_jax.data import idx
from nas_jax.data import npz
from nas_jax.data import source
from nas_jax.data import splits
from nas_jax.data import tfds
from nas_jax.data.source import Raw
from nas_jax.data.source import Split

# To add a data set, write one reader and name it here. What a name has after
# the colon says that the reader takes an argument.
SOURCES: dict[str, source.Reader] = {
    'digits': digits.read,
    'cifar10': cifar.read_cifar10,
    'cifar100': cifar.read_cifar100,
    'mnist': idx.read_mnist,
    'fashion_mnist': idx.read_fashion_mnist,
    'npz:PATH': npz.read,
    'folder:PATH': folder.read,
    'tfds:NAME': tfds.read,
}

# The test images must not change with the seed: results would not compare.
_TEST_FRACTION = 0.2
_TEST_SEED = 0
# Pixels of a constant channel are divided by this, not by zero.
_MIN_STD = 1e-3


class ImageData(NamedTuple):
  """A data set whose three parts have no image in common."""
  name: str
  train: Split
  validation: Split
  test: Split
  num_classes: int
  class_names: tuple[str, ...]
  mean: np.ndarray  # float32[C], of pixels on the 0..1 scale
  std: np.ndarray  # float32[C]


def load(
    name: str,
    data_dir: str | None = None,
    *,
    validation_fraction: float = 0.1,
    validation_size: int | None = None,
    seed: int = 0,
    max_train: int | None = None,
    image_size: int | None = None,
) -> ImageData:
  """Loads a data set into memory.

  Validation images are taken from the training images, each class in
  proportion; which ones depends on the training labels, the number and the
  seed only. Where a source has validation and test images of its own, they
  are used as they are. Validation images without test images serve for test.
  Where there are neither, a fifth of the images, the same for every seed, is
  the test split.

  Args:
    name: a key of `SOURCES`, with an argument in place of PATH or NAME.
    data_dir: the folder of the files, for the names that need one.
    validation_fraction: validation images / (training + validation images).
    validation_size: number of validation images, instead of the fraction.
    seed: of the choice of validation images, and of `max_train`.
    max_train: keep at most so many images for training and validation
      together, each class in proportion.
    image_size: resize images to this height and width.

  Returns:
    uint8 images, int32 labels in 0..num_classes-1, and the mean and standard
    deviation of each channel: published constants for CIFAR, else those of
    the training split.

  Raises:
    ValueError: unknown name, missing or malformed files, labels that do not
      fit the images, or an empty split; the message has the value.
  """
  if image_size is not None and image_size < 1:
    raise ValueError(f'image_size {image_size} must be at least 1')
  read, argument = _find_reader(name)
  raw = read(argument, data_dir, image_size)
  class_names = _class_names(name, raw)
  raw = Raw(*[
      _checked(name, field, part, raw.train, class_names, image_size)
      if isinstance(part, Split) else part
      for field, part in zip(Raw._fields, raw)])
  train, validation, test = raw.train, raw.validation, raw.test
  if test is None and validation is not None:
    validation, test = None, validation
  if test is None:
    test, train = _split_off(
        train, round(_TEST_FRACTION * len(train.labels)), _TEST_SEED,
        leave=1, reason=f'{name}: test split')
  if max_train is not None and max_train < len(train.labels):
    train, _ = _split_off(
        train, max_train, seed, leave=0, reason=f'max_train {max_train}')
  if validation is None:
    size, reason = _validation_size(
        len(train.labels), validation_fraction, validation_size)
    validation, train = _split_off(train, size, seed, leave=1, reason=reason)
  mean, std = raw.mean, raw.std
  if mean is None:
    mean, std = mean_and_std(train.images)
  return ImageData(
      name, train, validation, test, len(class_names), class_names, mean, std)


def train_and_validation(data: ImageData) -> Split:
  """Training and validation images in one split, for the final training."""
  return Split(*map(np.concatenate, zip(data.train, data.validation)))


def mean_and_std(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation of each channel, over images and pixels.

  Args:
    images: uint8[N, H, W, C].

  Returns:
    float32[C] each, on the 0..1 scale; the deviation is at least 0.001.
  """
  channels = images.shape[-1]
  counts = np.zeros((channels, 256), np.int64)
  # By histograms, which are exact, in pieces, which need little memory.
  for start in range(0, len(images), 1000):
    piece = images[start:start + 1000].reshape(-1, channels)
    for channel in range(channels):
      counts[channel] += np.bincount(piece[:, channel], minlength=256)
  levels = np.arange(256) / 255
  weights = counts / counts.sum(axis=1, keepdims=True)
  mean = weights @ levels
  variance = (weights * (levels - mean[:, None])**2).sum(axis=1)
  std = np.maximum(np.sqrt(variance), _MIN_STD)
  return mean.astype(np.float32), std.astype(np.float32)


def _find_reader(name: str) -> tuple[source.Reader, str | None]:
  kind, _, argument = name.partition(':')
  for key, read in SOURCES.items():
    known, _, placeholder = key.partition(':')
    if known == kind:
      if bool(argument) != bool(placeholder) or name.endswith(':'):
        raise ValueError(f'data set {name!r} must be written as {key}')
      return read, argument or None
  raise ValueError(
      f'unknown data set {name!r}; known are {", ".join(SOURCES)}')


def _class_names(name: str, raw: Raw) -> tuple[str, ...]:
  if raw.class_names is not None:
    return raw.class_names
  labels = np.asarray(raw.train.labels)
  if labels.dtype.kind not in 'iu' or not labels.size or labels.min() < 0:
    # Too odd to count classes; the check of the split says what is wrong.
    return ()
  return tuple(str(label) for label in range(int(labels.max()) + 1))


def _checked(
    name: str, part: str, split: Split, train: Split,
    class_names: tuple[str, ...], image_size: int | None) -> Split:
  images, labels = split.images, np.asarray(split.labels)
  what = f'data set {name!r}, {part} split'
  if images.ndim != 4 or images.dtype != np.uint8 or 0 in images.shape:
    raise ValueError(
        f'{what}: images are {images.dtype}{list(images.shape)}, expected '
        'uint8[N, H, W, C], none of them 0')
  if images.shape[1:] != train.images.shape[1:]:
    raise ValueError(
        f'{what}: images are {list(images.shape[1:])}, but the training '
        f'images are {list(train.images.shape[1:])}')
  if labels.dtype.kind not in 'iu' or labels.shape != images.shape[:1]:
    raise ValueError(
        f'{what}: labels are {labels.dtype}{list(labels.shape)}, expected '
        f'integers [{len(images)}], one per image')
  low, high = labels.min(), labels.max()
  if low < 0 or high >= len(class_names):
    allowed = (f'0..{len(class_names) - 1}, one per class' if class_names
               else '0 or more')
    raise ValueError(
        f'{what}: labels are in {low}..{high}, expected {allowed}')
  if image_size is not None and images.shape[1:3] != (image_size, image_size):
    images = np.stack([source.resize(image, image_size) for image in images])
  return Split(images, labels.astype(np.int32))


def _validation_size(
    total: int, fraction: float, size: int | None) -> tuple[int, str]:
  if size is not None:
    return size, f'validation_size {size}'
  if not 0 < fraction < 1:
    raise ValueError(
        f'validation_fraction {fraction} must be between 0 and 1')
  return round(fraction * total), f'validation_fraction {fraction}'


def _split_off(
    split: Split, size: int, seed: int, *, leave: int, reason: str
) -> tuple[Split, Split]:
  """The chosen `size` images, and the others."""
  try:
    chosen, rest = splits.stratified(split.labels, size, seed, leave=leave)
  except ValueError as error:
    raise ValueError(f'{reason}: {error}') from None
  return (Split(split.images[chosen], split.labels[chosen]),
          Split(split.images[rest], split.labels[rest]))
