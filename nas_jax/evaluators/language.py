"""Scores a recurrent cell by training its language model from scratch."""

from collections.abc import Callable
import os
from typing import NamedTuple

import jax
import numpy as np

from nas_jax import base
from nas_jax.data import text
from nas_jax.data import windows
from nas_jax.evaluators import children
from nas_jax.networks import language as networks
from nas_jax.training import language as training
from nas_jax.training import language_recipes

_METRICS = ('validation_perplexity', 'epochs', 'num_params')


class _Compiled(NamedTuple):
  """A trainer that will compile nothing more."""
  trainer: training.Trainer
  compile_seconds: float


def language(
    build: Callable[[base.Genotype], networks.Model],
    genotype: Callable[[base.Genome], base.Genotype],
    corpus: text.Corpus,
    recipe: language_recipes.LanguageRecipe,
    *,
    seed: int,
    reward: Callable[[float], float],
    floor: float,
    cache: str | os.PathLike | None = None,
    compile_ahead: bool = True,
) -> base.Evaluator:
  """Trains every child on the training part, scores it on validation.

  A child that diverges, does not fit in memory, cannot be built or has a
  reward that is not finite, or not above the floor, gets the floor and failed
  = 1. Equal genotypes are trained once. While one child trains, the next one
  of the round compiles in a background thread.

  Args:
    build: genotype -> model; a ValueError means it cannot be built. Models
      with the same function `apply` share what is compiled.
    genotype: `space.genotype`.
    corpus: to learn from, and to validate on.
    recipe: how children are trained.
    seed: a child's weights, windows and dropout are functions of
      (seed, genotype), whenever it is trained.
    reward: of the perplexity on the validation part, the best of all epochs.
    floor: reward of a failed child, below that of any other.
    cache: see `children.evaluator`.
    compile_ahead: whether children compile before their turn.

  Returns:
    An evaluator that runs on the host. Metrics: validation_perplexity, epochs,
    num_params, failed, compile_seconds, train_seconds (repeated for a
    genotype met again).

  Raises:
    ValueError: at once, for a damaged cache.
  """
  latest: list[training.Trainer] = []

  def compile_(found: base.Genotype) -> _Compiled:
    model = build(found)
    if latest and latest[0].model.apply is model.apply:
      return _Compiled(latest[0]._replace(model=model), 0.)
    trainer = training.make(model, recipe)
    compile_all(trainer, recipe, corpus)
    latest[:] = [trainer]
    return _Compiled(trainer, trainer.compile_seconds())

  def score(child: children.Child, compiled: _Compiled) -> float | None:
    metrics, trainer = child['metrics'], compiled.trainer
    key = jax.random.fold_in(
        jax.random.key(seed),
        children.number_of(children.name_of(child['genotype'])))
    _, log = training.fit(key, trainer, recipe, corpus, seed=seed)
    metrics['num_params'] = float(trainer.model.num_params)
    metrics['epochs'] = float(len(log))
    if training.diverged(log):
      child['error'] = f'diverged in epoch {log[-1]["epoch"]}'
      return None
    perplexity = training.exp(training.best(log)['validation_loss'])
    found = float(reward(perplexity))
    if not found > floor:
      child['error'] = (f'the perplexity is {perplexity:.4g}, the reward '
                        f'{found:.4g} is not above the floor {floor}')
      return None
    metrics['validation_perplexity'] = perplexity
    return found

  def train(found: base.Genotype, ahead) -> children.Child:
    return children.train(
        found, ahead.result if ahead else lambda: compile_(found), score,
        floor=floor, metrics=_METRICS)

  def train_all(todo: children.Todo, keep: children.Keep) -> None:
    children.in_turn(todo, keep, compile_, train, ahead=compile_ahead)

  return children.evaluator(genotype, train_all, metrics=_METRICS, cache=cache)


def compile_all(trainer: training.Trainer,
                recipe: language_recipes.LanguageRecipe, corpus: text.Corpus
                ) -> None:
  """Runs each program of a training once, which compiles it."""
  key = jax.random.key(0)
  state = trainer.init(key)
  for size in windows.capacities(recipe.bptt, recipe.random_lengths):
    tokens = np.zeros((size, recipe.batch_size), np.int32)
    state = trainer.step(
        key, state, tokens, tokens, length=1, number=0, rate=0.)
  rows = 1 + max(1, training.EVAL_TOKENS // recipe.eval_batch_size)
  training.cross_entropy(
      trainer, state.params,
      corpus.validation[:rows * recipe.eval_batch_size],
      recipe.eval_batch_size)
