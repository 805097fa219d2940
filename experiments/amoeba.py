"""AmoebaNet: regularized (aging) evolution of NASNet cells.

Real, Aggarwal, Huang, Le, AAAI 2019, arXiv 1802.01548. Published: 3.34 +- 0.06
% test error on CIFAR-10 for AmoebaNet-A (N=6, F=36, 3.2M parameters) after
20,000 children on 450 GPUs for 7 days.

  python -m experiments.amoeba --workdir=runs/amoeba
  python -m experiments.amoeba --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small
"""

from experiments import flags
from nas_jax import workflow
from nas_jax.strategies import evolution

SMOKE = dict(
    dataset='digits', num_children=16, children_per_round=4,
    population_size=8, sample_size=3, num_cells=1, features=8,
    num_reductions=1, epochs=3, batch_size=64, learning_rate=0.1,
    final_num_cells=1, final_features=16, final_epochs=15,
    final_batch_size=64, final_learning_rate=0.1, final_drop_path_keep=1.,
    final_auxiliary_weight=0.)
SMALL = dict(
    dataset='digits', num_children=200, children_per_round=5,
    population_size=50, sample_size=12, num_cells=1, features=16,
    num_reductions=2, epochs=5, batch_size=128, learning_rate=0.05,
    final_num_cells=3, final_features=24, final_epochs=50,
    final_learning_rate=0.05, final_drop_path_keep=0.9,
    final_auxiliary_weight=0.)
# The defaults of workflow.Settings are the published ones.
PAPER = dict(dataset='cifar10', num_finalists=20)
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)

read_settings = flags.define_settings(workflow.Settings, SCALES)


def main():
  settings = read_settings()
  return workflow.run(
      flags.workdir_path(), settings,
      lambda space: evolution.regularized_evolution(
          space, population_size=settings.population_size,
          sample_size=settings.sample_size,
          batch_size=settings.children_per_round),
      experiment='amoeba')


if __name__ == '__main__':
  flags.run_main(main)
