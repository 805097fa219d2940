import math
import re

import pytest

from nas_jax.networks import language
from nas_jax.training import language_recipes as recipes


@pytest.mark.parametrize('name, expected', [
    ('darts_ptb', dict(
        epochs=8000, batch_size=64, bptt=35, random_lengths=True,
        optimizer='nt_asgd', learning_rate=20., scale_rate=True, nonmono=5,
        clip_norm=.25, weight_decay=8e-7, drop_output=.75, drop_hidden=.25,
        drop_inputs=.75, drop_embedding=.2, drop_words=.1, slowness=1e-3,
        activation_weight=0., eval_batch_size=10, test_batch_size=1)),
    ('darts_wt2', dict(
        batch_size=64, weight_decay=5e-7, drop_hidden=.15, drop_output=.75,
        drop_words=.1)),
    ('darts_rnn_search', dict(
        epochs=50, batch_size=256, learning_rate=20., optimizer='sgd',
        weight_decay=5e-7, drop_output=.75, drop_hidden=.25, drop_inputs=.75,
        drop_embedding=.2, drop_words=0., slowness=1e-3)),
    ('enas_final', dict(
        epochs=3000, batch_size=64, learning_rate=20., clip_norm=.25,
        drop_words=.125, drop_embedding=.175, drop_hidden=.225,
        drop_inputs=.725, drop_output=.75, activation_weight=.7,
        weight_decay=8e-7, nonmono=10)),
    ('nao_ptb', dict(
        epochs=4000, batch_size=64, bptt=35, learning_rate=20., clip_norm=.25,
        drop_output=.75, drop_hidden=.25, drop_inputs=.75, drop_embedding=.2,
        drop_words=0., slowness=1e-3, weight_decay=8e-7)),
    ('nao_wt2', dict(epochs=2000, drop_hidden=.15, weight_decay=5e-7)),
    ('awd_ptb', dict(
        epochs=500, batch_size=20, bptt=70, learning_rate=30., clip_norm=.25,
        drop_output=.4, drop_between=.25, drop_embedding=.4, drop_words=.1,
        drop_weight=.5, activation_weight=2., slowness=1.,
        weight_decay=1.2e-6)),
    ('awd_wt2', dict(epochs=750, batch_size=80)),
    ('nas_rl_medium', dict(epochs=35, optimizer='sgd')),
    ('char', dict(
        batch_size=32, bptt=100, optimizer='adam', learning_rate=1e-3)),
])
def test_published_settings(name, expected):
  recipe = recipes.load(name)
  assert {k: getattr(recipe, k) for k in expected} == expected


def test_rates_have_the_names_of_the_model():
  assert recipes.load('darts_ptb').rates() == language.Rates(
      output=.75, hidden=.25, inputs=.75, embedding=.2, words=.1)
  assert recipes.load('awd_ptb').rates() == language.Rates(
      output=.4, between=.25, embedding=.4, words=.1, weight=.5)


def test_a_recipe_with_changes():
  recipe = recipes.load('darts_ptb', epochs=3, clip_norm=0)
  assert (recipe.epochs, recipe.clip_norm, recipe.batch_size) == (3, None, 64)
  same = recipes.override(recipe, recipes.Overrides())
  assert same == recipe
  assert recipes.override(
      recipe, recipes.Overrides(random_lengths=False)).random_lengths is False


@pytest.mark.parametrize('changes, message', [
    (dict(epochs=0), 'epochs is 0, expected at least 1'),
    (dict(bptt=0), 'bptt is 0, expected at least 1'),
    (dict(nonmono=0), 'nonmono is 0, expected at least 1'),
    (dict(test_batch_size=0), 'test_batch_size is 0, expected at least 1'),
    (dict(weight_decay=-1.), 'weight_decay is -1.0, expected at least 0'),
    (dict(slowness=-1.), 'slowness is -1.0, expected at least 0'),
    (dict(learning_rate=0.), 'learning_rate is 0.0, expected a positive'),
    (dict(learning_rate=math.nan), 'learning_rate is nan, expected a pos'),
    (dict(rate_decay=0.), 'rate_decay is 0.0, expected a positive number'),
    (dict(clip_norm=-.1), 'clip_norm is -0.1, expected a positive number'),
    (dict(drop_words=1.), 'drop_words is 1.0, expected a share in [0, 1)'),
    (dict(optimizer='asgd'),
     "optimizer is 'asgd', expected one of nt_asgd, sgd, adam"),
])
def test_settings_out_of_range(changes, message):
  with pytest.raises(ValueError, match=f'^{re.escape(message)}'):
    recipes.load('fast', **changes)


def test_a_recipe_that_does_not_exist():
  with pytest.raises(ValueError, match=(
      "^recipe is 'darts', expected one of darts_ptb, darts_wt2, ")):
    recipes.load('darts')
