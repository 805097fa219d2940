"""How many devices there are is a matter of the process: starts one."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(module: str, num_devices: int) -> Any:
  """The JSON that a module prints last, on so many virtual devices."""
  flags = f'--xla_force_host_platform_device_count={num_devices}'
  done = subprocess.run(
      [sys.executable, '-m', module], cwd=_ROOT, text=True,
      capture_output=True, timeout=300,
      env=os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'})
  assert done.returncode == 0, done.stderr[-3000:]
  return json.loads(done.stdout.splitlines()[-1])
