"""The controller of AutoDL Design."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import numpy_autodl
from nas_jax.controllers import tokens
from nas_jax.spaces import tokens as tokens_space
from tests.controllers import helpers


@pytest.fixture(scope='module')
def generator():
  """The published controller and its first parameters."""
  controller = tokens.controller()
  return controller, controller.init(jax.random.key(0))


def test_it_has_71074_parameters(generator):
  _, params = generator
  sizes = jax.tree.map(jnp.size, params)
  assert sum(sizes['lstm'].values()) == 52_224
  assert sizes['token_kernels'] + sizes['token_biases'] == 13_000
  assert sizes['edge_kernels'] + sizes['edge_biases'] == 5_850
  assert sum(jax.tree.leaves(sizes)) == 71_074


def test_initial_weights(generator):
  _, params = generator
  for name in ('kernel0', 'kernel1'):
    values = np.abs(params['lstm'][name])
    assert .099 < values.max() <= .1 and .049 < values.mean() < .051
  deviation = (2 / 64) ** .5
  for name in ('token_kernels', 'edge_kernels'):
    assert 1.9 < np.abs(params[name]).max() / deviation <= 2
    # A normal distribution cut at two deviations has .8796 of one.
    assert abs(np.std(params[name]) / deviation - .8796) < .03
  biases = (*(params['lstm'][b] for b in ('bias0', 'bias1')),
            params['token_biases'], params['edge_biases'])
  assert not any(map(np.any, biases))


def test_at_first_all_choices_are_about_equally_likely(generator):
  controller, params = generator
  genomes, score = helpers.samples(controller, params, 64)
  assert genomes.shape == (64, 110)
  # 20 ln 10 + 90 ln 2
  np.testing.assert_allclose(
      -np.sum(score.log_probs, 1).mean(), 108.435, atol=.05)
  np.testing.assert_allclose(np.sum(score.entropies, 1), 108.435, atol=.05)


def test_probabilities_are_bounded(generator):
  controller, params = generator
  extreme = {**params, 'token_biases': jnp.full((20, 10), -1e4).at[
      :, 1].set(1e4), 'edge_biases': jnp.full((2, 45), 1e4).at[1].set(-1e4)}
  score = helpers.scores(controller, extreme, np.ones((1, 110)))
  probabilities = np.exp(score.log_probs[0])
  np.testing.assert_allclose(probabilities[:20], .942826, atol=1e-6)
  np.testing.assert_allclose(probabilities[:20].sum(), 18.8565, atol=1e-4)
  np.testing.assert_allclose(probabilities[20:65], .92414, atol=1e-5)
  np.testing.assert_allclose(probabilities[65:], .07586, atol=1e-5)


def test_values_and_gradients_are_those_of_plain_numpy(generator):
  controller, params = generator
  params = jax.tree.map(lambda p: 3 * p, params)
  genomes, _ = helpers.samples(controller, params, 10)
  advantages = np.linspace(-1, 2, 10, dtype=np.float32)

  @jax.jit
  @jax.value_and_grad
  def cost(params):
    score = jax.vmap(controller.score, (None, 0))(params, genomes)
    return -jnp.mean(jnp.sum(score.log_probs, 1) * advantages)

  value, grads = cost(params)
  arrays = jax.tree.map(np.array, params)
  chosen, neglogp, tape = numpy_autodl.forward(
      arrays, 10, numpy_autodl.given(np.array(genomes)))
  np.testing.assert_array_equal(chosen, genomes[:, :20])
  np.testing.assert_allclose(
      value, np.mean(neglogp * advantages), rtol=1e-5)
  expected = numpy_autodl.backward(arrays, tape, advantages)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
               dict(grads), expected)
  assert np.abs(grads['lstm']['kernel0']).max() > .01


@pytest.mark.parametrize('settings', [
    {'num_nodes': 5, 'num_tokens': 3},
    {'num_nodes': 3, 'num_tokens': 4, 'num_layers': 1, 'feed_back': False},
    {'num_nodes': 1, 'num_tokens': 4}])
def test_samples_and_scores_agree(settings):
  helpers.check_sample_equals_score(
      tokens.controller(hidden_size=6, **settings))


def test_probabilities_are_those_of_samples():
  # Of the columns of all steps some are no choice: here with edges, ...
  helpers.check_distribution(
      tokens.controller(num_nodes=2, num_tokens=3, hidden_size=6),
      [range(3)] * 4 + [range(2)] * 2)
  # ... and here with tokens.
  helpers.check_distribution(
      tokens.controller(num_nodes=3, num_tokens=1, hidden_size=6),
      [range(1)] * 6 + [range(2)] * 6)


def test_choices_are_where_the_space_reads_them():
  space = tokens_space.space(num_nodes=4)
  controller = tokens.controller(num_nodes=4, tanh_constant=None,
                                 temperature=None)
  params = controller.init(jax.random.key(0))
  wanted = np.array([0, 1, 2, 3, 4, 5, 6, 7, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0,
                     1, 1])
  params['token_biases'] = 100 * jax.nn.one_hot(wanted[:8], 10)
  params['edge_biases'] = jnp.asarray(
      200. * wanted[8:].reshape(2, 6) - 100)
  genome, _ = controller.sample(params, jax.random.key(1))
  np.testing.assert_array_equal(genome, wanted)
  assert len(space.choices) == 20
  code = space.genotype(genome)
  assert code == space.genotype(jnp.asarray(wanted))


def test_without_feed_back_choices_are_independent():
  genomes = np.zeros((2, 8), int)
  genomes[1, 0] = 1
  for feed_back in (True, False):
    controller = tokens.controller(
        num_nodes=2, num_tokens=3, hidden_size=6, feed_back=feed_back)
    score = helpers.scores(controller, helpers.scaled(controller), genomes[
        :, :6])
    same = score.log_probs[0] == score.log_probs[1]
    assert not same[0]
    assert np.all(same[1:]) != feed_back


def test_the_program_does_not_grow_with_nodes():
  sizes = [helpers.program_sizes(
      tokens.controller(num_nodes=n), 2 * n + n * (n - 1)) for n in (12, 24)]
  assert sizes[0] == sizes[1]


def test_bad_settings_are_refused():
  for name in ('num_nodes', 'num_tokens', 'hidden_size', 'num_layers',
               'tanh_constant', 'temperature'):
    with pytest.raises(ValueError, match=f'{name} is 0, expected a positive'):
      tokens.controller(**{name: 0})
