r"""AmoebaNet: regularized (aging) evolution of NASNet cells.

Real, Aggarwal, Huang, Le, AAAI 2019, arXiv 1802.01548. Published: 3.34 +- 0.06
% test error on CIFAR-10 for AmoebaNet-A (N=6, F=36, 3.2M parameters) after
20,000 children on 450 GPUs for 7 days.

  python -m experiments.amoeba --workdir=runs/amoeba
  python -m experiments.amoeba --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small
"""

import dataclasses
import pathlib

from experiments import flags
from nas_jax import cells_on_images
from nas_jax import workflow
from nas_jax.strategies import evolution

SMOKE = dict(
    dataset='digits', num_children=16, children_per_round=4,
    population_size=8, sample_size=3, num_cells=1, features=8,
    num_reductions=1, epochs=3, batch_size=64, learning_rate=0.1,
    final_num_cells=1, final_features=16, final_epochs=12,
    final_batch_size=64, final_learning_rate=0.1, final_drop_path_keep=1.,
    final_auxiliary_weight=0.)
SMALL = dict(
    dataset='digits', num_children=200, children_per_round=5,
    population_size=50, sample_size=12, num_cells=1, features=16,
    num_reductions=2, epochs=5, batch_size=128, learning_rate=0.05,
    final_num_cells=3, final_features=24, final_epochs=50,
    final_learning_rate=0.05, final_drop_path_keep=0.9,
    final_auxiliary_weight=0.)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10', num_finalists=20)
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


@dataclasses.dataclass(frozen=True)
class Settings(cells_on_images.Settings):
  """What the run depends on."""
  population_size: int = 100  # the last so many children may be parents, P
  sample_size: int = 25  # of which the best is the parent, S

  def __post_init__(self):
    super().__post_init__()
    if self.population_size % self.children_per_round:
      raise ValueError(
          f'population_size {self.population_size} is not a multiple of '
          f'children_per_round {self.children_per_round}')


def main(workdir: pathlib.Path, settings: Settings):
  return workflow.search_cells(
      workdir, settings,
      lambda space: evolution.regularized_evolution(
          space, population_size=settings.population_size,
          sample_size=settings.sample_size,
          batch_size=settings.children_per_round),
      experiment='amoeba')


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
