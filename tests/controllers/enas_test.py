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


def test_cells_step_by_step():
  controller = enas.micro(3, hidden_size=5, temperature=3.)
  p = jax.tree.map(np.asarray, helpers.scaled(controller))
  genome = np.array([1, 0, 0, 4, 2, 3, 1, 1, 3, 2, 2, 0,
                     0, 1, 1, 2, 1, 4, 2, 3, 3, 0, 0, 2])
  found, state = [], (np.zeros(5), np.zeros(5))
  for cell in range(2):
    anchors, keys = [], []
    for _ in range(2):
      state = _step(p, state, p['start'])
      anchors.append(np.zeros(5))
      keys.append(state[0] @ p['previous'])
    for node in range(3):
      at = 12 * cell + 4 * node
      x, log_probs = p['start'], {}
      for side in range(2):
        state = _step(p, state, x)
        logits = [np.tanh(k + state[0] @ p['current']) @ p['v'] for k in keys]
        index = genome[at + 2 * side]
        log_probs[2 * side] = _log_softmax(1.1 * np.tanh(
            np.array(logits) / 3))[index]
        x = anchors[index]
      for side in range(2):
        state = _step(p, state, x)
        logits = state[0] @ p['kernel'] + p['bias']
        logits = .44 * np.tanh(logits / 3)
        if cell == 0:
          logits = logits + [.25, .25, -.25, -.25, -.25]
        op = genome[at + 2 * side + 1]
        log_probs[2 * side + 1] = _log_softmax(logits)[op]
        x = p['embeddings'][op]
      found += [log_probs[i] for i in range(4)]
      state = _step(p, state, x)
      anchors.append(state[0])
      keys.append(state[0] @ p['previous'])
  np.testing.assert_allclose(
      controller.score(p, genome).log_probs, found, atol=2e-6)


def test_layers_step_by_step():
  policy = enas.macro(4, hidden_size=5, temperature=2.)
  p = jax.tree.map(np.asarray, helpers.scaled(policy.controller))
  code = ((3,), (0, 1), (5, 0, 1), (2, 1, 1, 0))
  found, penalties, state = [], [], (np.zeros(5), np.zeros(5))
  x, anchors = p['start'], []
  for k, (op, *bits) in enumerate(code):
    state = _step(p, state, x)
    found.append(_log_softmax(
        1.5 * np.tanh(state[0] @ p['kernel'] / 2))[op])
    state = _step(p, state, p['embeddings'][op])
    divergence = 0.
    for h, bit in zip(anchors, bits, strict=True):
      q = np.tanh(h @ p['previous'] + state[0] @ p['current']) @ p['v']
      logits = 1.5 * np.tanh(np.array([-q, q]) / 2)
      found.append(_log_softmax(logits)[bit])
      s = 1 / (1 + np.exp(-logits))
      divergence += np.sum(s * np.log(s / [.6, .4]))
    x = p['start']
    if k:
      penalties.append(divergence)
      x = np.array(bits) @ anchors / (1 + sum(bits))
    anchors.append(state[0])
  genome = np.array(sum(code, ()))
  np.testing.assert_allclose(
      policy.controller.score(p, genome).log_probs, found, atol=2e-6)
  np.testing.assert_allclose(
      policy.penalty(p, genome), np.mean(penalties), atol=2e-6)


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


def _step(params, state, x):
  """The LSTM of the published code: gates i, f, o, g."""
  h, c = state
  i, f, o, g = np.split(np.concatenate([x, h]) @ params['lstm']['kernel'], 4)
  sigmoid = lambda z: 1 / (1 + np.exp(-z))
  c = sigmoid(i) * np.tanh(g) + sigmoid(f) * c
  return sigmoid(o) * np.tanh(c), c


def _log_softmax(logits):
  return logits - np.log(np.sum(np.exp(logits)))
