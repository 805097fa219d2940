r"""DARTS for language: recurrent cells found by gradient in a search network.

Liu, Simonyan, Yang, ICLR 2019, arXiv 1806.09055. Published: 57.6 (first order)
and 55.7 test perplexity on Penn Treebank (second order, 23M parameters) after
0.5 and 1 GPU days for four searches; 69.6 on WikiText-2 with the same cell.

  python -m experiments.darts_rnn --workdir=runs/darts_rnn
  python -m experiments.darts_rnn --workdir=runs/ptb --dataset=ptb \
      --data_dir=DIR --scale=small

The alphas learn from the validation text, by which one of the found cells is
chosen, too. The result on another text: experiments/train_language.py with this
workdir as --architecture.
"""

import pathlib
from typing import Any

from experiments import flags
from nas_jax import gradient_on_text
from nas_jax import gradient_text_workflow

_FAST = dict(
    dataset='grammar', execution='shared', recipe='fast', final_recipe='fast',
    search_recipe='fast_search')
SMOKE = dict(
    _FAST, order='first', num_nodes=4, num_searches=2, search_hidden=24,
    search_epochs=4, num_children=2, hidden=24, epochs=3, final_hidden=48)
SMALL = dict(
    _FAST, num_searches=4, search_hidden=48, search_epochs=12, num_children=8,
    hidden=32, epochs=6, num_finalists=2, final_hidden=96)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='ptb')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)

Settings = gradient_on_text.Settings


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  return gradient_text_workflow.search_by_gradient(
      workdir, settings, experiment='darts_rnn')


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
