"""Recurrent cells that share weights: how they learn from a text."""

from collections.abc import Callable, Sequence
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import journal
from nas_jax.data import text
from nas_jax.data import windows
from nas_jax.supernets import alternating
from nas_jax.supernets import recurrent_shared
from nas_jax.training import language
from nas_jax.training import language_recipes

REWARD = 80.  # c of the reward c / perplexity
_CHUNK = 32  # cells that are scored in one call


class Text(NamedTuple):
  """A corpus as shared weights read it."""
  train: np.ndarray  # int32[T, B], streams
  inputs: np.ndarray  # int32[W, S, B'], of windows of the validation part
  targets: np.ndarray  # int32[W, S, B']


def read(corpus: text.Corpus, recipe: language_recipes.LanguageRecipe) -> Text:
  """The streams and windows of a corpus.

  Windows of the validation part have `bptt` steps. They have as many rows as
  a batch, or as many as there is text for.

  Raises:
    ValueError: a part without a window for each of its rows.
  """
  bptt, validation = recipe.bptt, corpus.validation
  windows.check(len(corpus.train), recipe.batch_size, bptt)
  windows.check(len(validation), 1, bptt)
  streams = windows.batchify(
      validation, min(recipe.batch_size, len(validation) // (bptt + 1)))
  pairs = [windows.at(streams, window, bptt) for window in windows.fixed(
      len(streams), bptt) if window.length == bptt]
  return Text(windows.batchify(corpus.train, recipe.batch_size),
              *map(np.stack, zip(*pairs)))


def train_epoch(
    key: base.Key,
    weights: recurrent_shared.Weights,
    recipe: language_recipes.LanguageRecipe,
    read_: Text,
    params: recurrent_shared.Params,
    choose: Callable[[base.Key], base.Genome],
    *,
    epoch: int,
    seed: int,
) -> tuple[recurrent_shared.Params, dict[str, float | None]]:
  """One pass over the training part, each window on a cell of its own.

  The hidden state goes on from window to window, whatever the cell.

  Args:
    key: of the run; the epoch and the window are folded in.
    weights: that learn.
    recipe: of the steps.
    read_: the corpus.
    params: of all cells, before the epoch; they stay as they are.
    choose: key -> genome of a window.
    epoch: counted from 0.
    seed: of the lengths of windows.

  Returns:
    Parameters; loss, train_perplexity and learning_rate.

  Note: where losses are not finite the public code of ENAS goes back to its
    last checkpoint and on with other random numbers; here the epoch begins
    anew with others, `recipe.rollbacks` times.
  """
  for attempt in range(1 + recipe.rollbacks):
    # Another attempt at an epoch draws other numbers.
    own = jax.random.fold_in(key, epoch + attempt * 10**6)
    found, mean = _epoch(
        own, weights, recipe, read_, params, choose, epoch=epoch, seed=seed)
    if math.isfinite(mean):
      break
  return found, {
      'loss': mean, 'train_perplexity': journal.number(language.exp(mean)),
      'learning_rate': language.learning_rate(recipe, epoch)}


def losses(
    weights: recurrent_shared.Weights,
    read_: Text,
    params: recurrent_shared.Params,
    genomes: np.ndarray,
    numbers: Sequence[int],
) -> np.ndarray:
  """The mean cross-entropy of cells, each on a window of the validation part.

  Args:
    weights: of the cells.
    read_: the corpus.
    params: of all cells.
    genomes: int32[M, L].
    numbers: int[M], of the windows; after the last the first comes again.

  Returns:
    float32[M], in nats; not finite where a cell failed.
  """
  size = min(_CHUNK, len(genomes))
  rows = np.resize(np.arange(len(genomes)), -(-len(genomes) // size) * size)
  places = np.asarray(numbers) % len(read_.inputs)
  found = [weights.score(params, genomes[part], read_.inputs[places[part]],
                         read_.targets[places[part]])
           for part in rows.reshape(-1, size)]
  return np.concatenate(found)[:len(genomes)]


def learner(
    weights: recurrent_shared.Weights,
    recipe: language_recipes.LanguageRecipe,
    read_: Text,
    *,
    seed: int,
    reward: float = REWARD,
) -> alternating.Learner:
  """Shared weights for `alternating.in_turn`.

  The reward of a cell is c / perplexity on one window of the validation part
  from hidden states of zeros; windows come in turn.

  Args:
    weights: of the cells.
    recipe: of the steps.
    read_: the corpus.
    seed: of the lengths of windows.
    reward: c.
  """
  def train(key, params, choose, epoch):
    return train_epoch(key, weights, recipe, read_, params, choose,
                       epoch=epoch, seed=seed)

  def score(params, number, genomes):
    return rewards(losses(weights, read_, params, genomes, range(
        number, number + len(genomes))), reward)

  return alternating.Learner(weights.init, train, score, recipe.learning_rate)


def rewards(losses_: np.ndarray, c: float = REWARD) -> np.ndarray:
  """c / perplexity, float32[M]; 0 where a cell failed."""
  return np.where(np.isfinite(losses_), c * np.exp(-losses_), 0.).astype(
      np.float32)


def _epoch(key, weights, recipe, read_, params, choose, *, epoch, seed):
  """Parameters after an epoch, and its mean loss."""
  streams, bptt, randomly = read_.train, recipe.bptt, recipe.random_lengths
  sizes = windows.capacities(bptt, randomly)
  chosen = windows.random(seed, epoch, len(streams), bptt) if (
      randomly) else windows.fixed(len(streams), bptt)
  rate = language.learning_rate(recipe, epoch)
  params = jax.tree.map(jnp.copy, params)
  hidden, total = weights.start(recipe.batch_size), jnp.float32(0)
  for i, window in enumerate(chosen):
    choose_key, step_key = jax.random.split(jax.random.fold_in(key, i))
    scale = window.length / bptt if recipe.scale_rate else 1.
    params, hidden, loss = weights.step(
        step_key, params, hidden, choose(choose_key), *windows.at(
            streams, window, windows.capacity_of(window.length, sizes)),
        np.int32(window.length), np.float32(rate * scale))
    total += loss * window.length
  return params, float(total) / (len(streams) - 1)
