"""Neural architecture optimization: steps along a predictor's gradient.

Reference: Luo et al., Neural Architecture Optimization, arXiv 1808.07233,
  Algorithm 1, and its public codes without weight sharing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.predictors import encoder_decoder
from nas_jax.predictors import nao_settings
from nas_jax.spaces import sequences
from nas_jax.strategies import random_search

_TRIES = 20  # draws of random architectures before repeated ones do


class NaoState(NamedTuple):
  """The pool of evaluated architectures, and those to be evaluated."""
  genomes: jax.Array  # int32[C, L], the first `count` are the pool
  rewards: jax.Array  # float32[C]
  count: jax.Array  # int32[]
  queue: jax.Array  # int32[Q, L], children of this iteration
  queue_size: jax.Array  # int32[]
  position: jax.Array  # int32[], children told since the queue was made
  iteration: jax.Array  # int32[], 0 while random ones are evaluated


def nao(
    space: base.Space,
    *,
    code: sequences.Code | None = None,
    settings: str | nao_settings.Settings = 'nao',
    num_initial: int = 600,
    num_seeds: int = 100,
    num_iterations: int = 3,
    capacity: int | None = None,
    batch_size: int = 1,
    failed_reward: float | None = None,
    **changes: Any,
) -> base.Strategy:
  """Moves the best architectures up the gradient of their predicted reward.

  First, random architectures are evaluated. In every iteration encoder,
  predictor and decoder are trained on the pool; the best of the pool are
  encoded, moved by one step of the gradient and decoded, with larger steps
  until there are enough architectures that are neither in the pool nor
  repeated; these are evaluated and join the pool.

  It runs on the host.

  Args:
    space: where to search.
    code: how genomes are written; by default `sequences.of_space`.
    settings: of the model and of the steps, or their name in
      `nao_settings.SETTINGS`.
    num_initial: random architectures.
    num_seeds: K, the best that are moved.
    num_iterations: that the default of the capacity makes room for; the search
      goes on after them.
    capacity: C, of the pool; once it is full, new ones replace the worst.
      By default there is room for all of num_iterations.
    batch_size: children per round. Where it does not divide an iteration, the
      last round begins the queue again, and what repeats is not learned from.
    failed_reward: the predictor does not learn from rewards of at most this.
    **changes: of single settings, such as `epochs` or `num_new`.

  Raises:
    ValueError: an argument out of range.

  Note: the model is trained from scratch in each iteration. The published
  sizes: 600, K = 100 and three steps from each are those of the codes; 200
  seeds and 1,000 networks in all are recalled from the paper. If the steps
  find fewer than batch_size, random architectures fill the round.
  """
  settings = nao_settings.load(settings, **changes)
  if capacity is None:
    capacity = num_initial + num_iterations * (
        settings.num_new + settings.num_random)
  code = sequences.of_space(space) if code is None else code
  queue_size = max(num_initial, batch_size,
                   settings.num_new + settings.num_random)
  _check(num_initial, num_seeds, num_iterations, batch_size,
         settings.num_random)
  if capacity < queue_size:
    raise ValueError(f'capacity {capacity} is less than the {queue_size} '
                     'architectures that one iteration may evaluate')
  length = len(space.choices)
  if len(code.sizes) != length:
    raise ValueError(f'the code is of {len(code.sizes)} positions, the space '
                     f'has {length}')
  improve = improver(code, settings, num_seeds)
  fresh = newcomers(space, queue_size)

  def init(key: base.Key) -> NaoState:
    found = []
    fresh(key, num_initial, found, set())
    return _on_device(NaoState(
        np.zeros((capacity, length), np.int32), np.zeros(capacity, np.float32),
        0, _padded(found, queue_size), num_initial, 0, 0))

  def ask(key: base.Key, state: NaoState) -> base.Proposals:
    del key
    rows = (int(state.position) + np.arange(batch_size)) % int(state.queue_size)
    return base.Proposals(jnp.asarray(np.asarray(state.queue)[rows]))

  def tell(
      key: base.Key,
      state: NaoState,
      proposals: base.Proposals,
      rewards: base.Rewards,
  ) -> NaoState:
    state = NaoState(*map(np.array, state))
    new = min(batch_size, int(state.queue_size - state.position))
    rows = slice(state.count, state.count + new)
    state.genomes[rows] = np.asarray(proposals.genomes)[:new]
    state.rewards[rows] = np.asarray(rewards)[:new]
    state = state._replace(count=state.count + new,
                           position=state.position + new)
    if state.position == state.queue_size:
      state = advance(key, state)
    return _on_device(state)

  def advance(key: base.Key, state: NaoState) -> NaoState:
    """The state with the next queue."""
    fit_key, random_key, fill_key = jax.random.split(key, 3)
    count = int(state.count)
    order = np.argsort(-state.rewards[:count], kind='stable')
    known = {g.tobytes() for g in state.genomes[:count]}
    found, _ = improve(
        fit_key, state.genomes, state.rewards, count, known,
        failed=None if failed_reward is None else
        state.rewards <= failed_reward)
    fresh(random_key, settings.num_random, found, known)
    fresh(fill_key, batch_size - len(found), found, known)
    kept = min(count, capacity - len(found))
    if kept < count:
      best = np.sort(order[:kept])
      state.genomes[:kept], state.rewards[:kept] = (
          state.genomes[best], state.rewards[best])
    return NaoState(
        state.genomes, state.rewards, kept, _padded(found, queue_size),
        len(found), 0, state.iteration + 1)

  return base.Strategy(init, ask, tell, jittable=False)


def improver(
    code: sequences.Code, settings: nao_settings.Settings, num_seeds: int
) -> Callable[..., tuple[list[np.ndarray], base.PyTree]]:
  """What an iteration does to find new architectures.

  Args:
    code: how genomes are written.
    settings: of the model and of the steps.
    num_seeds: K, the best that are moved.

  Returns:
    A function (key, genomes int32[C, L], rewards float32[C], count, known,
    failed=None, start=None) -> (new genomes, parameters of the model). The
    first `count` are learned from (see `Model.fit` for `failed` and `start`);
    new is what is not in `known`, a set of bytes of genomes that it is added
    to.
  """
  model = encoder_decoder.model(code, settings)
  fit, encode = jax.jit(model.fit), jax.jit(model.encode)

  @jax.jit
  def move(params, memory, step_size):
    return sequences.to_genomes(code, model.decode(
        params, *model.improve(params, memory, step_size)))

  def improve(key, genomes, rewards, count, known, failed=None, start=None):
    params = fit(key, sequences.to_tokens(code, genomes), rewards, count,
                 failed, start)
    best = np.argsort(-rewards[:count], kind='stable')[:num_seeds]
    # Always K, so that it is compiled once.
    seeds = np.resize(best, num_seeds)
    memory, _ = encode(params, sequences.to_tokens(code, genomes[seeds]))
    found = []
    for step_size in settings.step_sizes:
      for genome in np.asarray(move(params, memory, step_size)):
        if len(found) < settings.num_new and genome.tobytes() not in known:
          known.add(genome.tobytes())
          found.append(genome)
      if len(found) == settings.num_new:
        break
    return found, params

  return improve


def newcomers(space: base.Space, batch_size: int) -> Callable[..., None]:
  """Random architectures, drawn so many at a time.

  Returns:
    A function (key, number, found, known) that adds so many to both, new ones
    as long as some turn up.
  """
  draw = jax.jit(lambda key: random_search.sample(key, space, batch_size))

  def fresh(key: base.Key, number: int, found: list, known: set) -> None:
    for attempt in range(_TRIES + 1):
      if number <= 0:
        return
      for genome in np.asarray(draw(jax.random.fold_in(key, attempt))):
        if number > 0 and (attempt == _TRIES or genome.tobytes() not in known):
          known.add(genome.tobytes())
          found.append(genome)
          number -= 1

  return fresh


def _padded(genomes: list, size: int) -> np.ndarray:
  """The genomes and zeros, int32[size, L]."""
  found = np.array(genomes, np.int32)
  return np.pad(found, ((0, size - len(found)), (0, 0)))


def _on_device(state: NaoState) -> NaoState:
  return NaoState(*(
      jnp.asarray(x, jnp.float32 if name == 'rewards' else jnp.int32)
      for name, x in state._asdict().items()))


def _check(num_initial, num_seeds, num_iterations, batch_size, num_random
           ) -> None:
  for name, value in dict(
      num_initial=num_initial, num_seeds=num_seeds, batch_size=batch_size,
      num_iterations=num_iterations).items():
    if value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}')
  if num_random < 0:
    raise ValueError(f'num_random must be at least 0, got {num_random}')
