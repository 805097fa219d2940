"""NAO with weight sharing (NAO-WS): a pool of architectures, shared weights.

Every step trains the shared weights on an architecture drawn from the pool.
From time to time all of the pool are scored, encoder, predictor and decoder
learn the scores, the best are moved up the gradient of the prediction, and
what that finds takes the place of the worst.

Reference: Luo et al., Neural Architecture Optimization, arXiv 1808.07233, sec.
  4, and its public code with weight sharing.
"""

from collections.abc import Callable, Sequence
import math
import os
import pathlib
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import checkpoint
from nas_jax import journal
from nas_jax import records as jsonl
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.evaluators import shared as evaluator
from nas_jax.predictors import encoder_decoder
from nas_jax.predictors import nao_settings
from nas_jax.spaces import genotypes
from nas_jax.spaces import sequences
from nas_jax.strategies import nao
from nas_jax.supernets import shared
from nas_jax.training import classify
from nas_jax.training import recipes
from nas_jax.training import schedules

Record = dict[str, Any]
LOG = 'supernet.jsonl'  # a line per epoch


class PoolState(NamedTuple):
  """All that the next epoch depends on."""
  weights: base.PyTree  # of images, classify.TrainState
  genomes: jax.Array  # int32[C, L], the first `count` are the pool
  count: jax.Array  # int32[]
  scored: jax.Array  # int32[], those that were scored before, the first ones
  model: base.PyTree  # parameters of encoder, predictor and decoder


class Learner(NamedTuple):
  """Weights that learn, and say how good architectures are.

  Attributes:
    init: key -> state of the weights.
    train: (key of the run, state, choose, epoch) -> (state, numbers to be
      logged, 'loss' among them): an epoch, on genomes that choose(key) makes.
      The state that it is given stays as it is.
    score: (state, genomes int32[C, L], epoch) -> rewards and losses, both
      float[C]; a loss that is not finite is a failure, its reward the floor.
    metrics: (reward, loss) -> what is recorded of a child.
  """
  init: Callable[[base.Key], base.PyTree]
  train: Callable[..., tuple[base.PyTree, Record]]
  score: Callable[..., tuple[np.ndarray, np.ndarray]]
  metrics: Callable[[float, float], dict[str, float | None]]


class Outcome(NamedTuple):
  state: PoolState
  # Of the pool at the end, as `search.run` returns them.
  children: list[Record]
  log: list[Record]  # of the epochs


def search(
    key: base.Key,
    family: shared.Family,
    weights: shared.Weights,
    recipe: recipes.Recipe,
    data: image_data.ImageData,
    *,
    code: sequences.Code,
    settings: nao_settings.Settings = nao_settings.SETTINGS['nao_ws'],
    num_initial: int = 1000,
    num_kept: int = 450,
    num_seeds: int = 100,
    update_every: int = 30,
    score_batch_size: int = 500,
    num_score_batches: int | None = 1,
    guided: bool = True,
    seed: int = 0,
    num_devices: int = 1,
    workdir: str | os.PathLike | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> Outcome:
  """Searches, and resumes where the workdir left off.

  The workdir gets `supernet.jsonl`, a line per epoch: epoch, loss,
  train_accuracy, last_batch_accuracy, learning_rate, seconds, and where the
  pool is renewed pool_mean, pool_best, num_scored, num_new (found by the
  gradient) and, from the second time on, pairwise_accuracy: of the model's
  predictions of architectures that it had not learned from. At the end it gets
  `history.jsonl`, a line per child.

  Args:
    key: of the whole run.
    family: what shares weights.
    weights: of the family.
    recipe: that `weights` was made with.
    data: validation images are scored on.
    code: how genomes are written.
    settings: of the model and of its steps; each renewal adds `num_new` and
      `num_random` architectures.
    num_initial: random architectures of the first pool.
    num_kept: the best that stay in the pool.
    num_seeds: the best that are moved.
    update_every: epochs between renewals; none follows the last epoch.
    score_batch_size: validation images that are scored together.
    num_score_batches: of them, drawn anew each time; None for all.
    guided: otherwise what is new is random: the control.
    seed: of the order of images.
    num_devices: over which architectures are spread when they are scored.
    workdir: nowhere by default.
    on_epoch: called with each new line.

  Returns:
    `Outcome`; `children` have the accuracy with shared weights as rewards.

  Raises:
    ValueError: an argument out of range, or checkpoints of another search.

  Note: all of a pool are scored on the same images. The model goes on from
  its last parameters with a new optimizer.
  """
  if score_batch_size < 1:
    raise ValueError(
        f'score_batch_size must be at least 1, got {score_batch_size}')
  space = family.space
  train, validation = map(batches.to_device, (data.train, data.validation))

  def learn(key, state, choose, epoch):
    trainer = shared.trainer(
        weights, lambda key, progress: [space.genotype(choose(key))])
    state, metrics = classify.train_epoch(
        key, trainer, recipe, state, train, epoch=epoch, seed=seed)
    return state, metrics | {
        'learning_rate': schedules.learning_rate(recipe, epoch, 0.)}

  def score(state, genomes, epoch):
    run = evaluator.scorer(weights, evaluator.batches_of(
        validation, score_batch_size, num_score_batches, seed=seed,
        epoch=epoch), num_devices=num_devices)
    accuracy, loss = run(state, [space.genotype(g) for g in genomes])
    return np.where(np.isfinite(loss), accuracy, 0.), loss

  return search_pool(
      key, space, Learner(weights.init, learn, score, _of_image), code=code,
      settings=settings, num_epochs=recipe.epochs, num_initial=num_initial,
      num_kept=num_kept, num_seeds=num_seeds, update_every=update_every,
      guided=guided, workdir=workdir, on_epoch=on_epoch)


def search_pool(
    key: base.Key,
    space: base.Space,
    learner: Learner,
    *,
    code: sequences.Code,
    settings: nao_settings.Settings,
    num_epochs: int,
    num_initial: int,
    num_kept: int,
    num_seeds: int,
    update_every: int,
    guided: bool = True,
    workdir: str | os.PathLike | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> Outcome:
  """As `search`, with any weights.

  Args:
    key: of the whole run.
    space: where to search.
    learner: the weights.
    num_epochs: of the weights.
    **others: see `search`.

  Raises:
    ValueError: an argument out of range, or checkpoints of another search.
  """
  _check(num_initial=num_initial, num_kept=num_kept, num_seeds=num_seeds,
         update_every=update_every)
  new_size = num_kept + settings.num_new + settings.num_random
  capacity = max(num_initial, new_size)
  model = encoder_decoder.model(code, settings)
  guess = jax.jit(lambda params, genomes: model.predict(
      params, model.encode(params, sequences.to_tokens(code, genomes))[1]))
  improve = nao.improver(code, settings, num_seeds)
  fresh = nao.newcomers(space, capacity)
  init_key, train_key, update_key = jax.random.split(key, 3)

  def score(state: PoolState, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    return learner.score(state.weights, _pool(state), epoch)

  def renew(key: base.Key, state: PoolState, epoch: int
            ) -> tuple[PoolState, Record]:
    improve_key, random_key = jax.random.split(key)
    count, scored = int(state.count), int(state.scored)
    genomes = np.asarray(state.genomes)
    rewards, loss = score(state, epoch)
    line = {'num_scored': count, 'pool_mean': float(np.mean(rewards)),
            'pool_best': float(np.max(rewards))}
    if guided and 0 < scored < count - 1:
      line['pairwise_accuracy'] = encoder_decoder.pairwise_accuracy(
          np.asarray(guess(state.model, genomes))[scored:count],
          rewards[scored:])
    found, known = [], {g.tobytes() for g in genomes[:count]}
    params = state.model
    if guided:
      fill = lambda x, value: np.pad(
          x, (0, capacity - count), constant_values=value)
      found, params = improve(
          improve_key, genomes, fill(rewards, 0.).astype(np.float32), count,
          known, fill(~np.isfinite(loss), True), params)
    line['num_new'] = len(found)
    fresh(random_key, settings.num_random + (
        0 if guided else settings.num_new), found, known)
    best = np.argsort(-rewards, kind='stable')[:num_kept]
    rows = np.concatenate([genomes[best], np.array(found, np.int32).reshape(
        -1, genomes.shape[1])])
    return state._replace(
        genomes=jnp.asarray(np.pad(rows, ((0, capacity - len(rows)), (0, 0)))),
        count=jnp.int32(len(rows)), scored=jnp.int32(len(best)),
        model=params), line

  def start() -> PoolState:
    weights_key, pool_key, model_key = jax.random.split(init_key, 3)
    found: list[np.ndarray] = []
    fresh(pool_key, num_initial, found, set())
    rows = np.pad(found, ((0, capacity - num_initial), (0, 0)))
    return PoolState(
        learner.init(weights_key), jnp.asarray(rows, jnp.int32),
        jnp.int32(num_initial), jnp.int32(0), jax.jit(model.init)(model_key))

  log = journal.Journal(workdir, 'epoch', 1, 2, history=LOG)
  state, lines = log.resume(start())
  with log.saved_on_interrupt():
    for epoch in range(len(lines), num_epochs):
      begin = time.perf_counter()
      pool = _pool(state)
      trained, metrics = learner.train(
          train_key, state.weights, lambda key: pool[int(
              jax.random.randint(key, (), 0, len(pool)))], epoch)
      if not math.isfinite(metrics['loss']):
        logging.error('the shared weights diverged in epoch %d: the search '
                      'ends with those before it', epoch)
        break
      state = state._replace(weights=trained)
      line = {'epoch': epoch, **metrics}
      if (epoch + 1) % update_every == 0 and epoch + 1 < num_epochs:
        state, renewed = renew(
            jax.random.fold_in(update_key, epoch), state, epoch)
        line |= renewed
      line['seconds'] = time.perf_counter() - begin
      log.commit(epoch + 1, state, [line], last=True)
      lines.append(line)
      if on_epoch:
        on_epoch(line)
  begin = time.perf_counter()
  rewards, loss = score(state, num_epochs)
  seconds = (time.perf_counter() - begin) / len(rewards)
  children = [{
      'child': i, 'round': len(lines),
      'genotype': genotypes.to_json(space.genotype(genome)),
      'reward': float(reward), 'metrics': learner.metrics(
          float(reward), float(one)), 'seconds': {'score': seconds}}
              for i, (genome, reward, one) in enumerate(
                  zip(_pool(state), rewards, loss))]
  if workdir is not None:
    jsonl.rewrite(pathlib.Path(workdir) / 'history.jsonl', children)
  return Outcome(state, children, lines)


def epochs_done(folder: str | os.PathLike) -> int:
  """Those that a resumed search need not do again."""
  return max(checkpoint.steps(pathlib.Path(folder) / 'checkpoints' / 'search'),
             default=0)


def renewals(log: Sequence[Record], num_random: int) -> dict[str, Any]:
  """What a summary says of the renewals of a pool.

  Args:
    log: of all epochs.
    num_random: architectures that each adds.
  """
  found = [line for line in log if 'num_new' in line]
  ordered = [line['pairwise_accuracy'] for line in found
             if 'pairwise_accuracy' in line]
  return {
      'num_renewals': len(found),
      'num_found_by_gradient': sum(line['num_new'] for line in found),
      'num_random': num_random * len(found),
      'pairwise_accuracy': ordered[-1] if ordered else None}


def _pool(state: PoolState) -> np.ndarray:
  """The genomes of the pool, int32[C, L]."""
  return np.asarray(state.genomes)[:int(state.count)]


def _of_image(accuracy: float, loss: float) -> dict[str, float | None]:
  return {'validation_accuracy': accuracy,
          'validation_loss': journal.number(loss),
          'failed': float(not np.isfinite(loss))}


def _check(**values: int) -> None:
  for name, value in values.items():
    if value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}')
