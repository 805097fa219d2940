"""Which sub-networks a step of shared weights trains.

Each of these is a function (key, progress) -> genotypes, for
`shared.trainer`.

References:
  Guo et al., Single Path One-Shot, arXiv 1904.00420, sec. 3.
  Chu et al., FairNAS, arXiv 1907.01845, sec. 3.
  Li, Talwalkar, Random Search and Reproducibility for Neural Architecture
    Search, arXiv 1902.07638, sec. 3.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax import checks
from nas_jax.spaces import discrete
from nas_jax.supernets import one_shot

Choose = Callable[[base.Key, float], Sequence[base.Genotype]]
NAMES = ('uniform', 'fair', 'path_dropout')


def named(name: str, space: base.Space, *, num_ghosts: int = 1,
          rate: float = .05) -> Choose:
  """One of `NAMES` with its usual settings.

  Args:
    name: of the way to sample.
    space: of the architectures; that of the one-shot model has paths to drop.
    num_ghosts: architectures of a step; fair steps have a number of their own.
    rate: of path dropout.

  Raises:
    ValueError: an unknown name, or see the functions.
  """
  checks.one_of('sampling', name, NAMES)
  if name == 'fair':
    return fair(space)
  if name == 'path_dropout':
    return one_shot.path_dropout(rate=rate, num_ghosts=num_ghosts)
  return uniform(space, num_ghosts=num_ghosts)


def uniform(
    space: base.Space,
    *,
    num_ghosts: int = 1,
    size: Callable[[base.Genotype], float] | None = None,
    bins: Sequence[float] = (),
    max_tries: int = 500,
) -> Choose:
  """Architectures of a space, each as likely as any other (SPOS, RSWS).

  With bins, one of them is drawn, then an architecture whose size it holds:
  SPOS' code does so with 7 bins of 10 million multiply-adds from 290 to 360
  million.

  Args:
    space: of the architectures.
    num_ghosts: how many there are in a step.
    size: of an architecture, such as its multiply-adds.
    bins: ascending edges; bin i holds sizes from edge i to below edge i + 1.
    max_tries: draws until the size fits; after these any will do.

  Raises:
    ValueError: a number out of range, bins without sizes, or no bin.
  """
  if num_ghosts < 1:
    raise ValueError(f'num_ghosts is {num_ghosts}, expected at least 1')
  bins = tuple(bins)
  if (size is None) != (not bins) or len(bins) == 1 or (
      list(bins) != sorted(set(bins))):
    raise ValueError(f'bins are {bins}: expected ascending edges of at least '
                     'one bin where there are sizes, else none')
  draw = jax.jit(space.sample)

  def one(key: base.Key) -> base.Genotype:
    if not bins:
      return space.genotype(draw(key))
    bin_key, key = jax.random.split(key)
    low = int(jax.random.randint(bin_key, (), 0, len(bins) - 1))
    for i in range(max_tries):
      found = space.genotype(draw(jax.random.fold_in(key, i)))
      if bins[low] <= size(found) < bins[low + 1]:
        return found
    return space.genotype(draw(jax.random.fold_in(key, max_tries)))

  def choose(key: base.Key, progress: float) -> list[base.Genotype]:
    del progress
    return [one(k) for k in jax.random.split(key, num_ghosts)]

  return choose


def fair(space: base.Space) -> Choose:
  """As many architectures as there are choices, each choice in one of them.

  At every position of the genome the choices come in a random order of its
  own: strict fairness. The weights are to be made with `same_batch`.

  Args:
    space: with the same number m of choices at every position.

  Raises:
    ValueError: it is none.
  """
  sizes = discrete.sizes_of(space.choices)
  if len(set(sizes)) > 1:
    raise ValueError(
        'strict fairness needs as many choices at every position of a genome, '
        f'but they are {sizes}: sample uniformly instead')

  @jax.jit
  def draw(key):
    return jax.vmap(lambda k: jax.random.permutation(k, sizes[0]))(
        jax.random.split(key, len(sizes))).T.astype(jnp.int32)

  def choose(key: base.Key, progress: float) -> list[base.Genotype]:
    del progress
    return [space.genotype(genome) for genome in np.asarray(draw(key))]

  return choose
