"""Fixtures of the tests of data sets."""

import pathlib
import shutil
from collections.abc import Iterator

import pytest

from tests.data import cifar_fixture


@pytest.fixture(scope='session')
def cifar10_folder(
    shared_data: pathlib.Path, request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
  """A folder with all of CIFAR-10, in both of the published forms.

  Decoding takes some seconds, so the binary files stay in pytest's cache.
  """
  folder = tmp_path_factory.mktemp('cifar10')
  cache = getattr(request.config, 'cache', None)
  binary = (
      cache.mkdir('cifar10') if cache else folder / 'binary')
  cifar_fixture.write_binary(shared_data / 'cifar10_batches', binary)
  (folder / 'cifar-10-batches-bin').symlink_to(binary)
  cifar_fixture.write_python(binary, folder / 'cifar-10-batches-py')
  yield folder
  shutil.rmtree(folder)
