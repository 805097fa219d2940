"""Genomes as the token sequences that an encoder reads and a decoder writes.

Each choice of a position is one token, or two of which the second depends on
the first. Token 0 starts a sequence and is not part of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base

START = 0
_LONGEST = 2  # tokens of a choice: what is legal depends on the token before


class Code(NamedTuple):
  """How genomes of L positions are written as T tokens of V."""
  vocabulary: int  # V, the start among them
  tokens: np.ndarray  # int32[T, W], of each choice of the token's position
  sizes: np.ndarray  # int32[L], choices; entries of `tokens` beyond mean none
  positions: np.ndarray  # int32[T], whose choice the token tells
  legal: np.ndarray  # bool[T, V, V], by the token before and the token
  swaps: np.ndarray  # int32[G, N, T], orders of tokens; G = 0 for none


def code(
    choices: Sequence[Sequence[Sequence[int]]],
    vocabulary: int,
    swaps: np.ndarray | None = None,
) -> Code:
  """The code of given tokens.

  Args:
    choices: for each position, the one or two tokens of each choice; equally
      many for all choices of a position.
    vocabulary: V; tokens are 1..V-1.
    swaps: int[G, N, L], orders of positions that leave the architecture what
      it is. One of each group may be applied at a time, in any combination.

  Raises:
    ValueError: tokens out of range, of unequal numbers or that two choices
      share; a swap that exchanges positions of different tokens.
  """
  positions, offsets = [], []
  for i, found in enumerate(choices):
    lengths = set(map(len, found))
    if len(lengths) != 1 or not lengths <= set(range(1, _LONGEST + 1)):
      raise ValueError(f'position {i} has choices of {sorted(lengths)} tokens, '
                       f'expected one number of 1..{_LONGEST}')
    if len(set(map(tuple, found))) != len(found):
      raise ValueError(f'two choices of position {i} have the same tokens')
    if not all(0 < t < vocabulary for c in found for t in c):
      raise ValueError(f'position {i} has tokens outside 1..{vocabulary - 1}')
    for offset in range(max(lengths)):
      positions.append(i)
      offsets.append(offset)
  sizes = np.array(list(map(len, choices)), np.int32)
  tokens = np.zeros((len(positions), max(sizes)), np.int32)
  legal = np.zeros((len(positions), vocabulary, vocabulary), bool)
  for t, (i, offset) in enumerate(zip(positions, offsets)):
    for w, found in enumerate(choices[i]):
      tokens[t, w] = found[offset]
      before = found[offset - 1] if offset else slice(None)
      legal[t, before, found[offset]] = True
  return Code(vocabulary, tokens, sizes, np.array(positions, np.int32), legal,
              _swaps(swaps, choices, positions, offsets))


def of_space(space: base.Space, swaps: np.ndarray | None = None) -> Code:
  """One token per choice of any space of choices.

  The same value is the same token at all positions. Integers come first, in
  their order, then all others as they appear: a cell of inputs and operations
  is written as NAO's code with weight sharing writes it.

  Args:
    space: any combination of its choices is written and read, also those
      that the space itself may rule out.
    swaps: see `code`.
  """
  values = list(dict.fromkeys(
      (type(v), v) for c in space.choices for v in c))
  values.sort(key=lambda v: (v[0] is not int, v[1] if v[0] is int else 0))
  number = {value: i + 1 for i, value in enumerate(values)}
  return code([[(number[type(v), v],) for v in c] for c in space.choices],
              len(values) + 1, swaps)


def to_tokens(code_: Code, genomes: base.Genome) -> jax.Array:
  """Tokens, int32[..., T], of genomes, int32[..., L]."""
  rows = np.arange(len(code_.positions))
  return jnp.asarray(code_.tokens)[rows, genomes[..., code_.positions]]


def to_genomes(code_: Code, tokens: jax.Array) -> base.Genome:
  """The inverse of `to_tokens`; jittable, for legal tokens only."""
  length = len(code_.sizes)
  wrong = tokens[..., None] != code_.tokens  # [..., T, W]
  member = code_.positions == np.arange(length)[:, None]
  wrong = jnp.einsum('lt,...tw->...lw', member.astype(np.int32),
                     wrong.astype(jnp.int32))
  exists = np.arange(wrong.shape[-1]) < code_.sizes[:, None]
  return jnp.argmax((wrong == 0) & exists, -1).astype(jnp.int32)


def is_legal(code_: Code, tokens: np.ndarray) -> np.ndarray:
  """Whether int[..., T] are tokens of a genome, bool[...]; on the host."""
  tokens = np.asarray(tokens)
  before = np.concatenate(
      [np.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)
  return code_.legal[np.arange(tokens.shape[-1]), before, tokens].all(-1)


def _swaps(swaps, choices, positions, offsets) -> np.ndarray:
  if swaps is None or not len(swaps):
    return np.zeros((0, 0, len(positions)), np.int32)
  swaps = np.asarray(swaps)
  for i, j in zip(np.broadcast_to(np.arange(len(choices)), swaps.shape).flat,
                  swaps.flat):
    if list(choices[i]) != list(choices[j]):
      raise ValueError(f'a swap exchanges positions {i} and {j}, which have '
                       'different tokens')
  place = {p: t for t, p in enumerate(zip(positions, offsets))}
  return np.array([[[place[order[i], offset]
                     for i, offset in zip(positions, offsets)]
                    for order in group] for group in swaps], np.int32)
