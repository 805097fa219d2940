"""Gradient search: architectures as parameters, updated batch by batch."""

from collections.abc import Callable, Iterable, Sequence
import os
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import journal
from nas_jax import search

Record = dict[str, Any]


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
    log_every: int | Callable[[int], bool] = 50,
    keep: int = 3,
    check_every: int = 1,
    describe: Callable[[base.State, Sequence[Record]], Record] | None = None,
    stop: Callable[[Sequence[Record]], bool] | None = None,
    on_log: Callable[[DescentState, Record], None] | None = None,
) -> tuple[DescentState, base.Genome | base.Genotype, list[Record]]:
  """Searches by gradient, and resumes where the workdir left off.

  `workdir/history.jsonl` gets a line every `log_every` steps: step, metrics,
  what `describe` says, seconds since the line before.

  A step whose metrics are not finite, or after which the state is not, ends
  the search with the last good state and a message; such a state is never
  written.

  Args:
    key: of the whole run.
    gradient_search: architectures as parameters.
    batches: from a step to an iterable of (training batch, validation batch)
      from that step on, in an order that depends on nothing else.
    num_steps: steps in all, those of a resumed run included.
    workdir: where history and checkpoints are kept; nowhere by default.
    checkpoint_every: steps between checkpoints.
    log_every: steps between lines, or whether there is one after so many.
    keep: how many checkpoints to keep.
    check_every: steps between looks at the metrics, for which the device is
      waited for. All numbers of the state are looked at before it is written.
    describe: what else a line says of the state of the search; given that and
      the lines before.
    stop: whether the search ends early, from the lines so far; asked after
      each new one.
    on_log: called with the state and each new record.

  Returns:
    The last state, what is derived from it, and the records. It has made
    fewer steps than `num_steps` if `stop` said so or if it diverged.

  Raises:
    ValueError: checkpoints that belong to another search, an argument out of
      range, or fewer batches than steps.
    checkpoint.CheckpointError: no space left for a checkpoint.
  """
  for name, value in (('log_every', log_every), ('check_every', check_every)):
    if not callable(value) and value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}')
  is_logged = log_every if callable(log_every) else (
      lambda done: done % log_every == 0)
  update = gradient_search.update
  if gradient_search.jittable:
    update = jax.jit(update)
  log = journal.Journal(workdir, 'step', checkpoint_every, keep)
  state, records = log.resume(DescentState(
      jnp.zeros((), jnp.int32),
      gradient_search.init(jax.random.fold_in(key, search.INIT_ROUND))))
  start = int(state.step)
  if start > num_steps:
    raise ValueError(f'cannot search for {num_steps} steps, {start} are done '
                     f'in {workdir}')
  over = start == num_steps or bool(stop and records and stop(records))
  pairs = iter(() if over else batches(start))
  since = time.perf_counter()
  sure = good = state  # All numbers are known to be finite; those of metrics.
  with log.saved_on_interrupt():
    for number in range(start, start if over else num_steps):
      pair = next(pairs, None)
      if pair is None:
        raise ValueError(f'the batches end after {number} of {num_steps} '
                         'steps')
      inner, metrics = update(jax.random.fold_in(key, number), state.search,
                              *pair)
      state = DescentState(state.step + 1, inner)
      done, last = number + 1, number + 1 == num_steps
      logs = last or is_logged(done)
      written = logs or done % checkpoint_every == 0
      if not (written or done % check_every == 0):
        continue
      if not (is_finite(metrics) and (not written or is_finite(inner))):
        state = good if is_finite(good) else sure
        logging.error(
            'step %d of %d diverged (%s): the search ends with the state '
            'after %d steps', done, num_steps, ', '.join(
                f'{k} {float(v):.4g}' for k, v in metrics.items()),
            int(state.step))
        log.commit(int(state.step), state, [], last=True)
        break
      good, sure = state, state if written else sure
      new, stopped = [], False
      if logs:
        now = time.perf_counter()
        new = [{'step': number, 'metrics': {
            k: journal.number(v) for k, v in metrics.items()},
                **(describe(inner, records) if describe else {}),
                'seconds': {'wall': now - since}}]
        since = now
        stopped = bool(stop and stop(records + new))
      log.commit(done, state, new, last=last or stopped)
      records += new
      for record in new if on_log else ():
        on_log(state, record)
      if stopped:
        break
  return state, gradient_search.derive(state.search), records


def is_finite(tree: base.PyTree) -> bool:
  """Whether all floating-point numbers of a tree are finite."""
  # On the host: a program for thousands of arrays takes long to compile.
  return all(np.isfinite(x).all() for x in jax.device_get(jax.tree.leaves(tree))
             if jnp.issubdtype(jnp.result_type(x), jnp.floating))
