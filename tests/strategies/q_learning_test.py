import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import base
from nas_jax import search
from nas_jax.evaluators import tabular
from nas_jax.evaluators import toy
from nas_jax.spaces import block
from nas_jax.spaces import discrete
from nas_jax.strategies import q_learning

_KEY = jax.random.key(0)


def _blocks(max_index=4, **options):
  space = block.space(max_index=max_index)
  return space, q_learning.q_learning(
      space, is_end=block.is_terminal, **options)


def _told(strategy, state, genomes, rewards, key=_KEY):
  return jax.jit(strategy.tell)(
      key, state, base.Proposals(jnp.asarray(genomes, jnp.int32)),
      jnp.asarray(rewards, jnp.float32))


def _entries(space, code):
  """Where the steps of a block are in the table, without a forced one."""
  table = q_learning.table(space.choices, block.is_terminal)
  genome = space.encode(code).tolist()
  steps = genome[:len(code)]
  return [int(table.starts[t, p]) + a
          for t, (p, a) in enumerate(zip([0, *steps], steps))]


_TWO_LAYERS = ((1, 1, 3, 0, 0), (2, 1, 3, 1, 0), (3, 7, 0, 0, 0))


def _one_at_a_time(**options):
  return _blocks(batch_size=1, num_updates=1, **options)


def test_update_by_hand():
  """Three steps, reward 0.7, all Q 0.5: 0.502 at the end of the block.

  The step before it looks ahead at that 0.502, the first at 0.502353.
  """
  space, strategy = _one_at_a_time()
  state = strategy.init(_KEY)
  before = np.asarray(state.q)
  assert (before == 0.5).all()
  state = _told(strategy, state, space.encode(_TWO_LAYERS)[None], [0.7])
  entries = _entries(space, _TWO_LAYERS)
  np.testing.assert_allclose(
      state.q[np.array(entries)], [0.502356867, 0.502353333, 0.502], atol=1e-7)
  assert np.flatnonzero(state.q != before).tolist() == entries
  assert state.count == 1 and state.rewards[0] == np.float32(0.7)


def test_update_whose_best_next_action_is_another():
  """The terminal action is worth 0, so the best next action has 0.5."""
  space, strategy = _one_at_a_time()
  entries = _entries(space, _TWO_LAYERS)
  state = strategy.init(_KEY)
  state = state._replace(q=state.q.at[entries[2]].set(0.))
  state = _told(strategy, state, space.encode(_TWO_LAYERS)[None], [0.7])
  np.testing.assert_allclose(
      state.q[np.array(entries)], [0.502356667, 0.502333333, 0.007], atol=1e-7)


@pytest.mark.parametrize('options, expected', [
    # Nothing before the end, and 0.502 of which alpha comes back.
    ({'shaping': False}, [0.5000002, 0.50002, 0.502]),
    # The longest block has three layers and the terminal one.
    ({'shaping_by': 'maximum'}, [0.5017677, 0.50177, 0.502]),
    ({'discount': 0.}, [0.497333333, 0.497333333, 0.502]),
    ({'learning_rate': 1.}, [0.7 + 1.4 / 3, 0.7 + 0.7 / 3, 0.7]),
])
def test_options_of_the_update(options, expected):
  space, strategy = _one_at_a_time(**options)
  state = _told(strategy, strategy.init(_KEY),
                space.encode(_TWO_LAYERS)[None], [0.7])
  np.testing.assert_allclose(
      state.q[np.array(_entries(space, _TWO_LAYERS))], expected, atol=1e-7)


def test_the_forced_end_is_a_step_with_one_action():
  space, strategy = _one_at_a_time(max_index=3)
  code = _TWO_LAYERS
  genome = space.encode(code)
  assert genome.shape == (2,)
  before = strategy.init(_KEY)
  state = _told(strategy, before, genome[None], [0.7])
  changed = np.flatnonzero(state.q != before.q)
  assert len(changed) == 3  # Two layers and the terminal one.
  np.testing.assert_allclose(
      state.q[changed], [0.502356867, 0.502353333, 0.502], atol=1e-7)


def test_an_end_in_the_middle_leaves_later_entries_alone():
  space, strategy = _one_at_a_time(max_index=8)
  code = ((1, 4, 0, 0, 0), (2, 7, 0, 0, 0))
  before = strategy.init(_KEY)
  state = _told(strategy, before, space.encode(code)[None], [0.9])
  assert np.flatnonzero(state.q != before.q).tolist() == _entries(space, code)
  # T = 2: 0.504 at the end, then 0.99 * 0.5 + 0.01 * (0.45 + 0.504).
  np.testing.assert_allclose(
      state.q[np.array(_entries(space, code))], [0.50454, 0.504], atol=1e-7)


def test_schedule_of_the_paper():
  schedule = q_learning.PAPER_SCHEDULE
  assert sum(n for _, n in schedule) == 178
  assert 64 * sum(n for _, n in schedule) == 11_392
  assert [e for e, _ in schedule] == [1., .9, .8, .7, .6, .5, .4, .3, .2, .1]
  assert [n for _, n in schedule] == [95, 7, 7, 7, 10, 10, 10, 10, 10, 12]
  strategy = _blocks()[1]
  assert strategy.init(_KEY).genomes.shape == (11_392, 3)
  assert jax.eval_shape(strategy.ask, _KEY, strategy.init(_KEY)
                        ).genomes.shape == (64, 3)


def test_epsilon_at_every_boundary():
  epsilon = jax.jit(lambda n: q_learning.epsilon(q_learning.PAPER_SCHEDULE, n))
  found = np.array([epsilon(n) for n in (
      0, 94, 95, 101, 102, 108, 109, 115, 116, 125, 126, 135, 136, 145, 146,
      155, 156, 165, 166, 177, 178, 10_000)])
  np.testing.assert_allclose(found, [
      1, 1, .9, .9, .8, .8, .7, .7, .6, .6, .5, .5, .4, .4, .3, .3, .2, .2, .1,
      .1, .1, .1], rtol=1e-6)


def test_epsilon_of_a_round_is_the_chance_to_explore():
  """Of three actions the first is best, so it has 1 - epsilon + epsilon / 3."""
  space = discrete.space([range(3)])
  strategy = q_learning.q_learning(
      space, epsilon_schedule=((1., 2), (.4, 1), (0., 1)), batch_size=6000)
  state = strategy.init(_KEY)
  state = state._replace(q=state.q.at[0].set(0.6))
  for done, expected in ((0, 1 / 3), (1, 1 / 3), (2, .6 + .4 / 3), (3, 1.)):
    genomes = jax.jit(strategy.ask)(
        _KEY, state._replace(count=jnp.int32(6000 * done))).genomes
    np.testing.assert_allclose(
        np.mean(genomes == 0), expected, atol=0.03 if expected < 1 else 0)


def test_equal_values_are_told_apart_at_random():
  space = discrete.space([range(5)])
  strategy = q_learning.q_learning(
      space, epsilon_schedule=((0., 1),), batch_size=20_000)
  state = strategy.init(_KEY)
  state = state._replace(q=state.q.at[jnp.array([1, 3])].set(0.4))
  genomes = strategy.ask(_KEY, state).genomes
  found = np.bincount(genomes[:, 0], minlength=5) / 20_000
  np.testing.assert_allclose(found, [1 / 3, 0, 1 / 3, 0, 1 / 3], atol=0.017)


def test_exploration_draws_blocks_as_the_space_does():
  space, strategy = _blocks(batch_size=20_000, capacity=20_000)
  genomes = np.asarray(strategy.ask(_KEY, strategy.init(_KEY)).genomes)
  assert (genomes == block.canonical(space.choices, genomes)).all()
  counts = np.bincount(block.num_layers(space.choices, genomes), minlength=4)
  expected = [0, 1 / 11, 10 / 11 / 25, 10 / 11 * 24 / 25]
  np.testing.assert_allclose(counts / 20_000, expected, atol=0.011)


@pytest.mark.parametrize('max_index, entries', [
    # 8, then 8 rows of 11, 10 of 25, 24 of 43, and 42 forced ends.
    (5, 8 + 8 * 11 + 10 * 25 + 24 * 43 + 42),
    (23, 5_012_950),
    # 6,214,150 with a free choice at index 23; and its 1,144 forced ends.
    (24, 6_214_150 + 1_144)])
def test_entries_of_the_table(max_index, entries):
  choices = block.space(max_index=max_index).choices
  table = q_learning.table(choices, block.is_terminal)
  assert table.size == entries
  if max_index == 23:
    assert table.widths.tolist()[-2:] == [1051, 1]


def test_rows_of_the_table_do_not_overlap():
  choices = block.space(max_index=4).choices
  table = q_learning.table(choices, block.is_terminal)
  seen = collections.Counter()
  for t, width in enumerate(table.widths):
    rows = len(choices[t - 1]) if t else 1
    for p in range(rows):
      if not (t and table.ends[t - 1, p]):
        seen.update(range(table.starts[t, p], table.starts[t, p] + width))
  assert seen == collections.Counter(range(table.size))


def test_without_ends_every_row_is_one_of_choices():
  table = q_learning.table([(0, 1, 2), 'ab', (5,)], None)
  assert table.size == 3 + 3 * 2 + 2 * 1
  assert table.starts[:, :3].tolist() == [[0, 0, 0], [3, 5, 7], [9, 10, 0]]
  assert not table.ends.any()


class _Agent:
  """Q-learning as it is usually written, with a dict."""

  def __init__(self, space, shaping=True):
    self.choices, self.shaping = space.choices, shaping
    self.q, self.memory = {}, []

  def value(self, t, previous, action):
    return self.q.get((t, previous, action), 0.5)

  def best(self, t, previous):
    num = len(self.choices[t]) if t < len(self.choices) else 1
    return max(self.value(t, previous, a) for a in range(num))

  def learn(self, genome, reward):
    path = []
    for t, action in enumerate(genome):
      path.append(int(action))
      if block.is_terminal(self.choices[t][action]):
        break
    else:
      path.append(0)
    for t in reversed(range(len(path))):
      previous = path[t - 1] if t else None
      if t == len(path) - 1:
        target = reward
      else:
        target = self.best(t + 1, path[t])
        if self.shaping:
          target += reward / len(path)
      old = self.value(t, previous, path[t])
      self.q[t, previous, path[t]] = 0.99 * old + 0.01 * target

  def tell(self, key, genomes, rewards, num_updates, capacity):
    self.memory = (self.memory + list(zip(genomes, rewards)))[-capacity:]
    bits = np.asarray(jax.random.bits(key, (num_updates,))).tolist()
    draws = [b * len(self.memory) >> 32 for b in bits]
    for i in draws[:len(self.memory)]:
      self.learn(*self.memory[i])


@pytest.mark.parametrize('shaping', [True, False])
def test_equals_plain_q_learning_with_the_same_draws(shaping):
  """Nine rounds of 5 blocks, 12 updates each: the first rounds have fewer."""
  space, strategy = _blocks(
      max_index=5, batch_size=5, num_updates=12, shaping=shaping)
  evaluator = toy.block_depth(space, low=0.2, high=0.9, scale=2., noise=.1)
  agent = _Agent(space, shaping)
  state = strategy.init(_KEY)
  ask, tell = jax.jit(strategy.ask), jax.jit(strategy.tell)
  for key in jax.random.split(_KEY, 9):
    proposals = ask(key, state)
    evaluation, _ = evaluator.evaluate(key, (), proposals)
    state = tell(key, state, proposals, evaluation.rewards)
    agent.tell(key, np.asarray(proposals.genomes).tolist(),
               evaluation.rewards.tolist(), 12, 1000)
  table = q_learning.table(space.choices, block.is_terminal)
  assert len(agent.q) > 100
  for (t, previous, action), value in agent.q.items():
    found = state.q[table.starts[t, previous or 0] + action]
    assert math.isclose(found, value, rel_tol=2e-6)
  assert np.sum(state.q != 0.5) <= len(agent.q)


def test_memory_is_a_ring():
  """Six slots, four children a round: the oldest go."""
  space = discrete.space([range(100)])
  strategy = q_learning.q_learning(
      space, batch_size=4, num_updates=50, capacity=6, learning_rate=1.)
  state = strategy.init(_KEY)
  for r in range(3):
    genomes = 10 * r + np.arange(4)[:, None]
    state = _told(strategy, state, genomes, genomes[:, 0] / 100,
                  jax.random.key(r))
  assert state.count == 12
  assert state.genomes[:, 0].tolist() == [12, 13, 20, 21, 22, 23]
  np.testing.assert_allclose(state.rewards, state.genomes[:, 0] / 100)


def test_no_more_updates_than_children_in_memory():
  """One child of one step: a single update however many are asked for."""
  space = discrete.space([range(4)])
  strategy = q_learning.q_learning(space, batch_size=1, num_updates=64)
  state = _told(strategy, strategy.init(_KEY), [[2]], [1.])
  np.testing.assert_allclose(state.q[:4], [.5, .5, .505, .5], rtol=1e-6)
  # Then two, of the two in memory.
  state = _told(strategy, state, [[2]], [1.])
  np.testing.assert_allclose(
      state.q[2], 1 - .5 * .99**3, rtol=1e-6)


def test_draws_from_the_memory_are_uniform():
  """The weight of one draw among 200: 1 - 0.99^k after k updates."""
  space = discrete.space([range(200)])
  strategy = q_learning.q_learning(
      space, batch_size=200, num_updates=200, initial_q=0.)
  tell = jax.jit(jax.vmap(strategy.tell, (0, None, None, None)))
  state = tell(jax.random.split(_KEY, 400), strategy.init(_KEY),
               base.Proposals(jnp.arange(200)[:, None]), jnp.ones(200))
  times = np.round(np.log1p(-state.q[:, :200]) / np.log(0.99)).astype(int)
  assert (times.sum(1) == 200).all()
  # With replacement: many are missed, some come several times.
  np.testing.assert_allclose((times == 0).mean(), math.exp(-1), atol=0.01)
  np.testing.assert_allclose(times.mean(0), 1, atol=0.3)


def test_a_failed_child_is_one_to_avoid():
  space = discrete.space([range(3)])
  strategy = q_learning.q_learning(
      space, batch_size=3, num_updates=30, learning_rate=.5,
      epsilon_schedule=((1., 2), (0., 20)))
  evaluator = tabular.tabular(space, [np.nan, 0.6, 0.7], failed_reward=0.)
  state, history = search.scan(_KEY, strategy, evaluator, num_rounds=20)
  assert history.metrics['failed'].sum() > 0
  assert (history.genomes[-5:] == 2).all()
  assert state.strategy.q[0] < 0.5


def test_finds_the_best_of_all_blocks_of_a_small_space():
  space, strategy = _blocks(
      max_index=3, learning_rate=.1,
      epsilon_schedule=q_learning.scaled_schedule(60))
  size = discrete.size(space.choices)
  rewards = np.random.default_rng(0).uniform(0.3, 0.7, size)
  best = int(np.argmax(rewards))
  rewards[best] = 0.95
  state, history = search.scan(
      _KEY, strategy, tabular.tabular(space, rewards), num_rounds=60)
  assert state.best_reward == np.float32(0.95)
  # Greedy from the table alone.
  greedy = _blocks(max_index=3, capacity=64 * 60,
                   epsilon_schedule=((0., 1),))[1]
  genomes = np.asarray(greedy.ask(_KEY, state.strategy).genomes)
  assert (genomes == discrete.from_index(
      discrete.sizes_of(space.choices), best)).all()
  early, late = history.rewards[:20].mean(), history.rewards[-3:].mean()
  assert late > early + 0.2


def test_scaled_schedules():
  scaled, paper = q_learning.scaled_schedule, q_learning.PAPER_SCHEDULE
  assert scaled(178) == paper
  assert scaled(356) == tuple((e, 2 * n) for e, n in paper)
  assert scaled(10) == tuple((e, 1) for e, _ in paper)
  # 95 of 178 rounds explore; 53 of 100, which leaves 47.
  assert scaled(100) == (
      (1., 53), (.9, 4), (.8, 4), (.7, 4), (.6, 6), (.5, 5), (.4, 6), (.3, 6),
      (.2, 5), (.1, 7))
  for n in (11, 20, 33, 64, 177, 1000):
    assert sum(k for _, k in scaled(n)) == n
    assert [e for e, _ in scaled(n)] == [e for e, _ in paper]
  assert sum(k for _, k in scaled(4)) == 4 and scaled(4)[0] == (1., 2)
  assert scaled(1) == ((1., 1),)
  assert scaled(3, ((.5, 1), (0., 2))) == ((.5, 1), (0., 2))


@pytest.mark.parametrize('options, message', [
    ({'epsilon_schedule': ()}, r'epsilon_schedule must be pairs .*got \(\)'),
    ({'epsilon_schedule': ((1.1, 3),)}, r'got \(\(1.1, 3\),\)'),
    ({'epsilon_schedule': ((1., 0),)}, r'got \(\(1.0, 0\),\)'),
    ({'batch_size': 0}, 'batch_size 0 and num_updates 64 must be at least 1'),
    ({'num_updates': 0}, 'batch_size 64 and num_updates 0 must be at least 1'),
    ({'learning_rate': 0.}, r'learning_rate 0.0 is not in \(0, 1\]'),
    ({'discount': 1.5}, r'discount 1.5 is not in 0\.\.1'),
    ({'initial_q': math.nan}, 'initial_q must be finite, got nan'),
    ({'shaping_by': 'length'},
     "unknown shaping_by 'length', expected one of steps, maximum"),
    ({'capacity': 63}, r'capacity 63 is not in 64 \(batch_size\)\.\.65536'),
    ({'epsilon_schedule': ((1., 2000),)}, 'capacity 128000 is not in 64'),
    ({'is_end': lambda value: value == 2},
     'an architecture may end before position 1, which has no choice'),
])
def test_options_are_checked(options, message):
  space = discrete.space([range(3), range(2)])
  with pytest.raises(ValueError, match=message):
    q_learning.q_learning(space, **options)


def test_no_rounds_cannot_be_scheduled():
  with pytest.raises(ValueError, match='num_rounds must be at least 1, got 0'):
    q_learning.scaled_schedule(0)


def test_without_shaping_blocks_become_short():
  """Rewards of 0.5 to 0.7 that grow with the depth: all above the initial Q.

  The terminal action has the whole reward at once, so that the greedy policy
  of every seed ends at the first layer; with shaping it goes on.
  """
  space = block.space(max_index=5)
  evaluator = toy.block_depth(space, low=0.5, high=0.7, noise=0.01)
  lengths = {}
  for shaping in (True, False):
    strategy = q_learning.q_learning(
        space, is_end=block.is_terminal, shaping=shaping, learning_rate=.05,
        epsilon_schedule=((1., 20), (.1, 10)), batch_size=32, num_updates=32)
    # One seed after the other: the program compiles faster than a vmap.
    _, history = jax.lax.map(lambda key: search.scan(
        key, strategy, evaluator, num_rounds=30), jax.random.split(_KEY, 20))
    lengths[shaping] = np.asarray(
        block.num_layers(space.choices, history.genomes)).mean(-1)
  # The same children while all choices are random.
  np.testing.assert_array_equal(lengths[True][:, :20], lengths[False][:, :20])
  early = {shaping: found[:, 20:24].mean(1)
           for shaping, found in lengths.items()}
  # Measured: 3.97 of 4 layers against 1.24, longer in 20 of 20 seeds.
  assert early[True].min() > 3.5
  assert early[False].max() < 2
