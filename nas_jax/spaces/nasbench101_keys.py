"""Genomes of NAS-Bench-101: what is legal, what is equal, all there are.

A genome is int32[26]: a bit for each of the 21 possible edges among seven
vertices, x -> y at position x + y (y - 1) / 2, and the operation of each of
the five inner vertices. Vertices on no path from input to output do not count.

Reference: Ying et al., NAS-Bench-101, arXiv 1902.09635, sec. 2 and S1.
"""

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import nasbench101 as bench101

VERTICES = bench101.MAX_VERTICES
NUM_INNER = VERTICES - 2
# Edge x -> y in the order of the benchmark's enumeration.
PAIRS = tuple((x, y) for y in range(VERTICES) for x in range(y))
NUM_BITS = len(PAIRS)

# Position of each entry of the matrix in a genome's bits; NUM_BITS: no edge.
_PLACE = np.full((VERTICES, VERTICES), NUM_BITS)
_PLACE[tuple(np.array(PAIRS).T)] = np.arange(NUM_BITS)
_CHUNK = 1 << 15  # genomes that are looked at together on the host


def from_matrices(matrices: np.ndarray, operations: np.ndarray) -> np.ndarray:
  """Genomes of cells of two to seven vertices, int32[N, 26].

  Vertices that a cell does not have come before the output, without edges.

  Args:
    matrices: 0 or 1 [N, 7, 7], upper triangular, of the V vertices that a cell
      has, zeros after them.
    operations: int[N, 5], of the V - 2 inner vertices, numbers into
      `nasbench101.OPERATIONS`, and -1 after them.

  Raises:
    ValueError: the first row that is no cell of the benchmark.
  """
  def check(wrong, what):
    if wrong.any():
      raise ValueError(f'row {np.argmax(wrong)} {what}')

  edges, there = np.asarray(matrices), np.asarray(operations) >= 0
  check(~np.isin(edges, (0, 1)).all(axis=(1, 2)),
        'has a matrix with other entries than 0 and 1')
  edges = edges.astype(bool)
  check((edges & ~np.triu(np.ones((VERTICES, VERTICES), bool), 1)).any((1, 2)),
        'has a matrix that is not upper triangular')
  check((there[:, 1:] > there[:, :-1]).any(axis=1),
        'has an operation after vertices without one')
  beyond = np.arange(VERTICES) > there.sum(axis=1)[:, None] + 1
  check((edges & (beyond[:, :, None] | beyond[:, None])).any(axis=(1, 2)),
        'has edges of vertices without an operation')
  found = _genomes(edges, operations)
  check(~_in_chunks(_all_legal, found, bool),
        'has no path from input to output, or more than '
        f'{bench101.MAX_EDGES} edges that count')
  return found


def from_cells(cells: Sequence[bench101.Cell]) -> np.ndarray:
  """Genomes of checked cells of two to seven vertices, int32[N, 26].

  Args:
    cells: N, each as `nasbench101.cell` returns it, pruned or not.
  """
  edges = np.zeros((len(cells), VERTICES, VERTICES), bool)
  inner = np.full((len(cells), NUM_INNER), -1)
  for i, (matrix, operations) in enumerate(cells):
    count = len(operations)
    edges[i, :count, :count] = matrix
    inner[i, :count - 2] = list(map(
        bench101.OPERATIONS.index, operations[1:-1]))
  return _genomes(edges, inner)


def to_cell(genome: np.ndarray) -> bench101.Cell:
  """The cell of all seven vertices; `nasbench101.prune` drops some."""
  bits = np.append(genome[:NUM_BITS], 0)
  return bench101.Cell(
      tuple(map(tuple, bits[_PLACE].tolist())),
      (bench101.INPUT,
       *(bench101.OPERATIONS[i] for i in genome[NUM_BITS:]), bench101.OUTPUT))


def is_legal(genome: base.Genome) -> jax.Array:
  """Whether int32[26] is a cell of the benchmark, bool[]."""
  matrix, kept = _pruned(genome)
  return kept[-1] & (matrix.sum() <= bench101.MAX_EDGES)


def key(genome: base.Genome) -> jax.Array:
  """Equal for equal cells, different for different ones: uint32[2].

  The rounds of `nasbench101.fingerprint` with sums of mixed integers in place
  of sorted texts, so that it compiles. That all 423,624 cells have different
  keys is tested.

  Args:
    genome: int32[26], legal.
  """
  matrix, kept = _pruned(genome)
  inner = genome[NUM_BITS:].astype(jnp.uint32)
  one = jnp.ones(1, jnp.uint32)
  labels = jnp.concatenate([3 * one, inner, 4 * one])
  # Integer products: on CPUs several times faster than masked sums.
  edges = matrix.astype(jnp.uint32)
  degrees = edges.sum(axis=1) * 8 + edges.sum(axis=0)

  def hashed(lane):
    def spread(_, h):  # uint32[7]
      before, after = _mix(h ^ np.uint32(0x27d4eb2f)), _mix(h + lane)
      return _mix(h * np.uint32(3) + _mix(edges.T @ before) * np.uint32(5)
                  + _mix(edges @ after + np.uint32(1)) * np.uint32(7))

    h = jax.lax.fori_loop(0, VERTICES, spread, _mix(
        degrees * 8 + labels + lane))
    return _mix(jnp.sum(jnp.where(kept, _mix(h), 0), dtype=jnp.uint32)
                + kept.sum(dtype=jnp.uint32))

  return jnp.stack([hashed(np.uint32(lane))
                    for lane in (0x9e3779b9, 0x85ebca6b)])


def keys_of(genomes: np.ndarray) -> np.ndarray:
  """`key` of many genomes on the host, uint64[N]."""
  pairs = _in_chunks(_all_keys, genomes, np.uint64)
  return pairs[:, 0] << np.uint64(32) | pairs[:, 1]


def unique(vertices: int) -> np.ndarray:
  """One genome of every cell of so many vertices, int32[N, 26].

  N is 1, 6, 84, 2,441, 62,010 and 359,082 for 2 to 7 vertices.

  Raises:
    ValueError: a number of vertices that is not in 2..7.
  """
  if not 2 <= vertices <= VERTICES:
    raise ValueError(f'there are cells of 2..{VERTICES} vertices, not '
                     f'{vertices}')
  labelled = _labelled(vertices)
  _, first = np.unique(keys_of(labelled), return_index=True)
  return labelled[np.sort(first)]


def from_fingerprints(prints: Sequence[str]) -> np.ndarray:
  """A genome of each cell by its `nasbench101.fingerprint`, int32[N, 26].

  Goes through the cells from the smallest until all are found; through all
  423,624, that takes a minute or two.

  Raises:
    ValueError: a text that is no cell's fingerprint.
  """
  missing, found = set(prints), {}
  for genome in _by_size():
    if not missing:
      break
    text = bench101.fingerprint(bench101.prune(*to_cell(genome)))
    if text in missing:
      missing.remove(text)
      found[text] = genome
  if missing:
    first = next(i for i, text in enumerate(prints) if text in missing)
    raise ValueError(f'row {first}: no cell has the fingerprint '
                     f'{prints[first]!r}')
  return np.array([found[text] for text in prints])


def finder(genomes: np.ndarray) -> Callable[[base.Genome], jax.Array]:
  """From genomes int32[..., 26] to the row of an equal cell, -1 for none.

  Args:
    genomes: int32[N, 26], a legal one for each row; N at least 1.

  Raises:
    ValueError: two rows are of equal cells.
  """
  words = keys_of(genomes)
  order = np.argsort(words, kind='stable')
  words = words[order]
  twice = np.flatnonzero(words[1:] == words[:-1])
  if twice.size:
    a, b = order[twice[0]:twice[0] + 2].tolist()
    raise ValueError(f'rows {a} and {b} are of the same cell')
  high = (words >> np.uint64(32)).astype(np.uint32)
  low = words.astype(np.uint32)  # Takes the lower half.
  order = order.astype(np.int32)

  def one(genome):
    wanted = key(genome)

    def halve(_, bounds):
      start, stop = bounds
      middle = (start + stop) // 2
      a, b = jnp.asarray(high)[middle], jnp.asarray(low)[middle]
      below = (a < wanted[0]) | ((a == wanted[0]) & (b < wanted[1]))
      return (jnp.where(below & (start < stop), middle + 1, start),
              jnp.where(~below & (start < stop), middle, stop))

    place, _ = jax.lax.fori_loop(
        0, len(words).bit_length(), halve,
        (jnp.int32(0), jnp.int32(len(words))))
    place = jnp.minimum(place, len(words) - 1)
    same = (jnp.asarray(high)[place] == wanted[0]) & (
        jnp.asarray(low)[place] == wanted[1])
    return jnp.where(same & is_legal(genome), jnp.asarray(order)[place], -1)

  def rows(found: base.Genome) -> jax.Array:
    flat = found.reshape(-1, found.shape[-1])
    return jax.vmap(one)(flat).reshape(found.shape[:-1])

  return rows


def _genomes(edges: np.ndarray, operations: np.ndarray) -> np.ndarray:
  """From bool[N, 7, 7] and int[N, 5], see `from_matrices`; int32[N, 26]."""
  # The output, the last vertex that there is, becomes vertex 6.
  rows, last = np.arange(len(edges)), (operations >= 0).sum(axis=1) + 1
  moved = edges.copy()
  moved[rows, :, last] = False
  moved[:, :, -1] = edges[rows, :, last]
  return np.concatenate([
      moved[:, *np.array(PAIRS).T], np.maximum(operations, 0)],
                        axis=1).astype(np.int32)


def _by_size() -> Iterator[np.ndarray]:
  for vertices in range(2, VERTICES + 1):
    yield from unique(vertices)


@jax.jit
def _all_keys(genomes):
  return jax.vmap(key)(genomes)


@jax.jit
def _all_legal(genomes):
  return jax.vmap(is_legal)(genomes)


def _in_chunks(compiled, genomes: np.ndarray, dtype) -> np.ndarray:
  """All in chunks of one shape, so that one program does."""
  found = []
  for start in range(0, len(genomes), _CHUNK):
    part = genomes[start:start + _CHUNK]
    full = np.resize(part, (_CHUNK, part.shape[1]))
    found.append(np.asarray(compiled(full))[:len(part)].astype(dtype))
  return np.concatenate(found)


def _pruned(genome: base.Genome) -> tuple[jax.Array, jax.Array]:
  """(edges bool[7, 7] that count, vertices bool[7] that do)."""
  bits = jnp.append(genome[:NUM_BITS], 0) > 0
  matrix = bits[_PLACE]
  # Vertices are in topological order: one sweep each way reaches all.
  from_input = [jnp.bool_(True)]
  for y in range(1, VERTICES):
    from_input.append(jnp.any(jnp.stack(from_input) & matrix[:y, y]))
  to_output = [jnp.bool_(True)]
  for x in reversed(range(VERTICES - 1)):
    to_output.insert(0, jnp.any(jnp.stack(to_output) & matrix[x, x + 1:]))
  kept = jnp.stack(from_input) & jnp.stack(to_output)
  return matrix & kept[:, None] & kept, kept


def _labelled(count: int) -> np.ndarray:
  """All cells of so many vertices that pruning leaves alone, int32[N, 26]."""
  pairs = np.array([p for p in PAIRS if max(p) < count])
  bits = np.arange(1 << len(pairs))[:, None] >> np.arange(len(pairs)) & 1
  bits = bits[bits.sum(axis=1) <= bench101.MAX_EDGES].astype(bool)
  matrix = np.zeros((len(bits), count, count), bool)
  matrix[:, *pairs.T] = bits
  # Those of which `nasbench101.is_full` holds.
  full = matrix[:, :-1].any(axis=2).all(axis=1) & (
      matrix[:, :, 1:].any(axis=1).all(axis=1))
  bits = bits[full]
  kinds = len(bench101.OPERATIONS)
  inner = np.indices((kinds,) * (count - 2)).reshape(
      count - 2, kinds ** (count - 2)).T
  genomes = np.zeros((len(bits), len(inner), NUM_BITS + NUM_INNER), np.int32)
  pairs[pairs == count - 1] = VERTICES - 1
  genomes[:, :, _PLACE[tuple(pairs.T)]] = bits[:, None]
  genomes[:, :, NUM_BITS:NUM_BITS + count - 2] = inner
  return genomes.reshape(-1, genomes.shape[-1])


def _mix(x: jax.Array) -> jax.Array:
  """A bijection of uint32 that spreads every bit (MurmurHash3's)."""
  x = (x ^ (x >> 16)) * np.uint32(0x85ebca6b)
  x = (x ^ (x >> 13)) * np.uint32(0xc2b2ae35)
  return x ^ (x >> 16)
