"""The softmax controller of any space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.controllers import sequence
from tests.controllers import helpers

_SIZES = (3, 5, 1, 2)


def _controller(sizes=_SIZES, **settings):
  return sequence.controller(
      [range(size) for size in sizes], **{'hidden_size': 6, **settings})


@pytest.mark.parametrize('settings', [
    {}, {'num_layers': 2, 'tanh_constant': 1.5, 'temperature': 2.}])
def test_samples_and_scores_agree(settings):
  helpers.check_sample_equals_score(_controller(**settings))


def test_probabilities_are_those_of_samples():
  helpers.check_distribution(_controller(), [range(n) for n in _SIZES])


def test_defaults_are_those_of_nasnet():
  sizes = (2, 2, 13, 13, 2)
  params = sequence.controller([range(n) for n in sizes]).init(
      jax.random.key(0))
  assert set(params['lstm']) == {'kernel0', 'bias0'}
  assert params['lstm']['kernel0'].shape == (200, 400)
  assert params['kernels'].shape == (5, 13, 100)
  for name in ('kernels', 'embeddings'):
    values = np.abs(params[name])
    assert .099 < values.max() <= .1 and .049 < values.mean() < .051
  assert not np.any(params['biases']) and not np.any(params['lstm']['bias0'])


def test_logits_are_bounded_by_the_tanh_constant():
  controller = _controller((4,), tanh_constant=1.5, temperature=5.)
  params = controller.init(jax.random.key(0))
  params['biases'] = jnp.array([[1e3, -1e3, -1e3, -1e3]])
  score = controller.score(params, jnp.zeros(1, jnp.int32))
  # e^1.5 / (e^1.5 + 3 e^-1.5)
  np.testing.assert_allclose(np.exp(score.log_probs[0]), .8700485, rtol=1e-5)


def test_a_position_without_alternatives_has_no_entropy():
  controller = _controller()
  params = helpers.scaled(controller)
  genomes, score = helpers.samples(controller, params, 8)
  assert not np.any(genomes[:, 2])
  np.testing.assert_allclose(score.log_probs[:, 2], 0, atol=1e-7)
  np.testing.assert_allclose(score.entropies[:, 2], 0, atol=1e-7)


def test_what_is_no_choice_has_no_gradient():
  controller = _controller()
  grads = jax.grad(lambda p: jnp.sum(controller.score(
      p, jnp.array([1, 2, 0, 1])).log_probs))(helpers.scaled(controller))
  for name in ('kernels', 'biases', 'embeddings'):
    assert not np.any(grads[name][3, 2:]) and np.all(np.isfinite(grads[name]))
  assert np.all(grads['biases'][3, :2] != 0)
  # Nothing reads the last choice.
  assert not np.any(grads['embeddings'][3]) and np.any(grads['embeddings'][1])


def test_the_program_does_not_grow_with_positions():
  sizes = [helpers.program_sizes(_controller((3,) * n), n) for n in (4, 40)]
  assert sizes[0] == sizes[1]


@pytest.mark.parametrize('sizes, settings, message', [
    ((), {}, 'every position needs a choice'),
    ((2, 0), {}, r'got positions of \(2, 0\) choices'),
    ((2,), {'hidden_size': 0}, 'hidden_size is 0'),
    ((2,), {'num_layers': 0}, 'num_layers is 0'),
    ((2,), {'init_scale': -.1}, 'init_scale is -0.1'),
    ((2,), {'temperature': 0.}, 'temperature is 0.0')])
def test_bad_settings_are_refused(sizes, settings, message):
  with pytest.raises(ValueError, match=message):
    _controller(sizes, **settings)
