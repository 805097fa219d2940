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
  message = "schedule is 'cubic', expected one of ('constant', 'cosine', "
  with pytest.raises(ValueError, match=re.escape(message)):
    recipes.Recipe(epochs=1, schedule='cubic')


def test_recipes_are_frozen_and_hashable():
  a, b = recipes.Recipe(epochs=3), recipes.Recipe(epochs=3)
  assert a == b and hash(a) == hash(b)
  with pytest.raises(AttributeError):
    a.epochs = 4


@pytest.mark.parametrize('changes, message', [
    (dict(momentum=1.), 'momentum is 1.0, expected a number in [0, 1)'),
    (dict(hue_jitter=.6), 'hue_jitter is 0.6, expected a number in 0..0.5'),
    (dict(mixup=-.1), 'mixup is -0.1, expected 0 or more'),
    (dict(drop_path_keep=0.),
     'drop_path_keep is 0.0, expected a probability in (0, 1]'),
    (dict(dropout_keep=1.5),
     'dropout_keep is 1.5, expected a probability in (0, 1]'),
    (dict(optimizer='lion'), "optimizer is 'lion', expected one of ('sgd', "),
    (dict(milestones='0.5,2'), "milestones is '0.5,2', expected shares of the "
     'epochs between 0 and 1, such as 0.5,0.75'),
    (dict(milestones='half'), "milestones is 'half', expected shares"),
    (dict(batch_size=10, accumulate=4),
     'batch_size 10 does not split into 4 parts (accumulate)'),
    (dict(schedule='linear_tail', epochs=5),
     'schedule linear_tail has a tail of 5 epochs, but epochs is 5: choose '
     'more, or schedule linear'),
])
def test_settings_out_of_range(changes, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    recipes.Recipe(**{'epochs': 1, **changes})


def test_no_limit_of_the_gradient():
  assert recipes.Recipe(epochs=1, clip_norm=0).clip_norm is None
  assert recipes.Recipe(epochs=1, clip_norm=None).clip_norm is None


def test_what_is_set_replaces_what_the_recipe_says():
  darts = recipes.load('darts')
  assert recipes.override(darts, recipes.Overrides()) == darts
  found = recipes.override(darts, recipes.Overrides(
      epochs=3, weight_decay=0., clip_norm=0., flip=False))
  assert (found.epochs, found.weight_decay, found.clip_norm, found.flip) == (
      3, 0., None, False)
  assert found.batch_size == 96


def test_a_recipe_that_does_not_exist():
  with pytest.raises(ValueError, match=(
      "^recipe is 'dart', expected one of darts, pdarts, pcdarts, nasnet, ")):
    recipes.load('dart')


def test_every_family_names_a_recipe():
  assert set(recipes.OF_FAMILY.values()) <= set(recipes.RECIPES)


@pytest.mark.parametrize('name, expected', [
    ('darts', dict(
        epochs=600, batch_size=96, optimizer='sgd', learning_rate=.025,
        schedule='cosine_per_epoch', momentum=.9, nesterov=False,
        weight_decay=3e-4, decayed='all', decay_in_loss=False, clip_norm=5.,
        auxiliary_weight=.4, drop_path_keep=.8, drop_path_per_epoch=True,
        cutout_length=16, cutout='centre', label_smoothing=0.)),
    ('pdarts', dict(batch_size=128, drop_path_keep=.7)),
    ('pcdarts', dict(batch_size=96, drop_path_keep=.7)),
    ('nasnet', dict(
        epochs=600, batch_size=32, learning_rate=.025, schedule='cosine',
        weight_decay=5e-4, clip_norm=5., auxiliary_weight=.4,
        drop_path_keep=.6, drop_path_per_epoch=False, cutout_length=0)),
    ('amoebanet', dict(
        epochs=600, batch_size=128, learning_rate=.024, weight_decay=5e-4,
        auxiliary_weight=.5, drop_path_keep=.7)),
    ('nao', dict(
        epochs=600, batch_size=128, learning_rate=.024, nesterov=False,
        weight_decay=5e-4, drop_path_keep=.7, dropout_keep=.6, clip_norm=5.,
        auxiliary_weight=.4, cutout_length=16, cutout='corner')),
    ('nao_pytorch', dict(
        learning_rate=.025, weight_decay=3e-4, drop_path_keep=.8,
        dropout_keep=.6, cutout='centre')),
    ('pnas', dict(epochs=600, learning_rate=.025, auxiliary_weight=.4,
                  drop_path_keep=.6)),
    ('enas', dict(
        epochs=630, batch_size=144, learning_rate=.05,
        final_learning_rate=1e-4, schedule='restarts', nesterov=True,
        weight_decay=2 * 2e-4, clip_norm=None, dropout_keep=.8,
        drop_path_keep=.6)),
    ('autodl', dict(
        epochs=20, schedule_epochs=200, batch_size=128, learning_rate=.1,
        final_learning_rate=1e-4, nesterov=True, weight_decay=1e-4,
        decayed='no_biases', dropout_keep=.5, standardise='image_root')),
    ('lrc_0', dict(learning_rate=.01, batch_size=64, mixup=.9)),
    ('lrc_5', dict(learning_rate=.015, batch_size=64, mixup=.5)),
    ('lrc', dict(
        epochs=600, learning_rate=.02, batch_size=80, mixup=.6,
        weight_decay=2e-4, schedule='cosine_per_epoch', cutout_length=16)),
    ('nasbench201', dict(
        epochs=200, batch_size=256, learning_rate=.1, nesterov=True,
        weight_decay=5e-4)),
    ('nasbench101', dict(
        epochs=108, batch_size=256, optimizer='rmsprop', learning_rate=.2,
        rms_decay=.9, rms_epsilon=1., momentum=.9, weight_decay=1e-4)),
    ('cutout', dict(
        epochs=200, batch_size=128, learning_rate=.1, nesterov=True,
        weight_decay=5e-4, milestones='0.3,0.6,0.8', decay_rate=.2)),
    ('darts_imagenet', dict(
        epochs=250, batch_size=128, learning_rate=.1, decay_rate=.97,
        weight_decay=3e-5, label_smoothing=.1, auxiliary_weight=.4,
        clip_norm=5., drop_path_keep=1., resized_crop=.08, colour_jitter=.4,
        hue_jitter=.2)),
    ('pdarts_imagenet', dict(batch_size=1024, learning_rate=.5,
                             schedule='linear_tail', warmup_epochs=5)),
    ('nasnet_imagenet', dict(
        batch_size=32 * 50, learning_rate=.04 * 50, optimizer='rmsprop',
        rms_epsilon=1., decay_rate=.97, decay_epochs=2.4, weight_decay=4e-5,
        clip_norm=10., label_smoothing=.1, dropout_keep=.5, ema_decay=.9999)),
])
def test_published_settings(name, expected):
  recipe = recipes.load(name)
  assert {k: getattr(recipe, k) for k in expected} == expected
