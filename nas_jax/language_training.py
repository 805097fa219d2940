"""The training of one language model to its end, and the test of it."""

import pathlib
from typing import Any, NamedTuple

from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.training import language_recipes


class Job(NamedTuple):
  """A model, and how it is trained."""
  model: language.Model
  recipe: language_recipes.LanguageRecipe
  config: dict[str, Any]  # of `describe`
  seed: int


def train_and_test(folder: pathlib.Path, job: Job, corpus: text.Corpus,
                   label: str) -> tuple[dict[str, Any], float]:
  """Trains on the training part, chooses by validation, tests once.

  The same call resumes.

  Args:
    folder: of this training.
    job: what to train.
    corpus: to learn from.
    label: what the progress is called.

  Returns:
    The result for the summary: validation_perplexity, test_perplexity,
    num_test, num_params, epochs; of characters also bits; and the seconds.
  """
