"""What a training minimises."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nas_jax.networks import graph

Array = jax.Array
_NUM_DRAWS = 50  # of the signs of local Rademacher complexity


class Labels(NamedTuple):
  """Of images that may be mixed with others."""
  first: Array  # int32[B]
  second: Array  # int32[B], of what each image is mixed with
  weight: Array  # float32[], of the first


def mix(key: Array, images: Array, labels: Array, alpha: float
        ) -> tuple[Array, Labels]:
  """Mixup: each image is blended with another of the batch.

  Args:
    key: consumed.
    images: float[B, H, W, C].
    labels: int32[B].
    alpha: the weight of the image itself is Beta(alpha, alpha), one for the
      batch; 0 leaves the images as they are.

  Reference: Zhang et al., mixup, arXiv 1710.09412.
  """
  if not alpha:
    return images, Labels(labels, labels, jnp.float32(1))
  weight_key, order_key = jax.random.split(key)
  weight = jax.random.beta(weight_key, alpha, alpha)
  order = jax.random.permutation(order_key, len(labels))
  mixed = weight * images + (1 - weight) * images[order]
  return mixed, Labels(labels, labels[order], weight)


def objective(
    logits: graph.Logits, labels: Array | Labels, *, smoothing: float = 0.,
    auxiliary_weight: float = 0., lrc_weight: float = 0.,
    key: Array | None = None,
) -> tuple[Array, Array]:
  """Loss and accuracy, both float32[].

  Args:
    logits: of the main and, if there is one, the auxiliary classifier.
    labels: int32[B], or as `mix` returns them; an accuracy counts the label
      of larger weight.
    smoothing: mass spread over all classes.
    auxiliary_weight: of the auxiliary classifier's loss.
    lrc_weight: of `rademacher_complexity`.
    key: for the latter.
  """
  if not isinstance(labels, Labels):
    labels = Labels(labels, labels, jnp.float32(1))
  main = _widen(logits.main)
  targets = (labels.weight * _targets(labels.first, main, smoothing)
             + (1 - labels.weight) * _targets(labels.second, main, smoothing))
  loss = optax.softmax_cross_entropy(main, targets).mean()
  if logits.auxiliary is not None:
    loss += auxiliary_weight * optax.softmax_cross_entropy(
        _widen(logits.auxiliary), targets).mean()
  if lrc_weight:
    loss += lrc_weight * rademacher_complexity(key, main, labels.first)
  heavier = jnp.where(labels.weight >= .5, labels.first, labels.second)
  return loss, jnp.mean(jnp.argmax(main, -1) == heavier)


def rademacher_complexity(key: Array, logits: Array, labels: Array) -> Array:
  """Local Rademacher complexity of a batch, float32[].

  The mean over 50 draws of |sum_i s_i sum_j (z_ij - z_i,label)| / (B (K - 1)),
  with a random sign s_i for each image.

  Args:
    key: consumed.
    logits: z, float32[B, K].
    labels: int32[B].

  Reference: the first release of LRC in PaddlePaddle's AutoDL.
  """
  size, num_classes = logits.shape
  right = jnp.take_along_axis(logits, labels[:, None], -1)
  margins = jnp.sum(logits - right, -1)
  signs = jax.random.rademacher(key, (_NUM_DRAWS, size), jnp.float32)
  return jnp.mean(jnp.abs(signs @ margins)) / (size * (num_classes - 1))


def _widen(x: Array) -> Array:
  """At least float32."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _targets(labels, logits, smoothing):
  return optax.smooth_labels(
      jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
