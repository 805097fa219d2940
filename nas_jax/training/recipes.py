"""How a network is trained: frozen settings.

A recipe holds everything but the network and the data, so that two runs with
equal recipes differ only in what is compared.
"""

import dataclasses
import math

SCHEDULES = ('cosine', 'cosine_per_epoch', 'constant')


@dataclasses.dataclass(frozen=True)
class Recipe:
  """SGD with momentum on the cross-entropy.

  Attributes:
    epochs: passes over the training split.
    batch_size: examples per step; an incomplete last batch is left out.
    learning_rate: at the start.
    final_learning_rate: at the end of a cosine.
    schedule: 'cosine' (changes every step), 'cosine_per_epoch' or 'constant'.
    momentum: of SGD.
    nesterov: whether the momentum looks ahead.
    weight_decay: L2 penalty, coupled: added to the gradient after clipping.
    decay_norms: whether it applies to batch norm and biases too.
    clip_norm: global gradient norm above which gradients are scaled down.
    label_smoothing: mass spread over all classes.
    auxiliary_weight: of the auxiliary classifier's loss; 0 for none.
    crop_padding: pixels of padding of the random crop; 0 for no crop.
    flip: whether images are flipped at random.
    cutout_length: side of the erased square; 0 for none.
    eval_batch_size: examples per evaluation step.
    patience: stop after this many epochs without a better validation
      accuracy; None to train all epochs.
    eval_every: epochs between validations when `patience` is set.

  Raises:
    ValueError: a setting out of range.
  """
  epochs: int
  batch_size: int = 128
  learning_rate: float = 0.024
  final_learning_rate: float = 0.
  schedule: str = 'cosine'
  momentum: float = 0.9
  nesterov: bool = False
  weight_decay: float = 5e-4
  decay_norms: bool = True
  clip_norm: float = 5.
  label_smoothing: float = 0.
  auxiliary_weight: float = 0.
  crop_padding: int = 4
  flip: bool = True
  cutout_length: int = 0
  eval_batch_size: int = 500
  patience: int | None = None
  eval_every: int = 1

  def __post_init__(self):
    for name in ('epochs', 'batch_size', 'eval_batch_size', 'learning_rate',
                 'clip_norm', 'eval_every'):
      if not getattr(self, name) > 0:
        raise ValueError(
            f'{name} is {getattr(self, name)}, expected a positive number')
    if self.cutout_length < 0 or self.cutout_length % 2:
      raise ValueError(f'cutout_length is {self.cutout_length}, expected an '
                       'even number')
    if self.schedule not in SCHEDULES:
      raise ValueError(
          f'schedule is {self.schedule!r}, expected one of {SCHEDULES}')


def learning_rate(recipe: Recipe, epoch: int, fraction: float) -> float:
  """The rate `fraction` of the way through `epoch` (both counted from 0).

  The cosine of SGDR without restarts (arXiv 1608.03983, eq. 5).
  """
  if recipe.schedule == 'constant':
    return recipe.learning_rate
  if recipe.schedule == 'cosine_per_epoch':
    fraction = 0.
  progress = (epoch + fraction) / recipe.epochs
  span = recipe.learning_rate - recipe.final_learning_rate
  return recipe.final_learning_rate + span * (
      1 + math.cos(math.pi * progress)) / 2
