"""What changes in the course of a search, as functions of the epoch.

Epochs are counted from 0.
"""

import math


def linear(start: float, end: float, progress: float) -> float:
  """From `start` at progress 0 to `end` at 1, and constant outside."""
  return start + (end - start) * min(1., max(0., progress))


def perturbation(epoch: int, *, epochs: int = 50, first: float = .03,
                 last: float = .3) -> float:
  """Radius epsilon of SmoothDARTS: first + (last - first) epoch / epochs."""
  return linear(first, last, epoch / epochs)


def gumbel_temperature(epoch: int, *, epochs: int = 250, first: float = 10.,
                       last: float = .1) -> float:
  """tau of GDAS: `last` is that of the last epoch."""
  return linear(first, last, epoch / max(1, epochs - 1))


def concrete_temperature(epoch: int, *, epochs: int = 150, first: float = 1.,
                         last: float = .03) -> float:
  """lambda of SNAS: first + (last - first) epoch / epochs."""
  return linear(first, last, epoch / epochs)


def auxiliary_skip(epoch: int, *, epochs: int = 50) -> float:
  """beta of DARTS-: 1 - epoch / epochs."""
  return linear(1., 0., epoch / epochs)


def beta_weight(epoch: int, *, epochs: int = 100, last: float = 50.) -> float:
  """lambda of beta-DARTS: last * epoch / epochs."""
  return linear(0., last, epoch / epochs)


def drop_path(epoch: int, rate: float, *, epochs: int = 50) -> float:
  """Rate of R-DARTS: `rate` is that of the last epoch.

  The probability of cutout rises in the same way to 1.
  """
  return linear(0., rate, epoch / max(1, epochs - 1))


def skip_dropout(epoch: int, rate: float, *, epochs: int = 25,
                 warmup_epochs: int = 10) -> float:
  """Rate of dropout after skips in a stage of P-DARTS.

  While weights alone are trained rate * (epochs - epoch - 1) / epochs, then
  again from `rate`: rate * exp(-.2 (epoch - warmup_epochs)).

  Args:
    epoch: of the stage.
    rate: initial rate of the stage.
    epochs: of the stage.
    warmup_epochs: in which alphas are not trained.

  Reference: Chen et al., P-DARTS, arXiv 1904.12760, and its public code.
  """
  if epoch < warmup_epochs:
    return rate * (epochs - epoch - 1) / epochs
  return rate * math.exp(-.2 * (epoch - warmup_epochs))
