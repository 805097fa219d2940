"""NAO with weight sharing, from flags to the network."""

import dataclasses
import sys

import pytest

from experiments import flags
from experiments import nao
from experiments import nao_ws
from nas_jax import nao_ws as library
from nas_jax import records
from nas_jax import trained
from nas_jax import workflow
from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.training import recipes

_TINY = nao_ws.SMOKE | dict(
    scale='smoke', max_train=60, num_children=5, num_nodes=1, num_seeds=2,
    num_kept=2, num_new=2, num_random=1, update_every=1, predictor_epochs=1,
    epochs=2, batch_size=20, features=2, num_finalists=1, final_features=4,
    final_epochs=1, final_batch_size=20)


def _settings(**options):
  return nao_ws.Settings(**_TINY | options)


def test_the_search_stands_beside_its_control(tmp_path, monkeypatch):
  """What is searched, and what of it is retrained."""
  asked, concluded = [], {}

  def search(key, family, weights, recipe, data, *, guided, workdir, **options):
    asked.append((guided, workdir, options))
    return library.Outcome(None, [{'child': 0}], [
        {'epoch': 0, 'seconds': 2., 'num_new': 3, 'pairwise_accuracy': .6},
        {'epoch': 1, 'seconds': 1.}])

  monkeypatch.setattr(library, 'search', search)
  monkeypatch.setattr(
      workflow, 'conclude', lambda folder, settings, made, runs, **options:
      concluded.update(options, runs=runs))
  nao_ws.main(tmp_path, _settings())
  assert [a[:2] for a in asked] == [
      (True, tmp_path), (False, tmp_path / 'random_search')]
  assert asked[0][2]['num_kept'] == 2 and asked[0][2]['num_initial'] == 5
  assert asked[0][2]['settings'].num_random == 1
  assert concluded['cost'] == {
      'search_seconds': 3., 'random_search_seconds': 3.}
  assert not concluded['trained']
  assert concluded['more'] == {
      'num_renewals': 1, 'num_found_by_gradient': 3, 'num_random': 1,
      'pairwise_accuracy': .6}
  assert {name: run[2] for name, run in concluded['runs'].items()} == {
      'result': [{'child': 0}], 'random_search': [{'child': 0}]}


@pytest.mark.slow
def test_a_run_ends_with_a_network_beside_its_control(tmp_path):
  summary = nao_ws.main(tmp_path, _settings())
  assert summary['num_renewals'] == 1
  assert set(summary['result']) == set(summary['random_search'])
  assert summary['result']['validation_accuracy'] is None
  for folder in (tmp_path, tmp_path / 'random_search'):
    history = records.read(folder / 'history.jsonl')
    log = records.read(folder / 'supernet.jsonl')
    assert len(log) == 2 and log[0]['num_scored'] == 5
    assert len(history) == 2 + log[0]['num_new'] + (
        1 if folder == tmp_path else 3)
  assert trained.load(tmp_path).preset == presets.load(tmp_path)
  assert presets.load(tmp_path).family == 'nao_ws'
  page = (tmp_path / 'report.html').read_text()
  assert 'nao_ws on digits' in page and '<svg' in page
  assert nao_ws.main(tmp_path, _settings()) == summary


def test_paper_scale_is_the_published_search():
  settings = nao_ws.Settings(**nao_ws.PAPER)
  assert (settings.num_children, settings.num_seeds, settings.num_kept,
          settings.num_new, settings.num_random, settings.update_every,
          settings.score_batch_size, settings.num_score_batches) == (
              1000, 100, 450, 500, 50, 30, 500, 1)
  assert (settings.num_cells, settings.features, settings.decay,
          settings.num_finalists, settings.trade_off) == (2, 20, 'all', 5, .8)
  weights = recipes.load(settings.recipe)
  # The penalty is 1e-4 times the sum of squares, without the half.
  assert (weights.epochs, weights.batch_size, weights.learning_rate,
          weights.final_learning_rate, weights.schedule, weights.weight_decay,
          weights.nesterov, weights.dropout_keep, weights.auxiliary_weight) == (
              150, 160, .05, 5e-4, 'restarts', 2e-4, True, .9, .4)
  result = recipes.load(settings.final_recipe)
  assert (result.epochs, result.batch_size, result.final_learning_rate) == (
      630, 144, 1e-4)
  assert 'nao_ws' in zoo.FAMILIES


@pytest.mark.parametrize('arguments, expected', [
    (['--shared_weights', '--workdir=x'], True),
    (['--shared_weights=true'], True), (['-shared_weights=1'], True),
    (['--shared_weights=false'], False), (['--noshared_weights'], False),
    (['--shared_weights', '--noshared_weights'], False),
    (['shared_weights'], False), ([], False)])
def test_a_flag_chooses_the_search(monkeypatch, arguments, expected):
  monkeypatch.setattr(sys, 'argv', ['nao', *arguments])
  assert flags.is_set('shared_weights') == expected


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(nao_ws.Settings)}
  assert fields == set(flags.help_of(nao_ws.Settings))
  for scale, values in nao_ws.SCALES.items():
    assert set(values) <= fields
    nao_ws.Settings(**values | {'scale': scale})


@pytest.mark.parametrize('options, message', [
    (dict(num_kept=5), 'num_kept 5 is the whole pool: choose less than '
     'num_children 5'),
    (dict(decay='none'), "decay is 'none', expected one of used, all"),
    (dict(shared_weights=False), 'without shared_weights it is another search: '
     'see experiments/nao.py'),
    (dict(update_every=0), 'update_every is 0, expected at least 1')])
def test_bad_settings(options, message):
  with pytest.raises(ValueError) as e:
    _settings(**options)
  assert str(e.value) == message


def test_the_other_search_refuses_the_flag():
  with pytest.raises(ValueError, match='shared_weights is a search of its own'):
    nao.Settings(**nao.SMOKE | dict(shared_weights=True))
