r"""PNAS: cells grow block by block, and a predictor says which to train.

Liu et al., ECCV 2018, arXiv 1712.00559. Published: 3.41 +- 0.09 % test error
on CIFAR-10 for PNASNet-5 (N=3, F=48, 3.2M parameters) after 1,160 children of
20 epochs; up to five times fewer than NASNet's search in the same space.

  python -m experiments.pnas --workdir=runs/pnas
  python -m experiments.pnas --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small

Note: several settings of the paper are known from other sources than its
text; epochs and batch size of the predictors are not published. Children are
trained as NASNet's are in all that the paper does not say; that they have no
second classifier and drop no paths is assumed. The result is the best child of
all levels; the paper takes the best of the last. Random search draws from
cells of up to B blocks, nearly all of which have B.
"""

import dataclasses
import pathlib

from experiments import flags
from nas_jax import base
from nas_jax import checks
from nas_jax import problem
from nas_jax import search_on_images
from nas_jax import workflow
from nas_jax.predictors import surrogate
from nas_jax.spaces import progressive
from nas_jax.spaces import progressive_cell
from nas_jax.strategies import pnas

SMOKE = dict(
    dataset='digits', num_children=16, children_per_round=4, num_blocks=3,
    first_size=8, beam_size=4, epochs=3, batch_size=64, learning_rate=.1,
    features=8, num_cells=1, final_epochs=12, final_batch_size=64,
    final_learning_rate=.1, final_features=8, final_num_cells=1,
    final_recipe='pnas_search')
SMALL = dict(
    dataset='digits', num_children=200, children_per_round=8, num_blocks=3,
    beam_size=32, epochs=5, batch_size=128, learning_rate=.05, features=16,
    num_cells=1, num_finalists=3, final_epochs=50, final_batch_size=128,
    final_learning_rate=.1, final_features=24, final_num_cells=2,
    final_recipe='pnas_search')
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


@dataclasses.dataclass(frozen=True)
class Settings(search_on_images.Settings):
  """What the run depends on."""
  num_children: int = 1160  # architectures to evaluate
  children_per_round: int = 8  # asked for and evaluated together
  recipe: str = 'pnas_search'  # of children
  num_cells: int | None = 2  # of a child: a third of its cells, N
  features: int | None = 24  # of the first stage of a child, F
  final_recipe: str = 'pnas'  # of the result
  operations: str = ','.join(progressive_cell.OPERATIONS)  # names
  num_blocks: int = 5  # of a cell at the end, B
  concat: str = 'nodes'  # a cell's output: of all blocks, or of loose ones
  first_size: int | None = None  # cells of one block to train; unset, all
  beam_size: int = 256  # cells of every later level to train, K
  predictor: str = 'mlp'  # mlp or rnn
  num_predictors: int = 5  # in the ensemble, each of 4/5 of the data
  predictor_epochs: int = 50  # of training a predictor
  predictor_batch_size: int = 32  # of training a predictor
  predictor_first_rate: float = 0.01  # learning rate after the first level
  predictor_rate: float = 0.002  # learning rate after later levels

  def __post_init__(self):
    super().__post_init__()
    checks.at_least(self, 1, 'num_blocks', 'first_size', 'beam_size',
                    'num_predictors', 'predictor_epochs',
                    'predictor_batch_size')
    checks.one_of('predictor', self.predictor, surrogate.KINDS)


def main(workdir: pathlib.Path, settings: Settings):
  return workflow.search_images(
      workdir, settings, make(settings),
      lambda space: strategy(space, settings), experiment='pnas')


def space_of(settings: Settings) -> base.Space:
  """Where to search."""
  return progressive_cell.space(
      settings.operations.split(','), num_blocks=settings.num_blocks,
      concat=settings.concat)


def make(settings: Settings) -> problem.Problem:
  """The search."""
  return search_on_images.make(settings, space_of(settings), 'pnasnet')


def strategy(space: base.Space, settings: Settings) -> base.Strategy:
  """PNAS as the settings have it.

  Raises:
    ValueError: fewer children than it takes to reach cells of B blocks.
  """
  growth = progressive.growth_of(space)
  first = min(len(growth.first()), settings.first_size or settings.num_children)
  before = first + (settings.num_blocks - 2) * settings.beam_size
  if settings.num_blocks > 1 and settings.num_children <= before:
    raise ValueError(
        f'num_children {settings.num_children} is too few: cells of '
        f'{settings.num_blocks} blocks come after {first} of one block and '
        f'{before - first} of the levels between. Choose more than {before}, '
        'or a smaller first_size, beam_size or num_blocks')
  return pnas.pnas(
      space, growth=growth, predictor=settings.predictor,
      num_predictors=settings.num_predictors, beam_size=settings.beam_size,
      batch_size=settings.children_per_round, first_size=settings.first_size,
      capacity=settings.num_children, epochs=settings.predictor_epochs,
      predictor_batch_size=settings.predictor_batch_size,
      first_learning_rate=settings.predictor_first_rate,
      learning_rate=settings.predictor_rate)


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
