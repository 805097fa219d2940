"""What a search of cells on images depends on, and what follows from it.

The comment on a field is the help of its flag (experiments/flags.py).
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from nas_jax import base
from nas_jax import checks
from nas_jax import finals
from nas_jax import parallel
from nas_jax import problem
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.spaces import cell
from nas_jax.spaces import presets
from nas_jax.training import classify
from nas_jax.training import recipes

OPERATIONS = {'nasnet': cell.NASNET_OPERATIONS,
              'amoebanet': cell.AMOEBANET_OPERATIONS}
# What a node may do with the results of its operations.
COMBINATIONS = {'add': ('add',), 'add,concat': ('add', 'concat')}
# Operations narrow their input to a quarter of the features.
_LEAST_FEATURES = 4


@dataclasses.dataclass(frozen=True)
class Settings(problem.Settings):
  """What a search depends on; final_* is of the training of its result.

  The defaults are those of Real et al., arXiv 1802.01548.

  Note: the paper gives no batch size, rate or decay for children; here they
  are those of its final training.
  """
  num_reductions: int = 2  # reduction cells; each halves the image
  weight_decay: float = 5e-4  # L2 penalty
  decay_in_loss: bool = False  # the decay is clipped with the gradient
  crop_padding: int | None = None  # pixels; unset, an eighth of the image
  flip: bool | None = None  # mirror images; unset, all but digits
  final_num_cells: int = 6  # normal cells per stage of the result, N
  final_features: int = 36  # of the first stage of the result, F
  final_epochs: int = 600  # of training the result
  final_batch_size: int = 128  # of training the result
  final_learning_rate: float = 0.024  # at the start of a cosine to zero
  final_drop_path_keep: float = 0.7  # of the last cell, at the end
  final_auxiliary_weight: float = 0.5  # of the second classifier; 0 for none
  final_cutout_length: int = 0  # side of the erased square; 0 for none
  operations: str = 'amoebanet'  # amoebanet (8 operations) or nasnet (13)
  num_nodes: int = 5  # per cell, each has two operations
  combinations: str = 'add'  # of two operations: add, or one of add,concat
  num_cells: int = 3  # normal cells per stage of a child, N
  features: int = 24  # of the first stage of a child, F
  epochs: int = 25  # of training a child
  batch_size: int = 128  # of training a child
  learning_rate: float = 0.024  # at the start of a cosine to zero
  patience: int | None = None  # stop a child after so many epochs not better

  def __post_init__(self):
    super().__post_init__()
    checks.at_least(
        self, 1, 'final_num_cells', 'final_epochs', 'final_batch_size',
        'num_nodes', 'num_cells', 'epochs', 'batch_size')
    checks.at_least(self, 0, 'num_reductions', 'crop_padding')
    checks.at_least(self, _LEAST_FEATURES, 'features', 'final_features')
    if self.final_batch_size % self.num_devices:
      raise ValueError(f'final_batch_size {self.final_batch_size} is not a '
                       f'multiple of num_devices {self.num_devices}')
    checks.one_of('operations', self.operations, OPERATIONS)
    if self.combinations not in COMBINATIONS:
      raise ValueError(f'combinations is {self.combinations!r}, expected '
                       f'{" or ".join(COMBINATIONS)}')


def space(settings: Settings) -> base.Space:
  """Where to search."""
  return cell.space(OPERATIONS[settings.operations],
                    num_nodes=settings.num_nodes,
                    combinations=COMBINATIONS[settings.combinations])


def make(settings: Settings) -> problem.Problem:
  """The search.

  Raises:
    ValueError: no such data set, or what does not fit.
  """
  data = problem.load(settings)
  made = problem.Problem(
      space(settings), data,
      lambda genotype: child_network(genotype, settings, data),
      child_recipe(settings, data), settings.operations,
      lambda genotype: [final_job(genotype, settings, data)])
  problem.check(settings, made)
  return made


def child_recipe(settings: Settings, data: image_data.ImageData
                 ) -> recipes.Recipe:
  """How children are trained."""
  return recipes.Recipe(
      epochs=settings.epochs, batch_size=settings.batch_size,
      learning_rate=settings.learning_rate, patience=settings.patience,
      **_common(settings, data))


def final_recipe(settings: Settings, data: image_data.ImageData
                 ) -> recipes.Recipe:
  """How the chosen network is trained."""
  return recipes.Recipe(
      epochs=settings.final_epochs, batch_size=settings.final_batch_size,
      learning_rate=settings.final_learning_rate,
      auxiliary_weight=settings.final_auxiliary_weight,
      drop_path_keep=settings.final_drop_path_keep,
      cutout_length=settings.final_cutout_length, **_common(settings, data))


def child_network(genotype: Sequence[Any], settings: Settings,
                  data: image_data.ImageData) -> graph.Graph:
  """A child."""
  return image.cifar_net(
      tuple(genotype), image_shape=data.train.images.shape[1:],
      num_classes=data.num_classes, num_cells=settings.num_cells,
      features=settings.features, num_reductions=settings.num_reductions)


def final_network(genotype: Sequence[Any], settings: Settings,
                  data: image_data.ImageData) -> graph.Graph:
  """The chosen network."""
  style = ops.Style(
      axis_name=parallel.BATCH_AXIS if settings.num_devices > 1 else None)
  return image.cifar_net(
      tuple(genotype), image_shape=data.train.images.shape[1:],
      num_classes=data.num_classes, num_cells=settings.final_num_cells,
      features=settings.final_features,
      num_reductions=settings.num_reductions,
      auxiliary=settings.final_auxiliary_weight > 0,
      drop_path_keep=settings.final_drop_path_keep, style=style)


def final_job(genotype: Sequence[Any], settings: Settings,
              data: image_data.ImageData) -> finals.Job:
  """All that the training of the chosen network needs."""
  recipe, task = final_recipe(settings, data), classify.task_of(data)
  return finals.Job(
      final_network(genotype, settings, data), recipe, task, trained.describe(
          presets.Preset(settings.operations, genotype), data, task,
          network='cifar', features=settings.final_features,
          num_cells=settings.final_num_cells, style={},
          num_reductions=settings.num_reductions,
          seed=settings.seed, recipe=dataclasses.asdict(recipe)),
      settings.seed, settings.execution, settings.num_devices,
      f'a --final_batch_size below {recipe.batch_size}, or fewer '
      '--final_features')


def _common(settings: Settings, data: image_data.ImageData
            ) -> dict[str, Any]:
  padding, flip = settings.crop_padding, settings.flip
  if padding is None:
    padding = data.train.images.shape[1] // 8
  if flip is None:
    flip = settings.dataset not in finals.NO_FLIP
  return {'weight_decay': settings.weight_decay,
          'decay_in_loss': settings.decay_in_loss, 'crop_padding': padding,
          'flip': flip,
          'eval_batch_size': min(500, len(data.validation.labels))}
