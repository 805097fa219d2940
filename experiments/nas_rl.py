r"""NAS-RL: REINFORCE of chains of convolutions with skip connections.

Zoph, Le, ICLR 2017, arXiv 1611.01578. Published: 5.50 % test error on CIFAR-10
with 15 layers and 4.2M parameters, after 12,800 children on 800 GPUs; 6.01 %
where strides are predicted too.

  python -m experiments.nas_rl --workdir=runs/nas_rl
  python -m experiments.nas_rl --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small

With --domain=text it searches recurrent cells, with flags of its own:
experiments/nas_rl_text.py.

Note: the paper does not give the decay of the baseline, nor the values of the
grid over which the result is trained; its whitening of images is here their
standardisation.
"""

import dataclasses
import itertools
import pathlib

import numpy as np

from experiments import flags
from experiments import nas_rl_text
from nas_jax import checks
from nas_jax import problem
from nas_jax import rewards
from nas_jax import search_on_images
from nas_jax import workflow
from nas_jax.controllers import anchors
from nas_jax.evaluators import scratch
from nas_jax.spaces import chain
from nas_jax.strategies import reinforce

_LAST_EPOCHS = 5  # of which the best counts
# Learning rate, weight decay, epsilon of the norms, when the rate falls.
_GRID = ((.1, .05), (1e-4, 5e-4), (1e-5, 1e-3), ('0.5,0.75', '0.75,0.9'))
SMOKE = dict(
    dataset='digits', num_children=16, children_per_round=4, num_replicas=2,
    num_shards=2, first_depth=3, last_depth=4, depth_step=1,
    children_per_depth=8, sizes='1,3,5', filters='6,8,12', epochs=3,
    batch_size=64, controller_learning_rate=.01, final_epochs=12,
    final_batch_size=64, grid=False)
SMALL = dict(
    dataset='digits', num_children=200, children_per_round=8, num_replicas=4,
    num_shards=2, first_depth=4, last_depth=8, children_per_depth=64,
    filters='12,18,24,32', epochs=6, controller_learning_rate=.005,
    final_epochs=60, grid=False, num_finalists=3)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


@dataclasses.dataclass(frozen=True)
class Settings(search_on_images.Settings):
  """What the run depends on."""
  domain: str = 'images'  # or text, whose flags --helpshort shows with it
  num_children: int = 12800  # architectures to evaluate
  children_per_round: int = 800  # of all replicas together
  num_replicas: int = 100  # of the controller, K; 1 for none that is stale
  num_shards: int = 20  # of the server of parameters, S
  recipe: str = 'nas_rl'  # of children
  final_recipe: str = 'nas_rl_final'  # of the result
  first_depth: int = 6  # layers of the first children
  last_depth: int = 20  # layers at most
  depth_step: int = 2  # layers that are added
  children_per_depth: int = 1600  # before layers are added
  sizes: str = '1,3,5,7'  # heights and widths of a filter
  filters: str = '24,36,48,64'  # how many a layer has
  strides: str = '1'  # vertical and horizontal; 1,2,3 where they are chosen
  skips: bool = True  # layers choose what they read
  controller_learning_rate: float = 0.0006  # of the controller
  baseline_decay: float = 0.95  # of the moving average of rewards
  grid: bool = True  # the result is trained in 16 ways; validation decides

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('domain', self.domain, ('images', 'text'))
    if self.domain == 'text':
      raise ValueError('domain text is a search of its own: see '
                       'experiments/nas_rl_text.py')
    checks.at_least(self, 1, 'num_replicas', 'num_shards', 'first_depth',
                    'depth_step', 'children_per_depth')
    if self.children_per_round % self.num_replicas:
      raise ValueError(
          f'children_per_round {self.children_per_round} is not a multiple of '
          f'num_replicas {self.num_replicas}')
    if self.last_depth < self.first_depth:
      raise ValueError(f'last_depth is {self.last_depth}, expected at least '
                       f'first_depth {self.first_depth}')


def main(workdir: pathlib.Path, settings: Settings):
  layout = layout_of(settings)
  return workflow.search_images(
      workdir, settings, make(settings),
      lambda space: reinforce.reinforce(
          space, controller=anchors.controller(layout),
          batch_size=settings.children_per_round // settings.num_replicas,
          num_replicas=settings.num_replicas, num_shards=settings.num_shards,
          learning_rate=settings.controller_learning_rate,
          baseline_decay=settings.baseline_decay,
          condition=lambda count: (chain.depth_index(
              layout, count, per_depth=settings.children_per_depth),)),
      experiment='nas_rl')


def layout_of(settings: Settings) -> chain.Layout:
  """What a layer may be, and how many there may be."""
  sizes = problem.integers('sizes', settings.sizes)
  return chain.layout(
      depths=tuple(range(settings.first_depth, settings.last_depth + 1,
                         settings.depth_step)),
      heights=sizes, widths=sizes,
      filters=problem.integers('filters', settings.filters),
      strides=problem.integers('strides', settings.strides),
      skips=settings.skips)


def make(settings: Settings) -> problem.Problem:
  """The search."""
  changes = [{}]
  if settings.grid:
    names = ('learning_rate', 'weight_decay', 'epsilon', 'milestones')
    changes = [dict(zip(names, values)) for values in itertools.product(*_GRID)]
  return search_on_images.make(
      settings, chain.space(layout_of(settings)), 'nas_rl',
      scoring=scratch.Scoring(
          validate_last=_LAST_EPOCHS,
          reward=_accuracy_cubed),
      final_changes=changes)


def _accuracy_cubed(outcome: scratch.Outcome) -> float:
  accuracies = [record['validation_accuracy']
                for record in outcome.records[-_LAST_EPOCHS:]]
  return rewards.accuracy_cubed(np.array(accuracies), last=_LAST_EPOCHS)


if __name__ == '__main__':
  if flags.value_of('domain') == 'text':
    flags.run(nas_rl_text.main, nas_rl_text.Settings, nas_rl_text.SCALES)
  else:
    flags.run(main, Settings, SCALES)
