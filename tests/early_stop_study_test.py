import json
import re

import jax
import numpy as np
import pytest

from nas_jax import records
from nas_jax.spaces import block
from scripts import early_stop_study as study

_TINY = dict(num_blocks=3, max_index=3, features=2, num_cells=1, epochs=1,
             batch_size=32, long_epochs=2, long_batch_size=32, augment=False,
             max_train=120, num_resamples=20)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('study')
  return folder, study.main(folder, study.Settings(**_TINY))


def test_every_block_is_trained_twice(finished):
  folder, found = finished
  assert found == records.read_json(folder / 'study.json')
  assert len(found['blocks']) == 3 and found['num_failed'] == 0
  for name, epochs in (('early', 1), ('long', 2)):
    children = records.read(folder / name / 'children.jsonl')
    assert [c['metrics']['epochs'] for c in children] == [epochs] * 3
    assert [c['genotype'] for c in children] == [
        json.loads(r['genotype']) for r in found['blocks']]
  # The long training is measured on the test images.
  assert (found['num_validation'], found['num_test']) == (24, 359)


def test_rewards_are_the_corrected_accuracies(finished):
  for row in finished[1]['blocks']:
    flops, density = np.log(row['flops']), np.log(row['density'])
    assert row['flops_only'] == pytest.approx(row['early'] - flops, abs=1e-4)
    assert row['density_only'] == pytest.approx(
        row['early'] - 8 * density, abs=1e-4)
    assert row['corrected'] == pytest.approx(
        row['early'] - flops - 8 * density, abs=1e-4)


def test_the_page_shows_two_plots_and_all_predictors(finished):
  page = (finished[0] / 'study.html').read_text()
  assert page.count('<svg') == 2
  for name in study.PREDICTORS.values():
    assert name in page
  assert finished[1]['verdict'].split(':')[0].replace("'", '&#x27;') in page
  assert not re.search('nan', page)


def test_a_study_goes_on_where_it_stopped(finished):
  folder, before = finished
  path = folder / 'long' / 'children.jsonl'
  kept = records.read(path)
  records.rewrite(path, kept[:2])
  after = study.main(folder, study.Settings(**_TINY))
  assert after['correlations'] == before['correlations']
  again = records.read(path)
  assert [c['metrics'] for c in again] == [c['metrics'] for c in kept]
  with pytest.raises(ValueError, match='epochs was 1, is now 2'):
    study.main(folder, study.Settings(**_TINY | dict(epochs=2)))


def test_rank_correlations_by_hand():
  final = np.array([1., 2., 3., 4.])
  columns = dict.fromkeys(study.PREDICTORS, final[::-1].copy()) | {
      'final': final, 'early': np.array([1., 2., 4., 3.]),
      'corrected': np.array([10., 20., 30., 40.])}
  found = study.correlations(columns, 200, 0)
  # 1 - 6 * 2 / (4 * 15) and (5 - 1) / 6.
  assert found['early']['spearman'][0] == pytest.approx(.8)
  assert found['early']['kendall'][0] == pytest.approx(.6667)
  assert found['corrected']['spearman'] == [1., 1., 1.]
  assert found['corrected']['spearman_gain'][0] == pytest.approx(.2)
  assert found['early']['kendall_gain'] == [0., 0., 0.]
  assert found['density']['kendall'] == [-1., -1., -1.]
  low, high = found['early']['spearman'][1:]
  assert -1 <= low < .8 < high <= 1


@pytest.mark.parametrize('gain, words', [
    ((.1, .02, .2), 'ranks the blocks better'),
    ((-.1, -.2, -.02), 'ranks the blocks worse'),
    ((.1, -.02, .2), 'neither seen nor refuted')])
def test_the_verdict_follows_the_interval(gain, words):
  text = study.verdict({'corrected': {'spearman_gain': gain}})
  assert words in text and f'{gain[0]:+.3f}' in text


def test_equal_accuracies_have_no_ranks():
  final = np.array([1., 2., 3.])
  columns = dict.fromkeys(study.PREDICTORS, final) | {
      'final': final, 'early': np.ones(3), 'corrected': np.ones(3)}
  found = study.correlations(columns, 20, 0)
  assert found['corrected']['spearman_gain'] == [None] * 3
  assert 'the same accuracy' in study.verdict(found)
  assert study.table(found)[2][1] == 'all equal'


def test_blocks_are_different_and_enough():
  space = block.space(max_index=2)
  found = study.sample(jax.random.key(0), space, 8)
  assert len({genome.tobytes() for genome in found}) == 8
  with pytest.raises(ValueError, match='num_blocks is 9, but the space has 8'):
    study.sample(jax.random.key(0), space, 9)


@pytest.mark.parametrize('options, message', [
    (dict(num_blocks=2), 'num_blocks is 2, expected at least 3'),
    (dict(num_resamples=0), 'num_resamples is 0, expected at least 1')])
def test_settings_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    study.Settings(**options)


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
  folder = tmp_path / 'new'
  with pytest.raises(ValueError, match='batch_size is 500, but digits has 96'):
    study.main(folder, study.Settings(**_TINY | dict(batch_size=500)))
  assert not folder.exists()


def test_scales_are_legal():
  for options in study.SCALES.values():
    assert json.dumps(options) and study.Settings(**options)
