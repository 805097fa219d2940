"""How architectures grow block by block, for Progressive NAS.

An architecture of level b has b blocks, and is whole: it can be trained. A
predictor reads it as tokens, those of one block after those of another, and
so reads architectures of any level.

Reference: Liu et al., Progressive Neural Architecture Search, arXiv
  1712.00559, sec. 4.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import nasbench201
from nas_jax.spaces import progressive_cell
from nas_jax.spaces import progressive_forms

ABSENT = -1  # in place of a token


class Vocabulary(NamedTuple):
  """What the tokens of a block mean: F of them."""
  slots: tuple[int, ...]  # which table of embeddings each token is of
  sizes: tuple[int, ...]  # entries of every table


class Growth(NamedTuple):
  """Levels 1 to B of a space; all functions run on the host."""
  num_levels: int  # B
  first: Callable[[], np.ndarray]  # all of level 1, int32[n, L]
  # (int32[n, L], level) -> int32[m, L]: what they become with one more block,
  # at that level; no architecture twice.
  expand: Callable[[np.ndarray, int], np.ndarray]
  # (int32[n, L], levels int[n]) -> int32[n, B, F], ABSENT where there is none.
  tokens: Callable[[np.ndarray, np.ndarray], np.ndarray]
  vocabulary: Vocabulary


def growth_of(space: base.Space) -> Growth:
  """How PNAS's cells, NAS-Bench-201 or any other space grow."""
  choices = space.choices
  if choices == (nasbench201.OPERATIONS,) * len(nasbench201.EDGES):
    return nasbench201_nodes()
  if len(choices) > 4:
    operations, num_blocks = choices[3], len(choices[0])
    if choices == progressive_cell.choices_of(operations, num_blocks):
      return cells(len(operations), num_blocks)
  return positions(choices)


def cells(num_operations: int, num_blocks: int) -> Growth:
  """PNAS's own: the tokens of a block are I1, I2, O1, O2.

  Inputs have one table of embeddings, operations another.

  Args:
    num_operations: K.
    num_blocks: B.
  """
  def expand(genomes: np.ndarray, level: int) -> np.ndarray:
    del level  # A genome says how many blocks it has.
    return progressive_forms.expand(genomes, num_operations)

  def tokens(genomes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    blocks = np.asarray(genomes)[:, 1:].reshape(-1, num_blocks, 4)
    exists = np.arange(num_blocks) < np.asarray(levels)[:, None]
    return np.where(exists[..., None], blocks, ABSENT)

  return Growth(
      num_blocks,
      functools.partial(progressive_forms.first, num_operations, num_blocks),
      expand, tokens,
      Vocabulary((0, 0, 1, 1), (num_blocks + 1, num_operations)))


def nasbench201_nodes() -> Growth:
  """NAS-Bench-201 node by node.

  A cell of level 1 or 2 is in the table: its output is the last node that it
  has, by a skip, and all other edges are 'none'. A block is a node; its
  tokens are the operations on what it reads, of nodes 0, 1 and 2, which share
  their embeddings, and the same again with embeddings for each edge. At the
  last level equal cells (`nasbench201.canonical`) count once.
  """
  edges, names = nasbench201.EDGES, nasbench201.OPERATIONS
  none, skip = names.index('none'), names.index('skip_connect')
  num_edges, num_ops = len(edges), len(names)
  grid = np.indices((num_ops,) * 3).reshape(3, -1).T  # operations of a node

  def expand(genomes: np.ndarray, level: int) -> np.ndarray:
    new = grid[:, :level][grid[:, level:].sum(1) == 0]
    found = np.repeat(genomes, len(new), axis=0)
    for e, (source, target) in enumerate(edges):
      if target == level:
        found[:, e] = np.tile(new[:, source], len(genomes))
      elif target == 3:
        found[:, e] = skip if source == level else none
    return found if level < 3 else _unique_nasbench201(found)

  def first() -> np.ndarray:
    return expand(np.full((1, num_edges), none, np.int32), 1)

  def tokens(genomes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    found = np.full((len(genomes), 3, 6), ABSENT, np.int32)
    for e, (source, target) in enumerate(edges):
      exists = np.asarray(levels) >= target
      operation = np.asarray(genomes)[:, e]
      found[:, target - 1, source] = np.where(exists, operation, ABSENT)
      first_op = (target - source - 1) * num_ops  # of the edges from there
      found[:, target - 1, 3 + source] = np.where(
          exists, first_op + operation, ABSENT)
    return found

  return Growth(3, first, expand, tokens, Vocabulary(
      (0, 0, 0, 1, 2, 3), (num_ops, 3 * num_ops, 2 * num_ops, num_ops)))


def positions(choices: discrete.Choices) -> Growth:
  """Any space position by position; those not reached hold their first value.

  A block is a position with more than one choice. It has two tokens: its
  value, whose embedding is shared with other positions that may hold it, and
  its value at that position.

  Args:
    choices: of the space.

  Note: the first value of a position that is reached leaves the architecture
  as it was before: it belongs to both levels.
  """
  sizes = discrete.sizes_of(choices)
  free = [t for t, size in enumerate(sizes) if size > 1] or [0]
  values = list(dict.fromkeys(v for t in free for v in choices[t]))
  shared = [np.array([values.index(v) for v in choices[t]]) for t in free]
  offsets = np.cumsum([0] + [sizes[t] for t in free])

  def expand(genomes: np.ndarray, level: int) -> np.ndarray:
    position = free[level - 1]
    found = np.repeat(genomes, sizes[position], axis=0)
    found[:, position] = np.tile(np.arange(sizes[position]), len(genomes))
    return found

  def first() -> np.ndarray:
    return expand(np.zeros((1, len(sizes)), np.int32), 1)

  def tokens(genomes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    genomes, levels = np.asarray(genomes), np.asarray(levels)
    found = np.full((len(genomes), len(free), 2), ABSENT, np.int32)
    for b, position in enumerate(free):
      value = genomes[:, position]
      pair = np.stack([shared[b][value], offsets[b] + value], 1)
      found[:, b] = np.where(levels[:, None] > b, pair, ABSENT)
    return found

  return Growth(len(free), first, expand, tokens,
                Vocabulary((0, 1), (len(values), int(offsets[-1]))))


def _unique_nasbench201(genomes: np.ndarray) -> np.ndarray:
  """The first of cells that are equal by simple rules."""
  radices = discrete.radices([len(nasbench201.OPERATIONS)] * genomes.shape[1])
  names = _names_nasbench201()[genomes @ np.array(radices)]
  _, where = np.unique(names, return_index=True)
  return genomes[np.sort(where)]


@functools.cache
def _names_nasbench201() -> np.ndarray:
  """By number of a cell, the number of what it is equal to, int[15625]."""
  names = nasbench201.OPERATIONS
  found: dict[str, int] = {}
  cells_ = np.indices((len(names),) * len(nasbench201.EDGES)).reshape(
      len(nasbench201.EDGES), -1).T
  return np.array([
      found.setdefault(nasbench201.canonical([names[i] for i in cell]),
                       len(found)) for cell in cells_])
