"""Recurrent cells that share weights: a chain picks its own out of them all.

A genome is data here, so that one program trains and scores every chain of
`spaces.recurrent.chain_space`. A step computes and moves only what the chain
uses. Notation: T steps, B rows, d units, N nodes, K activations, L = 2 N.

References:
  Pham et al., Efficient Neural Architecture Search via Parameter Sharing,
    arXiv 1802.03268, sec. 2.1; google-research, enas_lm.
  Luo et al., Neural Architecture Optimization, arXiv 1808.07233, with weight
    sharing.
"""

from collections.abc import Callable
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import checks
from nas_jax.networks import language
from nas_jax.networks import recurrent
from nas_jax.networks import recurrent_any
from nas_jax.spaces import recurrent as space
from nas_jax.supernets import shared
from nas_jax.training import language_recipes
from nas_jax.training import language_steps
from nas_jax.training import optimizers

Array = jax.Array
Params = dict[str, Any]


class Weights(NamedTuple):
  """Weights that all chains share, and what is done with them.

  Attributes:
    init: key -> parameters of all chains: as those of a language model, but
      'nodes' of a layer are float[i, K, d, 2d] for node i = 1..N, by what the
      node reads and by its activation.
    pick: (parameters, genome int32[L]) -> parameters of one chain, those of
      `language.make`.
    put: (parameters, genome, parameters of one chain) -> parameters.
    start: B -> hidden states, zeros.
    apply: (parameters of one chain, genome, tokens, hidden, **options) ->
      language.Output, as `language.Model.apply`.
    step: (key, parameters, hidden, genome, inputs int32[T, B], targets, length
      int32[], learning rate) -> (parameters, hidden, mean cross-entropy); it
      may be given away parameters that must not be used again.
    score: (parameters, genomes int32[M, L], inputs int32[M, T, B], targets) ->
      mean cross-entropies float[M], from states of zeros and without dropout.
    num_params: of all chains together.
  """
  init: Callable[[base.Key], Params]
  pick: Callable[[Params, base.Genome], Params]
  put: Callable[[Params, base.Genome, Params], Params]
  start: Callable[[int], language.Hidden]
  apply: Callable[..., language.Output]
  step: Callable[..., tuple[Params, language.Hidden, Array]]
  score: Callable[..., Array]
  num_params: int


def make(
    num_nodes: int,
    sizes: language.Sizes,
    recipe: language_recipes.LanguageRecipe,
    *,
    decay: str = 'used',
    mean_of_all: bool = False,
) -> Weights:
  """Shared weights of chains.

  Args:
    num_nodes: N.
    sizes: of every chain; all layers are of one chain.
    recipe: of the steps.
    decay: 'used': the penalty is of the matrices that the chain uses, and its
      gradient is clipped with the other, as in the public code of ENAS. 'all':
      all weights decay in every step, after clipping, as in PyTorch.
    mean_of_all: whether the output is the mean of s_0, too, as in the public
      code of NAO with weight sharing; otherwise of s_1, ..., s_N.

  Raises:
    ValueError: an argument out of range, or a recipe with another optimizer
      than SGD.

  Note: the public code of ENAS has the sum of fourth powers as its penalty,
    and leaves the first node out; here it is half the sum of squares of all.
  """
  if num_nodes < 1:
    raise ValueError(f'num_nodes is {num_nodes}, expected at least 1')
  checks.one_of('decay', decay, shared.DECAYS)
  if recipe.optimizer != 'sgd':
    raise ValueError(f'optimizer is {recipe.optimizer}, but shared weights '
                     'are trained by sgd')
  plain = language.make('rnn_chain', space.Chain(
      (('tanh', 0),) * num_nodes, (1,)), sizes)
  num_activations = len(space.ACTIVATIONS)
  rates = recipe.rates()
  output = np.full(num_nodes + 1, 1 / (num_nodes + mean_of_all), np.float32)
  if not mean_of_all:
    output[0] = 0

  def init(key):
    own, *keys = jax.random.split(key, 1 + sizes.num_layers)
    params = plain.init(own)

    def layer(key, like):
      # One draw for all, which compiles fast.
      drawn = recurrent.uniform(
          key, (num_nodes * (num_nodes + 1) // 2, num_activations,
                *like['nodes'][0].shape), sizes.init_range)
      ends = np.cumsum(range(num_nodes + 1))
      return like | {'nodes': [
          drawn[a:b] for a, b in zip(ends[:-1], ends[1:])]}

    return params | {'layers': [
        layer(*pair) for pair in zip(keys, params['layers'])]}

  def pick(params, genome):
    return _with_nodes(params, lambda i, all_: all_[
        genome[2 * i], genome[2 * i + 1]])

  def put(params, genome, chosen):
    layers = [each | {'nodes': [
        all_.at[genome[2 * i], genome[2 * i + 1]].set(own)
        for i, (all_, own) in enumerate(zip(before['nodes'], each['nodes']))]}
              for before, each in zip(params['layers'], chosen['layers'])]
    return chosen | {'layers': layers}

  def apply(chosen, genome, tokens, hidden, **options):
    cell = recurrent_any.chain(recurrent_any.Chain(
        genome[::2], genome[1::2], output))
    return language.of_cell(cell, sizes).apply(
        chosen, tokens, hidden, **options)

  def loss(chosen, key, hidden, genome, inputs, targets, length):
    out = apply(chosen, genome, inputs, hidden, key=key, rates=rates,
                length=length)
    own = language.mean_loss(chosen, out.outputs, targets, length)
    total = own + language_steps.penalties(recipe, out, length)
    if decay == 'used':
      total += recipe.weight_decay / 2 * sum(
          jnp.sum(w * w) for w in jax.tree.leaves(chosen['layers']))
    return total, (own, out.hidden)

  def step(key, params, hidden, genome, inputs, targets, length, rate):
    chosen = pick(params, genome)
    grads, (own, hidden) = jax.grad(loss, has_aux=True)(
        chosen, key, hidden, genome, inputs, targets, length)
    if recipe.clip_norm:
      grads, _ = optimizers.clipped(recipe.clip_norm, grads)
    if decay == 'all':
      keep = 1 - rate * recipe.weight_decay
      params = jax.tree.map(lambda p: keep * p, params)
      chosen = pick(params, genome)
    chosen = jax.tree.map(lambda p, g: p - rate * g, chosen, grads)
    return put(params, genome, chosen), hidden, own

  def score(params, genomes, inputs, targets):
    def one(each):
      genome, x, y = each
      chosen = pick(params, genome)
      out = apply(chosen, genome, x, plain.start(x.shape[1]))
      return language.mean_loss(chosen, out.outputs, y)

    return jax.lax.map(one, (genomes, inputs, targets))

  shapes = jax.eval_shape(init, jax.random.key(0))
  return Weights(
      jax.jit(init), pick, put, plain.start, apply,
      jax.jit(step, donate_argnums=1),
      jax.jit(score), sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)))


def _with_nodes(params, change):
  return params | {'layers': [
      layer | {'nodes': [change(i, w) for i, w in enumerate(layer['nodes'])]}
      for layer in params['layers']]}
