"""Q-learning over a table, with experience replay: BlockQNN's search.

Reference: Zhong et al., Practical Block-wise Neural Network Architecture
  Generation, arXiv 1708.05552, sec. 3.2 and 4.1.
"""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete

Schedule = tuple[tuple[float, int], ...]  # (epsilon, iterations)

PAPER_SCHEDULE: Schedule = (
    (1., 95), (.9, 7), (.8, 7), (.7, 7), (.6, 10), (.5, 10), (.4, 10),
    (.3, 10), (.2, 10), (.1, 12))

_SHAPING = ('steps', 'maximum')
_MOST_CHILDREN = 1 << 16


class QState(NamedTuple):
  """The table and the memory, a ring: child n is in slot n % C."""
  q: jax.Array  # float32[Q], see `Table`; then padding
  genomes: jax.Array  # int32[C, L]
  rewards: jax.Array  # float32[C]
  count: jax.Array  # int32[], children told so far


class Table(NamedTuple):
  """Where the flat table holds which entry; W is the most choices.

  The state at position t is the choice of position t - 1, the action the one
  of t: entry `starts[t, previous] + action`. Choices that end an architecture
  have no row. If there are any, the last of T positions is L, with the one
  action of ending where nothing else is possible; otherwise T = L.
  """
  starts: np.ndarray  # int32[T, W]
  widths: np.ndarray  # int32[T], actions
  ends: np.ndarray  # bool[T, W], actions that end the architecture
  size: int  # Q


def q_learning(
    space: base.Space,
    *,
    is_end: Callable[[Any], bool] | None = None,
    epsilon_schedule: Sequence[tuple[float, int]] = PAPER_SCHEDULE,
    batch_size: int = 64,
    num_updates: int = 64,
    learning_rate: float = 0.01,
    discount: float = 1.,
    initial_q: float = 0.5,
    shaping: bool = True,
    shaping_by: str = 'steps',
    capacity: int | None = None,
) -> base.Strategy:
  """Chooses position by position with an epsilon-greedy policy.

  With probability epsilon a choice is uniform, else one with the largest Q.
  After each round min(num_updates, children so far) children are drawn from
  the memory with replacement, and each updates its T steps, last first:

    Q(s_T, u) <- (1 - alpha) Q(s_T, u) + alpha r_T
    Q(s_t, u) <- (1 - alpha) Q(s_t, u) + alpha (r_t + gamma max Q(s_t+1, .))

  where r_t = r_T / T with reward shaping and 0 without.

  Args:
    space: where to search; see spaces/block.py for BlockQNN's.
    is_end: whether a value among the choices ends the architecture; the
      positions after it hold their first such choice.
    epsilon_schedule: pairs (epsilon, rounds); the last epsilon stays.
    batch_size: B, children per round.
    num_updates: children of the memory that update Q per round.
    learning_rate: alpha.
    discount: gamma.
    initial_q: of all entries (not published; MetaQNN's).
    shaping: whether steps before the last have a reward.
    shaping_by: what r_T is divided by: 'steps', those of this child, or
      'maximum', those of the longest (a published re-implementation).
    capacity: C, of the memory; when it is full the oldest go. By default all
      children of the schedule.

  Raises:
    ValueError: an argument out of range, or an `is_end` with which a position
      after the end has no choice to hold.

  Note: equal Q are told apart at random, which the paper leaves open: at
  first all are equal. The last step of an architecture is the one that ends
  it and counts in T. Where nothing else is possible (BlockQNN's layer of
  maximum index), it is a step like others, with one action and its own entry.
  Children that failed teach their floor like others. Rewards are taken as
  they are: beside an initial Q of 0.5 they should be of that order.
  """
  schedule = tuple((float(e), int(n)) for e, n in epsilon_schedule)
  _check(schedule, batch_size, num_updates, learning_rate, discount, initial_q,
         shaping_by)
  if capacity is None:
    capacity = batch_size * sum(n for _, n in schedule)
  if not batch_size <= capacity <= _MOST_CHILDREN:
    raise ValueError(f'capacity {capacity} is not in {batch_size} (batch_size)'
                     f'..{_MOST_CHILDREN}')
  table_ = table(space.choices, is_end)
  length, width = len(space.choices), table_.starts.shape[1]
  num_steps = len(table_.widths)

  def init(key: base.Key) -> QState:
    del key
    return QState(
        q=jnp.full(table_.size + width, initial_q, jnp.float32),
        genomes=jnp.zeros((capacity, length), jnp.int32),
        rewards=jnp.zeros(capacity, jnp.float32),
        count=jnp.zeros((), jnp.int32))

  def ask(key: base.Key, state: QState) -> base.Proposals:
    bits = jax.random.bits(key, (length, batch_size, 3))
    # A probability as a threshold on 24 random bits.
    chance = epsilon(schedule, state.count // batch_size)
    threshold = (chance * 2**24).astype(jnp.uint32)
    return base.Proposals(act(state.q, bits, threshold))

  def act(q, bits, threshold) -> jax.Array:
    """Genomes, int32[B, L], from uint32[L, B, 3]."""
    fills = np.argmax(table_.ends[:length], axis=1).astype(np.int32)

    def step(carry, xs):
      previous, ended = carry
      bits, starts, size, ends, fill = xs
      values = _rows(q, starts[previous], width)
      greedy = _random_best(bits[:, 0], values, size)
      explored = discrete.random_below(bits[:, 1], size.astype(jnp.uint32))
      explore = bits[:, 2] >> 8 < threshold
      action = jnp.where(explore, explored, greedy)
      action = jnp.where(ended, fill, action)
      return (action, ended | ends[action]), action

    start = jnp.zeros(batch_size, jnp.int32), jnp.zeros(batch_size, bool)
    _, genomes = jax.lax.scan(step, start, (
        bits, *(jnp.asarray(x[:length]) for x in table_[:3]), fills))
    return genomes.T

  def tell(
      key: base.Key,
      state: QState,
      proposals: base.Proposals,
      rewards: base.Rewards,
  ) -> QState:
    slots = (state.count + jnp.arange(batch_size)) % capacity
    genomes = state.genomes.at[slots].set(proposals.genomes)
    rewards = state.rewards.at[slots].set(rewards)
    count = state.count + batch_size
    size = jnp.minimum(count, capacity)
    bits = jax.random.bits(key, (num_updates,))
    draws = discrete.random_below(bits, size.astype(jnp.uint32))
    used = jnp.arange(num_updates) < size

    def step(q, xs):
      return learn(q, *xs), None

    q, _ = jax.lax.scan(
        step, state.q, (genomes[draws], rewards[draws], used))
    return QState(q, genomes, rewards, count)

  def learn(q, genome, reward, used) -> jax.Array:
    """The table after the steps of one child.

    No two of them are in one row, so that all rows are read at once; what a
    step changes in its row goes to the step before it.
    """
    actions = jnp.zeros(num_steps, jnp.int32).at[:length].set(genome)
    previous = jnp.concatenate([jnp.zeros(1, jnp.int32), actions[:-1]])
    steps = jnp.arange(num_steps)
    starts = jnp.asarray(table_.starts)[steps, previous]
    if is_end is None:
      last = num_steps - 1
    else:
      last = jnp.argmax(jnp.asarray(table_.ends)[steps, actions])
    values = _rows(q, starts, width)
    columns = np.arange(width)
    others = jnp.max(values, axis=1, initial=-jnp.inf, where=(
        columns < table_.widths[:, None]) & (columns != actions[:, None]))
    unit = last + 1 if shaping_by == 'steps' else num_steps
    shaped = reward / unit if shaping else jnp.float32(0)

    def back(best, xs):
      value, other, t = xs
      target = jnp.where(t == last, reward, shaped + discount * best)
      value = (1 - learning_rate) * value + learning_rate * target
      return jnp.maximum(value, other), value

    taken = jnp.take_along_axis(values, actions[:, None], axis=1)[:, 0]
    _, new = jax.lax.scan(
        back, jnp.float32(0), (taken, others, steps), reverse=True)
    entries = jnp.where((steps <= last) & used, starts + actions, q.size)
    return q.at[entries].set(new, mode='drop')

  return base.Strategy(init, ask, tell)


def table(choices: discrete.Choices, is_end: Callable[[Any], bool] | None
          ) -> Table:
  """The layout of the table of a space.

  Raises:
    ValueError: a position after a possible end without a choice that ends.
  """
  ends = [[is_end is not None and bool(is_end(value)) for value in c]
          for c in choices]
  may_end = False
  for t, found in enumerate(ends):
    if may_end and not any(found):
      raise ValueError(f'an architecture may end before position {t}, which '
                       'has no choice that ends it')
    may_end = may_end or any(found)
  if is_end is not None:
    ends.append([True])
  width = max(map(len, ends))
  starts = np.zeros((len(ends), width), np.int32)
  size, previous = 0, [False]
  for t, found in enumerate(ends):
    for i, ended in enumerate(previous):
      starts[t, i] = size
      size += 0 if ended else len(found)
    previous = found
  if size > np.iinfo(np.int32).max:
    raise ValueError(f'the table has {size} entries, more than 2^31 - 1')
  widths = np.array(list(map(len, ends)), np.int32)
  padded = np.array([e + [False] * (width - len(e)) for e in ends])
  return Table(starts, widths, padded, size)


def epsilon(schedule: Schedule, number: jax.Array) -> jax.Array:
  """Of a round, from 0; after the schedule the last: int32[] -> float32[]."""
  ends = np.cumsum([n for _, n in schedule[:-1]])
  values = jnp.array([e for e, _ in schedule], jnp.float32)
  return values[jnp.sum(number >= ends)]


def scaled_schedule(
    num_rounds: int, schedule: Sequence[tuple[float, int]] = PAPER_SCHEDULE
) -> Schedule:
  """The same proportions on another number of rounds.

  Every epsilon has at least one round if there are enough; otherwise some
  have none and are left out.

  Args:
    num_rounds: in all, from 1.
    schedule: pairs (epsilon, rounds).

  Raises:
    ValueError: num_rounds below 1.
  """
  if num_rounds < 1:
    raise ValueError(f'num_rounds must be at least 1, got {num_rounds}')
  total = sum(n for _, n in schedule)
  least = int(num_rounds >= len(schedule))
  found, done, original = [], 0, 0
  for i, (epsilon, rounds) in enumerate(schedule, 1):
    original += rounds
    end = max(round(num_rounds * original / total), done + least)
    end = min(end, num_rounds - least * (len(schedule) - i))
    if end > done:
      found.append((epsilon, end - done))
    done = end
  return tuple(found)


def _rows(q: jax.Array, starts: jax.Array, width: int) -> jax.Array:
  """float32[N, W] from the places N rows begin at; W is over-long."""
  return jax.vmap(lambda start: jax.lax.dynamic_slice(q, (start,), (width,)))(
      starts)


def _random_best(bits: jax.Array, values: jax.Array, size: jax.Array
                 ) -> jax.Array:
  """One of the largest of the first `size` values, uniformly; int32[B].

  Args:
    bits: uint32[B], random.
    values: float32[B, W].
    size: int32[].
  """
  inside = jnp.arange(values.shape[1]) < size
  best = jnp.max(values, axis=1, where=inside, initial=-jnp.inf)
  is_best = inside & (values == best[:, None])
  rank = jnp.cumsum(is_best, axis=1, dtype=jnp.int32)
  pick = discrete.random_below(bits, rank[:, -1].astype(jnp.uint32))
  return jnp.argmax(rank > pick[:, None], axis=1).astype(jnp.int32)


def _check(schedule, batch_size, num_updates, learning_rate, discount,
           initial_q, shaping_by) -> None:
  if not schedule or any(not 0 <= e <= 1 or n < 1 for e, n in schedule):
    raise ValueError('epsilon_schedule must be pairs (epsilon in 0..1, rounds '
                     f'from 1), got {schedule}')
  if batch_size < 1 or num_updates < 1:
    raise ValueError(f'batch_size {batch_size} and num_updates {num_updates} '
                     'must be at least 1')
  if not 0 < learning_rate <= 1:
    raise ValueError(f'learning_rate {learning_rate} is not in (0, 1]')
  if not 0 <= discount <= 1:
    raise ValueError(f'discount {discount} is not in 0..1')
  if not math.isfinite(initial_q):
    raise ValueError(f'initial_q must be finite, got {initial_q}')
  if shaping_by not in _SHAPING:
    raise ValueError(f'unknown shaping_by {shaping_by!r}, expected one of '
                     f'{", ".join(_SHAPING)}')
