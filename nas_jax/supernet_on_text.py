"""One gradient search of recurrent cells on text, from its folder.

The folder gets history.jsonl (a line per epoch: losses, perplexity of the
search network, weights of the candidates, derived cell) and
checkpoints/search/.
"""

from collections.abc import Iterator, Sequence
import functools
import itertools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import checkpoint
from nas_jax import descent
from nas_jax import journal
from nas_jax import progress
from nas_jax import supernet_search
from nas_jax.data import text
from nas_jax.data import windows
from nas_jax.networks import language
from nas_jax.spaces import genotypes
from nas_jax.supernets import bilevel
from nas_jax.supernets import monitor
from nas_jax.supernets import recurrent
from nas_jax.supernets import recurrent_search
from nas_jax.training import language as training
from nas_jax.training import language_recipes

Record = dict[str, Any]
# Steps between looks at the loss where a step should not be waited for.
_CHECK_EVERY = 20
_CHECKPOINT_EVERY = 100
LEAST_BPTT = 5  # the shortest window that is drawn


class Plan(NamedTuple):
  """What searches depend on, beside folder and seed."""
  sizes: language.Sizes
  num_nodes: int
  recipe: language_recipes.LanguageRecipe  # of the weights
  alphas: bilevel.Settings
  clamp: bool  # see `recurrent_search.make`
  corpus: text.Corpus


class Searcher(NamedTuple):
  """Compiled once for all seeds."""
  plan: Plan
  search: base.GradientSearch
  trainer: training.Trainer  # of the search network in evaluation


def build(plan: Plan) -> Searcher:
  """The search; what it runs is compiled at its first step.

  Raises:
    ValueError: what does not fit together, such as a text that is too short.
  """
  recipe, corpus = plan.recipe, plan.corpus
  net = recurrent_search.network(plan.sizes, plan.num_nodes)
  if recipe.bptt < LEAST_BPTT:
    raise ValueError(f'bptt is {recipe.bptt}, expected at least {LEAST_BPTT}')
  training.check(net.evaluate, recipe, corpus)
  windows.batchify(corpus.validation, recipe.batch_size)
  return Searcher(plan, recurrent_search.make(
      net, recipe, settings=plan.alphas, clamp=plan.clamp),
                  training.make(net.evaluate, recipe))


def run(folder: pathlib.Path, searcher: Searcher, seed: int, label: str
        ) -> supernet_search.Found:
  """Searches to the end; the same call resumes.

  Args:
    folder: of this search.
    searcher: see `build`.
    seed: of weights, alphas, dropout and the lengths of windows.
    label: what the progress is called.
  """
  plan = searcher.plan
  epochs = plan.recipe.epochs
  counts = [len(windows_of(plan, seed, epoch)) for epoch in range(epochs)]
  ends = list(itertools.accumulate(counts))
  done = max(checkpoint.steps(folder / 'checkpoints' / 'search'), default=0)
  board = progress.scalars(folder / 'tb' / 'search')
  with progress.progress(epochs, label, unit='epoch',
                         initial=sum(end <= done for end in ends)) as bar:
    def on_log(state, record):
      del state
      shown = {k: v for k, v in record['metrics'].items() if v is not None}
      shown['perplexity'] = record['supernet_perplexity']
      bar.update(**shown)
      board.write(record['epoch'], shown)
      progress.warn_of_search(label, record)
    _, derived, records = descent.descend(
        jax.random.key(seed), searcher.search,
        lambda step: pairs(plan, seed, step), num_steps=ends[-1],
        workdir=folder, checkpoint_every=_CHECKPOINT_EVERY,
        log_every=set(ends).__contains__,
        check_every=1 if jax.default_backend() == 'cpu' else _CHECK_EVERY,
        describe=functools.partial(_describe, searcher), on_log=on_log)
  board.close()
  return supernet_search.Found(
      derived, records, sum(r['seconds']['wall'] for r in records),
      'all epochs' if len(records) == epochs else
      f'diverged in epoch {len(records)}')


def windows_of(plan: Plan, seed: int, epoch: int) -> list[windows.Window]:
  """Training windows of an epoch, of bptt steps, 5 % of half as many."""
  rows = len(plan.corpus.train) // plan.recipe.batch_size
  return windows.random(seed, epoch, rows, plan.recipe.bptt, deviation=0.)


def pairs(plan: Plan, seed: int, step: int
          ) -> Iterator[tuple[recurrent_search.Batch, recurrent_search.Batch]]:
  """(training window, validation window) from a step on, without end.

  The validation window begins where the training window does, counted round
  the validation text, which is shorter; it has bptt steps, or what is left.
  """
  bptt = plan.recipe.bptt
  train, validation = (
      windows.batchify(part, plan.recipe.batch_size)
      for part in (plan.corpus.train, plan.corpus.validation))
  last = len(validation) - 1
  for epoch in itertools.count():
    chosen = windows_of(plan, seed, epoch)
    for window in chosen[step:]:
      start = window.start % last
      yield tuple(_batch(streams, own, bptt, window.start == 0)
                  for streams, own in (
                      (train, window), (validation, windows.Window(
                          start, min(bptt, last - start)))))
    step = max(step - len(chosen), 0)


def perplexity(searcher: Searcher, state: recurrent_search.State) -> float:
  """Of the search network on the validation text, with running statistics."""
  start = lambda batch_size: [recurrent.State(
      jnp.zeros((batch_size, state.hidden.shape[1])),
      jax.tree.map(jnp.copy, state.norm))]  # An evaluation uses its copy up.
  trainer = searcher.trainer
  return training.exp(training.cross_entropy(
      trainer._replace(model=trainer.model._replace(start=start)),
      recurrent_search.with_alphas(state.params, state.alphas),
      searcher.plan.corpus.validation,
      searcher.plan.recipe.eval_batch_size))


def _batch(streams, window, capacity, begins):
  return recurrent_search.Batch(
      *windows.at(streams, window, capacity), np.int32(window.length),
      np.bool_(begins))


def _describe(searcher: Searcher, state: recurrent_search.State,
              before: Sequence[Record]) -> Record:
  """What a line says of an epoch."""
  alphas = state.alphas[recurrent.KIND]
  kinds = {recurrent.KIND: [list(recurrent.CANDIDATES)] * len(alphas)}
  weights = {recurrent.KIND: np.asarray(jax.nn.softmax(alphas), float)}
  cell = recurrent.derive(alphas)
  activations = tuple(name for name, _ in cell.nodes)
  counts = monitor.census(weights, kinds, activations)
  return {
      'epoch': len(before),
      'supernet_perplexity': journal.number(perplexity(searcher, state)),
      'genotype': genotypes.to_json(cell),
      'weights': {k: np.round(v, 6).tolist() for k, v in weights.items()},
      'candidates': kinds,
      'census': {k: v._asdict() for k, v in counts.items()},
      'warning': monitor.recurrent_warning(
          counts[recurrent.KIND], activations)}
