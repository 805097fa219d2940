"""Proximal policy optimization, with the settings of NASNet.

References:
  Schulman et al., arXiv 1707.06347.
  Zoph et al., arXiv 1707.07012, appendix A.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nas_jax import base
from nas_jax.controllers import sequence
from nas_jax.strategies import policy


class PpoState(NamedTuple):
  """The policy."""
  params: base.PyTree
  optimizer: base.PyTree
  baseline: policy.Baseline
  num_children: jax.Array  # int32[], told so far


class Sampled(NamedTuple):
  """How likely the policy was to choose the children of a round."""
  log_probs: jax.Array  # float32[B, L]


def ppo(
    space: base.Space,
    *,
    controller: base.Controller | None = None,
    batch_size: int = 20,
    learning_rate: float = 3.5e-4,
    optimizer: Callable[[float], optax.GradientTransformation] = optax.adam,
    num_epochs: int = 4,
    clip: float = 0.2,
    ratio: str = 'decision',
    baseline_decay: float | None = 0.95,
    baseline_update: str = 'before',
    advantage: str = 'linear',
    entropy_weight: float = 1e-5,
    clip_norm: float | None = None,
    failed_reward: float | None = None,
    condition: policy.Condition = policy.unconditional,
) -> base.Strategy:
  """Takes several steps of the clipped objective on every batch of children.

  Args:
    space: where to search.
    controller: the policy; by default `controllers.sequence`, NASNet's.
    batch_size: B, children per round.
    learning_rate: of the optimizer.
    optimizer: makes the optimizer from the learning rate.
    num_epochs: steps of the optimizer per round, each on all B children.
    clip: how far from 1 a ratio of probabilities earns anything.
    ratio: 'decision', a ratio for each choice, or 'genome', one for all.
    baseline_decay: see `reinforce`, as all that follow.
    baseline_update: 'before' or 'after'.
    advantage: 'linear' or 'cubed'.
    entropy_weight: of the mean entropy in the objective.
    clip_norm: largest norm of a gradient.
    failed_reward: what the evaluator gives to failed children.
    condition: what `controller.sample` takes besides the key.

  Raises:
    ValueError: an argument out of range.

  Note: NASNet publishes neither the clipping, nor the epochs per batch, nor
  what a ratio is of, nor what becomes of failed children; clip is the first
  choice of the reference above.
  """
  policy.check(
      batch_size=batch_size, learning_rate=learning_rate,
      baseline_decay=baseline_decay, entropy_weight=entropy_weight,
      clip_norm=clip_norm)
  if num_epochs < 1:
    raise ValueError(f'num_epochs must be at least 1, got {num_epochs}')
  if not 0 < clip < 1:
    raise ValueError(f'clip must lie in (0, 1), got {clip}')
  policy.check_one_of('ratio', ratio, policy.RATIOS)
  policy.check_one_of('advantage', advantage, policy.FORMS)
  policy.check_one_of('baseline_update', baseline_update, policy.UPDATES)
  if controller is None:
    controller = sequence.controller(space.choices)
  descent = optimizer(learning_rate)
  if clip_norm is not None:
    descent = optax.chain(optax.clip_by_global_norm(clip_norm), descent)

  def init(key: base.Key) -> PpoState:
    params = controller.init(key)
    return PpoState(
        params, descent.init(params), policy.init_baseline(),
        jnp.zeros((), jnp.int32))

  def ask(key: base.Key, state: PpoState) -> base.Proposals:
    given = condition(state.num_children)
    genomes, scores = jax.vmap(
        lambda key: controller.sample(state.params, key, *given))(
            jax.random.split(key, batch_size))
    return base.Proposals(genomes, Sampled(scores.log_probs))

  def loss(params, proposals, advantages, counts):
    scores = jax.vmap(controller.score, (None, 0))(params, proposals.genomes)
    gains = jax.vmap(
        lambda *x: policy.clipped_surrogate(*x, clip, ratio))(
            scores.log_probs, proposals.aux.log_probs, advantages)
    gains += entropy_weight * jnp.sum(scores.entropies, -1)
    return -policy.mean_of_counted(gains, counts)

  def tell(
      key: base.Key,
      state: PpoState,
      proposals: base.Proposals,
      rewards: base.Rewards,
  ) -> PpoState:
    del key
    counts = policy.counted(rewards, failed_reward)
    advantages, baseline = policy.judge(
        state.baseline, rewards, counts, decay=baseline_decay, form=advantage,
        update=baseline_update)

    def step(carry, _):
      params, memory = carry
      gradients = jax.grad(loss)(params, proposals, advantages, counts)
      updates, memory = descent.update(gradients, memory, params)
      return (optax.apply_updates(params, updates), memory), None

    before = state.params, state.optimizer
    after, _ = jax.lax.scan(step, before, length=num_epochs)
    params, memory = policy.choose(jnp.any(counts), after, before)
    return PpoState(
        params, memory, baseline, state.num_children + batch_size)

  return base.Strategy(init, ask, tell)
