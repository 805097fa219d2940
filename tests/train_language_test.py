"""Training one recurrent cell on text, as its users see it."""

import dataclasses
import re

import pytest

from experiments import evaluate_language
from experiments import flags
from experiments import train_language
from nas_jax import language_on_text
from nas_jax import language_problem
from nas_jax import records
from nas_jax.spaces import presets
from nas_jax.training import language_recipes

_TINY = dict(
    scale='smoke', recipe='fast', embedding=4, hidden=4, epochs=2,
    batch_size=4, bptt=8, eval_batch_size=2, test_batch_size=2)
_WORDS = 'one two three four five six seven\n'


def _settings(architecture, **changes):
  return language_on_text.Settings(
      architecture=str(architecture), **{**_TINY, **changes})


@pytest.fixture(scope='module')
def cell(tmp_path_factory):
  """A search's workdir with a cell of one node, and a text."""
  folder = tmp_path_factory.mktemp('cell')
  records.write_json(folder / 'genotype.json', {
      'family': 'rnn_chain', 'genotype': [[['tanh', 0]], [1]]})
  (folder / 'words.txt').write_text(_WORDS * 40)
  return folder


@pytest.fixture(scope='module')
def two_seeds(cell, tmp_path_factory):
  folder = tmp_path_factory.mktemp('two_seeds')
  return folder, train_language.main(folder, _settings(
      cell, dataset=f'text:{cell / "words.txt"}', num_seeds=2, seed=3))


def test_two_seeds_and_what_stands_beside_them(two_seeds, capsys):
  folder, summary = two_seeds
  result, seeds = summary['result'], summary['seeds']
  assert [s['seed'] for s in seeds] == [3, 4] and result['num_seeds'] == 2
  a, b = (s['test_perplexity'] for s in seeds)
  assert a != b and result['test_perplexity'] == pytest.approx((a + b) / 2)
  assert result['std_test_perplexity'] == pytest.approx(
      abs(a - b) / 2**.5)
  assert set(summary['beside']) == {'bigrams', 'unigrams'}
  # Seven words and the end of the line, about as often.
  assert summary['beside']['unigrams']['test_perplexity'] == pytest.approx(
      8, rel=.1)
  assert summary['best_possible_perplexity'] is None
  assert (folder / 'report.html').exists()
  assert (folder / 'seed_4' / 'network.json').exists()
  # The same command says it again and does nothing else.
  assert train_language.main(folder, language_on_text.Settings(
      **records.read_json(folder / 'config.json')['flags'])) == summary
  assert 'test perplexity' in capsys.readouterr().out


def test_a_trained_model_is_evaluated(two_seeds, cell, capsys):
  folder, summary = two_seeds
  found = evaluate_language.main(evaluate_language.Settings(
      model=str(folder / 'seed_3'), dataset=f'text:{cell / "words.txt"}',
      batch_size=2))
  assert found == pytest.approx(
      summary['seeds'][0]['test_perplexity'], rel=1e-6)
  assert 'test part of text:' in capsys.readouterr().out
  with pytest.raises(ValueError, match='with a vocabulary of 8, but that of '
                     'grammar has 40; only one of them has '):
    evaluate_language.main(evaluate_language.Settings(
        model=str(folder / 'seed_3'), dataset='grammar'))


def test_a_cell_is_carried_to_characters_of_another_text(
    two_seeds, tmp_path, capsys):
  folder, _ = two_seeds
  (tmp_path / 'letters.txt').write_text('abcab cab ab\n' * 90)
  summary = train_language.main(tmp_path / 'run', _settings(
      folder, dataset=f'text:{tmp_path / "letters.txt"}', unit='character',
      max_vocabulary=4))
  assert records.read_json(tmp_path / 'run' / 'genotype.json') == {
      'family': 'rnn_chain', 'genotype': [[['tanh', 0]], [1]]}
  assert 1 < summary['result']['test_bits_per_character'] < 3
  assert 'bits per character' in capsys.readouterr().out
  # Its text is read with the same limit again.
  network = records.read_json(tmp_path / 'run' / 'network.json')
  assert network['vocabulary'] == [' ', 'a', 'b', '<unk>']
  assert evaluate_language.main(evaluate_language.Settings(
      model=str(tmp_path / 'run'), batch_size=2)) == pytest.approx(
          summary['result']['test_perplexity'], rel=1e-6)


def _of(architecture, **changes):
  settings = language_on_text.Settings(architecture=architecture, **changes)
  preset = presets.load(architecture)
  name = language_on_text.recipe_name(settings, preset)
  return name, language_on_text.network_name(settings, preset, name)


@pytest.mark.parametrize('architecture, changes, expected', [
    ('DARTS_V2_RNN', dict(dataset='ptb'), ('darts_ptb', 'ptb')),
    ('DARTS_V1_RNN', dict(dataset='wikitext2'), ('darts_wt2', 'wikitext2')),
    ('ENAS_RNN', dict(dataset='ptb'), ('darts_ptb', 'ptb')),
    ('ENAS_LM_RNN', dict(dataset='ptb'), ('enas_final', 'enas_lm')),
    ('NAO_RNN', dict(dataset='ptb'), ('nao_ptb', 'ptb')),
    ('nao-ws-rnn', dict(dataset='wikitext2'), ('nao_wt2', 'wikitext2')),
    ('NASCell', dict(dataset='ptb'), ('nas_rl_medium', 'ptb')),
    ('NASCell', dict(dataset='ptb', unit='character'),
     ('char', 'characters_large')),
    ('AWD_LSTM', dict(dataset='wikitext2'), ('awd_wt2', 'wikitext2')),
    ('LSTM', dict(dataset='ptb'), ('nas_rl_medium', 'ptb')),
    ('DARTS_V2_RNN', dict(), ('fast', 'ptb')),
    ('DARTS_V2_RNN', dict(dataset='ptb', recipe='fast'), ('fast', 'ptb')),
])
def test_the_recipe_and_the_sizes_of_the_paper(
    architecture, changes, expected):
  assert _of(architecture, **changes) == expected


@pytest.mark.parametrize('architecture, num_params', [
    ('DARTS_V2_RNN', 22_960_000), ('ENAS_RNN', 27_295_000),
    ('ENAS_LM_RNN', 20_800_000), ('NAO_RNN', 27_295_000),
    ('NASCell', 24_923_200), ('AWD_LSTM', 24_221_600)])
def test_sizes_of_penn_treebank(shared_data, architecture, num_params):
  settings = language_on_text.Settings(
      architecture=architecture, dataset='ptb', scale='paper',
      data_dir=str(shared_data / 'ptb'), max_train=10_000)
  job, = language_on_text.jobs_of(
      settings, presets.load(architecture), language_problem.load(settings))
  assert job.model.num_params == num_params


def test_what_is_set_replaces_what_recipe_and_network_say():
  settings = language_on_text.Settings(
      architecture='DARTS_V2_RNN', dataset='grammar', recipe='darts_ptb',
      hidden=6, batch_size=8, drop_words=0., tied=False, seed=5, num_seeds=2)
  jobs = language_on_text.jobs_of(
      settings, presets.load('DARTS_V2_RNN'), language_problem.load(settings))
  assert [job.seed for job in jobs] == [5, 6]
  sizes = jobs[0].model.sizes
  assert (sizes.embedding, sizes.hidden, sizes.tied) == (6, 6, False)
  assert jobs[0].recipe == language_recipes.load(
      'darts_ptb', batch_size=8, drop_words=0.)


def test_dropped_weights_that_a_cell_has_not():
  preset = presets.load('DARTS_V2_RNN')
  make = lambda **changes: language_on_text.Settings(
      architecture='DARTS_V2_RNN', hidden=4, bptt=8, **changes)
  settings = make(recipe='awd_ptb')
  corpus = language_problem.load(settings)
  job, = language_on_text.jobs_of(settings, preset, corpus)
  assert job.recipe.drop_weight == 0. and job.recipe.drop_between == .25
  with pytest.raises(ValueError, match=(
      '^drop_weight is 0.5, but cells of the family rnn_chain have no ')):
    language_on_text.jobs_of(make(drop_weight=.5), preset, corpus)
  job, = language_on_text.jobs_of(settings, presets.load('LSTM'), corpus)
  assert job.recipe.drop_weight == .5


def test_every_recipe_is_known():
  names = [name for pairs in (
      language_on_text._OF_FAMILY, language_on_text._OF_NAME)
           for pair in pairs.values() for name in pair]
  assert set(names) < set(language_recipes.RECIPES)


@pytest.mark.parametrize('scale', ['smoke', 'small', 'paper'])
def test_every_scale_is_legal(scale):
  settings = language_on_text.Settings(
      scale=scale, architecture='a.json', **train_language.SCALES[scale])
  assert (settings.dataset == 'ptb') == (scale == 'paper')


@pytest.mark.parametrize('kind', [
    language_on_text.Settings, evaluate_language.Settings])
def test_every_flag_has_help(kind):
  helps = flags.help_of(kind)
  assert all(helps[field.name] for field in dataclasses.fields(kind))


@pytest.mark.parametrize('options, message', [
    (dict(architecture=None), '--architecture is not set: name a published '
     'one such as DARTS_V2_RNN, a genotype.json, or the workdir of a search '
     'on text'),
    (dict(architecture='DARTS_V2'), "'darts' is no family of language models"),
    (dict(recipe='slow'), "recipe is 'slow', expected one of darts_ptb, "),
    (dict(network='ptb_huge'), 'the family rnn_chain has no network '
     "'ptb_huge', expected one of ptb, wikitext2, "),
    (dict(unit='letter'), "unit is 'letter', expected one of word, character"),
    (dict(bptt=0), 'bptt is 0, expected at least 1'),
    (dict(drop_output=1.), 'drop_output is 1.0, expected a share in [0, 1)'),
    (dict(batch_size=30_000), 'a text of 60005 tokens gives each of the 30000 '
     'rows of a batch 2, but a window of bptt 8 needs 9'),
    (dict(num_seeds=0), 'num_seeds is 0, expected at least 1'),
    (dict(dataset='wikitext3'), "unknown "),
])
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, options, message):
  folder = tmp_path / 'run'
  with pytest.raises(SystemExit) as e:
    with flags.errors_in_one_line(folder):
      train_language.main(folder, language_on_text.Settings(
          **{**_TINY, 'architecture': 'DARTS_V2_RNN', **options}))
  assert re.match(f'error: {re.escape(message)}', e.value.code), e.value.code
  assert '\n' not in e.value.code and not folder.exists()


def test_undecodable_bytes_say_where(tmp_path):
  path = tmp_path / 'words.txt'
  path.write_bytes(b'one two\nthree \xff four\n')
  with pytest.raises(ValueError, match=r'words.txt.*line 2.*byte'):
    train_language.main(tmp_path / 'run', _settings(
        'DARTS_V2_RNN', dataset=f'text:{path}'))


@pytest.mark.parametrize('options, message', [
    (dict(), '--model is not set: name the folder of a finished training'),
    (dict(model='x', part='train'), "part is 'train', expected one of test, "),
    (dict(model='x', batch_size=0), 'batch_size is 0, expected at least 1'),
])
def test_bad_evaluations(options, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    evaluate_language.Settings(**options)
