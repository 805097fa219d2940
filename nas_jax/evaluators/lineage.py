"""Trains one individual of a lineage: it goes on from its parent's weights.

Reference: Real et al., Large-Scale Evolution of Image Classifiers,
  arXiv 1703.01041, sec. 3.4 and 4; supplement.
"""

from collections.abc import Mapping
import dataclasses
import math
import time
from typing import NamedTuple

import jax
import numpy as np

from nas_jax import memory
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.networks import dna as networks
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import dna as dnas
from nas_jax.spaces import presets
from nas_jax.training import classify
from nas_jax.training import inheritance
from nas_jax.training import recipes

FAMILY = 'large_scale'
# Of the first individuals.
LEARNING_RATE = .1
WEIGHT_DECAY = 1e-4
_BYTES = 4
# A pass forwards, one backwards, and what the gradient reads.
_COPIES = 3


class Trained(NamedTuple):
  """What became of an individual."""
  fitness: float  # validation accuracy; 0 where it failed
  weights: inheritance.Weights  # {} where it failed
  metrics: dict[str, float]
  error: str | None = None  # why it failed


def recipe_of(
    dna: dnas.Dna | None = None,
    *,
    batch_size: int = 50,
    crop_padding: int = 4,
    flip: bool = True,
    eval_batch_size: int = 500,
) -> recipes.Recipe:
  """SGD with momentum 0.9 at the constant rate that the DNA says.

  Args:
    dna: of the individual; without one, rate and decay of the first ones.
    batch_size: images per step.
    crop_padding: pixels around an image before the crop.
    flip: mirror images.
    eval_batch_size: images per step of a validation.
  """
  return recipes.Recipe(
      epochs=1, batch_size=batch_size, schedule='constant',
      learning_rate=dna.learning_rate if dna else LEARNING_RATE,
      weight_decay=dna.weight_decay if dna else WEIGHT_DECAY,
      momentum=.9, clip_norm=None, crop_padding=crop_padding, flip=flip,
      eval_batch_size=eval_batch_size)


def network_of(dna: dnas.Dna, data: image_data.ImageData) -> graph.Graph:
  """The network of an individual for a data set."""
  return zoo.build(
      presets.Preset(FAMILY, dna), image_shape=data.train.images.shape[1:],
      num_classes=data.num_classes)


def train(
    dna: dnas.Dna,
    inherited: Mapping[str, np.ndarray] | None,
    *,
    data: image_data.ImageData,
    steps: int = 25_600,
    batch_size: int = 50,
    seed: int,
    crop_padding: int = 4,
    flip: bool = True,
    max_memory_gib: float = 4.,
    execution: str = 'auto',
) -> Trained:
  """Trains for a number of steps, then validates once.

  Args:
    dna: of the individual.
    inherited: weights of its parent; those of equal name and shape are taken
      over, the others are drawn. Momentum starts anew.
    data: the data set; its test images are not touched.
    steps: T.
    batch_size: images per step.
    seed: of weights, order of images and augmentation.
    crop_padding: pixels around an image before the crop.
    flip: mirror images.
    max_memory_gib: an individual that is estimated to need more fails.
    execution: see `classify.compile_trainer`.

  Returns:
    The individual. It fails, with fitness 0, if it cannot be built, would not
    fit in memory, or diverges. Metrics: failed, train_accuracy, loss,
    num_params, num_inherited (tensors), and the seconds of compile and train.

  Raises:
    ValueError: steps below 1, or a batch larger than the data.
  """
  if steps < 1:
    raise ValueError(f'steps is {steps}, expected at least 1')
  size = len(data.train.labels)
  if batch_size > size:
    raise ValueError(f'batch_size {batch_size} exceeds the {size} training '
                     'images')
  recipe = recipe_of(
      dna, batch_size=batch_size, crop_padding=crop_padding, flip=flip,
      eval_batch_size=min(500, len(data.validation.labels)))
  metrics = dict.fromkeys(
      ('train_accuracy', 'loss', 'num_params', 'num_inherited',
       'compile_seconds', 'train_seconds'), 0.) | {'failed': 1.}
  failed = lambda why: Trained(0., {}, metrics, why)
  try:
    net = network_of(dna, data)
    needed = memory_gib(net, batch_size)
    if needed > max_memory_gib:
      return failed(f'would need {needed:.1f} GiB, more than '
                    f'{max_memory_gib:g}')
    # Programs do not depend on the rate: lineages share what they compile.
    trainer = classify.compile_trainer(
        net, dataclasses.replace(recipe, learning_rate=LEARNING_RATE),
        classify.task_of(data), execution=execution)
    metrics['compile_seconds'] = trainer.compile_seconds
    begin = time.perf_counter()
    found = _train(dna, net, trainer, recipe, inherited or {}, data, steps,
                   seed, metrics)
    metrics['train_seconds'] = time.perf_counter() - begin
  except (ValueError, OverflowError) as e:
    return failed(f'cannot be built: {e}')
  except (MemoryError, jax.errors.JaxRuntimeError) as e:
    if not memory.out_of_memory(e):
      raise
    return failed(f'out of memory: {memory.reason(e)}')
  if found is None:
    return failed('diverged')
  metrics['failed'] = 0.
  return Trained(*found, metrics)


def accuracy(
    dna: dnas.Dna,
    weights: Mapping[str, np.ndarray],
    data: image_data.ImageData,
    split: image_data.Split,
    *,
    execution: str = 'auto',
) -> tuple[float, graph.Variables]:
  """How well a trained individual does on a split, and its variables.

  Raises:
    ValueError: weights that are not those of its network.
  """
  net = network_of(dna, data)
  recipe = recipe_of(dna, batch_size=1, crop_padding=0, flip=False,
                     eval_batch_size=min(500, len(split.labels)))
  trainer = classify.compile_trainer(
      net, recipe, classify.task_of(data), execution=execution)
  state = trainer.init(jax.random.key(0))
  variables, names = inheritance.inherit(
      graph.Variables(state.params, state.batch_stats), weights)
  expected = inheritance.flatten(variables)
  if set(names) != set(expected):
    raise ValueError('the weights of an individual are not those of its '
                     f'network: {sorted(set(expected) - set(names))[:3]}')
  state = state._replace(**variables._asdict())
  return classify.evaluate(trainer, recipe, state, split), variables


def memory_gib(net: graph.Graph, batch_size: int) -> float:
  """About what a training step needs, from the shapes of all values."""
  values = sum(math.prod(node.shape) for node in net.nodes)
  return _BYTES * _COPIES * (
      batch_size * values + graph.num_params(net)) / 2**30


def _train(dna, net, trainer, recipe, inherited, data, steps, seed, metrics):
  """(fitness, weights), or None after divergence."""
  key = jax.random.key(seed)
  init_key, epoch_key = jax.random.split(key)
  state = trainer.init(init_key)
  fresh = graph.Variables(state.params, state.batch_stats)
  variables, names = inheritance.inherit(_scaled(dna, fresh), inherited)
  state = state._replace(**variables._asdict())
  metrics['num_inherited'] = float(len(names))
  metrics['num_params'] = float(graph.num_params(net))
  train, validation = _on_device(data)
  per_epoch = len(train.labels) // recipe.batch_size
  for epoch in range(-(-steps // per_epoch)):
    state, found = classify.train_epoch(
        epoch_key, trainer, recipe, state, train, epoch=epoch, seed=seed,
        max_steps=min(per_epoch, steps - epoch * per_epoch))
    if not math.isfinite(found['loss']):
      return None
  metrics |= {k: found[k] for k in ('loss', 'train_accuracy')}
  fitness = classify.evaluate(trainer, recipe, state, validation)
  return fitness, inheritance.flatten(
      graph.Variables(state.params, state.batch_stats))


def _scaled(dna: dnas.Dna, variables: graph.Variables) -> graph.Variables:
  """Initial weights of convolutions whose results are added are smaller."""
  scales = networks.initial_scales(dna)
  return variables._replace(params={
      name: jax.tree.map(lambda x, s=scales.get(name, 1.): x * s, tree)
      if scales.get(name, 1.) != 1. else tree
      for name, tree in variables.params.items()})


_HELD: list = []  # the last data set and its splits on the device


def _on_device(data: image_data.ImageData):
  if not _HELD or _HELD[0] is not data:
    _HELD[:] = [data, (batches.to_device(data.train),
                       batches.to_device(data.validation))]
  return _HELD[1]
