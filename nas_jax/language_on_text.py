"""What the training of one language model depends on.

The comment on a field is the help of its flag (experiments/flags.py).
"""

import dataclasses
import re

from absl import logging

from nas_jax import checks
from nas_jax import language_problem
from nas_jax import language_training
from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.networks import language_sizes
from nas_jax.spaces import presets
from nas_jax.training import language_recipes

# The recipe of the paper of a family, on Penn Treebank and on WikiText-2.
_OF_FAMILY = {
    'rnn_chain': ('darts_ptb', 'darts_wt2'),
    'rnn_tree': ('nas_rl_medium', 'nas_rl_medium'),
    'awd_lstm': ('awd_ptb', 'awd_wt2')}
# Of architectures whose paper is not that of their family, by the beginning
# of their name.
_OF_NAME = {
    'nao': ('nao_ptb', 'nao_wt2'),
    'enas_lm': ('enas_final', 'enas_final'),
    'darts_lm': ('enas_final', 'enas_final')}
# Note: for LSTM and RHN NAS-RL's is assumed: both are its baselines.
_OTHERWISE = ('nas_rl_medium', 'nas_rl_medium')
_CORPORA = ('ptb', 'wikitext2')


@dataclasses.dataclass(frozen=True)
class Settings(language_problem.DataSettings, language_recipes.Overrides):
  """What the run depends on; a field of the recipe that is set replaces it."""
  architecture: str | None = None  # DARTS_V2_RNN, a genotype.json or a workdir
  recipe: str | None = None  # darts_ptb, fast, ...; unset, that of the paper
  network: str | None = None  # sizes: ptb, wikitext2, ...; unset, by the text
  embedding: int | None = None  # features of a word; unset, the network's
  hidden: int | None = None  # units of a layer; unset, the network's
  num_layers: int | None = None  # unset, the network's
  tied: bool | None = None  # words are read and predicted by the same vectors
  num_seeds: int = 1  # trainings, of the seeds from seed on

  def __post_init__(self):
    super().__post_init__()
    if not self.architecture:
      raise ValueError(
          '--architecture is not set: name a published one such as '
          'DARTS_V2_RNN, a genotype.json, or the workdir of a search on text')
    checks.at_least(self, 1, 'num_seeds')
    if self.recipe is not None:
      language_recipes.load(self.recipe)


def jobs_of(settings: Settings, preset: presets.Preset, corpus: text.Corpus
            ) -> list[language_training.Job]:
  """The trainings, one of each seed; builds the model.

  Args:
    settings: of the run.
    preset: family and genotype.
    corpus: to learn from.

  Raises:
    ValueError: what does not fit together.
  """
  name = recipe_name(settings, preset)
  recipe = language_recipes.override(language_recipes.load(name), settings)
  if recipe.drop_weight and not _drops_weights(preset):
    if settings.drop_weight:
      raise ValueError(
          f'drop_weight is {settings.drop_weight}, but cells of the family '
          f'{preset.family} have no weights that are dropped')
    logging.warning('cells of the family %s have no use for drop_weight %s of '
                    'the recipe: it is left out', preset.family,
                    recipe.drop_weight)
    recipe = dataclasses.replace(recipe, drop_weight=0.)
  network = settings.network or network_name(settings, preset, name)
  sizes = language_sizes.sizes_of(
      preset.family, network, vocabulary=len(corpus.vocabulary),
      embedding=settings.embedding, hidden=settings.hidden,
      num_layers=settings.num_layers, tied=settings.tied)
  return [language_training.job_of(
      preset, sizes, recipe, corpus, seed=seed, recipe_name=name)
          for seed in range(settings.seed, settings.seed + settings.num_seeds)]


def recipe_name(settings: Settings, preset: presets.Preset) -> str:
  """What --recipe says, else the recipe of the paper, else ours."""
  if settings.recipe:
    return settings.recipe
  if settings.unit == 'character':
    return 'char'
  if settings.dataset not in _CORPORA:
    return 'fast'
  name = re.sub('[^a-z0-9]+', '_', settings.architecture.lower())
  found = [pair for start, pair in _OF_NAME.items()
           if name.startswith(start)]
  found += [_OF_FAMILY.get(preset.family, _OTHERWISE)]
  return found[0][_CORPORA.index(settings.dataset)]


def network_name(settings: Settings, preset: presets.Preset, recipe: str
                 ) -> str:
  """The kind of network of the paper that its recipe trains."""
  known = language_sizes.DEFAULTS.get(preset.family, {})
  wanted = ('enas_lm' if recipe == 'enas_final' else
            'characters_large' if settings.unit == 'character' else
            settings.dataset)
  return wanted if wanted in known else 'ptb'


def _drops_weights(preset: presets.Preset) -> bool:
  if preset.family not in language.CELLS:
    return True  # That it cannot be built is said where it is.
  return bool(language.CELLS[preset.family](preset.genotype, .04).recurrent)
