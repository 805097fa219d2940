"""Tables of trained architectures: what a search can look up.

A file (.npz) of NAS-Bench-201 has the fields
  ops       int[N, 6], an operation of each edge, numbers into op_names
  op_names  str[5]
and columns of numbers: float[N], or float[N, S] of S trainings, with NaN
where one is missing.
"""

from collections.abc import Callable
import os
import pathlib
from typing import NamedTuple
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import graph
from nas_jax.spaces import nasbench201 as bench201


class Table(NamedTuple):
  """What is known of the N architectures of a space."""
  name: str
  space: base.Space
  family: str | None  # of networks/zoo.py
  number: Callable[[base.Genome], jax.Array]  # int32[..., L] -> row; -1: none
  columns: dict[str, np.ndarray]  # float32[N] or float32[N, S]


def load(source: str | os.PathLike) -> Table:
  """The table of a file.

  Raises:
    ValueError: no such file, or none of this kind.
  """
  path = pathlib.Path(source)
  try:
    with np.load(path, allow_pickle=False) as file:
      fields = {name: file[name] for name in file.files}
  except FileNotFoundError:
    raise ValueError(f'there is no table {path}') from None
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
    raise ValueError(f'{path} is not an .npz file: {e}') from e
  for name in ('ops', 'op_names'):
    if name not in fields:
      raise ValueError(f'{path} has no field {name!r}, only '
                       f'{", ".join(fields)}')
  return _nasbench201(path, fields)


def _nasbench201(path, fields) -> Table:
  space = graph.nasbench201()
  names = [str(n) for n in fields.pop('op_names')]
  ops = fields.pop('ops')
  for name in names:
    if name not in bench201.OPERATIONS:
      raise ValueError(f'{path} has the operation {name!r}, expected '
                       f'{", ".join(bench201.OPERATIONS)}')
  if ops.ndim != 2 or ops.shape[1] != len(bench201.EDGES):
    raise ValueError(f'ops of {path} are of shape {ops.shape}, expected '
                     f'[N, {len(bench201.EDGES)}]')
  order = np.array([bench201.OPERATIONS.index(n) for n in names])
  radices = np.array(discrete.radices(discrete.sizes_of(space.choices)))
  numbers = order[ops] @ radices
  rows = np.full(discrete.size(space.choices), -1, np.int32)
  rows[numbers] = np.arange(len(numbers))
  columns = {
      name: found.astype(np.float32) for name, found in fields.items()
      if found.dtype.kind in 'fiub' and len(found) == len(ops)}

  def number(genomes: base.Genome) -> jax.Array:
    return jnp.asarray(rows)[jnp.sum(
        genomes * radices.astype(np.int32), axis=-1)]

  return Table('nasbench201', space, 'nasbench201', number, columns)
