"""A controller small enough to know everything about it.

The logits of a position are a row of a table, chosen by the choice before.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import search
from nas_jax.evaluators import toy


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


def check_nothing_changes(strategy, rewards) -> None:
  """Two children with rewards of failed ones, after two with others."""
  state = strategy.init(jax.random.key(0))
  state = strategy.tell(jax.random.key(2), state, strategy.ask(
      jax.random.key(1), state), jnp.float32([.3, .5]))
  after = strategy.tell(jax.random.key(4), state, strategy.ask(
      jax.random.key(3), state), jnp.float32(rewards))
  assert (int(state.num_children), int(after.num_children)) == (2, 4)
  after = after._replace(num_children=state.num_children)
  for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def check_it_learns(strategy, space, *, num_rounds) -> None:
  """To choose 1 at each of three positions, with 20 seeds."""
  evaluator = toy.number_of_ones(space)
  _, history = jax.jit(jax.vmap(lambda key: search.scan(
      key, strategy, evaluator, num_rounds=num_rounds, rewards_only=True)))(
          jax.random.split(jax.random.key(0), 20))
  means = history.rewards.reshape(20, 10, -1).mean(-1)  # by decile
  assert (means[:, -1] > means[:, 0] + .5).all()
  assert means[:, -1].mean() > 2.8  # of 3
