"""The spaces of tabular benchmarks, whose cells are small graphs.

References:
  Dong, Yang, NAS-Bench-201, arXiv 2001.00326, sec. 2.
  Ying et al., NAS-Bench-101, arXiv 1902.09635, sec. 2 and S1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import nasbench101 as bench101
from nas_jax.spaces import nasbench201 as bench201

_V = bench101.MAX_VERTICES
_INNER = _V - 2
# Edge x -> y is bit x + y (y - 1) / 2, as in the benchmark's enumeration.
_PAIRS = tuple((x, y) for y in range(_V) for x in range(y))
_NUM_BITS = len(_PAIRS)
_CHUNK = 1 << 15  # cells whose keys are computed at once


def nasbench201() -> base.Space:
  """The 15,625 cells of NAS-Bench-201: an operation for each of six edges.

  A genotype is the tuple of operations in the order of `nasbench201.EDGES`. A
  mutation gives one edge another operation.
  """
  return discrete.space([bench201.OPERATIONS] * len(bench201.EDGES))


def isomorphism_classes(zeros: bool = True) -> np.ndarray:
  """Which cells of NAS-Bench-201 compute the same, int32[15625].

  Entry n is the class of the genome of index n in lexical order; classes are
  numbered as they come.

  Args:
    zeros: whether also what follows from nothing is nothing: 6,466 classes
      as published, otherwise 12,751.
  """
  space = nasbench201()
  sizes = discrete.sizes_of(space.choices)
  seen: dict[str, int] = {}
  return np.array([
      seen.setdefault(bench201.canonical(
          [bench201.OPERATIONS[i] for i in discrete.from_index(sizes, n)],
          zeros), len(seen))
      for n in range(discrete.size(space.choices))], np.int32)


def nasbench101() -> base.Space:
  """The cells of NAS-Bench-101 as labelled graphs of seven vertices.

  A genome is a bit for each of the 21 possible edges, x -> y at position
  x + y (y - 1) / 2, and the operation of each of five inner vertices. Vertices
  that are on no path from input to output do not count. Samples are uniform
  over the genomes that are legal: with such a path, and at most nine edges
  that count. A mutation changes one position, so that the result is legal.
  Equal cells have many genomes; `key` tells.

  A genotype is a `nasbench101.Cell` of all seven vertices.

  Note: the benchmark's own mutation changes each position with a chance of
  its own.
  """
  choices = ((0, 1),) * _NUM_BITS + (bench101.OPERATIONS,) * _INNER
  plain = discrete.space(choices)

  def sample(key: base.Key) -> base.Genome:
    return _until_legal(key, plain.sample)

  def mutate(key: base.Key, genome: base.Genome) -> base.Genome:
    return _until_legal(key, lambda k: plain.mutate(k, genome))

  def genotype(genome: base.Genome) -> bench101.Cell:
    genome = discrete.check(choices, genome)
    bits, inner = genome[:_NUM_BITS], genome[_NUM_BITS:]
    matrix = np.zeros((_V, _V), int)
    for (x, y), bit in zip(_PAIRS, bits):
      matrix[x, y] = bit
    found = bench101.Cell(
        tuple(map(tuple, matrix.tolist())),
        (bench101.INPUT, *(bench101.OPERATIONS[i] for i in inner),
         bench101.OUTPUT))
    bench101.cell(*found)  # Raises ValueError unless it is legal.
    return found

  def encode(value: bench101.Cell) -> base.Genome:
    bench101.cell(*value)
    return jnp.asarray(nasbench101_genome(value), jnp.int32)

  return base.Space(choices, sample, mutate, discrete.Decoded, genotype, encode)


def nasbench101_genome(cell: bench101.Cell) -> np.ndarray:
  """A genome of a cell of two to seven vertices, int32[26].

  Vertices that it does not have come before the output and have no edges.
  """
  count = len(cell.operations)
  place = [*range(count - 1), _V - 1]
  bits, inner = np.zeros(_NUM_BITS, np.int32), np.zeros(_INNER, np.int32)
  for x in range(count):
    for y in range(x + 1, count):
      bits[place[x] + place[y] * (place[y] - 1) // 2] = cell.matrix[x][y]
  for i, name in enumerate(cell.operations[1:-1]):
    inner[i] = bench101.OPERATIONS.index(name)
  return np.concatenate([bits, inner])


def is_legal(genome: base.Genome) -> jax.Array:
  """Whether int32[26] is a cell of NAS-Bench-101, bool[]."""
  matrix, kept = _pruned(genome)
  return kept[-1] & (matrix.sum() <= bench101.MAX_EDGES)


def key(genome: base.Genome) -> jax.Array:
  """Equal for equal cells of NAS-Bench-101, uint32[2].

  The rounds of `nasbench101.fingerprint` with sums of mixed integers in place
  of sorted texts, so that it compiles. All 423,624 cells have different keys.

  Args:
    genome: int32[26], legal.
  """
  matrix, kept = _pruned(genome)
  inner = genome[_NUM_BITS:].astype(jnp.uint32)
  one = jnp.ones(1, jnp.uint32)
  labels = jnp.concatenate([3 * one, inner, 4 * one])
  edges = matrix.astype(jnp.uint32)
  degrees = edges.sum(axis=1) * 8 + edges.sum(axis=0)
  found = []
  for lane in (np.uint32(0x9e3779b9), np.uint32(0x85ebca6b)):
    h = _mix(degrees * 8 + labels + lane)
    for _ in range(_V):
      before, after = _mix(h ^ np.uint32(0x27d4eb2f)), _mix(h + lane)
      h = _mix(h * np.uint32(3) + _mix(edges.T @ before) * np.uint32(5)
               + _mix(edges @ after + np.uint32(1)) * np.uint32(7))
    found.append(_mix(jnp.sum(jnp.where(kept, _mix(h), 0), dtype=jnp.uint32)
                      + kept.sum(dtype=jnp.uint32)))
  return jnp.stack(found)


def enumerate_nasbench101(max_vertices: int = _V) -> np.ndarray:
  """One genome of every cell, int32[N, 26]; N = 423,624 for seven vertices.

  Raises:
    ValueError: a number of vertices that is not in 2..7.
  """
  if not 2 <= max_vertices <= _V:
    raise ValueError(f'max_vertices is {max_vertices}, expected 2..{_V}')
  found = []
  for count in range(2, max_vertices + 1):
    labelled = _labelled(count)
    words = keys_of(labelled)
    _, first = np.unique(words, return_index=True)
    found.append(labelled[np.sort(first)])
  return np.concatenate(found)


def keys_of(genomes: np.ndarray) -> np.ndarray:
  """`key` of many genomes on the host, uint64[N]."""
  found = []
  for start in range(0, len(genomes), _CHUNK):
    part = genomes[start:start + _CHUNK]
    # One shape, one compilation.
    full = np.resize(part, (_CHUNK, part.shape[1]))
    pair = np.asarray(_keys(full))[:len(part)].astype(np.uint64)
    found.append(pair[:, 0] << np.uint64(32) | pair[:, 1])
  return np.concatenate(found)


def row_of_nasbench101(genomes: np.ndarray) -> Callable[
    [base.Genome], jax.Array]:
  """From genomes int32[..., 26] to the row of an equal cell, -1 for none.

  Args:
    genomes: int32[N, 26], one for each row.

  Raises:
    ValueError: two rows are of equal cells.
  """
  words = keys_of(genomes)
  order = np.argsort(words, kind='stable')
  ordered = words[order]
  twice = np.flatnonzero(ordered[1:] == ordered[:-1])
  if twice.size:
    a, b = sorted(order[twice[0]:twice[0] + 2].tolist())
    raise ValueError(f'rows {a} and {b} are of the same cell')
  high, low = (ordered >> np.uint64(32)).astype(np.uint32), ordered.astype(
      np.uint32)
  steps = max(1, len(ordered).bit_length())

  def one(genome):
    wanted = key(genome)

    def halve(_, bounds):
      start, stop = bounds
      middle = (start + stop) // 2
      a, b = jnp.asarray(high)[middle], jnp.asarray(low)[middle]
      below = (a < wanted[0]) | ((a == wanted[0]) & (b < wanted[1]))
      active = start < stop
      return (jnp.where(active & below, middle + 1, start),
              jnp.where(active & ~below, middle, stop))

    place, _ = jax.lax.fori_loop(
        0, steps, halve, (jnp.int32(0), jnp.int32(len(ordered))))
    place = jnp.minimum(place, len(ordered) - 1)
    same = (jnp.asarray(high)[place] == wanted[0]) & (
        jnp.asarray(low)[place] == wanted[1])
    return jnp.where(same & is_legal(genome),
                     jnp.asarray(order, jnp.int32)[place], -1)

  def rows(found: base.Genome) -> jax.Array:
    flat = found.reshape(-1, found.shape[-1])
    return jax.vmap(one)(flat).reshape(found.shape[:-1])

  return rows


@jax.jit
def _keys(genomes):
  return jax.vmap(key)(genomes)


def _pruned(genome: base.Genome) -> tuple[jax.Array, jax.Array]:
  """(edges bool[7, 7] that count, vertices bool[7] that do)."""
  bits = genome[:_NUM_BITS] > 0
  matrix = jnp.zeros((_V, _V), bool).at[
      tuple(np.array(_PAIRS).T)].set(bits)
  # Vertices are in topological order: one sweep each way reaches all.
  from_input = [jnp.bool_(True)]
  for y in range(1, _V):
    from_input.append(jnp.any(jnp.stack(from_input) & matrix[:y, y]))
  to_output = [jnp.bool_(True)]
  for x in reversed(range(_V - 1)):
    to_output.insert(0, jnp.any(jnp.stack(to_output) & matrix[x, x + 1:]))
  kept = jnp.stack(from_input) & jnp.stack(to_output)
  return matrix & kept[:, None] & kept, kept


def _until_legal(key: base.Key, draw: Callable[[base.Key], base.Genome]
                 ) -> base.Genome:
  """The first legal one of as many draws as it takes."""
  first, rest = jax.random.split(key)

  def again(carry):
    _, rest = carry
    now, rest = jax.random.split(rest)
    return draw(now), rest

  found, _ = jax.lax.while_loop(
      lambda carry: ~is_legal(carry[0]), again, (draw(first), rest))
  return found


def _labelled(count: int) -> np.ndarray:
  """All cells of so many vertices that pruning leaves alone, int32[N, 26]."""
  pairs = [(x, y) for y in range(count) for x in range(y)]
  numbers = np.arange(1 << len(pairs))
  bits = (numbers[:, None] >> np.arange(len(pairs)) & 1).astype(bool)
  bits = bits[bits.sum(axis=1) <= bench101.MAX_EDGES]
  matrix = np.zeros((len(bits), count, count), bool)
  matrix[:, [x for x, _ in pairs], [y for _, y in pairs]] = bits
  full = matrix[:, :-1].any(axis=2).all(axis=1) & (
      matrix[:, :, 1:].any(axis=1).all(axis=1))
  bits = bits[full]
  inner = np.stack(np.meshgrid(
      *[np.arange(len(bench101.OPERATIONS))] * (count - 2), indexing='ij'),
                   -1).reshape(-1, count - 2) if count > 2 else (
                       np.zeros((1, 0), int))
  genomes = np.zeros(
      (len(bits), len(inner), _NUM_BITS + _INNER), np.int32)
  place = [*range(count - 1), _V - 1]
  for i, (x, y) in enumerate(pairs):
    x, y = place[x], place[y]
    genomes[:, :, x + y * (y - 1) // 2] = bits[:, None, i]
  genomes[:, :, _NUM_BITS:_NUM_BITS + count - 2] = inner
  return genomes.reshape(-1, genomes.shape[-1])


def _mix(x: jax.Array) -> jax.Array:
  """A bijection of uint32 that spreads every bit (MurmurHash3's)."""
  x = (x ^ (x >> 16)) * np.uint32(0x85ebca6b)
  x = (x ^ (x >> 13)) * np.uint32(0xc2b2ae35)
  return x ^ (x >> 16)
