"""What every file of benchmark results says besides the numbers."""

import os
from typing import Any

from nas_jax import records
from nas_jax import workdir


def save(path: str | None, load: tuple[float, ...], **content: Any) -> None:
  """Writes the numbers with command, hardware, versions and load.

  Args:
    path: where to; nowhere if not set.
    load: `os.getloadavg()` before the measurement.
    **content: the numbers.
  """
  if path:
    records.write_json(path, {
        'command': workdir.command(), 'hardware': workdir.hardware(1),
        'versions': workdir.versions(), 'load_before': load,
        'load_after': os.getloadavg(), **content})
