"""REINFORCE, with the asynchronous replicas of NAS-RL.

References:
  Williams, 1992. Simple statistical gradient-following algorithms for
    connectionist reinforcement learning.
  Zoph and Le, arXiv 1611.01578, sections 3.2 and 4.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax.flatten_util import ravel_pytree
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import base
from nas_jax.controllers import sequence
from nas_jax.strategies import policy
from nas_jax.strategies import policy_server

_ENTROPY_IN = ('loss', 'reward')


class ReinforceState(NamedTuple):
  """The server's parameters and what the replicas hold of them."""
  server: policy_server.Shard  # S shards of W parameters
  replicas: jax.Array  # float32[K, S, W], as each last fetched them
  baseline: policy.Baseline
  num_children: jax.Array  # int32[], told so far


class Sampled(NamedTuple):
  """What is remembered of the children of a round."""
  bonuses: jax.Array  # float32[B], of the policy's entropy, to the rewards


def reinforce(
    space: base.Space,
    *,
    controller: base.Controller | None = None,
    batch_size: int = 8,
    num_replicas: int = 1,
    num_shards: int = 1,
    accumulate: int = 1,
    learning_rate: float = 6e-4,
    optimizer: Callable[[float], optax.GradientTransformation] = optax.adam,
    baseline_decay: float | None = 0.95,
    baseline_update: str = 'before',
    baseline_average: str = 'plain',
    advantage: str = 'linear',
    entropy_weight: float = 0.,
    entropy_in: str = 'loss',
    clip_norm: float | None = None,
    failed_reward: float | None = None,
    condition: policy.Condition = policy.unconditional,
    map_replicas: Callable[[Callable], Callable] = jax.vmap,
) -> base.Strategy:
  """Follows the policy gradient of the expected reward.

  K replicas of the controller each sample m children from their own, stale
  copy of the parameters. In a round all replicas finish once, in a random
  order. As one finishes, the mean reward of its children moves the shared
  baseline, and it sends its gradient

    mean over m of grad (-log P(genome) advantage) - w grad entropy,

  taken at the parameters that it sampled with, to a server of S shards, which
  hold contiguous parts of the parameters. The gradients of a round reach every
  shard in a random order of its own, the first shard in the order of
  finishing. When a replica's gradient has reached the first shard, it
  fetches the parameters as every shard has them then: with gradients of
  other replicas in them, and perhaps not yet all of its own.

  One replica is the synchronous algorithm: no parameter is stale. Replicas of
  which all children failed send nothing, and fetch.

  Args:
    space: where to search.
    controller: the policy; by default `controllers.sequence`.
    batch_size: m, children per replica; a round has K m.
    num_replicas: K.
    num_shards: S.
    accumulate: how many replicas' gradients the server collects before it
      applies their mean.
    learning_rate: of the optimizer.
    optimizer: makes the optimizer from the learning rate. Every shard has
      its own, so it must work element by element.
    baseline_decay: b <- decay b + (1 - decay) mean reward; the first mean is
      the first b. None for no baseline.
    baseline_update: whether b moves 'before' or 'after' the children are
      compared with it.
    baseline_average: 'plain', as above, or 'corrected' for its start at 0, as
      NAS-Bench-201's search has it.
    advantage: 'linear', r - b, or 'cubed', (r - b)^3.
    entropy_weight: w.
    entropy_in: where the entropy of the policy is rewarded: in the 'loss', by
      its gradient, or in the 'reward', r + w entropy, as ENAS's code does.
    clip_norm: largest norm of a replica's gradient.
    failed_reward: what the evaluator gives to failed children. They, and
      children with a reward that is not finite, move neither the baseline nor
      the parameters. None where every finite reward is one to learn from.
    condition: (number of children told so far) -> what `controller.sample`
      takes besides the key, as NAS-RL's growing depth. All children of a
      round have the same.
    map_replicas: `jax.vmap`, or `parallel.pmap_rows` with a number of devices,
      which then share the gradients of the replicas.

  Raises:
    ValueError: an argument out of range.

  Note: the decay of the baseline, the clipping and what becomes of failed
  children are not published for NAS-RL. Its replicas are asynchronous in
  time; here each finishes once per round, and the gradients of a round are
  under way together. Published are K=100, m=8, S=20 for images, and K=400,
  m=1, S=20, accumulate=10 for language.
  """
  policy.check(
      batch_size=batch_size, learning_rate=learning_rate,
      baseline_decay=baseline_decay, entropy_weight=entropy_weight,
      clip_norm=clip_norm)
  for name, count in (('num_replicas', num_replicas),
                      ('num_shards', num_shards), ('accumulate', accumulate)):
    if count < 1:
      raise ValueError(f'{name} must be at least 1, got {count}')
  policy.check_one_of('advantage', advantage, policy.FORMS)
  policy.check_one_of('baseline_update', baseline_update, policy.UPDATES)
  policy.check_one_of('baseline_average', baseline_average, policy.AVERAGES)
  policy.check_one_of('entropy_in', entropy_in, _ENTROPY_IN)
  if controller is None:
    controller = sequence.controller(space.choices)
  k, m, s = num_replicas, batch_size, num_shards
  num_params, unravel = _flat(controller)
  server = policy_server.server(
      optimizer(learning_rate), num_params=num_params, num_shards=s,
      accumulate=accumulate)

  def init(key: base.Key) -> ReinforceState:
    params = server.cut(ravel_pytree(controller.init(key))[0])
    return ReinforceState(
        server=server.init(params),
        replicas=jnp.tile(params, (k, 1, 1)),
        baseline=policy.init_baseline(),
        num_children=jnp.zeros((), jnp.int32))

  def ask(key: base.Key, state: ReinforceState) -> base.Proposals:
    given = condition(state.num_children)

    def sample(replica, keys):
      params = unravel(server.join(replica))
      return jax.vmap(lambda key: controller.sample(params, key, *given))(keys)

    keys = jax.random.split(key, k * m)
    genomes, scores = jax.vmap(sample)(
        state.replicas, keys.reshape(k, m, *keys.shape[1:]))
    weight = entropy_weight if entropy_in == 'reward' else 0.
    return base.Proposals(
        genomes.reshape(k * m, -1),
        Sampled(weight * jnp.sum(scores.entropies, -1).reshape(-1)))

  @map_replicas
  def gradient(replica, genomes, advantages, counts):
    def loss(params):
      scores = jax.vmap(controller.score, (None, 0))(params, genomes)
      losses = -jnp.sum(scores.log_probs, -1) * advantages
      if entropy_weight and entropy_in == 'loss':
        losses -= entropy_weight * jnp.sum(scores.entropies, -1)
      return policy.mean_of_counted(losses, counts)

    gradients, _ = ravel_pytree(jax.grad(loss)(unravel(server.join(replica))))
    if clip_norm is not None:
      norm = jnp.linalg.norm(gradients)
      gradients *= clip_norm / jnp.maximum(norm, clip_norm)
    return server.cut(gradients)

  def tell(
      key: base.Key,
      state: ReinforceState,
      proposals: base.Proposals,
      rewards: base.Rewards,
  ) -> ReinforceState:
    # orders[s, i]: whose gradient reaches shard s as its i-th of the round.
    orders = jnp.argsort(jax.random.bits(key, (s, k)))
    counts = policy.counted(rewards, failed_reward).reshape(k, m)
    rewards = (rewards + proposals.aux.bonuses).reshape(k, m)

    def finish(baseline, replica):
      advantages, baseline = policy.judge(
          baseline, rewards[replica], counts[replica], decay=baseline_decay,
          form=advantage, update=baseline_update, average=baseline_average)
      return baseline, advantages

    baseline, ordered = jax.lax.scan(finish, state.baseline, orders[0])
    advantages = jnp.zeros((k, m), jnp.float32).at[orders[0]].set(ordered)
    gradients = gradient(
        state.replicas, proposals.genomes.reshape(k, m, -1), advantages, counts)
    sent = jnp.any(counts, -1)

    def arrive(carry, senders):  # int32[S]
      shards, replicas = carry
      shards = server.receive(
          shards, gradients[senders, jnp.arange(s)], sent[senders])
      return (shards, replicas.at[senders[0]].set(shards.params)), None

    (shards, replicas), _ = jax.lax.scan(
        arrive, (state.server, state.replicas), orders.T)
    return ReinforceState(
        shards, replicas, baseline, state.num_children + k * m)

  return base.Strategy(init, ask, tell)


def _flat(controller: base.Controller) -> tuple[int, Callable]:
  """The number of parameters, and the function from a vector to their tree."""
  shapes = jax.eval_shape(controller.init, jax.random.key(0))
  vector, unravel = ravel_pytree(
      jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes))
  return vector.size, unravel
