"""The file that knows how many devices and hosts there are.

References:
  jax.pmap: one program per device, `axis_name` names the collective axis.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import numpy as np

Array = jax.Array
BATCH_AXIS = 'batch'


def pmap_batch(
    fn: Callable[..., tuple[Any, Any]], *, num_sharded: int, num_devices: int
) -> Callable[..., tuple[Any, Any]]:
  """Splits the batch of a training step over devices.

  Args:
    fn: (state, *sharded, *replicated) -> (state, metrics). It must average
      gradients, statistics and metrics over `BATCH_AXIS` itself, so that
      every device returns the same.
    num_sharded: how many arguments after the state have a batch axis; the
      rest are the same on all devices.
    num_devices: how many local devices to use.

  Returns:
    A function of the same arguments; batch axes are split, the results are
    unstacked.

  Raises:
    ValueError: more devices than there are, or (when called) a batch that the
      devices do not divide.
  """
  devices = local_devices(num_devices)
  mapped: dict[int, Any] = {}

  def run(state, *args):
    sharded, replicated = args[:num_sharded], args[num_sharded:]
    size = sharded[0].shape[0]
    if size % num_devices:
      raise ValueError(
          f'a batch of {size} does not split over {num_devices} devices; '
          f'choose a multiple of {num_devices}')
    if len(args) not in mapped:
      axes = (None,) + (0,) * num_sharded + (None,) * len(replicated)
      mapped[len(args)] = jax.pmap(
          fn, BATCH_AXIS, in_axes=axes, out_axes=(None, None),
          devices=devices)
    split = [
        x.reshape(num_devices, size // num_devices, *x.shape[1:])
        for x in sharded]
    return mapped[len(args)](state, *split, *replicated)

  return run


def program(
    fn: Callable[..., Any], args: tuple[Any, ...], *, in_axes: Any,
    out_axes: Any, num_devices: int) -> tuple[Callable[..., Any], Any]:
  """Compiles a function for one device, or its parts for several.

  Args:
    fn: of arrays; on several devices `BATCH_AXIS` is named within it.
    args: shapes of its arguments on one device.
    in_axes: None for arguments that all devices share, 0 for those with a
      part on each, which then have a leading axis of devices.
    out_axes: the same of the results.
    num_devices: how many local devices to use.

  Returns:
    The compiled function, and the shapes of its results on one device.

  Raises:
    ValueError: more devices than there are.
  """
  if num_devices == 1:
    lowered = jax.jit(fn).lower(*args)
    return lowered.compile(), lowered.out_info
  mapped = jax.pmap(fn, BATCH_AXIS, in_axes=in_axes, out_axes=out_axes,
                    devices=local_devices(num_devices))
  spread = lambda axis, tree: tree if axis is None else jax.tree.map(
      lambda x: jax.ShapeDtypeStruct((num_devices, *x.shape), x.dtype), tree)
  is_leaf = lambda x: x is None
  lowered = mapped.lower(*jax.tree.map(
      spread, in_axes, args, is_leaf=is_leaf))
  compiled = lowered.compile()
  # Collectives of several programs that run at once on a CPU's devices wait
  # for each other's threads.
  run = compiled if jax.default_backend() != 'cpu' else (
      lambda *args: jax.block_until_ready(compiled(*args)))
  shrink = lambda axis, tree: tree if axis is None else jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)
  return run, jax.tree.map(
      shrink, out_axes, lowered.out_info, is_leaf=is_leaf)


def total(tree: Any, several: bool) -> Any:
  """The sum over `BATCH_AXIS`, if there are several devices."""
  return jax.lax.psum(tree, BATCH_AXIS) if several else tree


def own_key(key: Array, several: bool) -> Array:
  """A key of this device, if there are several."""
  return jax.random.fold_in(
      key, jax.lax.axis_index(BATCH_AXIS)) if several else key


def as_on_one(fn: Callable[..., Any]) -> Callable[..., Any]:
  """A function that averages over `BATCH_AXIS`, called on one device."""
  def run(*args):
    found = jax.vmap(fn, axis_name=BATCH_AXIS)(
        *jax.tree.map(lambda x: x[None], args))
    return jax.tree.map(lambda x: x[0], found)

  return run


def first_copy(tree: Any) -> Any:
  """Of arrays that all devices hold alike, those of the first device."""
  return jax.tree.map(lambda x: x.addressable_data(0), tree)


def pmap_genomes(
    fn: Callable[[Any, Array], Any], *, num_devices: int
) -> Callable[[Any, Array], Any]:
  """Scores each genome on one device: (shared, genomes[B, L]) -> tree[B].

  Args:
    fn: (shared, genome int32[L]) -> tree of arrays.
    num_devices: how many local devices to use.

  Returns:
    A function of (shared, genomes int32[B, L]); B need not be a multiple of
    the number of devices.

  Raises:
    ValueError: more devices than there are.
  """
  mapped = jax.pmap(
      lambda shared, genomes: jax.lax.map(
          lambda genome: fn(shared, genome), genomes),
      in_axes=(None, 0), devices=local_devices(num_devices))

  return lambda shared, genomes: _spread(
      lambda rows: mapped(shared, rows), [genomes], num_devices)


def pmap_rows(
    fn: Callable[..., Any], *, num_devices: int) -> Callable[..., Any]:
  """`jax.vmap(fn)`, with the rows spread over devices.

  Args:
    fn: of one row of every argument.
    num_devices: how many local devices to use.

  Returns:
    A function of arrays with a leading axis each, all of one size, which need
    not be a multiple of the number of devices. It may be called within `jit`.

  Raises:
    ValueError: more devices than there are.
  """
  mapped = jax.pmap(jax.vmap(fn), devices=local_devices(num_devices))

  return lambda *args: _spread(mapped, args, num_devices)


def local_devices(num_devices: int) -> list[jax.Device]:
  """The first `num_devices` devices of this host.

  Raises:
    ValueError: there are fewer.
  """
  devices = jax.local_devices()
  if not 1 <= num_devices <= len(devices):
    raise ValueError(f'{num_devices} devices asked for, this host has '
                     f'{len(devices)} ({devices[0].platform})')
  return devices[:num_devices]


def host_slice(size: int, host: int | None = None, num_hosts: int | None = None
               ) -> slice:
  """The part of a batch of `size` proposals that this host scores.

  Args:
    size: B.
    host: index of the host; by default this one.
    num_hosts: by default all.

  Raises:
    ValueError: a batch that the hosts do not divide.
  """
  host = jax.process_index() if host is None else host
  num_hosts = num_hosts or jax.process_count()
  if size % num_hosts:
    raise ValueError(f'a batch of {size} proposals does not split over '
                     f'{num_hosts} hosts; choose a multiple of {num_hosts}')
  share = size // num_hosts
  return slice(host * share, (host + 1) * share)


def gather(tree: Any) -> Any:
  """Joins every host's slice into the whole batch, the same on all hosts."""
  if jax.process_count() == 1:
    return tree
  return jax.tree.map(
      lambda x: np.concatenate(
          multihost_utils.process_allgather(x, tiled=False)), tree)


def _spread(mapped: Callable[..., Any], arrays: Sequence[Array],
            num_devices: int) -> Any:
  """Calls with [D, rows / D, ...] of arrays with a leading axis of rows."""
  size = arrays[0].shape[0]
  rows = -(-size // num_devices)
  # The last rows repeat the first ones; their results are cut off.
  results = mapped(*(
      jnp.resize(x, (rows * num_devices, *x.shape[1:])).reshape(
          num_devices, rows, *x.shape[1:]) for x in arrays))
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:size], results)
