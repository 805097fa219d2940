import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.supernets import darts
from nas_jax.supernets import methods
from nas_jax.training import recipes

_CANDIDATES = ('none', 'max_pool_3x3', 'skip_connect', 'sep_conv_3x3')
_SPEC = darts.uniform(_CANDIDATES)
_ALL = {kind: getattr(_SPEC, kind) for kind in darts.KINDS}


def _alphas(method, scale=1.):
  shapes = methods.shapes(darts.gate_shapes(_SPEC), method.edges)
  return {name: scale * jax.random.normal(jax.random.key(i), shape)
          for i, (name, shape) in enumerate(sorted(shapes.items()))}


@pytest.mark.parametrize('name', methods.METHODS)
def test_every_method_weighs_candidates_and_derives_cells(name):
  method = methods.METHODS[name]
  recipes.load(method.recipe)
  context = methods.Context(epochs=10, threshold=.1)
  relaxation = method.relaxation(context)
  alphas = _alphas(method)
  values = {k: np.float32(v) for k, v in relaxation.values(3).items()}
  weights = relaxation.weights(jax.random.key(0), alphas, values)
  if relaxation.perturb:
    weights = relaxation.perturb(jax.random.key(1), weights, values)
  assert set(weights) == set(alphas)
  for kind in darts.KINDS:
    assert weights[kind].shape == (14, 4)
    if method.relaxation is not methods.sigmoid:
      np.testing.assert_allclose(weights[kind].sum(-1), 1., rtol=1e-5)
  assert ('edges_normal' in alphas) == (name == 'pc_darts')
  genotype = method.derive(alphas, _ALL, context)
  assert {edge[0] for edge in genotype.normal + genotype.reduce} <= set(
      _CANDIDATES[1:] if name != 'snas' else _CANDIDATES)
  shown = methods.shown(method, alphas)
  assert {k: v.shape for k, v in shown.items()} == {
      k: v.shape for k, v in alphas.items()}


def _values(name, epoch, **context):
  return methods.METHODS[name].relaxation(
      methods.Context(50, **context)).values(epoch)


def test_numbers_between_epochs_are_the_published_ones():
  assert _values('sdarts_rs', 25)['epsilon'] == pytest.approx(.165)
  assert _values('sdarts_adv', 49)['epsilon'] == pytest.approx(.2946)
  assert _values('darts_minus', 10)['auxiliary_skip'] == pytest.approx(.8)
  assert _values('beta_darts', 25)['beta'] == pytest.approx(25.)
  assert _values('r_darts_dp', 49, drop_path=.6)['drop_path'] == (
      pytest.approx(.6))
  assert _values('gdas', 49)['temperature'] == pytest.approx(.1)
  assert methods.METHODS['p_darts'].relaxation(methods.Context(
      25, 10, skip_dropout=.4)).values(10)['skip_dropout'] == pytest.approx(.4)


def test_penalties_pull_as_their_papers_say():
  fair = methods.sigmoid(methods.Context(50))
  alphas = {'normal': jnp.full((2, 3), 9.), 'reduce': jnp.full((2, 3), -9.)}
  assert fair.penalty(alphas, None, {}) == pytest.approx(-2.5, abs=.01)
  level = methods.levelled(methods.Context(50))
  zeros = {'normal': jnp.zeros((14, 8))}
  assert level.penalty(zeros, None, level.values(50)) == pytest.approx(
      50 * np.log(8), rel=1e-5)


def test_what_methods_change_is_the_published_setting():
  rows = {name: (m.alphas.order, m.alphas.learning_rate, m.alphas.warmup_epochs)
          for name, m in methods.METHODS.items()}
  assert rows['darts'] == ('first', 3e-4, 0)
  assert rows['darts_ada'] == ('second', 3e-4, 0)
  assert rows['p_darts'] == ('first', 6e-4, 10)
  assert rows['pc_darts'] == ('first', 6e-4, 15)
  assert rows['fair_darts'] == ('first', 3e-3, 0)
  assert rows['snas'][0] == 'joint' and rows['blank_pt'][0] == 'none'
  assert [g['weight_decay'] for g in methods.METHODS['r_darts_l2'].grid] == (
      pytest.approx([3e-4, 9e-4, 27e-4, 81e-4, 243e-4]))
