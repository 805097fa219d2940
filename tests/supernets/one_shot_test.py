import jax
import numpy as np
import pytest

from nas_jax.spaces import one_shot as spaces
from nas_jax.supernets import one_shot
from nas_jax.supernets import shared
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

_OPERATIONS = ('skip_connect', 'sep_conv_3x3', 'max_pool_3x3')
_TASK = steps.Task((4, 4, 1), (.5,), (.3,))
_RECIPE = recipes.Recipe(
    epochs=1, batch_size=8, eval_batch_size=4, crop_padding=0, flip=False,
    clip_norm=None, weight_decay=.5, decay_in_loss=True)
_PACE = optimizers.Pace(*map(np.float32, (.1, 0., 0.)))


@pytest.fixture(scope='module')
def family():
  return one_shot.family(
      _OPERATIONS, num_blocks=2, image_shape=(4, 4, 1), num_classes=3,
      features=2, num_cells=1)


@pytest.fixture(scope='module')
def batch():
  rng = np.random.default_rng(0)
  return (rng.integers(0, 256, (8, 4, 4, 1), np.uint8),
          rng.integers(0, 3, 8).astype(np.int32))


def test_probabilities_of_dropped_paths():
  np.testing.assert_allclose(
      one_shot.drop_probability(.05, np.arange(1, 8)),
      [.0500, .2236, .3684, .4729, .5493, .6070, .6518], atol=5e-5)


def test_all_paths_into_an_operation_are_dropped_at_the_rate():
  draw = jax.jit(jax.vmap(lambda k: one_shot.drop_paths(k, .05, 4, 7)))
  paths = draw(jax.random.split(jax.random.key(0), 100_000))
  for masks in paths:
    none_left = 1 - np.asarray(masks).any(-1).mean(0)
    np.testing.assert_allclose(none_left, .05, atol=.002 + 5e-4)
  # One path of k is left with probability 1 - r^(1/k), apart from the others.
  np.testing.assert_allclose(
      np.asarray(paths.inputs).mean(0)[[0, 3], [0, 4]], [1 - .2236, 1 - .5493],
      atol=.005)
  operations = np.asarray(paths.operations)[:, 0]
  np.testing.assert_allclose(np.corrcoef(operations.T), np.eye(7), atol=.015)


def test_ghost_batches_have_paths_of_their_own_and_the_rate_grows():
  choose = one_shot.path_dropout(rate=.05, num_ghosts=8)
  everything = spaces.all_paths()
  assert choose(jax.random.key(0), 0.) == [everything] * 8
  late = choose(jax.random.key(0), 1.)
  assert len(set(late)) == 8 and choose(jax.random.key(0), 1.) == late
  count = lambda chosen: sum(len(part) for g in chosen for part in g)
  early = choose(jax.random.key(0), .02)
  assert count(late) < count(early) < count([everything] * 8)


def test_weights_of_dropped_paths_stay_and_penalties_are_shared(family, batch):
  """The penalty of a ghost batch is of the paths that it uses."""
  used_once = ((0,), ('sep_conv_3x3',), (1,), ('max_pool_3x3',))
  other = ((0,), ('max_pool_3x3',), (1,), ('max_pool_3x3',))
  state = shared.make(family, _RECIPE, _TASK).init(jax.random.key(0))
  after = {}
  for decay in (0., .5):
    weights = shared.make(family, recipes.override(
        _RECIPE, recipes.Overrides(weight_decay=decay)), _TASK)
    after[decay], _ = weights.step(
        state, [used_once, other], *batch, jax.random.key(1), _PACE)

  def shrunk(name):
    """By how much the penalty moved the weights, per learning rate."""
    return [np.asarray((a - b) / .1) for a, b in zip(
        *(jax.tree.leaves(after[d].params[name]) for d in (0., .5)))]

  params = lambda name: jax.tree.leaves(state.params[name])
  for name, share in (('stem', .5), ('cell0_block0_sep_conv_3x3', .25),
                      ('cell0_block1_input1', .5)):
    for found, weight in zip(shrunk(name), params(name)):
      np.testing.assert_allclose(found, share * weight, atol=2e-5)
  # What no part uses: exactly nothing, with momentum and penalty.
  for name in ('cell0_block0_input1', 'cell0_block1_sep_conv_3x3'):
    assert all((x == y).all() for x, y in zip(
        jax.tree.leaves(after[.5].params[name]), params(name)))
    assert not any(np.any(x) for x in jax.tree.leaves(
        after[.5].optimizer[name].momentum))


def test_a_step_at_rate_0_uses_everything(family, batch):
  choose = one_shot.path_dropout(_OPERATIONS, num_blocks=2, num_ghosts=2)
  weights = shared.make(family, _RECIPE, _TASK)
  state = weights.init(jax.random.key(0))
  after, metrics = weights.step(
      state, choose(jax.random.key(2), 0.), *batch, jax.random.key(1), _PACE)
  assert np.isfinite(float(metrics.loss))
  for name, tree in state.params.items():
    assert not tree or any(
        (x != y).any() for x, y in zip(
            jax.tree.leaves(tree), jax.tree.leaves(after.params[name])))


def test_divergence_adds_both_directions():
  p, q = np.log([[.5, .5]]), np.log([[.25, .75]])
  expected = (.25 * np.log(2)) + (-.25) * np.log(.5 / .75)
  assert float(one_shot.divergence(p, q)) == pytest.approx(expected, rel=1e-5)
  assert float(one_shot.divergence(p + 3., p)) == pytest.approx(0., abs=1e-7)


def test_an_architecture_does_not_diverge_from_itself(family, batch):
  weights = shared.make(family, _RECIPE, _TASK)
  state = weights.init(jax.random.key(0))
  reference = spaces.all_paths(_OPERATIONS, 2)
  run = one_shot.divergence_from(weights, state, reference, batch[0])
  assert run(reference) == 0.
  assert run(((0,), ('skip_connect',), (1,), ('max_pool_3x3',))) > 1e-3


@pytest.mark.parametrize('options, message', [
    (dict(rate=1.), r'rate is 1.0, expected a number in \[0, 1\)'),
    (dict(num_ghosts=0), 'num_ghosts is 0, expected at least 1')])
def test_bad_numbers(options, message):
  with pytest.raises(ValueError, match=message):
    one_shot.path_dropout(**options)
