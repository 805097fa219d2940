"""What a search of whole networks for images depends on.

A child and the result are networks of one family of networks/zoo.py; each is
trained by a recipe with a few of its fields as settings. The comment on a
field is the help of its flag (experiments/flags.py).
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from nas_jax import base
from nas_jax import checks
from nas_jax import finals
from nas_jax import networks_on_images
from nas_jax import problem
from nas_jax.evaluators import scratch
from nas_jax.networks import graph
from nas_jax.spaces import presets
from nas_jax.training import recipes

_OF_A_TRAINING = ('recipe', 'epochs', 'batch_size', 'learning_rate',
                  'features', 'num_cells')
# Fields of a recipe, or of a style, that another way of training changes.
Changes = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Settings(problem.Settings):
  """What a search depends on; final_* is of the training of its result."""
  recipe: str = 'fast'  # of children: autodl, nas_rl, fast, ...
  epochs: int | None = None  # of training a child; unset, the recipe's
  batch_size: int | None = None  # of training a child; unset, the recipe's
  learning_rate: float | None = None  # of a child; unset, the recipe's
  features: int | None = None  # of a child; unset, the paper's
  num_cells: int | None = None  # of a child, as the paper counts; as features
  final_recipe: str = 'fast'  # of the result
  final_epochs: int | None = None  # of training the result; unset, the recipe's
  final_batch_size: int | None = None  # of the result; unset, the recipe's
  final_learning_rate: float | None = None  # of the result; as batch size
  final_features: int | None = None  # of the result; unset, the paper's
  final_num_cells: int | None = None  # of the result; as features

  def __post_init__(self):
    super().__post_init__()
    for prefix in ('', 'final_'):
      # Where an experiment lets it be unset, it is the family's.
      if getattr(self, f'{prefix}recipe') is not None:
        recipes.load(getattr(self, f'{prefix}recipe'))
      checks.at_least(self, 1, *(
          f'{prefix}{name}' for name in (
              'epochs', 'batch_size', 'features', 'num_cells')))


def make(
    settings: Settings,
    space: base.Space,
    family: str,
    *,
    scoring: scratch.Scoring = scratch.Scoring(),
    final_changes: Sequence[Changes] = ({},),
) -> problem.Problem:
  """The search.

  Args:
    settings: of the run.
    space: whose genotypes the family builds.
    family: see networks/zoo.py.
    scoring: how children are scored.
    final_changes: ways to train the result, each as changed fields of its
      recipe or its style.

  Raises:
    ValueError: no such data set, or what does not fit.
  """
  data = problem.load(settings)
  child_settings = _training(settings, '', 1)
  final_settings = _training(settings, 'final_', settings.num_devices)

  child_recipe = networks_on_images.recipe_of(
      child_settings, presets.Preset(family, problem.example(space)), data)

  def child(genotype: base.Genotype) -> graph.Graph:
    return networks_on_images.network_of(
        child_settings, presets.Preset(family, genotype), data, child_recipe)

  def final_jobs(genotype: base.Genotype) -> list[finals.Job]:
    preset = presets.Preset(family, genotype)
    return [networks_on_images.job_of(
        dataclasses.replace(final_settings, **fields), preset, data, **style)
            for fields, style in map(_split, final_changes)]

  made = problem.Problem(
      space, data, child, child_recipe, family, final_jobs, scoring)
  problem.check(settings, made)
  return made


def _training(settings: Settings, prefix: str, num_devices: int
              ) -> networks_on_images.Settings:
  """The training of a child, or of the result."""
  return networks_on_images.Settings(
      architecture='a child' if not prefix else 'the result',
      dataset=settings.dataset, seed=settings.seed, num_devices=num_devices,
      execution=settings.execution,
      **{name: getattr(settings, prefix + name) for name in _OF_A_TRAINING})


def _split(changes: Changes) -> tuple[dict[str, Any], dict[str, Any]]:
  """Those of the recipe, those of the style."""
  known = {field.name for field in dataclasses.fields(recipes.Recipe)}
  return ({k: v for k, v in changes.items() if k in known},
          {k: v for k, v in changes.items() if k not in known})
