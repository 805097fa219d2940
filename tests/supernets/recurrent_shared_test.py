"""Chains that share weights, against networks of their own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import language
from nas_jax.spaces import recurrent as space
from nas_jax.supernets import recurrent_shared
from nas_jax.training import language_recipes

_SPACE = space.chain_space(4)
_SIZES = language.Sizes(7, 5, 5, init_range=.5, bias=False)
_RECIPE = language_recipes.LanguageRecipe(
    epochs=1, optimizer='sgd', learning_rate=.5, clip_norm=.05, slowness=1.,
    weight_decay=.01)
# Every activation; a node that reads s_0, one that reads the node before.
_GENOMES = np.array([[0, 0, 1, 1, 0, 2, 3, 3], [0, 2, 0, 0, 2, 1, 1, 0]])
_TOKENS = np.array(jax.random.randint(jax.random.key(3), (7, 2), 0, 7))


def _weights(**options):
  recipe = dataclasses.replace(
      _RECIPE, **options.pop('recipe', {}))
  return recurrent_shared.make(4, _SIZES, recipe, **options)


@pytest.fixture(scope='module')
def weights():
  return _weights()


@pytest.fixture(scope='module')
def params(weights):
  return weights.init(jax.random.key(0))


def _window():
  return jnp.asarray(_TOKENS[:-1]), jnp.asarray(_TOKENS[1:])


@pytest.mark.parametrize('units, num_nodes, bias, expected', [
    (200, 9, False, 16_560_000), (300, 11, True, 50_890_000)])
def test_published_numbers_of_weights(units, num_nodes, bias, expected):
  sizes = language.Sizes(10_000, units, units, bias=bias)
  assert recurrent_shared.make(
      num_nodes, sizes, _RECIPE).num_params == expected
  shapes = jax.eval_shape(recurrent_shared.make(
      num_nodes, sizes, _RECIPE).init, jax.random.key(0))
  assert shapes['layers'][0]['nodes'][2].shape == (3, 4, units, 2 * units)


def test_a_child_of_the_published_search_has_its_own_number_of_weights():
  sizes = language.Sizes(10_000, 200, 200, bias=False)
  made = recurrent_shared.make(9, sizes, _RECIPE)
  chosen = jax.eval_shape(
      made.pick, jax.eval_shape(made.init, jax.random.key(0)),
      jax.ShapeDtypeStruct((18,), jnp.int32))
  assert sum(x.size for x in jax.tree.leaves(chosen)) == 2_880_000


@pytest.mark.parametrize('genome, num_layers', [*zip(_GENOMES, (1, 2))])
def test_a_chain_is_the_network_of_its_genotype(genome, num_layers):
  sizes = dataclasses.replace(_SIZES, num_layers=num_layers)
  weights = recurrent_shared.make(4, sizes, _RECIPE)
  chosen = weights.pick(weights.init(jax.random.key(0)), genome)
  model = language.make('rnn_chain', _SPACE.genotype(genome), sizes)
  hidden = [jax.random.normal(jax.random.key(1), (2, 5))] * num_layers
  options = dict(key=jax.random.key(2), length=5, rates=language.Rates(
      output=.2, hidden=.3, inputs=.4, embedding=.5, words=.2))
  inputs, targets = _window()

  def of(apply):
    def loss(chosen):
      out = apply(chosen)
      return language.mean_loss(chosen, out.outputs, targets, 5), out.hidden
    return jax.value_and_grad(loss, has_aux=True)(chosen)

  found = of(lambda p: weights.apply(p, genome, inputs, hidden, **options))
  expected = of(lambda p: model.apply(p, inputs, hidden, **options))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6),
               found, expected)


def test_the_mean_of_all_has_the_first_state(params):
  # Nodes whose gates are shut repeat what they read.
  shut = jax.tree.map(jnp.zeros_like, params)
  shut['embedding'] = params['embedding']
  state = [jnp.ones((2, 5))]
  inputs, _ = _window()
  genome = np.array([0, 1, 0, 1, 0, 1, 0, 1])
  # s_0 = 1/2 of the state, a node that reads it 1/4.
  for mean_of_all, expected in ((False, 1 / 4), (True, (1 / 2 + 4 / 4) / 5)):
    made = _weights(mean_of_all=mean_of_all)
    out = made.apply(made.pick(shut, genome), genome, inputs[:1], state)
    np.testing.assert_allclose(out.raw, np.full((1, 2, 5), expected))


def test_a_step_moves_only_what_the_chain_uses(weights, params):
  genome = _GENOMES[0]
  inputs, targets = _window()
  before = jax.tree.map(jnp.copy, params)
  after, hidden, loss = weights.step(
      jax.random.key(0), jax.tree.map(jnp.copy, params), weights.start(2),
      genome, inputs, targets, 6, .5)
  assert hidden[0].shape == (2, 5) and float(loss) == pytest.approx(
      np.log(7), abs=.5)
  moved = [np.any(a != b, (-2, -1)) for a, b in zip(
      after['layers'][0]['nodes'], before['layers'][0]['nodes'])]
  assert [list(zip(*np.nonzero(m))) for m in moved] == [
      [(0, 0)], [(1, 1)], [(0, 2)], [(3, 3)]]
  # The gradient of all together is clipped.
  square = sum(np.sum((a - b)**2) for a, b in zip(
      jax.tree.leaves(after), jax.tree.leaves(before)))
  assert np.sqrt(square) == pytest.approx(.5 * .05, rel=1e-3)


def test_all_weights_decay_where_that_is_asked_for(params):
  made = _weights(decay='all')
  inputs, targets = _window()
  before = np.asarray(params['layers'][0]['nodes'][3][0, 0])
  after, _, _ = made.step(
      jax.random.key(0), jax.tree.map(jnp.copy, params), made.start(2),
      _GENOMES[0], inputs, targets, 6, .5)
  np.testing.assert_allclose(
      after['layers'][0]['nodes'][3][0, 0], before * (1 - .5 * .01), rtol=1e-6)


def test_scores_are_those_of_single_chains_without_dropout(params):
  made = _weights(recipe=dict(drop_output=.5))
  inputs, targets = _window()
  found = made.score(params, _GENOMES, jnp.stack([inputs] * 2),
                     jnp.stack([targets] * 2))
  for genome, loss in zip(_GENOMES, found):
    model = language.make('rnn_chain', _SPACE.genotype(genome), _SIZES)
    chosen = made.pick(params, genome)
    out = model.apply(chosen, inputs, model.start(2))
    assert loss == pytest.approx(float(jnp.mean(
        language.losses(chosen, out.outputs, targets))), abs=2e-6)
  assert found[0] != found[1]


@pytest.mark.parametrize('options, message', [
    (dict(decay='some'), "decay is 'some', expected one of used, all"),
    (dict(recipe=dict(optimizer='adam')),
     'optimizer is adam, but shared weights are trained by sgd')])
def test_bad_settings_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    _weights(**options)


def test_a_cell_needs_nodes():
  with pytest.raises(ValueError, match='num_nodes is 0, expected at least 1'):
    recurrent_shared.make(0, _SIZES, _RECIPE)
