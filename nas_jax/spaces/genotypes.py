"""Cells by name, and their forms in files (`genotype.json`, DARTS' text)."""

import ast
from collections.abc import Sequence
import os
import pathlib
import re
from typing import Any, NamedTuple

from nas_jax import records

Edge = tuple[str, int] | tuple[str, int, int]
Nodes = tuple[tuple[tuple[str, int], ...], ...]
# What a node does with the results of its operations.
COMBINATIONS = ('add', 'concat')
_OPTIONAL = ('normal_combine', 'reduce_combine')


class Genotype(NamedTuple):
  """The cells of an architecture, as in DARTS.

  States 0 and 1 of a cell are the outputs of the cell before the last and of
  the last cell; state 2 + n is node n, which adds the results of its
  operations or concatenates them on the channels.

  An edge is (operation, source state), two for each node in turn; or, in
  cells whose nodes have any number of edges, (operation, state of the node,
  source state), as in FairDARTS.
  """
  normal: tuple[Edge, ...]
  normal_concat: tuple[int, ...]  # states that make up the output
  reduce: tuple[Edge, ...]
  reduce_concat: tuple[int, ...]
  # One of COMBINATIONS for each node; empty if all add, as in most papers.
  normal_combine: tuple[str, ...] = ()
  reduce_combine: tuple[str, ...] = ()

  def __repr__(self) -> str:
    """DARTS' text, with further fields only where there is a concat."""
    fields = {name: value for name, value in self._asdict().items()
              if value or name not in _OPTIONAL}
    return f'Genotype({", ".join(f"{k}={v!r}" for k, v in fields.items())})'


def node_edges(genotype: Genotype, kind: str) -> tuple[Nodes, tuple[int, ...]]:
  """The edges of one cell by node, each (operation, source), and its concat.

  Args:
    genotype: of the cells.
    kind: 'normal' or 'reduce'.
  """
  edges = getattr(genotype, kind)
  concat = tuple(getattr(genotype, f'{kind}_concat'))
  if not _is_by_node(edges):
    return tuple(
        tuple(edges[i:i + 2]) for i in range(0, len(edges), 2)), concat
  last = max(*(e[1] for e in edges), *concat)
  return tuple(
      tuple((op, source) for op, node, source in edges if node == state)
      for state in range(2, last + 1)), concat


def node_combinations(genotype: Genotype, kind: str,
                      known: Sequence[str] = COMBINATIONS) -> tuple[str, ...]:
  """How each node of one cell combines its operations.

  Args:
    genotype: of the cells.
    kind: 'normal' or 'reduce'.
    known: what the caller can do.

  Raises:
    ValueError: another combination, or not one for each node.
  """
  found = tuple(getattr(genotype, f'{kind}_combine'))
  num_nodes = len(node_edges(genotype, kind)[0])
  if found and len(found) != num_nodes:
    raise ValueError(f'{kind}_combine has {len(found)} entries, expected one '
                     f'for each of {num_nodes} nodes')
  for n, name in enumerate(found):
    if name not in known:
      raise ValueError(f'node {n} of the {kind} cell combines its operations '
                       f'by {name!r}, expected {" or ".join(known)}')
  return found or ('add',) * num_nodes


def to_json(genotype: Genotype | tuple[Any, ...]) -> dict | list:
  """A cell genotype as a dictionary, any other tuple as a list."""
  if isinstance(genotype, Genotype):
    return {k: _to_lists(v) for k, v in genotype._asdict().items()
            if v or k not in _OPTIONAL}
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
    if key not in value and key not in _OPTIONAL:
      raise ValueError(f'the genotype has no {key!r}')
  for key in value:
    if key not in Genotype._fields:
      raise ValueError(f'unknown key {key!r}, expected '
                       f'{", ".join(Genotype._fields)}')
  cells = []
  for name in ('normal', 'reduce'):
    edges, states = _edges(name, value[name])
    concat = f'{name}_concat'
    cells += edges, _concat(concat, value[concat], states)
  combined = [_combine(name, value.get(name, [])) for name in _OPTIONAL]
  return canonical(Genotype(*cells, *combined))


def canonical(genotype: Genotype) -> Genotype:
  """The one way to write these cells: no combinations where all nodes add.

  Raises:
    ValueError: see `node_combinations`.
  """
  found = {f'{kind}_combine': node_combinations(genotype, kind)
           for kind in ('normal', 'reduce')}
  return genotype._replace(**{
      name: names if 'concat' in names else ()
      for name, names in found.items()})


def save(path: str | os.PathLike, genotype: Genotype | tuple,
         family: str | None = None) -> None:
  """Replaces a file by a genotype, atomically.

  Args:
    path: of the file.
    genotype: cells, or a tuple of another space.
    family: of the networks that it describes (networks/zoo.py); without it
      the file does not say.
  """
  value = to_json(genotype)
  if family and isinstance(value, dict):
    value = {'family': family, **value}
  elif family:
    value = {'family': family, 'genotype': value}
  records.write_json(pathlib.Path(path), value)


def load(path: str | os.PathLike) -> Genotype | tuple[Any, ...]:
  """The genotype in a file, see `load_with_family`."""
  return load_with_family(path)[1]


def load_with_family(path: str | os.PathLike
                     ) -> tuple[str | None, Genotype | tuple[Any, ...]]:
  """Reads what `save` wrote, or DARTS' text `Genotype(normal=[...], ...)`.

  Returns:
    The family if the file says it, and the genotype.

  Raises:
    ValueError: missing, neither JSON nor text of one genotype; names file
      and place.
  """
  name = os.fspath(path)
  try:
    text = _text(path)
    if text is not None:
      return None, parse(text)
    value, family = records.read_json(path), None
    if isinstance(value, dict) and 'family' in value:
      family = value.pop('family')
      if set(value) == {'genotype'}:
        value = value['genotype']
    return family, from_json(value)
  except ValueError as e:
    message = str(e)
    raise ValueError(
        message if name in message else f'{name}: {message}') from e


def parse(text: str) -> Genotype:
  """The one genotype in a text such as a log or a line of genotypes.py.

  Nothing in the text is executed.

  Raises:
    ValueError: none, several different ones, or a broken one.
  """
  found = []
  for match in re.finditer(r'Genotype\(', text):
    found.append(_parse_call(text[match.start():_end(text, match.end())]))
  if not found:
    raise ValueError("no 'Genotype(' in the text")
  if len(set(found)) > 1:
    raise ValueError(f'{len(found)} genotypes in the text, expected one')
  return found[0]


def _text(path: str | os.PathLike) -> str | None:
  """The content of a file in DARTS' text form."""
  try:
    text = pathlib.Path(path).read_text('utf-8')
  except (OSError, UnicodeDecodeError):
    return None  # `read_json` says what is wrong.
  return text if 'Genotype(' in text else None


def _end(text: str, start: int) -> int:
  """Where the parenthesis that was opened before `start` closes."""
  depth = 1
  for i in range(start, len(text)):
    depth += {'(': 1, ')': -1}.get(text[i], 0)
    if not depth:
      return i + 1
  raise ValueError("the text ends inside of 'Genotype('")


def _parse_call(text: str) -> Genotype:
  try:
    call = ast.parse(text.strip(), mode='eval').body
    values = dict(zip(Genotype._fields, map(_literal, call.args))) | {
        k.arg: _literal(k.value) for k in call.keywords}
  except (SyntaxError, ValueError, TypeError, AttributeError) as e:
    raise ValueError(f'cannot read {text[:60]!r}...: {e}') from e
  return from_json({k: _to_lists(v) for k, v in values.items()})


def _literal(node: ast.expr) -> Any:
  """A literal, or range(...)."""
  inner = node
  if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'list' and (
      len(node.args) == 1):
    inner = node.args[0]
  if isinstance(inner, ast.Call) and getattr(inner.func, 'id', '') == 'range':
    return list(range(*map(ast.literal_eval, inner.args)))
  return ast.literal_eval(inner)


def _is_by_node(edges: Sequence[Edge]) -> bool:
  return bool(edges) and len(edges[0]) == 3


def _edges(name: str, value: Any) -> tuple[tuple[Edge, ...], int | None]:
  """Checked edges, and how many states there are if the edges tell."""
  if not isinstance(value, list):
    raise ValueError(f'{name} is not a list: {value!r}')
  if not value:
    raise ValueError(f'{name} has 0 entries, expected two per node')
  length = 3 if isinstance(value[0], list) and len(value[0]) == 3 else 2
  form = ('[operation, state]' if length == 2 else
          '[operation, state of the node, state]')
  for i, entry in enumerate(value):
    if not (isinstance(entry, list) and len(entry) == length and
            isinstance(entry[0], str) and all(map(_is_int, entry[1:]))):
      raise ValueError(f'{name}[{i}] is {entry!r}, expected {form}')
  if length == 2 and (complete := _all_edges(value)):
    return _edges(name, complete)
  if length == 2 and len(value) % 2:
    raise ValueError(f'{name} has {len(value)} entries, expected two per node')
  for i, (_, *states) in enumerate(value):
    node, source = states if length == 3 else (i // 2 + 2, states[0])
    if node < 2:
      raise ValueError(f'{name}[{i}] leads to state {node}, but nodes are '
                       'states 2 and up')
    if not 0 <= source < node:
      raise ValueError(f'{name}[{i}] reads state {source}, but node {node - 2} '
                       f'may read states 0..{node - 1}')
  return _to_tuples(value), None if length == 3 else 2 + len(value) // 2


def _all_edges(pairs: list) -> list | None:
  """The edges of SNAS' complete cells, written as 2 + 3 + 4 + ... pairs."""
  edges, state = [], 2
  while len(edges) < len(pairs):
    group = pairs[len(edges):len(edges) + state]
    if sorted(source for _, source in group) != list(range(state)):
      return None
    edges += [[operation, state, source] for operation, source in group]
    state += 1
  # Two nodes of two pairs each are not meant.
  return edges if len(edges) > 2 else None


def _concat(name: str, value: Any, states: int | None) -> tuple[int, ...]:
  if not isinstance(value, list):
    raise ValueError(f'{name} is not a list: {value!r}')
  if not value:
    raise ValueError(f'{name} is empty')
  for i, state in enumerate(value):
    if not _is_int(state) or not 0 <= state < (states or state + 1):
      raise ValueError(
          f'{name}[{i}] is {state!r}, expected a state 0..{states - 1}'
          if states else f'{name}[{i}] is {state!r}, expected a state')
  if len(set(value)) != len(value):
    raise ValueError(f'{name} names a state twice: {value!r}')
  return tuple(value)


def _combine(name: str, value: Any) -> tuple[str, ...]:
  if not isinstance(value, list):
    raise ValueError(f'{name} is not a list: {value!r}')
  return tuple(value)


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _to_lists(value: Any) -> Any:
  return ([*map(_to_lists, value)] if isinstance(value, (tuple, list))
          else value)


def _to_tuples(value: Any) -> Any:
  return (*map(_to_tuples, value),) if isinstance(value, list) else value
