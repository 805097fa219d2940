"""Shared weights and a policy that learn in turn.

Reference: Pham et al., Efficient Neural Architecture Search via Parameter
  Sharing, arXiv 1802.03268, sec. 2.2.
"""

from collections.abc import Callable
import math
import os
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from nas_jax import base
from nas_jax import journal
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.supernets import shared
from nas_jax.training import classify
from nas_jax.training import recipes
from nas_jax.training import schedules

Record = dict[str, Any]
FILE = 'shared.jsonl'
CHECKPOINTS = 'checkpoints/shared'


class State(NamedTuple):
  """All that the next epoch depends on."""
  weights: base.PyTree  # of images, steps.TrainState
  policy: base.State


class Learner(NamedTuple):
  """Weights that learn, and say how good architectures are.

  Attributes:
    init: key -> state of the weights.
    train: (key of the run, state, choose, epoch) -> (state, numbers to be
      logged, 'loss' among them): an epoch, on genomes that choose(key) makes.
      The state that it is given stays as it is.
    score: (state, number, genomes int32[M, L]) -> rewards float32[M]; the
      number counts all that were scored before.
    learning_rate: at first.
  """
  init: Callable[[base.Key], base.PyTree]
  train: Callable[..., tuple[base.PyTree, dict[str, float]]]
  score: Callable[[base.PyTree, int, np.ndarray], np.ndarray]
  learning_rate: float


class Policy(NamedTuple):
  """What chooses architectures, and learns from their rewards."""
  strategy: base.Strategy
  # (key, state of the strategy) -> one genome, jittable.
  sample: Callable[[base.Key, base.State], base.Genome]
  # State of the strategy and genomes int32[N, L] of the epoch -> numbers to be
  # logged; N is 0 where the policy does not learn.
  observe: Callable[[base.State, np.ndarray], dict[str, float]] = (
      lambda state, genomes: {})


def alternate(
    key: base.Key,
    weights: shared.Weights,
    policy: Policy,
    genotype: Callable[[base.Genome], base.Genotype],
    recipe: recipes.Recipe,
    train: image_data.Split,
    validation: image_data.Split,
    *,
    num_rounds: int,
    seed: int,
    workdir: str | os.PathLike | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> tuple[State, list[Record]]:
  """Trains weights and policy in turn, for the epochs of a recipe.

  An epoch is a pass over the training images, each step on an architecture
  that the policy as it is samples; then rounds in which the policy learns from
  accuracies, each of one sampled architecture on one batch of validation
  images, with the weights as they are.

  With a workdir, `shared.jsonl` there gets a line per epoch: epoch, loss and
  train_accuracy of the sampled architectures, learning_rate, mean reward,
  what `policy.observe` says, seconds; every epoch is checkpointed. A resumed
  run equals an uninterrupted one bit for bit on a CPU, apart from the seconds.

  Args:
    key: of the run.
    weights: of the family.
    policy: its strategy is jittable.
    genotype: `space.genotype`.
    recipe: how weights are trained; a batch of validation images has
      `batch_size` images, or all if there are fewer.
    train: to learn weights from.
    validation: to learn the policy from.
    num_rounds: of the policy in an epoch; 0 for a policy that does not learn.
    seed: of the order of examples.
    workdir: where to keep the log; nowhere by default.
    on_epoch: called with each new record.

  Returns:
    The last state and the records.

  Raises:
    ValueError: a negative number of rounds, or weights that diverge.
  """
  order = _Order(seed, len(validation.labels), recipe.batch_size)

  def learn(key, state, choose, epoch):
    trainer = shared.trainer(
        weights, lambda key, progress: [genotype(choose(key))])
    state, metrics = classify.train_epoch(
        key, trainer, recipe, state, train, epoch=epoch, seed=seed)
    return state, {
        'loss': metrics['loss'], 'train_accuracy': metrics['train_accuracy'],
        'learning_rate': schedules.learning_rate(recipe, epoch, 0.)}

  def score(state, number, genomes):
    scores = []
    for i, genome in enumerate(genomes, number):
      rows = order.rows(i)
      accuracy, _ = weights.score(
          state, genotype(genome), validation.images[rows],
          validation.labels[rows])
      scores.append(accuracy)
    return np.array(scores, np.float32)

  return in_turn(
      key, Learner(weights.init, learn, score, recipe.learning_rate), policy,
      num_epochs=recipe.epochs, num_rounds=num_rounds, workdir=workdir,
      on_epoch=on_epoch)


def in_turn(
    key: base.Key,
    learner: Learner,
    policy: Policy,
    *,
    num_epochs: int,
    num_rounds: int,
    workdir: str | os.PathLike | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> tuple[State, list[Record]]:
  """As `alternate`, of any weights: an epoch of them, rounds of the policy.

  Args:
    key: of the run.
    learner: the weights.
    policy: its strategy is jittable.
    num_epochs: of the weights.
    num_rounds: of the policy in an epoch; 0 for a policy that does not learn.
    workdir: where to keep the log; nowhere by default.
    on_epoch: called with each new record.

  Returns:
    The last state and the records.

  Raises:
    ValueError: a negative number of rounds, or weights that diverge.
  """
  if num_rounds < 0:
    raise ValueError(f'num_rounds is {num_rounds}, expected 0 or more')
  strategy = policy.strategy
  sample = jax.jit(policy.sample)
  ask, tell = (jax.jit(f) if num_rounds else f
               for f in (strategy.ask, strategy.tell))
  weights_key, policy_key, epoch_key, round_key = jax.random.split(key, 4)
  log = journal.Journal(workdir, 'epoch', 1, 2, history=FILE,
                        checkpoints=CHECKPOINTS)
  state, records = log.resume(State(
      learner.init(weights_key), jax.jit(strategy.init)(policy_key)))

  def learn(weights_state, policy_state, epoch):
    """The policy after its rounds; genomes [N, L] and rewards [N]."""
    genomes, rewards = [], []
    for number in range(epoch * num_rounds, (epoch + 1) * num_rounds):
      ask_key, tell_key = jax.random.split(
          jax.random.fold_in(round_key, number))
      proposals = ask(ask_key, policy_state)
      found = np.asarray(proposals.genomes)
      scores = learner.score(weights_state, number * len(found), found)
      policy_state = tell(tell_key, policy_state, proposals, scores)
      genomes.append(found)
      rewards.append(scores)
    if not genomes:
      return policy_state, np.zeros((0, 0), np.int32), None
    return policy_state, *map(np.concatenate, (genomes, rewards))

  with log.saved_on_interrupt():
    for epoch in range(len(records), num_epochs):
      times = [time.perf_counter()]
      current = state.policy
      weights_state, metrics = learner.train(
          epoch_key, state.weights, lambda key: sample(key, current), epoch)
      if not math.isfinite(metrics['loss']):
        raise ValueError(
            f'the shared weights diverged in epoch {epoch}: choose a learning '
            f'rate below {learner.learning_rate}')
      times.append(time.perf_counter())
      policy_state, genomes, rewards = learn(weights_state, current, epoch)
      times.append(time.perf_counter())
      state = State(weights_state, policy_state)
      record = {
          'epoch': epoch, **metrics,
          **({} if rewards is None else {'reward': float(np.mean(rewards))}),
          **policy.observe(policy_state, genomes),
          'seconds': {'weights': times[1] - times[0],
                      'policy': times[2] - times[1]}}
      log.commit(epoch + 1, state, [record], last=True)
      records.append(record)
      if on_epoch:
        on_epoch(record)
  return state, records


class _Order:
  """Batches of validation images, numbered from 0 over all passes."""

  def __init__(self, seed: int, size: int, batch_size: int):
    self._seed = seed
    self._size = size
    self._batch_size = min(batch_size, size)
    self._pass = None, None

  def rows(self, number: int) -> np.ndarray:
    count, place = divmod(number, self._size // self._batch_size)
    if self._pass[0] != count:
      self._pass = count, batches.epoch_batches(
          self._seed, count, self._size, self._batch_size,
          drop_last=True).indices
    return self._pass[1][place]
