"""The folder of a run: whose it is, and its compilation cache."""

import json
import os
import sys
import time
import zlib

import jax
from jax.experimental.compilation_cache import compilation_cache
import pytest

from nas_jax import records
from nas_jax import workdir


def test_config_holds_everything(tmp_path):
  workdir.claim(tmp_path / 'a' / 'b', 'amoeba', {'seed': 3, 'rate': None})
  config = json.loads((tmp_path / 'a' / 'b' / 'config.json').read_text())
  assert config['experiment'] == 'amoeba'
  assert config['flags'] == {'seed': 3, 'rate': None}
  assert config['versions'] == workdir.versions()
  assert config['command'] == workdir.command()


def test_the_same_run_may_go_on(tmp_path):
  workdir.claim(tmp_path, 'amoeba', {'seed': 3})
  before = (tmp_path / 'config.json').read_bytes()
  workdir.claim(tmp_path, 'amoeba', {'seed': 3})
  assert (tmp_path / 'config.json').read_bytes() == before


def test_another_run_is_refused_with_all_differences(tmp_path):
  workdir.claim(tmp_path, 'amoeba', {'seed': 3, 'rate': .1, 'old': None,
                                     'gone': 2})
  with pytest.raises(ValueError) as e:
    workdir.claim(tmp_path, 'toy', {'seed': 4, 'rate': .1, 'new': 'x'})
  assert str(e.value) == (
      f"{tmp_path} holds a run with other settings: experiment was 'amoeba', "
      "is now 'toy'; gone was 2, is now None; new was None, is now 'x'; seed "
      'was 3, is now 4. Choose another --workdir, or delete it')


def test_where_it_runs_is_not_what_it_is(tmp_path):
  workdir.claim(tmp_path, 'amoeba', {'data_dir': 'a', 'num_devices': 1})
  workdir.claim(tmp_path, 'amoeba', {'data_dir': 'b', 'num_devices': 2})


def test_other_versions_are_a_warning(tmp_path, caplog):
  workdir.claim(tmp_path, 'amoeba', {})
  config = records.read_json(tmp_path / 'config.json')
  config['versions']['jax'] = '0.1'
  records.write_json(tmp_path / 'config.json', config)
  workdir.claim(tmp_path, 'amoeba', {})
  assert (f'{tmp_path} was started with jax 0.1, goes on with '
          f'{jax.__version__}') in caplog.text


def test_a_damaged_config_is_named(tmp_path):
  (tmp_path / 'config.json').write_text('{"experiment"')
  with pytest.raises(ValueError, match='config.json is not a JSON file'):
    workdir.claim(tmp_path, 'amoeba', {})


def test_a_file_is_no_workdir(tmp_path):
  (tmp_path / 'run').write_text('')
  with pytest.raises(ValueError) as e:
    workdir.claim(tmp_path / 'run', 'amoeba', {})
  assert str(e.value) == f'{tmp_path}/run is a file: choose another --workdir'


def test_no_space_for_the_config(tmp_path):
  (tmp_path / 'config.json.tmp').symlink_to('/dev/full')
  with pytest.raises(OSError, match='No space left on device'):
    workdir.claim(tmp_path, 'amoeba', {})
  (tmp_path / 'config.json.tmp').unlink()
  workdir.claim(tmp_path, 'amoeba', {})


def test_the_command_can_be_typed(monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['main.py', '--workdir=a b'])
  monkeypatch.delattr(sys.modules['__main__'], '__spec__', raising=False)
  assert workdir.command() == "python main.py '--workdir=a b'"


@pytest.fixture
def no_cache(monkeypatch):
  names = ('jax_compilation_cache_dir',
           'jax_persistent_cache_min_compile_time_secs',
           'jax_persistent_cache_min_entry_size_bytes')
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update(names[0], None)
  yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


def test_cut_entries_of_the_cache_are_dropped(tmp_path, no_cache):
  cache = tmp_path / 'xla_cache'
  cache.mkdir()
  whole = zlib.compress(b'program' * 1000)
  zstd = b'\x28\xb5\x2f\xfd' + b'not read here'
  contents = {'whole': whole, 'cut': whole[:-3], 'empty': b'', 'zstd': zstd}
  for name, content in contents.items():
    (cache / f'{name}-cache').write_bytes(content)
  workdir.use_compilation_cache(tmp_path)
  assert {p.name for p in cache.iterdir()} == {
      'whole-cache', 'zstd-cache', 'checked'}
  assert jax.config.jax_compilation_cache_dir == str(cache)


def test_entries_of_the_cache_are_read_once(tmp_path, no_cache):
  cache = tmp_path / 'xla_cache'
  workdir.use_compilation_cache(tmp_path)
  for name, age in (('old', 60.), ('new', 0.)):
    path = cache / f'{name}-cache'
    path.write_bytes(b'cut')
    os.utime(path, (time.time() - age,) * 2)
  jax.config.update('jax_compilation_cache_dir', None)
  workdir.use_compilation_cache(tmp_path)
  assert {p.name for p in cache.iterdir()} == {'old-cache', 'checked'}


def test_a_cut_entry_is_compiled_and_written_again(tmp_path, no_cache):
  def compiled():
    workdir.use_compilation_cache(tmp_path)
    jax.clear_caches()
    value = jax.jit(lambda x: 3 * x + 1)(2.)
    jax.config.update('jax_compilation_cache_dir', None)
    entries = tmp_path.glob('xla_cache/*-cache')
    return float(value), {
        p: len(zlib.decompress(p.read_bytes())) > 0 for p in entries}

  expected = compiled()
  assert expected[1]
  for path in expected[1]:
    path.write_bytes(path.read_bytes()[:100])
  assert compiled() == expected


def test_a_cache_of_the_users_own_is_kept(tmp_path, no_cache):
  jax.config.update('jax_compilation_cache_dir', str(tmp_path / 'mine'))
  workdir.use_compilation_cache(tmp_path)
  assert jax.config.jax_compilation_cache_dir == str(tmp_path / 'mine')


def test_the_header_says_what_ran_on_what():
  class Settings:
    scale, seed, num_devices = 'smoke', 3, 1

  header = workdir.header('amoeba', 'digits', Settings)
  assert list(header) == ['experiment', 'scale', 'dataset', 'seed', 'hardware',
                          'versions']
  assert header['hardware']['platform'] == jax.default_backend()
  assert header['versions']['jax'] == jax.__version__
