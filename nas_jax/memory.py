"""What the C library and the kernel do with memory, and when it runs out."""

from collections.abc import Iterator
import contextlib
import ctypes
import os
import pathlib
import sys

import jax

# malloc.h of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

_MAPS = pathlib.Path('/proc/self/maps')
_MOST_MAPS = pathlib.Path('/proc/sys/vm/max_map_count')
_ENOUGH = .6  # of them, before compiled programs are to be forgotten


def keep_freed_memory() -> bool:
  """Keeps freed memory in this process instead of giving it back.

  XLA:CPU asks for the working memory of every call anew. By default the GNU C
  library maps large blocks for each request, and the kernel fills each page
  with zeros at its first use, which takes as long as a third of a training
  step. The peak stays what it is; what was once in use is not returned until
  the process ends.

  What threads other than the main one ask for is mapped all the same, so
  programs on a CPU no longer run in one beside it (unless the user has set
  JAX_CPU_ENABLE_ASYNC_DISPATCH). To have effect on that, it must come before
  the first use of a device.

  Does nothing elsewhere than on Linux with the GNU C library, nor where the
  user has set one of its variables (MALLOC_...).

  Returns:
    Whether it was done.
  """
  if sys.platform != 'linux' or any(
      name.startswith('MALLOC_') for name in os.environ):
    return False
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except AttributeError:
    return False
  if 'JAX_CPU_ENABLE_ASYNC_DISPATCH' not in os.environ:
    jax.config.update('jax_cpu_enable_async_dispatch', False)
  return bool(mallopt(_M_MMAP_MAX, 0)) and bool(
      mallopt(_M_TRIM_THRESHOLD, -1))


def nearly_all_mapped() -> bool:
  """Whether this process has most of the mappings that the kernel allows.

  Every compiled program of XLA:CPU takes some of them, and the process is
  aborted when there are no more (65,530 by default, some ten thousand
  programs). False elsewhere than on Linux.
  """
  try:
    most = int(_MOST_MAPS.read_text())
    with open(_MAPS, 'rb') as file:
      return sum(1 for _ in file) > _ENOUGH * most
  except (OSError, ValueError):
    return False


def out_of_memory(error: BaseException) -> bool:
  """Whether a program did not fit."""
  text = str(error).lower()
  return isinstance(error, MemoryError) or (
      isinstance(error, jax.errors.JaxRuntimeError) and (
          'resource_exhausted' in text or 'out of memory' in text))


def reason(error: BaseException) -> str:
  """What an error of `out_of_memory` says first."""
  return str(error).splitlines()[0][:200] if str(error) else 'MemoryError'


@contextlib.contextmanager
def explained(what: str, advice: str) -> Iterator[None]:
  """Says what to change when memory runs out.

  Args:
    what: did not fit, such as '64 images at a time'.
    advice: what to choose, such as 'a --batch_size below 64'.

  Raises:
    ValueError: it did.
  """
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as e:
    if not out_of_memory(e):
      raise
    raise ValueError(
        f'out of memory with {what} ({reason(e)}). Choose {advice}') from e
