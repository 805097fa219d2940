"""The experiment end to end, with one worker and with two."""

import dataclasses

import numpy as np
import pytest

from experiments import large_scale
from nas_jax import problem
from nas_jax import records
from nas_jax import trained
from nas_jax.spaces import presets

_TINY = dict(dataset='digits', max_train=200, population_size=3,
             num_individuals=8, steps=6, batch_size=20, scale='smoke')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  settings = large_scale.Settings(**_TINY)
  return folder, settings, large_scale.main(folder, settings)


def test_a_run_leaves_a_network_that_others_can_use(run):
  folder, _, summary = run
  for place, part in ((folder, 'result'),
                      (folder / 'random_search', 'random_search')):
    found = trained.load(place)
    assert found.preset.family == 'large_scale'
    assert presets.load(place).genotype == found.preset.genotype
    result = summary[part]
    assert 0 <= result['test_accuracy'] <= 1 and result['num_params'] >= 20
  lines = records.read(folder / 'history.jsonl')
  assert len(lines) == summary['search']['num_children'] == 8
  assert max(r['reward'] for r in lines) == (
      summary['result']['validation_accuracy'])
  page = (folder / 'report.html').read_text()
  assert 'Accuracy by time' in page and '<h3>Network</h3>' in page


def test_the_summary_is_that_of_the_weights(run):
  folder, settings, summary = run
  data = problem.load(settings)
  found = trained.load(folder)
  predicted = trained.probabilities(found, data.test.images)
  accuracy = np.mean(predicted.argmax(axis=1) == data.test.labels)
  assert accuracy == pytest.approx(summary['result']['test_accuracy'])


def test_a_finished_run_says_its_summary_again(run, capsys):
  folder, settings, summary = run
  again = large_scale.main(folder, dataclasses.replace(
      settings, num_workers=2))  # How many work does not matter.
  assert again == summary and 'report:' in capsys.readouterr().out
  with pytest.raises(ValueError, match='steps'):
    large_scale.main(folder, dataclasses.replace(settings, steps=7))


def test_workers_in_processes(tmp_path):
  summary = large_scale.main(tmp_path, large_scale.Settings(
      **_TINY | dict(num_workers=2, control=False)))
  assert 'random_search' not in summary
  assert 8 <= summary['search']['num_children'] <= 9


@pytest.mark.parametrize('options, message', [
    (dict(population_size=1), 'population_size is 1'),
    (dict(num_individuals=2), 'num_individuals 2 is less'),
    (dict(num_workers=0), 'num_workers'),
    (dict(lease_seconds=0.), 'lease_seconds is 0.0'),
    (dict(steps=0), 'steps')])
def test_settings_that_cannot_be(options, message):
  with pytest.raises(ValueError, match=message):
    large_scale.Settings(**_TINY | options)


def test_a_batch_larger_than_the_data_is_refused_at_once(tmp_path):
  with pytest.raises(ValueError, match='batch_size is 1000'):
    large_scale.main(tmp_path / 'run', large_scale.Settings(
        **_TINY | dict(batch_size=1000)))
  assert not (tmp_path / 'run').exists()
