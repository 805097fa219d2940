"""What a gradient search of cells on images depends on.

The search networks are those of supernets/; found cells, and random ones to
compare with, are networks of one family as in `search_on_images`. The comment
on a field is the help of its flag (experiments/flags.py).
"""

import dataclasses
from typing import Any, NamedTuple

from nas_jax import checks
from nas_jax import finals
from nas_jax import networks_on_images
from nas_jax import parallel
from nas_jax import problem
from nas_jax import search_on_images
from nas_jax import supernet_plan
from nas_jax.data import images as image_data
from nas_jax.spaces import darts as darts_space
from nas_jax.spaces import graph as graph_spaces
from nas_jax.supernets import bench201
from nas_jax.supernets import darts
from nas_jax.supernets import methods
from nas_jax.supernets import penalties
from nas_jax.training import recipes

SPACES = ('darts', 's1', 's2', 's3', 's4', 'nasbench201')


@dataclasses.dataclass(frozen=True)
class Settings(search_on_images.Settings):
  """What a search depends on; search_* is of the search network.

  recipe, epochs and so on are of the short training of each found cell, by
  which one is chosen; final_* of the training of that one.
  """
  validation_fraction: float = 0.5  # of training images: alphas learn from it
  num_children: int = 24  # random cells to compare with
  recipe: str = 'darts'  # of the short training of a cell
  epochs: int | None = 100  # of the short training of a cell
  final_recipe: str = 'darts'  # of the result
  method: str = 'darts'  # pc_darts, ...: METHODS of supernets/methods.py
  space: str = 'darts'  # darts, s1, s2, s3, s4 or nasbench201
  order: str | None = None  # of the gradient: first, second, exact; unset, own
  num_searches: int = 4  # with different seeds; their cells are compared
  search_recipe: str | None = None  # of the weights; unset, the method's
  search_epochs: int | None = None  # of a search; unset, the recipe's
  search_batch_size: int | None = None  # of a search; unset, the recipe's
  search_learning_rate: float | None = None  # of the weights; as batch size
  search_weight_decay: float | None = None  # of the weights; as batch size
  search_features: int = 16  # of the first cells of the search network
  search_num_cells: int = 8  # of the search network, normal and reduction
  alpha_learning_rate: float | None = None  # of the alphas; unset, the method's
  eigenvalue: str | None = None  # of the Hessian: off, lanczos, full
  threshold: float = 0.85  # FairDARTS: least weight of an operation
  max_skips: int = 2  # P-DARTS: in the normal cell
  remat: bool = False  # compute edges twice to save memory

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('method', self.method, methods.METHODS)
    checks.one_of('space', self.space, SPACES)
    checks.one_of('order', self.order, (None, 'first', 'second', 'exact'))
    checks.one_of('eigenvalue', self.eigenvalue,
                  (None, *supernet_plan.EIGENVALUES))
    checks.at_least(
        self, 1, 'num_searches', 'search_epochs', 'search_batch_size',
        'search_features', 'search_num_cells')
    checks.at_least(self, 0, 'max_skips', 'search_weight_decay',
                    'alpha_learning_rate', 'threshold')
    method = methods.METHODS[self.method]
    if self.order is not None and method.alphas.order in ('joint', 'none'):
      raise ValueError(f'order is {self.order!r}, but the method '
                       f'{self.method} has none to choose')
    if method.stages and self.space != 'darts':
      raise ValueError(f'method {self.method} needs the 8 candidates of the '
                       f'space darts, but space is {self.space!r}')


class Problem(NamedTuple):
  """A gradient search and what becomes of its cells."""
  images: problem.Problem  # short trainings, random cells, final trainings
  plans: list[supernet_plan.Plan]  # one for each search


def make(settings: Settings) -> Problem:
  """The searches.

  Raises:
    ValueError: no such data set, or what does not fit.
  """
  spec = spec_of(settings)
  if settings.space == 'nasbench201':
    family, space = 'nasbench201', graph_spaces.nasbench201()
  else:
    family = 'darts'
    space = darts_space.space({k: getattr(spec, k) for k in darts.KINDS})
  images = search_on_images.make(settings, space, family)
  parallel.local_devices(settings.num_devices)
  plans = [plan_of(settings, images.data, i)
           for i in range(settings.num_searches)]
  finals.check_recipe(
      plans[0].recipe, images.data,
      min(len(images.data.train.labels), len(images.data.validation.labels)),
      'search_')
  supernet_plan.graph_of(plans[0])
  return Problem(images, plans)


def spec_of(settings: Settings) -> darts.Spec | bench201.Spec:
  """What the search network offers."""
  method = methods.METHODS[settings.method]
  if settings.space == 'nasbench201':
    spec, kinds = bench201.Spec(), bench201.KINDS
  else:
    spec, kinds = darts.SPECS[settings.space], darts.KINDS
  return dataclasses.replace(spec, **method.spec, **{
      kind: tuple(tuple(n for n in names if n not in method.without)
                  for names in getattr(spec, kind)) for kind in kinds})


def plan_of(settings: Settings, data: image_data.ImageData, number: int
            ) -> supernet_plan.Plan:
  """One search."""
  method = methods.METHODS[settings.method]
  changes: dict[str, Any] = dict(method.grid[number % len(method.grid)])
  drop_path = changes.pop('drop_path', 0.)
  recipe = recipe_of(settings, data, changes)
  published = recipes.load(settings.search_recipe or method.recipe).epochs
  alphas = dataclasses.replace(
      method.alphas, warmup_epochs=round(
          method.alphas.warmup_epochs * recipe.epochs / published))
  if settings.order:
    alphas = dataclasses.replace(alphas, order=settings.order)
  if settings.alpha_learning_rate is not None:
    alphas = dataclasses.replace(
        alphas, learning_rate=settings.alpha_learning_rate)
  spec = spec_of(settings)
  eigenvalue = settings.eigenvalue or (
      'full' if method.stop in ('eigenvalue', 'adapt') else 'off')
  if method.samples:  # The Hessian is of weights that are mixed.
    eigenvalue = 'off'
  return supernet_plan.Plan(
      method, methods.Context(
          recipe.epochs, alphas.warmup_epochs, settings.threshold,
          drop_path=drop_path, max_skips=settings.max_skips,
          costs=_costs(settings, spec, data)),
      alphas, spec, recipe, data, settings.search_features,
      settings.search_num_cells, settings.seed + number, eigenvalue,
      settings.execution, settings.num_devices, settings.remat)


def recipe_of(settings: Settings, data: image_data.ImageData,
              changes: dict[str, Any]) -> recipes.Recipe:
  """How the weights of the search network are trained."""
  recipe = recipes.load(
      settings.search_recipe or methods.METHODS[settings.method].recipe)
  fields = dict(
      changes, eval_batch_size=min(
          recipe.eval_batch_size, len(data.validation.labels)),
      **networks_on_images.augmentation(recipe, settings.dataset, data))
  for name in ('epochs', 'batch_size', 'learning_rate', 'weight_decay'):
    value = getattr(settings, f'search_{name}')
    if value is not None:
      fields[name] = value
  return dataclasses.replace(recipe, **fields)


def _costs(settings, spec, data):
  """What operations cost, for the methods that ask."""
  if (methods.METHODS[settings.method].relaxation is not methods.concrete
      or settings.space == 'nasbench201'):
    return None
  return penalties.costs_of(
      {k: getattr(spec, k) for k in darts.KINDS},
      features=settings.search_features, num_cells=settings.search_num_cells,
      image_size=data.train.images.shape[1])
