import math
import re

import pytest

from nas_jax.training import recipes


@pytest.mark.parametrize('name, value', [
    ('epochs', 0), ('batch_size', 0), ('eval_batch_size', -1),
    ('learning_rate', 0.), ('clip_norm', -5.), ('eval_every', 0),
    ('learning_rate', math.nan)])
def test_settings_that_must_be_positive(name, value):
  message = f'{name} is {value}, expected a positive number'
  with pytest.raises(ValueError, match=re.escape(message)):
    recipes.Recipe(**{'epochs': 1, name: value})


@pytest.mark.parametrize('value', [-2, 7])
def test_a_cutout_has_an_even_length(value):
  with pytest.raises(ValueError, match=(
      f'^cutout_length is {value}, expected an even number$')):
    recipes.Recipe(epochs=1, cutout_length=value)


def test_unknown_schedule():
  message = ("schedule is 'linear', expected one of ('cosine', "
             "'cosine_per_epoch', 'constant')")
  with pytest.raises(ValueError, match=re.escape(message)):
    recipes.Recipe(epochs=1, schedule='linear')


def test_recipes_are_frozen_and_hashable():
  a, b = recipes.Recipe(epochs=3), recipes.Recipe(epochs=3)
  assert a == b and hash(a) == hash(b)
  with pytest.raises(AttributeError):
    a.epochs = 4


@pytest.mark.parametrize('schedule', ['cosine', 'cosine_per_epoch'])
def test_the_cosine_of_the_darts_recipe(schedule):
  recipe = recipes.Recipe(epochs=600, learning_rate=.025, schedule=schedule)
  for epoch, expected in [(0, .025), (100, .023325), (200, .01875),
                          (300, .0125), (400, .00625), (500, .001675)]:
    rate = recipes.learning_rate(recipe, epoch, 0.)
    assert rate == pytest.approx(expected, abs=5e-7)
  assert recipes.learning_rate(recipe, 599, 0.) == pytest.approx(
      1.7e-7, rel=.01)


def test_a_cosine_may_end_above_zero():
  recipe = recipes.Recipe(
      epochs=50, learning_rate=.025, final_learning_rate=.001)
  rates = [recipes.learning_rate(recipe, e, 0.) for e in (25, 49, 50)]
  assert rates == pytest.approx([.013, .0010237, .001], rel=1e-4)


def test_the_rate_changes_within_an_epoch_or_not():
  rates = {s: [recipes.learning_rate(recipes.Recipe(
      epochs=2, learning_rate=.1, schedule=s), 0, f) for f in (0., .5)]
           for s in recipes.SCHEDULES}
  # .05 * (1 + cos(pi / 4))
  assert rates['cosine'] == pytest.approx([.1, .0853553])
  assert rates['cosine_per_epoch'] == [.1, .1]
  assert rates['constant'] == [.1, .1]
