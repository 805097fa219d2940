"""What the training of one architecture on images depends on.

The comment on a field is the help of its flag (experiments/flags.py).
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from absl import logging
import jax

from nas_jax import checks
from nas_jax import finals
from nas_jax import parallel
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.training import classify
from nas_jax.training import recipes

_DTYPES = (None, 'float32', 'bfloat16')
_PIXELS = 32  # of the images that recipes for small images are made for
# By what the sizes of the paper are divided: features, cells.
_SHRINK: Mapping[str, tuple[int, int]] = {'smoke': (4, 6), 'small': (2, 2)}


@dataclasses.dataclass(frozen=True)
class Settings(recipes.Overrides):
  """What the run depends on; a field of the recipe that is set replaces it."""
  scale: str = 'paper'  # what the flags are that are not set
  architecture: str | None = None  # DARTS_V2, ..., a genotype.json or a workdir
  network: str = 'cifar'  # for cifar, imagenet, ...: what the family has
  dataset: str = 'digits'  # digits, cifar10, npz:PATH, folder:PATH, ...
  data_dir: str | None = None  # folder of the files of the data set
  recipe: str | None = None  # darts, fast, ...; unset, that of the paper
  features: int | None = None  # width; unset, the paper's, less where scale is
  num_cells: int | None = None  # as the paper counts; unset, as features
  seed: int = 0  # of everything
  num_seeds: int = 1  # trainings, of the seeds from seed on
  max_train: int | None = None  # use at most so many training images
  image_size: int | None = None  # resize images to so many pixels
  compute_dtype: str | None = None  # of activations, such as bfloat16
  sync_batch_norm: bool = False  # batch statistics over all devices
  execution: str = 'auto'  # whole, blocks or auto, see docs/architecture.md
  num_devices: int | None = None  # a batch is split over so many; unset, all

  def __post_init__(self):
    if not self.architecture:
      raise ValueError(
          '--architecture is not set: name a published one such as DARTS_V2, a '
          'genotype.json, or the workdir of a search')
    checks.at_least(self, 1, 'num_seeds', 'num_devices', 'features',
                    'num_cells')
    classify.check_execution(self.execution)
    checks.one_of('compute_dtype', self.compute_dtype, _DTYPES)
    if self.patience is not None:
      raise ValueError(
          f'patience is {self.patience}, but all images except those of the '
          'test are trained on: there are none to stop by')
    if self.recipe is not None:
      recipes.load(self.recipe)


def load(settings: Settings) -> image_data.ImageData:
  """The data set; the validation part joins the training images."""
  return image_data.load(
      settings.dataset, settings.data_dir, seed=settings.seed,
      max_train=settings.max_train, image_size=settings.image_size)


def recipe_of(settings: Settings, preset: presets.Preset,
              data: image_data.ImageData) -> recipes.Recipe:
  """The recipe by name with what is set, fitted to family and images.

  What the named recipe asks for and the family has not (a second classifier,
  dropped paths) is left out with a warning; crops and squares are as large a
  part of the image as on 32 pixels; digits are not mirrored.

  Raises:
    ValueError: a setting out of range, or a batch larger than the data.
  """
  recipe = recipes.load(recipe_name(settings, preset))
  changes: dict[str, Any] = {}
  for name, off, options in (
      ('auxiliary_weight', 0., {'auxiliary': True}),
      ('drop_path_keep', 1., {'drop_path_keep': .5})):
    if getattr(recipe, name) != off and getattr(settings, name) is None and (
        not _builds(preset, settings.network, **options)):
      logging.warning('networks of the family %s have no use for %s %s of the '
                      'recipe: it is left out', preset.family, name,
                      getattr(recipe, name))
      changes[name] = off
  changes |= augmentation(recipe, settings.dataset, data)
  total = len(data.train.labels) + len(data.validation.labels)
  changes['eval_batch_size'] = min(
      recipe.eval_batch_size, len(data.test.labels))
  found = recipes.override(
      recipes.override(recipe, recipes.Overrides(**changes)), settings)
  finals.check_recipe(found, data, total)
  return found


def augmentation(recipe: recipes.Recipe, dataset: str,
                 data: image_data.ImageData) -> dict[str, Any]:
  """What of a recipe changes with the images, see `recipe_of`."""
  changes: dict[str, Any] = {}
  size = min(data.train.images.shape[1:3])
  if size != _PIXELS:
    changes['crop_padding'] = round(recipe.crop_padding * size / _PIXELS)
    changes['cutout_length'] = 2 * round(
        recipe.cutout_length * size / _PIXELS / 2)
  if dataset in finals.NO_FLIP:
    changes['flip'] = False
  return changes


def recipe_name(settings: Settings, preset: presets.Preset) -> str:
  """What --recipe says, else the recipe of the paper, else ours."""
  return settings.recipe or recipes.OF_FAMILY.get(
      (preset.family, settings.network), 'fast')


def job_of(settings: Settings, preset: presets.Preset,
           data: image_data.ImageData, **style: Any) -> finals.Job:
  """All that the training of the first seed needs; builds the network.

  Args:
    settings: of the run.
    preset: family and genotype.
    data: the data set.
    **style: fields of `ops.Style` that differ from the family's.

  Raises:
    ValueError: what does not fit together.
  """
  recipe = recipe_of(settings, preset, data)
  num_devices = devices_of(settings)
  parallel.local_devices(num_devices)
  if recipe.batch_size % (num_devices * recipe.accumulate):
    raise ValueError(
        f'batch_size {recipe.batch_size} does not split into '
        f'{recipe.accumulate} parts on each of {num_devices} devices: choose '
        '--batch_size, --accumulate or --num_devices')
  task = classify.task_of(data, recipe.standardise)
  features, num_cells = sizes_of(settings, preset)
  if settings.compute_dtype not in (None, 'float32'):
    style['dtype'] = settings.compute_dtype
  net = network_of(settings, preset, data, recipe, **style)
  config = trained.describe(
      preset, data, task, network=settings.network, features=features,
      num_cells=num_cells, style=style, seed=settings.seed,
      recipe={'name': recipe_name(settings, preset),
              **dataclasses.asdict(recipe)})
  advice = (f'--accumulate={2 * recipe.accumulate}, a --batch_size below '
            f'{recipe.batch_size}, or --compute_dtype=bfloat16')
  return finals.Job(net, recipe, task, config, settings.seed,
                    settings.execution, num_devices, advice)


def network_of(
    settings: Settings, preset: presets.Preset, data: image_data.ImageData,
    recipe: recipes.Recipe, **style: Any) -> graph.Graph:
  """The network of an architecture, with what its recipe asks for.

  Args:
    settings: of the run.
    preset: family and genotype.
    data: the data set.
    recipe: of `recipe_of`.
    **style: fields of `ops.Style` that differ from the family's.

  Raises:
    ValueError: what the family cannot build.
  """
  features, num_cells = sizes_of(settings, preset)
  if settings.sync_batch_norm and devices_of(settings) > 1:
    style['axis_name'] = parallel.BATCH_AXIS
  try:
    net = zoo.build(
        preset, settings.network, image_shape=data.train.images.shape[1:],
        num_classes=data.num_classes, features=features, num_cells=num_cells,
        auxiliary=recipe.auxiliary_weight > 0,
        drop_path_keep=recipe.drop_path_keep,
        dropout_keep=recipe.dropout_keep, **style)
  except ValueError as e:
    raise ValueError(f'cannot build {settings.architecture}: {e}') from e
  return _drop_alike(net) if recipe.drop_path_uniform else net


def sizes_of(settings: Settings, preset: presets.Preset
             ) -> tuple[int | None, int | None]:
  """Features and cells; None where they are the paper's."""
  found = [settings.features, settings.num_cells]
  family = zoo.FAMILIES.get(preset.family)
  defaults = family and family.defaults.get(settings.network)
  if settings.scale not in _SHRINK or not defaults:
    return tuple(found)
  by_features, by_cells = _SHRINK[settings.scale]
  if found[0] is None and defaults.features is not None:
    found[0] = max(4, 2 * (defaults.features // by_features // 2))
  if found[1] is None and defaults.num_cells is not None:
    found[1] = max(1, defaults.num_cells // by_cells)
  return tuple(found)


def devices_of(settings: Settings) -> int:
  """How many devices split a batch."""
  if settings.num_devices is not None:
    return settings.num_devices
  return 1 if settings.execution == 'blocks' else len(jax.local_devices())


def _builds(preset: presets.Preset, network: str, **options: Any) -> bool:
  """Whether the family has something, at the size of its paper."""
  try:
    zoo.build(preset, network, **options)
  except ValueError:
    return False
  return True


def _drop_alike(net: graph.Graph) -> graph.Graph:
  """Paths of all cells are dropped with the same probability."""
  return net._replace(nodes=tuple(
      node._replace(depth=1. if node.depth else 0.) for node in net.nodes))
