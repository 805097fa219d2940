"""NAS-RL and NAO for language, from flags to the found cell."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments import flags
from experiments import nao
from experiments import nao_text
from experiments import nas_rl
from experiments import nas_rl_text
from nas_jax import language_training
from nas_jax import records
from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent_tree
from nas_jax.spaces import sequences
from nas_jax.training import language as training
from nas_jax.training import language_recipes

_TINY = dict(
    scale='smoke', num_children=4, children_per_round=2, epochs=1,
    batch_size=4, bptt=5, hidden=3, final_epochs=1, final_batch_size=4,
    final_bptt=5, final_hidden=3)
_EXPERIMENTS = {
    'nas_rl': (nas_rl_text, dict(base=2, num_replicas=2, accumulate=1)),
    'nao': (nao_text, dict(num_nodes=1, num_initial=2, num_seeds=2, num_new=2,
                           predictor_epochs=2))}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A text of few words."""
  folder = tmp_path_factory.mktemp('text')
  for name, lines in (('train', 60), ('valid', 20), ('test', 20)):
    (folder / f'{name}.txt').write_text('a b\nb c\n' * lines)
  return folder


def _timeless(line):
  return {k: v for k, v in line.items() if k != 'seconds'}


def _settings(name, **options):
  module, own = _EXPERIMENTS[name]
  return module.Settings(**module.SMOKE | _TINY | own | options)


@pytest.fixture
def no_finals(monkeypatch):
  """Results are not trained, which other tests do."""
  def train_and_test(folder, job, corpus, label):
    return {'test_perplexity': 2., 'num_params': job.model.num_params}, 0.

  monkeypatch.setattr(language_training, 'train_and_test', train_and_test)


@pytest.fixture(scope='module')
def finished(tmp_path_factory, folder):
  """The workdir of a run of NAO, undisturbed, and its settings."""
  workdir = tmp_path_factory.mktemp('finished')
  settings = _settings('nao', dataset=f'text:{folder}')
  nao_text.main(workdir, settings)
  return workdir, settings


def test_a_run_ends_with_a_cell(capsys, folder, finished):
  workdir, settings = finished
  summary = records.read_json(workdir / 'summary.json')
  assert summary['search']['num_children'] == 4
  assert set(summary['result']) == set(summary['random_search'])
  assert set(summary['beside']) == {
      'LSTM of equal size', 'bigrams', 'unigrams'}
  found = language_training.load(workdir)
  assert found.config['genotype'] == genotypes.to_json(
      presets.load(workdir).genotype)
  assert language_training.evaluate(
      found, text.load(f'text:{folder}')) == pytest.approx(
          summary['result']['test_perplexity'])
  page = (workdir / 'report.html').read_text()
  assert 'nao on text:' in page and 'LSTM of equal size' in page
  # Run again, it is told again.
  before = (workdir / 'history.jsonl').read_bytes()
  capsys.readouterr()
  assert nao_text.main(workdir, settings) == records.read_json(
      workdir / 'summary.json')
  assert (workdir / 'history.jsonl').read_bytes() == before
  assert 'LSTM of equal size' in capsys.readouterr().out


def test_both_searches_of_nas_rl_train_as_many_children(
    tmp_path, folder, no_finals):
  summary = nas_rl_text.main(
      tmp_path, _settings('nas_rl', dataset=f'text:{folder}'))
  for place in (tmp_path, tmp_path / 'random_search'):
    history = records.read(place / 'history.jsonl')
    assert len(history) == 4
    for line in history:
      perplexity = line['metrics']['validation_perplexity']
      assert line['reward'] == pytest.approx(80 / perplexity ** 2, rel=1e-5)
    assert presets.load(place).family == 'rnn_tree'
  assert summary['search']['num_failed'] == 0


def test_a_search_goes_on_where_it_stopped(
    tmp_path, monkeypatch, finished, no_finals):
  """No child is trained twice, and the run is the undisturbed one."""
  whole, settings = finished
  fit, calls = training.fit, []

  def interrupted(*args, **kwargs):
    calls.append(0)
    if len(calls) == 4:
      raise KeyboardInterrupt
    return fit(*args, **kwargs)

  monkeypatch.setattr(training, 'fit', interrupted)
  with pytest.raises(KeyboardInterrupt):
    nao_text.main(tmp_path / 'run', settings)
  assert len(records.read(tmp_path / 'run' / 'children.jsonl')) == 3
  nao_text.main(tmp_path / 'run', settings)
  assert [_timeless(line) for line in records.read(
      tmp_path / 'run' / 'history.jsonl')] == [_timeless(line) for line in (
          records.read(whole / 'history.jsonl'))]
  # One of each child, and the one that was interrupted.
  assert len(calls) == 1 + len(records.read(
      tmp_path / 'run' / 'children.jsonl'))


def test_paper_scales_are_the_published_settings():
  rl = nas_rl_text.Settings(**nas_rl_text.PAPER)
  assert (rl.num_replicas, rl.num_shards, rl.accumulate, rl.base) == (
      400, 20, 10, 8)
  assert rl.children_per_round // rl.num_replicas == 1
  assert (rl.controller_learning_rate, rl.num_layers) == (5e-4, 2)
  assert language_recipes.load(rl.recipe).epochs == 35
  space = nas_rl_text.space_of(rl)
  assert len(space.choices) == 34
  # Children of the size of the medium models, 20M; the result has 25M.
  genotype = presets.load('NASCell').genotype
  count = lambda hidden: language.make('rnn_tree', genotype, language.Sizes(
      10000, hidden, hidden, 2, bias=False)).num_params
  assert count(rl.hidden) == 20_020_000
  assert count(rl.final_hidden) == 24_923_200
  settings = nao_text.Settings(**nao_text.PAPER)
  assert (settings.hidden, settings.epochs, settings.num_seeds,
          settings.num_new, settings.trade_off) == (850, 600, 100, 300, .8)
  code = sequences.of_space(nao_text.space_of(settings))
  assert (len(code.positions), code.vocabulary) == (22, 16)
  # The published cell in the published tokens.
  genome = nao_text.space_of(settings).encode(presets.load('NAO_RNN').genotype)
  assert np.asarray(sequences.to_tokens(code, genome)).tolist() == [
      1, 13, 1, 13, 2, 13, 4, 12, 5, 13, 5, 13, 6, 13, 2, 13, 8, 13, 2, 13, 2,
      14]


def test_rewards():
  """80 / perplexity^2, as worked out in the paper's scale; and its negative.
  """
  made = nas_rl_text.make(_settings('nas_rl'))
  assert made.reward(62.4) == pytest.approx(.020546, abs=1e-6)
  assert made.reward(100.) == pytest.approx(.008)
  assert made.floor == 0
  made = nao_text.make(_settings('nao'))
  assert made.reward(62.4) == -62.4 and made.floor < -1e5


def test_the_result_of_nas_rl_is_trained_in_sixteen_ways():
  made = nas_rl_text.make(_settings('nas_rl', grid=True))
  assert len(made.final_changes) == 16
  assert len({tuple(c.items()) for c in made.final_changes}) == 16


def test_more_choices_are_the_control_of_the_paper():
  space = nas_rl_text.space_of(_settings('nas_rl', more_choices=True))
  assert space.choices[0] == recurrent_tree.ALL_COMBINATIONS
  assert 'sin' in space.choices[1]


def test_the_controller_of_nas_rl():
  settings = _settings('nas_rl', base=8)
  space = nas_rl_text.space_of(settings)
  state = nas_rl_text.strategy(space, settings).init(jax.random.key(0))
  # Two layers of 35 units, and for each of 34 positions the head and the
  # embeddings of as many choices as the widest has.
  expected = 2 * (70 * 140 + 140) + 34 * 15 * (35 + 1 + 35)
  assert 2 * -(-expected // 2) == state.replicas[0].size


@pytest.mark.parametrize('name', _EXPERIMENTS)
def test_flags_have_help_and_scales_fit(name):
  module, _ = _EXPERIMENTS[name]
  fields = {field.name for field in dataclasses.fields(module.Settings)}
  assert fields == set(flags.help_of(module.Settings))
  for scale, values in module.SCALES.items():
    assert set(values) <= fields
    module.Settings(**values | {'scale': scale})


@pytest.mark.parametrize('make, message', [
    (lambda: _settings('nas_rl', num_replicas=3), 'children_per_round 2 is '
     'not a multiple of num_replicas 3'),
    (lambda: _settings('nas_rl', accumulate=0),
     'accumulate is 0, expected at least 1'),
    (lambda: _settings('nas_rl', reward_scale=0.),
     'reward_scale is 0.0, expected a positive number'),
    (lambda: nas_rl_text.space_of(_settings('nas_rl', base=3)),
     'base is 3, expected a power of two from 2 on'),
    (lambda: _settings('nao', num_initial=4), 'num_children 4 are all random: '
     'choose more than num_initial 4'),
    (lambda: _settings('nao', shared_weights=True),
     'shared_weights is a search of its own: see experiments/nao_ws_text.py'),
    (lambda: _settings('nao', domain='images'),
     "domain is 'images', expected one of text"),
    (lambda: nao.Settings(domain='text'),
     'domain text is a search of its own: see experiments/nao_text.py'),
    (lambda: nas_rl.Settings(domain='texts'),
     "domain is 'texts', expected one of images, text")])
def test_bad_settings(make, message):
  with pytest.raises(ValueError) as e:
    make()
  assert str(e.value) == message
