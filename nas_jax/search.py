"""The search loop: on the device as one scan, or on the host with a log.

Both forms run the same `_round`. The randomness of round r is
fold_in(key, r), so a run can go on from any round.
"""

from collections.abc import Callable
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import journal
from nas_jax.spaces import genotypes

INIT_ROUND = 2**32 - 1  # no round has this number


class SearchState(NamedTuple):
  """All that the next round depends on."""
  round: jax.Array  # int32[], rounds completed
  strategy: base.State
  evaluator: base.State
  best_genome: jax.Array  # int32[L], the first of those with best_reward
  best_reward: jax.Array  # float32[], -inf before the first round


class History(NamedTuple):
  """What happened, round by round."""
  genomes: jax.Array | None  # int32[T, B, L]
  rewards: jax.Array  # float32[T, B]
  metrics: dict[str, jax.Array]  # float32[T, B]


def init(
    key: base.Key, strategy: base.Strategy, evaluator: base.Evaluator
) -> SearchState:
  """The state before round 0, for the key of the whole run."""
  strategy_key, evaluator_key = jax.random.split(
      jax.random.fold_in(key, INIT_ROUND))
  # Compiled as one program: a controller has many small arrays to draw.
  start = jax.jit(strategy.init) if strategy.jittable else strategy.init
  strategy_state = start(strategy_key)
  # Only the length of a genome is wanted, and asking changes nothing.
  ask = strategy.ask
  proposals = (jax.eval_shape(ask, strategy_key, strategy_state)
               if strategy.jittable else ask(strategy_key, strategy_state))
  return SearchState(
      round=jnp.zeros((), jnp.int32),
      strategy=strategy_state,
      evaluator=evaluator.init(evaluator_key),
      best_genome=jnp.zeros(proposals.genomes.shape[-1], jnp.int32),
      best_reward=jnp.full((), -jnp.inf, jnp.float32))


def scan(
    key: base.Key,
    strategy: base.Strategy,
    evaluator: base.Evaluator,
    *,
    num_rounds: int,
    state: SearchState | None = None,
    rewards_only: bool = False,
) -> tuple[SearchState, History]:
  """Searches in one `lax.scan`; `jit` it, and `vmap` over keys for seeds.

  Args:
    key: of the whole run, the same when a run goes on from `state`.
    strategy: jittable.
    evaluator: jittable.
    num_rounds: T, rounds to do.
    state: where to go on from; by default the start.
    rewards_only: leave genomes and metrics out of the history.

  Raises:
    ValueError: a strategy or an evaluator that runs on the host, or a
      negative number of rounds.
  """
  for name, part in (('strategy', strategy), ('evaluator', evaluator)):
    if not part.jittable:
      raise ValueError(f'scan needs a jittable {name}: use run instead')
  if num_rounds < 0:
    raise ValueError(f'cannot search for {num_rounds} rounds')
  if state is None:
    state = init(key, strategy, evaluator)

  def body(state, _):
    state, proposals, evaluation = _round(key, strategy, evaluator, state)
    if rewards_only:
      return state, History(None, evaluation.rewards, {})
    return state, History(proposals.genomes, *evaluation)

  return jax.lax.scan(body, state, length=num_rounds)


def run(
    key: base.Key,
    strategy: base.Strategy,
    evaluator: base.Evaluator,
    *,
    num_rounds: int,
    genotype: Callable[[base.Genome], base.Genotype],
    workdir: str | os.PathLike | None = None,
    checkpoint_every: int = 1,
    keep: int = 3,
    on_child: Callable[[dict[str, Any]], None] | None = None,
    on_round: Callable[[SearchState, list[dict[str, Any]]], None] | None = None,
) -> tuple[SearchState, list[dict[str, Any]]]:
  """Searches from the host, and resumes where the workdir left off.

  `workdir/history.jsonl` gets one line per child: child, round, genotype,
  reward, metrics (null where not finite), and seconds, which are the metrics
  named `*_seconds`. A resumed run equals an uninterrupted one bit for bit
  apart from the seconds.

  Args:
    key: of the whole run.
    strategy: what to try next.
    evaluator: what it is worth.
    num_rounds: T, rounds in all, those of a resumed run included.
    genotype: `space.genotype`.
    workdir: where history and checkpoints are kept; nowhere by default.
    checkpoint_every: rounds between checkpoints; the last round and an
      interrupted run have one in any case.
    keep: how many checkpoints to keep.
    on_child: called with each new record.
    on_round: called with the state and the new records after each round.

  Returns:
    The last state and the records of all children.

  Raises:
    ValueError: checkpoints that belong to another search, an argument out
      of range, or a reward that is not finite.
    checkpoint.CheckpointError: no space left for a checkpoint.
  """
  if strategy.jittable:
    strategy = strategy._replace(
        ask=jax.jit(strategy.ask), tell=jax.jit(strategy.tell))
  if evaluator.jittable:
    evaluator = evaluator._replace(evaluate=jax.jit(evaluator.evaluate))
  log = journal.Journal(workdir, 'round', checkpoint_every, keep)
  state, records = log.resume(init(key, strategy, evaluator))
  start = int(state.round)
  if start > num_rounds:
    raise ValueError(f'cannot search for {num_rounds} rounds, {start} are '
                     f'done in {workdir}')
  with log.saved_on_interrupt():
    for number in range(start, num_rounds):
      new_state, proposals, evaluation = _round(
          key, strategy, evaluator, state)
      new = _records(number, len(records), genotype, proposals, evaluation)
      log.commit(number + 1, new_state, new, last=number + 1 == num_rounds)
      state = new_state
      records += new
      for record in new if on_child else ():
        on_child(record)
      if on_round:
        on_round(state, new)
  return state, records


def _round(
    key: base.Key,
    strategy: base.Strategy,
    evaluator: base.Evaluator,
    state: SearchState,
) -> tuple[SearchState, base.Proposals, base.Evaluation]:
  """One round of either form: ask, evaluate, tell, remember the best."""
  ask_key, evaluate_key, tell_key = jax.random.split(
      jax.random.fold_in(key, state.round), 3)
  proposals = strategy.ask(ask_key, state.strategy)
  evaluation, evaluator_state = evaluator.evaluate(
      evaluate_key, state.evaluator, proposals)
  # Without the barriers, code fused across the three could round otherwise
  # in a scan than in the host loop, which compiles them apart.
  proposals, evaluation = jax.lax.optimization_barrier((proposals, evaluation))
  strategy_state = strategy.tell(
      tell_key, state.strategy, proposals, evaluation.rewards)
  i = jnp.argmax(evaluation.rewards)
  better = evaluation.rewards[i] > state.best_reward
  state = SearchState(
      round=state.round + 1,
      strategy=strategy_state,
      evaluator=evaluator_state,
      best_genome=jnp.where(better, proposals.genomes[i], state.best_genome),
      best_reward=jnp.where(better, evaluation.rewards[i], state.best_reward))
  return state, proposals, evaluation


def _records(number, first_child, genotype, proposals, evaluation):
  """One line per child of a round."""
  genomes, rewards, metrics = jax.device_get(
      (proposals.genomes, evaluation.rewards, evaluation.metrics))
  bad = np.flatnonzero(~np.isfinite(rewards))
  if bad.size:
    raise ValueError(
        f'the reward of child {first_child + bad[0]} is {rewards[bad[0]]}: an '
        'evaluator must give a failed child a finite floor')
  suffix = '_seconds'
  records = []
  for i, genome in enumerate(genomes):
    values = {k: journal.number(v[i]) for k, v in metrics.items()}
    records.append({
        'child': first_child + i,
        'round': number,
        'genotype': genotypes.to_json(genotype(genome)),
        'reward': float(rewards[i]),
        'metrics': {k: v for k, v in values.items() if not k.endswith(suffix)},
        'seconds': {k.removesuffix(suffix): v for k, v in values.items()
                    if k.endswith(suffix)},
    })
  return records
