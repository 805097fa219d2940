import dataclasses
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.data import source
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.training import classify
from nas_jax.training import recipes
from nas_jax.training import steps

_KEY = jax.random.key(5)
_LINEAR = recipes.Recipe(
    epochs=1, batch_size=4, learning_rate=.1, momentum=.9, weight_decay=.01,
    clip_norm=100., crop_padding=0, flip=False, eval_batch_size=4)
_TASK = classify.Task((2, 1, 1), (.5,), (.25,))
_IMAGES = np.array([[10, 200], [250, 40], [130, 190], [255, 255]],
                   np.uint8)[..., None, None]
_LABELS = np.array([0, 1, 2, 1], np.int32)


def _linear_net():
  """A linear classifier of the mean of relu(pixel)."""
  builder = graph.Builder(_TASK.image_shape)
  return builder.finish(builder.add(
      'classifier', image.Classifier(3), [builder.image], (3,)))


def _numpy_steps(recipe, kernel, bias, num_steps, rate):
  """Training of the linear classifier, written out."""
  x = np.maximum((_IMAGES.reshape(4, 2) / 255 - .5) / .25, 0).mean(1)[:, None]
  targets = np.eye(3)[_LABELS]
  targets = ((1 - recipe.label_smoothing) * targets
             + recipe.label_smoothing / 3)
  momenta = [np.zeros((1, 3)), np.zeros(3)]
  losses = []
  for _ in range(num_steps):
    logits = x @ kernel + bias
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    losses.append(-(targets * np.log(p)).sum(1).mean())
    error = (p - targets) / 4
    grads = [x.T @ error, error.sum(0)]
    norm = np.sqrt(sum((g**2).sum() for g in grads))
    grads = [g * min(1, recipe.clip_norm / norm) for g in grads]
    grads[0] = grads[0] + recipe.weight_decay * kernel
    if recipe.decayed == 'all':
      grads[1] = grads[1] + recipe.weight_decay * bias
    momenta = [recipe.momentum * m + g for m, g in zip(momenta, grads)]
    directions = momenta
    if recipe.nesterov:
      directions = [recipe.momentum * m + g for m, g in zip(momenta, grads)]
    kernel, bias = kernel - rate * directions[0], bias - rate * directions[1]
  return losses, kernel, bias


@pytest.mark.parametrize('execution', ['whole', 'blocks'])
@pytest.mark.parametrize('changes', [
    {}, {'clip_norm': .05}, {'nesterov': True}, {'momentum': 0.},
    {'decayed': 'weights', 'weight_decay': 1.}, {'label_smoothing': .3}],
    ids=str)
def test_three_steps_of_a_linear_classifier_by_hand(execution, changes):
  recipe = dataclasses.replace(_LINEAR, **changes)
  trainer = classify.compile_trainer(
      _linear_net(), recipe, _TASK, execution=execution)
  state = trainer.init(_KEY)
  bias = np.array([.5, -.25, 1.])
  kernel = np.array([[.3, -1., .2]])
  state = state._replace(params={'classifier': {'Dense_0': {
      'kernel': jnp.asarray(kernel, jnp.float32),
      'bias': jnp.asarray(bias, jnp.float32)}}})
  losses = []
  for _ in range(3):
    state, metrics = trainer.step(
        state, _IMAGES, _LABELS, _KEY, np.float32(.1), np.float32(0))
    losses.append(float(metrics.loss))
  expected, kernel, bias = _numpy_steps(recipe, kernel, bias, 3, .1)
  dense = state.params['classifier']['Dense_0']
  np.testing.assert_allclose(losses, expected, rtol=1e-5)
  np.testing.assert_allclose(dense['kernel'], kernel, rtol=1e-5)
  np.testing.assert_allclose(dense['bias'], bias, rtol=1e-5)
  logits = trainer.predict(state, _IMAGES)
  assert logits.shape == (4, 3)
  assert float(metrics.accuracy) in (0., .25, .5, .75, 1.)


def _run(trainer, tiny, num_steps=4):
  """Losses and accuracies over the first steps, and the last state."""
  state = trainer.init(_KEY)
  found = []
  for i in range(num_steps):
    part = slice(32 * i, 32 * i + 32)
    state, metrics = trainer.step(
        state, tiny.data.train.images[part], tiny.data.train.labels[part],
        jax.random.fold_in(_KEY, i), np.float32(.05), np.float32(.2 * i))
    found.append([float(metrics.loss), float(metrics.accuracy)])
  return np.array(found), state


def test_whole_and_blocks_train_alike(tiny):
  """With random crops and dropped paths, drawn from the same keys."""
  whole = classify.compile_trainer(
      tiny.net, tiny.recipe, classify.task_of(tiny.data), execution='whole')
  a, state_a = _run(whole, tiny)
  b, state_b = _run(tiny.trainer, tiny)
  np.testing.assert_allclose(a[:, 0], b[:, 0], rtol=2e-4)
  np.testing.assert_allclose(a[:, 1], b[:, 1], atol=1e-6)
  scores = [classify.evaluate(t, tiny.recipe, s, tiny.data.validation)
            for t, s in ((whole, state_a), (tiny.trainer, state_b))]
  assert scores[0] == scores[1]
  assert jax.tree.structure(state_a) == jax.tree.structure(state_b)
  assert whole.compile_seconds > 0


def test_equal_seeds_give_equal_bits(tiny):
  a, state_a = _run(tiny.trainer, tiny)
  b, state_b = _run(tiny.trainer, tiny)
  assert a.tobytes() == b.tobytes()
  assert all(np.asarray(x).tobytes() == np.asarray(y).tobytes()
             for x, y in zip(jax.tree.leaves(state_a),
                             jax.tree.leaves(state_b), strict=True))
  other = tiny.trainer.init(jax.random.key(6))
  assert any((np.asarray(x) != np.asarray(y)).any() for x, y in zip(
      jax.tree.leaves(other.params),
      jax.tree.leaves(tiny.trainer.init(_KEY).params)))


def test_evaluation_counts_every_example_once(tiny):
  """The padding of the last batch of 50 does not count."""
  state = tiny.trainer.init(_KEY)
  part = source.Split(tiny.data.test.images[:73], tiny.data.test.labels[:73])
  logits = np.concatenate([
      tiny.trainer.predict(state, part.images[:50]),
      tiny.trainer.predict(state, part.images[23:])[27:]])
  expected = np.mean(logits.argmax(-1) == part.labels)
  assert classify.evaluate(
      tiny.trainer, tiny.recipe, state, part) == pytest.approx(expected)


def test_an_epoch_depends_on_key_seed_and_number(tiny):
  def run(key=_KEY, **kwargs):
    _, metrics = classify.train_epoch(
        key, tiny.trainer, tiny.recipe, tiny.trainer.init(_KEY),
        tiny.data.train, **{'epoch': 0, 'seed': 3, **kwargs})
    return metrics['loss']
  first = run()
  assert first == run()
  others = [run(seed=4), run(epoch=1), run(key=jax.random.key(8))]
  assert len({first, *others}) == 4


def test_a_split_may_be_on_the_device_or_not(tiny):
  device = source.Split(*map(jnp.asarray, tiny.data.train))
  losses = [classify.train_epoch(
      _KEY, tiny.trainer, tiny.recipe, tiny.trainer.init(_KEY), split,
      epoch=0, seed=3)[1] for split in (tiny.data.train, device)]
  assert losses[0] == losses[1]


def test_the_task_is_hashable(tiny):
  task = classify.task_of(tiny.data)
  assert task.image_shape == (8, 8, 1) and len(task.mean) == 1
  assert hash(task) == hash(classify.task_of(tiny.data))


def test_unknown_execution():
  with pytest.raises(ValueError, match=re.escape(
      "execution is 'fast', expected one of auto, whole, blocks")):
    classify.compile_trainer(_linear_net(), _LINEAR, _TASK, execution='fast')


def test_blocks_run_on_one_device():
  with pytest.raises(ValueError, match="not 2; use execution='whole'"):
    classify.compile_trainer(
        _linear_net(), _LINEAR, _TASK, execution='blocks', num_devices=2)


def test_an_auxiliary_weight_needs_an_auxiliary_classifier():
  recipe = dataclasses.replace(_LINEAR, auxiliary_weight=.4)
  message = ('auxiliary_weight is 0.4, but the network has no auxiliary '
             'classifier')
  with pytest.raises(ValueError, match=re.escape(message)):
    classify.compile_trainer(_linear_net(), recipe, _TASK)


class _Plain(nn.Module):
  """A 3x3 convolution to 4 channels, without batch norm."""

  @nn.compact
  def __call__(self, x, train):
    return nn.relu(nn.Conv(4, (3, 3))(x))


_PLAIN_TASK = classify.Task((4, 4, 1), (.5,), (.25,))


def _plain_net(dtype=None):
  style = ops.Style(dtype=dtype)
  builder = graph.Builder(_PLAIN_TASK.image_shape, style)
  x = builder.add('conv', _Plain(), [builder.image])
  return builder.finish(builder.add(
      'classifier', image.Classifier(3, style=style), [x]))


def _batch(size):
  rng = np.random.default_rng(0)
  return (rng.integers(0, 256, (size, 4, 4, 1), np.uint8),
          rng.integers(0, 3, size).astype(np.int32))


def _two_steps(recipe, execution='blocks', decay=0., net=None):
  trainer = classify.compile_trainer(
      net or _plain_net(), recipe, _PLAIN_TASK, execution=execution)
  images, labels = _batch(12)
  state, found = trainer.init(_KEY), []
  for i in range(2):
    state, metrics = trainer.step(
        state, images, labels, jax.random.fold_in(_KEY, i), np.float32(.1),
        np.float32(.5), np.float32(decay))
    found.append([float(metrics.loss), float(metrics.accuracy)])
  return np.array(found), state, trainer


@pytest.mark.parametrize('execution', ['whole', 'blocks'])
@pytest.mark.parametrize('changes', [
    {}, {'optimizer': 'rmsprop', 'weight_decay': .1, 'decay_in_loss': True}],
    ids=str)
def test_a_batch_in_parts_is_the_batch(execution, changes):
  """Without batch norm and augmentation, up to rounding."""
  recipe = dataclasses.replace(
      _LINEAR, batch_size=12, clip_norm=.1, **changes)
  a, state_a, _ = _two_steps(recipe, execution)
  for parts in (3, 4):
    b, state_b, _ = _two_steps(
        dataclasses.replace(recipe, accumulate=parts), execution)
    np.testing.assert_allclose(a, b, rtol=1e-5)
    for x, y in zip(jax.tree.leaves(state_a), jax.tree.leaves(state_b),
                    strict=True):
      np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-6)


def test_the_parts_of_a_batch_on_the_device():
  x = jnp.arange(6)
  parts = steps._split(3, x, np.arange(6))
  assert [(a.tolist(), b.tolist()) for a, b in parts] == [
      ([0, 1], [0, 1]), ([2, 3], [2, 3]), ([4, 5], [4, 5])]


_EVERYTHING = dataclasses.replace(
    _LINEAR, batch_size=12, crop_padding=1, flip=True, cutout_length=2,
    mixup=.5, lrc_weight=.3, label_smoothing=.1, ema_decay=.9,
    optimizer='rmsprop', decay_in_loss=True, decayed='no_biases')


@pytest.mark.parametrize('changes', [
    {}, {'optimizer': 'sgd', 'nesterov': True, 'clip_norm': None},
    {'accumulate': 2, 'cutout': 'corner'}], ids=str)
def test_both_executions_do_everything_alike(changes):
  recipe = dataclasses.replace(_EVERYTHING, **changes)
  a, state_a, whole = _two_steps(recipe, 'whole', .9)
  b, state_b, blocks = _two_steps(recipe, 'blocks', .9)
  np.testing.assert_allclose(a, b, rtol=1e-5)
  for x, y in zip(jax.tree.leaves(state_a), jax.tree.leaves(state_b),
                  strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)
  images, _ = _batch(4)
  np.testing.assert_allclose(
      whole.predict(state_a, images), blocks.predict(state_b, images),
      rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('execution', ['whole', 'blocks'])
def test_the_averaged_weights_are_tested(execution):
  recipe = dataclasses.replace(_LINEAR, batch_size=12, ema_decay=.9)
  first = classify.compile_trainer(
      _plain_net(), recipe, _PLAIN_TASK, execution=execution)
  images, _ = _batch(4)
  before = np.asarray(first.predict(first.init(_KEY), images))
  # With a decay of 1 the average stays at the beginning, with 0 it follows.
  _, state, trainer = _two_steps(recipe, execution, decay=1.)
  np.testing.assert_allclose(trainer.predict(state, images), before, rtol=1e-6)
  _, state, trainer = _two_steps(recipe, execution, decay=0.)
  plain = dataclasses.replace(recipe, ema_decay=0.)
  _, state_b, trainer_b = _two_steps(plain, execution)
  np.testing.assert_allclose(
      trainer.predict(state, images), trainer_b.predict(state_b, images),
      rtol=1e-5)


@pytest.mark.parametrize('execution', ['whole', 'blocks'])
def test_half_precision(execution):
  """Parameters, loss and logits stay in float32."""
  recipe = dataclasses.replace(_LINEAR, batch_size=12)
  half, full = (image.cifar_net(
      ((('conv_1x1', 0), ('max_pool_3x3', 1)), (2,)) * 2,
      image_shape=(4, 4, 1), num_classes=3, num_cells=1, features=4,
      num_reductions=0, drop_path_keep=.5, style=ops.Style(dtype=dtype))
                for dtype in ('bfloat16', None))
  found, state, trainer = _two_steps(recipe, execution, net=half)
  exact, _, _ = _two_steps(recipe, execution, net=full)
  assert {x.dtype for x in jax.tree.leaves(state)} == {jnp.dtype('float32')}
  assert trainer.predict(state, _batch(4)[0]).dtype == jnp.float32
  np.testing.assert_allclose(found[0, 0], exact[0, 0], rtol=.05)


def test_a_last_batch_is_filled(tiny):
  """740 - 100 images: 12 whole batches of 50 and one of 40."""
  recipe = dataclasses.replace(tiny.recipe, batch_size=50, fill_last=True)
  calls = []

  def step(state, images, labels, *rest):
    calls.append(len(images))
    return state, classify.Metrics(np.float32(1), np.float32(0))

  classify.train_epoch(
      _KEY, tiny.trainer._replace(step=step), recipe,
      tiny.trainer.init(_KEY), tiny.data.train, epoch=0, seed=0)
  assert calls == [50] * 13


def test_a_batch_that_does_not_split():
  recipe = dataclasses.replace(_LINEAR, batch_size=12, accumulate=2)
  with pytest.raises(ValueError, match=re.escape(
      'batch_size 12 does not split into 2 parts (accumulate) on each of 4 '
      'devices (num_devices)')):
    classify.compile_trainer(
        _plain_net(), recipe, _PLAIN_TASK, execution='whole', num_devices=4)
