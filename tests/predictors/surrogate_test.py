"""Predictors: sizes, what they read, what they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.predictors import surrogate
from nas_jax.spaces import progressive

_PNAS = progressive.cells(8, 5)
_SMALL = progressive.cells(3, 2)


def _cells(growth, level):
  genomes = growth.first()
  for b in range(2, level + 1):
    genomes = growth.expand(genomes, b)
  return growth.tokens(genomes, np.full(len(genomes), level))


def _params(kind, growth=_PNAS, **options):
  module = surrogate.network(growth.vocabulary, kind, **options)
  return module, surrogate.init(jax.random.key(0), module)


@pytest.mark.parametrize('kind, expected', [('rnn', 81901), ('mlp', 51701)])
def test_predictors_have_the_published_layers(kind, expected):
  _, params = _params(kind)
  assert sum(x.size for x in jax.tree.leaves(params)) == expected
  for i, size in enumerate((6, 8)):
    table = params[f'embedding{i}']
    assert table.shape == (size, 100)
    assert .095 < jnp.abs(table).max() <= .1


def test_an_unread_architecture_scores_the_mean_of_one_block():
  for kind in ('mlp', 'rnn'):
    module, params = _params(kind)
    assert params['output']['bias'].tolist() == [pytest.approx(1.8)]
    params = jax.tree.map(jnp.zeros_like, params) | {
        'output': params['output']}
    tokens = jnp.asarray(_cells(_PNAS, 1)[0])
    assert module.apply({'params': params}, module.features(
        tokens)) == pytest.approx(0.8581489)


def test_the_mlp_reads_the_mean_of_concatenated_embeddings():
  module, params = _params('mlp', _SMALL, hidden_size=4)
  tokens = jnp.array([[0, 1, 2, 0], [2, 1, 1, 1]])
  inputs, operations = params['embedding0'], params['embedding1']
  blocks = jnp.stack([
      jnp.concatenate([inputs[a], inputs[b], operations[c], operations[d]])
      for a, b, c, d in tokens.tolist()])
  x = jax.nn.relu(blocks.mean(0) @ params['kernel0'] + params['bias0'])
  x = jax.nn.relu(x @ params['hidden1']['kernel'] + params['hidden1']['bias'])
  expected = jax.nn.sigmoid(x @ params['output']['kernel'] + 1.8)[0]
  found = module.apply({'params': params}, module.features(tokens))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_order_of_blocks_matters_to_the_rnn_alone():
  tokens = jnp.asarray(_cells(_SMALL, 2)[200])
  assert (tokens[0] != tokens[1]).any()
  for kind, same in (('mlp', True), ('rnn', False)):
    module, params = _params(kind, _SMALL)
    one, other = (
        module.apply({'params': params}, module.features(t))
        for t in (tokens, tokens[::-1]))
    assert (abs(one - other) < 1e-7) == same


def test_absent_tokens_are_not_read():
  tokens = np.full((5, 4), progressive.ABSENT)
  tokens[:2] = [[0, 1, 2, 3], [2, 1, 5, 6]]
  holes = tokens[:2].copy()
  holes[0, 1] = progressive.ABSENT
  for kind in ('mlp', 'rnn'):
    module, params = _params(kind)
    read = lambda t: module.apply(
        {'params': params}, module.features(jnp.asarray(t)))
    np.testing.assert_allclose(read(tokens), read(tokens[:2]), rtol=1e-6)
    assert read(tokens) != read(tokens[:1])
  # The RNN reads what is there, one after the other.
  entries, number = surrogate.Rnn(
      (0, 0, 1, 1), (6, 8), 100).features(jnp.asarray(holes))
  assert number == 7
  assert entries[:7].tolist() == [0, 8, 9, 2, 1, 11, 12]


def _task(level=2):
  """Cells whose scores are a function of their tokens."""
  tokens = _cells(_SMALL, level)
  scores = .6 + .1 * (tokens[:, :, 2:] == 1).mean((1, 2)) + .05 * (
      tokens[:, 0, 0] == 1)
  return tokens, scores.astype(np.float32)


def test_an_ensemble_learns_and_ranks_unseen_cells():
  tokens, scores = _task()
  order = np.random.default_rng(0).permutation(len(tokens))
  tokens, scores = tokens[order], scores[order]
  model = surrogate.ensemble(_SMALL.vocabulary, epochs=60)
  params = model.fit(jax.random.key(0), tokens[:200], scores[:200], 200, .01)
  found = model.predict(params, tokens[200:])
  assert found.shape == (len(tokens) - 200,)
  assert np.abs(found - scores[200:]).mean() < .01
  assert np.corrcoef(found, scores[200:])[0, 1] > .9
  # Each member is another one, and their mean is what is predicted.
  members = np.asarray(model.members(params, jnp.asarray(tokens[200:])))
  assert len(members) == 5 and len(np.unique(members[:, 0])) == 5
  np.testing.assert_allclose(members.mean(0), found, rtol=1e-5)


def test_an_ensemble_varies_less_than_its_members():
  tokens, scores = _task()
  model = surrogate.ensemble(_SMALL.vocabulary, epochs=20)
  found = np.array([
      model.members(model.fit(jax.random.key(seed), tokens[:60], scores[:60],
                              60, .01), jnp.asarray(tokens[60:160]))
      for seed in range(6)])  # [seeds, members, cells]
  single = found.var(axis=0).mean()
  assert found.mean(axis=1).var(axis=0).mean() < .6 * single


def test_rows_beyond_the_count_are_ignored():
  tokens, scores = _task(1)
  assert len(tokens) == 21
  model = surrogate.ensemble(
      _SMALL.vocabulary, num_members=3, epochs=2, batch_size=8)
  one = model.fit(jax.random.key(0), tokens, scores, 10, .01)
  scores[10:] = 100.
  other = model.fit(jax.random.key(0), tokens[np.r_[:10, 20:9:-1]], scores, 10,
                    .01)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other)):
    assert (a == b).all()


def test_every_member_leaves_out_its_own_part():
  # Each example is a token of its own: only those that are read are learned.
  vocabulary = progressive.Vocabulary((0,), (10,))
  tokens = np.arange(10).reshape(10, 1, 1)
  model = surrogate.ensemble(vocabulary, epochs=1, batch_size=10)
  key = jax.random.key(3)
  params = model.fit(key, tokens, np.ones(10, np.float32), 10, .01)
  before = model.fit(key, tokens, np.ones(10, np.float32), 10, 0.)
  learned = (params['embedding0'] != before['embedding0']).any(-1)
  assert learned.shape == (5, 10)
  assert learned.sum(1).tolist() == [8] * 5
  assert learned.sum(0).tolist() == [4] * 10


def test_a_single_predictor_learns_from_all():
  vocabulary = progressive.Vocabulary((0,), (4,))
  tokens = np.arange(4).reshape(4, 1, 1)
  model = surrogate.ensemble(vocabulary, num_members=1, epochs=1)
  fit = lambda rate: model.fit(
      jax.random.key(0), tokens, np.ones(4, np.float32), 4, rate)
  changed = fit(.1)['embedding0'] != fit(0.)['embedding0']
  assert changed.any(-1).tolist() == [[True] * 4]


def test_predictions_do_not_depend_on_how_many_there_are():
  tokens, scores = _task()
  model = surrogate.ensemble(_SMALL.vocabulary, num_members=2, epochs=1)
  params = model.fit(jax.random.key(0), tokens[:50], scores[:50], 50, .01)
  few = model.predict(params, tokens)
  many = model.predict(params, np.concatenate([tokens] * 3))
  np.testing.assert_allclose(np.tile(few, 3), many, rtol=1e-5)
  assert len(model.predict(params, tokens[:0])) == 0


@pytest.mark.parametrize('options, message', [
    (dict(kind='gp'), "unknown predictor 'gp', expected one of mlp, rnn"),
    (dict(num_members=0), 'num_members must be at least 1, got 0'),
    (dict(epochs=0), 'epochs must be at least 1, got 0'),
])
def test_bad_ensembles(options, message):
  with pytest.raises(ValueError, match=message):
    surrogate.ensemble(_SMALL.vocabulary, **options)
