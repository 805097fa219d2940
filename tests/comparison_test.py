"""Comparisons: numbers worked out by hand, and a page that is whole."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from nas_jax import comparison
from nas_jax import runs
from scripts import compare


def entry(name, rewards, seconds=1., **values):
  rewards = np.array(rewards, np.float32)
  return comparison.Entry(runs.Runs(
      name, rewards, np.full(rewards.shape, seconds, np.float32),
      {k: np.array(v, np.float32) for k, v in values.items()}))


@pytest.fixture
def pair():
  return [
      entry('random_search', [[.1, .2], [.3, .1]],
            test=[[50, 40], [60, 70]]),
      entry('evolution', [[.2, .4], [.5, .1]], 2.,
            test=[[70, 80], [60, 50]])]


def write_workdir(folder, experiment, seed, rewards, others, test=None):
  for place, found in ((folder, rewards), (folder / 'random_search', others)):
    place.mkdir(parents=True)
    (place / 'history.jsonl').write_text(''.join(
        json.dumps({'reward': r, 'seconds': {'train': 2., 'compile': 1.}})
        + '\n' for r in found))
  (folder / 'config.json').write_text(json.dumps({
      'experiment': experiment, 'flags': {'seed': seed, 'epochs': 3}}))
  if test is not None:
    (folder / 'summary.json').write_text(json.dumps({
        'result': {'test_accuracy': test},
        'random_search': {'test_accuracy': test - .1}}))


def test_finals_are_what_the_best_reward_is_worth(pair):
  first, second = comparison.finals(pair, 'test', comparison.Limit(2))
  assert first.tolist() == [40, 60] and second.tolist() == [80, 60]
  limit = comparison.Limit(seconds=2.)  # one evaluation of evolution
  first, second = comparison.finals(pair, 'test', limit)
  assert first.tolist() == [40, 60] and second.tolist() == [70, 60]


def test_ranks_count_equal_values_half(pair):
  # Of four pairs evolution wins three and draws one.
  table = comparison.rank_table(pair, 'test', comparison.Limit(2))
  assert [row[0] for row in table] == ['', 'evolution', 'random_search']
  assert table[1][1:5] == ['2', '70.00', '65.00 to 75.00', '70.00 ± 14.14']
  assert table[1][6] == '1.12' and table[2][6] == '1.88'
  pairs = comparison.pair_table(pair, 'test', comparison.Limit(2))
  assert pairs == [['', '1', '2'], ['1 random_search', '–', '12.5'],
                   ['2 evolution', '87.5', '–']]


def test_differences_of_many_searches_get_a_star():
  rng = np.random.default_rng(0)
  found = [entry('random', rng.normal(size=(40, 3))),
           entry('better', rng.normal(size=(40, 3)) + 2),
           entry('same', rng.normal(size=(40, 3)))]
  table = comparison.pair_table(found, None, comparison.Limit(3))
  assert table[2][1].endswith('*') and table[2][3].endswith('*')
  assert not table[3][1].endswith('*')
  ranks = comparison.rank_table(found, None, comparison.Limit(3))
  low, high = map(float, ranks[1][7].split(' to '))
  assert ranks[1][0] == 'better' and low <= float(ranks[1][6]) <= high < 1.5


def test_random_search_comes_first_and_names_are_unique(pair, tmp_path):
  for one in pair[::-1]:
    runs.save(tmp_path / 'runs' / f'{one.name}.npz', one.runs)
  found = comparison.read([tmp_path])
  assert [e.name for e in found] == ['random_search', 'evolution']
  assert comparison.measures(found) == ['test']
  with pytest.raises(ValueError, match='two strategies named evolution'):
    comparison.read([tmp_path, tmp_path / 'runs' / 'evolution.npz'])


def test_workdirs_that_differ_in_the_seed_belong_together(tmp_path):
  write_workdir(tmp_path / 'a', 'amoeba', 0, [.1, .5, .7], [.1, .2, .3], .9)
  write_workdir(tmp_path / 'b', 'amoeba', 1, [.2, .6], [.3, .4], .8)
  found = comparison.read([tmp_path / 'a', tmp_path / 'b'])
  assert [e.name for e in found] == ['random search', 'amoeba']
  # As far as the shortest goes.
  assert found[1].runs.rewards.tolist() == [
      pytest.approx([.1, .5]), pytest.approx([.2, .6])]
  assert found[1].runs.seconds.tolist() == [[3, 3], [3, 3]]
  assert found[1].tested == pytest.approx((90, 80))
  assert found[0].tested == pytest.approx((80, 70))


def test_random_search_in_several_spaces_says_which(tmp_path):
  write_workdir(tmp_path / 'a', 'amoeba', 0, [.1], [.1])
  write_workdir(tmp_path / 'b', 'nasnet', 0, [.2], [.3])
  found = comparison.read([tmp_path / 'a', tmp_path / 'b'])
  assert [e.name for e in found] == [
      'random search (amoeba)', 'random search (nasnet)', 'amoeba', 'nasnet']


def test_other_places_are_refused(tmp_path):
  with pytest.raises(ValueError, match='neither a file of runs'):
    comparison.read([tmp_path])
  write_workdir(tmp_path / 'a', 'amoeba', 0, [], [])
  with pytest.raises(ValueError, match='no evaluation yet'):
    comparison.read([tmp_path / 'a'])
  with pytest.raises(ValueError, match='nothing to compare'):
    comparison.read([])


def test_the_page_and_its_pictures(pair, tmp_path, capsys):
  for one in pair:
    runs.save(tmp_path / 'runs' / f'{one.name}.npz', one.runs)
  page = compare.main(compare.Settings(
      places=str(tmp_path), output=str(tmp_path / 'out'), evaluations='1,2',
      budget_seconds=2., title='a & b'))
  text = page.read_text()
  for part in ('<h1>a &amp; b</h1>', 'After 1 evaluations', 'After 2 s',
               '1 random_search', 'Mann and Whitney'):
    assert part in text
  for name in ('test_by_evaluations', 'test_by_time'):
    picture = (tmp_path / 'out' / f'{name}.svg').read_text()
    assert ElementTree.fromstring(picture) is not None
    assert (tmp_path / 'out' / f'{name}.png').read_bytes()[1:4] == b'PNG'
  assert 'evolution' in capsys.readouterr().out


@pytest.mark.parametrize('options, message', [
    ({}, '--places is not set'),
    ({'places': 'x', 'zoom': 100.}, '--zoom is 100'),
    ({'places': 'nowhere'}, 'nowhere is neither'),
    ({'places': 'HERE', 'evaluations': '3'}, 'has 1 to 2'),
    ({'places': 'HERE', 'evaluations': 'x'}, 'expected whole numbers'),
    ({'places': 'HERE', 'budget_seconds': .5}, 'does not pay')])
def test_bad_flags_are_refused(pair, tmp_path, options, message):
  for one in pair:
    runs.save(tmp_path / 'runs' / f'{one.name}.npz', one.runs)
  if options.get('places') == 'HERE':
    options = options | {'places': str(tmp_path)}
  with pytest.raises(ValueError, match=message):
    compare.main(compare.Settings(output=str(tmp_path / 'out'), **options))
