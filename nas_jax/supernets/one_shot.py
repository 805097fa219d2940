"""The one-shot model: cells of choice blocks, trained with path dropout.

Reference: Bender et al., Understanding and Simplifying One-Shot Architecture
Search, ICML 2018, sec. 3.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.networks import ops
from nas_jax.networks import one_shot as networks
from nas_jax.spaces import one_shot as spaces
from nas_jax.supernets import shared

Array = jax.Array
Choose = Callable[[base.Key, float], Sequence[base.Genotype]]


def family(
    operations: Sequence[str] = spaces.OPERATIONS,
    *,
    num_blocks: int = 4,
    max_inputs: int = 2,
    max_operations: int = 2,
    image_shape: tuple[int, int, int],
    num_classes: int,
    features: int = 32,
    num_cells: int = 8,
    style: ops.Style = ops.Style(),
) -> shared.Family:
  """The space of spaces/one_shot.py and the weights of its networks.

  `build` takes genotypes with any sets of paths, as path dropout leaves them.

  Args:
    operations: their names.
    num_blocks: N of a cell.
    max_inputs: of a block, of the architectures of the space.
    max_operations: the same of its operations.
    image_shape: (H, W, C).
    num_classes: K.
    features: F of the first cells.
    num_cells: of all stages.
    style: shared settings.

  Raises:
    ValueError: see `spaces.space` and `networks.build`.
  """
  operations = tuple(operations)
  space = spaces.space(operations, num_blocks=num_blocks,
                       max_inputs=max_inputs, max_operations=max_operations)
  build = functools.partial(
      networks.build, image_shape=tuple(image_shape), num_classes=num_classes,
      features=features, num_cells=num_cells, style=style)
  return shared.Family(
      space, build, build(spaces.all_paths(operations, num_blocks)))


def drop_probability(rate: Array | float, num_paths: Array | int) -> Array:
  """rate^(1 / k), at which all k paths are dropped with probability `rate`.

  Args:
    rate: r, in [0, 1].
    num_paths: k, of the paths into one operation.
  """
  return jnp.asarray(rate, jnp.float32)**(1 / jnp.asarray(
      num_paths, jnp.float32))


def drop_paths(key: base.Key, rate: Array | float, num_blocks: int,
               num_operations: int) -> spaces.Paths:
  """The paths that are left; jittable.

  Each path into the 1x1 convolution of a block, and each of its operations,
  is dropped independently.

  Args:
    key: consumed.
    rate: r, in [0, 1]; at 0 all paths are left.
    num_blocks: N.
    num_operations: O of a block.
  """
  input_key, operation_key = jax.random.split(key)
  k = spaces.num_inputs(num_blocks)
  there = np.arange(num_blocks + 1) < k[:, None]
  uniform = jax.random.uniform(input_key, there.shape)
  inputs = (uniform >= drop_probability(rate, k)[:, None]) & there
  uniform = jax.random.uniform(operation_key, (num_blocks, num_operations))
  return spaces.Paths(
      inputs, uniform >= drop_probability(rate, num_operations))


def path_dropout(
    operations: Sequence[str] = spaces.OPERATIONS,
    *,
    num_blocks: int = 4,
    rate: float = .05,
    num_ghosts: int = 32,
) -> Choose:
  """What `shared.trainer` trains: each ghost batch has paths of its own.

  All cells of a network have the same paths. The rate grows with the progress
  of the training, linearly from 0.

  Args:
    operations: their names.
    num_blocks: N of a cell.
    rate: r at the end of training.
    num_ghosts: G, parts of a batch.

  Raises:
    ValueError: a number out of range.
  """
  if not 0 <= rate < 1:
    raise ValueError(f'rate is {rate}, expected a number in [0, 1)')
  if num_ghosts < 1:
    raise ValueError(f'num_ghosts is {num_ghosts}, expected at least 1')
  operations = tuple(operations)

  @jax.jit
  def draw(key, now):
    return jax.vmap(lambda k: drop_paths(
        k, now, num_blocks, len(operations)))(
            jax.random.split(key, num_ghosts))

  def choose(key: base.Key, progress: float) -> list[base.Genotype]:
    paths = jax.device_get(draw(key, np.float32(rate * progress)))
    return [spaces.genotype_of(spaces.Paths(*masks), operations)
            for masks in zip(*paths)]

  return choose


def divergence(logits: Array, reference: Array) -> Array:
  """The mean of KL(p | q) + KL(q | p) over examples, float32[].

  Args:
    logits: float[B, K], of p.
    reference: float[B, K], of q.

  Note: that both directions are added, not averaged, is assumed.
  """
  p, q = (jax.nn.log_softmax(x.astype(jnp.float32)) for x in (
      logits, reference))
  return jnp.mean(jnp.sum((jnp.exp(p) - jnp.exp(q)) * (p - q), -1))


def divergence_from(
    weights: shared.Weights, state: Any, reference: base.Genotype,
    images: Array) -> Callable[[base.Genotype], float]:
  """How differently an architecture predicts than a reference does.

  No labels are needed. The paper's reference keeps (nearly) all paths:
  `spaces.all_paths`.

  Args:
    weights: shared ones.
    state: trained.
    reference: an architecture.
    images: uint8[B, H, W, C].
  """
  expected = weights.logits(state, reference, images)
  run = jax.jit(divergence)
  return lambda genotype: float(
      run(weights.logits(state, genotype, images), expected))
