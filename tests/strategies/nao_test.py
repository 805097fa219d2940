import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import nao as nao_space
from nas_jax.strategies import nao

_OPTIONS = dict(
    settings='pytorch_v1', num_initial=8, num_seeds=3, num_new=4, epochs=2,
    hidden_size=8, layers=(6,))


def _space():
  return discrete.space([range(5)] * 4)


def _told(strategy, rewards):
  """The state after some rounds, and all children in turn."""
  state, children = strategy.init(jax.random.key(0)), []
  for i, found in enumerate(rewards):
    asked = strategy.ask(jax.random.key(i), state)
    children.append(np.asarray(asked.genomes))
    state = strategy.tell(jax.random.key(100 + i), state, asked,
                          jnp.asarray(found, jnp.float32))
  return state, np.concatenate(children)


def test_iterations_try_only_what_is_new():
  strategy = nao.nao(_space(), batch_size=4, capacity=40, **_OPTIONS)
  state, children = _told(
      strategy, np.random.default_rng(0).random((6, 4)))
  assert len(np.unique(children, axis=0)) == 24
  assert int(state.iteration) == 5 and int(state.count) == 24
  assert (state.genomes[:24] == children).all()


def test_the_first_children_are_random_and_differ():
  state = nao.nao(_space(), **_OPTIONS).init(jax.random.key(1))
  assert len(np.unique(state.queue[:8], axis=0)) == 8
  assert int(state.queue_size) == 8 and int(state.iteration) == 0


def test_new_ones_replace_the_worst_of_a_full_pool():
  strategy = nao.nao(_space(), batch_size=4, capacity=10, **_OPTIONS)
  rewards = np.array([[.5, .1, .9, .2], [.4, .3, .8, .7]])
  state, children = _told(strategy, rewards)
  assert int(state.count) == 6  # room for four
  np.testing.assert_allclose(state.rewards[:6], [.5, .9, .4, .3, .8, .7])
  assert (state.genomes[:6] == children[[0, 2, 4, 5, 6, 7]]).all()
  state, more = _told(strategy, [*rewards, [0., 0., 0., 0.]])
  assert int(state.count) == 6
  np.testing.assert_allclose(state.rewards[:6], [.5, .9, .4, .3, .8, .7])
  assert len(more) == 12


def test_children_that_repeat_in_a_round_count_once():
  strategy = nao.nao(_space(), batch_size=3, **_OPTIONS)
  state, children = _told(strategy, np.arange(9).reshape(3, 3) / 9)
  assert (children[8] == children[0]).all()
  assert int(state.count) == 8 and int(state.iteration) == 1


def test_a_space_that_is_used_up_is_tried_again():
  space = discrete.space([range(3), range(2)])
  strategy = nao.nao(space, batch_size=2, **_OPTIONS | dict(num_initial=6))
  state, children = _told(strategy, np.ones((6, 2)))
  assert len(np.unique(children[:6], axis=0)) == 6
  assert bool(discrete.is_legal(space.choices, children).all())
  assert int(state.iteration) == 4


def test_random_architectures_beside_the_moved_ones():
  strategy = nao.nao(_space(), batch_size=4, num_random=2, **_OPTIONS)
  state, _ = _told(strategy, np.random.default_rng(0).random((2, 4)))
  assert 2 <= int(state.queue_size) <= 6


def test_both_token_codes_of_cells():
  space = nao_space.space(num_nodes=1)
  for code, settings in ((nao_space.long_code, 'nao'),
                         (nao_space.short_code, 'pytorch_v2')):
    strategy = nao.nao(
        space, code=code(space), settings=settings, num_initial=3,
        num_seeds=2, num_new=2, epochs=1, hidden_size=4)
    state, _ = _told(strategy, [[.1], [.2], [.3]])
    assert int(state.iteration) == 1
    assert bool(discrete.is_legal(
        space.choices, state.queue[:int(state.queue_size)]).all())


def test_published_sizes_are_the_defaults():
  state = nao.nao(discrete.space([range(9)] * 4)).init(jax.random.key(0))
  assert state.genomes.shape == (600 + 3 * 300, 4)
  assert state.queue.shape == (600, 4)


@pytest.mark.parametrize('options, message', [
    (dict(num_initial=0), 'num_initial must be at least 1, got 0'),
    (dict(num_seeds=0), 'num_seeds must be at least 1, got 0'),
    (dict(capacity=7), 'capacity 7 is less than the 8 architectures'),
    (dict(settings='v3'), "unknown settings 'v3'"),
    (dict(num_random=-1), 'num_random must be at least 0, got -1'),
])
def test_bad_arguments(options, message):
  with pytest.raises(ValueError, match=message):
    nao.nao(_space(), **_OPTIONS | options)


def test_a_code_of_another_space():
  other = nao_space.space(num_nodes=1)
  with pytest.raises(ValueError, match='the code is of 8 positions, the space'):
    nao.nao(_space(), code=nao_space.short_code(other), **_OPTIONS)
