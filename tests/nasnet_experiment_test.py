"""NASNet's search: cells that add or concatenate, from flags to the network."""

import dataclasses

import numpy as np
import pytest

from experiments import amoeba
from experiments import flags
from experiments import nasnet
from nas_jax import cells_on_images
from nas_jax import records
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.training import recipes

_TINY = nasnet.SMOKE | dict(
    scale='smoke', max_train=100, num_children=2, children_per_round=2,
    num_nodes=1, num_reductions=0, features=4, epochs=1, batch_size=20,
    num_finalists=1, final_features=4, final_epochs=1, final_batch_size=20)


def _settings(**options):
  return nasnet.Settings(**_TINY | options)


def test_a_run_ends_with_a_network(tmp_path):
  summary = nasnet.main(tmp_path, _settings())
  assert set(summary['result']) == set(summary['random_search'])
  histories = [records.read(tmp_path / folder / 'history.jsonl')
               for folder in ('', 'random_search')]
  assert [len(history) for history in histories] == [2, 2]
  space = cells_on_images.space(_settings())
  found = [genotypes.from_json(record['genotype'])
           for history in histories for record in history]
  assert all(space.genotype(space.encode(g)) == g for g in found)
  assert any(g.normal_combine or g.reduce_combine for g in found)
  found = trained.load(tmp_path)
  assert found.preset == presets.load(tmp_path)
  assert found.preset.family == 'nasnet'
  data = image_data.load('digits', max_train=100)
  predicted = trained.probabilities(found, data.test.images).argmax(-1)
  assert np.mean(predicted == data.test.labels) == pytest.approx(
      summary['result']['test_accuracy'])
  page = (tmp_path / 'report.html').read_text()
  assert 'nasnet on digits' in page and '<svg' in page


def test_a_found_network_that_concatenates_survives_its_file():
  settings = _settings()
  made = cells_on_images.make(settings)
  genotype = genotypes.from_json({
      'normal': [['conv_1x1', 0], ['conv_1x1', 1]], 'normal_concat': [2],
      'reduce': [['conv_1x1', 0], ['conv_1x1', 1]], 'reduce_concat': [2],
      'normal_combine': ['concat'], 'reduce_combine': ['concat']})
  assert (made.space.genotype(made.space.encode(genotype))) == genotype
  job, = made.final_jobs(genotype)
  assert trained.build(job.config) == job.net
  shapes = {node.name: node.shape[-1] for node in job.net.nodes}
  assert (shapes['cell0_node0'], shapes['cell0_output']) == (8, 4)


def test_paper_scale_is_the_published_search():
  settings = nasnet.Settings(**nasnet.PAPER)
  assert (settings.dataset, settings.num_children,
          settings.children_per_round, settings.num_finalists) == (
              'cifar10', 20000, 20, 250)
  space = cells_on_images.space(settings)
  assert len(space.choices) == 50
  assert f'{discrete.size(space.choices):.3e}' == '5.230e+36'
  assert (settings.num_cells, settings.epochs) == (2, 20)
  assert (settings.controller_learning_rate, settings.entropy_weight,
          settings.baseline_decay, settings.controller_size) == (
              .00035, .00001, .95, 100)


def test_the_result_is_trained_by_the_published_recipe():
  data = image_data.load('digits')
  found = cells_on_images.final_recipe(
      nasnet.Settings(dataset='digits', flip=True, crop_padding=4), data)
  recipe = recipes.load('nasnet')
  assert dataclasses.replace(
      found, eval_batch_size=recipe.eval_batch_size) == recipe


def test_amoebanets_nodes_only_add():
  for settings in cells_on_images.Settings(), amoeba.Settings():
    space = cells_on_images.space(settings)
    assert len(space.choices) == 40
    assert f'{discrete.size(space.choices):.3e}' == '3.098e+29'


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(nasnet.Settings)}
  assert fields == set(flags.help_of(nasnet.Settings))
  for scale, values in nasnet.SCALES.items():
    assert set(values) <= fields
    nasnet.Settings(**values | {'scale': scale})


@pytest.mark.parametrize('options, message', [
    (dict(combinations='concat'),
     "combinations is 'concat', expected add or add,concat"),
    (dict(clip=1.), 'clip must lie in (0, 1), got 1.0'),
    (dict(controller_epochs=0), 'num_epochs must be at least 1, got 0'),
])
def test_bad_settings(tmp_path, options, message):
  with pytest.raises(ValueError) as e:
    nasnet.main(tmp_path / 'run', _settings(**options))
  assert str(e.value) == message
  assert not (tmp_path / 'run').exists()
