"""Progressive search, level by level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import search
from nas_jax.evaluators import tabular
from nas_jax.spaces import discrete
from nas_jax.spaces import nasbench201
from nas_jax.spaces import progressive_cell
from nas_jax.spaces import progressive_forms
from nas_jax.strategies import pnas

_FAST = dict(epochs=30, num_predictors=2)


def _reward(space, genome):
  """Separable convolutions early on are good."""
  cell = space.decode(genome)
  good = jnp.sum(cell.operations == 1, axis=1) + jnp.sum(
      cell.inputs == 1, axis=1)
  exists = jnp.arange(good.shape[0]) < cell.num_blocks
  return .4 + .5 * jnp.sum(good * exists) / (4 * good.shape[0])


@pytest.fixture(scope='module')
def cells():
  return progressive_cell.space(('a', 'b', 'c'), num_blocks=3)


def _drive(strategy, score, num_rounds, key=jax.random.key(0)):
  """The genomes of all rounds, and the last state."""
  state, found = strategy.init(key), []
  for i in range(num_rounds):
    keys = jax.random.split(jax.random.fold_in(key, i))
    proposals = strategy.ask(keys[0], state)
    found.append(np.asarray(proposals.genomes))
    state = strategy.tell(
        keys[1], state, proposals, score(proposals.genomes))
  return np.concatenate(found), state


def _scorer(space):
  return jax.jit(jax.vmap(lambda g: _reward(space, g)))


@pytest.fixture(scope='module')
def run(cells):
  strategy = pnas.pnas(cells, beam_size=20, **_FAST)
  return _drive(strategy, _scorer(cells), 61)


def test_every_level_has_a_block_more(run):
  genomes, state = run
  # All 21 of one block, then two beams.
  assert np.bincount(genomes[:, 0]).tolist() == [21, 20, 20]
  assert (np.diff(genomes[:, 0]) >= 0).all()
  assert len(np.unique(genomes, axis=0)) == 61
  assert state.count == 61 and state.level == 3
  assert state.first_level.tolist() == [1] * 21 + [2] * 20 + [3] * 20
  np.testing.assert_array_equal(state.genomes, genomes)


def test_children_extend_the_beam_before(run):
  genomes, _ = run
  second = {g.tobytes() for g in progressive_forms.expand(genomes[:21], 3)}
  third = {g.tobytes() for g in progressive_forms.expand(genomes[21:41], 3)}
  assert {g.tobytes() for g in genomes[21:41]} <= second
  assert {g.tobytes() for g in genomes[41:]} <= third


def test_the_beam_is_what_promises_most(cells, run):
  genomes, _ = run
  score = _scorer(cells)
  for level, part in ((2, genomes[21:41]), (3, genomes[41:])):
    parents = genomes[:21] if level == 2 else genomes[21:41]
    everything = score(progressive_forms.expand(parents, 3))
    assert score(part).mean() > np.quantile(everything, .75)
  # Mean rewards of the beams grow with their level.
  means = [score(genomes[genomes[:, 0] == b]).mean() for b in range(3)]
  assert means[0] + .1 < means[1] < means[2] - .1


def test_published_settings_are_the_defaults():
  strategy = pnas.pnas(progressive_cell.space())
  state = strategy.init(jax.random.key(0))
  assert not strategy.jittable
  # 136 + 4 * 256 models.
  assert state.genomes.shape == (1160, 21)
  assert state.queue.shape == (256, 21)
  assert state.queue_size == 136
  first = strategy.ask(jax.random.key(0), state).genomes
  assert first.tolist() == [[0, 0, 0, 0, 0] + [0] * 16]


@pytest.mark.parametrize('num_blocks, expected', [
    (1, 136), (2, 392), (3, 648), (4, 904), (5, 1160)])
def test_models_of_pnasnets_of_fewer_blocks(num_blocks, expected):
  space = progressive_cell.space(num_blocks=num_blocks)
  state = jax.eval_shape(lambda: pnas.pnas(space).init(None))
  assert state.genomes.shape[0] == expected


def test_small_levels_are_enumerated():
  space = progressive_cell.space(('a',), num_blocks=3)
  strategy = pnas.pnas(space, beam_size=50, batch_size=4, **_FAST)
  genomes, state = _drive(strategy, _scorer(space), 18)
  # 3, 15 and, of 97, the 50 that promise most; the last round of a level
  # begins it again.
  assert np.bincount(genomes[:, 0]).tolist() == [4, 16, 52]
  assert state.first_level.tolist() == [1] * 3 + [2] * 15 + [3] * 50 + [0] * 35
  assert len(np.unique(state.genomes[:68], axis=0)) == 68


def test_with_room_the_last_level_goes_on():
  space = progressive_cell.space(('a',), num_blocks=2)
  strategy = pnas.pnas(space, beam_size=4, capacity=16, **_FAST)
  genomes, state = _drive(strategy, _scorer(space), 16)
  assert len(np.unique(genomes, axis=0)) == 16
  assert np.bincount(genomes[:, 0]).tolist() == [3, 13]
  # The search is over: it repeats its last children.
  again = strategy.ask(jax.random.key(5), state)
  assert again.genomes.tolist() == genomes[15:].tolist()
  after = strategy.tell(jax.random.key(6), state, again, jnp.ones(1))
  for name, a, b in zip(state._fields, after, state):
    assert name == 'position' or (a == b).all()


def test_nothing_left_ends_the_search():
  space = progressive_cell.space(('a',), num_blocks=1)
  strategy = pnas.pnas(space, capacity=9, **_FAST)
  genomes, state = _drive(strategy, _scorer(space), 8)
  assert state.count == 3
  assert (genomes[3:6] == genomes[:3]).all()


def test_what_belongs_to_two_levels_is_evaluated_once():
  space = discrete.space([range(3), range(4)])
  strategy = pnas.pnas(space, beam_size=12, **_FAST)
  score = lambda g: jnp.sum(g, axis=1) / 5
  genomes, state = _drive(strategy, score, 12)
  assert len(np.unique(genomes, axis=0)) == 12
  assert genomes[:3].tolist() == [[0, 0], [1, 0], [2, 0]]
  assert state.first_level[:12].tolist() == [1] * 3 + [2] * 9
  assert state.last_level[:12].tolist() == [2] * 12


def test_a_part_of_the_first_level(cells):
  found = set()
  for seed in range(3):
    strategy = pnas.pnas(cells, first_size=8, beam_size=5, **_FAST)
    state = strategy.init(jax.random.key(seed))
    assert state.queue_size == 8 and state.genomes.shape[0] == 18
    queue = state.queue[:8].tolist()
    assert len({tuple(g) for g in queue}) == 8
    found.add(str(queue))
  assert len(found) == 3


def test_fewer_evaluations_than_random_search_on_nasbench201(shared_data):
  file = np.load(shared_data / 'nasbench201.npz')
  space = discrete.space([nasbench201.OPERATIONS] * 6)
  assert tuple(file['op_names']) == nasbench201.OPERATIONS
  rewards = np.zeros(15625)
  rewards[file['ops'] @ np.array(discrete.radices([5] * 6))] = file[
      'cifar10_val_12'] / 100
  # Random search has 0.8413 on average after 300 evaluations.
  strategy = pnas.pnas(space, beam_size=48, batch_size=8, capacity=150,
                       epochs=30)
  evaluator = tabular.tabular(space, rewards)
  best = []
  for seed in range(2):
    state, _ = search.run(jax.random.key(seed), strategy, evaluator,
                          num_rounds=19, genotype=space.genotype)
    best.append(float(state.best_reward))
  assert min(best) > .8413


@pytest.mark.parametrize('options, message', [
    (dict(beam_size=0), 'beam_size must be at least 1, got 0'),
    (dict(batch_size=0), 'batch_size must be at least 1, got 0'),
    (dict(first_size=0), 'first_size must be at least 1, got 0'),
    (dict(capacity=20), 'capacity 20 is less than the 21 architectures'),
    (dict(learning_rate=0.), 'learning_rate must be positive, got 0.0'),
    (dict(predictor='tree'), "unknown predictor 'tree'"),
    (dict(num_predictors=0), 'num_members must be at least 1, got 0'),
])
def test_bad_options(cells, options, message):
  with pytest.raises(ValueError, match=message):
    pnas.pnas(cells, **options)
