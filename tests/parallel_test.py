"""Eight devices are a matter of the process: one is started for all tests."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import parallel
from nas_jax import records
from nas_jax.data import images as image_data
from nas_jax.evaluators import scratch
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.spaces import cell
from nas_jax.training import classify
from nas_jax.training import recipes

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_CELL = (('conv_1x1', 0), ('max_pool_3x3', 1))


@pytest.fixture(scope='module')
def on_eight():
  """What `_main` found out on eight devices."""
  flags = '--xla_force_host_platform_device_count=8'
  done = subprocess.run(
      [sys.executable, '-m', 'tests.parallel_test'], cwd=_ROOT, text=True,
      capture_output=True, timeout=300,
      env=os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'})
  assert done.returncode == 0, done.stderr[-3000:]
  return json.loads(done.stdout.splitlines()[-1])


def test_a_step_on_eight_devices_is_the_step_on_one(on_eight):
  step = on_eight['step']
  np.testing.assert_allclose(
      step['losses'][1], step['losses'][0], rtol=1e-6)
  assert step['accuracies'][0] == step['accuracies'][1]
  assert step['largest_update'] > 1e-3
  for part in ('params', 'batch_stats', 'optimizer'):
    assert step['errors'][part] < 1e-6, part


def test_a_state_trained_on_eight_devices_predicts(on_eight):
  assert on_eight['prediction_error'] < 1e-4
  assert on_eight['evaluation'][0] == on_eight['evaluation'][1]


def test_a_batch_must_split_over_the_devices(on_eight):
  assert on_eight['batch_error'] == (
      'a batch of 12 does not split over 8 devices; choose a multiple of 8')


def test_genomes_need_not_be_a_multiple_of_the_devices(on_eight):
  """The score of a genome is its sum times what is shared."""
  for size, scores in on_eight['genomes'].items():
    assert scores == [30. * i + 30 for i in range(int(size))]


def test_children_score_the_same_on_several_devices(on_eight):
  one, two, where = on_eight['children']
  assert len(one) == 5 and len(set(one)) > 1
  assert one == two
  # Not all on the first device.
  assert where == [0, 1]


def test_an_interrupt_keeps_the_children_of_all_devices(on_eight):
  kept, cached, rewards = on_eight['interrupted']
  assert kept >= 2  # The third to finish was interrupted.
  assert cached == kept
  assert rewards == on_eight['children'][0]


def _step() -> dict:
  recipe = recipes.Recipe(
      epochs=1, batch_size=16, crop_padding=0, flip=False, eval_batch_size=8,
      clip_norm=.5)
  task = classify.Task((6, 6, 1), (.5,), (.3,))
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (32, 6, 6, 1), np.uint8)
  labels = rng.integers(0, 3, 32).astype(np.int32)
  found = {'losses': [], 'accuracies': []}
  states, predictions, scores = [], [], []
  for num_devices in (1, 8):
    style = ops.Style(
        axis_name=parallel.BATCH_AXIS if num_devices > 1 else None)
    net = image.cifar_net(
        (_CELL, (2,), _CELL, (2,)), image_shape=(6, 6, 1), num_classes=3,
        num_cells=1, features=4, num_reductions=0, style=style)
    trainer = classify.compile_trainer(
        net, recipe, task, execution='whole', num_devices=num_devices)
    state = trainer.init(jax.random.key(0))
    first = jax.tree.map(np.asarray, state.params)
    losses, accuracies = [], []
    for i in range(2):
      part = slice(16 * i, 16 * i + 16)
      state, metrics = trainer.step(
          state, images[part], labels[part], jax.random.key(i),
          np.float32(.1), np.float32(0))
      losses.append(float(metrics.loss))
      accuracies.append(float(metrics.accuracy))
    found['losses'].append(losses)
    found['accuracies'].append(accuracies)
    predictions.append(np.asarray(trainer.predict(state, images[:8])))
    scores.append(classify.evaluate(
        trainer, recipe, state, image_data.Split(images, labels)))
    states.append(jax.tree.map(np.asarray, state))
  try:
    trainer.step(state, images[:12], labels[:12], jax.random.key(0),
                 np.float32(.1), np.float32(0))
    error = None
  except ValueError as e:
    error = str(e)
  largest = lambda a, b: max(
      float(np.abs(x - y).max()) for x, y in zip(
          jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
  found['errors'] = {
      name: largest(getattr(states[0], name), getattr(states[1], name))
      for name in classify.TrainState._fields}
  found['largest_update'] = largest(first, states[0].params)
  return {'step': found, 'batch_error': error, 'evaluation': scores,
          'prediction_error': float(np.abs(np.diff(predictions, axis=0)).max())}


def _genomes() -> dict:
  score = parallel.pmap_genomes(
      lambda shared, genome: {'score': shared * genome.sum()}, num_devices=8)
  genomes = jnp.arange(11)[:, None] + jnp.ones((11, 3), jnp.int32)
  return {size: score(jnp.float32(10), genomes[:size])['score'].tolist()
          for size in (3, 8, 11)}


def _children(folder: pathlib.Path) -> dict:
  space = cell.space(('skip_connect', 'max_pool_3x3', 'conv_1x1'), num_nodes=1)
  data = image_data.load('digits', max_train=110, validation_size=30)
  recipe = recipes.Recipe(epochs=1, batch_size=20, learning_rate=.1,
                          crop_padding=1, flip=False, eval_batch_size=30)
  genomes = jnp.stack([space.sample(jax.random.key(i)) for i in range(5)])
  devices, finished = set(), []
  measure = classify.measure

  def watched(trainer, recipe, state, split):
    devices.update(*[x.devices() for x in jax.tree.leaves(state)])
    return measure(trainer, recipe, state, split)

  def reward(outcome):
    finished.append(outcome.accuracy)
    if len(finished) == interrupt_at:
      raise KeyboardInterrupt
    return outcome.records[-1]['loss'] + outcome.accuracy

  def evaluator(num_devices, **kwargs):
    return scratch.scratch(
        lambda genotype: image.cifar_net(
            tuple(genotype), image_shape=(8, 8, 1), num_classes=10,
            num_cells=1, features=2, num_reductions=0),
        space.genotype, data, recipe, seed=0, num_devices=num_devices,
        scoring=scratch.Scoring(reward=reward), **kwargs)

  def rewards(evaluator):
    evaluation, _ = evaluator.evaluate(
        jax.random.key(0), evaluator.init(jax.random.key(0)),
        base.Proposals(genomes))
    return np.asarray(evaluation.rewards).tolist()

  classify.measure = watched
  interrupt_at = None
  one = rewards(evaluator(1))
  devices.clear()
  two = rewards(evaluator(2))
  where = sorted(d.id for d in devices)

  finished.clear()
  interrupt_at = 3
  cache = folder / 'children.jsonl'
  interrupted = evaluator(2, cache=cache)
  try:
    rewards(interrupted)
  except KeyboardInterrupt:
    pass
  kept, cached = len(finished) - 1, len(records.read(cache))
  return {'children': (one, two, where),
          'interrupted': (kept, cached, rewards(interrupted))}


def test_more_devices_than_there_are():
  count = len(jax.local_devices())
  message = f'{count + 1} devices asked for, this host has {count} '
  for make in (
      lambda n: parallel.local_devices(n),
      lambda n: parallel.pmap_genomes(lambda s, g: g, num_devices=n),
      lambda n: parallel.pmap_batch(
          lambda s, x: (s, x), num_sharded=1, num_devices=n)):
    with pytest.raises(ValueError, match=re.escape(message)):
      make(count + 1)
  with pytest.raises(ValueError, match='0 devices asked for'):
    parallel.local_devices(0)
  assert parallel.local_devices(1) == jax.local_devices()[:1]


@pytest.mark.parametrize('size, host, num_hosts, expected', [
    (8, 0, 1, slice(0, 8)), (8, 0, 2, slice(0, 4)), (8, 1, 2, slice(4, 8)),
    (12, 2, 4, slice(6, 9)), (0, 1, 2, slice(0, 0))])
def test_a_host_scores_its_slice(size, host, num_hosts, expected):
  assert parallel.host_slice(size, host, num_hosts) == expected


def test_one_host_scores_all():
  assert parallel.host_slice(7) == slice(0, 7)


def test_a_round_must_split_over_the_hosts():
  with pytest.raises(ValueError, match=re.escape(
      'a batch of 7 proposals does not split over 2 hosts; choose a multiple '
      'of 2')):
    parallel.host_slice(7, 0, 2)


def test_on_one_host_there_is_nothing_to_gather():
  tree = {'a': np.arange(3), 'b': (np.ones(2),)}
  assert parallel.gather(tree) is tree


if __name__ == '__main__':
  assert len(jax.devices()) == 8
  with tempfile.TemporaryDirectory() as temporary:
    print(json.dumps({**_step(), 'genomes': _genomes(),
                      **_children(pathlib.Path(temporary))}))
