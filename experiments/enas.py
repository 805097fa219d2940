r"""ENAS: a controller learns from networks that all share their weights.

Pham, Guan, Zoph, Le, Dean, ICML 2018, arXiv 1802.03268. As recalled, the paper
has 4.23 % test error on CIFAR-10 with --space=macro (21.3M parameters; 3.87 %
with 38.0M) and 3.54 % with --space=micro (4.6M), after 0.32 and 0.45 days on
one GPU; random networks of both spaces have 5.86 and 6.77 %. Published is 2.89
% with cutout (micro).

  python -m experiments.enas --workdir=runs/enas
  python -m experiments.enas --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --space=macro --scale=small

With --domain=text it searches recurrent cells, with flags of its own:
experiments/enas_text.py.

Random search trains shared weights of its own for as many epochs, on uniformly
drawn architectures, and chooses among as many in the same way; what the
controller learns from, it does not spend.

Note: settings are those of the public code where it differs from the paper.
How many architectures the final choice is among is not published for sure.
The public result of the macro search has 24 layers, its script searches 12;
here the result has as many layers as were searched. Random networks of the
macro space skip with probability 1/2.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import enas_text
from experiments import flags
from nas_jax import base
from nas_jax import checks
from nas_jax import enas_search
from nas_jax import problem
from nas_jax import search_on_images
from nas_jax import workflow
from nas_jax.controllers import enas as controllers
from nas_jax.data import batches
from nas_jax.evaluators import shared as evaluator
from nas_jax.spaces import macro_code
from nas_jax.spaces import nao as nao_space
from nas_jax.strategies import random_search
from nas_jax.supernets import alternating
from nas_jax.supernets import enas_macro
from nas_jax.supernets import enas_micro
from nas_jax.supernets import shared
from nas_jax.training import classify

# The recipe of the macro search has no second classifier, for which the images
# of digits are too small. Its cosines have 10, 20, 40 and 80 epochs.
SMOKE = dict(
    dataset='digits', num_nodes=2, num_layers=4, recipe='enas_macro_search',
    epochs=30, batch_size=64, learning_rate=.2, features=24, num_cells=1,
    decay='used', controller_rounds=6, samples_per_round=5,
    controller_learning_rate=.02, final_recipe='pnas_search', final_epochs=12,
    final_batch_size=64, final_learning_rate=.1, final_features=12,
    final_num_cells=1)
SMALL = dict(
    dataset='digits', recipe='enas_macro_search', epochs=150, batch_size=128,
    learning_rate=.1, features=32, num_cells=1, controller_rounds=10,
    controller_learning_rate=.005, num_finalists=3,
    final_recipe='pnas_search', final_epochs=50, final_batch_size=128,
    final_learning_rate=.1, final_features=24, final_num_cells=2)
# What is not set is as published for the space.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)

PUBLISHED = dict(
    macro=dict(
        recipe='enas_macro_search', features=36, final_recipe='enas_macro',
        final_features=96, samples_per_round=20, controller_rounds=50,
        controller_learning_rate=1e-3, tanh_constant=1.5),
    micro=dict(
        recipe='enas_micro_search', features=20, num_cells=2,
        final_recipe='enas', final_features=36, final_num_cells=5,
        samples_per_round=10, controller_rounds=30,
        controller_learning_rate=3.5e-3, tanh_constant=1.1))


@dataclasses.dataclass(frozen=True)
class Settings(search_on_images.Settings):
  """What the run depends on."""
  num_children: int = 10  # architectures sampled and scored in the end
  children_per_round: int = 10  # of them sampled and scored together
  recipe: str | None = None  # of the shared weights; unset, as published
  final_recipe: str | None = None  # of the result; unset, as published
  domain: str = 'images'  # or text, whose flags --helpshort shows with it
  space: str = 'micro'  # macro (whole networks) or micro (cells)
  num_layers: int = 12  # of networks of the macro space
  num_nodes: int = 5  # of a cell of the micro space
  decay: str = 'all'  # what decays in a step: all weights, or those used
  controller_rounds: int | None = None  # steps of the controller per epoch
  samples_per_round: int | None = None  # architectures of one such step
  controller_size: int = 64  # hidden units of the controller's one layer
  controller_learning_rate: float | None = None  # of the controller
  tanh_constant: float | None = None  # bound of logits; unset, as published
  temperature: float | None = None  # what logits are divided by before
  entropy_weight: float = 0.0001  # of entropy in the reward
  baseline_decay: float = 0.99  # of the moving average of rewards
  skip_weight: float = 0.8  # of the divergence of skips from their target
  skip_target: float = 0.4  # probability of a skip

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('domain', self.domain, ('images', 'text'))
    if self.domain == 'text':
      raise ValueError('domain text is a search of its own: see '
                       'experiments/enas_text.py')
    checks.one_of('space', self.space, PUBLISHED)
    checks.one_of('decay', self.decay, shared.DECAYS)
    checks.at_least(self, 1, 'num_nodes', 'controller_rounds',
                    'samples_per_round')
    macro_code.pool_layers(self.num_layers)

  def filled(self) -> 'Settings':
    """With what is published for the space where nothing is set.

    The macro space has no cells: `num_cells` then has no meaning.
    """
    values = {name: value for name, value in PUBLISHED[self.space].items()
              if getattr(self, name) is None}
    if self.space == 'macro':
      values |= {'num_cells': None, 'final_num_cells': None}
    return dataclasses.replace(self, **values)


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  given, settings = settings, settings.filled()
  made = make(settings)
  family = family_of(settings, made)
  policy = policy_of(settings)
  if done := workflow.begin(workdir, given, experiment='enas'):
    return done
  weights = shared.make(
      family, made.child_recipe,
      classify.task_of(made.data, made.child_recipe.standardise),
      decay=settings.decay, num_devices=settings.num_devices)
  # One batch, the same for all.
  size = min(made.child_recipe.batch_size, len(made.data.validation.labels))
  batch = evaluator.batches_of(
      made.data.validation, size, 1, seed=settings.seed)
  runs, logs, scorers = {}, {}, {}
  for name, place, label, policy, rounds in (
      ('result', workdir, 'enas', policy, settings.controller_rounds),
      ('random_search', workdir / 'random_search', 'random search',
       enas_search.uniform(family.space), 0)):
    state, logs[name] = train(
        place, settings, made, weights, policy, rounds, label)
    scorers[name] = evaluator.shared(
        family.space.genotype, weights, state.weights, batch,
        num_devices=settings.num_devices)
    runs[name] = place, label, workflow.search_children(
        place, enas_search.chosen_by(
            policy, state.policy, settings.children_per_round),
        scorers[name], family.space, settings, f'{label}: choosing')
  return workflow.conclude(
      workdir, given, made, runs, experiment='enas', trained=False,
      cost={f'{name}_seconds'.replace('result', 'search'):
            enas_search.seconds(log) for name, log in logs.items()},
      more=_summary(settings, family.space, logs['result'],
                    runs['result'][2], scorers['result']))


def make(settings: Settings) -> problem.Problem:
  """The search; its recipe of children is that of the shared weights."""
  return search_on_images.make(
      settings, space_of(settings), f'enas_{settings.space}')


def space_of(settings: Settings) -> base.Space:
  """Where to search."""
  if settings.space == 'macro':
    return enas_macro.space(settings.num_layers)
  return nao_space.space(nao_space.WS_OPERATIONS, num_nodes=settings.num_nodes)


def family_of(settings: Settings, made: problem.Problem) -> shared.Family:
  """What shares weights."""
  common = dict(
      features=settings.features, image_shape=made.data.train.images.shape[1:],
      num_classes=made.data.num_classes,
      dropout_keep=made.child_recipe.dropout_keep or 1.)
  if settings.space == 'macro':
    return enas_macro.family(num_layers=settings.num_layers, **common)
  return enas_micro.family(
      num_nodes=settings.num_nodes, num_cells=settings.num_cells,
      auxiliary=made.child_recipe.auxiliary_weight > 0, **common)


def policy_of(settings: Settings) -> alternating.Policy:
  """The controller, and how it learns."""
  common = dict(
      hidden_size=settings.controller_size,
      tanh_constant=settings.tanh_constant, temperature=settings.temperature)
  penalty, skips = None, None
  if settings.space == 'macro':
    controller, penalty = controllers.macro(
        settings.num_layers, skip_target=settings.skip_target, **common)
    skips = np.array([len(c) == 2 for c in space_of(settings).choices])
  else:
    controller = controllers.micro(settings.num_nodes, **common)
  observe = (lambda state, genomes: {}) if skips is None else (
      lambda state, genomes: {
          'skip_rate': float(np.mean(genomes[:, skips]))})
  return enas_search.learned(
      controller, observe, batch_size=settings.samples_per_round,
      learning_rate=settings.controller_learning_rate,
      baseline_decay=settings.baseline_decay,
      entropy_weight=settings.entropy_weight, penalty=penalty,
      penalty_weight=settings.skip_weight)


def train(folder: pathlib.Path, settings: Settings, made: problem.Problem,
          weights: shared.Weights, policy: alternating.Policy, num_rounds: int,
          label: str) -> tuple[alternating.State, list[alternating.Record]]:
  """Shared weights and their policy; the same call resumes."""
  recipe = made.child_recipe
  return enas_search.watched(
      lambda **where: alternating.alternate(
          jax.random.key(settings.seed), weights, policy, made.space.genotype,
          recipe, batches.to_device(made.data.train), made.data.validation,
          num_rounds=num_rounds, seed=settings.seed, **where),
      folder, label, num_epochs=recipe.epochs,
      shown=('loss', 'train_accuracy', 'reward'))


def _summary(settings: Settings, space: base.Space, log, children,
             scorer: base.Evaluator) -> dict[str, Any]:
  """What the controller has learned."""
  # Others than those of random search.
  key = jax.random.fold_in(jax.random.key(settings.seed), 1)
  drawn = base.Proposals(random_search.sample(key, space, len(children)))
  evaluation, _ = scorer.evaluate(key, scorer.init(key), drawn)
  return {
      'num_scored': len(log) * settings.controller_rounds
                    * settings.samples_per_round,
      'controller_accuracy': float(np.mean([c['reward'] for c in children])),
      'uniform_accuracy': float(np.mean(evaluation.rewards)),
      **enas_search.learning(
          log, 'The mean accuracy, each on one batch of validation images, of '
          'the architectures that the controller sampled in an epoch, with the '
          'shared weights of that epoch.')}


if __name__ == '__main__':
  if flags.value_of('domain') == 'text':
    flags.run(enas_text.main, enas_text.Settings, enas_text.SCALES)
  else:
    flags.run(main, Settings, SCALES)
