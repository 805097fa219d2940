r"""NASNet: proximal policy optimization of cells that add or concatenate.

Zoph, Vasudevan, Shlens, Le, CVPR 2018, arXiv 1707.07012. Published: 3.41 %
test error on CIFAR-10 for NASNet-A (N=6, F=32, 3.3M parameters), 2.65 % with
cutout, after 20,000 children on 500 GPUs for 4 days; the best child of this
search is more than 1 % better than that of random search.

  python -m experiments.nasnet --workdir=runs/nasnet
  python -m experiments.nasnet --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small

Note: the paper gives neither clip nor epochs of PPO, nor features, batch size,
rate and decay of children; here the latter are those of its final training.
Failed children have reward 0. The crops of children are taken from padded
images, not from images enlarged to 40 pixels. A concatenation is narrowed by a
1x1 convolution in the output of a cell too, as the published code does with
states of another width.
"""

import dataclasses
import pathlib

from experiments import flags
from nas_jax import cells_on_images
from nas_jax import workflow
from nas_jax.controllers import sequence
from nas_jax.strategies import ppo

SMOKE = dict(
    dataset='digits', num_children=12, children_per_round=4, num_finalists=2,
    controller_learning_rate=0.01, num_nodes=3, num_cells=1, features=8,
    num_reductions=1, epochs=3, batch_size=64, learning_rate=0.1,
    final_num_cells=1, final_features=8, final_epochs=12, final_batch_size=64,
    final_learning_rate=0.1, final_drop_path_keep=1.,
    final_auxiliary_weight=0.)
SMALL = dict(
    dataset='digits', num_children=200, children_per_round=10, num_finalists=5,
    controller_learning_rate=0.005, num_cells=1, features=16,
    num_reductions=2, epochs=5, batch_size=128, learning_rate=0.05,
    final_num_cells=3, final_features=24, final_epochs=50,
    final_batch_size=128, final_learning_rate=0.05, final_drop_path_keep=0.9,
    final_auxiliary_weight=0.)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


@dataclasses.dataclass(frozen=True)
class Settings(cells_on_images.Settings):
  """What the run depends on."""
  children_per_round: int = 20  # architectures of a minibatch
  num_finalists: int = 250  # retrained to choose the result among them
  operations: str = 'nasnet'  # amoebanet (8 operations) or nasnet (13)
  combinations: str = 'add,concat'  # of two operations: add, or add,concat
  decay_in_loss: bool = True  # the decay is clipped with the gradient
  num_cells: int = 2  # normal cells per stage of a child, N
  features: int = 32  # of the first stage of a child, F
  epochs: int = 20  # of training a child
  batch_size: int = 32  # of training a child
  learning_rate: float = 0.025  # at the start of a cosine to zero
  final_features: int = 32  # of the first stage of the result, F
  final_batch_size: int = 32  # of training the result
  final_learning_rate: float = 0.025  # at the start of a cosine to zero
  final_drop_path_keep: float = 0.6  # of the last cell, at the end
  final_auxiliary_weight: float = 0.4  # of the second classifier; 0 for none
  controller_size: int = 100  # hidden units of the controller's one layer
  controller_learning_rate: float = 0.00035  # of the controller
  controller_epochs: int = 4  # steps of PPO with each minibatch
  clip: float = 0.2  # how far from 1 a ratio of PPO earns anything
  entropy_weight: float = 0.00001  # of the controller's entropy
  baseline_decay: float = 0.95  # of the moving average of rewards


def main(workdir: pathlib.Path, settings: Settings):
  return workflow.search_cells(
      workdir, settings,
      lambda space: ppo.ppo(
          space, controller=sequence.controller(
              space.choices, hidden_size=settings.controller_size),
          batch_size=settings.children_per_round,
          learning_rate=settings.controller_learning_rate,
          num_epochs=settings.controller_epochs, clip=settings.clip,
          entropy_weight=settings.entropy_weight,
          baseline_decay=settings.baseline_decay),
      experiment='nasnet')


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
