"""What many searches by one strategy leave behind: every evaluation of each.

A search knows the rewards that it saw. What the chosen architecture is worth
by other measures, such as its test accuracy, is looked up afterwards and never
decides which one is chosen.
"""

import io
import os
import pathlib
from typing import NamedTuple
import zipfile

import numpy as np

_VALUE = 'value:'  # What names of measures start with in a file.


class Runs(NamedTuple):
  """S searches of T evaluations each, in their order."""
  strategy: str
  rewards: np.ndarray  # float32[S, T], what the search saw
  seconds: np.ndarray  # float32[S, T], cost of each evaluation
  values: dict[str, np.ndarray]  # measure -> float32[S, T]


def check(runs: Runs) -> Runs:
  """The same.

  Raises:
    ValueError: arrays of other shapes than [S, T], none at all, or a reward
      or a cost that is not finite.
  """
  shape = np.shape(runs.rewards)
  if len(shape) != 2 or not all(shape):
    raise ValueError(f'the rewards of {runs.strategy} are of shape {shape}, '
                     'expected searches x evaluations')
  for name, found in {'seconds': runs.seconds, **runs.values}.items():
    if np.shape(found) != shape:
      raise ValueError(f'{name} of {runs.strategy} is of shape '
                       f'{np.shape(found)}, but the rewards are of {shape}')
  for name in ('rewards', 'seconds'):
    if not np.isfinite(getattr(runs, name)).all():
      raise ValueError(f'{name} of {runs.strategy} are not all finite')
  return runs


def best_so_far(runs: Runs) -> np.ndarray:
  """The evaluation of the best reward so far, int[S, T]; the first of equals.
  """
  rewards = np.asarray(runs.rewards)
  best = np.maximum.accumulate(rewards, axis=1)
  new = np.concatenate(
      [np.ones((len(rewards), 1), bool), best[:, 1:] > best[:, :-1]], axis=1)
  return np.maximum.accumulate(
      np.where(new, np.arange(rewards.shape[1]), 0), axis=1)


def curve(runs: Runs, measure: str | None = None) -> np.ndarray:
  """What the best so far is worth, float[S, T].

  Args:
    runs: of one strategy.
    measure: by which; by default the reward.

  Raises:
    ValueError: a measure that is not there.
  """
  found = runs.rewards
  if measure is not None:
    if measure not in runs.values:
      raise ValueError(f'{runs.strategy} has no measure {measure!r}, only '
                       f'{", ".join(runs.values) or "the reward"}')
    found = runs.values[measure]
  return np.take_along_axis(np.asarray(found), best_so_far(runs), axis=1)


def affordable(runs: Runs, budget: float) -> np.ndarray:
  """How many evaluations cost at most so many seconds together, int[S]."""
  return np.sum(np.cumsum(runs.seconds, axis=1, dtype=np.float64) <= budget,
                axis=1)


def final(
    runs: Runs,
    measure: str | None = None,
    *,
    budget: float | None = None,
    evaluations: int | None = None,
) -> np.ndarray:
  """What every search has found when its budget is spent, float[S].

  Args:
    runs: of one strategy.
    measure: see `curve`.
    budget: seconds.
    evaluations: their number; both limits hold where both are given.

  Raises:
    ValueError: an unknown measure, more evaluations than there were, or a
      budget of which some search affords none or more than all it did.
  """
  total = np.shape(runs.rewards)[1]
  counts = np.full(len(runs.rewards), total)
  if evaluations is not None:
    if not 1 <= evaluations <= total:
      raise ValueError(f'evaluations is {evaluations}, but {runs.strategy} has '
                       f'1 to {total}')
    counts[:] = evaluations
  if budget is not None:
    found = affordable(runs, budget)
    if found.min() < 1:
      raise ValueError(f'a budget of {budget:g} s does not pay for the first '
                       f'evaluation of {runs.strategy}')
    spent = np.sum(runs.seconds[:, :counts[0]], axis=1, dtype=np.float64)
    if evaluations is None and spent.min() < budget and (
        found.max() == total):
      raise ValueError(
          f'{total} evaluations of {runs.strategy} cost {spent.min():.0f} s in '
          f'one search, less than the budget of {budget:g} s')
    counts = np.minimum(counts, found)
  worth = curve(runs, measure)
  return np.take_along_axis(worth, counts[:, None] - 1, axis=1)[:, 0]


def save(path: str | os.PathLike, runs: Runs) -> None:
  """Writes one .npz file, atomically."""
  check(runs)
  path, content = pathlib.Path(path), io.BytesIO()
  np.savez_compressed(
      content, strategy=runs.strategy, rewards=runs.rewards,
      seconds=runs.seconds,
      **{_VALUE + name: found for name, found in runs.values.items()})
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(path.name + '.tmp')
  temporary.write_bytes(content.getvalue())
  os.replace(temporary, path)


def load(path: str | os.PathLike) -> Runs:
  """Reads what `save` wrote.

  Raises:
    ValueError: no such file, or none of this kind.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      return check(Runs(
          str(file['strategy']), file['rewards'], file['seconds'],
          {name.removeprefix(_VALUE): file[name] for name in file.files
           if name.startswith(_VALUE)}))
  except FileNotFoundError:
    raise ValueError(f'there is no {path}') from None
  except (OSError, KeyError, EOFError, TypeError, AttributeError,
          zipfile.BadZipFile, ValueError) as e:
    raise ValueError(f'{path} does not hold the runs of a strategy: {e}'
                     ) from e
