"""Large-scale evolution: what each of many workers does.

Workers know of each other only through the population. Each picks two living
individuals at random and compares them. If there are as many as wanted, the
worse one dies; otherwise the better one has a child, which the worker trains.

Reference: Real et al., Large-Scale Evolution of Image Classifiers,
  arXiv 1703.01041, sec. 3.1 and supplement.

Note: the first individuals are made by whoever finds fewer than wanted ever
begun. An individual that fails (see evaluators/lineage.py) is dead at once.
"""

from collections.abc import Callable, Mapping
import time
from typing import Any, NamedTuple

from absl import logging
import numpy as np

from nas_jax import fleet
from nas_jax.evaluators import lineage
from nas_jax.spaces import dna as dnas

_FEWEST = 2  # living individuals that a tournament takes
# Between two looks of one who has to wait for others.
_PATIENCE_SECONDS = .2
_COLLECT_EVERY = 5  # actions


class Plan(NamedTuple):
  """What all workers agree on."""
  population_size: int  # P, the set point
  num_individuals: int  # to evaluate in all
  selection: bool = True  # False: the control, who dies is drawn by lot


class Tools(NamedTuple):
  """How individuals come about."""
  initial: Callable[[np.random.Generator], dnas.Dna]
  # -> child, names of its mutations
  mutate: Callable[[np.random.Generator, dnas.Dna],
                   tuple[dnas.Dna, tuple[str, ...]]]
  # (dna, weights of the parent or None, seed) -> Trained
  train: Callable[[dnas.Dna, Mapping[str, np.ndarray] | None, int],
                  lineage.Trained]


def check(plan: Plan) -> Plan:
  """The same.

  Raises:
    ValueError: a population without a pair, or fewer individuals than it.
  """
  if plan.population_size < _FEWEST:
    raise ValueError(f'population_size is {plan.population_size}, expected at '
                     f'least {_FEWEST}')
  if plan.num_individuals < plan.population_size:
    raise ValueError(f'num_individuals {plan.num_individuals} is less than '
                     f'population_size {plan.population_size}')
  return plan


def is_over(population: fleet.Population, plan: Plan) -> bool:
  """Whether all individuals have been evaluated."""
  return population.evaluated() >= plan.num_individuals


def work(
    population: fleet.Population,
    plan: Plan,
    tools: Tools,
    rng: np.random.Generator,
    *,
    on_action: Callable[[str], None] = lambda what: None,
    patience: float = _PATIENCE_SECONDS,
) -> None:
  """Works until all individuals have been evaluated, by whomever.

  Args:
    population: shared with other workers or not.
    plan: the same for all of them.
    tools: how individuals are made and trained.
    rng: of this worker alone.
    on_action: told 'train', 'kill', 'wait' or 'conflict' after each pass.
    patience: seconds to wait where there is nothing to do.
  """
  check(plan)
  count = 0
  while not is_over(population, plan):
    try:
      what = act(population, plan, tools, rng)
      count += 1
      if count % _COLLECT_EVERY == 0:
        population.collect()
    except fleet.ConcurrencyError:
      what = 'conflict'  # Another was faster: start over.
    except fleet.PopulationTooSmallError:
      what = 'wait'
      population.collect()  # Those waited for may have been abandoned.
      time.sleep(patience)
    on_action(what)


def act(
    population: fleet.Population, plan: Plan, tools: Tools,
    rng: np.random.Generator,
) -> str:
  """One pass: trains an individual or kills one.

  Returns:
    'train' or 'kill'.

  Raises:
    fleet.ConcurrencyError: another worker changed what this one worked on.
    fleet.PopulationTooSmallError: it takes what others are training.
  """
  begun = population.begun()
  if begun < plan.population_size:
    return _raise_child(population, tools, rng, tools.initial(rng), None, (),
                        None)
  alive = [i for i in population.individuals() if i.state == 'alive']
  if len(alive) < _FEWEST:
    if begun < plan.num_individuals and not _in_training(population):
      return _raise_child(population, tools, rng, tools.initial(rng), None, (),
                          None)
    raise fleet.PopulationTooSmallError
  pair = [alive[i] for i in rng.choice(len(alive), _FEWEST, replace=False)]
  if plan.selection:
    # Equal ones are in the random order of the draw.
    pair.sort(key=lambda i: i.fitness)
  worse, better = pair
  if len(alive) >= plan.population_size:
    population.kill(worse)
    return 'kill'
  if begun >= plan.num_individuals:
    raise fleet.PopulationTooSmallError
  try:
    record, weights = population.load(better)
    parent = dnas.from_json(record['dna'])
  except (fleet.DamagedError, KeyError, ValueError) as e:
    logging.warning('discarding %s: %s', fleet.name_of(better), e)
    population.discard(better)
    return 'kill'
  child, mutations = tools.mutate(rng, parent)
  return _raise_child(
      population, tools, rng, child, better.id, mutations, weights)


def _in_training(population: fleet.Population) -> bool:
  return any(i.state == 'training' for i in population.individuals())


def _raise_child(population, tools, rng, dna, parent, mutations, weights):
  """Trains an individual while saying that it is being trained."""
  identity = dnas.new_id(rng)
  record: dict[str, Any] = {
      'dna': dnas.to_json(dna), 'parent': parent, 'mutations': list(mutations),
      'begun': time.time()}
  individual = population.create(identity, record)
  with fleet.kept(lambda: population.renew(individual),
                  population.lease_seconds):
    trained = tools.train(dna, weights, int(identity[:8], 16))
  failed = bool(trained.metrics['failed'])
  if failed:
    logging.warning('%s failed: %s', identity, trained.error)
  record |= {'metrics': trained.metrics, 'error': trained.error,
             'finished': time.time()}
  population.finish(individual, record, trained.weights, trained.fitness,
                    failed)
  return 'train'


def history(population: fleet.Population) -> list[dict[str, Any]]:
  """The evaluated individuals in the order of their evaluation.

  Like lines of `history.jsonl`: child, genotype, reward, metrics, seconds;
  and id, parent, mutations, state, and the seconds since the first was begun.
  """
  found = [r for r in population.history()
           if r['fitness'] is not None and 'finished' in r]
  found.sort(key=lambda r: (r['finished'], r['id']))
  start = min((r['begun'] for r in found), default=0.)
  suffix = '_seconds'
  return [{
      'child': n, 'round': n, 'genotype': r['dna'], 'reward': r['fitness'],
      'metrics': {k: v for k, v in r['metrics'].items()
                  if not k.endswith(suffix)},
      'seconds': {k.removesuffix(suffix): v for k, v in r['metrics'].items()
                  if k.endswith(suffix)},
      'id': r['id'], 'parent': r['parent'], 'mutations': r['mutations'],
      'state': r['state'], 'elapsed': r['finished'] - start,
  } for n, r in enumerate(found)]
