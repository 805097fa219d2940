"""One device and eight; how many there are is a matter of the process."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import parallel
from nas_jax.supernets import darts
from nas_jax.supernets import enas_macro
from nas_jax.supernets import engine as engines
from nas_jax.supernets import relax
from nas_jax.supernets import shared
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps
from tests import virtual_devices


@pytest.fixture(scope='module')
def differences():
  """The largest difference to one device, by execution on eight."""
  return virtual_devices.run('tests.supernets.devices_test', 8)


@pytest.mark.parametrize('execution', ['blocks', 'whole'])
@pytest.mark.parametrize('what', [
    'loss', 'params', 'gates', 'batch_stats', 'loss_after', 'logits'])
def test_eight_devices_have_what_one_has(differences, execution, what):
  assert differences[execution][what] < 1e-6


def test_the_comparison_sees_another_batch(differences):
  assert differences['other']['params'] > 1e-3
  assert differences['other']['gates'] > 1e-3


def test_eight_devices_train_shared_weights_like_one(differences):
  assert differences['shared']['params'] < 1e-6
  assert differences['shared']['score'] < 1e-6


def _shared(num_devices):
  """Parameters after some steps of one architecture each, and a score."""
  family = enas_macro.family(
      num_layers=3, features=4, image_shape=(8, 8, 1), num_classes=3,
      dropout_keep=1.)
  weights = shared.make(
      family, recipes.Recipe(epochs=1, crop_padding=0),
      steps.Task((8, 8, 1), (.5,), (.25,)), num_devices=num_devices)
  state = weights.init(jax.random.key(0))
  images, labels = _batch(0)
  for i in range(2):
    genotype = family.space.genotype(family.space.sample(jax.random.key(i)))
    state, _ = weights.step(state, [genotype], images, labels,
                            jax.random.key(i), optimizers.Pace(.05, 0., 0.))
  return {'params': state.params,
          'score': weights.score(state, genotype, images, labels)}


def _batch(seed):
  rng = np.random.default_rng(seed)
  return (rng.integers(0, 256, (16, 8, 8, 1)).astype(np.uint8),
          rng.integers(0, 3, 16).astype(np.int32))


def _engine(num_devices, execution):
  style = dataclasses.replace(
      darts.STYLE, axis_name=parallel.BATCH_AXIS if num_devices > 1 else None)
  operations = ('none', 'avg_pool_3x3', 'skip_connect', 'dil_conv_3x3')
  net = darts.build(
      darts.uniform(operations, 1), image_shape=(8, 8, 1), num_classes=3,
      features=2, num_cells=1, style=style)
  recipe = recipes.Recipe(
      epochs=1, batch_size=16, eval_batch_size=16, learning_rate=.1,
      crop_padding=1)
  return engines.make(
      net, recipe, steps.Task((8, 8, 1), (.5,), (.25,)), rows=darts.rows,
      execution=execution, num_devices=num_devices)


def _outcome(engine, seed):
  """Of two gradients and the update between them."""
  images, labels = _batch(seed)
  gates = relax.gates(relax.softmax({
      kind: jnp.asarray(np.random.default_rng(1).normal(size=(2, 4)),
                        jnp.float32) for kind in darts.KINDS}))
  state = engine.init(jax.random.key(0))
  first = engine.gradient(state.params, state.batch_stats, gates, images,
                          labels, jax.random.key(3))
  state = engine.update(state, first.params, first.batch_stats,
                        optimizers.Pace(.1, 0., 0.))
  second = engine.gradient(state.params, state.batch_stats, gates, images,
                           labels, jax.random.key(4), weights=False)
  logits = engine.logits(state.params, state.batch_stats, gates, images)
  return first._asdict() | {'loss_after': second.loss, 'logits': logits}


def _main():
  alone = _outcome(_engine(1, 'blocks'), 0)
  found = {execution: _differences(_outcome(_engine(8, execution), 0), alone)
           for execution in ('blocks', 'whole')}
  found['other'] = _differences(_outcome(_engine(1, 'blocks'), 1), alone)
  found['shared'] = _differences(_shared(8), _shared(1))
  print(json.dumps(found))


def _differences(found, expected):
  return {name: max(
      float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(
          jax.tree.leaves(value), jax.tree.leaves(expected[name]),
          strict=True)) for name, value in found.items()}


if __name__ == '__main__':
  _main()
