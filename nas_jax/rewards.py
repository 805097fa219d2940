"""From what was measured of a child to its reward.

The functions work on arrays of any batch shape and leave failed children
(NaN) to the evaluator.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def accuracy(validation_accuracy: Array) -> Array:
  """The validation accuracy itself, in 0..1 (NASNet, AmoebaNet, ENAS)."""
  return validation_accuracy


def accuracy_cubed(validation_accuracies: Array, *, last: int = 5) -> Array:
  """The cube of the best of the last epochs' validation accuracies.

  Args:
    validation_accuracies: float[..., E], in 0..1, one per epoch. Where there
      are fewer epochs than `last`, all count.
    last: how many epochs count.

  Returns:
    float[...].

  Raises:
    ValueError: no epoch, or `last` below 1.

  Reference: Zoph and Le, arXiv 1611.01578, sec. 4.1.
  """
  if last < 1:
    raise ValueError(f'last must be at least 1, got {last}')
  if not jnp.ndim(validation_accuracies) or not jnp.shape(
      validation_accuracies)[-1]:
    raise ValueError(
        'validation_accuracies needs an axis of at least 1 epoch, got shape '
        f'{jnp.shape(validation_accuracies)}')
  return jnp.max(jnp.asarray(validation_accuracies)[..., -last:], axis=-1)**3


def inverse_square_perplexity(
    validation_perplexity: Array, *, c: float = 80.) -> Array:
  """c / perplexity^2 of a language model.

  Reference: Zoph and Le, arXiv 1611.01578, sec. 4.2.
  """
  return c / jnp.square(validation_perplexity)


def corrected_accuracy(
    early_stop_accuracy: Array,
    flops: Array,
    density: Array,
    *,
    mu: float = 1.,
    rho: float = 8.,
) -> Array:
  """Accuracy - mu log(FLOPs) - rho log(density).

  Early-stopped training favours blocks that are small and sparse less than
  full training does; the two terms correct for that.

  Args:
    early_stop_accuracy: float[...], in per cent (0..100).
    flops: float[...], multiply-adds of the block.
    density: float[...], edges / nodes of the block.
    mu: weight of the logarithm of the FLOPs.
    rho: weight of the logarithm of the density.

  Note: the paper leaves the base of the logarithm open; it is natural here.
  With the paper's mu and rho the accuracy must be in per cent.

  Reference: Zhong et al., arXiv 1708.05552, sec. 4.3, eq. 7.
  """
  return early_stop_accuracy - mu * jnp.log(flops) - rho * jnp.log(density)
