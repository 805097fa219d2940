import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import recurrent
from nas_jax.networks import recurrent_baselines


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def _inputs(size, steps=3):
  return jax.random.normal(jax.random.key(5), (steps, 2, size))


def _shifted(params):
  """Parameters with biases that are not 0."""
  leaves, form = jax.tree.flatten(params)
  return jax.tree.unflatten(form, [
      p + .3 * jax.random.normal(jax.random.key(i), p.shape)
      for i, p in enumerate(leaves)])


@pytest.mark.parametrize('make, num_biases', [
    (recurrent_baselines.lstm, 1), (recurrent_baselines.awd_lstm, 2)])
def test_an_lstm_follows_its_equations(make, num_biases):
  cell = make(init_range=.5)
  params = cell.init(jax.random.key(0), 3, 2)
  assert {k: p.shape for k, p in params.items()} == {
      'input': (3, 8), 'hidden': (2, 8), 'bias': (8,),
      **({'hidden_bias': (8,)} if num_biases == 2 else {})}
  params = _shifted(params)
  inputs = _inputs(3)
  masks = recurrent.Masks(jnp.array([[2., 0, 2], [2, 2, 0]]),
                          jnp.array([[2., 0], [0, 2]]))
  outputs, state = cell.run(params, inputs, cell.start(2, 2), masks)
  h = c = np.zeros((2, 2))
  bias = params['bias'] + params.get('hidden_bias', 0)
  for t in range(3):
    i, f, g, o = np.split(inputs[t] * masks.inputs @ params['input'] +
                          h * masks.hidden @ params['hidden'] + bias, 4, -1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    h = _sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(outputs[t], h, rtol=1e-4)
  np.testing.assert_allclose(state[1], c, rtol=1e-4)


def test_awd_lstm_starts_as_the_lstm_of_pytorch():
  cell = recurrent_baselines.awd_lstm()
  params = cell.init(jax.random.key(0), 30, 25)
  assert .19 < float(jnp.max(jnp.abs(params['input']))) < .2
  assert cell.recurrent == ('hidden',)


def test_a_recurrent_highway_network_follows_its_equations():
  cell = recurrent_baselines.rhn((3,), init_range=.5)
  params = cell.init(jax.random.key(0), 3, 2)
  np.testing.assert_array_equal(params['biases'][2], [-2, -2, 0, 0])
  params = _shifted(params)
  inputs = _inputs(3)
  masks = recurrent.Masks(jnp.array([[2., 0, 2], [2, 2, 0]]),
                          jnp.array([[2., 0], [0, 2]]))
  outputs, state = cell.run(params, inputs, cell.start(2, 2), masks)
  s = np.zeros((2, 2))
  for t in range(3):
    for i in range(3):
      gates = s * masks.hidden @ params['layers'][i] + params['biases'][i]
      if not i:
        gates += inputs[t] * masks.inputs @ params['input']
      carry, new = np.split(gates, 2, -1)
      carry = _sigmoid(carry)
      s = np.tanh(new) * carry + s * (1 - carry)
    np.testing.assert_allclose(outputs[t], s, rtol=1e-4)
  np.testing.assert_allclose(state, s, rtol=1e-4)


@pytest.mark.parametrize('make, message', [
    (lambda: recurrent_baselines.lstm((1,)), r'an LSTM has the genotype \(\)'),
    (lambda: recurrent_baselines.lstm(num_biases=3), 'num_biases is 3'),
    (lambda: recurrent_baselines.rhn(()), r'has the genotype \(depth,\)'),
    (lambda: recurrent_baselines.rhn((0,)), r'got \(0,\)'),
    (lambda: recurrent_baselines.rhn((True,)), r'got \(True,\)')])
def test_wrong_genotypes(make, message):
  with pytest.raises(ValueError, match=message):
    make()
