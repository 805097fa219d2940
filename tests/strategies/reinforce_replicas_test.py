"""Replicas on stale parameters and a server in shards."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax import base
from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.strategies import policy_server
from nas_jax.strategies import reinforce
from tests.strategies import table_policy

SIZES = (3, 3, 3)  # 27 parameters
SPACE = discrete.space([range(s) for s in SIZES])
CONTROLLER = table_policy.controller(SIZES)


def _strategy(**kwargs):
  strategy = reinforce.reinforce(
      SPACE, **{'controller': CONTROLLER, 'batch_size': 1, **kwargs})
  return base.Strategy(*map(jax.jit, strategy[:3]))


def _reward(genomes):
  return np.float32(np.asarray(genomes) @ [.3, -.2, .5] + .1)


def _params(state):
  return np.asarray(state.server.params).reshape(-1)[:27]


def _numpy_gradient(flat, genome, advantage):
  """Of -log P(genome) times the advantage."""
  logits = flat.reshape(3, 3, 3)
  gradient = np.zeros_like(logits)
  before = 0
  for t, choice in enumerate(genome):
    p = np.exp(logits[t, before]) / np.exp(logits[t, before]).sum()
    p[choice] -= 1
    gradient[t, before] = p * advantage
    before = choice
  return gradient.ravel()


class _Adam:
  """Of one shard, after the paper."""

  def __init__(self, params, lr):
    self.params, self.lr, self.t = params, lr, 0
    self.m = self.v = 0.

  def update(self, g):
    self.t += 1
    self.m = .9 * self.m + .1 * g
    self.v = .999 * self.v + .001 * g * g
    m, v = self.m / (1 - .9 ** self.t), self.v / (1 - .999 ** self.t)
    self.params = self.params - self.lr * m / (np.sqrt(v) + 1e-8)


def test_three_replicas_and_two_shards_by_hand():
  strategy = _strategy(
      num_replicas=3, num_shards=2, learning_rate=.1, baseline_decay=.8)
  state = strategy.init(jax.random.key(0))
  start = _params(state).astype(np.float64)
  # Two shards of 14 and 13 parameters.
  shards = [_Adam(start[:14], .1), _Adam(start[14:], .1)]
  copies = [start] * 3
  baseline, different = None, 0
  for i in range(5):
    key = jax.random.key(100 + i)
    proposals = strategy.ask(jax.random.key(i), state)
    genomes, rewards = proposals.genomes.tolist(), _reward(proposals.genomes)
    orders = np.argsort(jax.random.bits(key, (2, 3))).tolist()
    different += orders[0] != orders[1]
    gradients = {}
    for r in orders[0]:
      baseline = rewards[r] if baseline is None else (
          .8 * baseline + .2 * rewards[r])
      gradients[r] = _numpy_gradient(
          copies[r], genomes[r], rewards[r] - baseline)
    for first, second in zip(*orders):
      shards[0].update(gradients[first][:14])
      shards[1].update(gradients[second][14:])
      copies[first] = np.concatenate([s.params for s in shards])
    state = strategy.tell(key, state, proposals, jnp.asarray(rewards))
    np.testing.assert_allclose(
        _params(state), np.concatenate([s.params for s in shards]), atol=2e-5)
    held = np.asarray(state.replicas).reshape(3, -1)[:, :27]
    np.testing.assert_allclose(held, copies, atol=2e-5)
    assert float(state.baseline.value) == pytest.approx(baseline, abs=1e-6)
  assert different >= 2
  assert np.abs(_params(state) - start).max() > .1


def test_replicas_hold_stale_parameters():
  strategy = _strategy(num_replicas=4, batch_size=8, learning_rate=.3)
  state = strategy.init(jax.random.key(0))
  for i in range(3):
    proposals = strategy.ask(jax.random.key(i), state)
    state = strategy.tell(
        jax.random.key(i), state, proposals, _reward(proposals.genomes))
  order = np.argsort(jax.random.bits(jax.random.key(2), (1, 4)))[0]
  behind = np.abs(state.replicas - state.server.params).max((1, 2))[order]
  # The later a replica finished, the less it has missed; the last, nothing.
  assert behind[0] > behind[1] > behind[2] > behind[3] == 0
  # They sample from what they hold.
  sampled = strategy.ask(jax.random.key(9), state).genomes.reshape(4, 8, 3)
  keys = jax.random.split(jax.random.key(9), 32).reshape(4, 8)
  for r in range(4):
    own = {'logits': state.replicas[r].reshape(3, 3, 3)}
    expected = [CONTROLLER.sample(own, k)[0].tolist() for k in keys[r]]
    assert sampled[r].tolist() == expected


@pytest.mark.parametrize('num_shards', [1, 4])
def test_one_replica_is_the_synchronous_algorithm(num_shards):
  strategy = _strategy(
      batch_size=4, num_shards=num_shards, learning_rate=.05)
  state = strategy.init(jax.random.key(0))
  params = CONTROLLER.init(jax.random.key(0))
  adam = optax.adam(.05)
  memory = adam.init(params)
  baseline = None

  @jax.jit
  def gradient(params, genomes, advantages):
    return jax.grad(lambda params: -jnp.mean(advantages * jnp.sum(
        jax.vmap(CONTROLLER.score, (None, 0))(params, genomes).log_probs,
        -1)))(params)

  sample = jax.jit(lambda params, key: jax.vmap(
      lambda k: CONTROLLER.sample(params, k)[0])(jax.random.split(key, 4)))
  for i in range(12):
    proposals = strategy.ask(jax.random.key(i), state)
    genomes = sample(params, jax.random.key(i))
    assert proposals.genomes.tolist() == genomes.tolist()
    rewards = _reward(genomes)
    state = strategy.tell(
        jax.random.key(50 + i), state, proposals, jnp.asarray(rewards))
    mean = rewards.mean()
    baseline = mean if baseline is None else .95 * baseline + .05 * mean
    updates, memory = adam.update(
        gradient(params, genomes, rewards - baseline), memory)
    params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(
        _params(state), np.ravel(params['logits']), atol=1e-5)


def _rounds(strategy, num_rounds):
  """The parameters after every round, and the last state."""
  state = strategy.init(jax.random.key(0))
  history = [_params(state)]
  for i in range(num_rounds):
    proposals = strategy.ask(jax.random.key(i), state)
    state = strategy.tell(
        jax.random.key(50 + i), state, proposals,
        jnp.asarray(_reward(proposals.genomes)))
    history.append(_params(state))
  return np.array(history), state


def test_the_server_waits_for_ten_gradients():
  options = dict(optimizer=optax.sgd, learning_rate=1., baseline_decay=None)
  waiting = _strategy(accumulate=10, **options)
  history, state = _rounds(waiting, 25)
  moved = np.flatnonzero(np.abs(np.diff(history, axis=0)).max(1)) + 1
  assert moved.tolist() == [10, 20]
  assert state.server.pending.tolist() == [5]
  # The first update is the mean of ten steps from the same parameters.
  at_once = _strategy(**options)
  start = at_once.init(jax.random.key(0))
  steps = []
  for i in range(10):
    proposals = at_once.ask(jax.random.key(i), start)
    steps.append(_params(at_once.tell(
        jax.random.key(0), start, proposals,
        jnp.asarray(_reward(proposals.genomes)))) - history[0])
  np.testing.assert_allclose(
      history[10] - history[0], np.mean(steps, 0), atol=1e-6)
  assert np.abs(history[10] - history[0]).max() > .01


def test_ten_gradients_of_four_replicas():
  history, state = _rounds(
      _strategy(num_replicas=4, num_shards=3, accumulate=10), 6)
  # 4, 8, 12 gradients: the tenth comes in the third round.
  moved = np.flatnonzero(np.abs(np.diff(history, axis=0)).max(1)) + 1
  assert moved.tolist() == [3, 5]
  assert state.server.pending.tolist() == [4, 4, 4]


def test_a_replica_of_failed_children_sends_nothing():
  strategy = _strategy(num_replicas=2, batch_size=2, failed_reward=-1.)
  alone = _strategy(batch_size=2)
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(jax.random.key(1), state)
  after = strategy.tell(
      jax.random.key(2), state, proposals,
      jnp.float32([-1, float('nan'), .4, .8]))
  expected = alone.tell(
      jax.random.key(2), alone.init(jax.random.key(0)),
      base.Proposals(proposals.genomes[2:], reinforce.Sampled(jnp.zeros(2))),
      jnp.float32([.4, .8]))
  assert np.abs(_params(after) - _params(state)).max() > 1e-4
  np.testing.assert_allclose(_params(after), _params(expected), atol=1e-7)
  assert int(after.baseline.count) == 1
  assert after.server.optimizer[0].count.tolist() == [1]


def test_a_shard_keeps_what_was_not_sent():
  server = policy_server.server(
      optax.sgd(1.), num_params=5, num_shards=2, accumulate=2)
  shards = server.init(server.cut(jnp.arange(5.)))
  assert shards.params.tolist() == [[0, 1, 2], [3, 4, 0]]
  assert server.join(shards.params).tolist() == [0, 1, 2, 3, 4]
  gradients = jnp.ones((2, 3))
  shards = server.receive(shards, gradients, jnp.array([True, False]))
  shards = server.receive(shards, 3 * gradients, jnp.array([True, True]))
  assert shards.params.tolist() == [[-2, -1, 0], [3, 4, 0]]
  assert shards.gradient.tolist() == [[0, 0, 0], [3, 3, 3]]
  assert shards.pending.tolist() == [0, 1]


def test_replicas_learn():
  evaluator = toy.number_of_ones(SPACE)
  strategy = reinforce.reinforce(
      SPACE, controller=CONTROLLER, batch_size=2, num_replicas=5,
      num_shards=2, learning_rate=.05)
  _, history = jax.jit(jax.vmap(lambda key: search.scan(
      key, strategy, evaluator, num_rounds=80, rewards_only=True)))(
          jax.random.split(jax.random.key(0), 20))
  assert history.rewards.shape == (20, 80, 10)
  assert history.rewards[:, :8].mean() < 1.5
  assert history.rewards[:, -8:].mean() > 2.7  # of 3
