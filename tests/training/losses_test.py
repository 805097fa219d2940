import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.training import losses

_KEY = jax.random.key(4)


def test_loss_and_accuracy_by_hand():
  logits = jnp.log(jnp.array([[.5, .25, .25], [.2, .7, .1]]))
  labels = jnp.array([0, 2])
  loss, accuracy = losses.objective(
      graph.Logits(logits, None), labels, smoothing=0., auxiliary_weight=.4)
  assert float(loss) == pytest.approx(-np.log(.5 * .1) / 2, rel=1e-6)
  assert float(accuracy) == .5
  # The other classifier weighs 0.4; accuracy is that of the main one.
  other = jnp.log(jnp.array([[.1, .8, .1], [.25, .25, .5]]))
  both, accuracy = losses.objective(
      graph.Logits(logits, other), labels, smoothing=0., auxiliary_weight=.4)
  assert float(both - loss) == pytest.approx(
      .4 * -np.log(.1 * .5) / 2, rel=1e-5)
  assert float(accuracy) == .5


def test_label_smoothing_has_the_entropy_of_its_targets_as_its_floor():
  # True class .9001, the other 999 classes .0001 each.
  target = np.full(1000, 1e-4)
  target[3] = .9001
  loss, _ = losses.objective(
      graph.Logits(jnp.log(jnp.asarray(target, jnp.float32))[None], None),
      jnp.array([3]), smoothing=.1, auxiliary_weight=0.)
  assert float(loss) == pytest.approx(1.01485, abs=1e-4)


def test_smoothed_targets():
  """Of 1000 classes: .9001 and .0001, 1 in all."""
  row = losses._targets(jnp.array([3]), jnp.zeros((1, 1000)), .1)[0]
  assert float(row.sum()) == pytest.approx(1, abs=1e-5)
  assert float(row[3]) == pytest.approx(.9001, abs=1e-6)
  assert float(row[0]) == pytest.approx(.0001, abs=1e-8)
  hard = losses._targets(jnp.array([3, 0]), jnp.zeros((2, 5)), 0.)
  assert hard.tolist() == np.eye(5)[[3, 0]].tolist()


def test_mixup_blends_images_and_labels_alike():
  images = jnp.arange(4.)[:, None, None, None] * jnp.ones((4, 2, 2, 1))
  labels = jnp.arange(4)
  mixed, found = losses.mix(_KEY, images, labels, .6)
  assert found.first.tolist() == [0, 1, 2, 3]
  assert sorted(found.second.tolist()) == [0, 1, 2, 3]
  weight = float(found.weight)
  assert 0 < weight < 1
  np.testing.assert_allclose(
      mixed[:, 0, 0, 0], weight * found.first + (1 - weight) * found.second,
      rtol=1e-6)
  same, found = losses.mix(_KEY, images, labels, 0.)
  assert same is images and float(found.weight) == 1


def test_the_weight_of_mixup_is_beta():
  """Beta(.5, .5): mean 1/2, variance 1/8; more at the ends than between."""
  weights = np.asarray(jax.jit(jax.vmap(lambda key: losses.mix(
      key, jnp.zeros((2, 1, 1, 1)), jnp.zeros(2, jnp.int32), .5)[1].weight))(
          jax.random.split(_KEY, 2000)))
  assert weights.mean() == pytest.approx(.5, abs=.04)
  assert weights.var() == pytest.approx(.125, abs=.01)


def test_the_loss_of_mixed_labels_is_the_mix_of_the_losses():
  logits = graph.Logits(jax.random.normal(_KEY, (3, 4)), None)
  first, second = jnp.array([0, 1, 2]), jnp.array([2, 0, 1])
  one, two = (losses.objective(logits, labels, smoothing=.1)
              for labels in (first, second))
  both, accuracy = losses.objective(
      logits, losses.Labels(first, second, jnp.float32(.3)), smoothing=.1)
  assert float(both) == pytest.approx(.3 * float(one[0]) + .7 * float(two[0]))
  assert float(accuracy) == float(two[1])  # The heavier label counts.


def test_local_rademacher_complexity():
  labels = jnp.array([0, 1])
  assert float(losses.rademacher_complexity(
      _KEY, jnp.zeros((2, 3)), labels)) == 0
  # Margins (1 + 2) and (3 + 3) of 3 classes: |+-3 +- 6| is 9 or 3, over 4.
  logits = jnp.array([[0., 1., 2.], [3., 0., 3.]])
  found = float(losses.rademacher_complexity(_KEY, logits, labels))
  # Each of the 50 draws is one of the two: 150 + 6 times how many are 9.
  count = (found * 4 * 50 - 150) / 6
  assert count == pytest.approx(round(count), abs=1e-3)
  assert 10 < count < 40
  with_it, _ = losses.objective(
      graph.Logits(logits, None), labels, lrc_weight=.5, key=_KEY)
  without, _ = losses.objective(graph.Logits(logits, None), labels)
  assert float(with_it - without) == pytest.approx(.5 * found, rel=1e-5)


def test_the_loss_is_computed_in_float32():
  half = jnp.zeros((2, 3), jnp.bfloat16)
  loss, _ = losses.objective(
      graph.Logits(half, half), jnp.array([0, 1]), auxiliary_weight=.4)
  assert loss.dtype == jnp.float32
  assert float(loss) == pytest.approx(1.4 * np.log(3), rel=1e-6)
