"""Checkpoints that survive a crash: one file per step, written atomically.

A file is a header (name of the format, length and SHA-256 of what follows)
and a payload (version of the format, then msgpack of the step and the leaves
of one pytree by path). A checkpoint is used only if its checksum is right.
"""

import hashlib
import os
import pathlib
import re
import struct
from typing import Any

from absl import logging
from flax import serialization
import jax
import jax.numpy as jnp
import numpy as np

Path = str | os.PathLike
PyTree = Any

_VERSION = 1
_MAGIC = b'NASJAXCP'
_HEADER = struct.Struct('<8sQ32s')  # magic, bytes of payload, SHA-256 of it
_PREFIX = struct.Struct('<I')  # version, the beginning of the payload
_NAME = re.compile(r'step_(\d{8,})\.msgpack')
_TEMPORARY = '.tmp'


class CheckpointError(RuntimeError):
  """A checkpoint could not be written; the earlier ones are intact."""


class _Damaged(Exception):
  """A file that is not a whole checkpoint, and why."""


def save(folder: Path, step: int, tree: PyTree, *, keep: int = 3) -> None:
  """Writes the checkpoint of a step, then deletes older ones.

  Args:
    folder: made if it does not exist.
    step: non-negative. Checkpoints of later steps are deleted: they belong
      to a run that this one has left.
    tree: leaves are arrays of any dtype, typed PRNG keys, or numbers.
    keep: how many checkpoints to leave, this one included.

  Raises:
    ValueError: a negative step, `keep` below 1, or a leaf of another type.
    CheckpointError: the operating system refused; what was there before is
      intact.
  """
  if step < 0 or keep < 1:
    raise ValueError(f'step {step} must not be negative and keep {keep} must '
                     'be at least 1')
  folder = pathlib.Path(folder)
  payload = _pack(step, tree)
  header = _HEADER.pack(_MAGIC, len(payload), hashlib.sha256(payload).digest())
  path = folder / f'step_{step:08d}.msgpack'
  temporary = path.with_name(path.name + _TEMPORARY)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f'step_*.msgpack{_TEMPORARY}'):
      leftover.unlink(missing_ok=True)
    with open(temporary, 'wb') as f:
      f.write(header)
      f.write(payload)
      f.flush()
      os.fsync(f.fileno())
    os.replace(temporary, path)
    _sync_folder(folder)
  except OSError as e:
    _unlink_quietly(temporary)
    good = [s for s in steps(folder) if _is_good(folder, s)]
    last = f'the last good checkpoint is step {good[-1]}' if good else (
        'there is no earlier checkpoint')
    raise CheckpointError(f'could not write checkpoint of step {step} to '
                          f'{folder}: {e.strerror or e}; {last}') from e
  present = steps(folder)
  kept = [s for s in present if s <= step][-keep:]
  for s in set(present) - set(kept):
    _unlink_quietly(_path(folder, s))


def restore(
    folder: Path, template: PyTree, *, before: int | None = None
) -> tuple[int, PyTree] | None:
  """Reads the newest whole checkpoint.

  Files that are cut off or overwritten are passed over with a warning.

  Args:
    folder: need not exist.
    template: a tree of the same structure, shapes and dtypes. Leaves come
      back as what they are here: jax arrays (also for ShapeDtypeStruct),
      numpy arrays, typed keys or numbers.
    before: only steps below this one.

  Returns:
    The step and the tree, or None where there is no whole checkpoint.

  Raises:
    ValueError: the tree differs from the template (says in which leaf), or
      the file is of another version of the format.
  """
  folder = pathlib.Path(folder)
  for step in reversed(steps(folder)):
    if before is not None and step >= before:
      continue
    path = _path(folder, step)
    try:
      content = _read(path)
    except _Damaged as e:
      logging.warning('passing over the damaged checkpoint %s: %s', path, e)
      continue
    return step, _unpack(path, content, template)
  return None


def steps(folder: Path) -> list[int]:
  """The steps with a file in the folder, ascending, damaged ones included."""
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    return []
  matches = (_NAME.fullmatch(p.name) for p in folder.iterdir())
  return sorted(int(m[1]) for m in matches if m)


def _path(folder: pathlib.Path, step: int) -> pathlib.Path:
  return folder / f'step_{step:08d}.msgpack'


def _read(path: pathlib.Path) -> bytes:
  """The payload, if it is whole."""
  try:
    content = path.read_bytes()
  except OSError as e:
    raise _Damaged(e.strerror) from e
  if not content:
    raise _Damaged('it is empty')
  if len(content) < _HEADER.size:
    raise _Damaged(f'it is cut off after {len(content)} bytes')
  magic, length, digest = _HEADER.unpack_from(content)
  if magic != _MAGIC:
    raise _Damaged('it does not begin like a checkpoint')
  payload = content[_HEADER.size:]
  if len(payload) != length:
    raise _Damaged(f'it holds {len(payload)} of {length} bytes')
  if hashlib.sha256(payload).digest() != digest:
    raise _Damaged('its checksum is wrong')
  return payload


def _is_good(folder: pathlib.Path, step: int) -> bool:
  try:
    _read(_path(folder, step))
  except _Damaged:
    return False
  return True


def _pack(step: int, tree: PyTree) -> bytes:
  leaves = {path: _to_host(path, leaf) for path, leaf in _leaves(tree)}
  return _PREFIX.pack(_VERSION) + serialization.msgpack_serialize(
      {'step': step, 'leaves': leaves})


def _unpack(path: pathlib.Path, payload: bytes, template: PyTree) -> PyTree:
  version, = _PREFIX.unpack_from(payload)
  if version != _VERSION:
    raise ValueError(f'{path} has version {version} of the format, this '
                     f'program reads version {_VERSION}')
  found = serialization.msgpack_restore(payload[_PREFIX.size:])['leaves']
  wanted = dict(_leaves(template))
  for name in wanted:
    if name not in found:
      raise ValueError(f'{path} has no leaf {name}')
  for name in found:
    if name not in wanted:
      raise ValueError(f'{path} has a leaf {name} that is not expected')
  leaves = [_from_host(path, name, found[name], leaf)
            for name, leaf in wanted.items()]
  return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _leaves(tree: PyTree) -> list[tuple[str, Any]]:
  """Pairs of a path such as .rewards and a leaf; 'tree' for a bare leaf."""
  return [(jax.tree_util.keystr(path) or 'tree', leaf)
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _to_host(name: str, leaf: Any) -> Any:
  if isinstance(leaf, (bool, int, float)):
    return leaf
  if not hasattr(leaf, 'dtype') or leaf.dtype == object:
    raise ValueError(f'leaf {name} is {type(leaf).__name__}, expected an '
                     'array or a number')
  if _is_key(leaf):
    return {'key': np.asarray(jax.random.key_data(leaf)),
            'impl': str(jax.random.key_impl(leaf))}
  return np.asarray(leaf)


def _from_host(path: pathlib.Path, name: str, value: Any, like: Any) -> Any:
  if _describe(value) != _describe(like):
    raise ValueError(f'leaf {name} of {path} is {_describe(value)}, expected '
                     f'{_describe(like)}')
  if isinstance(value, dict):
    return jax.random.wrap_key_data(jnp.asarray(value['key']),
                                    impl=value['impl'])
  if isinstance(like, (bool, int, float)):
    return value
  if isinstance(like, (np.ndarray, np.generic)):
    # [()] makes a scalar of a scalar; a copy, because msgpack's are frozen.
    return value.copy() if isinstance(like, np.ndarray) else value[()]
  return jnp.asarray(value)


def _describe(leaf: Any) -> str:
  """Kind, dtype and shape; equal for a leaf and for what was saved of it."""
  if isinstance(leaf, (bool, int, float)):
    return f'a Python {type(leaf).__name__}'
  if isinstance(leaf, dict):
    key = jax.eval_shape(
        lambda k: jax.random.wrap_key_data(k, impl=leaf['impl']), leaf['key'])
    return f'{key.dtype}{list(key.shape)}'
  return f'{leaf.dtype}{list(leaf.shape)}'


def _is_key(leaf: Any) -> bool:
  return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _sync_folder(folder: pathlib.Path) -> None:
  """Makes the new name itself durable."""
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def _unlink_quietly(path: pathlib.Path) -> None:
  try:
    path.unlink(missing_ok=True)
  except OSError as e:
    logging.warning('could not delete %s: %s', path, e.strerror)
