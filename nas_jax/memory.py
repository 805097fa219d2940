"""What the C library does with freed memory."""

import ctypes
import os
import sys

# malloc.h of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
  """Keeps freed memory in this process instead of giving it back.

  XLA:CPU asks for the working memory of every call anew. By default the GNU C
  library maps large blocks for each request, and the kernel fills each page
  with zeros at its first use, which takes as long as a third of a training
  step. The peak stays what it is; what was once in use is not returned until
  the process ends.

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
  return bool(mallopt(_M_MMAP_MAX, 0)) and bool(
      mallopt(_M_TRIM_THRESHOLD, -1))
