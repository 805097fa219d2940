"""Gradient searches, from flags to the network."""

import numpy as np
import pytest

from experiments import darts_cnn
from nas_jax import descent
from nas_jax import gradient_on_images
from nas_jax import gradient_workflow
from nas_jax import records
from nas_jax import supernet_search
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

_TINY = darts_cnn.SMOKE | dict(
    scale='smoke', space='s2', max_train=80, num_searches=2, search_epochs=2,
    search_batch_size=20, search_features=2, search_num_cells=2,
    num_children=2, children_per_round=2, epochs=1, batch_size=20, features=4,
    num_cells=2, final_epochs=1, final_batch_size=20, final_features=4,
    final_num_cells=2, eigenvalue='off')


def _settings(**options):
  return darts_cnn.Settings(**_TINY | options)


def test_a_run_ends_with_a_network_and_is_not_done_twice(tmp_path):
  summary = darts_cnn.main(tmp_path, _settings())
  assert set(summary['result']) == set(summary['random_search'])
  assert summary['method'] == 'DARTS, arXiv 1806.09055'
  assert [s['seed'] for s in summary['searches']] == [0, 1]
  for i, found in enumerate(summary['searches']):
    history = records.read(tmp_path / 'searches' / str(i) / 'history.jsonl')
    assert [line['epoch'] for line in history] == [0, 1]
    assert history[-1]['genotype'] == found['genotype']
    assert np.shape(history[0]['weights']['normal']) == (14, 2)
    assert {'loss', 'train_accuracy', 'validation_loss',
            'validation_accuracy'} == set(history[0]['metrics'])
    assert found['ended'] == 'all epochs'
  # Each cell is trained for a short time; one of them is the result.
  children = records.read(tmp_path / 'history.jsonl')
  assert [c['genotype'] for c in children] == [
      s['genotype'] for s in summary['searches']]
  best = max(children, key=lambda child: child['reward'])
  network = trained.load(tmp_path)
  assert network.preset == presets.load(tmp_path)
  assert network.preset.family == 'darts'
  assert network.preset.genotype == genotypes.from_json(best['genotype'])
  data = image_data.load('digits', max_train=80)
  predicted = trained.probabilities(network, data.test.images).argmax(-1)
  assert np.mean(predicted == data.test.labels) == pytest.approx(
      summary['result']['test_accuracy'])
  cost = summary['cost']
  assert cost['supernet_seconds'] == pytest.approx(
      sum(s['seconds'] for s in summary['searches']))
  assert cost['search_seconds'] > cost['supernet_seconds'] > 0
  page = (tmp_path / 'report.html').read_text()
  assert 'darts on digits' in page and 'Gradient searches' in page
  before = (tmp_path / 'summary.json').read_bytes()
  assert darts_cnn.main(tmp_path, _settings()) == summary
  assert (tmp_path / 'summary.json').read_bytes() == before


def _lines(folder):
  return [{k: v for k, v in line.items() if k != 'seconds'}
          for line in records.read(folder / 'history.jsonl')]


def test_an_interrupted_search_ends_with_the_same_bits(tmp_path, monkeypatch):
  plan = gradient_on_images.make(_settings(num_searches=1)).plans[0]
  whole = supernet_search.run(tmp_path / 'whole', plan, 'search')
  pairs = supernet_search.pairs

  def interrupted(plan, train, validation, step):
    for i, pair in enumerate(pairs(plan, train, validation, step)):
      if step + i == 3:  # In the second of two epochs.
        raise KeyboardInterrupt
      yield pair

  monkeypatch.setattr(supernet_search, 'pairs', interrupted)
  with pytest.raises(KeyboardInterrupt):
    supernet_search.run(tmp_path / 'killed', plan, 'search')
  monkeypatch.undo()
  again = supernet_search.run(tmp_path / 'killed', plan, 'search')
  assert again.genotype == whole.genotype
  assert _lines(tmp_path / 'killed') == _lines(tmp_path / 'whole')


def test_a_search_that_diverges_ends_with_its_last_good_state(
    tmp_path, monkeypatch, caplog):
  plan = gradient_on_images.make(_settings(num_searches=1)).plans[0]
  descend = descent.descend

  def broken(key, search, *args, **kwargs):
    def update(key, state, *pair):
      number = int(state.step)
      state, metrics = search.update(key, state, *pair)
      return state, metrics | {'loss': np.nan if number == 3 else 1.}

    return descend(key, search._replace(update=update), *args, **kwargs)

  monkeypatch.setattr(descent, 'descend', broken)
  found = supernet_search.run(tmp_path, plan, 'search')
  assert found.ended == 'diverged in epoch 1'
  assert 'ends with the state after 3 steps' in caplog.text
  assert len(found.records) == 1 and len(found.genotype.normal) == 8


def test_the_workflow_needs_no_baseline(tmp_path, monkeypatch):
  monkeypatch.setattr(
      gradient_workflow.workflow, 'conclude',
      lambda folder, settings, problem, runs, **kwargs: runs)
  runs = gradient_workflow.search_by_gradient(
      tmp_path, _settings(num_searches=1, search_epochs=1),
      experiment='darts', baseline=False)
  assert set(runs) == {'result'}
