"""The architecture, executable: who in the package may import whom."""

import ast
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_LAYERS = {
    'base': 0, 'checks': 0, 'memory': 0, 'pages': 0, 'records': 0,
    'progress': 0, 'statistics': 0,
    'layout': 0, 'loader': 0, 'svg': 0,
    'runs': 1, 'keys': 1,
    'rewards': 1, 'parallel': 1, 'checkpoint': 1, 'spaces': 1, 'data': 1,
    'workdir': 1,
    'controllers': 2, 'networks': 2, 'journal': 2, 'search': 2,
    'descent': 2, 'tables': 2, 'fleet': 2, 'fleet_stores': 2,
    'cost': 3, 'predictors': 3, 'training': 3,
    'strategies': 4, 'supernets': 4,
    'trained': 4, 'finals': 4, 'networks_on_images': 4,
    'language_training': 4,
    'evaluation': 4, 'report': 4, 'plot': 4,
    'plot_architecture': 4, 'plot_cells': 4, 'plot_graph': 4,
    'plot_network': 4, 'plot_recurrent': 4, 'plot_weights': 4,
    'report_searches': 4, 'export': 4,
    'evaluators': 5,
    'comparison': 6, 'on_tables': 6, 'large_scale': 6, 'autodl_demo': 6,
    'problem': 6, 'cells_on_images': 6, 'search_on_images': 6,
    'nao_ws': 6, 'nao_search': 6,
    'supernet_plan': 6, 'supernet_search': 6, 'supernet_remedies': 6,
    'gradient_on_images': 6, 'gradient_on_text': 6,
    'supernet_on_text': 6, 'enas_search': 6,
    'language_problem': 6, 'language_on_text': 6,
    'workflow': 7, 'gradient_workflow': 7, 'training_workflow': 7,
    'language_workflow': 7, 'gradient_text_workflow': 7,
}
_PACKAGE = 'nas_jax'
_OUTSIDE = ('experiments', 'scripts', 'tests', 'benchmarks')


def test_the_package_keeps_its_layers():
  assert violations(_ROOT) == []


def violations(root: pathlib.Path) -> list[str]:
  """What breaks the rules under `root`/nas_jax, one line each.

  Imports go to a lower layer, or within one folder; there is no cycle, no
  star import, no absl.flags, and nothing from outside the package.
  """
  modules = _modules(root)
  found = []
  graph = {}
  for name, path in modules.items():
    tree = ast.parse(path.read_text('utf-8'), str(path))
    targets = _imports(tree, name, path, modules)
    graph[name] = {t for t in targets if t in modules and t != name}
    for target in sorted(targets):
      if target.startswith('absl.flags') or target == 'absl.app':
        found.append(f'{name} imports {target}')
      if target.endswith('.*'):
        found.append(f'{name} has a star import of {target[:-2]}')
      if target.split('.')[0] in _OUTSIDE:
        found.append(f'{name} imports {target} from outside the package')
    if name == _PACKAGE:
      continue
    if _part(name) not in _LAYERS:
      found.append(f'{name} has no layer')
      continue
    for target in sorted(graph[name]):
      if not _allowed(name, target):
        found.append(f'{name} imports {target}, which is not below it')
  return found + [' -> '.join(c) + ' is a cycle' for c in _cycles(graph)]


def _modules(root: pathlib.Path) -> dict[str, pathlib.Path]:
  found = {}
  for path in sorted((root / _PACKAGE).rglob('*.py')):
    parts = path.relative_to(root).with_suffix('').parts
    if parts[-1] == '__init__':
      parts = parts[:-1]
    found['.'.join(parts)] = path
  return found


def _imports(tree, name, path, modules) -> set[str]:
  """Absolute names of all that a module imports, anywhere in it."""
  package = name if path.name == '__init__.py' else name.rpartition('.')[0]
  found = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      source = node.module or ''
      if node.level:
        parts = package.split('.')
        parts = parts[:len(parts) - node.level + 1]
        source = '.'.join(parts + ([source] if source else []))
      for alias in node.names:
        member = f'{source}.{alias.name}'
        if member in modules or alias.name in ('*', 'flags', 'app'):
          found.add(member)
        else:
          found.add(source)
  return found


def _part(name: str) -> str:
  """What has a layer: the first name below the package."""
  return (name.split('.') + [''])[1]


def _allowed(name: str, target: str) -> bool:
  if target == _PACKAGE:
    return True
  a, b = _part(name), _part(target)
  if b not in _LAYERS or _LAYERS[b] < _LAYERS[a]:
    return True
  # Sideways: inside one folder, the package's own folder being one.
  return _LAYERS[a] == _LAYERS[b] and (
      a == b or name.count('.') == target.count('.') == 1)


def _cycles(graph: dict[str, set[str]]) -> list[list[str]]:
  """One cycle through each back edge of a depth-first search."""
  cycles, state, stack = [], {}, []

  def visit(name):
    state[name] = 'open'
    stack.append(name)
    for target in sorted(graph[name]):
      if state.get(target) == 'open':
        cycles.append(stack[stack.index(target):] + [target])
      elif target not in state:
        visit(target)
    stack.pop()
    state[name] = 'done'

  for name in sorted(graph):
    if name not in state:
      visit(name)
  return cycles


_GOOD = {
    '__init__.py': '',
    'base.py': 'import jax\n',
    'spaces/__init__.py': '',
    'spaces/discrete.py': 'from nas_jax import base\n',
    'spaces/cell.py': 'from nas_jax.spaces import discrete\n',
    'search.py': 'from nas_jax.spaces.discrete import space\n',
    'evaluators/__init__.py': '',
    'evaluators/toy.py': 'import nas_jax.search\nfrom absl import logging\n',
}


def _tree(folder: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
  for name, text in (_GOOD | files).items():
    path = folder / _PACKAGE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
  return folder


def test_a_good_tree_passes(tmp_path):
  assert violations(_tree(tmp_path, {})) == []


@pytest.mark.parametrize('name, text, expected', [
    ('spaces/cell.py', 'from nas_jax.evaluators import toy\n',
     'nas_jax.spaces.cell imports nas_jax.evaluators.toy, which is not below '
     'it'),
    ('spaces/cell.py', 'def f():\n  import nas_jax.search\n',
     'nas_jax.spaces.cell imports nas_jax.search, which is not below it'),
    ('base.py', 'from .spaces import cell\n',
     'nas_jax.base imports nas_jax.spaces.cell, which is not below it'),
    ('data/source.py', 'from nas_jax.spaces import cell\n',
     'nas_jax.data.source imports nas_jax.spaces.cell, which is not below it'),
    ('spaces/discrete.py', 'from nas_jax.spaces.cell import space\n',
     'nas_jax.spaces.discrete -> nas_jax.spaces.cell -> '
     'nas_jax.spaces.discrete is a cycle'),
    ('rewards.py', 'from absl import flags\n',
     'nas_jax.rewards imports absl.flags'),
    ('rewards.py', 'import absl.flags as f\n',
     'nas_jax.rewards imports absl.flags'),
    ('rewards.py', 'from absl.flags import DEFINE_string\n',
     'nas_jax.rewards imports absl.flags'),
    ('rewards.py', 'from nas_jax.base import *\n',
     'nas_jax.rewards has a star import of nas_jax.base'),
    ('rewards.py', 'from math import *\n',
     'nas_jax.rewards has a star import of math'),
    ('rewards.py', 'from experiments import flags_of\n',
     'nas_jax.rewards imports experiments from outside the package'),
    ('helpers.py', '', 'nas_jax.helpers has no layer'),
])
def test_each_fault_is_found(tmp_path, name, text, expected):
  found = violations(_tree(tmp_path, {name: text}))
  assert expected in found
