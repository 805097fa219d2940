import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.supernets import relax

_KEY = jax.random.key(0)
_SHAPES = {'normal': (5, 3), 'reduce': (5, 3)}


def _weights(**rows):
  return {kind: jnp.asarray(x, jnp.float32) for kind, x in rows.items()}


def test_edges_make_up_nodes():
  assert relax.node_sizes('normal', 14) == (2, 3, 4, 5)
  assert relax.node_sizes('cell', 6) == (1, 2, 3)
  with pytest.raises(ValueError, match="6 edges of kind 'normal' do not make"):
    relax.node_sizes('normal', 6)
  with pytest.raises(ValueError, match='0 edges'):
    relax.node_sizes('normal', 0)


def test_alphas_start_near_their_mean():
  alphas = relax.init(_KEY, _SHAPES)
  assert {k: x.shape for k, x in alphas.items()} == _SHAPES
  assert 0 < np.abs(alphas['normal']).max() < 5e-3
  assert (alphas['normal'] != alphas['reduce']).all()
  zero = relax.init(_KEY, _SHAPES, scale=0.)
  assert not np.any(zero['reduce'])
  assert relax.init(_KEY, {'cell': (6, 5)}, mean=1., scale=.01)[
      'cell'] == pytest.approx(1, abs=.05)


def test_gates_have_what_the_network_needs():
  weights = _weights(normal=np.ones((5, 3)), edges_normal=np.arange(5),
                     reduce=np.ones((2, 3)))
  gates = relax.gates(weights, auxiliary_skip=.5, drop_path=.25)
  assert sorted(gates) == [
      'edges_normal', 'edges_reduce', 'knobs', 'normal', 'reduce']
  assert gates['edges_normal'].tolist() == [0, 1, 2, 3, 4]
  assert gates['edges_reduce'].tolist() == [1, 1]
  assert gates['knobs'].tolist() == [.5, 0, .25]


def test_softmax_of_zeros_is_the_mean_of_all_candidates():
  assert (relax.softmax(_weights(normal=np.zeros((14, 8))))['normal']
          == 1 / 8).all()


def test_softmax_of_edges_is_over_the_edges_of_a_node():
  found = relax.softmax(_weights(
      normal=np.zeros((5, 2)), edges_normal=np.log([1, 3, 1, 1, 2])))
  assert found['edges_normal'].tolist() == pytest.approx(
      [.25, .75, .25, .25, .5])
  found = relax.softmax(_weights(edges_cell=np.log([7, 1, 3, 1, 1, 2])))
  assert found['edges_cell'].tolist() == pytest.approx(
      [1, .25, .75, .25, .25, .5])


def test_sigmoid():
  found = relax.sigmoid(_weights(normal=[[0., np.log(3)]]))
  assert found['normal'][0].tolist() == pytest.approx([.5, .75])


def test_gumbel_is_one_hot_with_the_gradient_of_the_soft_choice():
  alphas = _weights(normal=[[.3, -.2, .5], [0, 1, 2]])
  found = relax.gumbel(_KEY, alphas, temperature=10.)['normal']
  assert np.array_equal(np.sort(found, -1), [[0, 0, 1], [0, 0, 1]])
  target = jnp.asarray([[1., 2., 3.], [-1., 0., 4.]])

  def gradient(relaxation):
    return jax.grad(lambda a: (target * relaxation(
        _KEY, a, temperature=10.)['normal']).sum())(alphas)['normal']

  # Log softmax shifts a row: the same soft choice as the concrete one.
  np.testing.assert_allclose(
      gradient(relax.gumbel), gradient(relax.concrete), atol=1e-6)
  assert np.abs(gradient(relax.gumbel)).min() > 1e-4
  assert relax.chosen({'normal': found})['normal'].tolist() == np.argmax(
      found, -1).tolist()


def test_gumbel_chooses_as_often_as_softmax_says_at_any_temperature():
  alphas = _weights(normal=np.log([[.5, .3, .2]]))
  keys = jax.random.split(_KEY, 10_000)
  for temperature in (10., .1):
    mean = jax.vmap(lambda key: relax.gumbel(
        key, alphas, temperature=temperature)['normal'])(keys).mean(0)
    np.testing.assert_allclose(mean, [[.5, .3, .2]], atol=.015)


def test_concrete_is_one_hot_at_low_temperature():
  alphas = relax.init(_KEY, {'normal': (14, 8)})
  soft = relax.concrete(_KEY, alphas, temperature=1.)['normal']
  np.testing.assert_allclose(soft.sum(-1), 1, rtol=1e-5)
  assert soft.max() < .99
  hard = relax.concrete(_KEY, alphas, temperature=1e-4)['normal']
  assert np.sort(hard, -1)[:, -1] == pytest.approx(1)
  assert hard.argmax(-1).tolist() == soft.argmax(-1).tolist()


def test_one_path_has_two_candidates_per_node():
  shapes = {'normal': (14, 8), 'cell': (6, 5)}
  found = jax.vmap(lambda key: relax.one_path(key, shapes))(
      jax.random.split(_KEY, 500))
  assert set(np.unique(found['normal'])) == {0, 1}
  used = np.asarray(found['normal'].sum(-1))  # [500, 14]
  for start, size in ((0, 2), (2, 3), (5, 4), (9, 5)):
    assert (used[:, start:start + size].sum(-1) == 2).all()
    assert used[:, start:start + size].mean(0) == pytest.approx(
        2 / size, abs=.1)
  # All candidates, the first ('none') too, are equally likely.
  assert found['normal'].sum((0, 1)) == pytest.approx(500, abs=80)
  assert (found['cell'].sum(-1) == 1).all()


def test_renormalised_rows():
  found = relax.renormalise(_weights(
      normal=[[.5, 1.5, -1], [-.2, -.1, -.3], [.2, .3, .5]],
      edges_normal=[3, 4, 5]))
  np.testing.assert_allclose(
      found['normal'], [[1 / 3, 2 / 3, 0], [0, 1, 0], [.2, .3, .5]], rtol=1e-6)
  assert found['edges_normal'].tolist() == [3, 4, 5]


def test_random_perturbation_stays_within_epsilon_before_renormalising():
  weights = _weights(normal=np.full((1000, 2), .5), edges_normal=np.ones(1000))
  found = relax.perturb(_KEY, weights, epsilon=.3)
  rows = np.asarray(found['normal'])
  np.testing.assert_allclose(rows.sum(-1), 1, rtol=1e-5)
  # At most (.5 + .3) / (.5 + .3 + .5 - .3).
  assert .7 < rows.max() <= .8 and .2 <= rows.min() < .3
  assert found['edges_normal'] is weights['edges_normal']
  again = relax.perturb(_KEY, weights, epsilon=0.)
  np.testing.assert_allclose(again['normal'], weights['normal'])


def test_attack_climbs_the_loss_within_epsilon():
  weights = _weights(normal=[[.4, .3, .3]])
  slope = jnp.asarray([[1., -1., 0.]])

  def value(w):
    return (slope * w['normal']).sum()

  found = relax.attack(_KEY, weights, value, jax.grad(value), epsilon=.1,
                       num_steps=7)
  # The last step is at (.5, .2, c) before renormalising, c within .1 of .3.
  row = np.asarray(found['normal'][0])
  assert row[0] / row[1] == pytest.approx(2.5)
  assert value(found) > value(weights)


def test_an_attack_that_lowers_the_loss_is_discarded():
  weights = _weights(normal=[[.4, .3, .3]])

  def value(w):
    return (w['normal'] * jnp.asarray([1., 0, 0])).sum()

  found = relax.attack(
      _KEY, weights, value, lambda w: {'normal': -jax.grad(value)(w)['normal']},
      epsilon=.1)
  assert np.array_equal(found['normal'], weights['normal'])


def test_a_step_of_the_attack():
  start = _weights(normal=[[.25, .25, .5]])
  found = relax.attack_step(
      start, start, _weights(normal=[[3., -.1, 0.]]), epsilon=.07, num_steps=7)
  # Steps of 2 * .07 / 7 = .02; the row still sums to 1.
  np.testing.assert_allclose(found['normal'], [[.27, .23, .5]], rtol=1e-6)
