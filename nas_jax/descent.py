"""Gradient search: architectures as parameters, updated batch by batch."""

from collections.abc import Callable, Iterable
import os
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nas_jax import base
from nas_jax import journal
from nas_jax import search


class DescentState(NamedTuple):
  """All that the next step of a gradient search depends on."""
  step: jax.Array  # int32[], steps completed
  search: base.State


def descend(
    key: base.Key,
    gradient_search: base.GradientSearch,
    batches: Callable[[int], Iterable[tuple[base.Batch, base.Batch]]],
    *,
    num_steps: int,
    workdir: str | os.PathLike | None = None,
    checkpoint_every: int = 500,
    log_every: int = 50,
    keep: int = 3,
    on_log: Callable[[DescentState, dict[str, Any]], None] | None = None,
) -> tuple[DescentState, base.Genome, list[dict[str, Any]]]:
  """Searches by gradient, and resumes where the workdir left off.

  `workdir/history.jsonl` gets a line every `log_every` steps: step, metrics,
  seconds since the line before.

  Args:
    key: of the whole run.
    gradient_search: architectures as parameters.
    batches: from a step to an iterable of (training batch, validation batch)
      from that step on, in an order that depends on nothing else.
    num_steps: steps in all, those of a resumed run included.
    workdir: where history and checkpoints are kept; nowhere by default.
    checkpoint_every: steps between checkpoints.
    log_every: steps between lines.
    keep: how many checkpoints to keep.
    on_log: called with the state and each new record.

  Returns:
    The last state, the derived genome, and the records.

  Raises:
    ValueError: checkpoints that belong to another search, an argument out of
      range, or fewer batches than steps.
    checkpoint.CheckpointError: no space left for a checkpoint.
  """
  if log_every < 1:
    raise ValueError(f'log_every must be at least 1, got {log_every}')
  update = jax.jit(gradient_search.update)
  log = journal.Journal(workdir, 'step', checkpoint_every, keep)
  state, records = log.resume(DescentState(
      jnp.zeros((), jnp.int32),
      gradient_search.init(jax.random.fold_in(key, search.INIT_ROUND))))
  start = int(state.step)
  if start > num_steps:
    raise ValueError(f'cannot search for {num_steps} steps, {start} are done '
                     f'in {workdir}')
  pairs = iter(batches(start)) if start < num_steps else None
  since = time.perf_counter()
  with log.saved_on_interrupt():
    for number in range(start, num_steps):
      pair = next(pairs, None)
      if pair is None:
        raise ValueError(f'the batches end after {number} of {num_steps} '
                         'steps')
      inner, metrics = update(jax.random.fold_in(key, number), state.search,
                              *pair)
      new_state = DescentState(state.step + 1, inner)
      new = []
      if (number + 1) % log_every == 0 or number + 1 == num_steps:
        values = {k: journal.number(v) for k, v in metrics.items()}
        now = time.perf_counter()
        new = [{'step': number, 'metrics': values,
                'seconds': {'wall': now - since}}]
        since = now
      log.commit(number + 1, new_state, new, last=number + 1 == num_steps)
      state = new_state
      records += new
      for record in new if on_log else ():
        on_log(state, record)
  return state, gradient_search.derive(state.search), records
