"""The training of one language model to its end, and the test of it.

Written to the folder: network.json, training.jsonl, checkpoints/training/,
and, when it is over, checkpoints/weights/ (the parameters of the best
validation, averaged ones if they were).
"""

from collections.abc import Callable
import contextlib
import dataclasses
import math
import os
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from nas_jax import checkpoint
from nas_jax import journal
from nas_jax import memory
from nas_jax import progress
from nas_jax import records
from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.training import language as training
from nas_jax.training import language_recipes

Path = str | os.PathLike
_FILE = 'network.json'
_WEIGHTS = 'checkpoints/weights'
_FIELDS = ('family', 'genotype', 'model', 'unit', 'vocabulary')


class Job(NamedTuple):
  """A model, and how it is trained."""
  model: language.Model
  recipe: language_recipes.LanguageRecipe
  config: dict[str, Any]  # network.json
  seed: int


class Outcome(NamedTuple):
  """What a training came to."""
  validation_perplexity: float  # the best; infinite if it diverged
  perplexity: Callable[[np.ndarray, int], float]  # of int32[N], batch size
  epochs: int  # of the best validation, counted from 1; 0 if it diverged
  seconds: float  # compiling and training, those of earlier runs included


class Trained(NamedTuple):
  """A trained model, and what it was trained for."""
  model: language.Model
  params: Any
  config: dict[str, Any]  # network.json


def job_of(
    preset: presets.Preset, sizes: language.Sizes,
    recipe: language_recipes.LanguageRecipe, corpus: text.Corpus,
    *, seed: int, recipe_name: str) -> Job:
  """All that a training needs; builds the model.

  Args:
    preset: family and genotype of the cell.
    sizes: of the model.
    recipe: settings.
    corpus: to learn from.
    seed: of everything.
    recipe_name: of the recipe that `recipe` was made of.

  Raises:
    ValueError: what the family cannot build, or a corpus that is too short.
  """
  model = language.make(preset.family, preset.genotype, sizes)
  training.check(model, recipe, corpus)
  return Job(model, recipe, {
      'family': preset.family,
      'genotype': genotypes.to_json(preset.genotype),
      'model': dataclasses.asdict(sizes), 'dataset': corpus.name,
      'unit': corpus.unit, 'max_vocabulary': corpus.max_vocabulary,
      'vocabulary': list(corpus.vocabulary),
      'recipe': {'name': recipe_name, **dataclasses.asdict(recipe)},
      'seed': seed}, seed)


def train(folder: pathlib.Path, job: Job, corpus: text.Corpus, label: str
          ) -> Outcome:
  """Trains on the training part to the end; the same call resumes.

  Args:
    folder: of this training.
    job: what to train.
    corpus: to learn from, and to validate with.
    label: what the progress is called.

  Raises:
    ValueError: the memory does not suffice; says what to change.
  """
  folder.mkdir(parents=True, exist_ok=True)
  records.write_json(folder / _FILE, job.config)
  trainer = training.make(job.model, job.recipe)
  with memory_explained(job.recipe):
    state, log = _fit_shown(trainer, job, corpus, folder, label)
  checkpoint.save(
      folder / _WEIGHTS, len(log), training.tested(state), keep=1)
  seconds = sum(line['seconds'] for line in log)

  def perplexity(tokens, batch_size):
    with memory_explained(job.recipe):
      return training.perplexity(trainer, state, tokens, batch_size)

  if training.diverged(log):
    progress.warn_of_divergence(
        label, log[-1]['epoch'], job.recipe.learning_rate)
    return Outcome(math.inf, perplexity, 0, seconds)
  best = training.best(log)
  return Outcome(training.exp(best['validation_loss']), perplexity,
                 best['epoch'] + 1, seconds)


def train_and_test(folder: pathlib.Path, job: Job, corpus: text.Corpus,
                   label: str) -> tuple[dict[str, Any], float]:
  """Trains on the training part, chooses by validation, tests once.

  The same call resumes.

  Args:
    folder: of this training.
    job: what to train.
    corpus: to learn from.
    label: what the progress is called.

  Returns:
    The result for the summary: validation_perplexity, test_perplexity,
    num_params, epochs, num_test_tokens; of characters also
    test_bits_per_character; where the source is known excess_percent, by
    which its own perplexity on the test part is exceeded. Numbers of a
    training that diverged are None. And the seconds.
  """
  def run():
    outcome = train(folder, job, corpus, label)
    tested = outcome.perplexity(
        corpus.test, job.recipe.test_batch_size) if outcome.epochs else math.inf
    return {'seconds': outcome.seconds, 'result': {
        'validation_perplexity': journal.number(outcome.validation_perplexity),
        'test_perplexity': journal.number(tested),
        'num_params': job.model.num_params, 'epochs': outcome.epochs,
        'num_test_tokens': len(corpus.test), **_more(corpus, tested)}}

  found = records.once(folder / 'result.json', run)
  return found['result'], found['seconds']


def load(workdir: Path) -> Trained:
  """The model of a finished training.

  Raises:
    ValueError: no training of a language model, or one that is not finished.
  """
  folder = pathlib.Path(workdir)
  path = folder / _FILE
  if not is_language(folder):
    raise ValueError(f'{folder} holds no trained language model: name the '
                     '--workdir of a training or of a search on text')
  config = records.read_json(path)
  model = language.make(
      config['family'], genotypes.from_json(config['genotype']),
      language.Sizes(**config['model']))
  found = checkpoint.restore(
      folder / _WEIGHTS, jax.eval_shape(model.init, jax.random.key(0)))
  if found is None:
    raise ValueError(f'the training in {folder} is not finished: the command '
                     'in its config.json goes on')
  return Trained(model, found[1], config)


def is_language(workdir: Path) -> bool:
  """Whether a folder holds a language model, finished or not."""
  path = pathlib.Path(workdir) / _FILE
  if not path.exists():
    return False
  config = records.read_json(path)
  return isinstance(config, dict) and all(name in config for name in _FIELDS)


def evaluate(trained: Trained, corpus: text.Corpus, part: str = 'test',
             batch_size: int = 1) -> float:
  """The perplexity of a trained model on a text.

  Args:
    trained: see `load`.
    corpus: of the vocabulary that it was trained with.
    part: 'test' or 'validation'.
    batch_size: streams that the text is cut into; 1 is exact.

  Raises:
    ValueError: another vocabulary or unit, or a text that is too short.
  """
  config = trained.config
  if corpus.unit != config['unit']:
    raise ValueError(
        f'the model predicts {config["unit"]}s, but {corpus.name} was read by '
        f'the {corpus.unit}')
  known = config['vocabulary']
  if list(corpus.vocabulary) != known:
    other = [word for word in known if word not in set(corpus.vocabulary)]
    other += [word for word in corpus.vocabulary if word not in set(known)]
    example = f'only one of them has {other[0]!r}' if other else (
        'their order differs')
    raise ValueError(
        f'the model was trained on {config["dataset"]} with a vocabulary of '
        f'{len(known):,}, but that of {corpus.name} has '
        f'{len(corpus.vocabulary):,}; {example}. A model is tested on a text '
        'of its own vocabulary; to train the cell on another text name this '
        'folder as --architecture')
  recipe = language_recipes.load('fast')
  trainer = training.make(trained.model, recipe)
  return training.exp(training.cross_entropy(
      trainer, trained.params, getattr(corpus, part), batch_size))


def memory_explained(recipe: language_recipes.LanguageRecipe, prefix: str = ''
                     ) -> contextlib.AbstractContextManager[None]:
  """See `memory.explained`.

  Args:
    recipe: of what runs.
    prefix: of the flags of its settings.
  """
  return memory.explained(
      f'{recipe.batch_size} streams of {recipe.bptt} steps',
      f'a --{prefix}batch_size below {recipe.batch_size}, or a '
      f'--{prefix}bptt below {recipe.bptt}')


def _more(corpus, perplexity):
  """Measures that only some texts have."""
  found = {}
  if corpus.unit == 'character':
    found['test_bits_per_character'] = journal.number(math.log2(perplexity))
  if corpus.source_losses is not None:
    found['excess_percent'] = journal.number(
        100 * (perplexity / math.exp(corpus.source_losses[1]) - 1))
  return found


def _fit_shown(trainer, job, corpus, folder, label):
  """As `training.fit`, with a bar and TensorBoard events."""
  done = len(records.read(folder / 'training.jsonl'))
  board = progress.scalars(folder / 'tb' / 'training')
  with progress.progress(job.recipe.epochs, label, unit='epoch',
                         initial=min(done, job.recipe.epochs)) as bar:
    def on_epoch(line):
      shown = {k: v for k, v in line.items()
               if k in ('loss', 'validation_perplexity') and v is not None}
      bar.update(**shown)
      board.write(line['epoch'], shown)
    found = training.fit(
        jax.random.fold_in(jax.random.key(job.seed), 1), trainer, job.recipe,
        corpus, seed=job.seed, workdir=folder, on_epoch=on_epoch)
  board.close()
  return found
