import errno
import logging
import os
import pathlib
import resource
import signal
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import checkpoint


class Tree(NamedTuple):
  rewards: jax.Array
  inner: dict


def _tree(value=0.):
  return Tree(jnp.arange(6.).reshape(2, 3) + value, {'n': jnp.int32(3)})


def _assert_equal(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    assert type(x) is type(y)
    if hasattr(x, 'dtype'):
      assert x.dtype == y.dtype and x.shape == y.shape
      if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x, y = jax.random.key_data(x), jax.random.key_data(y)
      # Bits, not values: NaN and -0 count.
      assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
    else:
      assert x == y


def _file(folder, step):
  return folder / f'step_{step:08d}.msgpack'


@pytest.fixture
def warnings_of(caplog):
  """The texts of the warnings so far."""
  caplog.set_level(logging.WARNING)
  return lambda: [r.getMessage() for r in caplog.records]


@pytest.mark.parametrize('dtype', [
    'bool', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'float16',
    'bfloat16', 'float32', 'complex64', 'float8_e4m3fn'])
@pytest.mark.parametrize('shape', [(), (0,), (5,), (2, 3)])
def test_every_dtype_keeps_its_bits(tmp_path, dtype, shape):
  bits = np.random.default_rng(0).integers(0, 2, shape)
  tree = {'x': jnp.asarray(bits).astype(dtype)}
  checkpoint.save(tmp_path, 1, tree)
  step, restored = checkpoint.restore(tmp_path, jax.tree.map(jnp.zeros_like,
                                                             tree))
  assert step == 1
  _assert_equal(restored, tree)


def test_special_values_numpy_and_numbers_keep_their_bits(tmp_path):
  tree = {
      'special': jnp.array([np.nan, -0., np.inf, -np.inf, 1e-45]),
      'int64': np.array([2**62, -1]),
      'float64': np.array(0.1),
      'scalar': np.float64(0.1),
      'strided': np.arange(12.).reshape(3, 4).T[::2],
      'numbers': [3, 0.1, True, 2**60],
      'nothing': None,
      'empty': (),
  }
  checkpoint.save(tmp_path, 0, tree)
  _, restored = checkpoint.restore(tmp_path, tree)
  _assert_equal(restored, tree)
  restored['int64'][0] = 1  # not read-only


@pytest.mark.parametrize('impl', ['threefry2x32', 'rbg'])
def test_typed_keys(tmp_path, impl):
  key = jax.random.key(7, impl=impl)
  tree = {'one': key, 'many': jax.random.split(key, 3)}
  checkpoint.save(tmp_path, 0, tree)
  _, restored = checkpoint.restore(tmp_path, tree)
  _assert_equal(restored, tree)
  assert jax.random.bits(restored['one']) == jax.random.bits(key)


def test_nested_states_and_abstract_templates(tmp_path):
  tree = _tree()
  checkpoint.save(tmp_path, 12, tree)
  assert os.listdir(tmp_path) == ['step_00000012.msgpack']
  template = jax.eval_shape(_tree)
  step, restored = checkpoint.restore(tmp_path, template)
  assert step == 12
  _assert_equal(restored, tree)


def test_a_bare_leaf_is_a_tree(tmp_path):
  checkpoint.save(tmp_path, 0, jnp.ones(3))
  _, restored = checkpoint.restore(tmp_path, jnp.zeros(3))
  assert restored.tolist() == [1, 1, 1]
  with pytest.raises(ValueError, match=r'leaf tree of .* is float32\[3\]'):
    checkpoint.restore(tmp_path, jnp.zeros(4))


def test_the_same_tree_makes_the_same_file(tmp_path):
  for name in 'ab':
    checkpoint.save(tmp_path / name, 1, _tree())
  assert _file(tmp_path / 'a', 1).read_bytes() == _file(
      tmp_path / 'b', 1).read_bytes()


def test_nothing_to_restore(tmp_path):
  assert checkpoint.restore(tmp_path / 'absent', _tree()) is None
  assert checkpoint.restore(tmp_path, _tree()) is None
  assert checkpoint.steps(tmp_path / 'absent') == []


def test_keeps_the_newest(tmp_path):
  for step in range(1, 8):
    checkpoint.save(tmp_path, step, _tree(step), keep=3)
  assert checkpoint.steps(tmp_path) == [5, 6, 7]
  assert checkpoint.restore(tmp_path, _tree())[0] == 7
  assert checkpoint.restore(tmp_path, _tree(), before=7)[0] == 6
  assert checkpoint.restore(tmp_path, _tree(), before=5) is None
  checkpoint.save(tmp_path, 8, _tree(8), keep=1)
  assert checkpoint.steps(tmp_path) == [8]


def test_later_steps_of_an_abandoned_run_go(tmp_path):
  for step in (1, 2, 3):
    checkpoint.save(tmp_path, step, _tree(step))
  checkpoint.save(tmp_path, 2, _tree(20))
  assert checkpoint.steps(tmp_path) == [1, 2]
  assert checkpoint.restore(tmp_path, _tree())[1].rewards[0, 0] == 20


def test_other_files_are_left_alone(tmp_path):
  (tmp_path / 'notes.txt').write_text('mine')
  (tmp_path / 'step_00000001.msgpack.bak').write_text('mine')
  for step in range(5):
    checkpoint.save(tmp_path, step, _tree(), keep=1)
  assert sorted(os.listdir(tmp_path)) == [
      'notes.txt', 'step_00000001.msgpack.bak', 'step_00000004.msgpack']


def test_leftover_temporary_files_are_ignored_then_deleted(tmp_path):
  leftover = tmp_path / 'step_00000009.msgpack.tmp'
  leftover.write_bytes(b'half')
  assert checkpoint.restore(tmp_path, _tree()) is None
  checkpoint.save(tmp_path, 1, _tree())
  assert os.listdir(tmp_path) == ['step_00000001.msgpack']


def test_truncation_at_any_length_is_noticed(tmp_path, warnings_of):
  checkpoint.save(tmp_path, 1, _tree(1))
  checkpoint.save(tmp_path, 2, _tree(2))
  path = _file(tmp_path, 2)
  content = path.read_bytes()
  lengths = range(len(content))
  for length in lengths:
    path.write_bytes(content[:length])
    step, tree = checkpoint.restore(tmp_path, _tree())
    assert step == 1
    _assert_equal(tree, _tree(1))
  texts = warnings_of()
  assert len(texts) == len(lengths)
  assert all(str(path) in text for text in texts)
  assert texts[0].endswith('it is empty')
  assert texts[10].endswith('it is cut off after 10 bytes')
  assert 'bytes' in texts[-1]
  # And something after the end.
  path.write_bytes(content + b'\0')
  assert checkpoint.restore(tmp_path, _tree())[0] == 1
  path.write_bytes(content)
  assert checkpoint.restore(tmp_path, _tree())[0] == 2


def test_noise_is_noticed(tmp_path, warnings_of):
  checkpoint.save(tmp_path, 1, _tree(1))
  checkpoint.save(tmp_path, 2, _tree(2))
  path = _file(tmp_path, 2)
  content = path.read_bytes()
  rng = np.random.default_rng(0)
  path.write_bytes(rng.bytes(len(content)))
  assert checkpoint.restore(tmp_path, _tree())[0] == 1
  assert warnings_of()[-1].endswith('it does not begin like a checkpoint')
  # One flipped bit, anywhere.
  for place in range(len(content)):
    damaged = bytearray(content)
    damaged[place] ^= 1 << rng.integers(8)
    path.write_bytes(damaged)
    assert checkpoint.restore(tmp_path, _tree())[0] == 1
  assert warnings_of()[-1].endswith('its checksum is wrong')


def test_all_damaged_is_nothing(tmp_path):
  for step in (1, 2):
    checkpoint.save(tmp_path, step, _tree())
    _file(tmp_path, step).write_bytes(b'')
  assert checkpoint.restore(tmp_path, _tree()) is None


@pytest.mark.parametrize('template, message', [
    (Tree(jnp.zeros((2, 4)), {'n': jnp.int32(0)}),
     r'leaf .rewards of .* is float32\[2, 3\], expected float32\[2, 4\]'),
    (Tree(jnp.zeros((2, 3), jnp.int32), {'n': jnp.int32(0)}),
     r'leaf .rewards of .* is float32\[2, 3\], expected int32\[2, 3\]'),
    (Tree(jnp.zeros((2, 3)), {'n': 0}),
     r"leaf .inner\['n'\] of .* is int32\[\], expected a Python int"),
    (Tree(jnp.zeros((2, 3)), {'m': jnp.int32(0)}),
     r"has no leaf .inner\['m'\]"),
    (Tree(jnp.zeros((2, 3)), {}),
     r"has a leaf .inner\['n'\] that is not expected"),
    (Tree(jax.random.split(jax.random.key(0), 2), {'n': jnp.int32(0)}),
     r'leaf .rewards of .* expected key<fry>\[2\]'),
])
def test_another_template_is_refused(tmp_path, template, message):
  checkpoint.save(tmp_path, 1, _tree())
  with pytest.raises(ValueError, match=message):
    checkpoint.restore(tmp_path, template)


def test_another_version_is_refused(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, '_VERSION', 2)
    checkpoint.save(tmp_path, 1, _tree())
  with pytest.raises(ValueError, match='version 2 .* reads version 1'):
    checkpoint.restore(tmp_path, _tree())


def test_arguments_are_checked(tmp_path):
  with pytest.raises(ValueError, match='step -1'):
    checkpoint.save(tmp_path, -1, _tree())
  with pytest.raises(ValueError, match='keep 0'):
    checkpoint.save(tmp_path, 1, _tree(), keep=0)
  with pytest.raises(ValueError, match=r"leaf \['name'\] is str"):
    checkpoint.save(tmp_path, 1, {'name': 'x'})
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_no_space_leaves_earlier_checkpoints(tmp_path, monkeypatch, call):
  for step in (4, 5, 6):
    checkpoint.save(tmp_path, step, _tree(step))
  before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

  def fail(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with monkeypatch.context() as patch:
    patch.setattr(os, call, fail)
    with pytest.raises(checkpoint.CheckpointError) as e:
      checkpoint.save(tmp_path, 7, _tree(7))
  assert str(e.value) == (
      f'could not write checkpoint of step 7 to {tmp_path}: No space left on '
      'device; the last good checkpoint is step 6')
  assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
  assert checkpoint.restore(tmp_path, _tree())[0] == 6


def test_refused_while_writing(tmp_path):
  """The real thing: the system refuses files of more than 200 bytes."""
  checkpoint.save(tmp_path, 6, _tree(6))
  before = _file(tmp_path, 6).read_bytes()
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    with pytest.raises(checkpoint.CheckpointError, match=(
        'File too large; the last good checkpoint is step 6')):
      checkpoint.save(tmp_path, 7, {'x': np.zeros(1000)})
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)
  assert os.listdir(tmp_path) == ['step_00000006.msgpack']
  assert _file(tmp_path, 6).read_bytes() == before


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no /dev/full')
def test_full_device(tmp_path, monkeypatch):
  """Every write to the temporary name ends on a device without space."""
  checkpoint.save(tmp_path, 6, _tree(6))
  os.symlink('/dev/full', tmp_path / 'step_00000007.msgpack.tmp')
  # Or it would be cleared away as a leftover.
  monkeypatch.setattr(pathlib.Path, 'glob', lambda *args: iter(()))
  with pytest.raises(checkpoint.CheckpointError, match=(
      'No space left on device; the last good checkpoint is step 6')):
    checkpoint.save(tmp_path, 7, _tree(7))
  assert os.listdir(tmp_path) == ['step_00000006.msgpack']


def test_a_folder_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(checkpoint.CheckpointError, match=(
      'could not write checkpoint of step 1 to .*; there is no earlier')):
    checkpoint.save(tmp_path / 'file' / 'folder', 1, _tree())
