"""A population on disk: names, renames, and all that may lie about."""

import math
import multiprocessing
import os
import time

import numpy as np
import pytest

from nas_jax import fleet

_A, _B, _C = (c * 16 for c in 'abc')


@pytest.fixture(params=['disk', 'memory'])
def population(request, tmp_path):
  return (fleet.directory(tmp_path) if request.param == 'disk'
          else fleet.memory())


@pytest.fixture
def disk(tmp_path):
  return fleet.directory(tmp_path, lease_seconds=.2)


def alive(population, identity, fitness, record=None):
  return population.finish(
      population.create(identity, {}), record or {'n': 1},
      {'w': np.arange(3.)}, fitness, False)


def states(population):
  return {i.id: i.state for i in population.individuals()}


def test_names_say_all_and_come_back():
  for individual in (fleet.Individual(_A, 'training', None),
                     fleet.Individual(_A, 'alive', .125),
                     fleet.Individual(_B, 'dead', None),
                     fleet.Individual(_B, 'trash', 1e-7)):
    assert fleet.parse(fleet.name_of(individual)) == individual
  assert fleet.name_of(fleet.Individual(_A, 'alive', .9132)) == (
      f'{_A}.alive.0.9132')


@pytest.mark.parametrize('name', [
    'README', '.DS_Store', f'{_A}.alive', f'{_A}.alive.none', f'{_A}.alive.nan',
    f'{_A}.alive.inf', f'{_A}.asleep.0.5', f'{_A}.training.0.5', 'a.alive.0.5',
    f'{_A}.alive.0.5.old', f'{_A}.alive.1.2.3', f'{_A.upper()}.alive.0.5'])
def test_other_names_are_no_individuals(name):
  assert fleet.parse(name) is None


def test_a_life(population):
  child = population.create(_A, {'n': 0})
  assert states(population) == {_A: 'training'}
  assert (population.begun(), population.evaluated()) == (1, 0)
  with pytest.raises(fleet.ConcurrencyError):
    population.kill(fleet.Individual(_A, 'alive', .5))
  child = population.finish(child, {'n': 7}, {'w': np.arange(3.)}, .5, False)
  record, arrays = population.load(child)
  assert record == {'n': 7} and arrays['w'].tolist() == [0, 1, 2]
  dead = population.kill(child)
  assert states(population) == {_A: 'dead'} and dead.fitness == .5
  for again in (population.kill, population.load, population.renew):
    with pytest.raises(fleet.ConcurrencyError):
      again(child)
  assert (population.begun(), population.evaluated()) == (1, 1)


def test_a_failed_one_is_dead_and_counts(population):
  child = population.finish(
      population.create(_A, {}), {'error': 'x'}, {}, 0., True)
  assert child.state == 'dead' and population.evaluated() == 1
  with pytest.raises(ValueError, match='fitness of .* is nan'):
    population.finish(population.create(_B, {}), {}, {}, math.nan, False)


def test_garbage_leaves_records_and_the_best(population, tmp_path):
  for identity, fitness in ((_A, .3), (_B, .9), (_C, .5)):
    population.kill(alive(population, identity, fitness, {'name': identity}))
  population.collect()
  assert states(population) == {_B: 'dead'}
  assert population.evaluated() == 3
  found = {r['id']: r for r in population.history()}
  assert {i: (r['fitness'], r['name']) for i, r in found.items()} == {
      _A: (.3, _A), _B: (.9, _B), _C: (.5, _C)}
  best, record, arrays = fleet.best(population)
  assert (best.id, record['name'], len(arrays)) == (_B, _B, 1)


def test_abandoned_ones_die_after_the_lease(disk):
  first, second = disk.create(_A, {}), disk.create(_B, {})
  alive(disk, _C, .5)
  disk.collect()
  assert states(disk) == {_A: 'training', _B: 'training', _C: 'alive'}
  with fleet.kept(lambda: disk.renew(second), disk.lease_seconds):
    time.sleep(.5)
    disk.collect()
    assert states(disk) == {_B: 'training', _C: 'alive'}
  # Whoever comes back from the dead cannot go on.
  with pytest.raises(fleet.ConcurrencyError):
    disk.finish(first, {}, {}, .9, False)
  assert disk.begun() == 2 and disk.evaluated() == 1


def test_foreign_and_half_written_files_are_survived(disk, tmp_path):
  folder = tmp_path / 'population'
  (folder / 'README.txt').write_text('hello')
  (folder / 'notes').mkdir()
  (folder / f'{_A}.alive.0.5').write_text('a file')
  half = folder / f'{_B}.alive.0.9'
  half.mkdir()
  (half / 'weights.npz').write_bytes(b'PK\x03\x04')
  alive(disk, _C, .25)
  assert states(disk) == {_B: 'alive', _C: 'alive'}
  with pytest.raises(fleet.DamagedError):
    disk.load(fleet.Individual(_B, 'alive', .9))
  best, *_ = fleet.best(disk)  # It discards what it cannot read.
  assert best.id == _C and states(disk)[_B] == 'dead'
  disk.collect()
  assert states(disk) == {_C: 'alive'}
  assert (folder / 'README.txt').exists() and (folder / 'notes').exists()
  assert [r['id'] for r in disk.history()] == [_C]


def test_trash_that_a_killed_process_left_is_taken_out(disk, tmp_path):
  child = disk.kill(alive(disk, _A, .3))
  alive(disk, _B, .5)
  path = tmp_path / 'population'
  os.rename(path / fleet.name_of(child), path / f'{_A}.trash.0.3')
  disk.collect()
  assert states(disk) == {_B: 'alive'} and disk.evaluated() == 2


def _kill_all(folder, barrier, results):
  population = fleet.directory(folder)
  found = sorted(population.individuals())
  barrier.wait()
  wins = 0
  for individual in found:
    try:
      population.kill(individual)
      wins += 1
    except fleet.ConcurrencyError:
      pass
  results.put(wins)


def test_of_two_that_kill_one_succeeds(tmp_path):
  population = fleet.directory(tmp_path)
  for n in range(60):
    alive(population, f'{n:016x}', .5)
  context = multiprocessing.get_context('spawn')
  barrier, results = context.Barrier(2), context.Queue()
  killers = [context.Process(target=_kill_all, args=(
      tmp_path, barrier, results)) for _ in range(2)]
  for killer in killers:
    killer.start()
  wins = [results.get(timeout=60) for _ in killers]
  for killer in killers:
    killer.join()
  assert sum(wins) == 60
  assert set(states(population).values()) == {'dead'}


def test_one_of_many_claims(tmp_path):
  path = tmp_path / 'claim'
  with fleet.claimed(path, .2) as mine:
    with fleet.claimed(path, .2) as other:
      assert mine and not other
    time.sleep(.5)
    with fleet.claimed(path, .2) as other:
      assert not other  # It is kept as long as the block runs.
  assert not path.exists()
  path.mkdir()
  (path / 'claimed').touch()
  os.utime(path, (1, 1))
  with fleet.claimed(path, .2) as mine:
    assert mine  # Left behind by a process that was killed.
  assert not list(tmp_path.iterdir())


def test_a_lease_is_positive(tmp_path):
  with pytest.raises(ValueError, match='lease_seconds is 0'):
    fleet.directory(tmp_path, lease_seconds=0)
