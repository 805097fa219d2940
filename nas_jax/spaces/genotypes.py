"""Cells by name, and their JSON form (`genotype.json`)."""

import os
import pathlib
from typing import Any, NamedTuple

from nas_jax import records


class Genotype(NamedTuple):
  """The cells of an architecture, as in DARTS.

  States 0 and 1 of a cell are the outputs of the cell before the last and of
  the last cell; state 2 + n is node n, the sum of its two operations.
  """
  normal: tuple[tuple[str, int], ...]  # (operation, state), two per node
  normal_concat: tuple[int, ...]  # states that make up the output
  reduce: tuple[tuple[str, int], ...]
  reduce_concat: tuple[int, ...]


def to_json(genotype: Genotype | tuple[Any, ...]) -> dict | list:
  """A cell genotype as a dictionary, any other tuple as a list."""
  if isinstance(genotype, Genotype):
    return {k: _to_lists(v) for k, v in genotype._asdict().items()}
  return _to_lists(genotype)


def from_json(value: dict | list) -> Genotype | tuple[Any, ...]:
  """The inverse of `to_json`.

  Raises:
    ValueError: not a genotype; says in which place.
  """
  if isinstance(value, list):
    return _to_tuples(value)
  if not isinstance(value, dict):
    raise ValueError(f'a genotype is an object or a list, got {value!r}')
  for key in Genotype._fields:
    if key not in value:
      raise ValueError(f'the genotype has no {key!r}')
  for key in value:
    if key not in Genotype._fields:
      raise ValueError(f'unknown key {key!r}, expected '
                       f'{", ".join(Genotype._fields)}')
  cells = []
  for name in ('normal', 'reduce'):
    nodes = _nodes(name, value[name])
    states = 2 + len(nodes) // 2
    concat = f'{name}_concat'
    cells += nodes, _concat(concat, value[concat], states)
  return Genotype(*cells)


def save(path: str | os.PathLike, genotype: Genotype | tuple) -> None:
  """Replaces a file by the JSON form of a genotype, atomically."""
  records.write_json(pathlib.Path(path), to_json(genotype))


def load(path: str | os.PathLike) -> Genotype | tuple[Any, ...]:
  """Reads what `save` wrote.

  Raises:
    ValueError: missing, not JSON, or not a genotype; names file and place.
  """
  try:
    return from_json(records.read_json(path))
  except ValueError as e:
    text = str(e)
    name = os.fspath(path)
    raise ValueError(text if name in text else f'{name}: {text}') from e


def _nodes(name: str, value: Any) -> tuple[tuple[str, int], ...]:
  if not isinstance(value, list):
    raise ValueError(f'{name} is not a list: {value!r}')
  if not value or len(value) % 2:
    raise ValueError(f'{name} has {len(value)} entries, expected two per node')
  for i, entry in enumerate(value):
    if not (isinstance(entry, list) and len(entry) == 2 and
            isinstance(entry[0], str) and _is_int(entry[1])):
      raise ValueError(
          f'{name}[{i}] is {entry!r}, expected [operation, state]')
    if not 0 <= entry[1] <= i // 2 + 1:
      raise ValueError(f'{name}[{i}] reads state {entry[1]}, but node {i // 2} '
                       f'may read states 0..{i // 2 + 1}')
  return _to_tuples(value)


def _concat(name: str, value: Any, states: int) -> tuple[int, ...]:
  if not isinstance(value, list):
    raise ValueError(f'{name} is not a list: {value!r}')
  if not value:
    raise ValueError(f'{name} is empty')
  for i, state in enumerate(value):
    if not _is_int(state) or not 0 <= state < states:
      raise ValueError(f'{name}[{i}] is {state!r}, expected a state 0..'
                       f'{states - 1}')
  if len(set(value)) != len(value):
    raise ValueError(f'{name} names a state twice: {value!r}')
  return tuple(value)


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _to_lists(value: Any) -> Any:
  return [*map(_to_lists, value)] if isinstance(value, tuple) else value


def _to_tuples(value: Any) -> Any:
  return (*map(_to_tuples, value),) if isinstance(value, list) else value
