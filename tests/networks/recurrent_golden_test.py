"""The recurrent cells of DARTS' code in PyTorch, in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import language


@pytest.fixture(autouse=True)
def double():
  with jax.enable_x64(True):
    yield


@pytest.fixture(params=('DARTS_V2', 'ENAS'))
def golden(request, shared_data):
  with np.load(shared_data / 'golden' / 'darts_rnn.npz') as file:
    return {name.removeprefix(request.param + '/'): file[name]
            for name in file.files if name.startswith(request.param + '/')}


def _chain(golden):
  nodes = [text.split(':') for text in golden['genotype'].tolist()]
  return (tuple((name, int(state)) for name, state in nodes),
          tuple(golden['concat'].tolist()))


def _params(golden, kind):
  nodes = [golden[f'{kind}/rnns.0._Ws.{i}']
           for i in range(len(golden['genotype']))]
  return jax.tree.map(jnp.asarray, {
      'embedding': golden[f'{kind}/encoder.weight'],
      'bias': golden[f'{kind}/decoder.bias'],
      'layers': [{'input': golden[f'{kind}/rnns.0._W0'], 'nodes': nodes}]})


def _model(golden):
  words, features = golden['param/encoder.weight'].shape
  return language.make('rnn_chain', _chain(golden),
                       language.Sizes(words, features, features))


def test_probabilities_and_states_are_those_of_the_reference(golden):
  model, params = _model(golden), _params(golden, 'param')
  found = model.apply(params, golden['tokens'], [jnp.asarray(
      golden['h0'][0])])
  np.testing.assert_allclose(
      language.log_probs(params, found.outputs), golden['log_prob'],
      rtol=0, atol=1e-9)
  np.testing.assert_allclose(
      found.hidden[0], golden['h_last'][0], rtol=0, atol=1e-9)


@pytest.mark.parametrize('padding', (0, 3))
def test_loss_and_gradients_are_those_of_the_reference(golden, padding):
  model, params = _model(golden), _params(golden, 'param')
  steps, rows = golden['tokens'].shape
  fill = ((0, padding), (0, 0))
  tokens = np.pad(golden['tokens'], fill)
  targets = np.pad(golden['targets'].reshape(steps, rows), fill)
  length = jnp.int32(steps) if padding else None

  def loss(params):
    found = model.apply(params, tokens, [jnp.asarray(golden['h0'][0])],
                        length=length)
    return language.mean_loss(
        params, found.outputs, targets, length), found.hidden[0]

  (value, last), grads = jax.value_and_grad(loss, has_aux=True)(params)
  np.testing.assert_allclose(value, golden['loss'], rtol=0, atol=1e-9)
  np.testing.assert_allclose(last, golden['h_last'][0], rtol=0, atol=1e-9)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-9),
      grads, _params(golden, 'grad'))
