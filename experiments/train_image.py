r"""Trains one architecture on images and tests it once.

The architecture is a published one by name (`python -m
scripts.count_architecture --list`), a genotype.json, or the workdir of a
search. How it is trained is a recipe: that of its paper, any other by name, or
`fast`; every field of it is a flag.

  python -m experiments.train_image --workdir=runs/final \
      --architecture=runs/amoeba
  python -m experiments.train_image --workdir=runs/darts --scale=paper \
      --architecture=DARTS_V2 --data_dir=DIR --num_seeds=4

Published for DARTS_V2 (Liu et al., arXiv 1806.09055): 2.76 +- 0.09 % test error
on CIFAR-10.
"""

import pathlib

from experiments import flags
from nas_jax import networks_on_images
from nas_jax import training_workflow

SMOKE = dict(
    dataset='digits', recipe='fast', epochs=6, batch_size=64,
    auxiliary_weight=0., drop_path_keep=1., ema_decay=0.)
SMALL = dict(dataset='cifar10', recipe='fast', epochs=30)
# What is not set is the paper's.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


def main(workdir: pathlib.Path, settings: networks_on_images.Settings):
  return training_workflow.train_network(
      workdir, settings, experiment='train_image')


if __name__ == '__main__':
  flags.run(main, networks_on_images.Settings, SCALES)
