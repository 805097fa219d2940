"""What a search on images is about, whatever its architectures are.

The comment on a field is the help of its flag (experiments/flags.py).
"""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

from nas_jax import base
from nas_jax import checks
from nas_jax import finals
from nas_jax import parallel
from nas_jax.data import images as image_data
from nas_jax.evaluators import scratch
from nas_jax.networks import graph
from nas_jax.training import classify
from nas_jax.training import recipes


class Problem(NamedTuple):
  """Where to search, how a child is scored, and what becomes of the best."""
  space: base.Space
  data: image_data.ImageData
  child: Callable[[base.Genotype], graph.Graph]
  child_recipe: recipes.Recipe
  family: str  # of networks, see networks/zoo.py
  # How the training of the result may be done; the best on validation is.
  final_jobs: Callable[[base.Genotype], list[finals.Job]]
  scoring: scratch.Scoring = scratch.Scoring()


@dataclasses.dataclass(frozen=True)
class DataSettings:
  """On which images, and how."""
  scale: str = 'paper'  # what the flags are that are not set
  dataset: str = 'digits'  # digits, cifar10, npz:PATH, folder:PATH, ...
  data_dir: str | None = None  # folder of the files of the data set
  seed: int = 0  # of everything
  validation_fraction: float = 0.1  # of the training images
  max_train: int | None = None  # use at most so many training images
  image_size: int | None = None  # resize images to so many pixels
  execution: str = 'auto'  # whole, blocks or auto, see docs/architecture.md

  def __post_init__(self):
    classify.check_execution(self.execution)


@dataclasses.dataclass(frozen=True)
class Settings(DataSettings):
  """What every search on images depends on."""
  num_devices: int = 1  # children at a time; a batch of the result is split
  num_children: int = 20000  # architectures to evaluate
  children_per_round: int = 1  # asked for and evaluated together
  num_finalists: int = 1  # retrained to choose the result among them

  def __post_init__(self):
    super().__post_init__()
    checks.at_least(self, 1, 'num_devices', 'num_children',
                    'children_per_round', 'num_finalists')
    if self.execution == 'blocks' and self.num_devices > 1:
      raise ValueError('execution blocks runs on one device, but num_devices '
                       f'is {self.num_devices}; choose whole')
    if self.num_children % self.children_per_round:
      raise ValueError(
          f'num_children {self.num_children} is not a multiple of '
          f'children_per_round {self.children_per_round}')
    if self.num_devices > self.children_per_round:
      raise ValueError(
          f'num_devices is {self.num_devices}, but only children_per_round '
          f'{self.children_per_round} are trained at a time')


def load(settings: DataSettings) -> image_data.ImageData:
  """The data set.

  Raises:
    ValueError: no such data set.
  """
  return image_data.load(
      settings.dataset, settings.data_dir,
      validation_fraction=settings.validation_fraction, seed=settings.seed,
      max_train=settings.max_train, image_size=settings.image_size)


def check(settings: Settings, problem: Problem) -> None:
  """Builds what a run will build, so that it fails now or not at all.

  Raises:
    ValueError: what does not fit, such as a batch larger than the data.
  """
  parallel.local_devices(settings.num_devices)
  genotype = example(problem.space)
  problem.child(genotype)
  data = problem.data
  finals.check_recipe(problem.child_recipe, data, len(data.train.labels))
  for job in problem.final_jobs(genotype):
    finals.check_recipe(job.recipe, data, len(data.train.labels), 'final_')


def example(space: base.Space) -> base.Genotype:
  """The architecture of a space of which all choices are first."""
  return space.genotype([0] * len(space.choices))


def integers(name: str, text: str) -> tuple[int, ...]:
  """The numbers in a setting such as '1,3,5'.

  Raises:
    ValueError: it holds anything else.
  """
  try:
    return tuple(int(part) for part in text.split(','))
  except ValueError:
    raise ValueError(f'{name} is {text!r}, expected whole numbers such as '
                     '1,3,5') from None
