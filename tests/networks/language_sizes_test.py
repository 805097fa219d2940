import pytest

from nas_jax.networks import language
from nas_jax.networks import language_sizes
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent


# Published numbers, or computed by the rules of their papers; one formula
# each: words V, embedding and hidden size d.
@pytest.mark.parametrize('name, network, expected', [
    # V d + V + (2 d)^2 + 2 n d^2: 23M, 33M, 27M, 36M in the papers.
    ('DARTS_V1_RNN', 'ptb', 22_960_000),
    ('DARTS_V2_RNN', 'ptb', 22_960_000),
    ('DARTS_V2_RNN', 'wikitext2', 33_127_878),
    ('DARTS_V2_RNN', 'search', 4_810_000),
    ('ENAS_RNN', 'ptb', 27_295_000),
    ('NAO_RNN', 'ptb', 27_295_000),
    ('NAO_RNN', 'wikitext2', 36_067_878),
    ('NAO_WS_RNN', 'ptb', 27_295_000),
    ('ENAS_LM_RNN', 'enas_lm', 20_800_000),
    ('DARTS_LM_RNN', 'enas_lm', 20_800_000),
    # V d + 32 d^2: 25M, 54M, 32M in the paper; characters 6.57M and 16.28M.
    ('NASCell', 'ptb', 24_923_200),
    ('NASCell', 'ptb_large', 53_987_328),
    ('NASCell', 'ptb_untied', 32_323_200),
    ('NASCell', 'characters', 6_593_694),
    ('NASCell', 'characters_large', 16_225_650),
    ('LSTM', 'ptb', 19_775_200),
    ('LSTM', 'ptb_large', 66_022_000),
    ('LSTM', 'ptb_large_tied', 51_022_000),
    ('Variational_RHN', 'ptb', 23_482_400),
    ('Variational_RHN', 'ptb_untied', 31_782_400),
    ('AWD_LSTM', 'ptb', 24_221_600),
    ('AWD_LSTM', 'wikitext2', 33_556_078)])
def test_a_model_has_as_many_parameters_as_its_paper_says(
    name, network, expected):
  model = language_sizes.build(presets.load(name), network)
  assert model.num_params == expected


def test_the_child_of_enas_has_nine_nodes():
  nine = recurrent.parse('0 0 ' * 9)
  sizes = language_sizes.sizes_of('rnn_chain', 'enas_lm_search')
  assert language.make('rnn_chain', nine, sizes).num_params == 2_880_000


def test_every_family_has_sizes_and_a_cell():
  assert set(language_sizes.DEFAULTS) == set(recurrent.FAMILIES)
  assert set(language.CELLS) == set(recurrent.FAMILIES)


def test_sizes_that_are_equal_stay_equal():
  found = language_sizes.sizes_of('rnn_chain', hidden=8, vocabulary=20)
  assert found == language.Sizes(20, 8, 8, init_range=found.init_range)
  assert language_sizes.sizes_of('rnn_chain', embedding=6).hidden == 6
  found = language_sizes.sizes_of('rnn_chain', embedding=6, hidden=8)
  assert (found.embedding, found.hidden) == (6, 8)
  found = language_sizes.sizes_of('awd_lstm', hidden=8, num_layers=None)
  assert (found.embedding, found.hidden, found.num_layers) == (400, 8, 3)


def test_few_units_start_from_larger_weights():
  assert language_sizes.init_range(850) == .04
  assert language_sizes.init_range(300) == .04
  assert language_sizes.init_range(48) == pytest.approx(.1)
  sized = lambda **changes: language_sizes.sizes_of(
      'lstm', **changes).init_range
  assert sized(vocabulary=20) == .05 and sized(hidden=650) == .05
  assert sized(hidden=12) == pytest.approx(.2)
  assert sized(hidden=12, init_range=.3) == .3


def test_an_lstm_is_made_as_large_as_a_cell():
  like = language.Sizes(30, 16, 16)
  chain = language.make(
      'rnn_chain', presets.load('DARTS_V2_RNN').genotype, like)
  # 30 d + 30 + 8 d^2 + 4 d: 5,454 for d = 24, 5,880 for d = 25.
  assert chain.num_params == 480 + 30 + 20 * 256
  found = language_sizes.matching('lstm', (), like, chain.num_params)
  assert (found.embedding, found.hidden) == (24, 24)
  assert language.make('lstm', (), found).num_params == 5_454
  alone = language_sizes.matching(
      'lstm', (), language.Sizes(30, 8, 16, tied=False), 10_000)
  assert (alone.embedding, alone.hidden) == (8, 42)


@pytest.mark.parametrize('call, message', [
    (lambda: language_sizes.sizes_of('darts'), "'darts' is no family of"),
    (lambda: language_sizes.sizes_of('rhn', 'wikitext2'), (
        "rhn has no network 'wikitext2', expected one of ptb, ptb_untied")),
    (lambda: language_sizes.matching(
        'lstm', (), language.Sizes(30, 8, 8), 60), 'has 72 parameters, more'),
])
def test_sizes_that_there_are_not(call, message):
  with pytest.raises(ValueError, match=message):
    call()
