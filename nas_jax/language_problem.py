"""What a search of recurrent cells for language is about.

The comment on a field is the help of its flag (experiments/flags.py).
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

from nas_jax import base
from nas_jax import checks
from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.networks import language_sizes
from nas_jax.networks import recurrent_any
from nas_jax.training import language as training
from nas_jax.training import language_recipes

_OF_A_RECIPE = ('epochs', 'batch_size', 'bptt', 'learning_rate')


class Problem(NamedTuple):
  """Where to search, how a child is scored, and what becomes of the best."""
  space: base.Space
  corpus: text.Corpus
  family: str  # of cells, see networks/language.py
  child: Callable[[base.Genotype], language.Model]
  child_recipe: language_recipes.LanguageRecipe
  final_sizes: language.Sizes  # of the result
  final_recipe: language_recipes.LanguageRecipe
  # Of the perplexity on the validation part; higher is better.
  reward: Callable[[float], float]
  floor: float  # reward of a failed child, below that of any other
  # Ways to train the result, the best on validation is: changed fields of its
  # recipe and its sizes.
  final_changes: Sequence[Mapping[str, Any]] = ({},)


@dataclasses.dataclass(frozen=True)
class DataSettings:
  """On which text."""
  scale: str = 'paper'  # what the flags are that are not set
  dataset: str = 'grammar'  # grammar, ptb, wikitext2 or text:PATH
  unit: str = 'word'  # what is predicted: word or character
  data_dir: str | None = None  # folder of the files of the corpus
  seed: int = 0  # of everything
  max_train: int | None = None  # use at most so many words of the training part
  max_validation: int | None = None  # as max_train, of the validation part
  max_vocabulary: int | None = None  # kept tokens; compare at equal limits only

  def __post_init__(self):
    checks.one_of('unit', self.unit, text.UNITS)
    checks.at_least(self, 1, 'max_train', 'max_validation')
    checks.at_least(self, 2, 'max_vocabulary')


@dataclasses.dataclass(frozen=True)
class Settings(DataSettings):
  """What every search depends on; final_* is of the training of its result."""
  num_children: int = 100  # cells to evaluate
  children_per_round: int = 1  # asked for and evaluated together
  num_finalists: int = 1  # trained to choose the result among them
  recipe: str = 'fast'  # of children: darts_ptb, nas_rl_medium, fast, ...
  hidden: int = 64  # units of a child's layer
  embedding: int | None = None  # of a child's words; unset, hidden
  num_layers: int = 1  # of a child
  epochs: int | None = None  # of training a child; unset, the recipe's
  batch_size: int | None = None  # of training a child; unset, the recipe's
  bptt: int | None = None  # steps of time of a child's window; as epochs
  learning_rate: float | None = None  # of a child; unset, the recipe's
  execution: str = 'own'  # programs of children: own of each, or shared
  tied: bool = True  # words are read and predicted by the same vectors
  final_recipe: str = 'fast'  # of the result
  final_hidden: int = 64  # units of the result's layer
  final_embedding: int | None = None  # of the result's words; unset, its hidden
  final_num_layers: int = 1  # of the result
  final_epochs: int | None = None  # of training the result; unset, the recipe's
  final_batch_size: int | None = None  # of the result; unset, the recipe's
  final_bptt: int | None = None  # of the result; unset, the recipe's
  final_learning_rate: float | None = None  # of the result; as batch size

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('execution', self.execution, ('own', 'shared'))
    checks.at_least(self, 1, 'num_children', 'children_per_round',
                    'num_finalists')
    if self.num_children % self.children_per_round:
      raise ValueError(
          f'num_children {self.num_children} is not a multiple of '
          f'children_per_round {self.children_per_round}')
    for prefix in ('', 'final_'):
      checks.at_least(self, 1, *(prefix + name for name in (
          'hidden', 'embedding', 'num_layers', 'epochs', 'batch_size', 'bptt')))
      recipe_of(self, prefix)


def load(settings: DataSettings) -> text.Corpus:
  """The corpus.

  Raises:
    ValueError: no such corpus, or what is wrong with its files.
  """
  return text.load(
      settings.dataset, settings.data_dir, unit=settings.unit,
      seed=settings.seed, max_train=settings.max_train,
      max_validation=settings.max_validation,
      max_vocabulary=settings.max_vocabulary)


def make(
    settings: Settings,
    space: base.Space,
    family: str,
    *,
    reward: Callable[[float], float],
    floor: float,
    final_changes: Sequence[Mapping[str, Any]] = ({},),
) -> Problem:
  """The search; builds one child and one result.

  Args:
    settings: of the run.
    space: whose genotypes the family builds.
    family: of cells.
    reward: of the perplexity on the validation part.
    floor: reward of a failed child.
    final_changes: see `Problem`.

  Raises:
    ValueError: no such corpus, or what does not fit.
  """
  corpus = load(settings)
  sizes = sizes_of(settings, corpus)

  if settings.execution == 'shared':
    child = recurrent_any.models(family, sizes)
  else:
    child = functools.partial(language.make, family, sizes=sizes)

  made = Problem(
      space, corpus, family, child, recipe_of(settings),
      sizes_of(settings, corpus, 'final_'), recipe_of(settings, 'final_'),
      reward, floor, final_changes)
  genotype = space.genotype([0] * len(space.choices))
  training.check(child(genotype), made.child_recipe, corpus)
  for changes in final_changes:
    own, recipe = changed(made, changes)
    training.check(language.make(family, genotype, own), recipe, corpus)
  return made


def changed(problem: Problem, changes: Mapping[str, Any]
            ) -> tuple[language.Sizes, language_recipes.LanguageRecipe]:
  """Sizes and recipe of the result, trained in one of the ways."""
  of_sizes = {field.name for field in dataclasses.fields(language.Sizes)}
  return (
      dataclasses.replace(problem.final_sizes, **{
          k: v for k, v in changes.items() if k in of_sizes}),
      dataclasses.replace(problem.final_recipe, **{
          k: v for k, v in changes.items() if k not in of_sizes}))


def recipe_of(settings: Settings, prefix: str = ''
              ) -> language_recipes.LanguageRecipe:
  """The recipe by name with what is set.

  Args:
    settings: of the run.
    prefix: '' for children, 'final_' for the result, or 'search_'.

  Raises:
    ValueError: no recipe of this name, or a setting out of range.
  """
  changes = {name: getattr(settings, prefix + name) for name in _OF_A_RECIPE}
  return language_recipes.load(getattr(settings, f'{prefix}recipe'), **{
      name: value for name, value in changes.items() if value is not None})


def sizes_of(settings: Settings, corpus: text.Corpus, prefix: str = ''
             ) -> language.Sizes:
  """How large a model is, see `recipe_of`."""
  hidden = getattr(settings, f'{prefix}hidden')
  return language.Sizes(
      len(corpus.vocabulary), getattr(settings, f'{prefix}embedding') or hidden,
      hidden, getattr(settings, f'{prefix}num_layers'), tied=settings.tied,
      init_range=language_sizes.init_range(hidden))
