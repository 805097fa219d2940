"""Scores architectures with weights that they share, without training them."""

from collections.abc import Callable, Sequence
from concurrent import futures
import time

from absl import logging
import jax
import numpy as np

from nas_jax import base
from nas_jax import parallel
from nas_jax.data import batches as batch_order
from nas_jax.data import images as image_data
from nas_jax.supernets import shared as supernets
from nas_jax.training import steps

Batch = tuple[jax.Array, jax.Array]  # images uint8[B, H, W, C], labels int32[B]


def shared(
    genotype: Callable[[base.Genome], base.Genotype],
    weights: supernets.Weights,
    state: steps.TrainState,
    batches: Sequence[Batch],
    *,
    floor: float = 0.,
    num_devices: int = 1,
) -> base.Evaluator:
  """The accuracy of every child with trained shared weights.

  A child that cannot be built or whose loss is not finite gets the floor and
  failed = 1. A genotype met again is not scored again.

  Args:
    genotype: `space.genotype`.
    weights: of the family.
    state: trained.
    batches: of validation images; the accuracy is the mean over them.
    floor: reward of a failed child.
    num_devices: over which the children of a round are spread.

  Returns:
    An evaluator that runs on the host. Metrics: validation_accuracy,
    validation_loss, failed, score_seconds (0 for a genotype met again).

  Raises:
    ValueError: at once, for more devices than there are, or no batch.
  """
  score = scorer(weights, batches, num_devices=num_devices)
  known: dict[base.Genotype, tuple[float, float]] = {}

  def evaluate(key, evaluator_state, proposals):
    del key  # The score depends on the weights and the genotype alone.
    mine = parallel.host_slice(len(proposals.genomes))
    found = [genotype(g) for g in np.asarray(proposals.genomes)[mine]]
    new = [g for g in dict.fromkeys(found) if g not in known]
    start = time.perf_counter()
    known.update(zip(new, zip(*score(state, new))))
    each = (time.perf_counter() - start) / max(len(new), 1)
    accuracy, loss = np.array(
        [known[g] for g in found], np.float32).reshape(-1, 2).T
    failed = ~np.isfinite(loss)
    accuracy = np.where(failed, np.float32(0), accuracy)
    metrics = {
        'validation_accuracy': accuracy,
        'validation_loss': np.where(failed, np.float32(0), loss),
        'failed': failed.astype(np.float32),
        'score_seconds': _first_of_each(found, new, each)}
    rewards = np.where(failed, np.float32(floor), accuracy)
    return base.Evaluation(
        *parallel.gather((rewards, metrics))), evaluator_state

  return base.Evaluator(lambda key: (), evaluate, jittable=False)


def scorer(
    weights: supernets.Weights, batches: Sequence[Batch], *,
    num_devices: int = 1,
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
  """(state, genotypes) -> accuracies and losses, float32[N] each.

  They are means over the batches; both are NaN where a sub-network cannot be
  built. The genotypes are spread over the devices, each of which has all
  weights.

  Args:
    weights: of the family.
    batches: of validation images.
    num_devices: how many local devices to use.

  Raises:
    ValueError: more devices than there are, or no batch.
  """
  if not batches:
    raise ValueError('there is no batch to score on')
  devices = parallel.local_devices(num_devices)
  placed = [batches] if num_devices == 1 else [
      jax.device_put(list(batches), device) for device in devices]

  def one(state, genotype, place):
    try:
      return np.mean([weights.score(state, genotype, *batch)
                      for batch in placed[place]], axis=0)
    except ValueError as e:
      logging.warning('%s cannot be scored: %s', genotype, e)
      return np.full(2, np.nan)

  def on(place, state, genotypes):
    with jax.default_device(devices[place]):
      state = jax.device_put(state, devices[place])
      return [one(state, g, place) for g in genotypes]

  def score(state, genotypes):
    if num_devices == 1:
      found = [one(state, g, 0) for g in genotypes]
    else:
      # Those of a device are every num_devices-th.
      parts = [genotypes[i::num_devices] for i in range(num_devices)]
      with futures.ThreadPoolExecutor(num_devices) as workers:
        done = list(workers.map(
            on, range(num_devices), [state] * num_devices, parts))
      found = [done[i % num_devices][i // num_devices]
               for i in range(len(genotypes))]
    return tuple(np.array(found, np.float32).reshape(-1, 2).T)

  return score


def batches_of(split: image_data.Split, batch_size: int,
               num_batches: int | None = None, *, seed: int = 0,
               epoch: int = 0) -> list[Batch]:
  """Full batches of a split in random order.

  An incomplete one would have batch statistics of its own.

  Args:
    split: validation images.
    batch_size: at most as many as there are.
    num_batches: at most so many; by default all that there are.
    seed: the order is a function of (seed, epoch).
    epoch: see `seed`.
  """
  size = min(batch_size, len(split.labels))
  order = batch_order.epoch_batches(
      seed, epoch, len(split.labels), size, drop_last=True)
  return [(split.images[rows], split.labels[rows])
          for rows in order.indices[:num_batches]]


def _first_of_each(found, new, seconds: float) -> np.ndarray:
  """The seconds where a new genotype comes first, else 0."""
  left, column = set(new), []
  for genotype in found:
    column.append(seconds if genotype in left else 0.)
    left.discard(genotype)
  return np.array(column, np.float32)
