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
from nas_jax.spaces import nasbench101_keys as keys
from nas_jax.spaces import nasbench201 as bench201


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

  Genomes are those of `nasbench101_keys`. Samples are uniform over the legal
  ones, with a path from input to output and at most nine edges that count. A
  mutation changes one position, so that the result is legal. Equal cells have
  many genomes; `nasbench101_keys.key` tells.

  A genotype is a `nasbench101.Cell` of all seven vertices, so that a genome
  comes back from it; `nasbench101.cell` makes it the benchmark's.
  """
  choices = ((0, 1),) * keys.NUM_BITS + (bench101.OPERATIONS,) * keys.NUM_INNER
  plain = discrete.space(choices)

  def sample(key: base.Key) -> base.Genome:
    return _until_legal(key, plain.sample)

  def mutate(key: base.Key, genome: base.Genome) -> base.Genome:
    return _until_legal(key, lambda k: plain.mutate(k, genome))

  def genotype(genome: base.Genome) -> bench101.Cell:
    found = keys.to_cell(np.array(discrete.check(choices, genome)))
    bench101.cell(*found)  # Raises ValueError unless it is legal.
    return found

  def encode(value: bench101.Cell) -> base.Genome:
    bench101.cell(*value)
    return jnp.asarray(keys.from_cells([value])[0])

  return base.Space(choices, sample, mutate, discrete.Decoded, genotype, encode)


def _until_legal(key: base.Key, draw: Callable[[base.Key], base.Genome]
                 ) -> base.Genome:
  """The first legal one of as many draws as it takes."""
  first, rest = jax.random.split(key)

  def again(carry):
    _, rest = carry
    now, rest = jax.random.split(rest)
    return draw(now), rest

  found, _ = jax.lax.while_loop(
      lambda carry: ~keys.is_legal(carry[0]), again, (draw(first), rest))
  return found
