"""What the searches of NAO have in common, whatever their networks read.

The comment on a field is the help of its flag (experiments/flags.py).
"""

from collections.abc import Callable, Sequence
import dataclasses
import pathlib
from typing import Any

from nas_jax import base
from nas_jax import checks
from nas_jax import nao_ws
from nas_jax import progress
from nas_jax.predictors import nao_settings
from nas_jax.spaces import sequences
from nas_jax.strategies import nao
from nas_jax.supernets import shared


@dataclasses.dataclass(frozen=True)
class ModelSettings:
  """Of the model that finds better architectures."""
  num_nodes: int = 5  # of a cell
  num_seeds: int = 100  # best architectures that are moved, K
  num_new: int = 300  # architectures that an iteration looks for
  predictor_epochs: int = 1000  # of training encoder, predictor and decoder
  trade_off: float = 0.8  # share of the predictor's loss, lambda


@dataclasses.dataclass(frozen=True)
class Settings(ModelSettings):
  """The same where each architecture is trained alone."""
  num_initial: int = 600  # random architectures at first


@dataclasses.dataclass(frozen=True)
class PoolSettings(ModelSettings):
  """The same of a pool that shares weights."""
  num_kept: int = 450  # best architectures that stay in the pool
  num_new: int = 500  # architectures that a renewal of the pool looks for
  num_random: int = 50  # random architectures that a renewal adds
  update_every: int = 30  # epochs between renewals of the pool
  decay: str = 'all'  # what decays in a step: all weights, or used


def check(settings: Any) -> None:
  """Raises ValueError for `Settings` that do not fit a search."""
  checks.at_least(settings, 1, 'num_nodes', 'num_initial', 'num_seeds',
                  'num_new', 'predictor_epochs')
  if settings.num_initial >= settings.num_children:
    raise ValueError(
        f'num_children {settings.num_children} are all random: choose more '
        f'than num_initial {settings.num_initial}')


def check_pool(settings: Any) -> None:
  """Raises ValueError for `PoolSettings` that do not fit a search."""
  checks.one_of('decay', settings.decay, shared.DECAYS)
  checks.at_least(settings, 1, 'num_nodes', 'num_seeds', 'num_kept', 'num_new',
                  'update_every', 'predictor_epochs')
  checks.at_least(settings, 0, 'num_random')
  if settings.num_kept >= settings.num_children:
    raise ValueError(
        f'num_kept {settings.num_kept} is the whole pool: choose less than '
        f'num_children {settings.num_children}')


def strategy(
    space: base.Space, settings: Any, model: str, *,
    code: sequences.Code | None = None, failed_reward: float,
) -> base.Strategy:
  """NAO as `Settings` have it; the pool has room for all children.

  Args:
    space: where to search.
    settings: of the run.
    model: name of the model, see `nao_settings.SETTINGS`.
    code: how genomes are written, see `nao.nao`.
    failed_reward: at most this is the reward of what failed.
  """
  return nao.nao(
      space, code=code, settings=nao_settings.load(
          model, epochs=settings.predictor_epochs, num_new=settings.num_new,
          trade_off=settings.trade_off),
      num_initial=settings.num_initial, num_seeds=settings.num_seeds,
      capacity=max(settings.num_children, settings.num_new),
      batch_size=settings.children_per_round, failed_reward=failed_reward)


def search_pools(
    folder: pathlib.Path, settings: Any, model: str,
    search: Callable[..., nao_ws.Outcome], *, num_epochs: int,
    shown: Sequence[str],
) -> dict[str, Any]:
  """Searches, and the control: random ones in place of those found; resumes.

  Args:
    folder: of the run.
    settings: of the run, `PoolSettings` among them.
    model: name of the model, see `nao_settings.SETTINGS`.
    search: called with the other arguments of `nao_ws.search_pool`.
    num_epochs: of the weights.
    shown: what of a record is beside the bar.

  Returns:
    runs, cost and more, as `workflow.conclude` takes them.
  """
  runs, logs = {}, {}
  for name, place, label in (
      ('result', folder, 'nao_ws'),
      ('random_search', folder / 'random_search', 'random search')):
    place.mkdir(parents=True, exist_ok=True)
    with progress.epochs(
        place / 'tb' / 'search', num_epochs, label, shown=shown,
        initial=nao_ws.epochs_done(place)) as on_epoch:
      found = search(
          settings=nao_settings.load(
              model, epochs=settings.predictor_epochs,
              num_new=settings.num_new, num_random=settings.num_random,
              trade_off=settings.trade_off),
          num_initial=settings.num_children, num_kept=settings.num_kept,
          num_seeds=settings.num_seeds, update_every=settings.update_every,
          guided=name == 'result', workdir=place, on_epoch=on_epoch)
    runs[name], logs[name] = (place, label, found.children), found.log
  seconds = {name: sum(line['seconds'] for line in log)
             for name, log in logs.items()}
  return {
      'runs': runs, 'cost': {'search_seconds': seconds['result'],
                             'random_search_seconds': seconds['random_search']},
      'more': nao_ws.renewals(logs['result'], settings.num_random)}
