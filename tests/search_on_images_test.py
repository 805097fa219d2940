"""Searches of whole networks: settings, networks, recipes, what is printed."""

import numpy as np
import pytest

from nas_jax import problem
from nas_jax import search_on_images
from nas_jax.evaluators import estimate
from nas_jax.spaces import block
from nas_jax.spaces import chain

_LAYOUT = chain.layout(depths=(2,), heights=(1, 3), widths=(1,), filters=(4, 6))
_CONV = ((1, 1, 3, 0, 0), (2, 7, 0, 0, 0))


def _settings(**options):
  return search_on_images.Settings(**dict(
      dataset='digits', max_train=200, recipe='blockqnn_search', epochs=2,
      batch_size=20, features=4, num_cells=1, final_recipe='blockqnn',
      final_epochs=3, final_batch_size=30, final_features=8,
      final_num_cells=2) | options)


def _make(settings=None, **options):
  return search_on_images.make(
      settings or _settings(), block.space(max_index=3), 'blockqnn', **options)


def test_networks_and_recipes_follow_the_settings():
  made = _make()
  child, (job,) = made.child(_CONV), made.final_jobs(_CONV)
  names = lambda net: {node.name.split('_')[0] for node in net.nodes
                       if node.name.startswith('block')}
  assert names(child) == {f'block{i}' for i in range(3)}
  assert names(job.net) == {f'block{i}' for i in range(6)}
  assert child.nodes[0].shape == (8, 8, 4)
  assert job.net.nodes[0].shape == (8, 8, 8)
  recipe = made.child_recipe
  assert (recipe.optimizer, recipe.epochs, recipe.batch_size) == (
      'adam', 2, 20)
  assert (job.recipe.optimizer, job.recipe.epochs, job.recipe.batch_size) == (
      'sgd', 3, 30)
  # As large a part of 8 pixels as 4 of 32; digits are not mirrored.
  assert (job.recipe.crop_padding, job.recipe.flip) == (1, False)
  assert job.config['family'] == made.family == 'blockqnn'
  assert job.config['features'] == 8


def test_what_is_unset_is_the_recipes_and_the_papers():
  made = _make(_settings(epochs=None, batch_size=None, features=None,
                         num_cells=None, max_train=None))
  assert (made.child_recipe.epochs, made.child_recipe.batch_size) == (12, 256)
  child = made.child(_CONV)
  assert child.nodes[0].shape == (8, 8, 32)
  assert sum(node.name.startswith('block') for node in child.nodes) == 12


def test_ways_to_train_the_result():
  """Some change the recipe, some the network."""
  jobs = _make(final_changes=(
      {}, {'learning_rate': .3, 'epsilon': .01})).final_jobs(_CONV)
  assert [job.recipe.learning_rate for job in jobs] == [.1, .3]
  assert [job.config['style'] for job in jobs] == [{}, {'epsilon': .01}]
  styles = [[node.module.style.epsilon for node in job.net.nodes
             if hasattr(node.module, 'style')] for job in jobs]
  assert set(styles[0]) == {1e-5} and set(styles[1]) == {.01}


def test_chains_have_neither_features_nor_cells():
  made = search_on_images.make(
      _settings(features=None, num_cells=None, final_features=None,
                final_num_cells=None), chain.space(_LAYOUT), 'nas_rl')
  genotype = problem.example(made.space)
  assert genotype == (('conv_1x1', (1, 1), 4, ()), ('conv_1x1', (1, 1), 4, ()))
  assert made.child(genotype).nodes[-1].shape == (10,)


@pytest.mark.parametrize('options, message', [
    (dict(recipe='best'), "recipe is 'best', expected one of darts, "),
    (dict(final_recipe='best'), "recipe is 'best', expected one of darts, "),
    (dict(epochs=0), 'epochs is 0, expected at least 1'),
    (dict(final_num_cells=0), 'final_num_cells is 0, expected at least 1'),
    (dict(children_per_round=3), 'num_children 20000 is not a multiple of '
                                 'children_per_round 3'),
    (dict(batch_size=181), 'batch_size is 181, but digits has 180 training'),
    (dict(final_batch_size=190),
     'final_batch_size is 190, but digits has 180 training images'),
    (dict(dataset='digit'), "unknown data set 'digit'"),
])
def test_bad_settings(options, message):
  with pytest.raises(ValueError) as e:
    _make(_settings(**options))
  assert str(e.value).startswith(message)


def test_a_family_without_knobs_says_so():
  with pytest.raises(ValueError, match='features'):
    search_on_images.make(_settings(), chain.space(_LAYOUT), 'nas_rl')


def test_integers():
  assert problem.integers('sizes', '1,3, 5') == (1, 3, 5)
  with pytest.raises(ValueError, match="sizes is '1,x', expected whole num"):
    problem.integers('sizes', '1,x')


def test_the_cost_is_children_times_seconds():
  text = estimate.line(
      estimate.Estimate(compile=7., train=89., validate=1.), 9600, 1, True)
  # 90 s x 9,600 children are ten days.
  assert text.startswith('estimated cost: 9,600 children x 90.0 s = 10 d 00 h '
                         'on 1 device(s) of ')
  assert 'as much for random search' in text and 'compilation took 7 s' in text


def test_an_estimate_is_of_all_steps(monkeypatch):
  made = _make(_settings(epochs=5))
  clock = iter(np.arange(0., 100., 1.))
  monkeypatch.setattr(estimate.time, 'perf_counter', lambda: next(clock))
  found = estimate.of_child(
      made.child(_CONV), made.child_recipe, made.data, num_steps=2)
  # Every look at the clock is a second: half of it a step, 9 steps an epoch.
  assert found.train == .5 * 5 * 9
  assert found.validate == 1.
