"""Random search of NASNet cells: the baseline as an experiment of its own.

Every cell of the space is equally likely (Real et al., arXiv 1802.01548).

  python -m experiments.random_search --workdir=runs/random
"""

import pathlib

from experiments import amoeba
from experiments import flags
from nas_jax import cells_on_images
from nas_jax import workflow
from nas_jax.strategies import random_search


def main(workdir: pathlib.Path, settings: cells_on_images.Settings):
  return workflow.search_cells(
      workdir, settings,
      lambda space: random_search.random_search(
          space, batch_size=settings.children_per_round),
      experiment='random_search', baseline=False)


if __name__ == '__main__':
  flags.run(main, cells_on_images.Settings, amoeba.SCALES)
