r"""AutoDL Design: REINFORCE of operations and adjacency of ten-node cells.

PaddlePaddle/AutoDL, `AutoDL Design`; no article describes it. Its log of the
search has mean accuracies of ten children of 0.633 at first and 0.823 after
842 updates; no network that it found was published.

  python -m experiments.autodl --workdir=runs/autodl
  python -m experiments.autodl --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small

Note: as published, the pixels of an image are divided by the root of their
number, where the standard deviation is meant; the recipe autodl_standardised,
which smaller scales have, does what is meant. A child that fails is left out
of its update; in the published code the update waits for another child. How
the found network was trained was not published; here it is as children are,
for all 200 epochs of their schedule.
"""

import dataclasses
import pathlib

from experiments import flags
from nas_jax import checks
from nas_jax import problem
from nas_jax import search_on_images
from nas_jax import workflow
from nas_jax.controllers import tokens as controllers
from nas_jax.evaluators import scratch
from nas_jax.spaces import tokens
from nas_jax.strategies import reinforce

# The first is what the code is meant to do, the second what it does.
REWARDS = {
    'validation_accuracy': lambda outcome: outcome.accuracy,
    'last_batch_accuracy':
        lambda outcome: outcome.records[-1]['last_batch_accuracy'],
    'negative_loss': lambda outcome: -outcome.loss,
}
_FLOOR = -1e3
SMOKE = dict(
    dataset='digits', recipe='autodl_standardised',
    final_recipe='autodl_standardised', num_children=16, children_per_round=4,
    num_nodes=4, epochs=3, batch_size=64, features=16, num_cells=1,
    max_train=None, folds=0, controller_learning_rate=.01, advantage='linear',
    final_epochs=12,
    final_batch_size=64, final_features=16, final_num_cells=1)
SMALL = dict(
    dataset='digits', recipe='autodl_standardised',
    final_recipe='autodl_standardised', num_children=200, num_nodes=10,
    epochs=5, features=32, num_cells=1, max_train=None, folds=0,
    controller_learning_rate=.01, advantage='linear', final_epochs=60,
    final_features=32, final_num_cells=2, num_finalists=3)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


@dataclasses.dataclass(frozen=True)
class Settings(search_on_images.Settings):
  """What the run depends on."""
  num_children: int = 32000  # architectures to evaluate
  children_per_round: int = 10  # asked for and evaluated together
  max_train: int | None = 1000  # use at most so many training images
  folds: int = 10  # a child is validated on one of so many parts; 0, on a split
  recipe: str = 'autodl'  # of children
  final_recipe: str = 'autodl'  # of the result
  final_epochs: int | None = 200  # of training the result
  num_nodes: int = 10  # per cell
  reward: str = 'validation_accuracy'  # or last_batch_accuracy, negative_loss
  advantage: str = 'cubed'  # cubed or linear
  feed_back: bool = True  # choices are inputs of the controller; else zeros are
  controller_learning_rate: float = 0.001  # of the controller
  baseline_decay: float = 0.9  # of the moving average of rewards

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('reward', self.reward, REWARDS)


def main(workdir: pathlib.Path, settings: Settings):
  return workflow.search_images(
      workdir, settings, make(settings),
      lambda space: reinforce.reinforce(
          space, controller=controllers.controller(
              num_nodes=settings.num_nodes, feed_back=settings.feed_back),
          batch_size=settings.children_per_round,
          learning_rate=settings.controller_learning_rate,
          baseline_decay=settings.baseline_decay,
          advantage=settings.advantage, failed_reward=_FLOOR),
      experiment='autodl')


def make(settings: Settings) -> problem.Problem:
  """The search."""
  return search_on_images.make(
      settings, tokens.space(num_nodes=settings.num_nodes), 'autodl',
      scoring=scratch.Scoring(
          reward=REWARDS[settings.reward], floor=_FLOOR, folds=settings.folds))


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
