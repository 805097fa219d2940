"""Trains a language model: one loop for children and results."""

from collections.abc import Callable, Sequence
import math
import os
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import journal
from nas_jax.data import text
from nas_jax.data import windows
from nas_jax.networks import language
from nas_jax.training import language_recipes
from nas_jax.training import language_steps

Array = jax.Array
Tree = Any
Record = dict[str, Any]
_CHECK_EVERY = 200  # steps between looks whether the losses are finite
EVAL_TOKENS = 512  # of a program that evaluates, all rows together
_NEVER = 2**62


# What `language_steps.py` defines and every user of a training needs.
State = language_steps.State
Trainer = language_steps.Trainer
make = language_steps.make


def check(model: language.Model, recipe: language_recipes.LanguageRecipe,
          corpus: text.Corpus) -> None:
  """That a corpus suffices for a model and a recipe.

  Raises:
    ValueError: a vocabulary of another size, or a part that is too short.
  """
  if model.sizes.vocabulary != len(corpus.vocabulary):
    raise ValueError(
        f'the model knows {model.sizes.vocabulary:,} tokens, but {corpus.name} '
        f'has {len(corpus.vocabulary):,}')
  windows.check(len(corpus.train), recipe.batch_size, recipe.bptt)
  windows.batchify(corpus.validation, recipe.eval_batch_size)


def tested(state: State) -> Tree:
  """The parameters that a state is tested with: averaged ones, if any."""
  return state.average if int(state.averaged) > 0 else state.params


def perplexity(trainer: Trainer, state: State, tokens: np.ndarray,
               batch_size: int) -> float:
  """exp of the mean cross-entropy.

  Args:
    trainer: compiled functions.
    state: of a training; `tested` parameters are used.
    tokens: int32[N].
    batch_size: streams that the text is cut into; the text begins anew in
      each, so that 1 is exact.

  Raises:
    ValueError: streams shorter than two tokens.
  """
  return exp(cross_entropy(trainer, tested(state), tokens, batch_size))


def cross_entropy(trainer: Trainer, params: Tree, tokens: np.ndarray,
                  batch_size: int) -> float:
  """The mean over all tokens that are predicted, in nats; see `perplexity`."""
  streams = windows.batchify(tokens, batch_size)
  size = _eval_steps(len(tokens), batch_size)
  hidden, parts = trainer.model.start(batch_size), []
  for window in windows.fixed(len(streams), size):
    hidden, part = trainer.evaluate(
        params, hidden, *windows.at(streams, window, size), window.length)
    parts.append(part)
  count = (len(streams) - 1) * batch_size
  return math.fsum(map(float, parts)) / count


def exp(nats: float) -> float:
  """A perplexity; infinite where there is no such number."""
  return math.exp(nats) if nats < 700 else math.inf


class _Run(NamedTuple):
  """A training between two steps."""
  state: State
  best: Tree  # parameters of the best validation
  best_averaged: int  # `averaged` of its state
  best_epoch: int  # -1 before the first validation
  epoch: int
  step: int  # of the epoch
  total: int  # steps and validations in all
  attempt: int  # how often it went back to the best
  seconds: float  # spent on the epoch


def fit(
    key: Array,
    trainer: Trainer,
    recipe: language_recipes.LanguageRecipe,
    corpus: text.Corpus,
    *,
    seed: int,
    workdir: str | os.PathLike | None = None,
    on_epoch: Callable[[Record], None] | None = None,
    checkpoint_seconds: float = 30.,
) -> tuple[State, list[Record]]:
  """Trains for the recipe's epochs, or until `recipe.patience` runs out.

  Each epoch begins at the start of the text with a hidden state of zeros and
  ends with a validation. nt_asgd goes over to averaged parameters when a
  validation is worse than the best of all but the last `recipe.nonmono`
  before it. A loss that is not finite leads back to the best validation.

  With a workdir, `training.jsonl` gets one line per epoch, and a checkpoint is
  written under `checkpoints/training/` from time to time, within an epoch
  too; the resumed run equals the uninterrupted one bit for bit on a CPU.

  Args:
    key: of the run; initialises and drops.
    trainer: compiled functions.
    recipe: settings.
    corpus: to learn from, and to validate with.
    seed: of the lengths of windows.
    workdir: where to keep the log; nowhere by default.
    on_epoch: called with each new record.
    checkpoint_seconds: between two checkpoints.

  Returns:
    The state with the parameters of the best validation, and the records:
    epoch, step, loss, learning_rate, averaged, validation_loss,
    validation_perplexity, seconds. The loss of an epoch that was given up is
    None, and it has no validation.

  Raises:
    ValueError: a part of the corpus is too short.

  Note: where the public codes go back they repeat the epoch with whatever
    random numbers come next, for ever; here it is with other ones, and
    `recipe.rollbacks` times. Without a validation to go back to the training
    ends.
  """
  check(trainer.model, recipe, corpus)
  streams = windows.batchify(corpus.train, recipe.batch_size)
  log = journal.Journal(workdir, 'step', _NEVER, 2, history='training.jsonl',
                        checkpoints='checkpoints/training')
  init_key, run_key = jax.random.split(key)
  state = trainer.init(init_key)
  run, records = log.resume(_Run(
      state, jax.tree.map(jnp.copy, state.params), -1, -1, 0, 0, 0, 0, 0.))
  saved = time.monotonic()
  while not _finished(recipe, run, records):
    begin = time.perf_counter() - run.seconds
    for run in _steps(run_key, trainer, recipe, streams, run, seed):
      now = time.monotonic()
      if now - saved >= checkpoint_seconds and math.isfinite(run.state.loss):
        log.commit(run.total, run._replace(
            seconds=time.perf_counter() - begin), [], last=True)
        saved = now
    run, record = _validate(trainer, recipe, corpus, run, records, len(streams))
    record['seconds'] = time.perf_counter() - begin
    records.append(record)
    due = time.monotonic() - saved >= checkpoint_seconds
    log.commit(run.total, run, [record],
               last=due or _finished(recipe, run, records))
    if due:
      saved = time.monotonic()
    if on_epoch:
      on_epoch(record)
  return run.state._replace(
      params=run.best, averaged=jnp.int32(-1)), records


def diverged(records: Sequence[Record]) -> bool:
  """Whether no validation was reached."""
  return not any(r['loss'] is not None for r in records)


def best(records: Sequence[Record]) -> Record:
  """The line of the result, that of the best validation."""
  return min((r for r in records if r['loss'] is not None),
             key=lambda r: r['validation_loss'])


def learning_rate(recipe: language_recipes.LanguageRecipe, epoch: int) -> float:
  """Of a window of `recipe.bptt` steps in an epoch counted from 0."""
  start = recipe.decay_from
  if start < 0:
    start = max(0, recipe.epochs + start)
  return recipe.learning_rate * recipe.rate_decay ** max(0, epoch + 1 - start)


def _eval_steps(num_tokens, batch_size):
  return min(max(1, EVAL_TOKENS // batch_size), num_tokens // batch_size - 1)


def _steps(key, trainer, recipe, streams, run, seed):
  """Yields the run after each step of the epoch that is left."""
  randomly = recipe.random_lengths
  sizes = windows.capacities(recipe.bptt, randomly)
  # Another attempt at an epoch draws other numbers.
  number = run.epoch + run.attempt * 10**6
  chosen = windows.random(seed, number, len(streams), recipe.bptt) if (
      randomly) else windows.fixed(len(streams), recipe.bptt)
  key = jax.random.fold_in(key, number)
  rate = learning_rate(recipe, run.epoch)
  if run.step == 0:
    run = run._replace(state=run.state._replace(
        hidden=trainer.model.start(recipe.batch_size), loss=jnp.float32(0)))
  for i in range(run.step, len(chosen)):
    window = chosen[i]
    scale = window.length / recipe.bptt if recipe.scale_rate else 1.
    state = trainer.step(
        key, run.state, *windows.at(
            streams, window, windows.capacity_of(window.length, sizes)),
        length=window.length, number=i, rate=rate * scale)
    run = run._replace(state=state, step=i + 1, total=run.total + 1)
    yield run
    if (i + 1) % _CHECK_EVERY == 0 and not math.isfinite(state.loss):
      return


def _validate(trainer, recipe, corpus, run, records, num_rows):
  """The run at the beginning of the next epoch, and the line of this one."""
  run = run._replace(total=run.total + 1)
  averaging = int(run.state.averaged) >= 0
  mean = float(run.state.loss) / (num_rows - 1)
  nats = math.nan
  if math.isfinite(mean):
    params = tested(run.state)
    nats = cross_entropy(
        trainer, params, corpus.validation, recipe.eval_batch_size)
  record = {
      'epoch': run.epoch, 'step': run.total - 1, 'loss': None,
      'learning_rate': learning_rate(recipe, run.epoch),
      'averaged': averaging}
  if not math.isfinite(nats):
    return _back(trainer, run), record
  record |= {
      'loss': mean, 'validation_loss': nats,
      'validation_perplexity': journal.number(exp(nats))}
  before = [r['validation_loss'] for r in records if r['loss'] is not None]
  if not before or nats < min(before):
    run = run._replace(
        best=jax.tree.map(jnp.copy, params),
        best_averaged=int(run.state.averaged), best_epoch=run.epoch)
  earlier = before[:-recipe.nonmono]
  if recipe.optimizer == 'nt_asgd' and not averaging and (
      earlier and nats > min(earlier)):
    run = run._replace(state=run.state._replace(averaged=jnp.int32(0)))
  return run._replace(epoch=run.epoch + 1, step=0, seconds=0.), record


def _back(trainer, run):
  """The run after its best validation, to be tried with other numbers."""
  if run.best_epoch < 0:
    return run
  copied = lambda: jax.tree.map(jnp.copy, run.best)
  state = run.state
  # The moments of Adam begin anew: only parameters are kept of the best.
  return run._replace(
      state=state._replace(
          params=copied(), average=copied() if state.average else (),
          optimizer=jax.tree.map(jnp.zeros_like, state.optimizer),
          averaged=jnp.int32(run.best_averaged)),
      epoch=run.best_epoch + 1, step=0, attempt=run.attempt + 1, seconds=0.)


def _finished(recipe, run, records):
  if records and records[-1]['loss'] is None and (
      run.best_epoch < 0 or run.attempt > recipe.rollbacks):
    return True
  late = recipe.patience is not None and run.best_epoch >= 0 and (
      run.epoch - 1 - run.best_epoch >= recipe.patience)
  return late or run.epoch >= recipe.epochs
