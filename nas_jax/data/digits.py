"""The 1,797 digits of 8x8 pixels that come with scikit-learn."""

import numpy as np

from nas_jax.data import source


def read(
    argument: str | None, data_dir: str | None, image_size: int | None
) -> source.Raw:
  """All digits as training images uint8[1797, 8, 8, 1]; needs no files.

  References:
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits",
    UCI machine learning repository, 1998 (its test part).
  """
  del argument, data_dir, image_size
  from sklearn import datasets
  digits = datasets.load_digits()
  # The 17 levels 0..16 are spread over 0..255.
  images = np.round(digits.images * (255 / 16)).astype(np.uint8)
  names = tuple(str(name) for name in digits.target_names)
  return source.Raw(
      source.Split(images[..., None], digits.target), class_names=names)
