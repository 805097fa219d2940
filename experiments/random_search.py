"""Random search of NASNet cells: the baseline as an experiment of its own.

Every cell of the space is equally likely (Real et al., arXiv 1802.01548).

  python -m experiments.random_search --workdir=runs/random
"""

from experiments import amoeba
from experiments import flags
from nas_jax import workflow
from nas_jax.strategies import random_search


def main():
  settings = amoeba.read_settings()
  return workflow.run(
      flags.workdir_path(), settings,
      lambda space: random_search.random_search(
          space, batch_size=settings.children_per_round),
      experiment='random_search', baseline=False)


if __name__ == '__main__':
  flags.run_main(main)
