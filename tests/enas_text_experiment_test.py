"""ENAS of recurrent cells, from flags to the language model."""

import dataclasses
import sys

import jax
import pytest

from experiments import enas
from experiments import enas_text
from experiments import flags
from nas_jax import language_workflow
from nas_jax import records
from nas_jax.spaces import presets
from nas_jax.supernets import alternating
from nas_jax.training import language_recipes

_TINY = enas_text.SMOKE | dict(
    scale='smoke', max_train=600, num_nodes=2, hidden=4, epochs=2,
    batch_size=8, bptt=8, num_children=4, children_per_round=4,
    controller_rounds=2, samples_per_round=4, controller_size=4,
    final_hidden=4, final_epochs=1, final_batch_size=8, final_bptt=8)


def _settings(**options):
  return enas_text.Settings(**_TINY | options)


def test_the_controller_and_random_search_choose_among_as_many(
    tmp_path, monkeypatch):
  concluded = {}
  monkeypatch.setattr(
      language_workflow, 'conclude', lambda folder, settings, made, runs,
      **options: concluded.update(options, runs=runs, made=made))
  enas_text.main(tmp_path, _settings())
  log = records.read(tmp_path / alternating.FILE)
  assert [line['epoch'] for line in log] == [0, 1]
  assert {'train_perplexity', 'reward', 'baseline', 'entropy'} <= set(log[0])
  # Near c over the size of the vocabulary.
  assert log[0]['reward'] == pytest.approx(80 / 40, rel=.5)
  other = records.read(tmp_path / 'random_search' / alternating.FILE)
  assert [line['epoch'] for line in other] == [0, 1]
  assert 'reward' not in other[0]
  more = concluded['more']
  assert more['num_scored'] == 2 * 2 * 4
  assert more['curve']['mean'] == [line['reward'] for line in log]
  for name, (place, _, children) in concluded['runs'].items():
    assert len(children) == 4, name
    assert children == records.read(place / 'history.jsonl')
    for child in children:
      assert child['reward'] == pytest.approx(
          80 / child['metrics']['validation_perplexity'], rel=1e-5)
  sizes = concluded['made'].final_sizes
  assert (sizes.bias, sizes.hidden) == (False, 4)
  assert concluded['cost']['search_seconds'] > 0


@pytest.mark.slow
def test_a_run_ends_with_a_language_model_and_is_not_done_twice(tmp_path):
  summary = enas_text.main(tmp_path, _settings())
  assert set(summary['result']) == set(summary['random_search'])
  assert presets.load(tmp_path).family == 'rnn_chain'
  children = records.read(tmp_path / 'history.jsonl')
  best = max(children, key=lambda child: child['reward'])
  nodes, concat = best['genotype']
  assert presets.load(tmp_path).genotype == (
      tuple(map(tuple, nodes)), tuple(concat))
  assert 'enas on grammar' in (tmp_path / 'report.html').read_text()
  assert enas_text.main(tmp_path, _settings()) == summary


def test_paper_scale_is_the_published_search():
  settings = enas_text.Settings(**enas_text.PAPER)
  assert settings.controller_rounds * settings.samples_per_round == 250
  assert (settings.controller_learning_rate, settings.tanh_constant,
          settings.temperature, settings.entropy_weight,
          settings.baseline_decay, settings.controller_size) == (
              5e-5, 2.25, 5., 1e-5, .999, 64)
  assert (settings.hidden, settings.num_nodes, settings.decay,
          settings.reward_scale, settings.final_hidden) == (
              200, 9, 'used', 80., 800)
  recipe = language_recipes.load(settings.recipe)
  assert (recipe.epochs, recipe.batch_size, recipe.bptt, recipe.random_lengths,
          recipe.optimizer, recipe.learning_rate, recipe.scale_rate,
          recipe.clip_norm, recipe.weight_decay, recipe.slowness) == (
              600, 128, 35, True, 'sgd', 20., True, .1, 8e-7, 1.)
  assert dataclasses.astuple(recipe.rates()) == (
      .75, .25, .75, .2, .1, 0., 0.)


def test_the_controller_fits_the_space():
  settings = enas_text.Settings(**enas_text.PAPER)
  policy = enas_text.policy_of(settings)
  state = jax.eval_shape(policy.strategy.init, jax.random.key(0))
  assert sum(x.size for x in jax.tree.leaves(state.params)) == 41_344
  assert jax.eval_shape(policy.sample, jax.random.key(0), state).shape == (18,)


def test_a_flag_chooses_the_search(monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['enas', '--domain=text', '--workdir=x'])
  assert flags.value_of('domain') == 'text'
  with pytest.raises(ValueError, match='domain text is a search of its own: '
                     'see experiments/enas_text.py'):
    enas.Settings(**enas.SMOKE | dict(domain='text'))


def test_flags_have_help_and_scales_fit():
  fields = {field.name for field in dataclasses.fields(enas_text.Settings)}
  assert fields == set(flags.help_of(enas_text.Settings))
  for scale, values in enas_text.SCALES.items():
    assert set(values) <= fields
    enas_text.Settings(**values | {'scale': scale})


@pytest.mark.parametrize('options, message', [
    (dict(domain='images'), "domain is 'images', expected one of text"),
    (dict(decay='some'), "decay is 'some', expected one of used, all"),
    (dict(recipe='fast'), 'optimizer is adam, but shared weights'),
    (dict(controller_rounds=0), 'controller_rounds is 0, expected at least 1'),
    (dict(reward_scale=0.), 'reward_scale is 0.0, expected a positive'),
    (dict(batch_size=300), 'lower batch_size or bptt'),
])
def test_bad_settings(tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    enas_text.main(tmp_path / 'run', _settings(**options))
  assert not (tmp_path / 'run').exists()
