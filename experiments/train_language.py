r"""Trains one recurrent cell as a language model and tests it once.

The architecture is a published one by name (`python -m
scripts.count_architecture --list`), a genotype.json, or the workdir of a
search: a cell that was found on one text is trained on another by --dataset,
and on characters by --unit=character. How it is trained is a recipe: that of
its paper, any other by name, or `fast`; every field of it is a flag.

  python -m experiments.train_language --workdir=runs/darts \
      --architecture=DARTS_V2_RNN
  python -m experiments.train_language --workdir=runs/darts_ptb --scale=paper \
      --architecture=DARTS_V2_RNN --dataset=ptb --data_dir=DIR
  python -m experiments.train_language --workdir=runs/transfer --scale=paper \
      --architecture=runs/darts_rnn --dataset=wikitext2 --data_dir=DIR

Published for DARTS_V2_RNN (Liu et al., arXiv 1806.09055): a test perplexity of
55.7 on Penn Treebank, 69.6 on WikiText-2.
"""

import pathlib

from experiments import flags
from nas_jax import language_on_text
from nas_jax import language_workflow

SMOKE = dict(recipe='fast', hidden=64)
SMALL = dict(recipe='fast', hidden=128)
# What is not set is the paper's.
PAPER = dict(dataset='ptb')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


def main(workdir: pathlib.Path, settings: language_on_text.Settings):
  return language_workflow.train_language(
      workdir, settings, experiment='train_language')


if __name__ == '__main__':
  flags.run(main, language_on_text.Settings, SCALES)
