import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.spaces import genotypes
from nas_jax.supernets import perturbation

_KEY = jax.random.key(0)
_NAMES = ('skip_connect', 'sep_conv_3x3', 'max_pool_3x3')
_CANDIDATES = {'normal': [_NAMES] * 5, 'reduce': [_NAMES] * 5}
# What each candidate is worth to the network.
_WORTH = {
    'normal': np.array([[.1, .3, .2], [.2, .3, .1], [.9, .1, .1], [.1, .8, .1],
                        [.2, .1, .3]]),
    'reduce': np.array([[.1, .2, .3]] * 2 + [[.1, .2, .3], [.1, .2, .4],
                                             [.5, .1, .1]])}
_UNIFORM = {kind: jnp.full((5, 3), 1 / 3) for kind in _WORTH}


def _accuracy(weights):
  return sum(float((weights[kind] * _WORTH[kind]).sum()) for kind in _WORTH)


def _run(**kwargs):
  settings = dict(weights=lambda state: _UNIFORM,
                  accuracy=lambda state, weights: _accuracy(weights),
                  tune=lambda key, state, selection: state + 1)
  return perturbation.run(
      _KEY, 0, perturbation.init(_UNIFORM), **(settings | kwargs))


def test_the_space_of_darts_takes_14_rounds_for_edges_and_3_for_nodes():
  weights = {kind: jnp.zeros((14, 8)) for kind in _WORTH}
  selection = perturbation.init(weights)
  assert perturbation.rounds_left(selection) == 17
  assert selection.nodes['normal'].tolist() == [True, False, False, False]
  cell = perturbation.init({'cell': jnp.zeros((6, 5))})
  assert perturbation.rounds_left(cell) == 6


def test_the_most_missed_operations_and_edges_are_kept():
  tuned, selection = _run()
  # 5 rounds for edges and 1 for nodes, tuned between them.
  assert tuned == 5
  assert perturbation.rounds_left(selection) == 0
  assert selection.operations['normal'].tolist() == [1, 1, 0, 1, 2]
  assert selection.edges['normal'].tolist() == [True, True, True, True, False]
  assert selection.edges['reduce'].tolist() == [True, True, False, True, True]
  s, c, p = _NAMES
  assert perturbation.genotype(selection, _CANDIDATES) == genotypes.Genotype(
      ((c, 0), (c, 1), (s, 0), (c, 1)), (2, 3),
      ((p, 0), (p, 1), (p, 1), (s, 2)), (2, 3))


def test_magnitude_of_the_weights_does_not_decide():
  weights = {kind: jnp.asarray([[.6, .2, .2]] * 5) for kind in _WORTH}
  even = {kind: np.asarray([[.1, .7, .2]] * 5) for kind in _WORTH}

  def accuracy(state, w):
    return sum(float((w[kind] * even[kind]).sum()) for kind in w)

  _, selection = _run(weights=lambda state: weights, accuracy=accuracy)
  # .2 * .7 is more than .6 * .1, though the first weight is the largest.
  assert selection.operations['normal'].tolist() == [1] * 5


def test_decided_operations_are_one_and_removed_edges_zero():
  selection = perturbation.init(_UNIFORM)
  selection = selection._replace(
      operations=selection.operations | {
          'normal': jnp.asarray([-1, 2, 0, -1, 1])},
      edges=selection.edges | {
          'normal': jnp.asarray([True, True, True, True, False])})
  found = perturbation.apply(_UNIFORM | {'edges_normal': jnp.ones(5)},
                             selection)
  third = np.float32(1 / 3)
  assert found['normal'].tolist() == [
      [third] * 3, [0, 0, 1], [1, 0, 0], [third] * 3, [0] * 3]
  assert np.array_equal(found['reduce'], _UNIFORM['reduce'])
  assert found['edges_normal'].tolist() == [1] * 5


def test_a_masked_operation_is_not_made_up_for():
  seen = []

  def accuracy(weights):
    seen.append({kind: np.asarray(x) for kind, x in weights.items()})
    return 0.

  selection = perturbation.select(
      _KEY, perturbation.init(_UNIFORM), _UNIFORM, accuracy)
  assert len(seen) == 6  # Three candidates of an edge of each kind.
  edge, = np.flatnonzero(selection.operations['normal'] >= 0)
  assert seen[1]['normal'][edge].tolist() == [
      np.float32(1 / 3), 0, np.float32(1 / 3)]
  # Ties: the first. The reduction cell is judged beside it.
  assert selection.operations['normal'][edge] == 0
  assert seen[3]['normal'][edge].tolist() == [1, 0, 0]
  assert (seen[0]['reduce'] == np.float32(1 / 3)).all()


def test_a_resumed_selection_goes_on_as_the_uninterrupted_one():
  states = []
  _, whole = _run(on_round=lambda left, state, found: states.append(
      (left, found)))
  assert [left for left, _ in states] == [5, 4, 3, 2, 1, 0]
  _, resumed = perturbation.run(
      _KEY, 2, states[1][1], weights=lambda state: _UNIFORM,
      accuracy=lambda state, weights: _accuracy(weights),
      tune=lambda key, state, selection: state)
  assert jax.tree.all(jax.tree.map(np.array_equal, whole, resumed))
  orders = [np.flatnonzero(s.operations['normal'] >= 0) for _, s in states[:4]]
  assert [len(order) for order in orders] == [1, 2, 3, 4]
  with pytest.raises(ValueError, match='4 rounds of the selection are left'):
    perturbation.genotype(states[1][1], _CANDIDATES)


def test_a_cell_of_nasbench201_keeps_all_edges():
  names = ('none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3',
           'avg_pool_3x3')
  worth = np.eye(5)[[0, 3, 3, 1, 2, 4]]
  _, selection = perturbation.run(
      _KEY, 0, perturbation.init({'cell': jnp.ones((6, 5))}),
      weights=lambda state: {'cell': jnp.ones((6, 5))},
      accuracy=lambda state, w: float((w['cell'] * worth).sum()),
      tune=lambda key, state, selection: state)
  assert perturbation.genotype(selection, {'cell': [names] * 6}) == (
      'none', 'nor_conv_3x3', 'nor_conv_3x3', 'skip_connect', 'nor_conv_1x1',
      'avg_pool_3x3')


def test_tuning_starts_at_a_tenth_of_the_learning_rate():
  assert perturbation.tuning_rate(0) == pytest.approx(.0025)
  assert perturbation.tuning_rate(81) == pytest.approx(.001)
  assert perturbation.tuning_rate(80) == pytest.approx(.001, abs=1e-6)
