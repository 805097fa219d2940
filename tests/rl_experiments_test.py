"""The searches by reinforcement learning, from flags to the found network."""

import dataclasses

import numpy as np
import pytest

from experiments import autodl
from experiments import block_qnn
from experiments import flags
from experiments import nas_rl
from nas_jax import records
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.evaluators import scratch
from nas_jax.spaces import chain
from nas_jax.spaces import presets
from nas_jax.strategies import q_learning

_TINY = dict(
    scale='smoke', max_train=100, num_children=4, children_per_round=2,
    epochs=1, batch_size=20, final_epochs=1, final_batch_size=20)
_NETWORK = dict(features=4, num_cells=1, final_features=4, final_num_cells=1)
_EXPERIMENTS = {
    'block_qnn': (block_qnn, dict(_NETWORK, max_index=3)),
    'autodl': (autodl, dict(_NETWORK, num_nodes=2, folds=4)),
    'nas_rl': (nas_rl, dict(
        sizes='1,3', filters='4,6', first_depth=2, last_depth=3,
        children_per_depth=2, num_replicas=2, num_shards=3)),
}


def _settings(name, **options):
  module, own = _EXPERIMENTS[name]
  return module.Settings(**module.SMOKE | _TINY | own | options)


@pytest.mark.parametrize('name', _EXPERIMENTS)
def test_a_run_ends_with_a_network(tmp_path, capsys, name):
  module, _ = _EXPERIMENTS[name]
  settings = _settings(name)
  summary = module.main(tmp_path, settings)
  assert summary['search']['num_children'] == 4
  assert set(summary['result']) == set(summary['random_search'])
  assert len(records.read(tmp_path / 'random_search' / 'history.jsonl')) == 4
  found = trained.load(tmp_path)
  assert found.preset == presets.load(tmp_path)
  data = image_data.load('digits', max_train=100)
  predicted = trained.probabilities(found, data.test.images).argmax(-1)
  assert np.mean(predicted == data.test.labels) == pytest.approx(
      summary['result']['test_accuracy'])
  page = (tmp_path / 'report.html').read_text()
  assert f'{name} on digits' in page and '<svg' in page
  # Run again, it is told again.
  before = (tmp_path / 'history.jsonl').read_bytes()
  capsys.readouterr()
  assert module.main(tmp_path, settings) == records.read_json(
      tmp_path / 'summary.json')
  assert (tmp_path / 'history.jsonl').read_bytes() == before
  if name == 'nas_rl':
    # The depth grows with the number of children.
    lengths = [len(r['genotype']) for r in records.read(
        tmp_path / 'history.jsonl')]
    assert lengths == [2, 2, 3, 3]


@pytest.mark.parametrize('name', _EXPERIMENTS)
def test_flags_have_help_and_scales_fit(name):
  module, _ = _EXPERIMENTS[name]
  fields = {field.name for field in dataclasses.fields(module.Settings)}
  assert fields == set(flags.help_of(module.Settings))
  for scale, values in module.SCALES.items():
    assert set(values) <= fields
    module.Settings(**values | {'scale': scale})


def test_paper_scales_are_the_published_settings():
  nas = nas_rl.Settings(**nas_rl.PAPER)
  assert (nas.num_children, nas.num_replicas, nas.num_shards) == (
      12800, 100, 20)
  assert nas.children_per_round // nas.num_replicas == 8
  layout = nas_rl.layout_of(nas)
  assert layout == chain.layout()
  depths = [chain.depth_index(layout, n) for n in (0, 1599, 1600, 12799)]
  assert [int(d) for d in depths] == [0, 0, 1, 7]
  block = block_qnn.Settings(**block_qnn.PAPER)
  assert block.num_children // block.children_per_round == 178
  assert q_learning.scaled_schedule(178) == q_learning.PAPER_SCHEDULE
  assert (block.dataset, block.max_index, block.mu, block.rho) == (
      'cifar100', 23, 1., 8.)
  # 5 to 1.
  assert block.validation_fraction == pytest.approx(10 / 60)
  auto = autodl.Settings(**autodl.PAPER)
  assert (auto.num_children, auto.children_per_round) == (32000, 10)
  assert (auto.advantage, auto.baseline_decay, auto.max_train, auto.folds) == (
      'cubed', .9, 1000, 10)


def test_the_corrected_reward_of_a_block():
  """60 - ln FLOPs - 8 ln density, in hundredths, worked out by hand."""
  made = block_qnn.make(_settings('block_qnn', features=8))
  code = ((1, 1, 3, 0, 0), (2, 1, 3, 1, 0), (3, 7, 0, 0, 0))
  outcome = scratch.Outcome(code, [], .6, 1.)
  # Two 3x3 convolutions of 8 by 8 features on 8 by 8 pixels; 2 edges on the
  # input and two layers.
  expected = 60 - np.log(2 * 9 * 8 * 8 * 64) - 8 * np.log(2 / 3)
  assert float(made.scoring.reward(outcome)) == pytest.approx(
      expected / 100, abs=1e-6)
  assert 100 * made.scoring.floor < -np.log(1e12) - 8 * np.log(2)
  # Nothing is built of an empty block: it would be a failed child.
  with pytest.raises(ValueError, match='has no layer'):
    made.child(((1, 7, 0, 0, 0),))
  plain = block_qnn.make(_settings('block_qnn', reward='accuracy'))
  assert plain.scoring.reward(outcome) == .6


def test_the_rewards_of_autodl():
  outcome = scratch.Outcome((), [{'last_batch_accuracy': .75}], .6, 1.5)
  rewards = {name: reward(outcome) for name, reward in autodl.REWARDS.items()}
  assert rewards == {'validation_accuracy': .6, 'last_batch_accuracy': .75,
                     'negative_loss': -1.5}


def test_the_reward_of_nas_rl():
  """The cube of the best of the last five epochs."""
  made = nas_rl.make(_settings('nas_rl', epochs=7))
  outcome = scratch.Outcome((), [
      {'validation_accuracy': a} for a in (.9, .1, .3, .5, .2, .4)], .9, 1.)
  assert float(made.scoring.reward(outcome)) == pytest.approx(.125)
  assert made.scoring.validate_last == 5


@pytest.mark.parametrize('name, options, message', [
    ('block_qnn', dict(reward='speed'),
     "reward is 'speed', expected one of corrected, accuracy"),
    ('autodl', dict(reward='speed'), "reward is 'speed', expected one of "
     'validation_accuracy, last_batch_accuracy, negative_loss'),
    ('nas_rl', dict(num_replicas=3), 'children_per_round 2 is not a multiple '
     'of num_replicas 3'),
    ('nas_rl', dict(last_depth=1),
     'last_depth is 1, expected at least first_depth 2'),
    ('nas_rl', dict(sizes='1,3,x'),
     "sizes is '1,3,x', expected whole numbers such as 1,3,5"),
    ('nas_rl', dict(sizes='2'), 'heights must be among (1, 3, 5, 7), got (2,)'),
    ('block_qnn', dict(rules='any'), "unknown rules 'any'"),
])
def test_bad_settings(tmp_path, name, options, message):
  module, _ = _EXPERIMENTS[name]
  with pytest.raises(ValueError) as e:
    module.main(tmp_path / 'run', _settings(name, **options))
  assert str(e.value).startswith(message)
  assert not (tmp_path / 'run').exists()


def test_a_search_goes_on_when_all_children_of_a_round_fail(
    tmp_path, monkeypatch):
  """They are recorded, nothing is learned, the next round is asked for."""
  train, count = scratch._Bench.train, []

  def failing(self, genotype, *args):
    child = train(self, genotype, *args)
    count.append(genotype)
    if len(count) <= 2:
      child |= {'reward': self._scoring.floor, 'error': 'made to fail',
                'metrics': child['metrics'] | {'failed': 1.}}
    return child

  monkeypatch.setattr(scratch._Bench, 'train', failing)
  summary = autodl.main(tmp_path, _settings('autodl'))
  history = records.read(tmp_path / 'history.jsonl')
  assert [r['metrics']['failed'] for r in history] == [1., 1., 0., 0.]
  assert summary['search']['num_failed'] == 2
  assert summary['search']['best_child'] >= 2
