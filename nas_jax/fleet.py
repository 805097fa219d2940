"""A population that any number of processes share without a lock.

An individual is a directory. Its name, `<id>.<state>.<fitness>`, says all that
the others need, so that one listing shows the population, and whatever happens
to an individual is one atomic rename, which only one process can do. A process
that finds an individual changed by another gives up what it was about and
starts over. Nothing is lost when a process is killed at any instant: what it
was writing or training is thrown away after a while.

Real et al., ICML 2017, arXiv 1703.01041: the directories, the renames and the
giving up are theirs.

Note: what the paper leaves open is settled so. States are `born` (being
written), `training`, `alive`, `dead` and `trash` (being deleted); where there
is no fitness the name says `none`. A dead individual leaves its record, a
small JSON file, in `history/`, and is deleted, except the best of all so far.
Whoever trains an individual touches its directory now and then; one that is
not touched for `lease_seconds` is dead. On network file systems a rename may
be done and reported as failed, which does no harm here: who is told so starts
over. What is not named like an individual is left alone.
"""

from collections.abc import Callable, Iterator
import contextlib
import errno
import math
import os
import pathlib
import re
import shutil
import threading
from typing import NamedTuple
import uuid

from absl import logging

from nas_jax import fleet_stores

Path = str | os.PathLike
Record = fleet_stores.Record
Arrays = fleet_stores.Arrays

STATES = ('born', 'training', 'alive', 'dead', 'trash')
_NAME = re.compile(r'([0-9a-f]{16})\.(%s)\.([-+.\de]+|none)' % '|'.join(STATES))
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


# What the stores raise is raised from here.
ConcurrencyError = fleet_stores.ConcurrencyError
DamagedError = fleet_stores.DamagedError


class PopulationTooSmallError(Exception):
  """There are not enough individuals for this; others may be in training."""


class Individual(NamedTuple):
  """What a listing tells."""
  id: str
  state: str  # one of STATES
  fitness: float | None  # None before it is evaluated


class Population(NamedTuple):
  """A population; all functions may be called by any process at any time.

  Those that take an individual raise ConcurrencyError if it is no longer in
  the state in which it was listed.

  Attributes:
    individuals: () -> those that are not deleted, by one listing.
    evaluated: () -> how many were ever evaluated.
    begun: () -> how many were ever evaluated or are in training.
    create: (id, record) -> a new individual in training.
    finish: (individual, record, arrays, fitness, failed) -> it, alive with all
      that was given, or dead if it has failed.
    kill: individual -> it, dead.
    discard: individual -> it, dead and without its fitness, for what is
      damaged or not to be believed.
    load: individual -> its record and its arrays; the individual had not been
      changed when all was read. Raises DamagedError.
    renew: individual -> None; says that it is still being trained.
    collect: () -> None; declares abandoned individuals dead, and deletes dead
      ones but the best of all that were evaluated.
    history: () -> the records of all that were ever evaluated or abandoned,
      each with 'id', 'state' and 'fitness'.
    lease_seconds: after which an individual that is not renewed is abandoned.
  """
  individuals: Callable[[], list[Individual]]
  evaluated: Callable[[], int]
  begun: Callable[[], int]
  create: Callable[[str, Record], Individual]
  finish: Callable[[Individual, Record, Arrays, float, bool], Individual]
  kill: Callable[[Individual], Individual]
  discard: Callable[[Individual], Individual]
  load: Callable[[Individual], tuple[Record, Arrays]]
  renew: Callable[[Individual], None]
  collect: Callable[[], None]
  history: Callable[[], list[Record]]
  lease_seconds: float


def directory(folder: Path, *, lease_seconds: float = 60.) -> Population:
  """A population in `folder`/population and `folder`/history.

  Args:
    folder: on any file system with atomic renames; made if it does not exist.
    lease_seconds: see `Population`.

  Raises:
    ValueError: the lease is not positive.
  """
  if not lease_seconds > 0:
    raise ValueError(f'lease_seconds is {lease_seconds}, expected more than 0')
  return _population(fleet_stores.Disk(pathlib.Path(folder)), lease_seconds)


def memory() -> Population:
  """The same in the memory of this process, where nobody is ever abandoned."""
  return _population(fleet_stores.Memory(), math.inf)


def best(population: Population) -> tuple[Individual, Record, Arrays] | None:
  """The fittest of all, alive or dead, with its content; None if there is none.

  Damaged ones are discarded.
  """
  while (found := fittest(population.individuals())) is not None:
    try:
      return found, *population.load(found)
    except DamagedError as e:
      logging.warning('discarding %s: %s', name_of(found), e)
      with contextlib.suppress(ConcurrencyError):
        population.discard(found)
    except ConcurrencyError:
      continue
  return None


def fittest(individuals: list[Individual]) -> Individual | None:
  """Of those alive or dead; of equal ones that with the greatest id."""
  return max((i for i in individuals if i.state in ('alive', 'dead')
              and i.fitness is not None), key=lambda i: (i.fitness, i.id),
             default=None)


@contextlib.contextmanager
def kept(renew: Callable[[], None], lease_seconds: float) -> Iterator[None]:
  """Calls renew() in the background, some times in a lease.

  It ends with the block, with the process, or with a ConcurrencyError.
  """
  if math.isinf(lease_seconds):
    yield
    return
  over = threading.Event()

  def keep():
    while not over.wait(lease_seconds / 5):
      try:
        renew()
      except ConcurrencyError:
        return
      except OSError as e:
        logging.warning('a lease could not be renewed: %s', e)

  thread = threading.Thread(target=keep, daemon=True)
  thread.start()
  try:
    yield
  finally:
    over.set()
    thread.join()


@contextlib.contextmanager
def claimed(path: Path, lease_seconds: float) -> Iterator[bool]:
  """Whether this process alone may do what `path` stands for.

  The claim is a directory that is renamed to `path`, which fails where there is
  one. It is kept while the block runs, and left behind by a process that is
  killed; then others can have it after the lease.

  Note: two that find a claim abandoned in the same instant may both have it.
  What is done under a claim has to bear that.
  """
  path = pathlib.Path(path)
  mine = path.with_name(f'{path.name}.{uuid.uuid4().hex}')
  mine.mkdir(parents=True)
  (mine / 'claimed').touch()  # A directory that is not empty is not replaced.
  try:
    if fleet_stores.is_old(path, lease_seconds):
      fleet_stores.rename(path, path.with_name(f'{mine.name}.old'))
    os.rename(mine, path)
  except (OSError, ConcurrencyError) as e:
    shutil.rmtree(mine, ignore_errors=True)
    if isinstance(e, OSError) and e.errno not in _TAKEN:
      raise
    yield False
    return
  finally:
    shutil.rmtree(path.with_name(f'{mine.name}.old'), ignore_errors=True)
  try:
    with kept(lambda: fleet_stores.touch(path), lease_seconds):
      yield True
  finally:
    shutil.rmtree(path, ignore_errors=True)


def name_of(individual: Individual) -> str:
  """Of its directory."""
  fitness = individual.fitness
  return (f'{individual.id}.{individual.state}.'
          f'{"none" if fitness is None else repr(float(fitness))}')


def parse(name: str) -> Individual | None:
  """The inverse of `name_of`; None where a name is not an individual's."""
  match = _NAME.fullmatch(name)
  if not match:
    return None
  identity, state, text = match.groups()
  try:
    fitness = None if text == 'none' else float(text)
  except ValueError:
    return None
  evaluated = state in ('alive', 'dead', 'trash') and fitness is not None
  fits = state != 'alive' if fitness is None else (
      evaluated and math.isfinite(fitness))
  return Individual(identity, state, fitness) if fits else None


def _population(store, lease_seconds: float) -> Population:
  """The rules, whatever holds the individuals."""

  def individuals():
    # A listing made during a rename may show both names: the later one holds.
    found: dict[str, Individual] = {}
    for individual in filter(None, map(parse, store.names())):
      other = found.get(individual.id)
      if other is None or _age(individual) > _age(other):
        found[individual.id] = individual
    return list(found.values())

  def ever():
    """By id. What is deleted meanwhile is in one of the two, or in both."""
    found = {i.id: i for i in individuals()}
    return {i.id: i for i in filter(None, map(parse, store.buried()))} | found

  def evaluated():
    return sum(i.fitness is not None for i in ever().values())

  def begun():
    return sum(i.fitness is not None or i.state == 'training'
               for i in ever().values())

  def move(individual, state, fitness):
    moved = Individual(individual.id, state, fitness)
    store.rename(name_of(individual), name_of(moved))
    return moved

  def create(identity, record):
    born = Individual(identity, 'born', None)
    store.write(name_of(born), record, None, new=True)
    return move(born, 'training', None)

  def finish(individual, record, arrays, fitness, failed):
    if not math.isfinite(fitness):
      raise ValueError(f'the fitness of {individual.id} is {fitness}')
    store.write(name_of(individual), record, None if failed else arrays)
    return move(individual, 'dead' if failed else 'alive', float(fitness))

  def kill(individual):
    return move(individual, 'dead', individual.fitness)

  def discard(individual):
    return move(individual, 'dead', None)

  def load(individual):
    return store.read(name_of(individual))

  def renew(individual):
    store.touch(name_of(individual))

  def collect():
    found = individuals()
    spared = fittest(found)
    for individual in found:
      with contextlib.suppress(ConcurrencyError):
        if individual.state in ('born', 'training') and store.is_old(
            name_of(individual), lease_seconds):
          individual = discard(individual)
        if individual.state == 'dead' and individual != spared:
          individual = move(individual, 'trash', individual.fitness)
        if individual.state == 'trash':  # Also what another has left so.
          store.bury(name_of(individual),
                     name_of(individual._replace(state='dead')))

  def history():
    found = {}
    for individual in individuals():
      if individual.state in ('alive', 'dead'):
        with contextlib.suppress(ConcurrencyError, DamagedError):
          found[individual] = store.record(name_of(individual))
    known = {i.id for i in found}
    for individual in filter(None, map(parse, store.buried())):
      if individual.id not in known:
        with contextlib.suppress(DamagedError):
          found[individual] = store.buried_record(name_of(individual))
    return [record | individual._asdict()
            for individual, record in found.items()]

  return Population(individuals, evaluated, begun, create, finish, kill,
                    discard, load, renew, collect, history, lease_seconds)


def _age(individual: Individual) -> int:
  return STATES.index(individual.state)
