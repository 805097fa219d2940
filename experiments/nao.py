r"""NAO: cells as points that move up the gradient of their predicted accuracy.

Luo, Tian, Qin, Chen, Liu, NeurIPS 2018, arXiv 1808.07233. Published: 2.11 %
test error on CIFAR-10 for NAONet (N=6, F=128, with cutout; other versions of
the paper and its codes give 1.93 to 2.10 %) after 1,000 children and 200 GPU
days. The predictor orders 78 to 80 % of pairs as the truth does.

  python -m experiments.nao --workdir=runs/nao
  python -m experiments.nao --workdir=runs/cifar --dataset=cifar10 \
      --data_dir=DIR --scale=small

With --domain=text it searches recurrent cells (experiments/nao_text.py), with
--shared_weights it is NAO-WS (experiments/nao_ws.py), with both NAO-WS of
recurrent cells (experiments/nao_ws_text.py); all have flags of their own.

Note: children, 600 random ones and up to 300 from the best 100 in each of
three iterations, are those of the public code; the paper's own numbers (200
seeds, 1,000 children) are recalled only. The rate of children falls along a
cosine of 100 epochs, of which they see 25.
"""

import dataclasses
import pathlib

from experiments import flags
from experiments import nao_text
from experiments import nao_ws
from experiments import nao_ws_text
from nas_jax import base
from nas_jax import checks
from nas_jax import nao_search
from nas_jax import problem
from nas_jax import search_on_images
from nas_jax import workflow
from nas_jax.evaluators import scratch
from nas_jax.spaces import nao as nao_space
from nas_jax.training import recipes

SMOKE = dict(
    dataset='digits', num_children=16, children_per_round=4, num_nodes=3,
    num_initial=8, num_seeds=4, num_new=4, predictor_epochs=60,
    recipe='pnas_search', epochs=3, batch_size=64, learning_rate=.1,
    features=8, num_cells=1, final_recipe='pnas_search', final_epochs=12,
    final_batch_size=64, final_learning_rate=.1, final_features=8,
    final_num_cells=1)
SMALL = dict(
    dataset='digits', num_children=200, children_per_round=5, num_initial=80,
    num_seeds=20, num_new=40, predictor_epochs=300, recipe='pnas_search',
    epochs=5, batch_size=128, learning_rate=.05, features=16, num_cells=1,
    num_finalists=3, final_recipe='pnas_search', final_epochs=50,
    final_batch_size=128, final_learning_rate=.1, final_features=24,
    final_num_cells=2)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='cifar10')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)
# Operations, token code and networks of each version of the model.
_VERSIONS = {
    'nao': (nao_space.OPERATIONS, nao_space.long_code, 'nao'),
    'pytorch_v1': (nao_space.OPERATIONS, nao_space.short_code, 'nao_pytorch'),
    'pytorch_v2': (nao_space.WS_OPERATIONS, nao_space.short_code,
                   'nao_pytorch_v2')}


@dataclasses.dataclass(frozen=True)
class Settings(nao_search.Settings, search_on_images.Settings):
  """What the run depends on."""
  domain: str = 'images'  # or text, whose flags --helpshort shows with it
  num_children: int = 1500  # architectures to evaluate
  children_per_round: int = 10  # asked for and evaluated together
  recipe: str = 'nao_search'  # of children
  num_cells: int | None = 3  # of a child: a third of its cells, N
  features: int | None = 32  # of the first stage of a child, F
  final_recipe: str = 'nao'  # of the result
  final_features: int | None = 128  # of the result; unset, 36
  shared_weights: bool = False  # NAO-WS, whose flags --helpshort shows with it
  version: str = 'nao'  # of model and networks: nao, pytorch_v1, pytorch_v2

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('domain', self.domain, ('images', 'text'))
    if self.domain == 'text':
      raise ValueError('domain text is a search of its own: see '
                       'experiments/nao_text.py')
    checks.one_of('version', self.version, _VERSIONS)
    if self.shared_weights:
      raise ValueError('shared_weights is a search of its own: see '
                       'experiments/nao_ws.py')
    nao_search.check(self)


def main(workdir: pathlib.Path, settings: Settings):
  return workflow.search_images(
      workdir, settings, make(settings),
      lambda space: strategy(space, settings), experiment='nao')


def space_of(settings: Settings) -> base.Space:
  """Where to search."""
  operations, _, _ = _VERSIONS[settings.version]
  return nao_space.space(operations, num_nodes=settings.num_nodes)


def make(settings: Settings) -> problem.Problem:
  """The search."""
  *_, family = _VERSIONS[settings.version]
  epochs = settings.epochs or recipes.load(settings.recipe).epochs
  # The best validation accuracy of all epochs counts.
  return search_on_images.make(
      settings, space_of(settings), family,
      scoring=scratch.Scoring(validate_last=epochs))


def strategy(space: base.Space, settings: Settings) -> base.Strategy:
  """NAO as the settings have it."""
  _, code, _ = _VERSIONS[settings.version]
  return nao_search.strategy(
      space, settings, settings.version, code=code(space), failed_reward=0.)


if __name__ == '__main__':
  if flags.is_set('shared_weights') and flags.value_of('domain') == 'text':
    flags.run(nao_ws_text.main, nao_ws_text.Settings, nao_ws_text.SCALES)
  elif flags.is_set('shared_weights'):
    flags.run(nao_ws.main, nao_ws.Settings, nao_ws.SCALES)
  elif flags.value_of('domain') == 'text':
    flags.run(nao_text.main, nao_text.Settings, nao_text.SCALES)
  else:
    flags.run(main, Settings, SCALES)
