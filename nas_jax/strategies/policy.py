"""What the policy-gradient strategies share: baselines, advantages, losses."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

FORMS = ('linear', 'cubed')
RATIOS = ('decision', 'genome')
UPDATES = ('before', 'after')
AVERAGES = ('plain', 'corrected')

# (children told so far) -> what `controller.sample` takes besides the key
Condition = Callable[[jax.Array], tuple[Any, ...]]


class Baseline(NamedTuple):
  """An exponential moving average of the mean rewards of batches."""
  value: jax.Array  # float32[], 0 before the first batch
  count: jax.Array  # int32[], batches seen


def init_baseline() -> Baseline:
  """Before the first batch."""
  return Baseline(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))


def ema_baseline(
    baseline: Baseline, mean: jax.Array, decay: float, average: str = 'plain'
) -> Baseline:
  """b <- decay b + (1 - decay) mean; the first mean is taken as it is.

  A 'corrected' average has started at 0 and is divided by the weight of the
  means in it, as Adam's: at first it is nearly the mean of all means.
  """
  keep = decay
  if average == 'corrected':
    n = baseline.count.astype(jnp.float32)
    keep = decay * (1 - decay ** n) / (1 - decay ** (n + 1))
  value = jnp.where(
      baseline.count == 0, mean, keep * baseline.value + (1 - keep) * mean)
  return Baseline(value, baseline.count + 1)


def advantage(
    rewards: jax.Array, baseline: jax.Array, form: str) -> jax.Array:
  """r - b, or (r - b)^3 if 'cubed', as AutoDL Design's search has it."""
  difference = rewards - baseline
  return difference ** 3 if form == 'cubed' else difference


def counted(rewards: jax.Array, failed_reward: float | None) -> jax.Array:
  """bool[B]: which children finished.

  A failed one has a reward that is not finite, or `failed_reward` if set.
  """
  finite = jnp.isfinite(rewards)
  return finite if failed_reward is None else finite & (
      rewards != failed_reward)


def mean_of_counted(values: jax.Array, counts: jax.Array) -> jax.Array:
  """The mean of float32[B] where bool[B] says so; 0 if it does nowhere."""
  return jnp.sum(jnp.where(counts, values, 0)) / jnp.maximum(
      jnp.sum(counts), 1)


def judge(
    baseline: Baseline,
    rewards: jax.Array,
    counts: jax.Array,
    *,
    decay: float | None,
    form: str,
    update: str = 'before',
    average: str = 'plain',
) -> tuple[jax.Array, Baseline]:
  """Compares the children of a batch with the baseline.

  Args:
    baseline: of the batches before.
    rewards: float32[B].
    counts: bool[B]; the other children change nothing.
    decay: of the baseline; None for no baseline.
    form: of the advantage.
    update: whether the baseline sees the batch 'before' or 'after' the batch
      is compared with it. The first batch is compared with its own mean.
    average: of the baseline, see `ema_baseline`.

  Returns:
    The advantages, float32[B], 0 where not counted; the next baseline.
  """
  rewards = jnp.where(counts, rewards, 0)
  if decay is None:
    used = jnp.zeros((), rewards.dtype)
  else:
    updated = ema_baseline(
        baseline, mean_of_counted(rewards, counts), decay, average)
    first = baseline.count == 0
    used = (updated.value if update == 'before' else
            jnp.where(first, updated.value, baseline.value))
    baseline = choose(jnp.any(counts), updated, baseline)
  return jnp.where(counts, advantage(rewards, used, form), 0), baseline


def clipped_surrogate(
    log_probs: jax.Array,
    old_log_probs: jax.Array,
    advantage: jax.Array,
    clip: float,
    ratio: str = 'decision',
) -> jax.Array:
  """PPO's objective for one genome: sum of min(r A, clip(r, 1 -+ c) A).

  Args:
    log_probs: float32[L], of its choices under the present policy.
    old_log_probs: float32[L], under the policy that sampled it. Where there
      is no choice both are 0, and the term has no gradient.
    advantage: float32[], A.
    clip: c.
    ratio: 'decision', a ratio r of probabilities per choice, summed; or
      'genome', one ratio of the probability of the whole genome.

  Reference: Schulman et al., arXiv 1707.06347, equation 7.
  """
  change = log_probs - old_log_probs
  r = jnp.exp(jnp.sum(change, keepdims=True) if ratio == 'genome' else change)
  return jnp.sum(jnp.minimum(
      r * advantage, jnp.clip(r, 1 - clip, 1 + clip) * advantage))


def unconditional(num_children: jax.Array) -> tuple[()]:
  """The condition of controllers that take none."""
  del num_children
  return ()


def choose(which: jax.Array, yes, no):
  """One of two equal trees, by bool[]."""
  return jax.tree.map(lambda a, b: jnp.where(which, a, b), yes, no)


def check(
    *,
    batch_size: int,
    learning_rate: float,
    baseline_decay: float | None,
    entropy_weight: float,
    clip_norm: float | None,
) -> None:
  """Raises a ValueError where an option of both strategies is out of range."""
  if batch_size < 1:
    raise ValueError(f'batch_size must be at least 1, got {batch_size}')
  if not learning_rate > 0:
    raise ValueError(f'learning_rate must be positive, got {learning_rate}')
  if baseline_decay is not None and not 0 <= baseline_decay < 1:
    raise ValueError(f'baseline_decay must lie in [0, 1), or be None for no '
                     f'baseline, got {baseline_decay}')
  if not entropy_weight >= 0:
    raise ValueError(
        f'entropy_weight must not be negative, got {entropy_weight}')
  if clip_norm is not None and not clip_norm > 0:
    raise ValueError(f'clip_norm must be positive or None, got {clip_norm}')


def check_one_of(name: str, value: str, expected: tuple[str, ...]) -> None:
  """Raises a ValueError unless the value is one of those expected."""
  if value not in expected:
    raise ValueError(f'unknown {name} {value!r}, expected one of '
                     f'{", ".join(expected)}')
