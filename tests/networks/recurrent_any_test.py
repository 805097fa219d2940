"""Cells that are data compute what cells of their own compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import language
from nas_jax.networks import recurrent_any
from nas_jax.spaces import recurrent

_SIZES = language.Sizes(5, 4, 4, init_range=.8)
_TOKENS = jnp.array([[0, 1], [2, 3], [4, 0], [1, 1]])
_CHAINS = [
    ((('tanh', 0), ('relu', 1), ('sigmoid', 0), ('identity', 3)), (1, 2, 3, 4)),
    ((('relu', 0), ('identity', 0), ('tanh', 2), ('sigmoid', 1)), (0, 4))]
_TREES = [
    ((('elem_mult', 'relu'), ('max', 'sin'), ('add', 'sigmoid')),
     ('add', 'tanh'), (1, 0)),
    ((('add', 'tanh'), ('add', 'identity'), ('elem_mult', 'relu')),
     ('max', 'sigmoid'), (0, 2))]


def _loss(model):
  """Of all that a model computes, with dropout that is the same for all."""
  def loss(params, hidden):
    out = model.apply(
        params, _TOKENS, hidden, key=jax.random.key(1), length=jnp.array(3),
        rates=language.Rates(hidden=.25, inputs=.25))
    return jnp.sum(jnp.sin(out.raw[:3])) + sum(
        jnp.sum(x ** 2) for x in jax.tree.leaves(out.hidden)
        if x.shape == (2, 4))
  return jax.jit(jax.value_and_grad(loss))


@pytest.mark.parametrize('family, genotype', [
    ('rnn_chain', _CHAINS[0]), ('rnn_tree', _TREES[0])])
def test_values_and_gradients_are_those_of_a_cell_of_its_own(
    family, genotype):
  own = language.make(family, genotype, _SIZES)
  model = recurrent_any.models(family, _SIZES)(genotype)
  params = own.init(jax.random.key(0))
  assert model.num_params == own.num_params
  expected = _loss(own)(params, own.start(2))
  found = _loss(model)(params, model.start(2))
  for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_one_function_serves_cells_of_as_many_nodes():
  build = recurrent_any.models('rnn_chain', _SIZES)
  models = [build(genotype) for genotype in _CHAINS]
  assert models[0].apply is models[1].apply
  assert build((_CHAINS[0][0][:2], (1, 2))).apply is not models[0].apply
  params = models[0].init(jax.random.key(0))
  run = jax.jit(lambda params, hidden: models[0].apply(
      params, _TOKENS, hidden).raw)
  for genotype, model in zip(_CHAINS, models):
    own = language.make('rnn_chain', genotype, _SIZES)
    np.testing.assert_allclose(
        run(params, model.start(2)),
        own.apply(params, _TOKENS, own.start(2)).raw, rtol=2e-5, atol=2e-6)
  assert run._cache_size() == 1
  # A sin costs the others time.
  build = recurrent_any.models('rnn_tree', _SIZES)
  assert build(_TREES[0]).apply is not build(_TREES[1]).apply


def test_activations_and_combinations_by_number():
  h = jnp.array([-.5, 0, 2.])
  for number, expected in enumerate([
      jnp.tanh(h), [0, 0, 2.], 1 / (1 + jnp.exp(-h)), h, jnp.sin(h)]):
    np.testing.assert_allclose(
        recurrent_any._activated(h, number, sin=True), expected, rtol=1e-6)
  for number, expected in enumerate([[1.5, 1, 3.], [-1, 0, 2.], [2, 1, 2.]]):
    np.testing.assert_allclose(recurrent_any._combined(
        h, jnp.array([2., 1, 1]), number), expected)


def test_the_state_may_be_used_up():
  model = recurrent_any.models('rnn_chain', _SIZES)(_CHAINS[0])
  use_up = jax.jit(lambda hidden: jax.tree.map(lambda x: x + 1, hidden),
                   donate_argnums=0)
  use_up(model.start(2))
  assert model.start(2)[0].sources.tolist() == [0, 1, 0, 3]


def test_spaces_become_arrays():
  chain = recurrent_any.of_chain(_CHAINS[1])
  assert chain.sources.tolist() == [0, 0, 2, 1]
  assert chain.activations.tolist() == [1, 3, 0, 2]
  assert chain.weights.tolist() == [.5, 0, 0, 0, .5]
  tree = recurrent_any.of_tree(_TREES[0])
  assert tree.combinations.tolist() == [1, 2, 0, 0]
  assert tree.activations.tolist() == [1, 4, 2, 0]
  assert tree.indices.tolist() == [1, 0]
  space = recurrent.chain_space(2)
  genome = space.encode(((('relu', 0), ('sigmoid', 1)), (1, 2)))
  chain = recurrent_any.of_chain(space.genotype(genome))
  assert chain.activations.tolist() == np.asarray(genome)[1::2].tolist()


@pytest.mark.parametrize('family, genotype, message', [
    ('lstm', (), "models of the family 'lstm' share no program, expected one "
     'of rnn_chain, rnn_tree'),
    ('rnn_chain', ((('relu', 1),), (1,)),
     'node 1 reads state 1, expected 0..0')])
def test_what_cannot_be_built(family, genotype, message):
  with pytest.raises(ValueError) as e:
    recurrent_any.models(family, _SIZES)(genotype)
  assert str(e.value) == message
