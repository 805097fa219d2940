"""Kills workers of large-scale evolution and checks what they leave behind.

  python -m scripts.check_fleet [--kills=30] [--workers=4] [--workdir=DIR]

Four processes of experiments.large_scale work in one directory on the digits.
At random moments one is killed (SIGKILL) and started again, foreign and
half-written files lie about. All the time the listing is watched: no individual
in two states, none that comes back from the dead, a bounded population. At the
end every living individual is read and its fitness computed anew. Then the
throughput of 1, 2 and 4 workers is measured, which this machine's cores bound.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from nas_jax import fleet
from nas_jax import problem
from nas_jax.evaluators import lineage
from nas_jax.spaces import dna as dnas

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_FLAGS = dict(scale='smoke', num_workers=1, population_size=16, steps=60,
              num_individuals=100_000, lease_seconds=8, control=False)
_LONGEST_LIFE = 12.  # seconds between two kills at most
_LOCKS = ('lock', 'lck', 'flock', 'mutex')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--kills', type=int, default=30)
  parser.add_argument('--workers', type=int, default=4)
  parser.add_argument('--throughput_seconds', type=float, default=25.)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--workdir', help='by default a temporary one')
  args = parser.parse_args()
  folder = pathlib.Path(args.workdir or tempfile.mkdtemp())
  try:
    kill_workers(folder / 'kills', args.workers, args.kills,
                 random.Random(args.seed))
    throughput(folder / 'throughput', args.throughput_seconds)
  finally:
    if not args.workdir:
      shutil.rmtree(folder, ignore_errors=True)
  print('all checks passed')


def start(workdir: pathlib.Path, **flags) -> subprocess.Popen:
  """One worker; what it prints is in WORKDIR.log."""
  workdir.parent.mkdir(parents=True, exist_ok=True)
  command = [sys.executable, '-m', 'experiments.large_scale',
             f'--workdir={workdir}',
             *(f'--{k}={v}' for k, v in (_FLAGS | flags).items())]
  # One core each, one set of compiled programs.
  env = dict(os.environ, JAX_PLATFORMS='cpu',
             XLA_FLAGS='--xla_cpu_multi_thread_eigen=false')
  with open(f'{workdir}.log', 'a', encoding='utf-8') as log:
    return subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log, env=env)


def kill_workers(workdir: pathlib.Path, count: int, kills: int,
                 rng: random.Random) -> None:
  """The check with kills; raises AssertionError."""
  litter(workdir)
  workers = [start(workdir) for _ in range(count)]
  watch = Watch(workdir, count)
  begun = time.monotonic()
  try:
    watch.until(lambda: watch.evaluated >= _FLAGS['population_size'], 240)
    for number in range(kills):
      watch.until_time(rng.uniform(.5, _LONGEST_LIFE / 2))
      i = rng.randrange(count)
      assert workers[i].poll() is None, (
          f'a worker ended by itself: see {workdir}.log')
      workers[i].send_signal(signal.SIGKILL)
      workers[i].wait()
      workers[i] = start(workdir)
      print(f'kill {number + 1}/{kills}: {watch.evaluated} evaluated, '
            f'{watch.alive} alive', flush=True)
    # All abandoned ones are found and the work goes on.
    goal = watch.evaluated + 3 * count
    watch.until(lambda: watch.evaluated >= goal, 120)
  finally:
    for worker in workers:
      worker.kill()
      worker.wait()
  seconds = time.monotonic() - begun
  check_end(workdir, watch)
  print(f'{kills} kills of {count} workers in {seconds:.0f} s: '
        f'{watch.evaluated} individuals evaluated, at most {watch.most} alive '
        f'of {_FLAGS["population_size"]} wanted, {watch.looks} listings')


def litter(workdir: pathlib.Path) -> None:
  """Foreign files, and what a worker leaves that is killed while it writes."""
  population = workdir / 'population'
  population.mkdir(parents=True)
  (population / 'README.txt').write_text('not an individual')
  (population / '.DS_Store').write_bytes(b'\0')
  (population / 'some.folder').mkdir()
  (population / 'zzzz.alive.0.5').mkdir()
  (population / ('a' * 16 + '.alive.nan')).mkdir()
  half = population / ('b' * 16 + '.born.none')
  half.mkdir()
  (half / 'individual.json').write_text('{"dna": [0.1, ')
  empty = population / ('c' * 16 + '.training.none')
  empty.mkdir()
  damaged = population / ('d' * 16 + '.alive.0.999')
  damaged.mkdir()
  (damaged / 'individual.json').write_text('{}')
  (damaged / 'weights.npz').write_bytes(b'PK\x03\x04 cut off')


class Watch:
  """Lists the population again and again, as its workers do."""

  def __init__(self, workdir: pathlib.Path, count: int):
    self._population = fleet.directory(workdir)
    self._bound = _FLAGS['population_size'] + count + 1  # and the damaged one
    self._last: dict[str, int] = {}
    self._evaluated: set[str] = set()
    self.evaluated = self.alive = self.most = self.looks = 0

  def look(self) -> None:
    """One listing; raises AssertionError."""
    found = self._population.individuals()
    ids = [i.id for i in found]
    assert len(set(ids)) == len(ids), 'an individual is in two states'
    for individual in found:
      age = fleet.STATES.index(individual.state)
      assert age >= self._last.get(individual.id, 0), (
          f'{individual.id} came back as {individual.state}')
      self._last[individual.id] = age
    self.alive = sum(i.state == 'alive' for i in found)
    self.most = max(self.most, self.alive)
    assert self.alive <= self._bound, f'{self.alive} individuals are alive'
    evaluated = {r['id'] for r in self._population.history()
                 if 'finished' in r}
    # Kills of workers must not lose what has been evaluated.
    lost = self._evaluated - evaluated
    if lost:  # One that is being moved now may be missed by one listing.
      evaluated |= {r['id'] for r in self._population.history()
                    if 'finished' in r}
      assert not self._evaluated - evaluated, f'lost: {lost}'
    self._evaluated |= evaluated
    self.evaluated = len(self._evaluated)
    self.looks += 1

  def until(self, done, timeout: float) -> None:
    """Looks until done(); raises AssertionError after the timeout."""
    end = time.monotonic() + timeout
    while not done():
      assert time.monotonic() < end, f'nothing more after {timeout:.0f} s'
      self.until_time(.3)

  def until_time(self, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
      self.look()
      time.sleep(.1)


def check_end(workdir: pathlib.Path, watch: Watch) -> None:
  """What is left when all workers are gone; raises AssertionError."""
  population = fleet.directory(workdir)
  settings = problem.DataSettings(dataset='digits')
  data = problem.load(settings)
  names = [p.name.lower() for p in workdir.rglob('*')
           if 'xla_cache' not in p.parts]
  assert not [n for n in names if any(word in n for word in _LOCKS)], (
      'there is a lock')
  for name in ('README.txt', '.DS_Store', 'some.folder', 'zzzz.alive.0.5'):
    assert (workdir / 'population' / name).exists(), f'{name} is gone'
  alive = [i for i in population.individuals() if i.state == 'alive']
  assert alive, 'nobody is alive'
  history = {r['id']: r for r in population.history()}
  for individual in alive:
    record, weights = population.load(individual)
    dna = dnas.from_json(record['dna'])
    accuracy, _ = lineage.accuracy(dna, weights, data, data.validation)
    assert abs(accuracy - individual.fitness) < 1e-6, (
        f'{individual.id} has fitness {individual.fitness}, but its weights '
        f'have {accuracy}')
    parent = record['parent']
    assert parent is None or parent in history, f'{parent} is not known'
  states = collections.Counter(i.state for i in population.individuals())
  print(f'{len(alive)} living individuals read, their fitness is that of '
        f'their weights; states: {dict(states)}')


def throughput(workdir: pathlib.Path, seconds: float) -> dict[int, float]:
  """Individuals per second of 1, 2 and 4 workers.

  All are first individuals, which cost the same: later ones do not.
  """
  rates = {}
  cache = workdir.parent / 'cache'
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(cache)
  for count in (1, 2, 4):
    place = workdir / f'{count}'
    workers = [start(place, population_size=50_000, steps=2000)
               for _ in range(count)]
    population = fleet.directory(place)
    try:
      while population.evaluated() < 4 * count:
        time.sleep(.2)
      first, begun = population.evaluated(), time.monotonic()
      time.sleep(seconds)
      rates[count] = (population.evaluated() - first) / (
          time.monotonic() - begun)
    finally:
      for worker in workers:
        worker.kill()
        worker.wait()
    print(f'{count} workers: {rates[count]:.2f} individuals per second '
          f'({rates[count] / rates[1]:.2f} times one worker)', flush=True)
  assert rates[2] > 1.2 * rates[1], f'two workers are not faster: {rates}'
  return rates


if __name__ == '__main__':
  main()
