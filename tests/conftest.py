"""Fixtures and settings shared by all tests."""

import os
import pathlib

import jax
import pytest

from nas_jax import memory
from nas_jax.networks import blocks

_ROOT = pathlib.Path(__file__).resolve().parent.parent

# Compiling takes longer than most tests: a second run finds it done.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(_ROOT / '.jax_cache'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')
# jax may have been imported before: its settings are read from there once.
jax.config.update('jax_compilation_cache_dir',
                  os.environ['JAX_COMPILATION_CACHE_DIR'])
jax.config.update('jax_persistent_cache_min_compile_time_secs', .1)
jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
  """The folder of real data sets and golden values; skips where absent."""
  folder = pathlib.Path(
      os.environ.get('NAS_JAX_TEST_DATA', _ROOT.parent / 'shared' / 'data'))
  if not folder.is_dir():
    pytest.skip(f'no shared test data at {folder}')
  return folder


@pytest.fixture(scope='module', autouse=True)
def _forget_programs():
  """A process may not map as many programs as all tests compile."""
  yield
  if memory.nearly_all_mapped():
    blocks.forget()
