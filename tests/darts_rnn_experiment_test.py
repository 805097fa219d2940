"""DARTS of recurrent cells, from flags to the language model."""

import dataclasses

import numpy as np
import pytest

from experiments import darts_rnn
from nas_jax import gradient_on_text
from nas_jax import language_problem
from nas_jax import gradient_text_workflow
from nas_jax import language_training
from nas_jax import language_workflow
from nas_jax import records
from nas_jax import report_searches
from nas_jax import supernet_search
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

_TINY = darts_rnn.SMOKE | dict(
    scale='smoke', max_train=600, num_nodes=2, search_hidden=4,
    search_epochs=2, search_batch_size=8, search_bptt=8, num_children=2,
    hidden=4, epochs=1, batch_size=8, bptt=8, final_hidden=4, final_epochs=1,
    final_batch_size=8, final_bptt=8)


def _settings(**options):
  return darts_rnn.Settings(**_TINY | options)


def test_found_and_random_cells_are_trained_and_handed_on(
    tmp_path, monkeypatch):
  concluded = {}
  monkeypatch.setattr(
      language_workflow, 'conclude', lambda folder, settings, made, runs,
      **options: concluded.update(options, runs=runs, made=made))
  darts_rnn.main(tmp_path, _settings())
  searches = concluded['more']['searches']
  assert concluded['more']['method'] == 'DARTS, first order'
  assert [s['seed'] for s in searches] == [0, 1]
  for i, found in enumerate(searches):
    history = records.read(tmp_path / 'searches' / str(i) / 'history.jsonl')
    assert [line['epoch'] for line in history] == [0, 1]
    assert history[-1]['genotype'] == found['genotype']
    assert np.shape(history[0]['weights']['recurrent']) == (3, 5)
    assert found['ended'] == 'all epochs'
    assert len(genotypes.from_json(found['genotype'])[0]) == 2
  children = concluded['runs']['result'][2]
  assert [c['genotype'] for c in children] == [s['genotype'] for s in searches]
  drawn = concluded['runs']['random_search'][2]
  assert len(drawn) == 2
  for child in children + drawn:
    assert child['reward'] == pytest.approx(
        -child['metrics']['validation_perplexity'])
  assert concluded['cost']['search_seconds'] == pytest.approx(
      sum(s['seconds'] for s in searches))
  # The report shows each search: its course and the weights of its edges.
  page = ''.join(report_searches.section(tmp_path, concluded['more']))
  assert page.count('<svg') == 4 and 'Recurrent cell' in page
  assert 'perplexity of the search network' in page
  assert 'running statistics that all states of the cell share' in page
  assert '0 to 2' in page and '1 to 2' in page
  assert 'skips' not in page


@pytest.mark.slow
def test_a_run_ends_with_a_language_model_and_is_not_done_twice(tmp_path):
  summary = darts_rnn.main(tmp_path, _settings(order='second'))
  assert set(summary['result']) == set(summary['random_search'])
  assert summary['beside']['LSTM of equal size']['test_perplexity'] > 1
  children = records.read(tmp_path / 'history.jsonl')
  best = max(children, key=lambda child: child['reward'])
  preset = presets.load(tmp_path)
  assert preset.family == 'rnn_chain'
  assert preset.genotype == genotypes.from_json(best['genotype'])
  assert language_training.load(tmp_path).model.num_params == (
      summary['result']['num_params'])
  assert 'Gradient searches' in (tmp_path / 'report.html').read_text()
  assert darts_rnn.main(tmp_path, _settings(order='second')) == summary


def test_a_search_that_diverged_at_once_has_a_cell_to_train(
    tmp_path, monkeypatch):
  made = gradient_on_text.make(_settings())
  monkeypatch.setattr(
      gradient_text_workflow.supernet_on_text, 'run',
      lambda *args: supernet_search.Found(
          ((('tanh', 0), ('relu', 1)), (1, 2)), [], 0., 'diverged in epoch 0'))
  found = gradient_text_workflow._search(tmp_path, made.searcher, 0, 'search')
  assert found['ended'] == 'diverged in epoch 0'
  assert found['supernet_perplexity'] is None
  assert found['genotype'] == [[['tanh', 0], ['relu', 1]], [1, 2]]


def test_memory_that_runs_out_is_explained(tmp_path, monkeypatch):
  def run(*args):
    raise MemoryError

  made = gradient_on_text.make(_settings())
  monkeypatch.setattr(gradient_text_workflow.supernet_on_text, 'run', run)
  with pytest.raises(ValueError, match=(
      'out of memory with 8 streams of 8 steps .*Choose a --search_batch_size '
      'below 8, or a --search_bptt below 8')):
    gradient_text_workflow._search(tmp_path, made.searcher, 0, 'search')


def test_the_paper_scale_is_the_published_one():
  settings = darts_rnn.Settings(scale='paper', **darts_rnn.PAPER)
  recipe = language_problem.recipe_of(settings, 'search_')
  assert (settings.dataset, settings.order, settings.num_searches) == (
      'ptb', 'second', 4)
  assert (settings.search_hidden, settings.hidden, settings.epochs,
          settings.num_children) == (300, 850, 300, 8)
  assert (recipe.epochs, recipe.batch_size, recipe.bptt, recipe.learning_rate,
          recipe.clip_norm, recipe.weight_decay, recipe.slowness) == (
              50, 256, 35, 20., .25, 5e-7, 1e-3)
  assert dataclasses.asdict(recipe.rates()) == dict(
      output=.75, hidden=.25, inputs=.75, embedding=.2, words=0., between=0.,
      weight=0.)
  assert not settings.clamp_coefficient


@pytest.mark.parametrize('options,message', [
    ({'order': 'exact'}, "order is 'exact', expected one of first, second"),
    ({'num_searches': 0}, 'num_searches is 0'),
    ({'search_bptt': 4}, 'search_bptt is 4, expected at least 5'),
    ({'search_recipe': 'slow'}, "recipe is 'slow'"),
    ({'alpha_learning_rate': -1.}, 'alpha_learning_rate is -1.0')])
def test_settings_that_do_not_fit_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    _settings(**options)


def test_what_cannot_be_searched_is_found_before_anything_is_written(tmp_path):
  for options, message in (
      ({'search_recipe': 'fast'}, "optimizer is 'adam'"),
      ({'search_batch_size': 400}, 'batch')):
    with pytest.raises(ValueError, match=message):
      darts_rnn.main(tmp_path / 'run', _settings(**options))
  assert not (tmp_path / 'run').exists()
