"""Experiments as their users see them: resuming, signals, bad input."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from experiments import amoeba
from experiments import flags
from experiments import random_search
from experiments import toy
from nas_jax import autodl_demo
from nas_jax import records
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.evaluators import scratch
from scripts import check_resume

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_TINY = dict(
    amoeba.SMOKE, scale='smoke', **{k: v for k, v in check_resume.FLAGS.items()
                                    if k not in amoeba.SMOKE})
_TINY |= check_resume.FLAGS
_TOY = dict(num_seeds=2, num_positions=6, num_evaluations=30,
            population_size=5, sample_size=2)

_on_cpu = pytest.mark.skipif(
    jax.default_backend() != 'cpu', reason='equal bits are promised for CPUs')


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
  """The workdir of the tiny run, done without a break."""
  folder = tmp_path_factory.mktemp('runs') / 'undisturbed'
  check_resume.finish(folder)
  return folder


def test_the_files_of_a_run(finished):
  config = records.read_json(finished / 'config.json')
  assert set(config['flags']) == set(amoeba.Settings.__dataclass_fields__)
  assert config['flags']['scale'] == 'smoke'
  assert config['command'].startswith(
      f'python -m experiments.amoeba --workdir={finished} --num_children=8 ')
  summary = records.read_json(finished / 'summary.json')
  assert (summary['scale'], summary['search']['num_children']) == ('smoke', 8)
  assert set(summary['result']) == set(summary['random_search'])
  cost = summary['cost']
  assert cost['total_seconds'] == pytest.approx(sum(
      v for k, v in cost.items() if k not in (
          'total_seconds', 'compile_seconds', 'train_seconds')))
  page = (finished / 'report.html').read_text()
  assert 'scale smoke' in page and 'best so far' in page
  log = pathlib.Path(f'{finished}.log').read_text()
  assert 'Traceback' not in log


def test_killed_runs_end_with_the_same_bits(finished, tmp_path):
  folder = tmp_path / 'killed'
  check_resume.kill_at_random(folder, 3, random.Random(1))
  assert check_resume.differences(finished, folder) == []


@pytest.mark.slow
def test_twenty_kills():
  subprocess.run([sys.executable, '-m', 'scripts.check_resume'], cwd=_ROOT,
                 check=True)


def _interrupted(folder, number, file):
  """The log of a run that gets a signal when a file has its first line."""
  process = check_resume.start(folder)
  while process.poll() is None and not records.read(folder / file):
    time.sleep(.02)
  before = time.monotonic()
  process.send_signal(number)
  status = process.wait(30)
  assert time.monotonic() - before < 8
  log = pathlib.Path(f'{folder}.log')
  text = log.read_text()
  log.unlink()
  return status, text


def test_interrupted_runs_say_how_to_go_on(finished, tmp_path):
  folder = tmp_path / 'interrupted'
  for number, file in ((signal.SIGINT, 'children.jsonl'),
                       (signal.SIGTERM, 'finalists/00/training.jsonl')):
    status, text = _interrupted(folder, number, file)
    assert status == 128 + number
    assert 'Traceback' not in text
    _, said = text.split('\ninterrupted; nothing finished is lost. To go on:\n')
    assert said.startswith(
        f'  python -m experiments.amoeba --workdir={folder} --num_children=8 ')
    assert said.count('\n') == 1
  check_resume.finish(folder)
  assert check_resume.differences(finished, folder) == []


def test_a_difference_is_found(finished, tmp_path):
  folder = tmp_path / 'other'
  shutil.copytree(finished, folder)
  assert check_resume.differences(finished, folder) == []
  lines = records.read(folder / 'history.jsonl')
  lines[3]['seconds'] = {}
  records.rewrite(folder / 'history.jsonl', lines)
  assert check_resume.differences(finished, folder) == []
  lines[3]['reward'] += 1e-9
  records.rewrite(folder / 'history.jsonl', lines)
  with open(next(folder.glob('checkpoints/training/*')), 'ab') as f:
    f.write(b'!')
  found = check_resume.differences(finished, folder)
  assert found[0].startswith('history.jsonl: line 4 is ')


def test_a_finished_run_is_told_again(finished, tmp_path, capsys):
  folder = tmp_path / 'again'
  shutil.copytree(finished, folder)
  before = (folder / 'summary.json').read_bytes()
  summary = amoeba.main(folder, amoeba.Settings(**_TINY))
  assert summary == records.read_json(finished / 'summary.json')
  assert (folder / 'summary.json').read_bytes() == before
  assert f'report: {folder}/report.html' in capsys.readouterr().out


def test_the_found_network_is_there(finished):
  found = trained.load(finished)
  assert found.config['num_reductions'] == 0
  assert found.preset.family == 'amoebanet'
  data = image_data.load('digits', max_train=200)
  predicted = trained.probabilities(found, data.test.images).argmax(-1)
  summary = records.read_json(finished / 'summary.json')
  assert np.mean(predicted == data.test.labels) == pytest.approx(
      summary['result']['test_accuracy'])


@_on_cpu
def test_random_search(finished, tmp_path):
  """The children of amoeba's baseline, without a baseline of its own."""
  shutil.copy(finished / 'children.jsonl', tmp_path)
  keep = random_search.cells_on_images.Settings.__dataclass_fields__
  summary = random_search.main(
      tmp_path, random_search.cells_on_images.Settings(
          **{k: v for k, v in _TINY.items() if k in keep}))
  assert summary['random_search'] is None
  expected = records.read_json(finished / 'summary.json')['random_search']
  assert summary['result'] == expected


@pytest.mark.parametrize('options, best', [
    (dict(task='bits'), 1.), (dict(task='nk', num_interactions=2), 1.),
    (dict(task='bits', strategy='q_learning', batch_size=2), 1.)])
def test_toy(tmp_path, capsys, options, best):
  settings = toy.Settings(**_TOY | options)
  summary = toy.main(tmp_path, settings)
  for name in ('result', 'random_search'):
    assert 0 < summary[name]['mean_best_reward'] <= best
  text = capsys.readouterr().out
  assert text.startswith(f'toy on {options["task"]}, seed 0, scale paper\n')
  page = (tmp_path / 'report.html').read_text()
  assert 'over 2 seeds' in page and 'mean of 2 seeds' in page
  assert len(summary['curve']['mean']) == len(summary['curve']['rounds'])
  assert not any(f'<h2>{x}</h2>' in page for x in ('Retraining', 'Cost'))


@pytest.mark.parametrize('name, batch_size', [
    (None, 1), ('reinforce', 5), ('ppo', 5), ('q_learning', 5)])
def test_toy_has_every_strategy(name, batch_size):
  settings = toy.Settings(**_TOY | dict(strategy=name, batch_size=5))
  strategy = toy.make_task(settings).strategy
  key = jax.random.key(0)
  proposals = jax.eval_shape(lambda: strategy.ask(key, strategy.init(key)))
  assert proposals.genomes.shape == (batch_size, 6)
  assert settings.children_per_round == batch_size


def test_toy_demo(tmp_path, capsys):
  """One command: AutoDL Design's curve beside the reference."""
  settings = toy.Settings(
      task='number_of_ones', num_seeds=6, num_evaluations=1060)
  summary = toy.main(tmp_path, settings)
  curve = summary['curve']
  assert curve['rounds'] == [*range(106)]
  found = autodl_demo.compare(curve)
  assert [row.round for row in found] == [0, 50, 100]
  for row in found:  # Within the seeds of the reference, or nearly so.
    assert row.outside <= 2 * row.error, row
  assert max(curve['random']) < 3 < found[2].mean
  text = capsys.readouterr().out
  assert [line.split()[0] for line in text.splitlines()[:4]] == [
      'round', '0', '50', '100']
  assert 'bound 18.857' in text
  page = (tmp_path / 'report.html').read_text()
  assert 'bound 18.857' in page and 'published log' in page
  assert 'Reduction cell' in page
  assert len(records.read(tmp_path / 'history.jsonl')) == 1060


@pytest.mark.parametrize('name', ['config.json', 'random_search/genotype.json',
                                  'summary.json', 'report.html'])
def test_no_space_for_a_file(tmp_path, name):
  """Really: what is written to /dev/full finds no space."""
  settings = toy.Settings(**_TOY)
  (tmp_path / 'random_search').mkdir()
  full = tmp_path / f'{name}.tmp'
  full.symlink_to('/dev/full')
  with pytest.raises(SystemExit) as e:
    with flags.errors_in_one_line(tmp_path):
      toy.main(tmp_path, settings)
  assert e.value.code == (
      f'error: {full}: No space left on device. Nothing finished is lost: the '
      'same command goes on')
  full.unlink()
  toy.main(tmp_path, settings)


def test_no_space_for_the_history(tmp_path, monkeypatch):
  settings = toy.Settings(**_TOY)
  (tmp_path / 'full').symlink_to('/dev/full')
  real = records.append
  with monkeypatch.context() as patch:
    patch.setattr(records, 'append', lambda path, lines: real(
        tmp_path / 'full', lines))
    with pytest.raises(SystemExit) as e:
      with flags.errors_in_one_line(tmp_path):
        toy.main(tmp_path, settings)
  assert e.value.code == (
      f'error: could not write to {tmp_path}/history.jsonl: No space left on '
      'device')
  toy.main(tmp_path, settings)


def test_a_run_that_met_a_full_disk_ends_with_the_same_bits(
    tmp_path, monkeypatch):
  settings = toy.Settings(**_TOY | {'num_evaluations': 150})
  expected = toy.main(tmp_path / 'expected', settings)
  real = os.replace

  def replace(source, target):
    if str(target).endswith('00150.msgpack'):
      raise OSError(28, 'No space left on device')
    real(source, target)

  with monkeypatch.context() as patch:
    patch.setattr(os, 'replace', replace)
    with pytest.raises(SystemExit) as e:
      with flags.errors_in_one_line(tmp_path / 'full'):
        toy.main(tmp_path / 'full', settings)
  folder = tmp_path / 'full' / 'checkpoints' / 'search'
  assert e.value.code == (
      f'error: could not write checkpoint of step 150 to {folder}: No space '
      'left on device; the last good checkpoint is step 100')
  assert toy.main(tmp_path / 'full', settings) == expected
  for file in ('history.jsonl', 'random_search/history.jsonl'):
    assert (tmp_path / 'full' / file).read_bytes() == (
        tmp_path / 'expected' / file).read_bytes()


def test_no_space_for_a_trained_child(tmp_path, monkeypatch):
  monkeypatch.setattr(scratch._Bench, 'train', lambda *_: {'genotype': [1]})
  monkeypatch.setattr(scratch._Bench, 'compile', lambda *_: None)
  (tmp_path / 'elsewhere').symlink_to('/dev/full')
  real = records.append
  monkeypatch.setattr(records, 'append', lambda path, lines: real(
      tmp_path / 'elsewhere', lines))
  with pytest.raises(SystemExit) as e:
    with flags.errors_in_one_line(tmp_path):
      amoeba.main(tmp_path, amoeba.Settings(**_TINY))
  assert e.value.code == (
      f'error: {tmp_path}/elsewhere: No space left on device. Nothing finished '
      'is lost: the same command goes on')


def _error(main, folder, make):
  with pytest.raises(SystemExit) as e:
    with flags.errors_in_one_line(folder):
      main(folder, make())
  assert '\n' not in e.value.code
  return e.value.code


_KNOWN = ('digits, cifar10, cifar100, mnist, fashion_mnist, npz:PATH, '
          'folder:PATH, tfds:NAME')


@pytest.mark.parametrize('options, message', [
    (dict(dataset='cifar9'),
     f"error: unknown data set 'cifar9'; known are {_KNOWN}"),
    (dict(dataset='mnist'),
     "error: data set 'mnist' is read from files: pass --data_dir=DIR, the "
     'folder that holds them'),
    (dict(dataset='mnist', data_dir='/nowhere'),
     "error: --data_dir=/nowhere is not a folder; data set 'mnist' is read "
     'from there'),
    (dict(population_size=3),
     'error: population_size 3 is not a multiple of children_per_round 2'),
    (dict(num_children=7),
     'error: num_children 7 is not a multiple of children_per_round 2'),
    (dict(num_children=0), 'error: num_children is 0, expected at least 1'),
    (dict(features=2), 'error: features is 2, expected at least 4'),
    (dict(operations='darts'),
     "error: operations is 'darts', expected one of nasnet, amoebanet"),
    (dict(execution='fast'),
     "error: execution is 'fast', expected one of auto, whole, blocks"),
    (dict(num_devices=3, final_batch_size=64, children_per_round=4,
          population_size=8),
     'error: final_batch_size 64 is not a multiple of num_devices 3'),
    (dict(num_devices=2, execution='blocks'),
     'error: execution blocks runs on one device, but num_devices is 2; choose '
     'whole'),
    (dict(final_batch_size=512),
     'error: final_batch_size is 512, but digits has 180 training images'),
    (dict(num_reductions=4),
     'error: an image of 8 x 8 pixels cannot be halved by 4 reduction cells'),
    (dict(final_auxiliary_weight=.5, num_reductions=1, final_num_cells=1,
          image_size=4),
     'error: the auxiliary head pools 5 x 5 pixels but its input has 4 x 4; '
     'train without it, or on larger images'),
    (dict(final_drop_path_keep=0.),
     'error: drop_path_keep is 0.0, expected a probability in (0, 1]'),
    (dict(final_cutout_length=10),
     'error: final_cutout_length is 10, but images have 8 pixels'),
    (dict(num_devices=8, children_per_round=2, population_size=2,
          num_children=2),
     'error: num_devices is 8, but only children_per_round 2 are trained at a '
     'time'),
])
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, options, message):
  folder = tmp_path / 'run'
  assert _error(amoeba.main, folder, lambda: amoeba.Settings(
      **_TINY | options)) == message
  assert not folder.exists()


def test_missing_files_are_listed(tmp_path):
  message = _error(amoeba.main, tmp_path / 'run', lambda: amoeba.Settings(
      **_TINY | dict(dataset='mnist', data_dir=str(tmp_path))))
  assert message.startswith(
      f"error: data set 'mnist': no such file; looked for {tmp_path}/")


def test_the_workdir_of_another_run(finished):
  assert _error(amoeba.main, finished, lambda: amoeba.Settings(
      **_TINY | dict(seed=1, epochs=3))) == (
          f'error: {finished} holds a run with other settings: epochs was 2, '
          'is now 3; seed was 0, is now 1. Choose another --workdir, or delete '
          'it')


@pytest.mark.parametrize('options, message', [
    (dict(task='ones'),
     "error: task is 'ones', expected one of number_of_ones, bits, nk"),
    (dict(strategy='evolution'),
     "error: strategy is 'evolution', expected one of regularized_evolution, "
     'reinforce, ppo, q_learning'),
    (dict(task='number_of_ones', strategy='ppo'),
     "error: strategy is 'ppo', but the task number_of_ones has its own: leave "
     'it unset'),
    (dict(strategy='ppo', batch_size=3),
     'error: num_evaluations 1000 is not a multiple of the 3 children of a '
     'round'),
    (dict(num_seeds=0),
     'error: num_seeds 0 and num_evaluations 1000 must be at least 1'),
])
def test_toy_checks_its_settings(tmp_path, options, message):
  assert _error(toy.main, tmp_path, lambda: toy.Settings(**options)) == message
