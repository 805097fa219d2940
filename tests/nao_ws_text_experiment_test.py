"""NAO-WS of recurrent cells, from flags to the language model."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments import flags
from experiments import nao_ws
from experiments import nao_ws_text
from nas_jax import language_workflow
from nas_jax import records
from nas_jax.predictors import encoder_decoder
from nas_jax.predictors import nao_settings
from nas_jax.spaces import recurrent
from nas_jax.spaces import sequences
from nas_jax.training import language_recipes

_TINY = nao_ws_text.SMOKE | dict(
    scale='smoke', max_train=600, num_nodes=2, hidden=4, epochs=2,
    batch_size=8, bptt=8, num_children=6, num_seeds=2, num_kept=3, num_new=2,
    num_random=1, update_every=1, predictor_epochs=2, final_hidden=4,
    final_epochs=1, final_batch_size=8, final_bptt=8)


def _settings(**options):
  return nao_ws_text.Settings(**_TINY | options)


def test_the_search_stands_beside_its_control(tmp_path, monkeypatch):
  concluded = {}
  monkeypatch.setattr(
      language_workflow, 'conclude', lambda folder, settings, made, runs,
      **options: concluded.update(options, runs=runs))
  nao_ws_text.main(tmp_path, _settings())
  assert concluded['more']['num_renewals'] == 1
  for name, (place, _, children) in concluded['runs'].items():
    log = records.read(place / 'supernet.jsonl')
    assert [line['epoch'] for line in log] == [0, 1]
    assert log[0]['num_scored'] == 6
    # Kept, found by the gradient or random in its place, random.
    assert len(children) == 3 + (
        log[0]['num_new'] if name == 'result' else 2) + 1
    assert children == records.read(place / 'history.jsonl')
    cells = [json.dumps(child['genotype']) for child in children]
    assert len(set(cells)) == len(cells)
    for child in children:
      assert child['reward'] == pytest.approx(-np.log(
          child['metrics']['validation_perplexity']))
      assert -5 < child['reward'] < 0
  # Both begin alike.
  first, second = (records.read(place / 'supernet.jsonl')[0]
                   for place, *_ in concluded['runs'].values())
  assert first['loss'] == second['loss']
  assert first['pool_mean'] == second['pool_mean']


@pytest.mark.slow
def test_a_run_ends_with_a_language_model_and_is_not_done_twice(tmp_path):
  summary = nao_ws_text.main(tmp_path, _settings())
  assert set(summary['result']) == set(summary['random_search'])
  assert summary['num_renewals'] == 1
  assert 'nao_ws on grammar' in (tmp_path / 'report.html').read_text()
  assert nao_ws_text.main(tmp_path, _settings()) == summary


def test_paper_scale_is_the_published_search():
  settings = nao_ws_text.Settings(**nao_ws_text.PAPER)
  assert (settings.num_children, settings.num_seeds, settings.num_kept,
          settings.num_new, settings.num_random, settings.update_every) == (
              1000, 100, 650, 300, 50, 200)
  assert (settings.hidden, settings.num_nodes, settings.decay,
          settings.trade_off, settings.final_hidden) == (
              300, 11, 'all', .8, 850)
  recipe = language_recipes.load(settings.recipe)
  assert (recipe.epochs, recipe.batch_size, recipe.bptt, recipe.optimizer,
          recipe.learning_rate, recipe.clip_norm, recipe.weight_decay,
          recipe.slowness) == (
              1000, 256, 35, 'sgd', .25, 10., 5e-7, 1e-3)
  assert dataclasses.astuple(recipe.rates()) == (
      .75, .25, .75, .2, 0., 0., 0.)


def test_the_published_cell_has_the_published_tokens():
  space = nao_ws_text.space_of(nao_ws_text.Settings())
  code = sequences.of_space(space)
  cell = recurrent.parse('0 1 1 1 2 2 1 2 4 1 4 1 4 1 7 1 8 2 1 0 4 1')
  assert (code.vocabulary, len(code.positions)) == (16, 22)
  assert sequences.to_tokens(code, space.encode(cell)).tolist() == [
      1, 13, 2, 13, 3, 14, 2, 14, 5, 13, 5, 13, 5, 13, 8, 13, 9, 14, 2, 12, 5,
      13]


def test_the_model_of_the_published_search():
  settings = nao_settings.load('nao_ws_rnn')
  assert (settings.epochs, settings.batch_size, settings.trade_off,
          settings.num_new, settings.num_random) == (1000, 100, .8, 300, 50)
  assert settings.step_sizes == tuple(range(1, 31))
  code = sequences.of_space(recurrent.chain_space(11))
  init = encoder_decoder.model(code, settings).init
  params = jax.eval_shape(init, jax.random.key(0))
  # Two tokens a step; four hidden layers.
  assert params['encoder']['kernel'].shape == (2 * 48, 4 * 96)
  assert [p['kernel'].shape for p in params['predictor']] == [
      (96, 200), *[(200, 200)] * 3, (200, 1)]
  for layer in jax.jit(lambda key: init(key)['predictor'])(jax.random.key(0)):
    assert .035 < np.abs(layer['kernel']).max() < .04


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(nao_ws_text.Settings)}
  assert fields == set(flags.help_of(nao_ws_text.Settings))
  for scale, values in nao_ws_text.SCALES.items():
    assert set(values) <= fields
    nao_ws_text.Settings(**values | {'scale': scale})


def test_the_search_of_images_says_where_that_of_texts_is():
  with pytest.raises(ValueError, match='experiments/nao_ws_text.py'):
    nao_ws.Settings(**nao_ws.SMOKE | dict(domain='text'))


@pytest.mark.parametrize('options, message', [
    (dict(num_kept=6), 'num_kept 6 is the whole pool: choose less than '
     'num_children 6'),
    (dict(domain='images'), "domain is 'images', expected one of text"),
    (dict(shared_weights=False), 'without shared_weights it is another search: '
     'see experiments/nao_text.py'),
    (dict(update_every=0), 'update_every is 0, expected at least 1'),
    (dict(recipe='fast'), 'optimizer is adam, but shared weights are trained '
     'by sgd'),
])
def test_bad_settings(tmp_path, options, message):
  with pytest.raises(ValueError) as e:
    nao_ws_text.main(tmp_path / 'run', _settings(**options))
  assert str(e.value) == message
  assert not (tmp_path / 'run').exists()
