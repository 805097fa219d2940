"""Kills a tiny run at random moments and compares it with one left alone.

  python -m scripts.check_resume [--kills=20] [--workdir=DIR] [--seed=0]
"""

import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from nas_jax import checkpoint
from nas_jax import records

FLAGS = dict(
    num_children=8, children_per_round=2, population_size=4, sample_size=2,
    epochs=2, num_nodes=1, num_reductions=0, features=4, max_train=200,
    num_finalists=2, final_features=4, final_epochs=8,
    final_drop_path_keep=0.8, final_cutout_length=2)
# How many new lines a run may write before it is killed; with none it is killed
# while it starts or compiles.
_NEWS = (0, 0, 1, 1, 2, 3, 5, 8)
_EARLY_SECONDS = 6.
_LATE_SECONDS = .5
_ROOT = pathlib.Path(__file__).resolve().parent.parent
_RUNS = ('', 'random_search/')
_FILES = ('genotype.json', 'summary.json', 'children.jsonl', *(
    run + name for run in _RUNS for name in (
        'history.jsonl', 'training.jsonl', 'genotype.json', 'network.json',
        'finalists/00/training.jsonl', 'finalists/01/training.jsonl')))
_CHECKPOINTS = tuple(run + name for run in _RUNS for name in (
    'checkpoints/search', 'checkpoints/training', 'checkpoints/weights'))


def start(workdir: pathlib.Path) -> subprocess.Popen:
  """Starts the tiny run; what it prints is in WORKDIR.log."""
  command = [sys.executable, '-m', 'experiments.amoeba',
             f'--workdir={workdir}', *(f'--{k}={v}' for k, v in FLAGS.items())]
  with open(f'{workdir}.log', 'a', encoding='utf-8') as log:
    # Equal bits are promised for CPUs; set JAX_PLATFORMS to try others.
    return subprocess.Popen(
        command, cwd=_ROOT, stdout=log, stderr=log,
        env={'JAX_PLATFORMS': 'cpu'} | os.environ)


def finish(workdir: pathlib.Path) -> None:
  """Starts the run and waits for its end."""
  status = start(workdir).wait()
  if status:
    raise RuntimeError(f'status {status}; see {workdir}.log')


def kill_at_random(
    workdir: pathlib.Path, kills: int, rng: random.Random) -> int:
  """Starts and kills the run up to `kills` times, then lets it end.

  Each time it is killed a moment after a random number of new lines, so that
  all parts of a run are met on slow and on fast machines.

  Returns:
    How many kills there were: the run may end before.
  """
  for i in range(kills):
    wanted = len(_lines(workdir)) + (news := rng.choice(_NEWS))
    moment = rng.uniform(0, _LATE_SECONDS if news else _EARLY_SECONDS)
    begun = time.monotonic()
    process = start(workdir)
    while process.poll() is None and len(_lines(workdir)) < wanted:
      time.sleep(.02)
    try:
      if process.wait(moment):
        raise RuntimeError(f'it failed; see {workdir}.log')
      return i
    except subprocess.TimeoutExpired:
      process.kill()
      process.wait()
      print(f'  killed after {time.monotonic() - begun:4.1f} s: '
            f'{_progress(workdir)}', flush=True)
  finish(workdir)
  return kills


def differences(expected: pathlib.Path, found: pathlib.Path) -> list[str]:
  """What differs between two finished runs apart from times."""
  result = []
  for name in _FILES:
    a, b = (_content(folder / name) for folder in (expected, found))
    if a is None or a != b:
      result.append(f'{name}: {_first_difference(a, b)}')
  for name in _CHECKPOINTS:
    a, b = (_newest(folder / name) for folder in (expected, found))
    if a is None or a != b:
      result.append(f'the last checkpoint in {name} differs')
  return result


def without_times(value: Any) -> Any:
  """A JSON value without all that is measured by a clock."""
  if isinstance(value, list):
    return [without_times(v) for v in value]
  if isinstance(value, dict):
    return {k: without_times(v) for k, v in value.items()
            if k not in ('seconds', 'cost') and not k.endswith('_seconds')}
  return value


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--kills', type=int, default=20)
  parser.add_argument('--workdir', type=pathlib.Path)
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  folder = options.workdir or pathlib.Path(tempfile.mkdtemp())
  folder.mkdir(parents=True, exist_ok=True)
  rng = random.Random(options.seed)
  begun = time.monotonic()
  expected = folder / 'undisturbed'
  finish(expected)
  print(f'undisturbed run: {time.monotonic() - begun:.0f} s', flush=True)
  done, runs, found = 0, 0, []
  while done < options.kills:
    killed = folder / f'killed_{runs}'
    done += kill_at_random(killed, options.kills - done, rng)
    found += [f'{killed.name}: {d}' for d in differences(expected, killed)]
    runs += 1
    print(f'{killed.name} has ended: {done} kills so far', flush=True)
  print('\n'.join(found) or (
      f'OK: after {done} kills in {runs} runs, all results equal those of the '
      'undisturbed run bit for bit'))
  if found:
    sys.exit(f'FAILED: see {folder}')
  if not options.workdir:
    shutil.rmtree(folder)


def _lines(workdir: pathlib.Path) -> list[pathlib.Path]:
  """The file of every line that a run has written so far."""
  return [path for name in _FILES if name.endswith('.jsonl')
          for path in [workdir / name] * len(records.read(workdir / name))]


def _progress(workdir: pathlib.Path) -> str:
  lines = [path.relative_to(workdir) for path in _lines(workdir)]
  counts = []
  for label, inside in (('amoeba', False), ('random search', True)):
    names = [path.name for path in lines
             if (path.parts[0] == 'random_search') == inside]
    counts.append(f'{label} {names.count("history.jsonl")} children, '
                  f'{names.count("training.jsonl")} epochs')
  return '; '.join(counts)


def _content(path: pathlib.Path) -> Any:
  if not path.exists():
    return None
  read = records.read if path.suffix == '.jsonl' else records.read_json
  return without_times(read(path))


def _newest(folder: pathlib.Path) -> bytes | None:
  steps = checkpoint.steps(folder)
  return (folder / f'step_{steps[-1]:08d}.msgpack').read_bytes() if steps else (
      None)


def _first_difference(a: Any, b: Any) -> str:
  if isinstance(a, list) and isinstance(b, list):
    for i, (x, y) in enumerate(zip(a, b)):
      if x != y:
        return f'line {i + 1} is {y}, expected {x}'
    return f'{len(b)} lines, expected {len(a)}'
  return f'{b}, expected {a}'


if __name__ == '__main__':
  main()
