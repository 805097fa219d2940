"""Two devices are a matter of the process: one is started for all tests."""

import json

import jax
import numpy as np
import pytest

from nas_jax import parallel
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.training import classify
from nas_jax.training import recipes
from tests import virtual_devices

_CELL = (('conv_1x1', 0), ('max_pool_3x3', 1))


@pytest.fixture(scope='module')
def on_two():
  """What `_main` found out on two devices."""
  return virtual_devices.run('tests.training.devices_test', 2)


def test_each_device_has_batch_statistics_of_its_own(on_two):
  """As if each half of the batch were a part, before the one update."""
  parts, alone = on_two['parts'], on_two['alone']
  assert alone['loss'] == pytest.approx(parts['loss'], rel=1e-6)
  np.testing.assert_allclose(alone['params'], parts['params'], atol=1e-6)
  # Another function than that of the whole batch's statistics.
  assert abs(on_two['synchronised']['loss'] - alone['loss']) > 1e-4


def test_running_statistics_are_averaged_over_devices(on_two):
  """Both devices start at 0: .1 times the mean of the two batch means."""
  np.testing.assert_allclose(
      on_two['alone']['mean'], on_two['synchronised']['mean'], atol=1e-6)


def test_parts_on_two_devices(on_two):
  """Four parts on one device or two parts on each of two."""
  four, both = on_two['four_parts'], on_two['two_and_two']
  assert both['loss'] == pytest.approx(four['loss'], rel=1e-6)
  np.testing.assert_allclose(both['params'], four['params'], atol=1e-6)


def _main():
  task = classify.Task((6, 6, 1), (.5,), (.3,))
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (16, 6, 6, 1), np.uint8)
  labels = rng.integers(0, 3, 16).astype(np.int32)
  # In the order in which 2 devices and 2 parts of each meet them.
  other = np.arange(16).reshape(2, 2, 4).swapaxes(0, 1).ravel()

  def run(num_devices, accumulate, synchronise=False, order=slice(None)):
    recipe = recipes.Recipe(
        epochs=1, batch_size=16, crop_padding=0, flip=False, eval_batch_size=8,
        clip_norm=.5, accumulate=accumulate)
    style = ops.Style(axis_name=parallel.BATCH_AXIS if synchronise else None)
    net = image.cifar_net(
        (_CELL, (2,), _CELL, (2,)), image_shape=(6, 6, 1), num_classes=3,
        num_cells=1, features=4, num_reductions=0, style=style)
    trainer = classify.compile_trainer(
        net, recipe, task, execution='whole', num_devices=num_devices)
    state = trainer.init(jax.random.key(0))
    means = []
    for _ in range(2):
      state, metrics = trainer.step(
          state, images[order], labels[order], jax.random.key(1),
          np.float32(.1), np.float32(0))
      # Of the first norm: its running mean, before its variance.
      means.append(np.asarray(jax.tree.leaves(state.batch_stats['stem'])[0]))
    predicted = trainer.predict(state, images[:8])
    assert np.isfinite(predicted).all()
    return {'loss': float(metrics.loss),
            'mean': means[0].tolist(),
            'params': np.concatenate([
                np.asarray(x).ravel() for x in jax.tree.leaves(state.params)
            ]).tolist()}

  print(json.dumps({
      'alone': run(2, 1), 'parts': run(1, 2),
      'synchronised': run(2, 1, synchronise=True),
      'four_parts': run(1, 4),
      'two_and_two': run(2, 2, order=other)}))


if __name__ == '__main__':
  _main()
