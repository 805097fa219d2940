"""The experiment on tables, and the published results that it reproduces."""

import numpy as np
import pytest

from benchmarks import merit
from benchmarks import python_searches
from benchmarks import tabular as tabular_benchmark
from experiments import nasbench
from nas_jax import on_tables
from nas_jax import records
from nas_jax import runs as runs_lib
from nas_jax import tables
from nas_jax.evaluators import tabular
from nas_jax.strategies import q_learning

_NAMES = ('random_search', 'regularized_evolution', 'reinforce')


@pytest.fixture(scope='module')
def path(shared_data):
  return str(shared_data / 'nasbench201.npz')


@pytest.fixture(scope='module')
def finished(path, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'bench'
  settings = nasbench.Settings(table=path, num_seeds=2000)
  return workdir, settings, nasbench.main(workdir, settings)


def test_the_published_table_is_reproduced(finished):
  _, _, summary = finished
  expected = {  # Mean and standard deviation: C10, C100, ImageNet16-120.
      'random_search': ((93.70, .1), (71.04, .1), (44.57, .1)),
      'regularized_evolution': ((93.92, .30), (71.84, .99), (45.54, 1.03)),
      'reinforce': ((93.85, .37), (71.71, 1.09), (45.24, 1.18))}
  for name, row in expected.items():
    for measure, (mean, spread) in zip(
        ('cifar10_test_200', 'cifar100_test_200', 'imagenet16_120_test_200'),
        row):
      found = summary['strategies'][name][measure]
      assert found['low'] < found['mean'] < found['high']
      assert abs(found['mean'] - mean) < spread, (name, measure, found)
  # A budget of 12,000 s pays for about 100 evaluations.
  for found in summary['strategies'].values():
    assert 95 < found['mean_evaluations'] < 110


def test_results_stand_beside_published_ones(finished):
  workdir, settings, summary = finished
  rows = nasbench.result_rows(summary, tables.load(settings.table), settings)
  assert [row[0].strip() for row in rows] == [
      'test accuracy', 'random_search', 'published', 'difference',
      'regularized_evolution', 'published', 'difference', 'reinforce',
      'published', 'difference', 'best of the table']
  assert rows[2][2:] == ['93.70 ± 0.36', '71.04 ± 1.07', '44.57 ± 1.25']
  assert rows[-1][2:] == ['94.37', '73.51', '47.31']
  page = (workdir / 'report.html').read_text('utf-8')
  assert '93.92 ± 0.30' in page and 'quoted from memory' in page
  assert 'comparison/comparison.html' in page
  assert (workdir / 'comparison/comparison.html').exists()
  assert records.read_json(workdir / 'summary.json') == summary


def test_signals_are_noisy_and_cost_a_validation_pass(finished, path):
  workdir, settings, _ = finished
  found = runs_lib.load(workdir / 'runs' / 'regularized_evolution.npz')
  assert found.rewards.shape == (2000, 200)
  table = tables.load(path)
  *_, runs = on_tables.run(
      np.array([0, 1], np.uint32), 'random_search', table,
      nasbench.make_evaluator(table, settings), num_searches=100,
      num_evaluations=100, measures=('cifar10_val_12', 'cifar10_train_time_s'))
  signal = runs.values['cifar10_val_12']
  noise = 100 * runs.rewards - signal
  for low, high, least, most in ((66, 70, .8, 1.2), (83, 85, .22, .34)):
    found = noise[(signal > low) & (signal < high)]
    assert least < np.std(found) < most and abs(np.mean(found)) < .15
  # 12 epochs of 200, and 0.353 for the pass.
  np.testing.assert_allclose(
      runs.seconds / runs.values['cifar10_train_time_s'], 12.353 / 200,
      rtol=1e-4)


def test_more_strategies_may_be_added(tmp_path, path, capsys):
  few = dict(table=path, num_seeds=2, num_evaluations=30, budget_seconds=0.)
  workdir = tmp_path / 'few'
  nasbench.main(workdir, nasbench.Settings(strategies='random', **few))
  file = workdir / 'runs' / 'random_search.npz'
  before = file.stat().st_mtime_ns
  summary = nasbench.main(workdir, nasbench.Settings(
      strategies='random,rea', **few))
  assert file.stat().st_mtime_ns == before
  assert list(summary['strategies']) == [
      'random_search', 'regularized_evolution']
  # Not about the same: nothing published beside it.
  assert summary['published'] == {}
  assert 'published' not in capsys.readouterr().out
  with pytest.raises(ValueError, match='num_seeds was 2, is now 3'):
    nasbench.main(workdir, nasbench.Settings(
        strategies='random', **{**few, 'num_seeds': 3}))


def test_searches_that_were_done_are_kept(tmp_path, path, monkeypatch):
  settings = nasbench.Settings(
      table=path, num_seeds=4, num_evaluations=20, strategies='rea',
      budget_seconds=0., measures='cifar10_test_200')
  recipe = on_tables.recipes()['regularized_evolution']
  monkeypatch.setitem(on_tables._RECIPES, 'regularized_evolution',
                      recipe._replace(chunk=1))
  save, number = runs_lib.save, 0

  def save_twice(*args):
    nonlocal number
    if number == 2:
      raise KeyboardInterrupt
    number += 1
    save(*args)

  monkeypatch.setattr(runs_lib, 'save', save_twice)
  with pytest.raises(KeyboardInterrupt):
    nasbench.main(tmp_path / 'cut', settings)
  partial = tmp_path / 'cut' / 'partial' / 'regularized_evolution.npz'
  assert runs_lib.load(partial).rewards.shape == (2, 20)
  monkeypatch.setattr(runs_lib, 'save', save)
  nasbench.main(tmp_path / 'cut', settings)
  assert not partial.exists()
  nasbench.main(tmp_path / 'whole', settings)
  cut, whole = (runs_lib.load(tmp_path / f / 'runs' / partial.name)
                for f in ('cut', 'whole'))
  np.testing.assert_array_equal(cut.rewards, whole.rewards)


@pytest.mark.parametrize('settings, message', [
    ({'table': None}, 'table is not set'),
    ({'num_seeds': 0}, 'num_seeds must be at least 1, got 0'),
    ({'strategies': 'luck'}, "unknown strategy 'luck'"),
    ({'noise': -1.}, r'noise -1\.0 must not be negative'),
    ({'cost': ''}, 'set budget_seconds to 0')])
def test_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    nasbench.Settings(**{'table': 'x.npz', **settings})


def test_an_unknown_column_is_refused(path, tmp_path):
  with pytest.raises(ValueError, match="no column 'height'"):
    nasbench.main(tmp_path / 'x', nasbench.Settings(
        table=path, measures='height'))
  assert not (tmp_path / 'x').exists()


@pytest.fixture(scope='module')
def rows(path):
  table = tables.load(path)
  return table, python_searches.table(
      [table.space.genotype(g) for g in np.indices([5] * 6).reshape(6, -1).T],
      *(table.columns[c][np.asarray(table.number(
          np.indices([5] * 6).reshape(6, -1).T.astype(np.int32)))]
        for c in ('cifar10_val_12', 'cifar10_train_time_s')))


@pytest.mark.parametrize('name', [*_NAMES, 'q_learning'])
def test_plain_python_finds_what_compiled_searches_find(name, rows):
  table, by_string = rows
  assert by_string['|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+'
                   '|nor_conv_1x1~0|skip_connect~1|skip_connect~2|'
                   ] == pytest.approx((63.364, 1444.2186), rel=1e-5)
  evaluator = tabular.benchmark(table, signal='cifar10_val_12', scale=1.)
  *_, runs = on_tables.run(
      np.array([0, 1], np.uint32), name, table, evaluator, num_searches=300,
      num_evaluations=200)
  options = {'schedule': q_learning.scaled_schedule(20)
             } if name == 'q_learning' else {}
  search = {'random_search': python_searches.random_search,
            'regularized_evolution': python_searches.evolution,
            'reinforce': python_searches.reinforce,
            'q_learning': python_searches.q_learning}[name]
  plain = np.array([search(seed, 200, by_string, **options)
                    for seed in range(300)])[:, :, 0]
  for ours, theirs in ((runs.rewards.max(1), plain.max(1)),
                       (runs.rewards[:, -50:].mean(1), plain[:, -50:].mean(1))):
    error = np.hypot(ours.std(), theirs.std()) / np.sqrt(300)
    assert abs(ours.mean() - theirs.mean()) < 3.5 * error


def test_the_order_of_merit(path):
  table = tables.load(path)
  evaluator = tabular.benchmark(table, signal='cifar10_val_12')
  found = merit.study(
      ['regularized_evolution'], table, evaluator, evaluations=100,
      num_seeds=200, host_seeds=2, measures=merit.MEASURES[:2])
  assert list(found) == ['random_search', 'regularized_evolution']
  row = found['regularized_evolution']['measures']['cifar10_val_12']
  assert row['verdict'] == 'wins'
  assert 0 < row['low'] < row['difference'] < row['high']
  first = merit.text(found).splitlines()[1]
  assert first.startswith('regularized_evolution') and first.endswith('wins')


def test_the_benchmark_knows_its_counterparts(path):
  table = tables.load(path)
  seconds = table.columns['cifar10_train_time_s']
  plain = tabular_benchmark.counterpart('random_search', table, seconds, 10)
  assert len(plain(0)) == 10 and plain(0) != plain(1)
  assert tabular_benchmark.counterpart('ppo', table, seconds, 10) is None
