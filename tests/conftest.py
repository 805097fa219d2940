"""Fixtures shared by all tests."""

import os
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
  """The folder of real data sets and golden values; skips where absent."""
  folder = pathlib.Path(
      os.environ.get('NAS_JAX_TEST_DATA', _ROOT.parent / 'shared' / 'data'))
  if not folder.is_dir():
    pytest.skip(f'no shared test data at {folder}')
  return folder
