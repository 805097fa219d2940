import json
import re

import numpy as np
import pytest

from nas_jax import records
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.spaces import discrete
from nas_jax.supernets import shared
from scripts import rank_study as study

_TINY = dict(num_architectures=3, epochs=2, batch_size=32, alone_epochs=1,
             features=2, max_train=120, num_resamples=20,
             score_batch_size=12)


def _family(settings, data):
  """Two layers, each one of two convolutions."""
  def build(genotype):
    builder = graph.Builder(data.train.images.shape[1:])
    x = builder.image
    for i, size in enumerate(genotype):
      x = builder.add(f'layer{i}_{size}', ops.Conv(
          features=settings.features, sizes=((size, size),)), [x])
    return builder.finish(
        builder.add('classifier', image.Classifier(10), [x]))

  return shared.Family(discrete.space(((1, 3),) * 2), build,
                       shared.union([build((1, 1)), build((3, 3))]))


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('study')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(study, 'family_of', _family)
    return folder, study.main(folder, study.Settings(**_TINY))


def test_every_architecture_is_scored_and_trained_twice(finished):
  folder, found = finished
  assert found == records.read_json(folder / 'study.json')
  rows = found['architectures']
  assert len(rows) == 3 and found['num_failed'] == 0
  assert len({r['genotype'] for r in rows}) == 3
  for i, name in enumerate(('alone', 'again')):
    children = records.read(folder / f'alone_{i}' / 'children.jsonl')
    assert [c['metrics']['validation_accuracy'] for c in children] == [
        pytest.approx(r[name]) for r in rows]
  assert len(records.read(folder / 'shared' / 'training.jsonl')) == 2
  # Shared weights are scored on one full batch, alone on the test images.
  assert all((12 * r['shared']) == pytest.approx(round(12 * r['shared']))
             for r in rows)
  assert (found['num_validation'], found['num_test']) == (12, 359)
  sizes = {json.dumps(json.loads(r['genotype'])): r['params'] for r in rows}
  for name, params in sizes.items():
    first, second = json.loads(name)
    assert params == 2 * first**2 + 4 * second**2 + 8 + 30


def test_the_page_shows_both_plots_and_all_guesses(finished):
  page = (finished[0] / 'study.html').read_text()
  assert page.count('<svg') == 2
  for name in study.GUESSES.values():
    assert name in page
  assert not re.search('nan', page)


def test_only_the_one_shot_model_has_paths_to_drop():
  with pytest.raises(ValueError, match='the family is enas_micro: only one'):
    study.Settings(**_TINY | dict(sampling='path_dropout'))


def test_a_study_goes_on_where_it_stopped(finished, monkeypatch):
  folder, before = finished
  monkeypatch.setattr(study, 'family_of', _family)
  path = folder / 'alone_0' / 'children.jsonl'
  records.rewrite(path, records.read(path)[:2])
  after = study.main(folder, study.Settings(**_TINY))
  assert after['ranks'] == before['ranks']
  with pytest.raises(ValueError, match='epochs was 2, is now 3'):
    study.main(folder, study.Settings(**_TINY | dict(epochs=3)))


def test_ranks_by_hand():
  truth = np.linspace(.1, .9, 20)
  swapped = truth.copy()
  swapped[[18, 19]] = swapped[[19, 18]]
  swapped[[0, 19]] = swapped[[19, 0]]
  found = study.ranks(
      {'alone': truth, 'shared': swapped, 'params': -truth, 'macs': truth},
      50, 0)
  assert set(found) == {'shared', 'params', 'macs'}
  assert found['params']['kendall'] == [-1., -1., -1.]
  assert found['macs']['spearman'] == [1., 1., 1.]
  assert 'sparse_kendall' not in found['macs']
  # The best by the guess are numbers 18 and 0, in truth 19 and 18.
  assert (found['shared']['k'], found['shared']['precision'],
          found['shared']['best_rank']) == (2, .5, 2)
  assert found['params']['best_rank'] == 19


@pytest.mark.parametrize('tau, words', [
    ((.4, .1, .6), 'rank the architectures:'),
    ((-.4, -.6, -.1), 'the wrong way'),
    ((.1, -.2, .3), 'are not seen to rank')])
def test_the_verdict_follows_the_interval(tau, words):
  counts = {'params': {'kendall': [.2, 0, 1]}, 'macs': {'kendall': [.3, 0, 1]}}
  text = study.verdict({'shared': {'kendall': tau}, **counts})
  assert words in text
  assert ('no better than' in text) == (tau[0] <= .3)


def test_equal_scores_have_no_ranks():
  truth = np.array([.1, .2, .3])
  found = study.ranks({'alone': truth, 'shared': np.ones(3), 'params': truth,
                       'macs': truth}, 20, 0)
  assert found['shared']['kendall'] == [None] * 3
  assert 'the same score' in study.verdict(found)
  assert study.table(found)[1][1] == 'all equal'


@pytest.mark.parametrize('options, message', [
    (dict(family='none'), "family is 'none', expected one of enas_micro"),
    (dict(num_architectures=2), 'num_architectures is 2, expected at least 3'),
    (dict(num_paths=3), 'batch_size 32 is not a multiple of num_paths 3')])
def test_settings_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    study.Settings(**_TINY | options)


def test_scales_are_legal():
  for options in study.SCALES.values():
    assert json.dumps(options) and study.Settings(**options)
