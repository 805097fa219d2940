import jax
import numpy as np
import pytest

from nas_jax.data import batches
from nas_jax.data.source import Split
from tests.data.helpers import message_of
from tests.data.helpers import ramp


def test_order_is_a_pure_function_of_seed_and_epoch():
  order = batches.epoch_order(3, 7, 100)
  assert order.dtype == np.int32
  assert sorted(order.tolist()) == list(range(100))
  assert (order == batches.epoch_order(3, 7, 100)).all()
  for other in ((3, 8), (4, 7), (7, 3)):
    assert (order != batches.epoch_order(*other, 100)).any()


def test_order_does_not_change_between_releases():
  assert batches.epoch_order(0, 0, 8).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
  assert batches.epoch_order(1, 2, 8).tolist() == [5, 6, 3, 2, 1, 0, 4, 7]


def test_first_places_are_uniform():
  first = [batches.epoch_order(0, epoch, 4)[0] for epoch in range(400)]
  # 100 each, give or take four standard deviations.
  assert all(65 < count < 135 for count in np.bincount(first))


def test_last_batch_is_padded_under_a_mask():
  indices, mask = batches.epoch_batches(0, 0, 10, 4, drop_last=False)
  assert indices.dtype == np.int32 and mask.dtype == np.float32
  assert indices.shape == mask.shape == (3, 4)
  assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]
  assert indices[2, 2:].tolist() == [0, 0]
  order = batches.epoch_order(0, 0, 10)
  assert indices[mask == 1].tolist() == order.tolist()


def test_last_batch_is_dropped():
  indices, mask = batches.epoch_batches(0, 0, 10, 4, drop_last=True)
  assert indices.ravel().tolist() == batches.epoch_order(0, 0, 10)[:8].tolist()
  assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]


@pytest.mark.parametrize('size, batch_size, steps', [
    (50_000, 96, 521), (25_000, 64, 391), (50_000, 256, 196)])
def test_steps_per_epoch_are_those_of_the_papers(size, batch_size, steps):
  indices, _ = batches.epoch_batches(0, 0, size, batch_size, drop_last=False)
  assert len(indices) == steps


def test_evaluation_is_in_order():
  indices, mask = batches.eval_batches(5, 3)
  assert indices.tolist() == [[0, 1, 2], [3, 4, 0]]
  assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]
  indices, mask = batches.eval_batches(2, 3)
  assert indices.tolist() == [[0, 1, 0]] and mask.tolist() == [[1, 1, 0]]


def test_too_few_images_for_a_batch_are_refused():
  assert message_of(
      batches.epoch_batches, 0, 0, 10, 16, drop_last=True) == (
          'batch_size 16 exceeds the 10 images, so no batch is left: lower '
          'batch_size or pass drop_last=False')


@pytest.mark.parametrize('size, batch_size', [(0, 4), (4, 0), (4, -1)])
def test_empty_batches_are_refused(size, batch_size):
  assert message_of(batches.eval_batches, size, batch_size) == (
      f'cannot batch {size} images by batch_size {batch_size}: both must be '
      'at least 1')


def test_negative_seed_is_refused():
  assert message_of(batches.epoch_order, -1, 0, 4) == (
      'seed (and epoch) (-1, 0) and size 4 must not be negative')


def test_small_splits_go_to_the_device():
  split = Split(ramp(3, 2, 2, 1), np.arange(3, dtype=np.int32))  # 24 bytes
  placed = batches.to_device(split, max_bytes=24)
  assert all(isinstance(array, jax.Array) for array in placed)
  assert placed.images.dtype == np.uint8 and placed.labels.dtype == np.int32
  np.testing.assert_array_equal(placed.images, split.images)
  kept = batches.to_device(split, max_bytes=23)
  assert all(isinstance(array, np.ndarray) for array in kept)


def test_the_last_batch_can_be_filled():
  order = batches.epoch_order(3, 1, 10)
  filled = batches.epoch_batches(3, 1, 10, 4, drop_last=True, fill_last=True)
  assert filled.indices.ravel().tolist() == [*order, *order[:2]]
  assert filled.mask.sum() == 12
  even = batches.epoch_batches(3, 1, 8, 4, drop_last=True, fill_last=True)
  assert sorted(even.indices.ravel()) == list(range(8))
