import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import language
from nas_jax.supernets import recurrent
from nas_jax.supernets import recurrent_search

_SIZES = language.Sizes(9, 5, 5)


@pytest.fixture(scope='module')
def golden(shared_data):
  with np.load(shared_data / 'golden' / 'darts_rnn.npz') as file:
    return {name.removeprefix('supernet/'): x for name, x in file.items()
            if name.startswith('supernet/')}


def _params(golden):
  get = lambda name: jnp.asarray(golden[f'param/{name}'])
  return {'embedding': get('encoder.weight'), 'bias': get('decoder.bias'),
          'layers': [{'input': get('rnns.0._W0'),
                      'nodes': [get(f'rnns.0._Ws.{i}') for i in range(8)]}]}


def test_the_search_network_equals_that_of_darts_in_double_precision(golden):
  with jax.enable_x64(True):
    params, alphas = _params(golden), jnp.asarray(golden['alphas'])
    model = language.of_cell(recurrent.cell(), _SIZES)
    state = recurrent.State(
        jnp.asarray(golden['h0'][0]),
        recurrent.Norm(jnp.zeros(5), jnp.ones(5)))

    def loss(alphas):
      own = recurrent_search.with_alphas(params, {'recurrent': alphas})
      out = model.apply(own, jnp.asarray(golden['tokens']), [state])
      return language.mean_loss(own, out.outputs, jnp.asarray(
          golden['targets']).reshape(4, 6)), out.hidden[0].hidden

    # Used once: compiled quickly, not well.
    gradient = jax.jit(
        jax.value_and_grad(loss, has_aux=True),
        compiler_options={'xla_backend_optimization_level': 0})
    (value, hidden), grads = jax.device_get(gradient(alphas))
  assert abs(value - golden['loss']) < 1e-12
  np.testing.assert_allclose(hidden, golden['h_last'][0], atol=1e-12)
  np.testing.assert_allclose(grads, golden['dalpha'], atol=1e-9)
  assert np.abs(golden['dalpha']).max() > .01


def test_the_cell_derived_is_that_of_darts(golden):
  found = recurrent.derive(golden['alphas'])
  assert [f'{name}:{state}' for name, state in found.nodes] == list(
      golden['genotype'])
  assert found.concat == (1, 2, 3, 4, 5, 6, 7, 8)


def test_none_is_never_derived_but_takes_part_in_the_softmax():
  #        none tanh relu sigmoid identity
  alphas = [[9., 0., 1., 0., 0.],  # Node 1 has one edge.
            [5., 1., 0., 0., 3.],  # Larger, but 'none' takes most of it.
            [0., 0., 0., 2., 0.]]
  assert recurrent.derive(alphas) == (
      (('relu', 0), ('sigmoid', 1)), (1, 2))


def test_equal_weights_derive_the_first_candidate_of_the_lowest_state():
  assert recurrent.derive(np.zeros((6, 5))).nodes == (
      ('tanh', 0), ('tanh', 0), ('tanh', 0))


@pytest.mark.parametrize('shape,message', [
    ((3, 4), r'shape \(3, 4\)'), ((2, 5), '2 edges do not make up nodes')])
def test_alphas_of_no_cell_are_refused(shape, message):
  with pytest.raises(ValueError, match=message):
    recurrent.derive(np.zeros(shape))


def test_sizes_of_the_published_search():
  net = recurrent_search.network(language.Sizes(10000, 300, 300))
  assert net.train.num_params == net.evaluate.num_params == 4_810_000
  assert recurrent.num_edges(8) == 36


def test_one_edge_by_hand():
  """One node, one unit, two rows: all that the layer does, in numbers."""
  cell = recurrent.cell(1)
  first, second = np.array([[.5, -.2], [.1, .3]]), np.array([[.4, .7]])
  alphas = np.array([[.3, -.1, .2, .4, 0.]])
  x, h = np.array([[1.], [-2.]]), np.array([[.2], [.6]])
  sigmoid = lambda z: 1 / (1 + np.exp(-z))
  norm = lambda z: (z - z.mean()) / np.sqrt(z.var() + 1e-5)

  c, g = np.split(np.concatenate([x, h], 1) @ first, 2, 1)
  raw = h + sigmoid(c) * (np.tanh(g) - h)
  s = norm(raw)
  c, g = np.split(s @ second, 2, 1)
  w = np.exp(alphas[0]) / np.exp(alphas[0]).sum()
  mixed = sum(w[k] * (s + sigmoid(c) * (f(g) - s)) for k, f in enumerate(
      (np.tanh, lambda z: np.maximum(z, 0), sigmoid, lambda z: z), 1))

  start = cell.start(2, 1)._replace(hidden=jnp.asarray(h, jnp.float32))
  out, after = cell.run(
      {'input': jnp.asarray(first, jnp.float32),
       'nodes': [jnp.asarray(second, jnp.float32)],
       recurrent.ALPHAS: jnp.asarray(alphas, jnp.float32)},
      jnp.asarray(x, jnp.float32)[None], start)
  np.testing.assert_allclose(out[0], norm(mixed), atol=1e-5)
  np.testing.assert_array_equal(after.hidden, out[0])
  # State 0, then state 1, move the same statistics by a tenth; of two rows
  # the unbiased variance is twice the other.
  mean = .9 * .1 * raw.mean() + .1 * mixed.mean()
  variance = .9 * (.9 + .1 * 2 * raw.var()) + .1 * 2 * mixed.var()
  assert after.norm.mean[0] == pytest.approx(mean, abs=1e-6)
  assert after.norm.variance[0] == pytest.approx(variance, abs=1e-6)


def test_evaluation_uses_the_running_statistics_and_leaves_them():
  cell = recurrent.cell(1, train=False)
  params = cell.init(jax.random.key(0), 3, 2) | {
      recurrent.ALPHAS: jnp.zeros((1, 5))}
  inputs = jax.random.normal(jax.random.key(1), (4, 5, 3))
  start = cell.start(5, 2)
  out, after = cell.run(params, inputs, start)
  alone, _ = cell.run(params, inputs[:, :1], cell.start(1, 2))
  # No row depends on the others, which it would by their statistics.
  np.testing.assert_allclose(out[:, :1], alone, atol=1e-6)
  assert all(map(np.array_equal, after.norm, start.norm))
  assert np.abs(out).max() > 1e-3


def test_a_cell_without_nodes_is_refused():
  with pytest.raises(ValueError, match='num_nodes is 0'):
    recurrent.cell(0)
