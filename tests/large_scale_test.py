"""Workers of large-scale evolution, on a fitness that costs nothing."""

import multiprocessing

import numpy as np
import pytest

from nas_jax import fleet
from nas_jax import large_scale
from nas_jax.evaluators import lineage
from nas_jax.spaces import dna as dnas
from nas_jax.spaces import mutations


def fitness(dna):
  """More convolutions are better, up to twenty; wild rates are worse."""
  convolutions = sum(e.type == 'conv' for e in dna.edges)
  return max(0., min(convolutions, 20) / 20 - .02 * abs(
      np.log2(dna.learning_rate / .1)))


def train(dna, weights, seed):
  generation = 0 if weights is None else int(weights['generation']) + 1
  return lineage.Trained(
      fitness(dna), {'generation': np.array(generation)},
      {'failed': 0., 'train_seconds': .5, 'seed': float(seed)})


TOOLS = large_scale.Tools(dnas.initial, mutations.mutate, train)
PLAN = large_scale.Plan(population_size=12, num_individuals=150)


def run(plan, seed, tools=TOOLS, **options):
  population = fleet.memory()
  large_scale.work(population, plan, tools, np.random.default_rng(seed),
                   patience=0., **options)
  return population


def best(population):
  return fleet.best(population)[0].fitness


def test_evolution_beats_the_control_at_equal_budget():
  """Over ten seeds; without selection a lineage only drifts."""
  found = [[best(run(PLAN._replace(selection=s), seed)) for seed in range(10)]
           for s in (True, False)]
  assert np.mean(found[0]) > np.mean(found[1]) + .1
  wins = sum(a > b for a, b in zip(*found))
  assert wins >= 9


def test_the_population_stays_near_its_set_point():
  sizes, seen = [], []
  population = fleet.memory()

  def look(what):
    seen.append(what)
    sizes.append(sum(i.state == 'alive' for i in population.individuals()))

  large_scale.work(population, PLAN, TOOLS, np.random.default_rng(0),
                   on_action=look)
  assert set(seen) == {'train', 'kill'} and seen.count('train') == 150
  assert max(sizes) == 12 and min(sizes[24:]) == 11
  assert population.evaluated() == 150


def test_children_inherit_and_say_from_whom():
  population = run(PLAN, 0)
  history = large_scale.history(population)
  assert [r['child'] for r in history] == list(range(150))
  assert [r['parent'] for r in history[:12]] == [None] * 12
  ids = {r['id']: r for r in history}
  for record in history[12:]:
    parent = ids[record['parent']]
    assert parent['child'] < record['child'] and len(record['mutations']) == 1
    if record['mutations'] == ['identity']:
      assert record['genotype'] == parent['genotype']
  assert history[-1]['seconds'] == {'train': .5}
  individual, _, arrays = fleet.best(population)
  generation, record = 0, ids[individual.id]
  while record['parent']:
    generation, record = generation + 1, ids[record['parent']]
  assert int(arrays['generation']) == generation > 0


def test_failed_individuals_are_dead_and_do_not_stop_anything():
  def fails(dna, weights, seed):
    found = train(dna, weights, seed)
    if seed % 3:
      return found
    return lineage.Trained(0., {}, {'failed': 1.}, 'diverged')

  population = run(PLAN, 0, TOOLS._replace(train=fails))
  history = large_scale.history(population)
  failed = [r for r in history if r['metrics']['failed']]
  assert 20 < len(failed) < 80 and {r['state'] for r in failed} == {'dead'}
  assert not {r['id'] for r in failed} & {r['parent'] for r in history}


def test_two_individuals_stagnate():
  """A population of two is trapped early (sec. 4 of the paper)."""
  small = [best(run(PLAN._replace(population_size=2), s)) for s in range(10)]
  large = [best(run(PLAN, s)) for s in range(10)]
  assert np.mean(large) > np.mean(small)


def test_what_cannot_be_read_is_discarded(tmp_path):
  population = fleet.directory(tmp_path)
  plan = large_scale.Plan(4, 12)
  broken = population.create('0123456789abcdef', {'dna': ['nonsense']})
  population.finish(broken, {
      'dna': ['nonsense'], 'parent': None, 'mutations': [], 'begun': 0.,
      'metrics': {}, 'finished': 1.}, {}, 2., False)
  large_scale.work(population, plan, TOOLS, np.random.default_rng(0))
  assert population.evaluated() == 12
  assert fleet.best(population)[0].fitness <= 1


def _worker(folder, seed):
  large_scale.work(
      fleet.directory(folder), PLAN, TOOLS, np.random.default_rng(seed),
      patience=.01)


def test_workers_in_processes_share_the_work(tmp_path):
  workers = [multiprocessing.get_context('spawn').Process(
      target=_worker, args=(tmp_path, seed)) for seed in (1, 2)]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join(100)
    assert worker.exitcode == 0
  population = fleet.directory(tmp_path)
  # Each may have been in the middle of one when the last was evaluated.
  assert 150 <= population.evaluated() <= 151
  alive = [i for i in population.individuals() if i.state == 'alive']
  assert 10 <= len(alive) <= 13
  assert len({r['id'] for r in large_scale.history(population)}) == (
      population.evaluated())


@pytest.mark.parametrize('plan, message', [
    ((1, 10), 'population_size is 1'),
    ((5, 4), 'num_individuals 4 is less than')])
def test_plans_that_cannot_be(plan, message):
  with pytest.raises(ValueError, match=message):
    large_scale.check(large_scale.Plan(*plan))
