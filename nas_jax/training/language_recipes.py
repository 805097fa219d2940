"""How a language model is trained: frozen settings, and published ones by name.

A recipe holds everything but the model and the corpus. The comment on a field
is the help of its flag.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from nas_jax import checks
from nas_jax.networks import language

OPTIMIZERS = ('nt_asgd', 'sgd', 'adam')
_DROP = 'drop_'


@dataclasses.dataclass(frozen=True)
class LanguageRecipe:
  """What a training depends on, apart from model, corpus and seed.

  `training/language.py` says what is done with it.

  Raises:
    ValueError: a setting out of range.
  """
  epochs: int  # passes over the training part
  batch_size: int = 64  # streams of text read side by side
  bptt: int = 35  # steps of time between two updates
  random_lengths: bool = True  # of these windows, as AWD-LSTM's are
  optimizer: str = 'nt_asgd'  # nt_asgd (averages in the end), sgd or adam
  learning_rate: float = 20.  # of a window of bptt steps
  scale_rate: bool = True  # times length / bptt in a window of another length
  rate_decay: float = 1.  # factor of the rate at each epoch from decay_from on
  decay_from: int = 0  # see rate_decay; negative, counted from the last epoch
  nonmono: int = 5  # nt_asgd: so many validations not better, and it averages
  clip_norm: float | None = .25  # global norm of a gradient; 0 for no limit
  weight_decay: float = 8e-7  # times the parameter is added to the gradient
  drop_output: float = 0.  # share dropped of the outputs, which predict
  drop_hidden: float = 0.  # dropped of what a cell reads of its states
  drop_inputs: float = 0.  # dropped of what a cell reads of its inputs
  drop_embedding: float = 0.  # dropped of the features of words
  drop_words: float = 0.  # dropped of the words of the vocabulary
  drop_between: float = 0.  # dropped of what one layer gives to the next
  drop_weight: float = 0.  # dropped of recurrent weights, by cells that can
  activation_weight: float = 0.  # of the mean square of outputs, in the loss
  slowness: float = 1e-3  # of the mean square of their changes, in the loss
  eval_batch_size: int = 10  # streams of a validation
  test_batch_size: int = 1  # streams of a test
  patience: int | None = None  # stop after so many epochs not better
  rollbacks: int = 10  # to the best epoch, from losses that are not finite

  def __post_init__(self):
    # 0 is what a flag can say.
    object.__setattr__(self, 'clip_norm', self.clip_norm or None)
    checks.one_of('optimizer', self.optimizer, OPTIMIZERS)
    checks.at_least(self, 1, 'epochs', 'batch_size', 'bptt', 'nonmono',
                    'eval_batch_size', 'test_batch_size', 'patience')
    checks.at_least(self, 0, 'weight_decay', 'rollbacks', 'activation_weight',
                    'slowness')
    for name in ('learning_rate', 'rate_decay', 'clip_norm'):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise ValueError(f'{name} is {value}, expected a positive number')
    self.rates()

  def rates(self) -> language.Rates:
    """What a model drops in training."""
    found = {field.name: getattr(self, _DROP + field.name)
             for field in dataclasses.fields(language.Rates)}
    for name, rate in found.items():
      if not 0 <= rate < 1:
        raise ValueError(
            f'{_DROP}{name} is {rate}, expected a share in [0, 1)')
    return language.Rates(**found)


# Every field as an option: what is None is the recipe's.
Overrides = dataclasses.make_dataclass('Overrides', [
    (field.name, field.type | None, None)
    for field in dataclasses.fields(LanguageRecipe)], frozen=True)
Overrides.documented_by = LanguageRecipe


# Liu et al., arXiv 1806.09055, and its public code, which says up to 8,000
# epochs and is stopped when it no longer improves.
_DARTS = LanguageRecipe(
    epochs=8000, drop_output=.75, drop_hidden=.25, drop_inputs=.75,
    drop_embedding=.2, drop_words=.1)
# Luo et al., arXiv 1808.07233: the same code, without dropped words.
_NAO = dataclasses.replace(_DARTS, epochs=4000, drop_words=0.)
# Merity et al., arXiv 1708.02182, as its public code trains it.
_AWD = LanguageRecipe(
    epochs=500, batch_size=20, bptt=70, learning_rate=30., weight_decay=1.2e-6,
    drop_output=.4, drop_between=.25, drop_embedding=.4, drop_words=.1,
    drop_weight=.5, activation_weight=2., slowness=1.)

RECIPES: Mapping[str, LanguageRecipe] = {
    'darts_ptb': _DARTS,
    'darts_wt2': dataclasses.replace(
        _DARTS, drop_hidden=.15, weight_decay=5e-7),
    # Of the weights while alphas are searched.
    'darts_rnn_search': dataclasses.replace(
        _DARTS, epochs=50, batch_size=256, random_lengths=False,
        optimizer='sgd', weight_decay=5e-7, drop_words=0.),
    # google-research/enas_lm, the final training. Note: the weight of slow
    # outputs is assumed, that of its search.
    'enas_final': LanguageRecipe(
        epochs=3000, nonmono=10, drop_output=.75, drop_hidden=.225,
        drop_inputs=.725, drop_embedding=.175, drop_words=.125,
        activation_weight=.7, slowness=1.),
    # The same, of the weights that cells share in its search.
    'enas_search': LanguageRecipe(
        epochs=600, batch_size=128, optimizer='sgd', clip_norm=.1,
        drop_output=.75, drop_hidden=.25, drop_inputs=.75, drop_embedding=.2,
        drop_words=.1, slowness=1.),
    'nao_ptb': _NAO,
    'nao_wt2': dataclasses.replace(
        _NAO, epochs=2000, drop_hidden=.15, weight_decay=5e-7),
    # Of the weights that cells share in the public code of NAO with weight
    # sharing. Note: windows of one length are assumed.
    'nao_ws_search': dataclasses.replace(
        _NAO, epochs=1000, batch_size=256, random_lengths=False,
        optimizer='sgd', learning_rate=.25, clip_norm=10., weight_decay=5e-7),
    # Zoph and Le, arXiv 1611.01578: children of 35 epochs, of the size of
    # the medium LSTM. Note: the rest is assumed, as that LSTM is usually
    # trained: a rate of 1 and a norm of 5 for losses summed over 35 steps, the
    # rate divided by 1.2 after six epochs, half of what is not recurrent
    # dropped; a quarter of the states and a tenth of the words are.
    'nas_rl_medium': LanguageRecipe(
        epochs=35, batch_size=20, random_lengths=False, optimizer='sgd',
        learning_rate=35., rate_decay=1 / 1.2, decay_from=6, clip_norm=5 / 35,
        weight_decay=0., drop_output=.5, drop_between=.5, drop_hidden=.25,
        drop_embedding=.5, drop_words=.1, slowness=0.),
    # The same cell on characters. Note: the epochs, the norm, and which of
    # the two rates is whose are assumed.
    'char': LanguageRecipe(
        epochs=50, batch_size=32, bptt=100, random_lengths=False,
        optimizer='adam', learning_rate=1e-3, scale_rate=False, clip_norm=1.,
        weight_decay=0., drop_embedding=.2, drop_between=.5, drop_output=.5,
        slowness=0.),
    'awd_ptb': _AWD,
    # Note: that only batch size and epochs differ is assumed.
    'awd_wt2': dataclasses.replace(_AWD, epochs=750, batch_size=80),
    # Ours: for small models and minutes.
    'fast': LanguageRecipe(
        epochs=12, batch_size=20, bptt=20, random_lengths=False,
        optimizer='adam', learning_rate=1e-2, scale_rate=False, rate_decay=.5,
        decay_from=-4, weight_decay=0., drop_output=.05, slowness=0.,
        rollbacks=2),
    # Ours: the same while alphas are searched.
    'fast_search': LanguageRecipe(
        epochs=10, batch_size=32, bptt=20, random_lengths=False,
        optimizer='sgd', learning_rate=10., weight_decay=0., drop_output=.1,
        drop_inputs=.1, slowness=0.),
    # Ours: the same for weights that cells share, which SGD trains.
    'fast_shared': LanguageRecipe(
        epochs=60, batch_size=32, optimizer='sgd', rate_decay=.93,
        decay_from=30, clip_norm=.1, weight_decay=0., random_lengths=False,
        drop_output=.1, slowness=0.),
}

def load(name: str, **changes: Any) -> LanguageRecipe:
  """A recipe by name, with fields that differ.

  Raises:
    ValueError: there is none of this name, or a value out of range.
  """
  checks.one_of('recipe', name, RECIPES)
  return dataclasses.replace(RECIPES[name], **changes)


def override(recipe: LanguageRecipe, overrides: Overrides) -> LanguageRecipe:
  """The recipe with the fields of `overrides` that are not None."""
  names = [field.name for field in dataclasses.fields(LanguageRecipe)]
  return dataclasses.replace(recipe, **{
      name: getattr(overrides, name) for name in names
      if getattr(overrides, name) is not None})
