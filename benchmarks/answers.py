"""The side of a process that is timed: one line of JSON per line of JSON.

Nothing here needs PyTorch or JAX.
"""

from collections.abc import Callable
import json
import pathlib
import sys
import time
from typing import Any, NamedTuple


class Model(NamedTuple):
  """What a process times."""
  step: Callable[[], None]  # returns when all is done
  description: dict[str, Any]
  # Bytes in use at most, of the device that the step runs on.
  peak: Callable[[], int] | None = None


def serve(make: Callable[[dict[str, Any]], Model]) -> None:
  """Answers until the input ends.

  {"repeats": N} is answered with the seconds of N steps, {"peak": true} with
  the memory in use at most, in bytes; any other request sets a model up, does
  one step, and is answered with its description.
  """
  model = None
  for line in sys.stdin:
    request = json.loads(line)
    if 'repeats' in request:
      seconds = []
      for _ in range(request['repeats']):
        start = time.perf_counter()
        model.step()
        seconds.append(time.perf_counter() - start)
      answer = {'seconds': seconds}
    elif 'peak' in request:
      answer = {'peak_bytes': (model.peak or resident)()}
    else:
      before = resident()
      model = make(request)
      start = time.perf_counter()
      model.step()
      answer = {'first_step_seconds': round(time.perf_counter() - start, 2),
                'bytes_before': before, **model.description}
    print(json.dumps(answer), flush=True)


def resident() -> int:
  """Bytes of memory that this process has had at most; 0 if nobody tells."""
  try:
    for line in pathlib.Path('/proc/self/status').read_text().splitlines():
      if line.startswith('VmHWM'):
        return 1024 * int(line.split()[1])
  except OSError:
    pass
  return 0
