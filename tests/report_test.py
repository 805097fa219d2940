"""The report of a made-up run: complete, true to its files, self-contained."""

import html.parser
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from nas_jax import pages
from nas_jax import records
from nas_jax import report
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets

OPS = ('sep_conv_3x3', 'max_pool_3x3', 'skip_connect')


def genotype(seed):
  rng = np.random.default_rng(seed)
  pairs = [[OPS[rng.integers(3)], int(rng.integers(2 + i // 2))]
           for i in range(8)]
  cell = {'normal': pairs, 'normal_concat': [2, 3, 4, 5]}
  return cell | {'reduce': pairs[::-1][:2], 'reduce_concat': [2, 0]} if (
      pairs[-1][1] < 2 and pairs[-2][1] < 2) else cell


def history(seed, children=50, failures=3):
  rng = np.random.default_rng(seed)
  lines = []
  for i in range(children):
    failed = float(i % (children // failures) == 1)
    reward = 0.0 if failed else round(float(rng.uniform(0.8, 0.97)), 4)
    lines.append({
        'child': i, 'round': i // 5, 'genotype': genotype(100 * seed + i),
        'reward': reward,
        'metrics': {'validation_accuracy': reward, 'failed': failed,
                    'num_params': 1000.0 + i},
        'seconds': {'compile': 1.2, 'train': 3.4}})
  lines[-1] = lines[-2] | {'child': children - 1}  # A genotype comes again.
  return lines


SUMMARY = {
    'experiment': 'amoeba', 'dataset': 'digits', 'seed': 7, 'scale': 'smoke',
    'result': {'validation_accuracy': 0.9812, 'test_accuracy': 0.975,
               'test_error_percent': 2.5, 'num_params': 12345,
               'num_test': 360, 'top5_accuracy': 0.9991},
    'random_search': {'validation_accuracy': 0.9734, 'test_accuracy': 0.9694,
                      'test_error_percent': 3.06, 'num_params': 23456},
    'knn': {'test_accuracy': 0.9861},
    'search': {'num_children': 50, 'num_trained': 46, 'num_failed': 3,
               'best_reward': 0.9644, 'best_child': 31},
    'cost': {'search_seconds': 61.25, 'compile_seconds': 20.5,
             'train_seconds': 33.125, 'random_search_seconds': 58.75,
             'retrain_seconds': 12.5, 'total_seconds': 4150.5},
    'hardware': {'platform': 'cpu', 'device': 'cpu <unknown>',
                 'num_devices': 1, 'cpu_count': 2, 'memory_gib': 7.8},
    'versions': {'jax': '0.4.30'}, 'a_new_number': 0.125,
}


@pytest.fixture
def workdir(tmp_path):
  (tmp_path / 'random_search').mkdir()
  for seed, folder in enumerate((tmp_path, tmp_path / 'random_search')):
    records.append(folder / 'history.jsonl', history(seed))
    records.append(folder / 'training.jsonl', [
        {'epoch': e, 'loss': 2.0 / (e + 1), 'train_accuracy': 1 - 0.9 / (e + 1),
         'learning_rate': 0.1, 'seconds': 1.5} for e in range(10)])
    records.write_json(folder / 'genotype.json', genotype(seed))
  records.write_json(tmp_path / 'config.json', {
      'experiment': 'amoeba', 'versions': {'nas_jax': '0.1'},
      'flags': {'seed': 7, 'note': '<script>alert(1)</script>',
                'learning_rate': 0.00012345678, 'batch_size': 1024},
      'command': ['python', '-m', 'experiments.amoeba', '--note=a b']})
  records.write_json(tmp_path / 'summary.json', SUMMARY)
  return tmp_path


class Page(html.parser.HTMLParser):
  """Fails on a tag that closes another; keeps tables, text and tags."""

  VOID = ('meta', 'br')

  def __init__(self, text):
    super().__init__()
    self.open, self.rows, self.text, self.tags = [], [], '', []
    self.feed(text)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag not in self.VOID:
      self.open.append(tag)
    if tag == 'tr':
      self.rows.append([])
    if tag in ('td', 'th'):
      self.rows[-1].append('')

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if 'style' not in self.open:
      self.text += data
    if 'td' in self.open or 'th' in self.open:
      self.rows[-1][-1] += data


def test_page_shows_the_summary(workdir):
  path = report.write(workdir)
  assert path == workdir / 'report.html'
  page = Page(path.read_text('utf-8'))
  rows = {row[0]: row[1:] for row in page.rows}
  assert page.rows[0] == [
      '', 'validation accuracy', 'test accuracy', '95 % interval', 'test error',
      'parameters', 'test images', 'top5 accuracy']
  assert rows['amoeba'] == ['98.12 %', '97.50 %', '95.3 to 98.7 %', '2.50 %',
                            '12,345', '360', '99.91 %']
  assert rows['random search, equal budget'] == [
      '97.34 %', '96.94 %', '94.6 to 98.3 %', '3.06 %', '23,456', '–', '–']
  assert rows['k-nearest neighbours'] == [
      '–', '98.61 %', '96.8 to 99.4 %', '–', '–', '–', '–']
  assert rows['children trained'] == ['46']
  assert rows['of it training'] == ['33.12', '33 s']
  assert rows['total'] == ['4,150.5', '1 h 09 min']
  assert rows["retraining random search's"] == ['–', '–']
  assert rows['device'] == ['cpu <unknown>'] and rows['memory, GiB'] == ['7.8']
  assert rows['a new number'] == ['0.125'] and rows['jax'] == ['0.4.30']
  assert rows['learning_rate'] == ['0.00012345678']  # Flags as they are.
  assert rows['batch_size'] == ['1024'] and rows['nas_jax'] == ['0.1']
  assert "python -m experiments.amoeba '--note=a b'" in page.text
  assert ('the search beat random search at equal budget: test accuracy '
          '97.50 % against 96.94 %, a difference of 2 of 360 test images (the '
          '95 % intervals overlap). One run with one seed is not evidence'
         ) in page.text
  assert '3 of 50 children failed, 3 different architectures' in page.text


def test_best_children_are_the_best(workdir):
  page = Page(report.write(workdir).read_text('utf-8'))
  start = [r[:2] for r in page.rows].index(['child', 'round'])
  shown = page.rows[start + 1:start + 21:2]
  codes = page.rows[start + 2:start + 21:2]  # Each below its row.
  lines = history(0)[:-1]
  best = sorted(lines, key=lambda r: -r['reward'])[:10]
  assert [r[0] for r in shown] == [str(r['child']) for r in best]
  assert [r[2] for r in shown] == [f'{r["reward"]:.4f}' for r in best]
  assert {r[5] for r in shown} == {'4.6'}
  assert [json.loads(code) for _, code in codes] == [
      r['genotype'] for r in best]


def test_page_needs_nothing_else(workdir):
  text = report.write(workdir).read_text('utf-8')
  addresses = re.findall(r'\w+="?https?://[^"\s]*', text)
  assert set(addresses) == {'xmlns="http://www.w3.org/2000/svg'}
  assert len(re.findall('https?:', text)) == len(addresses)
  page = Page(text)
  names = {tag for tag, _ in page.tags}
  assert not names & {'script', 'link', 'img', 'iframe', 'object'}
  assert not any(k in ('src', 'href') for _, attrs in page.tags for k in attrs)
  assert 'url(' not in text and '@import' not in text
  assert '<script>alert(1)</script>' in page.text  # Shown, not run.
  assert 'prefers-color-scheme:dark' in text and '@media print' in text
  assert str(workdir) not in text


def test_page_is_deterministic(workdir):
  first = report.write(workdir).read_bytes()
  assert report.write(workdir).read_bytes() == first
  assert sorted(p.name for p in workdir.glob('report*')) == ['report.html']


@pytest.mark.parametrize('missing', [
    'config.json', 'history.jsonl', 'random_search', 'training.jsonl',
    'genotype.json', 'summary.json', 'all'])
def test_page_of_an_unfinished_run(workdir, missing):
  for path in sorted(workdir.rglob('*'), reverse=True):
    if missing in ('all', path.name, path.parent.name):
      path.rmdir() if path.is_dir() else path.unlink()
  page = Page(report.write(workdir).read_text('utf-8'))
  if missing in ('summary.json', 'all'):
    assert 'This run has no result yet.' in page.text
  if missing == 'summary.json':
    assert '50 children so far, the best with reward 0.9' in page.text
  if missing == 'all':
    assert 'No child has been evaluated yet.' in page.text


@pytest.mark.parametrize('value', [
    [0, 3, 1, 2], {'matrix': [[0, 1], [0, 0]], 'ops': ['input', 'output']},
    {'normal': [['conv', 0, 1]], 'normal_concat': [2]}, 'a <name>'])
def test_an_architecture_without_cells_is_text(workdir, value):
  records.write_json(workdir / 'genotype.json', value)
  assert json.dumps(value) in Page(report.write(workdir).read_text()).text


@pytest.mark.parametrize('name, headings', [
    ('NAS-RL-v1', ['Network']), ('BlockQNN-resnet-like', ['Block', 'Network']),
    ('AutoDL-Design', ['Normal cell', 'Reduction cell', 'Network']),
    ('NASCell', ['Recurrent cell', 'Network'])])
def test_architectures_of_other_families_are_drawn(tmp_path, name, headings):
  preset = presets.load(name)
  genotypes.save(tmp_path / 'genotype.json', preset.genotype, preset.family)
  page = Page(report.write(tmp_path).read_text())
  assert re.findall('<h3>(.*?)</h3>', (tmp_path / 'report.html').read_text(
      )) == headings
  # Beside the two curves, of nothing yet.
  assert sum(tag == 'svg' for tag, _ in page.tags) == 2 + len(headings)
  assert json.dumps(records.read_json(tmp_path / 'genotype.json')) in page.text


def test_an_unknown_family_is_text(tmp_path):
  value = {'family': 'none_of_ours', 'genotype': [1, 2]}
  records.write_json(tmp_path / 'genotype.json', value)
  page = Page(report.write(tmp_path).read_text())
  assert json.dumps(value) in page.text and 'As text' not in page.text


def test_short_code_stays_beside_its_numbers():
  text = pages.html_table([['n', 'code'], ['1', pages.Code('[0, 1]')]])
  assert Page(text).rows == [['n', 'code'], ['1', '[0, 1]']]
  long = 'x' * 61
  text = pages.html_table([['n', 'm', 'code'], ['1', '2', pages.Code(long)]])
  assert Page(text).rows == [['n', 'm'], ['1', '2'], ['', long]]


def test_perplexity_is_better_when_low(workdir):
  records.write_json(workdir / 'summary.json', {
      'result': {'test_perplexity': 61.5, 'num_params': 1},
      'random_search': {'test_perplexity': 60.25}})
  page = Page(report.write(workdir).read_text())
  assert page.rows[0] == ['', 'test perplexity', 'parameters']
  assert ('the search did not beat random search at equal budget: test '
          'perplexity 61.5 against 60.25.') in page.text


def test_a_training_that_diverged_is_said(workdir):
  summary = {
      'experiment': 'nao', 'dataset': 'grammar', 'seed': 0, 'scale': 'smoke',
      'result': {'validation_perplexity': None, 'test_perplexity': None},
      'random_search': {'test_perplexity': 7.}}
  text = report.terminal_summary(summary, 'report.html')
  assert 'The training of the result diverged, so there is nothing' in text
  summary['random_search'] = {'test_perplexity': None}
  text = report.terminal_summary(summary, 'report.html')
  assert 'of the result and the result of random search diverged' in text


def test_what_stands_beside_the_result_has_a_row(workdir):
  summary = {
      'experiment': 'nao', 'dataset': 'grammar', 'seed': 0, 'scale': 'smoke',
      'result': {'validation_perplexity': 6.5, 'test_perplexity': 6.25,
                 'num_params': 1024},
      'random_search': {'test_perplexity': 7.},
      'beside': {'bigrams': {'test_perplexity': 9.5},
                 'best possible': {'test_perplexity': 5.75}}}
  records.write_json(workdir / 'summary.json', summary)
  page = Page(report.write(workdir).read_text())
  assert page.rows[:5] == [
      ['', 'validation perplexity', 'test perplexity', 'parameters'],
      ['nao', '6.5', '6.25', '1,024'],
      ['random search, equal budget', '–', '7', '–'],
      ['bigrams', '–', '9.5', '–'], ['best possible', '–', '5.75', '–']]
  text = report.terminal_summary(summary, 'report.html').splitlines()
  assert text[5].split() == ['best', 'possible', '-', '5.75', '-']


def test_terminal_summary():
  assert report.terminal_summary(SUMMARY, 'out/report.html').splitlines() == [
      'amoeba on digits, seed 7, scale smoke',
      '                      validation accuracy  test accuracy  parameters',
      'amoeba                            98.12 %        97.50 %      12,345',
      'random search                     97.34 %        96.94 %      23,456',
      'k-nearest neighbours                    -        98.61 %           -',
      'In this one run the search beat random search at equal budget: test '
      'accuracy 97.50 % against 96.94 %, a difference of 2 of 360 test images '
      '(the 95 % intervals overlap). One run with one seed is not evidence '
      'that one method is better than another: repeat both with other seeds.',
      '50 children, 46 trained, 3 failed, search 61 s, total 1 h 09 min',
      'report: out/report.html']
  assert 'no result yet' in report.terminal_summary({}, 'report.html')


def test_table():
  assert pages.table([['name', 'n'], ['a', 10], ['bcdef', None]]) == (
      'name    n\na      10\nbcdef   -')
  with pytest.raises(ValueError, match=r'\[1, 2\]'):
    pages.table([['a'], ['b', 'c']])


def test_a_file_that_is_not_json_is_named(workdir):
  (workdir / 'summary.json').write_text('{')
  with pytest.raises(ValueError, match='summary.json'):
    report.write(workdir)


def test_import_is_light():
  code = ('import sys, nas_jax.report, nas_jax.progress; '
          'print({"jax", "matplotlib", "tqdm", "tensorboardX"} '
          '& set(sys.modules))')
  done = subprocess.run([sys.executable, '-c', code], capture_output=True,
                        text=True, check=True)
  assert done.stdout.strip() == 'set()'


def test_searches_over_seeds(tmp_path):
  records.append(tmp_path / 'history.jsonl', history(0))
  summary = {
      'experiment': 'toy', 'dataset': 'nk', 'seed': 0, 'scale': 'smoke',
      'result': {'mean_best_reward': 0.75, 'num_seeds': 20},
      'random_search': {'mean_best_reward': 0.5, 'num_seeds': 20}}
  records.write_json(tmp_path / 'summary.json', summary)
  page = Page(report.write(tmp_path).read_text('utf-8'))
  assert page.rows[:3] == [
      ['', 'mean best reward', 'seeds'], ['toy', '0.75', '20'],
      ['random search, equal budget', '0.5', '20']]
  verdict = ('In these runs the search beat random search at equal budget: '
             'mean best reward 0.75 against 0.5, over 20 seeds.')
  assert verdict in page.text
  assert verdict in report.terminal_summary(summary, 'report.html')
  assert 'Retraining' not in page.text and 'Cost' not in page.text


def test_a_training_alone(tmp_path):
  records.append(tmp_path / 'training.jsonl', [
      {'epoch': 0, 'loss': 2.0, 'train_accuracy': .5, 'learning_rate': 0.1}])
  records.write_json(tmp_path / 'summary.json', {
      'result': {'test_accuracy': .5, 'num_test': 10},
      'cost': {'retrain_seconds': 3., 'total_seconds': 3.}})
  page = Page(report.write(tmp_path).read_text('utf-8'))
  assert 'Retraining' in page.text and 'Best children' not in page.text
  assert [row for row in page.rows if row[1:] == ['3', '3 s']] == [
      ['retraining the result', '3', '3 s'], ['total', '3', '3 s']]


def test_a_training_is_called_by_its_architecture_and_recipe(tmp_path):
  summary = {'experiment': 'train_image', 'architecture': 'DARTS_V2',
             'dataset': 'digits', 'seed': 0, 'scale': 'smoke',
             'recipe': {'name': 'darts', 'epochs': 6},
             'result': {'test_accuracy': .5}}
  records.write_json(tmp_path / 'summary.json', summary)
  page = report.write(tmp_path).read_text()
  text = report.terminal_summary(summary, 'report.html')
  for found in (page, text):
    assert 'Trained by the recipe darts; this was no search.' in found
    assert 'random search' not in found
  assert '<h1>DARTS_V2 on digits</h1>' in page
