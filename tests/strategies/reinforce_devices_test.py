"""Several devices are a matter of the process: one is started for all tests."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import parallel
from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.strategies import ppo
from nas_jax.strategies import reinforce
from tests.strategies import table_policy

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SIZES = (3, 3, 3)


@pytest.fixture(scope='module')
def on_four():
  """What `_main` found out on four devices."""
  flags = '--xla_force_host_platform_device_count=4'
  done = subprocess.run(
      [sys.executable, '-m', 'tests.strategies.reinforce_devices_test'],
      cwd=_ROOT, text=True, capture_output=True, timeout=300,
      env=os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'})
  assert done.returncode == 0, done.stderr[-3000:]
  return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize('how', ['scan', 'eager'])
def test_replicas_on_several_devices_learn_the_same(on_four, how):
  found = on_four[how]
  assert found['genomes'][0] == found['genomes'][1]
  assert found['moved'] > .1
  assert found['error'] < 1e-5


def test_the_gradients_are_spread_over_the_devices(on_four):
  assert on_four['devices'] == [0, 1, 2, 3]


@pytest.mark.parametrize('name', ['reinforce', 'ppo'])
def test_a_search_per_device_is_a_search(on_four, name):
  mapped, vmapped = on_four[name]
  assert mapped == vmapped
  assert len({str(rewards) for rewards in mapped}) == 4


def _replicas(how: str) -> dict:
  space = discrete.space([range(s) for s in _SIZES])
  evaluator = toy.number_of_ones(space)
  key = jax.random.key(3)
  genomes, params = [], []
  for map_replicas in (
      jax.vmap, functools.partial(parallel.pmap_rows, num_devices=4)):
    strategy = reinforce.reinforce(
        space, controller=table_policy.controller(_SIZES), batch_size=2,
        num_replicas=6, num_shards=2, learning_rate=.05,
        map_replicas=map_replicas)
    start = strategy.init(jax.random.key(0)).server.params
    if how == 'scan':
      state, history = jax.jit(lambda key: search.scan(
          key, strategy, evaluator, num_rounds=10))(key)
      genomes.append(history.genomes.tolist())
      params.append(np.asarray(state.strategy.server.params))
    else:
      state = strategy.init(jax.random.key(0))
      proposals = jax.jit(strategy.ask)(key, state)
      rewards = jnp.sum(proposals.genomes == 1, -1).astype(jnp.float32)
      genomes.append(proposals.genomes.tolist())
      params.append(np.asarray(
          strategy.tell(key, state, proposals, rewards).server.params))
  return {'genomes': genomes,
          'error': float(np.abs(params[0] - params[1]).max()),
          'moved': float(np.abs(params[0] - start).max())}


def _devices() -> list[int]:
  rows = parallel.pmap_rows(lambda x: 2 * x, num_devices=4)
  assert rows(jnp.arange(6.)).tolist() == [0, 2, 4, 6, 8, 10]
  return sorted(d.id for d in rows(jnp.arange(8.)).devices())


def _seeds(factory) -> list:
  space = discrete.space([range(s) for s in _SIZES])
  strategy = factory(
      space, controller=table_policy.controller(_SIZES), batch_size=4,
      learning_rate=.05)
  evaluator = toy.number_of_ones(space)
  run = lambda key: search.scan(
      key, strategy, evaluator, num_rounds=10)[1].rewards
  keys = jax.random.split(jax.random.key(0), 4)
  return [jax.pmap(run)(keys).tolist(), jax.jit(jax.vmap(run))(keys).tolist()]


if __name__ == '__main__':
  assert len(jax.devices()) == 4
  print(json.dumps({
      'scan': _replicas('scan'), 'eager': _replicas('eager'),
      'devices': _devices(), 'reinforce': _seeds(reinforce.reinforce),
      'ppo': _seeds(ppo.ppo)}))
