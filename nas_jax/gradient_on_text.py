"""What a gradient search of recurrent cells on text depends on.

The comment on a field is the help of its flag (experiments/flags.py).
"""

import dataclasses
from typing import Any, NamedTuple

from nas_jax import checks
from nas_jax import language_problem
from nas_jax import supernet_on_text
from nas_jax.networks import language
from nas_jax.spaces import recurrent
from nas_jax.supernets import recurrent_search

# Worse is no perplexity of a language model, but that of one that diverged.
WORST = 1e6


@dataclasses.dataclass(frozen=True)
class Settings(language_problem.Settings):
  """What a search depends on; search_* is of the search network.

  recipe, epochs and so on are of the short training of each found cell, by
  which one is chosen; final_* of the training of that one.
  """
  num_children: int = 8  # random cells to compare with
  recipe: str = 'darts_ptb'  # of the short training of a cell
  hidden: int = 850  # units of the layer in that training
  epochs: int | None = 300  # of that training; unset, the recipe's
  final_recipe: str = 'darts_ptb'  # of the result
  final_hidden: int = 850  # units of the result's layer
  num_nodes: int = 8  # of a cell
  order: str = 'second'  # of the gradient: first or second
  clamp_coefficient: bool = False  # the factor of the second order is <= 1
  num_searches: int = 4  # with different seeds; their cells are compared
  search_recipe: str = 'darts_rnn_search'  # of the search network's weights
  search_hidden: int = 300  # units of the search network
  search_epochs: int | None = None  # of a search; unset, the recipe's
  search_batch_size: int | None = None  # of a search; unset, the recipe's
  search_bptt: int | None = None  # steps of a window; unset, the recipe's
  search_learning_rate: float | None = None  # of the weights; as batch size
  alpha_learning_rate: float | None = None  # of the alphas; unset, 0.003

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('order', self.order, recurrent_search.ORDERS)
    checks.at_least(self, 1, 'num_nodes', 'num_searches', 'search_hidden',
                    'search_epochs', 'search_batch_size')
    checks.at_least(self, supernet_on_text.LEAST_BPTT, 'search_bptt')
    checks.at_least(self, 0, 'alpha_learning_rate')
    language_problem.recipe_of(self, 'search_')


class Problem(NamedTuple):
  """A gradient search and what becomes of its cells."""
  language: language_problem.Problem  # short and final trainings, random cells
  searcher: supernet_on_text.Searcher


def make(settings: Settings) -> Problem:
  """The search.

  Raises:
    ValueError: no such corpus, or what does not fit.
  """
  made = language_problem.make(
      settings, recurrent.chain_space(settings.num_nodes), 'rnn_chain',
      reward=lambda perplexity: -perplexity, floor=-WORST)
  changes: dict[str, Any] = dict(order=settings.order)
  if settings.alpha_learning_rate is not None:
    changes['learning_rate'] = settings.alpha_learning_rate
  units = settings.search_hidden
  return Problem(made, supernet_on_text.build(supernet_on_text.Plan(
      language.Sizes(len(made.corpus.vocabulary), units, units),
      settings.num_nodes, language_problem.recipe_of(settings, 'search_'),
      dataclasses.replace(recurrent_search.SETTINGS, **changes),
      settings.clamp_coefficient, made.corpus)))
