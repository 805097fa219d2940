"""PyTorch in an environment and a process of its own, to compare with."""

import argparse
from collections.abc import Callable
from concurrent import futures
import json
import os
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


def add_arguments(parser: argparse.ArgumentParser, *, rounds: int = 4,
                  repeats: int = 2) -> None:
  """What every benchmark beside PyTorch asks for, see `in_turn`."""
  parser.add_argument('--rounds', type=int, default=rounds)
  parser.add_argument('--repeats', type=int, default=repeats)
  parser.add_argument('--torch', default='torch==2.13.0',
                      help='requirement of pip; empty to leave PyTorch out')
  parser.add_argument('--torch_python',
                      help='an interpreter with PyTorch, instead of installing')
  parser.add_argument('--output', help='JSON file of the results')


def add_builders(parser: argparse.ArgumentParser) -> None:
  """What `build` asks for."""
  parser.add_argument('--builders', type=int, default=1,
                      help='contenders that are built at a time; more than one '
                      'distorts the seconds of building')


def interpreter(args: argparse.Namespace) -> pathlib.Path | None:
  """Of PyTorch, by the arguments; None to leave it out."""
  if not args.torch:
    return None
  return pathlib.Path(args.torch_python) if args.torch_python else (
      python(args.torch))


def prepare_processes() -> None:
  """Processes share an accelerator's memory, and compile all they run."""
  os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
  os.environ.pop('JAX_COMPILATION_CACHE_DIR', None)


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


def build(makers: dict[Any, Callable[[], Process]], builders: int
          ) -> dict[Any, Process]:
  """All processes by name, so many built at a time."""
  def made(item):
    print(item[0], file=sys.stderr, flush=True)
    return item[1]()

  with futures.ThreadPoolExecutor(builders) as pool:
    return dict(zip(makers, pool.map(made, makers.items())))


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
