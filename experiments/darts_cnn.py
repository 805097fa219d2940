r"""DARTS and its remedies: cells found by gradient in a search network.

Liu, Simonyan, Yang, ICLR 2019, arXiv 1806.09055. Published: 3.00 +- 0.14
(first order) and 2.76 +- 0.09 % test error on CIFAR-10 (second order, C=36,
L=20, 3.3M parameters) after 1.5 and 4 GPU days for four searches.

  python -m experiments.darts_cnn --workdir=runs/darts
  python -m experiments.darts_cnn --workdir=runs/pc --method=pc_darts \
      --dataset=cifar10 --data_dir=DIR --scale=small

Methods: see METHODS in nas_jax/supernets/methods.py.

Note: the training images are split at random, each class in proportion, where
the public code takes the halves of the list.
"""

import pathlib

from experiments import flags
from nas_jax import gradient_on_images
from nas_jax import gradient_workflow

SMOKE = dict(
    dataset='digits', num_searches=2, search_epochs=4, search_batch_size=32,
    search_features=4, search_num_cells=3, num_children=4,
    children_per_round=2, recipe='pnas_search', epochs=3, batch_size=64,
    learning_rate=.1, features=4, num_cells=3, final_recipe='pnas_search',
    final_epochs=8, final_batch_size=64, final_learning_rate=.1,
    final_features=8, final_num_cells=3, threshold=.5, eigenvalue='lanczos',
    alpha_learning_rate=3e-3)
SMALL = dict(
    dataset='digits', num_searches=4, search_epochs=25, search_batch_size=64,
    search_features=8, search_num_cells=5, num_children=12,
    children_per_round=2, recipe='pnas_search', epochs=15, batch_size=64,
    learning_rate=.1, features=12, num_cells=5, final_recipe='pnas_search',
    final_epochs=60, final_batch_size=64, final_learning_rate=.1,
    final_features=16, final_num_cells=8, eigenvalue='lanczos',
    alpha_learning_rate=3e-3)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)

Settings = gradient_on_images.Settings


def main(workdir: pathlib.Path, settings: Settings):
  return gradient_workflow.search_by_gradient(
      workdir, settings, experiment=settings.method)


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
