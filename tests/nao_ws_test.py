"""NAO with weight sharing on chains of convolutions."""

import dataclasses

import jax
import numpy as np
import pytest

from nas_jax import nao_ws
from nas_jax import records
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.predictors import nao_settings
from nas_jax.spaces import discrete
from nas_jax.spaces import sequences
from nas_jax.supernets import shared
from nas_jax.training import classify
from nas_jax.training import recipes

_SPACE = discrete.space((('id', 'c1', 'c3'),) * 3)
_MODEL = nao_settings.load(
    'nao_ws', hidden_size=8, layers=(6,), embedding_size=4, epochs=3,
    num_new=4, num_random=2)
_RECIPE = recipes.Recipe(
    epochs=5, batch_size=40, learning_rate=.05, crop_padding=0, flip=False)
_OPTIONS = dict(num_initial=10, num_kept=5, num_seeds=3, update_every=2,
                score_batch_size=20)


def _build(genotype):
  builder = graph.Builder((8, 8, 1))
  x = builder.add('stem', ops.Conv(features=2, sizes=((1, 1),)),
                  [builder.image])
  for i, name in enumerate(genotype):
    if name != 'id':
      size = int(name[1])
      x = builder.add(f'layer{i}_{name}', ops.Conv(
          features=2, sizes=((size, size),)), [x])
  return builder.finish(builder.add('classifier', image.Classifier(10), [x]))


@pytest.fixture(scope='module')
def data():
  return image_data.load('digits', max_train=100, validation_size=20)


@pytest.fixture(scope='module')
def run(data):
  family = shared.Family(_SPACE, _build, shared.union(
      [_build(('c1',) * 3), _build(('c3',) * 3)]))
  weights = shared.make(family, _RECIPE, classify.task_of(data), decay='all')

  def search(**options):
    recipe = dataclasses.replace(
        _RECIPE, epochs=options.pop('epochs', 5))
    return nao_ws.search(
        jax.random.key(0), family, weights, recipe, data,
        code=sequences.of_space(_SPACE), settings=_MODEL,
        **_OPTIONS | options)

  return search


@pytest.fixture(scope='module')
def whole(run, tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  return folder, run(workdir=folder)


def test_the_pool_is_renewed_between_epochs(whole):
  folder, found = whole
  assert found.log == records.read(folder / nao_ws.LOG)
  assert [('num_new' in line) for line in found.log] == [
      False, True, False, True, False]
  first, second = found.log[1], found.log[3]
  # Kept, found by the gradient, random.
  assert first['num_scored'] == 10
  assert second['num_scored'] == 5 + first['num_new'] + 2
  assert 0 < first['num_new'] <= 4
  assert 'pairwise_accuracy' not in first
  assert 0 <= second['pairwise_accuracy'] <= 1
  count = int(found.state.count)
  assert count == 5 + second['num_new'] + 2 == len(found.children)
  pool = np.asarray(found.state.genomes[:count])
  assert len(np.unique(pool, axis=0)) == count
  assert found.state.genomes.shape == (11, 3)


def test_children_are_the_last_pool_with_its_scores(whole):
  folder, found = whole
  assert found.children == records.read(folder / 'history.jsonl')
  assert [c['genotype'] for c in found.children] == [
      list(_SPACE.genotype(g))
      for g in np.asarray(found.state.genomes[:int(found.state.count)])]
  for child in found.children:
    assert child['reward'] == child['metrics']['validation_accuracy']
    assert 20 * child['reward'] == pytest.approx(round(20 * child['reward']))


def test_a_search_goes_on_where_it_stopped(run, whole, tmp_path):
  stopped = []

  def stop(line):
    stopped.append(line['epoch'])
    if line['epoch'] == 2:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    run(workdir=tmp_path, on_epoch=stop)
  again = run(workdir=tmp_path, on_epoch=stop)
  assert stopped == [0, 1, 2, 3, 4]
  for a, b in zip(jax.tree.leaves(again.state), jax.tree.leaves(
      whole[1].state), strict=True):
    assert (np.asarray(a) == np.asarray(b)).all()
  assert [c['reward'] for c in again.children] == [
      c['reward'] for c in whole[1].children]


def test_the_control_takes_random_ones_instead(run, whole):
  found = run(guided=False)
  assert found.log[1]['num_new'] == 0
  assert found.log[3]['num_scored'] == 11  # 5 kept, 4 + 2 random ones
  assert 'pairwise_accuracy' not in found.log[3]
  # The same until then.
  assert found.log[0]['loss'] == whole[1].log[0]['loss']


def test_a_search_that_diverges_ends_with_the_weights_before(
    run, monkeypatch, caplog):
  train = classify.train_epoch

  def diverge(*args, epoch, **kwargs):
    state, metrics = train(*args, epoch=epoch, **kwargs)
    return state, metrics | {'loss': float('nan')} if epoch == 1 else metrics

  monkeypatch.setattr(classify, 'train_epoch', diverge)
  found = run()
  assert [line['epoch'] for line in found.log] == [0]
  assert len(found.children) == 10
  assert 'diverged in epoch 1' in caplog.text


def test_bad_arguments(run):
  with pytest.raises(ValueError, match='num_kept must be at least 1, got 0'):
    run(num_kept=0)
