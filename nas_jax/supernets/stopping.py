"""When to stop a search before skips dominate: functions of its history.

A history is what was seen at each epoch, counted from 0. The functions have
no state of their own, so that a resumed search decides as the uninterrupted
one.
"""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

import numpy as np

from nas_jax.supernets import relax

# Operations without weights: DARTS+ does not rank them.
_NOT_LEARNABLE = ('none', 'noise', 'skip_connect', 'max_pool_3x3',
                  'avg_pool_3x3')


class Stop(NamedTuple):
  """A search that should have ended."""
  epoch: int  # at the end of which this was seen
  best: int  # the epoch whose architecture to return


class Adaptive(NamedTuple):
  """DARTS-ADA between two decisions."""
  weight_decay: float = 3e-4  # of the weights, now
  start: int = 0  # the first epoch under this weight decay


def two_skips(skips: Sequence[int], *, limit: int = 2) -> Stop | None:
  """DARTS+, criterion 1: the derived normal cell has `limit` skips or more.

  Args:
    skips: of the derived normal cell after each epoch.
    limit: 2.

  Reference: Liang et al., DARTS+, arXiv 1909.06035.
  """
  for epoch, count in enumerate(skips):
    if count >= limit:
      return Stop(epoch, epoch)
  return None


def ranking(alphas: relax.Alphas,
            candidates: Mapping[str, Sequence[Sequence[str]]]
            ) -> tuple[tuple[str, ...], ...]:
  """The learnable candidates of each edge, best first; kinds by name.

  Learnable are those with weights, convolutions; ties keep the order of the
  candidates.

  Args:
    alphas: kind -> float[E, K].
    candidates: kind -> operations of each edge.
  """
  found = []
  for kind in sorted(candidates):
    for row, names in zip(np.asarray(alphas[kind]), candidates[kind]):
      learnable = [k for k, name in enumerate(names)
                   if name not in _NOT_LEARNABLE]
      found.append(tuple(
          names[k] for k in sorted(learnable, key=lambda k: -row[k])))
  return tuple(found)


def stable_ranking(rankings: Sequence[tuple], *, patience: int = 10
                   ) -> Stop | None:
  """DARTS+, criterion 2: the ranking has not changed for `patience` epochs.

  Args:
    rankings: see `ranking`, after each epoch.
    patience: epochs in a row with the ranking of the epoch before them.

  Reference: Liang et al., DARTS+, arXiv 1909.06035.

  Note: Whether the paper ranks within edges or all together could not be
    checked; here every edge has a ranking of its own, and all must be stable.
  """
  same = 0
  for epoch in range(1, len(rankings)):
    same = same + 1 if rankings[epoch] == rankings[epoch - 1] else 0
    if same >= patience:
      return Stop(epoch, epoch)
  return None


def eigenvalue_grows(
    eigenvalues: Sequence[tuple[int, float]],
    *,
    epochs: int = 50,
    factor: float = 1.3,
    first_epoch: int = 10,
    window: int = 5,
    every: int = 2,
    delta: int = 4,
) -> Stop | None:
  """DARTS-ES: the largest eigenvalue of the Hessian in alpha has grown.

  The mean of `window` values is that of the epoch in their middle; near the
  start it is of all values so far, once they are more than half a window.
  The search stops where it exceeds the mean `delta` values before `factor`
  times. It returns the architecture of the epoch of that earlier mean, which
  must be `first_epoch` or later: the architecture 12 epochs ago, from epoch
  22 on.

  Args:
    eigenvalues: (epoch, value), every `every` epochs; that of the last epoch
      is not looked at.
    epochs: of the whole search.
    factor: how much is too much.
    first_epoch: the earliest architecture to return.
    window: odd.
    every: epochs between values.
    delta: values between the two means that are compared.

  Raises:
    ValueError: an even window, or one below 1.

  Reference: Zela et al., arXiv 1909.09656, and its public code.

  Note: The paper stops at a ratio of earlier to later mean below .75, which
    is about 1 / 1.3.
  """
  if window < 1 or not window % 2:
    raise ValueError(f'window must be odd and at least 1, got {window}')
  values, means = [], []
  for epoch, value in eigenvalues:
    if epoch >= epochs - 1:
      break
    values.append(value)
    if len(values) < math.ceil(window / 2):
      continue
    means.append(float(np.mean(values[-window:])))
    earlier = epoch - every * (window // 2 + delta)
    if earlier >= first_epoch and len(means) > delta and (
        means[-1] / means[-1 - delta] > factor):
      return Stop(epoch, earlier)
  return None


def adapt(
    state: Adaptive,
    eigenvalues: Sequence[tuple[int, float]],
    *,
    increase: float = 10.,
    max_weight_decay: float = .03,
    **rule,
) -> tuple[Adaptive, int] | None:
  """DARTS-ADA: instead of stopping, go back and decay the weights more.

  Args:
    state: so far.
    eigenvalues: (epoch, value) of the current attempt; those before
      `state.start` are left out.
    increase: factor of the weight decay; 10 in the script of DARTS-ADA, 3 by
      default in the public code.
    max_weight_decay: once reached, the search is no longer stopped.
    **rule: of `eigenvalue_grows`.

  Returns:
    None if the search may go on, else the next state and the epoch whose
    weights, alphas and optimizers to restore; the search goes on with the
    epoch after it, `start` of the next state.

  Reference: Zela et al., arXiv 1909.09656, and its public code.

  Note: The eigenvalues of each attempt are judged alone. The public code is
    written to take up those of the restored epoch, but by a default argument
    keeps those of the abandoned epochs.
  """
  if state.weight_decay >= max_weight_decay * (1 - 1e-6):
    return None
  stop = eigenvalue_grows(
      [pair for pair in eigenvalues if pair[0] >= state.start], **rule)
  if stop is None:
    return None
  decay = min(state.weight_decay * increase, max_weight_decay)
  return Adaptive(decay, stop.best + 1), stop.best
