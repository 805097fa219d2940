"""A controller small enough to know everything about it.

The logits of a position are a row of a table, chosen by the choice before.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base


def controller(sizes, *, given=False) -> base.Controller:
  """Parameters float32[L, C, C]; `given`: position 0 is the condition."""
  most = max(sizes)
  legal = np.arange(most) < np.array(sizes)[:, None]  # [L, C]

  def init(key):
    return {'logits': jax.random.normal(key, (len(sizes), most, most))}

  def rows(params, genome):
    before = jnp.concatenate([jnp.zeros(1, jnp.int32), genome[:-1]])
    rows = params['logits'][jnp.arange(len(sizes)), before]
    return jax.nn.log_softmax(jnp.where(legal, rows, -1e9))

  def score(params, genome):
    log_probs = rows(params, genome)
    chosen = jnp.take_along_axis(log_probs, genome[:, None], 1)[:, 0]
    entropies = -jnp.sum(
        jnp.where(legal, jnp.exp(log_probs) * log_probs, 0), 1)
    free = np.arange(len(sizes)) >= given
    return base.Score(chosen * free, entropies * free)

  def sample(params, key, *condition):
    logits = jnp.where(legal[:, None], params['logits'], -1e9)
    logits += jax.random.gumbel(key, (len(sizes), 1, most))
    value, genome = 0, []
    for t in range(len(sizes)):
      value = jnp.argmax(logits[t, value]).astype(jnp.int32)
      if given and not t:
        value, = condition
      genome.append(value)
    genome = jnp.stack(genome)
    return genome, score(params, genome)

  return base.Controller(init, sample, score)


def all_genomes(sizes) -> jax.Array:
  return jnp.array(list(itertools.product(*map(range, sizes))), jnp.int32)


def probabilities(controller, params, genomes) -> jax.Array:
  scores = jax.vmap(controller.score, (None, 0))(params, genomes)
  return jnp.exp(jnp.sum(scores.log_probs, -1))


def expected_reward_gradient(controller, params, sizes, reward):
  """By differentiating the sum over all genomes of P(genome) reward."""
  genomes = all_genomes(sizes)
  return jax.grad(lambda params: jnp.sum(
      probabilities(controller, params, genomes) * reward(genomes)))(params)
