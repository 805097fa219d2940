"""What the searches of ENAS have in common, whatever their networks read."""

from collections.abc import Callable, Sequence
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import progress
from nas_jax import records
from nas_jax.strategies import enas
from nas_jax.strategies import random_search
from nas_jax.supernets import alternating

Observe = Callable[[enas.EnasState, np.ndarray], dict[str, float]]


def learned(
    controller: base.Controller,
    observe: Observe = lambda state, genomes: {},
    **options: Any,
) -> alternating.Policy:
  """A controller that learns.

  Args:
    controller: what samples.
    observe: what else is logged of an epoch, see `alternating.Policy`.
    **options: of `strategies.enas.enas`.

  Raises:
    ValueError: an option out of range.
  """
  return alternating.Policy(
      enas.enas(controller, **options),
      lambda key, state: controller.sample(state.params, key)[0],
      lambda state, genomes: {
          'baseline': float(state.baseline), 'entropy': float(state.entropy),
          **observe(state, genomes)})


def uniform(space: base.Space) -> alternating.Policy:
  """Every architecture as likely as any other; nothing is learned."""
  return alternating.Policy(
      random_search.random_search(space),
      lambda key, state: space.sample(key))


def chosen_by(policy: alternating.Policy, state: base.State, count: int
              ) -> base.Strategy:
  """A strategy that samples so many from a policy as it is."""
  return base.Strategy(
      lambda key: jnp.zeros(0),
      lambda key, _: base.Proposals(jax.vmap(
          lambda k: policy.sample(k, state))(jax.random.split(key, count))),
      lambda key, nothing, proposals, rewards: nothing)


def watched(
    run: Callable[..., tuple[alternating.State, list[alternating.Record]]],
    folder: pathlib.Path, label: str, *, num_epochs: int,
    shown: Sequence[str],
) -> tuple[alternating.State, list[alternating.Record]]:
  """Shared weights and their policy, with a bar and curves; resumes.

  Args:
    run: called with workdir and on_epoch, as `alternating.in_turn` has them.
    folder: of the run.
    label: what the progress is called.
    num_epochs: of the run.
    shown: what of a record is beside the bar.
  """
  with progress.epochs(
      folder / 'tb' / 'shared', num_epochs, label, shown=shown,
      initial=len(records.read(folder / alternating.FILE))) as on_epoch:
    return run(workdir=folder, on_epoch=on_epoch)


def seconds(log: Sequence[alternating.Record]) -> float:
  """That all epochs took."""
  return sum(sum(line['seconds'].values()) for line in log)


def learning(log: Sequence[alternating.Record], note: str) -> dict[str, Any]:
  """What the summary says of how the policy learned.

  Args:
    log: of the search, with rewards.
    note: what the rewards are.
  """
  rewards = [line['reward'] for line in log]
  return {
      **{name: log[-1][name] for name in ('baseline', 'entropy', 'skip_rate')
         if name in log[-1]},
      'curve': {
          'label': 'ENAS', 'rounds': [line['epoch'] + 1 for line in log],
          'mean': rewards, 'low': rewards, 'high': rewards, 'note': note}}
