"""The policy gradient of ENAS.

Reference: Pham et al., Efficient Neural Architecture Search via Parameter
  Sharing, arXiv 1802.03268, sec. 2.2; melodyguan/enas general_controller.py
  and micro_controller.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nas_jax import base
from nas_jax.strategies import policy

Penalty = Callable[[base.PyTree, base.Genome], jax.Array]


class EnasState(NamedTuple):
  """The policy and what its rewards are compared with."""
  params: base.PyTree  # of the controller
  optimizer: Any
  baseline: jax.Array  # float32[], from 0
  entropy: jax.Array  # float32[], mean of the last round


class Sampled(NamedTuple):
  """What is remembered of the architectures of a round."""
  entropies: jax.Array  # float32[M]


def enas(
    controller: base.Controller,
    *,
    batch_size: int = 20,
    learning_rate: float = 1e-3,
    optimizer: Callable[[float], optax.GradientTransformation] | None = None,
    baseline_decay: float = .99,
    entropy_weight: float = 1e-4,
    penalty: Penalty | None = None,
    penalty_weight: float = .8,
) -> base.Strategy:
  """REINFORCE with a moving baseline, and a penalty on what is chosen.

  A round samples M architectures from one policy. One after the other, each
  with R = reward + w entropy moves the baseline, b <- b - (1 - decay) (b - R),
  and is then compared with it. The mean over them of the gradients of

    -log P(genome) (R - b) + penalty_weight penalty

  makes one step of the optimizer. The defaults are those of the published
  macro search; micro has M = 10 and a rate of 3.5e-3.

  Args:
    controller: the policy, of `controllers.enas`.
    batch_size: M, the samples whose gradients are averaged.
    learning_rate: of the optimizer.
    optimizer: makes the optimizer from the rate; by default `adam`.
    baseline_decay: see above; the baseline starts at 0.
    entropy_weight: w.
    penalty: (params, genome) -> float32[], such as `enas.Macro.penalty`.
    penalty_weight: see above.

  Raises:
    ValueError: an argument out of range.
  """
  policy.check(
      batch_size=batch_size, learning_rate=learning_rate,
      baseline_decay=baseline_decay, entropy_weight=entropy_weight,
      clip_norm=None)
  if not penalty_weight >= 0:
    raise ValueError(
        f'penalty_weight must not be negative, got {penalty_weight}')
  optimizer = (optimizer or adam)(learning_rate)

  def init(key: base.Key) -> EnasState:
    params = controller.init(key)
    zero = jnp.zeros((), jnp.float32)
    return EnasState(params, optimizer.init(params), zero, zero)

  def ask(key: base.Key, state: EnasState) -> base.Proposals:
    genomes, scores = jax.vmap(lambda key: controller.sample(
        state.params, key))(jax.random.split(key, batch_size))
    return base.Proposals(genomes, Sampled(jnp.sum(scores.entropies, -1)))

  def tell(key: base.Key, state: EnasState, proposals: base.Proposals,
           rewards: base.Rewards) -> EnasState:
    del key
    entropies = proposals.aux.entropies
    baseline, advantages = judge(
        state.baseline, rewards + entropy_weight * entropies, baseline_decay)

    def loss(params):
      def one(genome, advantage):
        value = -jnp.sum(controller.score(params, genome).log_probs) * advantage
        return value if penalty is None else (
            value + penalty_weight * penalty(params, genome))
      return jnp.mean(jax.vmap(one)(proposals.genomes, advantages))

    updates, inner = optimizer.update(
        jax.grad(loss)(state.params), state.optimizer, state.params)
    return EnasState(optax.apply_updates(state.params, updates), inner,
                     baseline, jnp.mean(entropies))

  return base.Strategy(init, ask, tell)


def judge(baseline: jax.Array, rewards: jax.Array, decay: float
          ) -> tuple[jax.Array, jax.Array]:
  """The baseline after rewards float32[M] in turn, and the advantages."""
  def step(b, reward):
    b = b - (1 - decay) * (b - reward)
    return b, reward - b

  return jax.lax.scan(step, baseline, rewards)


def adam(learning_rate: float, *, b1: float = 0., b2: float = .999,
         epsilon: float = 1e-3) -> optax.GradientTransformation:
  """Adam as TensorFlow has it, with the settings of ENAS' code.

  p -= rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon): epsilon is
  added before the correction of v. It is large here, so that this matters.
  """
  def init(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return zeros, zeros, jnp.zeros((), jnp.int32)

  def update(grads, state, params=None):
    del params
    m, v, count = state
    count = count + 1
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
    t = count.astype(jnp.float32)
    rate = learning_rate * jnp.sqrt(1 - b2**t) / (1 - b1**t)
    updates = jax.tree.map(
        lambda m, v: -rate * m / (jnp.sqrt(v) + epsilon), m, v)
    return updates, (m, v, count)

  return optax.GradientTransformation(init, update)
