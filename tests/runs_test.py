import numpy as np
import pytest

from nas_jax import runs


@pytest.fixture
def two():
  return runs.Runs(
      'evolution',
      np.array([[.5, .7, .7, .6], [.9, .1, .2, .95]], np.float32),
      np.array([[10, 20, 30, 40], [50, 5, 5, 50]], np.float32),
      {'test': np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)})


def test_the_best_is_the_first_of_equal_rewards(two):
  assert runs.best_so_far(two).tolist() == [[0, 1, 1, 1], [0, 0, 0, 3]]


def test_the_reward_chooses_and_the_measure_is_looked_up(two):
  assert runs.curve(two, 'test').tolist() == [[1, 2, 2, 2], [5, 5, 5, 8]]
  assert runs.curve(two)[0].tolist() == pytest.approx([.5, .7, .7, .7])


def test_a_budget_buys_the_evaluations_that_end_within_it(two):
  assert runs.affordable(two, 60).tolist() == [3, 3]
  assert runs.affordable(two, 59.9).tolist() == [2, 2]
  assert runs.final(two, 'test', budget=60).tolist() == [2, 5]
  assert runs.final(two, 'test').tolist() == [2, 8]
  assert runs.final(two, 'test', evaluations=1).tolist() == [1, 5]
  assert runs.final(two, 'test', evaluations=2, budget=1e9).tolist() == [2, 5]


@pytest.mark.parametrize('limits, message', [
    (dict(budget=40.), 'does not pay for the first'),
    (dict(budget=1000.), '4 evaluations of evolution cost 100 s'),
    (dict(evaluations=5), 'has 1 to 4'),
    (dict(evaluations=0), 'has 1 to 4')])
def test_a_budget_that_the_runs_cannot_answer_is_refused(two, limits, message):
  with pytest.raises(ValueError, match=message):
    runs.final(two, 'test', **limits)


def test_an_unknown_measure_is_refused(two):
  with pytest.raises(ValueError, match="no measure 'loss', only test"):
    runs.curve(two, 'loss')


def test_a_file_holds_all_of_it(two, tmp_path):
  runs.save(tmp_path / 'runs' / 'a.npz', two)
  found = runs.load(tmp_path / 'runs' / 'a.npz')
  assert found.strategy == 'evolution'
  for name in ('rewards', 'seconds'):
    np.testing.assert_array_equal(getattr(found, name), getattr(two, name))
  np.testing.assert_array_equal(found.values['test'], two.values['test'])
  assert [p.name for p in (tmp_path / 'runs').iterdir()] == ['a.npz']


def test_other_files_are_refused(two, tmp_path):
  with pytest.raises(ValueError, match='there is no'):
    runs.load(tmp_path / 'none.npz')
  (tmp_path / 'text.npz').write_text('not an archive')
  np.savez(tmp_path / 'other.npz', x=np.zeros(3))
  for name in ('text.npz', 'other.npz'):
    with pytest.raises(ValueError, match='does not hold the runs'):
      runs.load(tmp_path / name)


def test_arrays_that_do_not_fit_are_refused(two):
  with pytest.raises(ValueError, match='searches x evaluations'):
    runs.check(two._replace(rewards=np.zeros(3)))
  with pytest.raises(ValueError, match='seconds of evolution is of shape'):
    runs.check(two._replace(seconds=np.zeros((2, 3))))
  with pytest.raises(ValueError, match='rewards of evolution are not all'):
    runs.check(two._replace(rewards=np.full((2, 4), np.nan)))
