"""ENAS' controllers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.controllers import enas
from nas_jax.spaces import nao
from nas_jax.supernets import enas_macro
from tests.controllers import helpers


def _size(controller):
  shapes = jax.eval_shape(controller.init, jax.random.key(0))
  return sum(x.size for x in jax.tree.leaves(shapes))


def _zero(controller):
  return jax.tree.map(jnp.zeros_like, controller.init(jax.random.key(0)))


def test_the_published_numbers_of_parameters():
  assert _size(enas.macro().controller) == 41_856
  assert _size(enas.macro(hidden_size=100).controller) == 101_400
  assert _size(enas.micro()) == 41_733


def test_samples_of_layers_and_their_scores_agree():
  controller = enas.macro(4, hidden_size=5, temperature=2.).controller
  helpers.check_sample_equals_score(controller)


def test_samples_of_cells_and_their_scores_agree():
  helpers.check_sample_equals_score(enas.micro(3, hidden_size=5))


def test_probabilities_of_layers_are_those_of_samples():
  space = enas_macro.space(3)
  helpers.check_distribution(
      enas.macro(3, hidden_size=4, num_operations=3).controller,
      [range(3 if len(c) == 6 else 2) for c in space.choices])


def test_probabilities_of_cells_are_those_of_samples():
  space = nao.space(('a', 'b', 'c'), num_nodes=1)
  helpers.check_distribution(
      enas.micro(1, hidden_size=4, num_operations=3),
      [range(len(c)) for c in space.choices])


def test_first_probabilities_of_operations_in_cells():
  controller = enas.micro(1)
  params = controller.init(jax.random.key(0))
  params['kernel'] = jnp.zeros_like(params['kernel'])
  genomes = [[0, i, 0, i] * 2 for i in range(5)]
  found = np.exp(helpers.scores(controller, params, genomes).log_probs)
  normal, reduction = found[:, 1], found[:, 5]
  np.testing.assert_allclose(
      normal, [.3153, .3153, .1232, .1232, .1232], atol=5e-5)
  np.testing.assert_allclose(
      reduction, [.2543, .2543, .1638, .1638, .1638], atol=5e-5)
  np.testing.assert_allclose(found[:, [3, 7]], found[:, [1, 5]], atol=1e-6)


def test_the_penalty_of_even_skips():
  policy = enas.macro(3, hidden_size=2)
  penalty = policy.penalty(_zero(policy.controller),
                           np.array([0, 1, 0, 2, 1, 1]))
  # Rows have 1 and 2 possible skips: (1 + 2) / 2 pairs on average.
  np.testing.assert_allclose(penalty, 1.5 * .020411, atol=2e-6)
  # sigmoid(0) is .5: no divergence from a target of .5.
  policy = enas.macro(3, hidden_size=2, skip_target=.5)
  assert abs(policy.penalty(_zero(policy.controller),
                            np.array([0, 1, 0, 2, 1, 1]))) < 1e-6


def test_skips_are_drawn_from_both_logits_but_held_by_one():
  policy = enas.macro(2, hidden_size=1, tanh_constant=None)
  params = _zero(policy.controller)
  # q = v tanh(W1 h_0 + W2 h_1) = .8 tanh(.5): the anchors by hand below.
  params['lstm']['kernel'] = jnp.array([[0., 0, 0, 1], [0, 0, 0, 0]])
  params['embeddings'] = params['embeddings'].at[3].set(40.)
  params['previous'] = jnp.array([[0.]])
  params['current'] = jnp.array([[1.]])
  params['v'] = jnp.array([.8])
  # Gates are half open. Layer 0 has operation 0, so c stays 0; layer 1 has
  # operation 3: c = .5 tanh(40) = .5, h = .5 tanh(.5) = .2310586.
  q = .8 * np.tanh(.2310586)
  log_probs = [policy.controller.score(params, np.array([0, 3, bit])).log_probs
               for bit in (0, 1)]
  np.testing.assert_allclose(
      [np.exp(x[2]) for x in log_probs],
      [1 / (1 + np.exp(2 * q)), 1 / (1 + np.exp(-2 * q))], atol=1e-6)
  s = 1 / (1 + np.exp(-q))
  np.testing.assert_allclose(
      policy.penalty(params, np.array([0, 3, 1])),
      s * np.log(s / .4) + (1 - s) * np.log((1 - s) / .6), atol=1e-6)


def test_the_next_layer_reads_the_anchors_it_skips_from():
  policy = enas.macro(3, hidden_size=3)
  params = helpers.scaled(policy.controller, 8.)
  score = lambda genome: policy.controller.score(
      params, np.array(genome)).log_probs
  # Whether layer 1 skips from the stem changes what layer 2 is chosen by.
  a, b = score([1, 2, 0, 3, 0, 1]), score([1, 2, 1, 3, 0, 1])
  np.testing.assert_array_equal(a[:2], b[:2])
  assert abs(a[3] - b[3]) > 1e-3


def test_entropy_of_what_was_sampled_and_of_the_distribution():
  sampled, full = (enas.macro(3, hidden_size=2, entropy=entropy).controller
                   for entropy in enas.ENTROPIES)
  genome = np.array([0, 1, 0, 2, 1, 1])
  found = [c.score(_zero(c), genome).entropies for c in (sampled, full)]
  ops, skips = [0, 1, 3], [2, 4, 5]
  np.testing.assert_allclose(found[0][np.array(ops)], np.log(6) / 6, atol=1e-6)
  np.testing.assert_allclose(found[0][np.array(skips)], np.log(2) / 2,
                             atol=1e-6)
  np.testing.assert_allclose(found[1][np.array(ops)], np.log(6), atol=1e-6)
  np.testing.assert_allclose(found[1][np.array(skips)], np.log(2), atol=1e-6)


@pytest.mark.parametrize('name', ['macro', 'micro'])
def test_every_part_has_a_gradient(name):
  if name == 'macro':
    controller = enas.macro(3, hidden_size=4).controller
    genome = np.array([0, 1, 0, 2, 1, 1])
  else:
    controller = enas.micro(2, hidden_size=4)
    genome = np.array([0, 1, 1, 2, 2, 3, 1, 0] * 2)
  grads = jax.jit(jax.grad(lambda p: jnp.sum(controller.score(
      p, genome).log_probs)))(helpers.scaled(controller))
  for path, values in jax.tree.leaves_with_path(grads):
    assert np.any(values) and np.all(np.isfinite(values)), path


@pytest.mark.parametrize('make, message', [
    (lambda: enas.macro(0), 'num_layers is 0, expected a positive number'),
    (lambda: enas.macro(skip_target=1.), 'skip_target is 1.0, expected'),
    (lambda: enas.macro(entropy='none'), "entropy is 'none'"),
    (lambda: enas.micro(hidden_size=0), 'hidden_size is 0'),
    (lambda: enas.micro(op_tanh_reduce=0), 'op_tanh_reduce is 0'),
])
def test_bad_settings_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
