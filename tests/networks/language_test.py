import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import language
from nas_jax.spaces import presets

_CELL = ((('tanh', 0), ('relu', 1)), (1, 2))


def _model(**sizes):
  sizes = dict(vocabulary=20, embedding=6, hidden=6) | sizes
  return language.make('rnn_chain', _CELL, language.Sizes(**sizes))


def _apply(model, key=None, steps=5, **rates):
  params = model.init(jax.random.key(0))
  tokens = jnp.arange(steps * 3).reshape(steps, 3) % 20
  return model.apply(params, tokens, model.start(3), key=key,
                     rates=language.Rates(**rates))


@pytest.mark.parametrize('name, words, size, published', (
    ('DARTS_V2_RNN', 10000, 850, 22_960_000),
    ('DARTS_V2_RNN', 33278, 700, 33_127_878),
    ('ENAS_RNN', 10000, 850, 27_295_000),
    ('DARTS_V1_RNN', 10000, 300, 4_810_000),
    ('NAO_RNN', 10000, 850, 27_295_000),
    ('NAO_RNN', 33278, 700, 36_067_878),
))
def test_models_have_their_published_sizes(name, words, size, published):
  preset = presets.load(name)
  model = language.make(preset.family, preset.genotype,
                        language.Sizes(words, size, size))
  assert model.num_params == published


def test_the_final_model_of_the_corrected_enas_code_has_20_8_million():
  preset = presets.load('ENAS_LM_RNN')
  sizes = language.Sizes(10000, 800, 800, bias=False)
  assert language.make(
      preset.family, preset.genotype, sizes).num_params == 20_800_000


def test_untied_layers_of_other_sizes_fit_together():
  model = _model(embedding=4, hidden=6, num_layers=2, tied=False)
  params = model.init(jax.random.key(0))
  assert params['decoder'].shape == (20, 6)
  assert params['embedding'].shape == (20, 4)
  assert model.sizes.layers() == ((4, 6), (6, 6))
  tied = _model(embedding=4, hidden=6, num_layers=2)
  assert tied.sizes.layers() == ((4, 6), (6, 4))
  assert _apply(tied).outputs.shape == (5, 3, 4)


def test_without_a_key_nothing_is_dropped():
  model = _model()
  plain = _apply(model)
  rates = dict(output=.5, hidden=.5, inputs=.5, embedding=.5, words=.5)
  np.testing.assert_array_equal(_apply(model, **rates).raw, plain.raw)
  np.testing.assert_array_equal(plain.outputs, plain.raw)


def test_outputs_are_dropped_alike_in_all_steps():
  found = _apply(_model(), jax.random.key(1), output=.5)
  ratio = np.asarray(found.outputs / found.raw)
  np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape),
                             rtol=1e-5)
  assert set(np.round(ratio[0].ravel(), 4)) == {0., 2.}


def test_whole_words_are_dropped():
  model = _model(vocabulary=40)
  params = model.init(jax.random.key(0))
  # The same words twice, beside each other: what is dropped is a word.
  tokens = jnp.tile(jnp.arange(40)[None], (2, 1))
  found = model.apply(params, tokens, model.start(40), key=jax.random.key(2),
                      rates=language.Rates(words=.4))
  # A chain of tanh, then relu, at the state 0 gives 0 for a word of zeros.
  silent = np.all(np.asarray(found.raw) == 0, -1)
  np.testing.assert_array_equal(silent[0], silent[1])
  assert 0 < silent[0].sum() < 40


def test_the_same_key_drops_the_same():
  rates = dict(output=.5, hidden=.5, inputs=.5, embedding=.5, words=.2)
  one, same, other = (
      _apply(_model(), jax.random.key(k), **rates).outputs for k in (1, 1, 2))
  np.testing.assert_array_equal(one, same)
  assert np.abs(one - other).max() > 0


def test_the_mean_loss_counts_the_steps_before_the_length():
  model = _model()
  params = model.init(jax.random.key(0))
  outputs, targets = _apply(model).outputs, jnp.ones((5, 3), jnp.int32)
  found = language.mean_loss(params, outputs, targets, jnp.int32(2))
  each = language.losses(params, outputs, targets)
  np.testing.assert_allclose(found, np.mean(each[:2]), rtol=1e-6)
  np.testing.assert_allclose(
      each, -language.log_probs(params, outputs)[..., 1], rtol=1e-5)


def test_bad_sizes_and_rates_are_refused():
  with pytest.raises(ValueError, match='hidden is 0'):
    language.Sizes(10, 4, 0)
  with pytest.raises(ValueError, match='output is 1.0, expected a share'):
    language.Rates(output=1.)
  with pytest.raises(ValueError, match="'darts' is no family of language"):
    language.make('darts', _CELL, language.Sizes(10, 4, 4))
