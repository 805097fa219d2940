import re
import sys

import jax
import pytest

from nas_jax import memory


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
  monkeypatch.delenv('MALLOC_MMAP_MAX_', raising=False)
  monkeypatch.delenv('MALLOC_TRIM_THRESHOLD_', raising=False)


def test_the_c_library_accepts_it():
  assert memory.keep_freed_memory() == (sys.platform == 'linux')


def test_the_users_own_settings_stay(monkeypatch):
  monkeypatch.setenv('MALLOC_TRIM_THRESHOLD_', '1000')
  assert not memory.keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
  monkeypatch.setattr(sys, 'platform', 'darwin')
  assert not memory.keep_freed_memory()


def test_mappings_are_counted(monkeypatch, tmp_path):
  maps, most = tmp_path / 'maps', tmp_path / 'most'
  monkeypatch.setattr(memory, '_MAPS', maps)
  monkeypatch.setattr(memory, '_MOST_MAPS', most)
  assert not memory.nearly_all_mapped()  # Not a system that says.
  most.write_text('10\n')
  maps.write_text('a\n' * 6)
  assert not memory.nearly_all_mapped()
  maps.write_text('a\n' * 7)
  assert memory.nearly_all_mapped()


@pytest.mark.parametrize('error, expected', [
    (MemoryError(), True), (ValueError('out of memory'), False),
    (jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: x'), True),
    (jax.errors.JaxRuntimeError('INTERNAL: x'), False)])
def test_errors_of_memory(error, expected):
  assert memory.out_of_memory(error) == expected


def test_what_does_not_fit_says_what_to_change():
  with pytest.raises(ValueError, match=re.escape(
      'out of memory with 64 images (RESOURCE_EXHAUSTED: x). Choose 32')):
    with memory.explained('64 images', '32'):
      raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: x\ny')
  with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'):
    with memory.explained('64 images', '32'):
      raise jax.errors.JaxRuntimeError('INTERNAL: x')


@pytest.mark.parametrize('error, expected', [
    (MemoryError(), 'MemoryError'),
    (MemoryError('no room\nat all'), 'no room')])
def test_the_reason_is_the_first_line(error, expected):
  assert memory.reason(error) == expected
