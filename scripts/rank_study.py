r"""Whether shared weights rank architectures as training each alone does.

Trains the shared weights of a family on uniformly drawn architectures (or as
--sampling says; `fair` takes each batch as often as there are choices), scores
a sample of them with these weights, trains each of the sample alone, and
compares the ranks. Beside that: what the numbers of parameters and of
multiply-adds say, which cost nothing, and what a second training alone with
another seed says, which no guess can be expected to beat.

  python -m scripts.rank_study --workdir=runs/ranks
  python -m scripts.rank_study --workdir=runs/cifar --scale=small \
      --dataset=cifar10 --data_dir=DIR

Reference: Yu et al., Evaluating the search phase of neural architecture search,
  2020; Bender et al., Understanding and simplifying one-shot architecture
  search, 2018.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import flags
from experiments import one_shot as experiment
from nas_jax import base
from nas_jax import checks
from nas_jax import cost
from nas_jax import finals
from nas_jax import plot
from nas_jax import problem
from nas_jax import statistics
from nas_jax import workdir as workdirs
from nas_jax.data import images as image_data
from nas_jax.evaluators import scratch
from nas_jax.evaluators import shared as shared_evaluator
from nas_jax.networks import graph
from nas_jax.spaces import genotypes
from nas_jax.supernets import enas_micro
from nas_jax.supernets import sampling
from nas_jax.supernets import shared
from nas_jax.training import classify
from nas_jax.training import fit
from nas_jax.training import recipes
from scripts import studies

SCALES = dict(
    smoke=dict(
        dataset='digits', num_architectures=12, num_nodes=2, num_cells=1,
        features=4, epochs=8, batch_size=64, alone_epochs=4),
    small=dict(
        dataset='digits', num_architectures=40, num_nodes=3, num_cells=1,
        features=8, epochs=60, batch_size=64, alone_epochs=20),
    paper=dict(dataset='cifar10'))
FAMILIES = ('enas_micro', *experiment.FAMILIES)
# What might tell the accuracy of training alone; how it is called.
GUESSES = {'shared': 'shared weights', 'params': 'parameters alone',
           'macs': 'multiply-adds alone', 'again': 'trained alone again'}
_SPARSE_DIGITS = 3  # of accuracies that are told apart
_BEST = .1  # share of architectures that are looked for


@dataclasses.dataclass(frozen=True)
class Settings(problem.DataSettings):
  """What the study depends on."""
  validation_fraction: float = 0.1  # of the training images
  family: str = 'enas_micro'  # that shares weights; or a --space of one_shot
  num_architectures: int = 100  # different random ones, trained alone
  num_nodes: int = 5  # per cell
  num_cells: int = 2  # normal cells per stage
  features: int = 20  # of the first stage
  epochs: int = 150  # of training the shared weights
  batch_size: int = 160  # of both trainings
  learning_rate: float = 0.05  # at the start of a cosine to zero, of both
  weight_decay: float = 2e-4  # L2 penalty of both
  sampling: str = 'uniform'  # of what a step trains; or fair, path_dropout
  num_paths: int = 1  # architectures per step, each on its part of the batch
  decay: str = 'used'  # what decays in a step: used weights, or all
  statistics: str = 'batch'  # of norms when scoring: of the batch, or running
  score_batch_size: int = 500  # validation images that are scored together
  num_score_batches: int | None = None  # of them; unset, all that there are
  alone_epochs: int = 50  # of training each architecture alone
  repeat: bool = True  # train each alone twice
  num_resamples: int = 2000  # of the architectures, for the intervals
  num_devices: int = 1  # architectures at a time

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('family', self.family, FAMILIES)
    checks.one_of('sampling', self.sampling, sampling.NAMES)
    checks.one_of('decay', self.decay, shared.DECAYS)
    checks.one_of('statistics', self.statistics, shared.STATISTICS)
    checks.at_least(self, 1, 'num_nodes', 'num_cells', 'features', 'epochs',
                    'batch_size', 'num_paths', 'score_batch_size',
                    'num_score_batches', 'alone_epochs', 'num_resamples',
                    'num_devices')
    checks.at_least(self, 3, 'num_architectures')
    if self.sampling == 'path_dropout' and self.family != 'one_shot':
      raise ValueError(f'sampling is path_dropout, but the family is '
                       f'{self.family}: only one_shot has paths to drop')
    if self.batch_size % self.num_paths:
      raise ValueError(f'batch_size {self.batch_size} is not a multiple of '
                       f'num_paths {self.num_paths}')


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  """Writes study.json and study.html; the same call resumes.

  Returns:
    The content of study.json.

  Raises:
    ValueError: bad settings or data, or too few architectures that could be
      trained.
  """
  load = os.getloadavg()
  data = problem.load(settings)
  family = family_of(settings, data)
  recipe = recipe_of(settings, data, settings.epochs)
  finals.check_recipe(recipe, data, len(data.train.labels))
  workdirs.claim(workdir, 'rank_study', dataclasses.asdict(settings))
  workdirs.use_compilation_cache(workdir)
  weights = shared.make(
      family, recipe, classify.task_of(data), decay=settings.decay,
      statistics=settings.statistics, same_batch=settings.sampling == 'fair')
  state = train_shared(
      workdir / 'shared', family, weights, recipe, data, settings)
  genomes = sample(family.space, settings)
  guess = score(family, weights, state, genomes, data, settings)
  seeds = [settings.seed, settings.seed + 1][:1 + settings.repeat]
  alone = [train_alone(workdir / f'alone_{i}', family, genomes, data, seed,
                       settings) for i, seed in enumerate(seeds)]
  rows = [row(family, genome, *(column[i] for column in (guess, *alone)))
          for i, genome in enumerate(genomes)]
  kept = studies.trained(rows, 'architectures')
  columns = {name: np.array([r[name] for r in kept]) for name in (
      'alone', *GUESSES) if name in kept[0]}
  study = studies.header('rank_study', settings, data, load) | {
      'num_failed': len(rows) - len(kept),
      'mean_accuracy': {name: float(np.mean(columns[name]))
                        for name in ('shared', 'alone')},
      'ranks': ranks(columns, settings.num_resamples, settings.seed),
      'architectures': rows}
  study['verdict'] = verdict(study['ranks'])
  studies.write(workdir, study, page(study), table(study['ranks']))
  return study


def family_of(settings: Settings, data: image_data.ImageData) -> shared.Family:
  """What shares weights."""
  sizes = dict(image_shape=tuple(data.train.images.shape[1:]),
               num_classes=data.num_classes, features=settings.features)
  if settings.family != 'nasbench_macro':
    sizes['num_cells'] = settings.num_cells
  if settings.family == 'enas_micro':
    return enas_micro.family(
        num_nodes=settings.num_nodes, dropout_keep=1., **sizes)
  return experiment.FAMILIES[settings.family](**sizes)


def recipe_of(settings: Settings, data: image_data.ImageData, epochs: int
              ) -> recipes.Recipe:
  """Of the shared weights, and of those of one architecture."""
  return recipes.Recipe(
      epochs=epochs, batch_size=settings.batch_size,
      learning_rate=settings.learning_rate, nesterov=True,
      weight_decay=settings.weight_decay,
      crop_padding=data.train.images.shape[1] // 8,
      flip=settings.dataset not in finals.NO_FLIP,
      eval_batch_size=min(500, len(data.validation.labels)))


def sample(space: base.Space, settings: Settings) -> np.ndarray:
  """Different random genomes, int32[N, L].

  Raises:
    ValueError: the space seems to have fewer.
  """
  number = settings.num_architectures
  found = studies.different(
      jax.random.key(settings.seed), space, number, space.genotype)
  if len(found) < number:
    raise ValueError(f'num_architectures is {number}, but the space seems to '
                     f'have {len(found)}: choose fewer')
  return found


def train_shared(
    folder: pathlib.Path, family: shared.Family, weights: shared.Weights,
    recipe: recipes.Recipe, data: image_data.ImageData, settings: Settings,
) -> classify.TrainState:
  """The shared weights after training; resumes."""
  choose = sampling.named(
      settings.sampling, family.space, num_ghosts=settings.num_paths)
  state, log = finals.fit_shown(
      jax.random.key(settings.seed), shared.trainer(weights, choose), recipe,
      data.train, seed=settings.seed, folder=folder, label='shared weights')
  if fit.diverged(log):
    raise ValueError(f'the shared weights diverged in epoch {log[-1]["epoch"]}:'
                     ' choose a lower --learning_rate')
  return state


def score(family, weights, state, genomes, data, settings
          ) -> list[dict[str, float]]:
  """The metrics of every genome with shared weights."""
  evaluator = shared_evaluator.shared(
      family.space.genotype, weights, state, shared_evaluator.batches_of(
          data.validation, settings.score_batch_size,
          settings.num_score_batches, seed=settings.seed),
      num_devices=settings.num_devices)
  key = jax.random.key(0)
  found, _ = evaluator.evaluate(
      key, evaluator.init(key), base.Proposals(genomes))
  return studies.by_child(found.metrics)


def train_alone(
    folder: pathlib.Path, family: shared.Family, genomes: np.ndarray,
    data: image_data.ImageData, seed: int, settings: Settings,
) -> list[dict[str, float]]:
  """The metrics of every genome trained alone; those trained are read."""
  folder.mkdir(exist_ok=True)
  # No image is in both measurements.
  evaluator = scratch.scratch(
      family.build, family.space.genotype,
      data._replace(validation=data.test),
      recipe_of(settings, data, settings.alone_epochs), seed=seed,
      cache=folder / 'children.jsonl', execution=settings.execution,
      num_devices=settings.num_devices)
  return studies.train(
      folder.name, evaluator, genomes, seed=seed,
      at_a_time=max(4, settings.num_devices))


def row(family: shared.Family, genome: np.ndarray, guess: Mapping[str, float],
        *alone: Mapping[str, float]) -> dict[str, Any]:
  """What is known of one architecture; accuracies in 0..1."""
  genotype = family.space.genotype(genome)
  net = family.build(genotype)
  found = {
      'genotype': json.dumps(genotypes.to_json(genotype)),  # One line each.
      'failed': any(bool(part['failed']) for part in (guess, *alone)),
      'shared': guess['validation_accuracy'],
      'alone': alone[0]['validation_accuracy'],
      'params': graph.num_params(net), 'macs': cost.count(net).macs,
      'seconds': {'shared': guess['score_seconds'],
                  'alone': alone[0]['train_seconds']}}
  return found | {'again': part['validation_accuracy'] for part in alone[1:]}


def ranks(columns: Mapping[str, np.ndarray], num_resamples: int, seed: int
          ) -> dict[str, dict[str, Any]]:
  """How well each guess ranks what training alone gives.

  Args:
    columns: float[N] under 'alone' and some names of `GUESSES`.
    num_resamples: how often N architectures are drawn from the N with
      replacement.
    seed: of the draws.

  Returns:
    By guess: 'kendall' (tau b), 'sparse_kendall' and 'spearman', each as
    value, low and high end of the 95 % interval of percentiles; 'precision',
    the share of the truly best tenth that the guess finds; and 'best_rank',
    the true rank of the best of the tenth that it names.
  """
  truth = columns['alone']
  number = len(truth)
  k = max(1, round(_BEST * number))
  draws = studies.resamples(number, num_resamples, seed)
  found = {}
  for name in GUESSES:
    if name not in columns:
      continue
    guess = columns[name]
    kinds = {'kendall': statistics.kendall, 'spearman': statistics.spearman}
    if name in ('shared', 'again'):
      kinds['sparse_kendall'] = lambda a, b: statistics.kendall(
          a, b, digits=_SPARSE_DIGITS)
    found[name] = {
        kind: studies.interval([function(guess[d], truth[d]) for d in draws])
        for kind, function in kinds.items()} | {
            'precision': statistics.precision_at(guess, truth, k),
            'best_rank': statistics.best_rank_at(guess, truth, k), 'k': k}
  return found


def verdict(found: Mapping[str, Mapping[str, Any]]) -> str:
  """Whether shared weights rank, and better than a count does."""
  value, low, high = found['shared']['kendall']
  if value is None:
    return 'Shared weights give all architectures the same score.'
  best = max(found[name]['kendall'][0] or 0. for name in ('params', 'macs'))
  what = ('rank the architectures' if low > 0 else
          'rank the architectures the wrong way' if high < 0 else
          'are not seen to rank the architectures')
  than = 'better' if value > best else 'no better'
  return (f"Shared weights {what}: Kendall's tau is {value:+.3f} (95 % "
          f'interval {low:+.3f} to {high:+.3f}), {than} than counting '
          f'parameters or multiply-adds ({best:+.3f}).')


def table(found: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Rows of texts, the header first."""
  k = found['shared']['k']
  rows = [['rank correlation with training alone', 'Kendall', 'sparse Kendall',
           'Spearman', f'of the best {k}', 'rank of its best']]
  for name, values in found.items():
    rows.append([GUESSES[name], *(
        studies.interval_text(values[kind]) if kind in values else ''
        for kind in ('kendall', 'sparse_kendall', 'spearman')),
                 f'{values["precision"]:.0%}', str(values['best_rank'])])
  return rows


def page(study: Mapping[str, Any]) -> str:
  """The study as a page of HTML."""
  kept = [r for r in study['architectures'] if not r['failed']]
  options = study['flags']
  title = f'Ranks by shared weights on {study["dataset"]}'
  facts = (
      f'{len(kept)} random architectures ({study["num_failed"]} more failed) '
      f'of {options["family"]}. Shared weights are trained for '
      f'{options["epochs"]} epochs and scored on {study["num_validation"]:,} '
      'validation images: mean accuracy '
      f'{study["mean_accuracy"]["shared"]:.1%}. Each alone is trained for '
      f'{options["alone_epochs"]} epochs and measured on '
      f'{study["num_test"]:,} other images: '
      f'{study["mean_accuracy"]["alone"]:.1%}. Intervals are of '
      f'{options["num_resamples"]:,} resamples of the architectures: they say '
      'nothing of another seed of the shared weights, of other data sets or '
      'lengths of training.')
  pictures = [
      plot.scatter(
          [100 * r[name] for r in kept], [100 * r['alone'] for r in kept],
          f'{GUESSES[name]}, %', 'trained alone, %')
      for name in ('shared', 'again') if name in kept[0]]
  return studies.page(study, title, facts, table(study['ranks']), pictures)


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
