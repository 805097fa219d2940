r"""One-shot search: weights trained once, architectures scored with them.

Bender, Kindermans, Zoph, Vasudevan, Le, ICML 2018: path dropout, random
sampling, the best ten retrained. Published on CIFAR-10, as other papers quote
it: 95.5 +- 0.1 % with 2.7M parameters (F = 32), 95.9 +- 0.2 % with 10.4M
(F = 64), after 4 GPU days.
Guo et al., arXiv 1904.00420 (SPOS): --sampling=spos --search=evolution.
Chu et al., arXiv 1907.01845 (FairNAS): --sampling=fair, in a space with as
many choices at every position: --space=nasbench_macro or nasbench201. A step
adds up as many gradients as there are choices, so it wants a lower rate.
Li, Talwalkar, arXiv 1902.07638 (random search with weight sharing):
--space=darts --sampling=spos --recipe=darts_search --epochs=150 --features=24
--num_children=1000. They score on ten batches, and the ten best on all
validation images; here all are scored on these.

  python -m experiments.one_shot --workdir=runs/one_shot
  python -m experiments.one_shot --workdir=runs/fair --space=nasbench201 \
      --sampling=fair --search=evolution --batch_size=32 --learning_rate=0.02
  python -m experiments.one_shot --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small

Shared weights say too little of an architecture to compare with random search
as other searches do. Beside the result are random architectures that are
trained alone, from scratch, for as many epochs in all as the shared weights;
as many of their best are retrained.

Notes: 20,000 architectures are recalled, not read. How the result is trained is
not known: here by the recipe cutout. SPOS fits the statistics of norms anew to
each architecture, on training images; here, as in Bender et al., norms use
those of the validation batch. Shared weights train on one device.
"""

from collections.abc import Callable
import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import flags
from nas_jax import base
from nas_jax import checks
from nas_jax import finals
from nas_jax import problem as problems
from nas_jax import search_on_images
from nas_jax import statistics
from nas_jax import workflow
from nas_jax.evaluators import measured
from nas_jax.evaluators import scratch
from nas_jax.evaluators import shared as evaluators
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import one_shot as spaces
from nas_jax.strategies import random_search
from nas_jax.strategies import spos
from nas_jax.supernets import one_shot
from nas_jax.supernets import rsws
from nas_jax.supernets import sampling
from nas_jax.supernets import shared
from nas_jax.supernets import single_path
from nas_jax.training import classify
from nas_jax.training import recipes

SMOKE = dict(
    dataset='digits', epochs=20, batch_size=128, num_ghosts=4, num_cells=2,
    features=8, num_children=40, children_per_round=20, random_epochs=5,
    num_finalists=2, final_recipe='one_shot', final_epochs=10,
    final_batch_size=64, final_features=8, final_num_cells=2)
SMALL = dict(
    dataset='digits', epochs=60, batch_size=256, num_ghosts=8, num_cells=4,
    features=16, num_children=500, random_epochs=20, num_finalists=5,
    final_recipe='one_shot', final_epochs=40, final_batch_size=64,
    final_features=16, final_num_cells=4)
# The defaults of the settings are those of the paper.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)
FAMILIES = dict(one_shot=one_shot.family, darts=rsws.family,
                **single_path.FAMILIES)
SAMPLINGS = ('path_dropout', 'spos', 'fair')
SEARCHES = ('random', 'evolution')


@dataclasses.dataclass(frozen=True)
class Settings(search_on_images.Settings):
  """What the run depends on; a child is a part of the shared network."""
  num_children: int = 20000  # architectures to score
  children_per_round: int = 50  # scored together; evolution: its population
  num_finalists: int = 10  # retrained to choose the result among them
  recipe: str = 'one_shot'  # of the shared weights, as all up to num_cells
  features: int | None = 32  # of the shared network
  num_cells: int | None = 8  # of it; nasbench_macro: its own
  final_recipe: str = 'cutout'  # of the result
  space: str = 'one_shot'  # one_shot, darts, nasbench_macro or nasbench201
  sampling: str = 'path_dropout'  # of what a step trains; or spos, or fair
  search: str = 'random'  # or evolution, that of SPOS
  drop_rate: float = 0.05  # of all paths into an operation, at the end, r
  num_ghosts: int = 32  # parts of a batch with paths of their own
  statistics: str = 'batch'  # of norms when scoring; running ones fit nothing
  score_batch_size: int = 500  # validation images per batch
  max_params: int | None = None  # of an architecture at the size of a child
  random_epochs: int = 25  # of training a random architecture

  def __post_init__(self):
    super().__post_init__()
    for name, choices in (
        ('space', FAMILIES), ('sampling', SAMPLINGS), ('search', SEARCHES),
        ('statistics', shared.STATISTICS)):
      checks.one_of(name, getattr(self, name), choices)
    checks.at_least(self, 1, 'num_ghosts', 'score_batch_size', 'max_params',
                    'random_epochs')
    if self.sampling == 'path_dropout' and self.space != 'one_shot':
      raise ValueError(
          'sampling is path_dropout, but in the space '
          f'{self.space} it has no meaning: choose spos or fair')


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  folder = pathlib.Path(workdir)
  # What can be wrong is found out before anything is written.
  family, problem = make(settings)
  choose, passes = sampler(family.space, settings)
  weights = shared.make(
      family, problem.child_recipe, classify.task_of(
          problem.data, problem.child_recipe.standardise),
      statistics=settings.statistics, same_batch=settings.sampling == 'fair',
      num_devices=settings.num_devices)
  check_batch(settings, problem.child_recipe)
  strategy = strategy_of(family, settings)
  strategy.init(jax.random.key(settings.seed))  # Fails if none is small enough.
  if done := workflow.begin(folder, settings, experiment='one_shot'):
    return done
  state, seconds = train_weights(
      folder / 'shared_weights', weights, choose, problem, settings)
  history = workflow.search_children(
      folder, strategy, evaluator_of(family, weights, state, problem,
                                     settings),
      family.space, settings, 'one-shot search')
  # Others than those that were scored first.
  alone = dataclasses.replace(
      settings, children_per_round=1, seed=settings.seed + 1,
      num_children=num_random(problem.child_recipe, settings, passes))
  random = workflow.search_children(
      folder / 'random_search', random_search.random_search(family.space),
      trained_alone(folder / 'random_search', problem, settings),
      family.space, alone, 'random architectures')
  return workflow.conclude(
      folder, settings, problem, dict(
          result=(folder, 'one-shot search', history),
          random_search=(folder / 'random_search', 'random architectures',
                         random)),
      experiment='one_shot', trained=False,
      cost={'search_seconds': seconds, 'shared_weights_seconds': seconds},
      more=findings(history))


def make(settings: Settings) -> tuple[shared.Family, problems.Problem]:
  """Space and shared networks, and what becomes of the best."""
  if settings.space == 'nasbench_macro':
    settings = dataclasses.replace(
        settings, num_cells=None, final_num_cells=None)
  data = problems.load(settings)
  sizes = dict(image_shape=tuple(data.train.images.shape[1:]),
               num_classes=data.num_classes)
  defaults = zoo.FAMILIES[settings.space].defaults['cifar']
  for name in ('features', 'num_cells'):
    if getattr(defaults, name) is not None:
      sizes[name] = getattr(settings, name) or getattr(defaults, name)
  family = FAMILIES[settings.space](**sizes)
  return family, search_on_images.make(settings, family.space, settings.space)


def sampler(space: base.Space, settings: Settings
            ) -> tuple[sampling.Choose, int]:
  """What a step trains, and how often it takes every image of its batch."""
  if settings.sampling == 'spos':
    return sampling.uniform(space), 1
  choose = sampling.named(
      settings.sampling, space, num_ghosts=settings.num_ghosts,
      rate=settings.drop_rate)
  return choose, len(space.choices[0]) if settings.sampling == 'fair' else 1


def check_batch(settings: Settings, recipe: recipes.Recipe) -> None:
  """Raises ValueError where a batch does not split into ghost batches."""
  if settings.sampling == 'path_dropout' and (
      recipe.batch_size % settings.num_ghosts):
    raise ValueError(f'batch_size {recipe.batch_size} does not split into '
                     f'num_ghosts {settings.num_ghosts} parts')


def strategy_of(family: shared.Family, settings: Settings) -> base.Strategy:
  """Random search, or SPOS' evolution, among what is small enough."""
  suits = None
  if settings.max_params:
    suits = lambda genome: graph.num_params(family.build(
        family.space.genotype(genome))) <= settings.max_params
  population = settings.children_per_round
  if settings.search == 'evolution':
    return spos.spos(
        family.space, population_size=population, batch_size=population,
        num_parents=max(1, population // 5), num_mutations=population // 2,
        num_crossovers=population // 2, feasible=suits,
        capacity=settings.num_children)
  # Populations of random ones only, none of them twice.
  return spos.spos(
      family.space, population_size=population, batch_size=population,
      num_mutations=0, num_crossovers=0, feasible=suits,
      capacity=settings.num_children) if suits else (
          random_search.random_search(family.space, batch_size=population))


def train_weights(
    folder: pathlib.Path, weights: shared.Weights, choose: sampling.Choose,
    problem: problems.Problem, settings: Settings,
) -> tuple[classify.TrainState, float]:
  """The trained shared weights, and the seconds; resumes.

  Raises:
    ValueError: the training diverged.
  """
  state, log = finals.fit_shown(
      jax.random.fold_in(jax.random.key(settings.seed), 2),
      shared.trainer(weights, choose), problem.child_recipe,
      problem.data.train, seed=settings.seed, folder=folder,
      label='shared weights')
  if log[-1]['loss'] is None:
    raise ValueError(f'the shared weights diverged in epoch {log[-1]["epoch"]}:'
                     ' choose a lower --learning_rate')
  return state, sum(line['seconds'] for line in log)


def evaluator_of(
    family: shared.Family, weights: shared.Weights, state: Any,
    problem: problems.Problem, settings: Settings) -> base.Evaluator:
  """Accuracy with the shared weights; parameters and divergence beside it."""
  batches = evaluators.batches_of(
      problem.data.validation, settings.score_batch_size, seed=settings.seed)
  measures: dict[str, Callable[[base.Genotype], float]] = {
      'num_params': lambda genotype: graph.num_params(family.build(genotype))}
  if settings.space == 'one_shot':
    measures['divergence'] = one_shot.divergence_from(
        weights, state, spaces.all_paths(), batches[0][0])
  return measured.measured(
      evaluators.shared(
          family.space.genotype, weights, state, batches,
          num_devices=settings.num_devices),
      family.space.genotype, measures)


def num_random(recipe: recipes.Recipe, settings: Settings, passes: int) -> int:
  """Random architectures that train for as many epochs as shared weights."""
  return max(settings.num_finalists,
             round(recipe.epochs * passes / settings.random_epochs))


def trained_alone(folder: pathlib.Path, problem: problems.Problem,
                  settings: Settings) -> base.Evaluator:
  """Trains an architecture from scratch, at the size of a child."""
  folder.mkdir(parents=True, exist_ok=True)
  recipe = dataclasses.replace(
      problem.child_recipe, epochs=settings.random_epochs)
  return scratch.scratch(
      problem.child, problem.space.genotype, problem.data, recipe,
      seed=settings.seed, cache=folder / 'children.jsonl',
      execution=settings.execution)


def findings(history: list[dict[str, Any]]) -> dict[str, Any]:
  """What the paper looks at: the spread, and what accuracy goes with.

  Good architectures predict as the network of all paths does: the correlation
  of accuracy and divergence is negative.
  """
  metrics = [r['metrics'] for r in history if not r['metrics']['failed']]
  accuracy = [m['validation_accuracy'] for m in metrics]
  found = {f'{name}_one_shot_accuracy': float(fn(accuracy)) for name, fn in (
      ('lowest', np.min), ('median', np.median), ('highest', np.max))}
  for name in ('num_params', 'divergence'):
    if metrics and name in metrics[0] and len(metrics) > 2:
      value = statistics.spearman(accuracy, [m[name] for m in metrics])
      if np.isfinite(value):
        found[f'rank_correlation_of_accuracy_and_{name}'] = value
  return {'shared_weights': found}


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
