import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import search
from nas_jax.spaces import discrete
from nas_jax.strategies import spos

_SPACE = discrete.space([range(4)] * 6)
_SMALL = dict(population_size=10, num_parents=3, num_mutations=4,
              num_crossovers=4)


def _sum_evaluator():
  def evaluate(key, state, proposals):
    del key
    rewards = jnp.sum(proposals.genomes, -1).astype(jnp.float32)
    return base.Evaluation(rewards, {'failed': 0 * rewards}), state
  return base.Evaluator(lambda key: (), evaluate, jittable=False)


def _run(num_rounds, space=_SPACE, **options):
  strategy = spos.spos(space, **_SMALL | options)
  state, records = search.run(
      jax.random.key(0), strategy, _sum_evaluator(), num_rounds=num_rounds,
      genotype=space.genotype)
  return state.strategy, np.array([r['genotype'] for r in records])


def test_nobody_is_evaluated_twice_and_all_meet_the_constraint():
  asked = []

  def feasible(genome):
    asked.append(genome.tolist())
    return genome.sum() <= 11

  state, genomes = _run(80, feasible=feasible)
  assert len(np.unique(genomes, axis=0)) == 80
  assert (genomes.sum(1) <= 11).all()
  assert int(state.count) == 80
  assert (np.asarray(state.genomes)[:80] == genomes).all()
  # Those met before are not even asked about.
  assert len({tuple(g) for g in asked if sum(g) <= 11}) == 90


def test_epochs_do_better_than_as_many_random_ones():
  _, genomes = _run(8, batch_size=10)
  best = np.maximum.accumulate(genomes.reshape(8, 10, 6).sum(-1).max(1))
  first = genomes[:10].sum(1).max()
  assert best[-1] >= first + 3


def test_a_population_has_mutations_crossovers_and_random_ones():
  # Without mutation, and of one parent, nothing new comes but random ones.
  state, _ = _run(1, batch_size=10, num_parents=1, mutation_probability=0.)
  assert int(state.queue_size) == 10
  # Mutations of one gene of ten parents, crossovers of genes of parents.
  strategy = spos.spos(_SPACE, population_size=8, num_parents=2,
                       num_mutations=4, num_crossovers=4, batch_size=8,
                       mutation_probability=1 / 6)
  state = strategy.init(jax.random.key(1))
  parents = np.asarray(state.queue)[:2]
  rewards = jnp.array([2., 1., 0, 0, 0, 0, 0, 0])
  state = strategy.tell(jax.random.key(2), state, strategy.ask(
      jax.random.key(0), state), rewards)
  queue = np.asarray(state.queue)
  crossed = queue[4:]
  assert (np.logical_or(*(crossed == p for p in parents))).all()
  assert (crossed != parents[0]).any(1).all()
  distances = np.minimum(*((queue[:4] != p).sum(1) for p in parents))
  assert 1 <= distances.mean() < 3


def test_a_batch_that_does_not_divide_a_population():
  state, genomes = _run(4, batch_size=7)  # Populations end after 2 and 4.
  assert int(state.count) == 20
  first = genomes[:14]
  assert (first[10:] == first[:4]).all()
  assert len(np.unique(genomes[14:24], axis=0)) == 10


def test_a_space_that_is_used_up_repeats():
  space = discrete.space([range(2)] * 3)
  state, genomes = _run(5, space, batch_size=4)
  assert int(state.count) == len(np.unique(genomes, axis=0)) == 8


def test_beyond_the_capacity_nothing_is_learned():
  state, _ = _run(4, batch_size=10, capacity=15)
  assert int(state.count) == 15


def test_nothing_that_is_feasible():
  with pytest.raises(ValueError, match='none of 100 random architectures'):
    _run(1, feasible=lambda genome: False)


@pytest.mark.parametrize('options, message', [
    (dict(population_size=0), 'population_size is 0, expected at least 1'),
    (dict(num_crossovers=-1), 'num_crossovers is -1, expected at least 0'),
    (dict(num_mutations=9), 'num_mutations 9 and num_crossovers 4 are more'),
    (dict(mutation_probability=2.), 'mutation_probability is 2.0'),
])
def test_bad_numbers(options, message):
  with pytest.raises(ValueError, match=message):
    spos.spos(_SPACE, **_SMALL | options)
