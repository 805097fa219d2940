r"""NAO-WS for language: NAO of recurrent cells that all share their weights.

Luo, Tian, Qin, Chen, Liu, NeurIPS 2018, arXiv 1808.07233. Published: 56.6 test
perplexity on Penn Treebank with 27M parameters, after 0.4 GPU days (8 hours
by the public code).

  python -m experiments.nao --shared_weights --domain=text --workdir=runs/text
  python -m experiments.nao --shared_weights --domain=text \
      --workdir=runs/ptb --dataset=ptb --data_dir=DIR --scale=small

Each window of the training text trains the weights of one cell drawn from a
pool of 1,000. Every 200 epochs all are scored on one window of the validation
text, drawn at random, and the pool becomes its best 650, up to 300 found along
the gradient of the prediction and 50 random ones. Beside it stands the control
at equal budget: the same with random ones in place of those found.

Note: that all weights decay, that the windows have one length and that the
best cell of the last pool is the result are assumed. The shared cell's output
is the mean of all its states, that of its inputs among them, the result's of
its nodes, as in the public code.
"""

import dataclasses
import functools
import math
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import flags
from nas_jax import base
from nas_jax import checks
from nas_jax import language_problem
from nas_jax import language_workflow
from nas_jax import nao_search
from nas_jax import nao_ws
from nas_jax import workflow
from nas_jax.evaluators import recurrent_shared as evaluator
from nas_jax.spaces import recurrent
from nas_jax.spaces import sequences
from nas_jax.supernets import recurrent_shared
from nas_jax.supernets import recurrent_text

SMOKE = dict(
    dataset='grammar', num_children=40, num_nodes=5, num_seeds=8, num_kept=16,
    num_new=16, num_random=8, update_every=20, predictor_epochs=60,
    recipe='fast_shared', hidden=24, decay='used', final_recipe='fast',
    final_learning_rate=.02, final_hidden=48)
SMALL = dict(
    dataset='grammar', num_children=200, num_seeds=30, num_kept=90,
    num_new=100, num_random=10, update_every=20, predictor_epochs=300,
    recipe='fast_shared', epochs=100, hidden=64, decay='used',
    num_finalists=3, final_recipe='fast', final_learning_rate=.02,
    final_hidden=96)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='ptb')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)
_FAILED = -1e3  # reward; no language model loses so many nats


@dataclasses.dataclass(frozen=True)
class Settings(nao_search.PoolSettings, language_problem.Settings):
  """What the run depends on."""
  domain: str = 'text'  # what makes it a search of recurrent cells
  shared_weights: bool = True  # what makes it NAO-WS
  num_children: int = 1000  # cells of the first pool
  recipe: str = 'nao_ws_search'  # of the shared weights
  hidden: int = 300  # units of the layer that shares weights
  final_recipe: str = 'nao_ptb'  # of the result
  final_hidden: int = 850  # units of the result's layer
  num_nodes: int = 11  # of a cell
  num_kept: int = 650  # best cells that stay in the pool
  num_new: int = 300  # cells that a renewal of the pool looks for
  update_every: int = 200  # epochs between renewals of the pool

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('domain', self.domain, ('text',))
    if not self.shared_weights:
      raise ValueError('without shared_weights it is another search: see '
                       'experiments/nao_text.py')
    nao_search.check_pool(self)


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  made = make(settings)
  learner = learner_of(settings, made)
  num_epochs = made.child_recipe.epochs
  if done := workflow.begin(workdir, settings, experiment='nao_ws'):
    return done
  return language_workflow.conclude(
      workdir, settings, made, experiment='nao_ws',
      **nao_search.search_pools(
          workdir, settings, 'nao_ws_rnn', functools.partial(
              nao_ws.search_pool, jax.random.key(settings.seed), made.space,
              learner, code=sequences.of_space(made.space),
              num_epochs=num_epochs),
          num_epochs=num_epochs, shown=(
              'train_perplexity', 'pool_mean', 'pool_best')))


def make(settings: Settings) -> language_problem.Problem:
  """The search; its recipe of children is that of the shared weights."""
  return language_problem.make(
      settings, space_of(settings), 'rnn_chain', floor=_FAILED,
      reward=lambda perplexity: -math.log(perplexity))


def space_of(settings: Settings) -> base.Space:
  """Where to search; with 11 nodes a cell is 22 tokens of 16."""
  return recurrent.chain_space(settings.num_nodes)


def learner_of(settings: Settings, made: language_problem.Problem
               ) -> nao_ws.Learner:
  """Shared weights; less loss is more reward."""
  recipe = made.child_recipe
  weights = recurrent_shared.make(
      settings.num_nodes, language_problem.sizes_of(settings, made.corpus),
      recipe, decay=settings.decay, mean_of_all=True)
  read = recurrent_text.read(made.corpus, recipe)

  def train(key, params, choose, epoch):
    return recurrent_text.train_epoch(
        key, weights, recipe, read, params, choose, epoch=epoch,
        seed=settings.seed)

  def score(params, genomes, epoch):
    key = jax.random.fold_in(jax.random.key(settings.seed), epoch)
    window = int(jax.random.randint(key, (), 0, len(read.inputs)))
    losses = recurrent_text.losses(
        weights, read, params, genomes, [window] * len(genomes))
    return np.where(np.isfinite(losses), -losses, _FAILED), losses

  return nao_ws.Learner(
      weights.init, train, score,
      lambda reward, loss: evaluator.metrics(loss))


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
