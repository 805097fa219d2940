import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import tables
from nas_jax.predictors import encoder_decoder
from nas_jax.predictors import nao_settings
from nas_jax.spaces import discrete
from nas_jax.spaces import nao
from nas_jax.spaces import sequences

_ACTIVATIONS = 'tanh', 'relu', 'identity', 'sigmoid'


def _rnn_code():
  return sequences.of_space(discrete.space(
      [c for k in range(11) for c in (range(k + 1), _ACTIVATIONS)]))


def _small(name='pytorch_v1', **changes):
  return nao_settings.load(
      name, **{'hidden_size': 16, 'epochs': 2, 'batch_size': 20} | changes)


@functools.cache
def _cells():
  """A code, 40 of its sequences, and a model with random parameters."""
  space = nao.space(nao.WS_OPERATIONS, num_nodes=2)
  code = nao.short_code(space)
  genomes = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 40))
  return code, np.asarray(sequences.to_tokens(code, genomes))


@pytest.mark.parametrize('make, name, parts, count', [
    (lambda: nao.long_code(nao.space()), 'nao', (74_881, 133_654), 208_535),
    (_rnn_code, 'nao_rnn', (175_649, 132_689), 308_338),
    (lambda: nao.short_code(nao.space(nao.WS_OPERATIONS)), 'pytorch_v1',
     (175_073, 104_460), 279_533),
])
def test_as_many_parameters_as_the_codes(make, name, parts, count):
  code = make()
  model = encoder_decoder.model(code, nao_settings.SETTINGS[name])
  params = jax.eval_shape(model.init, jax.random.key(0))

  def size(*names):
    return sum(x.size for x in jax.tree.leaves([params[n] for n in names]))

  assert (size('encoder', 'predictor'),
          size('decoder', 'attention', 'output')) == parts
  assert sum(x.size for x in jax.tree.leaves(params)) == count


@pytest.mark.parametrize('name', ['nao', 'pytorch_v2'])
def test_points_have_norm_1_before_and_after_a_step(name):
  code, tokens = _cells()
  model = encoder_decoder.model(code, _small(name, layers=(8,)))
  params = model.init(jax.random.key(1))
  memory, e = model.encode(params, tokens)
  group = {'nao': 3, 'pytorch_v2': 2}[name]
  assert memory.shape == (40, -(-16 // group), 16) and e.shape == (40, 16)
  moved, moved_e = model.improve(params, memory, 10.)
  for x in memory, e, moved, moved_e:
    np.testing.assert_allclose(jnp.linalg.norm(x, axis=-1), 1, rtol=1e-5)
  assert float(jnp.abs(moved - memory).max()) > 1e-3


@pytest.mark.parametrize('name', ['nao', 'pytorch_v1'])
def test_a_small_step_raises_the_prediction(name):
  code, tokens = _cells()
  model = encoder_decoder.model(code, _small(name))
  params = model.init(jax.random.key(1))
  memory, e = model.encode(params, tokens)
  _, moved = model.improve(params, memory, .1)
  assert (model.predict(params, moved) > model.predict(params, e)).all()
  same, _ = model.improve(params, memory, 0.)
  np.testing.assert_allclose(same, memory, atol=1e-6)


@pytest.mark.parametrize('name', ['nao', 'pytorch_v1'])
def test_whatever_is_decoded_is_legal(name):
  for code in (_cells()[0], nao.long_code(nao.space(num_nodes=3))):
    model = encoder_decoder.model(code, _small(name))
    params = jax.tree.map(lambda x: 5 * x, model.init(jax.random.key(2)))
    points = jax.random.normal(jax.random.key(3), (200, 17, 16))
    tokens = jax.jit(model.decode)(params, points[:, 1:], points[:, 0])
    assert tokens.dtype == jnp.int32
    assert sequences.is_legal(code, np.asarray(tokens)).all()
    assert len(np.unique(tokens, axis=0)) > 20


def test_probabilities_are_of_legal_tokens_alone():
  code, tokens = _cells()
  model = encoder_decoder.model(code, _small())
  params = model.init(jax.random.key(2))
  logits = model.logits(params, *model.encode(params, tokens), tokens)
  assert logits.shape == (40, 16, 9)
  finite = np.isfinite(logits)
  # Node k of each cell admits k + 2 inputs, then five operations.
  assert finite[0].sum(-1).tolist() == [2, 5, 2, 5, 3, 5, 3, 5] * 2
  assert np.take_along_axis(finite, tokens[..., None], -1).all()


@pytest.mark.parametrize('name', ['nao', 'pytorch_v1'])
def test_decoding_agrees_with_teacher_forcing(name):
  code, tokens = _cells()
  model = encoder_decoder.model(code, _small(name))
  params = jax.tree.map(lambda x: 3 * x, model.init(jax.random.key(4)))
  memory, e = model.encode(params, tokens)
  found = model.decode(params, memory, e)
  logits = model.logits(params, memory, e, found)
  assert (np.argmax(logits, -1) == found).all()


def test_swaps_keep_what_belongs_together():
  code, tokens = _cells()
  swapped = np.asarray(encoder_decoder.swap_randomly(
      jax.random.key(0), tokens, code.swaps))

  def nodes(rows):
    """Each node of each row as a sorted pair of branches."""
    return np.sort(rows.reshape(-1, 4, 2, 2) @ [100, 1], -1)

  assert (nodes(swapped) == nodes(tokens)).all()
  changed = (swapped != tokens).reshape(-1, 2, 2, 4).any(-1).sum(-1)
  assert changed.max() == 1  # of the nodes of a cell
  assert 10 < changed.any(-1).sum() < 30  # about half of the rows
  assert encoder_decoder.swap_randomly(
      jax.random.key(0), tokens, code.swaps[:0]) is tokens


def test_scores_are_scaled_over_what_is_known():
  scores = jnp.array([.5, .9, .7, 0.])
  known = jnp.array([True, True, True, False])
  np.testing.assert_allclose(
      encoder_decoder.normalised(scores, known), [0, 1, .5, 0], atol=1e-6)
  assert (encoder_decoder.normalised(jnp.ones(3), jnp.ones(3, bool)) == 0).all()


def test_metrics():
  a, b = np.array([1., 2., 3.]), np.array([1., 3., 2.])
  assert encoder_decoder.pairwise_accuracy(a, a) == 1
  assert encoder_decoder.pairwise_accuracy(a, b) == pytest.approx(2 / 3)
  assert encoder_decoder.pairwise_accuracy(a, -a) == 0
  assert encoder_decoder.hamming_distance([[1, 2], [3, 4]],
                                          [[1, 2], [4, 3]]) == 1


def test_rows_beyond_the_count_are_ignored_and_seeds_vectorise():
  code, tokens = _cells()
  model = encoder_decoder.model(code, _small())
  scores = np.linspace(0, 1, 40, dtype=np.float32)
  fit = jax.jit(jax.vmap(model.fit, (0, None, None, None)))
  keys = jax.random.split(jax.random.key(0), 2)
  a = fit(keys, tokens, scores, 25)
  other = scores.copy()
  other[25:] = 7.
  b = fit(keys, np.where(np.arange(40)[:, None] < 25, tokens, tokens[:1]),
          other, 25)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    assert (x == y).all()
  assert float(jnp.abs(a['output']['kernel'][0]
                       - a['output']['kernel'][1]).max()) > .01


def test_scores_of_failed_ones_are_not_learned():
  code, tokens = _cells()
  model = encoder_decoder.model(code, _small())
  scores = np.linspace(0, 1, 40, dtype=np.float32)
  failed = np.arange(40) < 5
  fit = jax.jit(model.fit)
  kernels = [fit(jax.random.key(0), tokens, np.where(failed, floor, scores),
                 40, none)['predictor'][0]['kernel']
             for none in (failed, failed & False) for floor in (-1., -9.)]
  assert (kernels[0] == kernels[1]).all()
  assert (kernels[2] != kernels[3]).any()


def test_cells_of_a_table_are_learned(shared_data):
  table = tables.load(shared_data / 'nasbench201.npz')
  code = sequences.of_space(table.space)
  rows = np.random.default_rng(1).permutation(15625)[:1000]
  genomes = np.array([discrete.from_index((5,) * 6, int(i)) for i in rows])
  accuracy = table.columns['cifar10_val_12'] / 100
  scores = accuracy[np.asarray(table.number(genomes))]
  tokens = np.asarray(sequences.to_tokens(code, genomes))
  model = encoder_decoder.model(code, nao_settings.load(
      'pytorch_v1', epochs=150, hidden_size=64, layers=(64,)))
  n = 300
  params = jax.jit(model.fit)(jax.random.key(0), tokens[:n], scores[:n], n)
  memory, e = model.encode(params, tokens)
  predicted = np.asarray(model.predict(params, e))
  assert encoder_decoder.hamming_distance(
      model.decode(params, memory[:n], e[:n]), tokens[:n]) < .05
  assert encoder_decoder.pairwise_accuracy(
      predicted[n:], scores[n:]) > .7
  moved = model.decode(params, *model.improve(params, memory[:n], 3.))
  found = accuracy[np.asarray(table.number(
      sequences.to_genomes(code, moved)))]
  gain = found - scores[:n]
  assert gain.mean() > 3 * gain.std() / n**.5


@pytest.mark.parametrize('changes, message', [
    (dict(epochs=0), 'epochs must be at least 1, got 0'),
    (dict(trade_off=2), 'trade_off is 2, which is not in 0..1'),
    (dict(attention='none'), "unknown attention 'none'"),
    (dict(step_sizes=()), 'step_sizes \\(\\) must be some positive numbers'),
    (dict(clip=0), 'clip must be positive, got 0'),
])
def test_bad_settings(changes, message):
  with pytest.raises(ValueError, match=message):
    encoder_decoder.model(_cells()[0], _small(**changes))
