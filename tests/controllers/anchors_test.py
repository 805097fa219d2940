"""NAS-RL's controller with anchor points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.controllers import anchors
from nas_jax.spaces import chain
from tests.controllers import helpers

_TINY = chain.layout(depths=(2, 3), heights=(1, 3), widths=(1,),
                     filters=(24, 36))


def _controller(layout=_TINY, **settings):
  return anchors.controller(layout, **{'hidden_size': 6, **settings})


@pytest.mark.parametrize('skips', [True, False])
def test_samples_and_scores_agree(skips):
  layout = chain.layout(depths=(2, 4, 6), strides=(1, 2), skips=skips)
  helpers.check_sample_equals_score(_controller(layout), jnp.int32(1))


@pytest.mark.parametrize('depth', [0, 1])
def test_probabilities_of_a_depth_are_those_of_samples(depth):
  sizes = [range(depth, depth + 1)]
  for layer in range(3):
    inside = layer < _TINY.depths[depth]
    sizes += [range(n if inside else 1) for n in (2, 1, 2)]
    sizes += [range(2 if inside else 1)] * layer
  helpers.check_distribution(_controller(), sizes, jnp.int32(depth))


def test_anchor_probabilities_by_hand():
  controller = _controller(hidden_size=1, num_layers=1)
  params = jax.tree.map(jnp.zeros_like, controller.init(jax.random.key(0)))
  # All gates are open, and each step adds .05 to c. A layer has four steps,
  # so at its anchor layer i has h_i = tanh(.2 i).
  params['lstm']['bias0'] = jnp.array([40., np.arctanh(.05), 40., 40.])
  params['previous'] = jnp.array([[2.]])
  params['current'] = jnp.array([[-1.]])
  params['v'] = jnp.array([3.])
  bits = [_TINY.offset(2) + 3, _TINY.offset(3) + 3, _TINY.offset(3) + 4]
  assert bits == [7, 11, 12]
  # sigmoid(3 tanh(2 h_j - h_i)) with h = .197375, .379949, .537050:
  # of 3 tanh(.014802), 3 tanh(-.142299), 3 tanh(.222848)
  expected = np.array([.5110986, .3955508, .6587421])
  genome = np.zeros(13, int)
  genome[0] = 1
  genome[bits] = 1
  score = helpers.scores(controller, params, [genome])
  np.testing.assert_allclose(
      np.exp(score.log_probs[0, bits]), expected, atol=2e-6)
  genome[bits] = 0
  score = helpers.scores(controller, params, [genome])
  np.testing.assert_allclose(
      np.exp(score.log_probs[0, bits]), 1 - expected, atol=2e-6)
  entropy = -(expected * np.log(expected)
              + (1 - expected) * np.log(1 - expected))
  np.testing.assert_allclose(score.entropies[0, bits], entropy, atol=2e-6)
  genomes, _ = helpers.samples(controller, params, 20_000, jnp.int32(1))
  # Five standard deviations.
  np.testing.assert_allclose(
      np.mean(genomes[:, bits], 0), expected, atol=5 * .5 / 20_000 ** .5)


def test_beyond_the_depth_is_no_choice():
  layout = chain.layout()
  controller = anchors.controller(layout)
  params = controller.init(jax.random.key(0))
  genomes, score = helpers.samples(controller, params, 16, jnp.int32(1))
  end = 1 + 8 * 3 + 28
  assert layout.length == 251 and np.all(genomes[:, 0] == 1)
  assert not np.any(genomes[:, end:])
  for values in score:
    assert not np.any(values[:, 0]) and not np.any(values[:, end:])
    assert np.all(values[:, 1:end] != 0)
  # 24 choices of four, 28 of two, all about equally likely at the start.
  np.testing.assert_allclose(
      np.sum(score.entropies, 1), 24 * np.log(4) + 28 * np.log(2), atol=.05)


def test_scores_do_not_depend_on_what_is_beyond_the_depth():
  controller = _controller()
  params = helpers.scaled(controller)
  genomes, score = helpers.samples(controller, params, 4, jnp.int32(0))
  other = helpers.scores(controller, params, genomes.at[:, 8:].set(1))
  np.testing.assert_allclose(other.log_probs, score.log_probs, atol=1e-6)


def test_parameters_are_shared_by_layers():
  params = [anchors.controller(chain.layout(depths=(n,))).init(
      jax.random.key(0)) for n in (6, 20)]
  shapes = [jax.tree.map(jnp.shape, p) for p in params]
  assert shapes[0].pop('sources') == (6, 35)
  assert shapes[1].pop('sources') == (20, 35)
  assert shapes[0] == shapes[1] == {
      'biases': (3, 4), 'embeddings': (3, 4, 35), 'kernels': (3, 4, 35),
      'previous': (35, 35), 'current': (35, 35), 'v': (35,),
      'lstm': {'kernel0': (70, 140), 'bias0': (140,), 'kernel1': (70, 140),
               'bias1': (140,)}}
  for path, values in jax.tree.leaves_with_path(params[1]):
    if 'bias' in jax.tree_util.keystr(path):
      assert not np.any(values)
    else:
      assert .07 < np.abs(values).max() <= .08


def test_every_part_has_a_gradient():
  controller = _controller()
  genome = jnp.array([1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0])
  grads = jax.jit(jax.grad(lambda p: jnp.sum(controller.score(
      p, genome).log_probs)))(helpers.scaled(controller))
  for path, values in jax.tree.leaves_with_path(grads):
    assert np.any(values) and np.all(np.isfinite(values)), path


def test_the_program_does_not_grow_with_layers():
  sizes = []
  for depth in (3, 12):
    layout = chain.layout(depths=(depth,))
    sizes.append(helpers.program_sizes(
        _controller(layout), layout.length, jnp.int32(0)))
  assert sizes[0] == sizes[1]


def test_bad_settings_are_refused():
  with pytest.raises(ValueError, match='hidden_size is -1'):
    _controller(hidden_size=-1)
  with pytest.raises(ValueError, match='num_layers is 0'):
    _controller(num_layers=0)
  with pytest.raises(ValueError, match='init_scale is 0'):
    _controller(init_scale=0)
