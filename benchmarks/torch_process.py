"""PyTorch in an environment and a process of its own, to compare with."""

import json
import pathlib
import subprocess
import sys
import time
from typing import Any

LAYOUTS = ('contiguous', 'channels_last')
_ROOT = pathlib.Path(__file__).resolve().parent.parent
_ENVIRONMENT = _ROOT / '.venv-torch'
# After a call other runtimes' threads wait actively for more work for a while.
_REST_SECONDS = .5


def python(requirement: str) -> pathlib.Path:
  """The interpreter of an environment with PyTorch, made if need be.

  Args:
    requirement: what pip installs, for example 'torch==2.13.0'.
  """
  found = _ENVIRONMENT / 'bin' / 'python'
  stamp = _ENVIRONMENT / 'requirement'
  if not stamp.exists() or stamp.read_text() != requirement:
    print(f'installing {requirement} into {_ENVIRONMENT.name}', flush=True)
    subprocess.run([sys.executable, '-m', 'venv', str(_ENVIRONMENT)],
                   check=True)
    subprocess.run([str(found), '-m', 'pip', 'install', '--quiet',
                    '--disable-pip-version-check', requirement, 'numpy'],
                   check=True)
    stamp.write_text(requirement)
  return found


class Process:
  """One model of a script of PyTorch, ready to be timed."""

  def __init__(self, interpreter: pathlib.Path, request: dict[str, Any],
               script: str = 'torch_darts.py'):
    self._process = subprocess.Popen(
        [str(interpreter), str(_ROOT / 'benchmarks' / script)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    self.description = self.ask(request)

  def ask(self, request: dict[str, Any]) -> dict[str, Any]:
    self._process.stdin.write(json.dumps(request) + '\n')
    self._process.stdin.flush()
    line = self._process.stdout.readline()
    if not line:
      raise RuntimeError('the process that is timed has ended')
    return json.loads(line)

  def time(self, repeats: int) -> list[float]:
    return self.ask({'repeats': repeats})['seconds']

  def close(self) -> None:
    self._process.stdin.close()
    self._process.wait()


def in_turn(contenders: dict[str, Any], rounds: int, repeats: int
            ) -> dict[str, list[float]]:
  """Seconds of each, taken in turn so that a busy machine slows all alike.

  Args:
    contenders: name -> function of a number of repeats to seconds.
    rounds: how often each has its turn.
    repeats: calls per turn; one more comes first and is not counted.
  """
  seconds = {name: [] for name in contenders}
  for _ in range(rounds):
    for name, run in contenders.items():
      time.sleep(_REST_SECONDS)
      seconds[name] += run(repeats + 1)[1:]
  return seconds
