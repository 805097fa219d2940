r"""NAS-RL for language: REINFORCE of recurrent cells, as trees.

Zoph, Le, ICLR 2017, arXiv 1611.01578. Published: the cell NASCell, with 62.4
test perplexity on Penn Treebank (54M parameters, 64.0 with 25M), after a
search on 400 CPUs.

  python -m experiments.nas_rl --domain=text --workdir=runs/nas_rl_text
  python -m experiments.nas_rl --domain=text --workdir=runs/ptb \
      --dataset=ptb --data_dir=DIR --scale=small

Note: the paper prints neither the units of children, only that they have as
many parameters as the usual models of medium size (650 units: 20.0M), nor the
number of children, the decay of the baseline, or the values of the grid over
which the result is trained.
"""

import dataclasses
import itertools
import pathlib
from typing import Any

from experiments import flags
from nas_jax import base
from nas_jax import checks
from nas_jax import language_problem
from nas_jax import language_workflow
from nas_jax import rewards
from nas_jax.controllers import sequence
from nas_jax.spaces import recurrent_tree
from nas_jax.strategies import reinforce

# Learning rate, initial weights, what is dropped, when the rate begins to fall.
_GRID = dict(
    learning_rate=(35., 20.), init_range=(.05, .08), drop_output=(.5, .65),
    decay_from=(6, 10))
SMOKE = dict(
    dataset='grammar', execution='shared', base=4, num_children=16,
    children_per_round=4, num_replicas=4, num_shards=2, accumulate=2,
    controller_learning_rate=.01, recipe='fast', hidden=24, num_layers=1,
    epochs=4, final_recipe='fast', final_hidden=64, final_num_layers=1,
    grid=False)
SMALL = dict(
    dataset='grammar', execution='shared', num_children=200,
    children_per_round=10, num_replicas=10, num_shards=4, accumulate=5,
    controller_learning_rate=.005, recipe='fast', hidden=32, num_layers=1,
    epochs=5, num_finalists=3, final_recipe='fast', final_hidden=96,
    final_num_layers=1, grid=False)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='ptb')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


@dataclasses.dataclass(frozen=True)
class Settings(language_problem.Settings):
  """What the run depends on."""
  domain: str = 'text'  # what makes it a search of recurrent cells
  num_children: int = 24000  # cells to evaluate
  children_per_round: int = 400  # of all replicas together
  num_replicas: int = 400  # of the controller, K; 1 for none that is stale
  num_shards: int = 20  # of the server of parameters, S
  accumulate: int = 10  # replicas' gradients that the server applies together
  recipe: str = 'nas_rl_medium'  # of children
  hidden: int = 650  # units of a child's layer
  num_layers: int = 2  # of a child
  final_recipe: str = 'nas_rl_medium'  # of the result
  final_hidden: int = 740  # units of the result's layer
  final_num_layers: int = 2  # of the result
  base: int = 8  # leaves of the tree
  more_choices: bool = False  # max to combine and sin to activate, too
  reward_scale: float = 80.  # over the square of the perplexity, c
  controller_learning_rate: float = 0.0005  # of the controller
  baseline_decay: float = 0.95  # of the moving average of rewards
  grid: bool = True  # the result is trained in 16 ways; validation decides

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('domain', self.domain, ('text',))
    checks.at_least(self, 1, 'num_replicas', 'num_shards', 'accumulate')
    if not self.reward_scale > 0:
      raise ValueError(f'reward_scale is {self.reward_scale}, expected a '
                       'positive number')
    if self.children_per_round % self.num_replicas:
      raise ValueError(
          f'children_per_round {self.children_per_round} is not a multiple of '
          f'num_replicas {self.num_replicas}')


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  return language_workflow.search_language(
      workdir, settings, make(settings),
      lambda space: strategy(space, settings), experiment='nas_rl')


def space_of(settings: Settings) -> base.Space:
  """Where to search."""
  if settings.more_choices:
    return recurrent_tree.tree_space(
        settings.base, combinations=recurrent_tree.ALL_COMBINATIONS,
        activations=recurrent_tree.ALL_ACTIVATIONS)
  return recurrent_tree.tree_space(settings.base)


def make(settings: Settings) -> language_problem.Problem:
  """The search."""
  changes = [{}]
  if settings.grid:
    changes = [dict(zip(_GRID, values))
               for values in itertools.product(*_GRID.values())]
  return language_problem.make(
      settings, space_of(settings), 'rnn_tree', floor=0.,
      final_changes=changes,
      reward=lambda perplexity: float(rewards.inverse_square_perplexity(
          perplexity, c=settings.reward_scale)))


def strategy(space: base.Space, settings: Settings) -> base.Strategy:
  """REINFORCE as the settings have it: two layers of 35 units."""
  return reinforce.reinforce(
      space, controller=sequence.controller(
          space.choices, hidden_size=35, num_layers=2, init_scale=.08),
      batch_size=settings.children_per_round // settings.num_replicas,
      num_replicas=settings.num_replicas, num_shards=settings.num_shards,
      accumulate=settings.accumulate,
      learning_rate=settings.controller_learning_rate,
      baseline_decay=settings.baseline_decay)


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
