"""Language models: words in, probabilities of the next words out.

Notation: T steps, B rows of the batch, V words, E features of a word, d units
of the last layer.
"""

from collections.abc import Callable
import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nas_jax.networks import decoder
from nas_jax.networks import recurrent
from nas_jax.networks import recurrent_baselines
from nas_jax.networks import recurrent_tree

Array = jax.Array
Params = dict[str, Any]
# Family -> (genotype, range of initial weights) -> cell.
CELLS: dict[str, Callable[[Any, float], recurrent.Cell]] = {
    'rnn_chain': lambda genotype, init_range: recurrent.chain(
        genotype, init_range=init_range),
    'rnn_tree': lambda genotype, init_range: recurrent_tree.tree(
        genotype, init_range=init_range),
    'lstm': lambda genotype, init_range: recurrent_baselines.lstm(
        genotype, init_range=init_range),
    'rhn': lambda genotype, init_range: recurrent_baselines.rhn(
        genotype, init_range=init_range),
    # Its weights start as PyTorch's LSTM does, whatever the embedding does.
    'awd_lstm': lambda genotype, init_range: recurrent_baselines.awd_lstm(
        genotype),
}
Hidden = list[recurrent.State]


@dataclasses.dataclass(frozen=True)
class Sizes:
  """How large a model is.

  Raises:
    ValueError: a size out of range.
  """
  vocabulary: int  # words
  embedding: int  # features of a word
  hidden: int  # units of a layer; of the last one, embedding if tied
  num_layers: int = 1
  tied: bool = True  # words have the same features before and after
  bias: bool = True  # of the decoder
  init_range: float = .04  # weights are uniform within +- this

  def __post_init__(self):
    for name in ('vocabulary', 'embedding', 'hidden', 'num_layers'):
      if getattr(self, name) < 1:
        raise ValueError(
            f'{name} is {getattr(self, name)}, expected at least 1')
    if not self.init_range > 0:
      raise ValueError(
          f'init_range is {self.init_range}, expected a positive number')

  def layers(self) -> tuple[tuple[int, int], ...]:
    """(inputs, units) of each layer."""
    units = [self.hidden] * self.num_layers
    if self.tied:
      units[-1] = self.embedding
    return tuple(zip([self.embedding, *units], units))


@dataclasses.dataclass(frozen=True)
class Rates:
  """Shares that are dropped; each mask is the same in all steps.

  Raises:
    ValueError: a share outside of [0, 1).
  """
  output: float = 0.  # of what the decoder reads
  hidden: float = 0.  # of what a cell reads of its states
  inputs: float = 0.  # of what a cell reads of its inputs
  embedding: float = 0.  # of the features of words
  words: float = 0.  # of the words of the vocabulary
  between: float = 0.  # of what one layer gives to the next
  weight: float = 0.  # of a cell's recurrent weights, where it knows of it

  def __post_init__(self):
    for field in dataclasses.fields(self):
      rate = getattr(self, field.name)
      if not 0 <= rate < 1:
        raise ValueError(
            f'dropout rate {field.name} is {rate}, expected a share in [0, 1)')


class Output(NamedTuple):
  """What the model makes of a window of words."""
  outputs: Array  # float[T, B, d], after dropout: what the decoder reads
  raw: Array  # float[T, B, d], of the last layer
  hidden: Hidden  # states after the window


class Model(NamedTuple):
  """A language model.

  Attributes:
    init: key -> parameters: 'embedding' float[V, E], 'layers', 'bias'
      float[V], and 'decoder' float[V, d] if not tied.
    start: B -> states, zeros.
    apply: (parameters, tokens int32[T, B], hidden, *, key, rates, length) ->
      Output. Without a key nothing is dropped; length is None, or int32[]:
      states stand still from that step on.
    num_params: how many numbers the parameters are.
    sizes: how large it is.
  """
  init: Callable[[Array], Params]
  start: Callable[[int], Hidden]
  apply: Callable[..., Output]
  num_params: int
  sizes: Sizes


def make(family: str, genotype: Any, sizes: Sizes) -> Model:
  """The model of an architecture.

  Args:
    family: a key of `CELLS`.
    genotype: of the cell, as the family has it.
    sizes: of the model.

  Raises:
    ValueError: an unknown family, or a genotype that is none of its.
  """
  if family not in CELLS:
    raise ValueError(f'{family!r} is no family of language models, expected '
                     f'one of {", ".join(CELLS)}')
  return of_cell(CELLS[family](genotype, sizes.init_range), sizes)


def of_cell(cell: recurrent.Cell, sizes: Sizes) -> Model:
  """A model of layers of one kind of cell.

  Dropout is that of AWD-LSTM and DARTS: whole words of the vocabulary, then
  features of words, inputs and states of cells, what goes from layer to
  layer, and outputs.

  Args:
    cell: of all layers.
    sizes: of the model.

  Reference: Merity et al., arXiv 1708.02182; Gal, Ghahramani, arXiv
    1512.05287; Press, Wolf, arXiv 1608.05859.
  """
  layers = sizes.layers()

  def init(key):
    words, own, *keys = jax.random.split(key, 2 + len(layers))
    shape = sizes.vocabulary, sizes.embedding
    params = {
        'embedding': recurrent.uniform(words, shape, sizes.init_range),
        'layers': [cell.init(k, *layer) for k, layer in zip(keys, layers)]}
    if not sizes.tied:
      params['decoder'] = recurrent.uniform(
          own, (sizes.vocabulary, layers[-1][1]), sizes.init_range)
    if sizes.bias:
      params['bias'] = jnp.zeros(sizes.vocabulary)
    return params

  def start(batch_size):
    return [cell.start(batch_size, units) for _, units in layers]

  def apply(params, tokens, hidden, *, key=None, rates=Rates(), length=None):
    rates = Rates() if key is None else rates
    key = jax.random.key(0) if key is None else key  # Nothing is drawn.
    words, features, inner, out = jax.random.split(key, 4)
    table, batch_size = params['embedding'], tokens.shape[1]
    x = table[tokens]
    if rates.words:
      x *= _mask(words, (len(table), 1), rates.words, x.dtype)[tokens]
    x = _locked(features, x, rates.embedding)
    states = []
    for number, (layer, (num_inputs, num_units)) in enumerate(
        zip(params['layers'], layers)):
      *keys, dropped, given = jax.random.split(
          jax.random.fold_in(inner, number), 4)
      masks = None
      if rates.inputs or rates.hidden:
        masks = recurrent.Masks(
            _mask(keys[0], (batch_size, num_inputs), rates.inputs, x.dtype),
            _mask(keys[1], (batch_size, num_units), rates.hidden, x.dtype))
      if rates.weight:
        layer = _without_weights(dropped, layer, cell.recurrent, rates.weight)
      x, state = cell.run(layer, x, hidden[number], masks, length)
      states.append(state)
      if number + 1 < len(layers):
        x = _locked(given, x, rates.between)
    return Output(_locked(out, x, rates.output), x, states)

  shapes = jax.eval_shape(init, jax.random.key(0))
  count = sum(math.prod(x.shape) for x in jax.tree.leaves(shapes))
  return Model(init, start, apply, count, sizes)


def losses(params: Params, outputs: Array, targets: Array) -> Array:
  """Cross-entropies, float[T, B] in nats, of outputs float[T, B, d]."""
  return decoder.losses(outputs, *_decoder(params), targets)


def log_probs(params: Params, outputs: Array) -> Array:
  """float[T, B, V] of outputs float[T, B, d]."""
  return jax.nn.log_softmax(decoder.logits(outputs, *_decoder(params)))


def mean_loss(params: Params, outputs: Array, targets: Array,
              length: Array | None = None) -> Array:
  """The mean cross-entropy of a window, in nats; fast to differentiate.

  Args:
    params: of the model.
    outputs: float[T, B, d].
    targets: int32[T, B].
    length: int32[]; steps from that on do not count.

  Returns:
    float[].
  """
  steps, batch_size, size = outputs.shape
  counted = jnp.ones(steps, outputs.dtype) if length is None else (
      jnp.arange(steps) < length).astype(outputs.dtype)
  weights = counted / (jnp.sum(counted) * batch_size)
  return decoder.weighted_loss(
      outputs.reshape(-1, size), *_decoder(params), targets.reshape(-1),
      jnp.repeat(weights, batch_size))


def _decoder(params):
  return params.get('decoder', params['embedding']), params.get('bias')


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _mask(key, shape, rate, dtype):
  """0, or 1 / keep."""
  keep = jax.random.bernoulli(key, 1 - rate, shape)
  return keep.astype(dtype) / (1 - rate)


def _locked(key, x, rate):
  """Drops the same of each step of float[T, B, F]."""
  return x * _mask(key, x.shape[1:], rate, x.dtype) if rate else x


def _without_weights(key, layer, names, rate):
  """DropConnect of the recurrent weights."""
  keys = jax.random.split(key, max(len(names), 1))
  return layer | {name: layer[name] * _mask(
      k, layer[name].shape, rate, layer[name].dtype)
                  for k, name in zip(keys, names)}
