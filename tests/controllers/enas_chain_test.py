"""ENAS' controller of recurrent cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.controllers import enas_chain
from tests.controllers import helpers


def test_the_published_number_of_parameters():
  shapes = jax.eval_shape(
      enas_chain.controller().init, jax.random.key(0))
  assert sum(x.size for x in jax.tree.leaves(shapes)) == 41_344


def test_samples_and_their_scores_agree():
  helpers.check_sample_equals_score(enas_chain.controller(4, hidden_size=5))


def test_probabilities_are_those_of_samples():
  helpers.check_distribution(
      enas_chain.controller(3, hidden_size=4, num_operations=2),
      [range(n) for n in (1, 2, 2, 2, 3, 2)])


def test_near_states_are_preferred_at_first():
  controller = enas_chain.controller(4, entropy='full')
  zero = jax.tree.map(jnp.zeros_like, controller.init(jax.random.key(0)))
  found = [controller.score(zero, np.array([0, 0, 0, 0, 0, 0, j, 0]))
           for j in range(4)]
  np.testing.assert_allclose(
      [np.exp(score.log_probs[6]) for score in found],
      [.0420, .1350, .3107, .5122], atol=5e-5)
  np.testing.assert_allclose(found[0].entropies[1::2], np.log(4), atol=1e-6)


def test_nodes_step_by_step():
  controller = enas_chain.controller(3, hidden_size=5)
  p = jax.tree.map(np.asarray, helpers.scaled(controller))
  genome = np.array([0, 2, 0, 0, 2, 3])
  found, state, x = [], (np.zeros(5), np.zeros(5)), p['start']
  anchors = [np.zeros(5)]
  for l, (j, op) in enumerate(genome.reshape(3, 2), 1):
    state = _step(p, state, x)
    logits = np.array([
        2.25 * np.tanh(p['v'] @ np.tanh(
            h @ p['previous'] + state[0] @ p['current']) / 5)
        - (l - i)**2 / 6 for i, h in enumerate(anchors)])
    found.append(_log_softmax(logits)[j])
    x = anchors[j] / (.1 + l - j)
    anchors.append(state[0])
    state = _step(p, state, x)
    found.append(_log_softmax(
        2.25 * np.tanh(p['embeddings'] @ state[0] / 5))[op])
    x = p['embeddings'][op]
  score = controller.score(p, genome)
  np.testing.assert_allclose(score.log_probs, found, atol=2e-6)
  # -p log p of what was chosen.
  np.testing.assert_allclose(
      score.entropies, -np.exp(found) * found, atol=2e-6)


def test_every_part_has_a_gradient():
  controller = enas_chain.controller(3, hidden_size=4)
  grads = jax.jit(jax.grad(lambda p: jnp.sum(controller.score(
      p, np.array([0, 1, 1, 2, 1, 3])).log_probs)))(helpers.scaled(controller))
  for path, values in jax.tree.leaves_with_path(grads):
    assert np.any(values) and np.all(np.isfinite(values)), path


@pytest.mark.parametrize('options, message', [
    (dict(num_nodes=0), 'num_nodes is 0, expected a positive number'),
    (dict(temperature=0.), 'temperature is 0.0, expected a positive number'),
    (dict(entropy='none'), "entropy is 'none', expected one of sampled, full"),
])
def test_bad_settings_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    enas_chain.controller(**options)


def _step(params, state, x):
  """The LSTM of the public code: gates i, f, o, g."""
  h, c = state
  i, f, o, g = np.split(np.concatenate([x, h]) @ params['lstm']['kernel'], 4)
  sigmoid = lambda z: 1 / (1 + np.exp(-z))
  c = sigmoid(i) * np.tanh(g) + sigmoid(f) * c
  return sigmoid(o) * np.tanh(c), c


def _log_softmax(logits):
  return logits - np.log(np.sum(np.exp(logits)))
