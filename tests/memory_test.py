import sys

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
