"""How large language models are: sizes of papers, and equal numbers of weights.

The kinds of networks are what was trained: 'ptb' and 'wikitext2' the models of
the papers, the others what else they report.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from nas_jax.networks import language
from nas_jax.spaces import presets

_Sizes = language.Sizes
_PTB, _WIKITEXT2 = 10_000, 33_278

# Family -> kind of network -> sizes. Sources: DARTS (arXiv 1806.09055) and
# NAO; google-research/enas_lm, whose decoder has no bias; NAS-RL (arXiv
# 1611.01578), whose hidden sizes are not printed: these reproduce the numbers
# of parameters; Zaremba et al., arXiv 1409.2329; Zilly et al., arXiv
# 1607.03474; Merity et al., arXiv 1708.02182.
DEFAULTS: Mapping[str, Mapping[str, language.Sizes]] = {
    'rnn_chain': {
        'ptb': _Sizes(_PTB, 850, 850),
        'wikitext2': _Sizes(_WIKITEXT2, 700, 700),
        'search': _Sizes(_PTB, 300, 300),
        'enas_lm': _Sizes(_PTB, 800, 800, bias=False, init_range=.05),
        'enas_lm_search': _Sizes(_PTB, 200, 200, bias=False)},
    'rnn_tree': {
        'ptb': _Sizes(_PTB, 740, 740, 2, bias=False),
        'ptb_untied': _Sizes(_PTB, 740, 740, 2, tied=False, bias=False),
        'ptb_large': _Sizes(_PTB, 1152, 1152, 2, bias=False),
        'characters': _Sizes(50, 128, 502, 2, tied=False),
        'characters_large': _Sizes(50, 128, 800, 2, tied=False)},
    'lstm': {
        'ptb': _Sizes(_PTB, 650, 650, 2, tied=False, init_range=.05),
        'ptb_large': _Sizes(_PTB, 1500, 1500, 2, tied=False),
        'ptb_large_tied': _Sizes(_PTB, 1500, 1500, 2)},
    'rhn': {
        'ptb': _Sizes(_PTB, 830, 830),
        'ptb_untied': _Sizes(_PTB, 830, 830, tied=False)},
    'awd_lstm': {
        'ptb': _Sizes(_PTB, 400, 1150, 3, init_range=.1),
        'wikitext2': _Sizes(_WIKITEXT2, 400, 1150, 3, init_range=.1)},
}


def sizes_of(family: str, network: str = 'ptb', **changes: Any
             ) -> language.Sizes:
  """The sizes of a paper, but for what is changed.

  Args:
    family: of the cell.
    network: a kind of network, see `DEFAULTS`.
    **changes: fields of `language.Sizes`; None leaves one as it is. A model
      whose embedding equals its hidden size keeps them equal where only one
      of them is changed. Where the hidden size is changed, weights start as
      `init_range` says, unless that is given too.

  Raises:
    ValueError: an unknown family or kind of network.
  """
  if family not in DEFAULTS:
    raise ValueError(f'{family!r} is no family of language models, expected '
                     f'one of {", ".join(DEFAULTS)}')
  if network not in DEFAULTS[family]:
    raise ValueError(
        f'the family {family} has no network {network!r}, expected one of '
        f'{", ".join(DEFAULTS[family])}')
  sizes = DEFAULTS[family][network]
  changes = {k: v for k, v in changes.items() if v is not None}
  if changes.get('hidden', sizes.hidden) != sizes.hidden:
    changes = {'init_range': init_range(changes['hidden'])} | changes
  if sizes.embedding == sizes.hidden and len(
      found := {'embedding', 'hidden'} & set(changes)) == 1:
    value = changes[found.pop()]
    changes |= dict(embedding=value, hidden=value)
  return dataclasses.replace(sizes, **changes)


def init_range(units: int) -> float:
  """Within which weights of a model of our own size start, uniformly.

  .04 as published for models of 300 to 850 units, more for fewer units, whose
  sums have fewer terms: with 48 units, .1 about halves the perplexity of .04
  after a few epochs, of an LSTM as of the cell of DARTS.
  """
  return .04 * max(1., (300 / units) ** .5)


def build(preset: presets.Preset, network: str = 'ptb', **changes: Any
          ) -> language.Model:
  """The language model of an architecture, see `sizes_of`.

  Raises:
    ValueError: an unknown family or kind of network, or sizes that do not
      fit.
  """
  sizes = sizes_of(preset.family, network, **changes)
  return language.make(preset.family, preset.genotype, sizes)


def matching(family: str, genotype: Any, like: language.Sizes,
             num_params: int) -> language.Sizes:
  """The sizes with which a cell has nearly as many parameters as another.

  Embedding and hidden size are equal where they are in `like`; else the hidden
  size alone changes.

  Args:
    family: of the cell.
    genotype: of the cell.
    like: what else the sizes are.
    num_params: to be nearest to.

  Raises:
    ValueError: the embedding alone has more parameters.
  """
  def sized(hidden):
    embedding = hidden if like.embedding == like.hidden else like.embedding
    return dataclasses.replace(like, embedding=embedding, hidden=hidden)

  def count(hidden):
    return language.make(family, genotype, sized(hidden)).num_params

  if count(1) > num_params:
    raise ValueError(f'the smallest model of the family {family} has '
                     f'{count(1):,} parameters, more than {num_params:,}')
  low, high = 1, 2
  while count(high) <= num_params:
    low, high = high, 2 * high
  while high - low > 1:  # At most so many at low, more at high.
    middle = (low + high) // 2
    low, high = (low, middle) if count(middle) > num_params else (middle, high)
  return sized(min((low, high), key=lambda h: abs(count(h) - num_params)))
