"""What changes in the course of a training, as functions of epoch and step.

Epochs are counted from 0; `fraction` is the part of the epoch that is done.
"""

import math

from nas_jax.training import recipes


def learning_rate(
    recipe: recipes.Recipe, epoch: int, fraction: float) -> float:
  """The learning rate of a step.

  constant: always `learning_rate`.
  cosine: from `learning_rate` to `final_learning_rate`, every step (Loshchilov
    and Hutter, SGDR, arXiv 1608.03983, eq. 5).
  cosine_per_epoch: the same, but changed between epochs only.
  restarts: cosines of 10, 20, 40, ... epochs, per epoch (SGDR; ENAS).
  linear: as cosine, in a straight line.
  linear_tail: of P-DARTS' and PC-DARTS' code for ImageNet, per epoch. To zero
    at 5 epochs before the end; there it starts again from what it was in the
    epoch before.
  exponential: times `decay_rate` after every `decay_epochs`.
  steps: times `decay_rate` at every milestone, a share of the epochs.

  In the first `warmup_epochs` epochs it rises to `learning_rate` instead:
  in steps (e + 1) / warmup_epochs with schedules that change per epoch, else
  in a straight line from zero. The schedule is not moved by this.
  """
  rate, final = recipe.learning_rate, recipe.final_learning_rate
  per_epoch = recipe.schedule in (
      'cosine_per_epoch', 'restarts', 'linear_tail', 'steps')
  if per_epoch:
    fraction = 0.
  now = epoch + fraction
  if now < recipe.warmup_epochs:
    return rate * min(1., (now + per_epoch) / recipe.warmup_epochs)
  length = recipe.schedule_epochs or recipe.epochs
  progress = min(1., now / length)
  if recipe.schedule in ('cosine', 'cosine_per_epoch'):
    return cosine(rate, final, progress)
  if recipe.schedule == 'restarts':
    return cosine(rate, final, _cycle_progress(epoch, recipe.restart_epochs))
  if recipe.schedule == 'linear':
    return rate + (final - rate) * progress
  if recipe.schedule == 'linear_tail':
    tail = recipes.TAIL_EPOCHS
    if length - epoch > tail:
      return rate * (length - tail - epoch) / (length - tail)
    return rate * max(0, length - epoch) / ((length - tail) * tail)
  if recipe.schedule == 'exponential':
    return rate * recipe.decay_rate**math.floor(now / recipe.decay_epochs)
  if recipe.schedule == 'steps':
    return rate * recipe.decay_rate**sum(
        progress >= share for share in recipe.shares())
  return rate


def cosine(start: float, end: float, progress: float) -> float:
  """Half a cosine from `start` (progress 0) to `end` (progress 1)."""
  return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def drop_path_progress(
    recipe: recipes.Recipe, epoch: int, fraction: float) -> float:
  """How much of the final rate paths are dropped with, in [0, 1]."""
  if recipe.drop_path_per_epoch:
    fraction = 0.
  return min(1., (epoch + fraction) / recipe.epochs)


def average_decay(recipe: recipes.Recipe, step: int) -> float:
  """Decay of the averaged weights at a step, counted from 0.

  min(decay, (1 + step) / (10 + step)), so that a short training is not
  averaged with its beginning (num_updates of TensorFlow's moving averages).
  """
  return min(recipe.ema_decay, (1 + step) / (10 + step))


def steps_per_epoch(recipe: recipes.Recipe, num_images: int) -> int:
  """Updates per pass over so many images."""
  if recipe.fill_last:
    return -(-num_images // recipe.batch_size)
  return num_images // recipe.batch_size


def _cycle_progress(epoch: int, first: int) -> float:
  """Where in its cosine an epoch is; lengths double."""
  start, length = 0, first
  while epoch >= start + length:
    start += length
    length *= 2
  return (epoch - start) / length
