import numpy as np
import pytest

from nas_jax.data import images
from nas_jax.data import knn
from nas_jax.data.source import Split
from tests.data.helpers import message_of


def _split(values, labels):
  pixels = np.array(values, np.uint8).reshape(-1, 1, 1, 1)
  return Split(pixels, np.array(labels, np.int32))


def test_neighbours_vote():
  train = _split([0, 10, 20, 100, 110, 120, 12], [0, 0, 0, 1, 1, 1, 1])
  test = _split([5, 13, 105, 200], [0, 1, 1, 0])
  # By hand: 13 has the neighbours 12, 10, 20, of which two are of class 0.
  assert knn.knn_accuracy(train, test, k=3) == 0.5
  assert knn.knn_accuracy(train, test, k=1) == 0.75


def test_digits_are_easy():
  data = images.load('digits')
  assert knn.knn_accuracy(data.train, data.test) > 0.97
  fewer = knn.knn_accuracy(data.train, data.test, max_train=100)
  assert 0.7 < fewer < 0.97


@pytest.mark.parametrize('k', [0, 3])
def test_too_few_neighbours_are_refused(k):
  split = _split([0, 1, 2], [0, 1, 1])
  assert message_of(knn.knn_accuracy, split, split, k=k, max_train=2) == (
      f'k {k} must be in 1..2, the number of training images')
