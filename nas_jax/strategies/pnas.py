"""Progressive search: architectures grow by a block per level.

Reference: Liu et al., Progressive Neural Architecture Search, arXiv
  1712.00559, Algorithm 1 and sec. 4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.predictors import surrogate
from nas_jax.spaces import progressive


class PnasState(NamedTuple):
  """What was evaluated, and what is to be evaluated at this level."""
  genomes: jax.Array  # int32[C, L], evaluated ones in their order
  rewards: jax.Array  # float32[C]
  # The levels at whose beam each was; beyond the evaluated ones 0.
  first_level: jax.Array  # int32[C]
  last_level: jax.Array  # int32[C]
  count: jax.Array  # int32[], evaluated
  queue: jax.Array  # int32[Q, L], children of this level
  queue_size: jax.Array  # int32[]
  position: jax.Array  # int32[], children told since the queue was made
  level: jax.Array  # int32[], from 1


def pnas(
    space: base.Space,
    *,
    growth: progressive.Growth | None = None,
    predictor: str = 'mlp',
    num_predictors: int = 5,
    beam_size: int = 256,
    batch_size: int = 1,
    first_size: int | None = None,
    capacity: int | None = None,
    hidden_size: int = 100,
    epochs: int = 50,
    predictor_batch_size: int = 32,
    first_learning_rate: float = 0.01,
    learning_rate: float = 0.002,
) -> base.Strategy:
  """Evaluates, level by level, the K children that promise most.

  All architectures of one block are evaluated. At every later level those of
  the level before are expanded by every possible block, each result once; an
  ensemble, trained on everything evaluated so far, predicts their rewards;
  the best K are evaluated. A level with fewer is evaluated whole.

  It runs on the host. Rewards are accuracies in 0..1: the predictors can say
  nothing else.

  Args:
    space: where to search.
    growth: its levels; by default `progressive.growth_of` the space.
    predictor: 'mlp' or 'rnn'.
    num_predictors: in the ensemble; of five, each learns from 4/5 of the
      data, a single one from all.
    beam_size: K.
    batch_size: children per round. Where it does not divide a level, the last
      round begins the level again, and what repeats is not learned from.
    first_size: evaluate only so many architectures of one block, drawn at
      random; by default all.
    capacity: C, evaluations to remember; by default those of all levels of K.
      When the last level is done and there is room, the next K of that level
      follow, predicted from all that is known by then; without room, or
      without any left, the search is over and repeats its last children.
    hidden_size: of the predictors.
    epochs: of training them.
    predictor_batch_size: examples per step.
    first_learning_rate: of the predictors after the first level.
    learning_rate: of the predictors after later levels.

  Raises:
    ValueError: an argument out of range.

  Note: epochs and batch size of the predictors are not published, nor is how
  equal expansions are told apart; here they count once. An architecture that
  belongs to the beams of several levels, as one can in spaces that are not
  PNAS's, is evaluated once.
  """
  growth = growth or progressive.growth_of(space)
  _check(beam_size, batch_size, first_size, first_learning_rate, learning_rate)
  model = surrogate.ensemble(
      growth.vocabulary, kind=predictor, num_members=num_predictors,
      hidden_size=hidden_size, epochs=epochs, batch_size=predictor_batch_size)
  start = growth.first()
  if first_size is None:
    first_size = len(start)
  first_size = min(first_size, len(start))
  if capacity is None:
    capacity = first_size + (growth.num_levels - 1) * beam_size
  if capacity < first_size:
    raise ValueError(f'capacity {capacity} is less than the {first_size} '
                     'architectures of the first level')
  length, queue_size = start.shape[1], max(first_size, beam_size)

  def init(key: base.Key) -> PnasState:
    chosen = start
    if first_size < len(start):
      rows = np.asarray(jax.random.permutation(key, len(start)))
      chosen = start[np.sort(rows[:first_size])]
    zeros = np.zeros(capacity, np.int32)
    return _on_device(PnasState(
        np.zeros((capacity, length), np.int32), np.zeros(capacity, np.float32),
        zeros, zeros, 0, *_queue(chosen, queue_size), 0, 1))

  def ask(key: base.Key, state: PnasState) -> base.Proposals:
    del key
    rows = (int(state.position) + np.arange(batch_size)) % int(state.queue_size)
    return base.Proposals(jnp.asarray(np.asarray(state.queue)[rows]))

  def tell(
      key: base.Key,
      state: PnasState,
      proposals: base.Proposals,
      rewards: base.Rewards,
  ) -> PnasState:
    state = PnasState(*map(np.array, state))
    done = int(state.position)
    new = min(batch_size, max(int(state.queue_size) - done, 0))
    rows = slice(state.count, state.count + new)
    state.genomes[rows] = np.asarray(proposals.genomes)[:new]
    state.rewards[rows] = np.asarray(rewards)[:new]
    state.first_level[rows] = state.last_level[rows] = state.level
    state = state._replace(count=state.count + new,
                           position=state.position + batch_size)
    if done < state.queue_size <= state.position:
      state = advance(key, state)
    return _on_device(state)

  def advance(key: base.Key, state: PnasState) -> PnasState:
    """The state with the next queue; unchanged where the search is over."""
    params = fit(key, state)
    level, count = int(state.level), int(state.count)
    while count < capacity:
      again = level == growth.num_levels
      level = min(level + 1, growth.num_levels)
      found = candidates(state, level)
      where = _rows_among(state.genomes[:count], found)
      if again:  # One more beam of the last level.
        found, where = found[where < 0], where[where < 0]
        if not len(found):
          break
      scores = model.predict(
          params, growth.tokens(found, np.full(len(found), level)))
      beam = np.argsort(-scores, kind='stable')[:beam_size]
      known = where[beam]
      state.last_level[known[known >= 0]] = level
      new = found[beam][known < 0][:capacity - count]
      if len(new):
        return state._replace(
            **_queue(new, queue_size)._asdict(), position=0, level=level)
    return state

  def fit(key: base.Key, state: PnasState) -> base.PyTree:
    tokens = growth.tokens(state.genomes, state.last_level)
    rate = first_learning_rate if state.level == 1 else learning_rate
    return model.fit(key, tokens, state.rewards, state.count, rate)

  def candidates(state: PnasState, level: int) -> np.ndarray:
    if level == 1:
      return start
    parents = (state.first_level < level) & (state.last_level >= level - 1) & (
        state.first_level > 0)
    return growth.expand(state.genomes[parents], level)

  return base.Strategy(init, ask, tell, jittable=False)


class _Queue(NamedTuple):
  queue: np.ndarray  # int32[Q, L]
  queue_size: int


def _queue(genomes: np.ndarray, size: int) -> _Queue:
  return _Queue(np.pad(genomes, ((0, size - len(genomes)), (0, 0))),
                len(genomes))


def _rows_among(known: np.ndarray, genomes: np.ndarray) -> np.ndarray:
  """Which of the known each genome is, int[n]; -1 where it is none."""
  numbers = {row: i for i, row in enumerate(_values(known))}
  return np.array([numbers.get(row, -1) for row in _values(genomes)], int)


def _values(genomes: np.ndarray) -> list[bytes]:
  """Each genome as one value."""
  rows = np.ascontiguousarray(genomes, np.int32)
  return rows.view(np.dtype((np.void, rows.strides[0]))).ravel().tolist()


def _on_device(state: PnasState) -> PnasState:
  return PnasState(*(
      jnp.asarray(x, jnp.float32 if name == 'rewards' else jnp.int32)
      for name, x in state._asdict().items()))


def _check(beam_size, batch_size, first_size, first_learning_rate,
           learning_rate) -> None:
  for name, value in dict(beam_size=beam_size, batch_size=batch_size,
                          first_size=first_size).items():
    if value is not None and value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}')
  for name, value in dict(first_learning_rate=first_learning_rate,
                          learning_rate=learning_rate).items():
    if not value > 0:
      raise ValueError(f'{name} must be positive, got {value}')
