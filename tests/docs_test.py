"""The documents: their code runs, and the map is complete."""

import pathlib
import re

import pytest

from nas_jax.data import images
from nas_jax.networks import tables
from nas_jax.networks import zoo
from nas_jax.spaces import presets

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PAGE = (_ROOT / 'docs' / 'architecture.md').read_text('utf-8')


@pytest.fixture
def registries(monkeypatch):
  """What the blocks register is gone afterwards."""
  monkeypatch.setattr(tables, 'TABLES', dict(tables.TABLES))
  monkeypatch.setattr(zoo, 'FAMILIES', dict(zoo.FAMILIES))
  monkeypatch.setattr(presets, 'PRESETS', dict(presets.PRESETS))
  monkeypatch.setattr(images, 'SOURCES', dict(images.SOURCES))


def test_blocks_run_in_order(registries):
  blocks = list(re.finditer(r'```python\n(.*?)```', _PAGE, re.DOTALL))
  assert len(blocks) == 5
  names = {'__name__': 'docs'}
  for block in blocks:
    # The lines before it, so that a traceback has those of the page.
    above = '\n' * (_PAGE[:block.start()].count('\n') + 1)
    exec(compile(above + block[1], 'docs/architecture.md', 'exec'), names)
    assert 'assert ' in block[1]
    assert block[1].count('\n') <= 30


def test_every_module_is_on_the_map():
  tree = _PAGE.split('```')[1]
  for path in sorted((_ROOT / 'nas_jax').iterdir()):
    if path.name.startswith('_') or not (
        path.suffix == '.py' or (path / '__init__.py').exists()):
      continue
    name = path.name if path.suffix else f'{path.name}/'
    assert re.search(rf'^  (\S+ )?{re.escape(name)} ', tree, re.MULTILINE), name


def test_no_more_modules_are_on_the_map_than_there_are():
  tree = _PAGE.split('```')[1]
  for line in re.findall(r'^  ([a-z_./ ]+?)  +\d  ', tree, re.MULTILINE):
    for name in line.split():
      assert (_ROOT / 'nas_jax' / name).exists(), name


def test_files_named_exist():
  for name in re.findall(r'`((?:nas_jax|experiments|scripts|tests)/[\w/.]+)`',
                         _PAGE):
    assert (_ROOT / name).exists(), name
