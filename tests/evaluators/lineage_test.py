"""One individual: what it learns, inherits, and how it may fail."""

import numpy as np
import pytest

from nas_jax.data import images as image_data
from nas_jax.evaluators import lineage
from nas_jax.spaces import dna as dnas
from nas_jax.spaces import mutations


@pytest.fixture(scope='module')
def data():
  return image_data.load('digits', validation_fraction=.1, seed=0,
                         max_train=200)


@pytest.fixture(scope='module')
def dna():
  rng = np.random.default_rng(0)
  found = mutations.insert_convolution(rng, dnas.initial(rng), 1)
  edge = found.edges[-1]._replace(depth_factor=8., stride_scale=0)
  image, middle, output = found.vertices
  return found._replace(
      vertices=(image, middle._replace(type='bn_relu'), output),
      edges=(*found.edges[:-1], edge))


def train(dna, weights, data, **options):
  return lineage.train(dna, weights, data=data, **dict(
      dict(steps=30, batch_size=20, seed=0, crop_padding=1, flip=False),
      **options))


@pytest.fixture(scope='module')
def parent(dna, data):
  return train(dna, None, data)


def test_the_same_individual_twice_is_the_same(parent, dna, data):
  again = train(dna, None, data)
  assert again.fitness == parent.fitness
  for name, value in parent.weights.items():
    assert again.weights[name].tobytes() == value.tobytes()


def test_a_child_goes_on_where_its_parent_stopped(parent, dna, data):
  child = train(dna, parent.weights, data, seed=1, steps=5)
  fresh = train(dna, None, data, seed=1, steps=5)
  assert child.metrics['num_inherited'] == len(parent.weights)
  assert fresh.metrics['num_inherited'] == 0
  assert child.metrics['loss'] < fresh.metrics['loss'] - .1


def test_the_fitness_is_the_accuracy_on_validation(parent, dna, data):
  found, variables = lineage.accuracy(
      dna, parent.weights, data, data.validation)
  assert found == parent.fitness
  flat = lineage.inheritance.flatten(variables)
  assert all((flat[n] == v).all() for n, v in parent.weights.items())
  with pytest.raises(ValueError, match='not those of its network'):
    lineage.accuracy(dna, {}, data, data.validation)


def test_steps_end_within_an_epoch(dna, data, monkeypatch):
  taken = []
  epoch = lineage.classify.train_epoch
  monkeypatch.setattr(
      lineage.classify, 'train_epoch',
      lambda *args, **kw: taken.append(kw['max_steps']) or epoch(*args, **kw))
  train(dna, None, data, steps=21)  # An epoch has 9.
  assert taken == [9, 9, 3]


def test_the_rate_of_the_dna_is_the_one_that_trains(dna, data):
  still = train(dna._replace(learning_rate=1e-12), None, data, steps=9)
  moved = train(dna, None, data, steps=9)
  kernel = next(n for n in still.weights
                if 'edge' in n and n.endswith('/kernel'))
  start = train(dna._replace(learning_rate=1e-12), None, data, steps=1)
  np.testing.assert_allclose(
      still.weights[kernel], start.weights[kernel], atol=1e-6)
  assert np.abs(moved.weights[kernel] - still.weights[kernel]).max() > 1e-3


@pytest.mark.filterwarnings('ignore')
def test_failures_have_fitness_0_and_a_reason(dna, data):
  wild = train(dna._replace(learning_rate=1e30), None, data)
  large = train(dna, None, data, max_memory_gib=1e-6)
  wrong = train(dna._replace(edges=()), None, data)
  for found, why in ((wild, 'diverged'), (large, 'would need 0.0 GiB'),
                     (wrong, 'cannot be built')):
    assert found.fitness == 0 and found.weights == {}
    assert found.metrics['failed'] == 1 and found.error.startswith(why)


def test_bad_arguments_are_refused(dna, data):
  with pytest.raises(ValueError, match='steps is 0'):
    train(dna, None, data, steps=0)
  with pytest.raises(ValueError, match='batch_size 1000 exceeds'):
    train(dna, None, data, batch_size=1000)


def test_published_settings_are_the_defaults():
  recipe = lineage.recipe_of()
  assert (recipe.batch_size, recipe.learning_rate, recipe.momentum,
          recipe.weight_decay, recipe.schedule) == (
              50, .1, .9, 1e-4, 'constant')
  assert lineage.train.__kwdefaults__['steps'] == 25_600
