"""Whether BlockQNN's corrected reward tells good blocks better than accuracy.

Trains random blocks of its search space twice: as its search does (12 epochs
of Adam), and longer, as its results are trained. Compares the ranks that the
early-stop accuracy and the corrected reward give with those of the long
training.

  python -m scripts.early_stop_study --workdir=runs/early_stop
  python -m scripts.early_stop_study --workdir=runs/cifar --scale=small \\
      --dataset=cifar10 --data_dir=DIR

Reference: Zhong et al., arXiv 1708.05552, sec. 4.3 and figure 6.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import flags
from nas_jax import base
from nas_jax import cost
from nas_jax import finals
from nas_jax import plot
from nas_jax import problem
from nas_jax import rewards
from nas_jax import statistics
from nas_jax import workdir as workdirs
from nas_jax.data import images as image_data
from nas_jax.evaluators import scratch
from nas_jax.networks import zoo
from nas_jax.spaces import block
from nas_jax.spaces import block_code
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.training import recipes
from scripts import studies

SCALES = dict(
    smoke=dict(
        dataset='digits', num_blocks=24, max_index=10, features=8, num_cells=1,
        batch_size=64, long_epochs=60, long_batch_size=64, augment=False),
    small=dict(
        dataset='cifar10', num_blocks=100, max_index=23, features=16,
        num_cells=1, long_epochs=60, max_train=10000),
    paper=dict(dataset='cifar100'))
# What might tell the accuracy of the long training; how they are called.
PREDICTORS = {
    'early': 'early-stop accuracy', 'corrected': 'corrected reward',
    'flops_only': 'corrected by the FLOPs only',
    'density_only': 'corrected by the density only',
    'flops': 'FLOPs alone', 'density': 'density alone'}
_ROUND = 4  # blocks whose programs compile while others of them train


@dataclasses.dataclass(frozen=True)
class Settings(problem.DataSettings):
  """What the study depends on."""
  validation_fraction: float = 0.2  # of the training images
  num_blocks: int = 100  # different ones
  max_index: int = 23  # of the terminal layer of a block at the latest
  rules: str = 'ordered'  # what layers may read: ordered, unordered, distinct
  features: int = 32  # F of the first group
  num_cells: int = 4  # blocks of each group
  epochs: int = 12  # of the early-stopped training
  batch_size: int = 256  # of the early-stopped training
  long_epochs: int = 300  # of the long training
  long_batch_size: int = 128  # of the long training
  augment: bool = True  # crop and mirror images in the long training
  mu: float = 1.  # weight of the logarithm of the FLOPs
  rho: float = 8.  # weight of the logarithm of the density
  num_resamples: int = 2000  # of the blocks, for the intervals

  def __post_init__(self):
    super().__post_init__()
    if self.num_blocks < 3:
      raise ValueError(f'num_blocks is {self.num_blocks}, expected at least 3: '
                       'ranks of fewer say nothing')
    if self.num_resamples < 1:
      raise ValueError(
          f'num_resamples is {self.num_resamples}, expected at least 1')


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  """Writes study.json and study.html; the same call resumes.

  Returns:
    The content of study.json.

  Raises:
    ValueError: bad settings or data, or too few blocks that could be trained.
  """
  load = os.getloadavg()
  space = block.space(max_index=settings.max_index, rules=settings.rules)
  data = problem.load(settings)
  early, long = make_recipes(settings)
  for prefix, recipe in (('', early), ('long_', long)):
    finals.check_recipe(recipe, data, len(data.train.labels), prefix)
  workdirs.claim(workdir, 'early_stop_study', dataclasses.asdict(settings))
  workdirs.use_compilation_cache(workdir)
  genomes = sample(jax.random.key(settings.seed), space, settings.num_blocks)
  found = {
      'early': train(workdir / 'early', space, genomes, data, early, settings),
      # No image is in both measurements.
      'long': train(workdir / 'long', space, genomes,
                    data._replace(validation=data.test), long, settings)}
  codes = [space.genotype(genome) for genome in genomes]
  rows = [row(code, found['early'][i], found['long'][i], data, settings)
          for i, code in enumerate(codes)]
  kept = studies.trained(rows, 'blocks')
  columns = {k: np.array([r[k] for r in kept])
             for k in (*PREDICTORS, 'final')}
  study = studies.header('early_stop_study', settings, data, load) | {
      'num_failed': len(rows) - len(kept),
      'correlations': correlations(
          columns, settings.num_resamples, settings.seed), 'blocks': rows}
  study['verdict'] = verdict(study['correlations'])
  studies.write(workdir, study, page(study), table(study['correlations']))
  return study


def make_recipes(settings: Settings) -> tuple[recipes.Recipe, recipes.Recipe]:
  """Of the search, and of the results."""
  early = dataclasses.replace(
      recipes.load('blockqnn_search'), epochs=settings.epochs,
      batch_size=settings.batch_size)
  long = dataclasses.replace(
      recipes.load('blockqnn'), epochs=settings.long_epochs,
      batch_size=settings.long_batch_size)
  return early, long if settings.augment else dataclasses.replace(
      long, crop_padding=0, flip=False)


def sample(key: base.Key, space: base.Space, number: int) -> np.ndarray:
  """Different random blocks, int32[number, L], as the search draws at first.

  Raises:
    ValueError: the space seems to have fewer.
  """
  found = studies.different(key, space, number)
  if len(found) < number:
    raise ValueError(f'num_blocks is {number}, but the space has {len(found)}: '
                     'choose fewer, or a larger max_index')
  return found


def train(folder: pathlib.Path, space: base.Space, genomes: np.ndarray,
          data: image_data.ImageData, recipe: recipes.Recipe,
          settings: Settings) -> list[dict[str, float]]:
  """The metrics of every block; those that were trained are read."""
  folder.mkdir(exist_ok=True)
  build = lambda code: zoo.build(
      presets.Preset('blockqnn', code), num_classes=data.num_classes,
      image_shape=data.train.images.shape[1:], features=settings.features,
      num_cells=settings.num_cells)
  evaluator = scratch.scratch(
      build, space.genotype, data, recipe, seed=settings.seed,
      scoring=scratch.Scoring(retries=3), execution=settings.execution,
      cache=folder / 'children.jsonl')
  return studies.train(
      folder.name, evaluator, genomes, seed=settings.seed, at_a_time=_ROUND)


def row(code: block_code.Code, early: Mapping[str, float],
        long: Mapping[str, float], data: image_data.ImageData,
        settings: Settings) -> dict[str, Any]:
  """What is known of one block; accuracies in per cent."""
  found = {
      'genotype': json.dumps(genotypes.to_json(code)),  # One line each.
      'failed': bool(early['failed'] or long['failed']),
      'early': 100 * early['validation_accuracy'],
      'final': 100 * long['validation_accuracy'],
      'flops': cost.block_multiply_adds(
          code, settings.features, data.train.images.shape[1]),
      'density': block_code.density(code, input_is_node=True),
      'params': long['num_params'],
      'seconds': {'early': early['train_seconds'],
                  'long': long['train_seconds']}}
  terms = {'corrected': (settings.mu, settings.rho),
           'flops_only': (settings.mu, 0.), 'density_only': (0., settings.rho)}
  return found | {name: float(rewards.corrected_accuracy(
      found['early'], found['flops'], found['density'], mu=mu, rho=rho))
                  for name, (mu, rho) in terms.items()}


def correlations(columns: Mapping[str, np.ndarray], num_resamples: int,
                 seed: int) -> dict[str, dict[str, list[float]]]:
  """Rank correlations with the final accuracy, with bootstrap intervals.

  Args:
    columns: float[B] under 'final' and the names of `PREDICTORS`.
    num_resamples: how often B blocks are drawn from the B with replacement.
    seed: of the draws, which are the same for all.

  Returns:
    By predictor: 'spearman' and 'kendall' (tau b), and 'spearman_gain' and
    'kendall_gain' over the early-stop accuracy, each as value, low and high
    end of the 95 % interval of percentiles.
  """
  number = len(columns['final'])
  draws = studies.resamples(number, num_resamples, seed)
  measured = {
      kind: {name: np.array([function(columns[name][d], columns['final'][d])
                             for d in draws]) for name in PREDICTORS}
      for kind, function in (('spearman', statistics.spearman),
                             ('kendall', statistics.kendall))}
  found = {}
  for name in PREDICTORS:
    found[name] = {}
    for kind, values in measured.items():
      found[name][kind] = studies.interval(values[name])
      found[name][f'{kind}_gain'] = studies.interval(
          values[name] - values['early'])
  return found


def verdict(found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
  """Whether the claim of the paper is seen."""
  gain, low, high = found['corrected']['spearman_gain']
  if gain is None:
    return 'All blocks have the same accuracy, or the same reward.'
  what = ('The corrected reward ranks the blocks better than the early-stop '
          'accuracy, as the paper claims' if low > 0 else
          'The corrected reward ranks the blocks worse than the early-stop '
          'accuracy, against the claim of the paper' if high < 0 else
          "The paper's claim, that the corrected reward ranks blocks better "
          'than the early-stop accuracy, is neither seen nor refuted')
  return (f"{what}: Spearman's rank correlation differs by {gain:+.3f} (95 % "
          f'interval {low:+.3f} to {high:+.3f}).')


def table(found: Mapping[str, Mapping[str, Sequence[float]]]
          ) -> list[list[str]]:
  """Rows of texts, the header first."""
  kinds = {'spearman': 'Spearman', 'spearman_gain': 'over accuracy',
           'kendall': 'Kendall', 'kendall_gain': 'over accuracy'}
  rows = [['rank correlation with the long training', *kinds.values()]]
  for name, values in found.items():
    rows.append([PREDICTORS[name], *(
        '' if name == 'early' and kind.endswith('gain') else
        studies.interval_text(values[kind])
        for kind in kinds)])
  return rows


def page(study: Mapping[str, Any]) -> str:
  """The study as a page of HTML."""
  kept = [r for r in study['blocks'] if not r['failed']]
  options = study['flags']
  title = f'Early stopping on {study["dataset"]}'
  facts = (
      f'{len(kept)} random blocks ({study["num_failed"]} more failed), '
      f'{options["epochs"]} and {options["long_epochs"]} epochs on '
      f'{study["num_train"]:,} images. The early-stopped training is measured '
      f'on {study["num_validation"]:,} validation images, the long one on '
      f'{study["num_test"]:,} others. Intervals are of '
      f'{options["num_resamples"]:,} resamples of the blocks: they say nothing '
      'of other data sets, sizes of networks or lengths of training.')
  pictures = [
      plot.scatter(
          [r[name] for r in kept], [r['final'] for r in kept],
          PREDICTORS[name], 'accuracy of the long training, %')
      for name in ('early', 'corrected')]
  return studies.page(
      study, title, facts, table(study['correlations']), pictures)


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
