r"""NAO-WS: NAO with weights that all architectures share.

Luo, Tian, Qin, Chen, Liu, NeurIPS 2018, arXiv 1808.07233. Published: 3.53 %
test error on CIFAR-10 (2.5M parameters, without cutout) after 0.3 GPU days.

  python -m experiments.nao --shared_weights --workdir=runs/nao_ws
  python -m experiments.nao --shared_weights --workdir=runs/cifar \
      --dataset=cifar10 --data_dir=DIR --scale=small

With --domain=text it searches recurrent cells, with flags of its own:
experiments/nao_ws_text.py.

The weights are trained for 150 epochs on architectures drawn from a pool of
1,000. Every 30 epochs all are scored on a batch of validation images, and the
pool becomes its best 450, up to 500 found along the gradient of the prediction
and 50 random ones. The best five at the end are retrained. Beside it stands
the control at equal budget: the same with random ones in place of those found.

Note: the published code takes the best five into a grid of settings; here they
are trained once each.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax

from experiments import flags
from nas_jax import base
from nas_jax import checks
from nas_jax import nao_search
from nas_jax import nao_ws
from nas_jax import problem
from nas_jax import search_on_images
from nas_jax import workflow
from nas_jax.spaces import nao as nao_space
from nas_jax.supernets import enas_micro
from nas_jax.supernets import shared
from nas_jax.training import classify

SMOKE = dict(
    dataset='digits', num_children=40, num_nodes=2, num_seeds=8, num_kept=16,
    num_new=16, num_random=8, update_every=12, predictor_epochs=60,
    recipe='pnas_search', epochs=36, batch_size=32, learning_rate=.1,
    decay='used', features=4, num_cells=1, num_finalists=2,
    final_recipe='pnas_search', final_epochs=12, final_batch_size=64,
    final_learning_rate=.1, final_features=8, final_num_cells=1)
SMALL = dict(
    dataset='digits', num_children=200, num_nodes=4, num_seeds=30,
    num_kept=90, num_new=100, num_random=10, update_every=15,
    predictor_epochs=300, recipe='pnas_search', epochs=70, batch_size=32,
    learning_rate=.1, features=8, num_cells=1,
    num_finalists=5, final_recipe='pnas_search', final_epochs=50,
    final_batch_size=128, final_learning_rate=.1, final_features=24,
    final_num_cells=2)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)
_FAMILY = 'nao_ws'  # of the result


@dataclasses.dataclass(frozen=True)
class Settings(nao_search.PoolSettings, search_on_images.Settings):
  """What the run depends on."""
  domain: str = 'images'  # or text, whose flags --helpshort shows with it
  shared_weights: bool = True  # what makes it NAO-WS
  num_children: int = 1000  # architectures of the first pool
  num_finalists: int = 5  # retrained to choose the result among them
  recipe: str = 'enas_micro_search'  # of the shared weights
  num_cells: int | None = 2  # of the shared network: a third of its cells, N
  features: int | None = 20  # of the first stage of the shared network, F
  final_recipe: str = 'enas'  # of the result
  score_batch_size: int = 500  # validation images that are scored together
  num_score_batches: int = 1  # of them

  def __post_init__(self):
    super().__post_init__()
    if not self.shared_weights:
      raise ValueError('without shared_weights it is another search: see '
                       'experiments/nao.py')
    checks.one_of('domain', self.domain, ('images', 'text'))
    if self.domain == 'text':
      raise ValueError('domain text is a search of its own: see '
                       'experiments/nao_ws_text.py')
    checks.at_least(self, 1, 'score_batch_size', 'num_score_batches')
    nao_search.check_pool(self)


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  made = make(settings)
  family = family_of(settings, made)
  recipe = made.child_recipe
  if done := workflow.begin(workdir, settings, experiment='nao_ws'):
    return done
  weights = shared.make(
      family, recipe, classify.task_of(made.data, recipe.standardise),
      decay=settings.decay, num_devices=settings.num_devices)
  return workflow.conclude(
      workdir, settings, made, experiment='nao_ws', trained=False,
      **nao_search.search_pools(
          workdir, settings, 'nao_ws', functools.partial(
              nao_ws.search, jax.random.key(settings.seed), family, weights,
              recipe, made.data, code=nao_space.short_code(family.space),
              score_batch_size=settings.score_batch_size,
              num_score_batches=settings.num_score_batches,
              seed=settings.seed, num_devices=settings.num_devices),
          num_epochs=recipe.epochs, shown=(
              'loss', 'train_accuracy', 'pool_mean', 'pool_best')))


def make(settings: Settings) -> problem.Problem:
  """The search; its recipe of children is that of the shared weights."""
  return search_on_images.make(settings, space_of(settings), _FAMILY)


def space_of(settings: Settings) -> base.Space:
  """Where to search."""
  return nao_space.space(nao_space.WS_OPERATIONS, num_nodes=settings.num_nodes)


def family_of(settings: Settings, made: problem.Problem) -> shared.Family:
  """What shares weights: the network of ENAS' micro search."""
  recipe = made.child_recipe
  return enas_micro.family(
      num_nodes=settings.num_nodes, num_cells=settings.num_cells,
      features=settings.features,
      image_shape=made.data.train.images.shape[1:],
      num_classes=made.data.num_classes,
      auxiliary=recipe.auxiliary_weight > 0,
      dropout_keep=recipe.dropout_keep or 1.)


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
