"""Accuracy of nearest neighbours, which tells how hard a data set is."""

import numpy as np

from nas_jax.data import source
from nas_jax.data import splits


def knn_accuracy(
    train: source.Split, test: source.Split, k: int = 3,
    max_train: int = 10_000) -> float:
  """Accuracy in 0..1 of k nearest neighbours on raw pixels, Euclidean.

  Args:
    train: images uint8[N, H, W, C] to look among; where there are more than
      `max_train`, a fixed random choice of so many.
    test: images uint8[M, H, W, C] to classify.
    k: number of neighbours that vote.
    max_train: bounds the time, which grows with its product with M.

  Raises:
    ValueError: k is not in 1..number of training images that are used.
  """
  from sklearn import neighbors
  chosen = splits.random_order(0, len(train.labels))[:max_train]
  if not 1 <= k <= len(chosen):
    raise ValueError(
        f'k {k} must be in 1..{len(chosen)}, the number of training images')
  classifier = neighbors.KNeighborsClassifier(n_neighbors=k)
  classifier.fit(_features(train.images[chosen]), train.labels[chosen])
  return float(classifier.score(_features(test.images), test.labels))


def _features(images: np.ndarray) -> np.ndarray:
  return images.reshape(len(images), -1) / 255
