"""Blocks as network structure codes: the space of BlockQNN.

Position t of a genome is the layer of index t + 1, one of all legal 5-tuples
of that index (block_code.py). The layer of the maximum index can only be the
terminal one and is not in the genome. From the first terminal layer on, every
position holds its terminal layer.

Reference: Zhong et al., Practical Block-wise Neural Network Architecture
  Generation, arXiv 1708.05552, sec. 3.1.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import block_code
from nas_jax.spaces import discrete

RULES = ('ordered', 'unordered', 'distinct')

_JOINS = (block_code.ADD, block_code.CONCAT)


class Block(NamedTuple):
  """A decoded genome; M is the maximum index."""
  num_layers: jax.Array  # int32[], without the terminal one
  # Rows as in block_code.py; from row num_layers on terminal layers.
  layers: jax.Array  # int32[M - 1, 5]


def space(*, max_index: int = 23, rules: str = 'ordered') -> base.Space:
  """The space of blocks of 1 to max_index - 1 layers.

  A sample draws every layer uniformly from the legal ones, the terminal one
  being one of them, until the block ends: not uniform over all blocks, nearly
  all of which have the largest size. A mutation changes one layer to another
  legal one; if that is the terminal one, the block ends there, and a block
  whose terminal layer changes has one layer more.

  Args:
    max_index: M, of the terminal layer at the latest.
    rules: what layer i may read; see `layers`.

  Raises:
    ValueError: unknown rules, or max_index below 2.

  Note: the rules for predecessors are not settled by the paper.
  """
  if max_index < 2:
    raise ValueError(f'max_index must be at least 2, got {max_index}')
  choices = tuple(layers(i, rules) for i in range(1, max_index))
  sizes = discrete.sizes_of(choices)
  plain = discrete.space(choices)
  indices = [{layer: k for k, layer in enumerate(c)} for c in choices]
  starts = np.cumsum([0, *sizes[:-1]])
  table = np.array(list(itertools.chain(*choices)), np.int32)

  def sample(key: base.Key) -> base.Genome:
    return canonical(choices, plain.sample(key))

  def mutate(key: base.Key, genome: base.Genome) -> base.Genome:
    # The terminal layer may change too.
    num_active = num_layers(choices, genome) + 1
    return canonical(choices, discrete.mutate_one(
        key, genome, sizes, [False] * len(sizes), num_active))

  def decode(genome: base.Genome) -> Block:
    genome = canonical(choices, genome)
    return Block(num_layers(choices, genome),
                 jnp.asarray(table)[starts + genome])

  def genotype(genome: base.Genome) -> block_code.Code:
    code = []
    for layer in plain.genotype(genome):
      code.append(layer)
      if is_terminal(layer):
        return tuple(code)
    return (*code, terminal(max_index))

  def encode(code: block_code.Code) -> base.Genome:
    found = block_code.layers(code)
    if len(found) >= max_index:
      raise ValueError(f'the block has {len(found)} layers, expected at most '
                       f'{max_index - 1}')
    for layer, index in zip(found, indices):
      if layer not in index:
        raise ValueError(f'the layer {layer} is not legal under the rules '
                         f'{rules!r}')
    rest = [terminal(i) for i in range(len(found) + 1, max_index)]
    return jnp.array([index[layer] for layer, index in zip(
        (*found, *rest), indices)], jnp.int32)

  return base.Space(choices, sample, mutate, decode, genotype, encode)


def layers(index: int, rules: str = 'ordered') -> tuple[block_code.Layer, ...]:
  """All legal layers of an index, the terminal one last.

  Index 1 reads the input of the block, joins nothing and is not terminal.

  Args:
    index: from 1.
    rules: what a later layer may read. 'ordered': the layers before it, joins
      (addition and concatenation) any two of them in either order or one of
      them twice. 'unordered': joins two different ones in ascending order.
      'distinct': the input of the block too, joins two different ones in
      either order (a published re-implementation).

  Raises:
    ValueError: unknown rules.
  """
  if rules not in RULES:
    raise ValueError(f'unknown rules {rules!r}, expected one of '
                     f'{", ".join(RULES)}')
  reads = range(0 if index == 1 or rules == 'distinct' else 1, index)
  pairs = {
      'ordered': itertools.product(reads, repeat=2),
      'unordered': itertools.combinations(reads, 2),
      'distinct': itertools.permutations(reads, 2),
  }[rules]
  pairs = tuple(pairs) if index > 1 else ()
  found = []
  for kind, kernels in block_code.KERNELS.items():
    if kind == block_code.TERMINAL:
      continue
    found += [(index, kind, kernel, *read) for kernel in kernels
              for read in (pairs if kind in _JOINS
                           else itertools.product(reads, (0,)))]
  return (*found, *([terminal(index)] if index > 1 else ()))


def is_terminal(layer: block_code.Layer) -> bool:
  """Whether the block ends with this layer."""
  return layer[1] == block_code.TERMINAL


def terminal(index: int) -> block_code.Layer:
  """The terminal layer of an index."""
  return (index, block_code.TERMINAL, 0, 0, 0)


def num_layers(choices: discrete.Choices, genome: base.Genome) -> jax.Array:
  """Layers before the terminal one: int32[..., L] -> int32[...].

  Args:
    choices: of the space.
    genome: canonical or not.
  """
  ends = genome == _terminals(choices)
  found = jnp.where(jnp.any(ends, -1), jnp.argmax(ends, -1), len(choices))
  return found.astype(jnp.int32)


def canonical(choices: discrete.Choices, genome: base.Genome) -> base.Genome:
  """int32[..., L] with terminal layers from the first of them on."""
  ends = _terminals(choices)
  ended = jnp.cumsum(genome == ends, axis=-1) > 0
  return jnp.where(ended, ends, genome)


def size(max_index: int, rules: str = 'ordered') -> int:
  """How many blocks there are.

  Raises:
    ValueError: see `layers`.
  """
  total = 0
  for index in range(max_index - 1, 0, -1):
    found = layers(index, rules)
    # The block ends after this layer, or goes on.
    total = sum(not is_terminal(layer) for layer in found) * (1 + total)
  return total


def _terminals(choices: discrete.Choices) -> np.ndarray:
  """Which choice ends the block, int32[L]; -1 at the first layer: none."""
  return np.array([len(c) - 1 if is_terminal(c[-1]) else -1 for c in choices],
                  np.int32)
