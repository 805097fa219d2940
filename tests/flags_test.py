"""Flags out of a dataclass, and how a main stops."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading

from absl import flags as absl_flags
import pytest

from experiments import amoeba
from experiments import flags
from experiments import random_search
from experiments import toy
from experiments import train_image
from nas_jax import cells_on_images
from nas_jax import checkpoint
from nas_jax import networks_on_images

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_KINDS = (amoeba.Settings, networks_on_images.Settings, toy.Settings,
          cells_on_images.Settings)


@dataclasses.dataclass(frozen=True)
class _Settings:
  scale: str = 'large'  # how large
  name: str | None = None  # of it
  size: int = 3  # how many, # included
  rate: float = 0.5  # how fast
  loud: bool = False  # whether to shout


_SCALES = {'small': {'size': 1, 'not_a_field': 7}, 'large': {}}


def _read(*arguments, kind=_Settings, scales=_SCALES):
  values = absl_flags.FlagValues()
  flags.define(kind, scales, values)
  values(['main', *arguments])
  return flags.read(kind, scales, values)


def test_unset_flags_follow_the_scale():
  assert _read('--workdir=w') == (
      pathlib.Path('w'), _Settings(scale='small', size=1))
  assert _read('--workdir=w', '--scale=large')[1] == _Settings()


def test_set_flags_win():
  _, settings = _read('--workdir=w', '--size=0', '--rate=2', '--loud',
                      '--name=')
  assert settings == _Settings('small', '', 0, 2., True)


def test_help_is_the_comment_and_the_values():
  values = absl_flags.FlagValues()
  flags.define(_Settings, _SCALES, values)
  helps = {name: values[name].help for name in values}
  assert helps == {
      'workdir': 'folder of the run; the same command resumes it',
      'scale': '<small|large>: how large', 'name': 'of it',
      'size': 'how many, # included (small: 1, large: 3)',
      'rate': 'how fast (0.5)', 'loud': 'whether to shout (False)'}


@pytest.mark.parametrize('kind', _KINDS)
def test_every_flag_has_help(kind):
  helps = flags.help_of(kind)
  assert all(helps[field.name] for field in dataclasses.fields(kind))


@pytest.mark.parametrize('module, kind', [
    (amoeba, amoeba.Settings), (amoeba, cells_on_images.Settings),
    (train_image, networks_on_images.Settings), (toy, toy.Settings)])
@pytest.mark.parametrize('scale', ['smoke', 'small', 'paper'])
def test_every_scale_of_every_experiment_is_legal(module, kind, scale):
  options = ['--architecture=a.json'] if module is train_image else []
  _, settings = _read('--workdir=w', f'--scale={scale}', *options, kind=kind,
                      scales=module.SCALES)
  assert settings.scale == scale


def test_the_paper_scale_is_the_published_setting():
  _, s = _read('--workdir=w', '--scale=paper', kind=amoeba.Settings,
               scales=amoeba.SCALES)
  # Real et al., arXiv 1802.01548: P, S, children; N, F, epochs of both.
  assert (s.population_size, s.sample_size, s.num_children) == (100, 25, 20000)
  assert (s.num_cells, s.features, s.epochs) == (3, 24, 25)
  assert (s.final_num_cells, s.final_features, s.final_epochs) == (6, 36, 600)
  assert (s.dataset, s.num_nodes) == ('cifar10', 5)


@pytest.mark.parametrize('arguments, message', [
    (['--scale=small'], '--workdir is not set: name the folder of the run, for '
     'example --workdir=runs/first'),
    (['--workdir='], '--workdir is not set: name the folder of the run, for '
     'example --workdir=runs/first'),
])
def test_the_workdir_must_be_set(arguments, message):
  with pytest.raises(ValueError) as e:
    _read(*arguments)
  assert str(e.value) == message


@pytest.mark.parametrize('error, message', [
    (ValueError('a is 1,\nexpected 2'), 'error: a is 1, expected 2'),
    (checkpoint.CheckpointError('could not write'), 'error: could not write'),
    (OSError(28, 'No space left on device'), 'error: w: No space left on '
     'device. Nothing finished is lost: the same command goes on'),
    (OSError(13, 'Permission denied', 'w/config.json.tmp'),
     'error: w/config.json.tmp: Permission denied. Nothing finished is lost: '
     'the same command goes on'),
])
def test_what_the_user_can_mend_is_one_line(error, message):
  with pytest.raises(SystemExit) as e:
    with flags.errors_in_one_line(pathlib.Path('w')):
      raise error
  assert e.value.code == message


def test_a_defect_is_a_traceback():
  with pytest.raises(ZeroDivisionError):
    with flags.errors_in_one_line():
      1 / 0


_STUCK = '''
import threading, time
from experiments import flags
from tests import flags_test

def main(workdir, settings):
  print('ready', flush=True)
  try:
    while True:
      time.sleep(.01)
  finally:
    {cleanup}

flags.run(main, flags_test._Settings, flags_test._SCALES)
'''


@pytest.mark.parametrize('number, cleanup', [
    (signal.SIGINT, 'pass'), (signal.SIGTERM, 'time.sleep(60)')])
def test_signals_end_the_process_though_a_thread_is_busy(number, cleanup):
  process = subprocess.Popen(
      [sys.executable, '-c', _STUCK.format(cleanup=cleanup), '--workdir=w'],
      cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  assert process.stdout.readline() == 'ready\n'
  process.send_signal(number)
  _, errors = process.communicate(timeout=20)
  assert process.returncode == 128 + number
  assert errors.splitlines() == [
      '', 'interrupted; nothing finished is lost. To go on:',
      '  python -c --workdir=w']


def test_exit_handlers_do_not_fail_again(tmp_path):
  """As those of TensorBoard's files on a full disk would."""
  code = """
import atexit
from experiments import flags
from tests import flags_test

def main(workdir, settings):
  file = open('/dev/full', 'w')
  atexit.register(file.flush)
  file.write('x')
  file.flush()

flags.run(main, flags_test._Settings, flags_test._SCALES)
"""
  result = subprocess.run(
      [sys.executable, '-c', code, '--workdir=w'], cwd=_ROOT,
      capture_output=True, text=True, check=False)
  assert result.returncode == 1
  assert result.stderr == (
      'error: w: No space left on device. Nothing finished is lost: the same '
      'command goes on\n')


@pytest.mark.parametrize('arguments, message', [
    (['--workdir=w', '--num_seed=3'],
     "error: Unknown command line flag 'num_seed'. Did you mean: num_seeds ?"),
    (['seeds', '--workdir=w'],
     "error: unknown argument 'seeds': flags start with --"),
])
def test_the_command_line(arguments, message):
  result = subprocess.run(
      [sys.executable, '-m', 'experiments.toy', *arguments], cwd=_ROOT,
      capture_output=True, text=True, check=False)
  assert result.stderr == message + '\n'
  assert (result.returncode, result.stdout) == (1, '')


@pytest.mark.parametrize('arguments, message', [
    (['--scale=huge'],
     'flag --scale=huge: value should be one of <small|large>'),
    (['--size=x'],
     "flag --size=x: invalid literal for int() with base 10: 'x'"),
])
def test_values_of_flags_are_checked(arguments, message):
  with pytest.raises(absl_flags.IllegalFlagValueError) as e:
    _read(*arguments)
  assert str(e.value) == message


def test_experiments_share_a_process():
  """Importing one defines no flags."""
  assert random_search.main and not {'task', 'num_children'} & set(
      absl_flags.FLAGS)


def test_a_signal_where_exceptions_are_lost_comes_again(monkeypatch):
  sent = threading.Event()
  monkeypatch.setattr(os, 'kill', lambda pid, number: sent.set())

  def _xla_gc_callback():
    flags._interrupt(signal.SIGINT, sys._getframe())

  _xla_gc_callback()
  assert sent.wait(5)


@pytest.mark.parametrize('arguments, expected', [
    (['--domain=text', '--workdir=x'], 'text'), (['--domain', 'text'], 'text'),
    (['-domain=text', '--domain=images'], 'images'), (['--domain='], ''),
    (['--domain'], None), (['domain=text'], None), (['--domains=x'], None)])
def test_a_flag_is_read_before_flags_are_defined(
    monkeypatch, arguments, expected):
  monkeypatch.setattr(sys, 'argv', ['nao', *arguments])
  assert flags.value_of('domain') == expected
