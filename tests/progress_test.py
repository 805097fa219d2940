"""Progress on a terminal and in a log; TensorBoard events across a resume."""

import io
import struct

import pytest

from nas_jax import progress


class Terminal(io.StringIO):

  def isatty(self):
    return True


def clock(seconds):
  times = iter(seconds)
  return lambda: next(times)


def test_lines():
  out = io.StringIO()
  # The start, five updates, the end.
  ticks = clock([0., 3., 6., 12., 15., 25., 28.])
  with progress.progress(50, 'search', 10, stream=out, clock=ticks) as bar:
    for best in (0.5, 0.6, 0.9612, 0.9612, 0.97):
      bar.update(best=best)
  assert out.getvalue().splitlines() == [
      'search 10/50',
      'search 13/50 | best 0.9612 | 4.0 s/child | 2 min left',
      'search 15/50 | best 0.9700 | 5.0 s/child | 3 min left',
  ]


def test_last_line_is_said_once():
  out = io.StringIO()
  with progress.progress(
      2, 'train', unit='epoch', stream=out, clock=clock([0., 1., 4., 4.])
  ) as bar:
    bar.update(loss=2.0)
    bar.update(loss=1.0, steps=12)
  assert out.getvalue().splitlines() == [
      'train 0/2',
      'train 2/2 | loss 1.0000 | steps 12 | 2.0 s/epoch | 4 s in all',
  ]


def test_last_line_is_said_when_the_loop_fails():
  out = io.StringIO()
  with pytest.raises(KeyError):
    with progress.progress(None, 'search', stream=out) as bar:
      bar.update(3)
      raise KeyError
  first, last = out.getvalue().splitlines()
  assert first == 'search 0' and last.startswith('search 3 | ')


def test_nothing_left_to_do():
  out = io.StringIO()
  with progress.progress(5, 'search', 5, stream=out):
    pass
  assert out.getvalue() == 'search 5/5\n'


def test_bar():
  out = Terminal()
  with progress.progress(50, 'search', 12, stream=out) as bar:
    bar.update(8, best=0.9612)
  last = out.getvalue().split('\r')[-1]
  assert 'search' in last and '20/50' in last
  assert 'child' in last and 'best 0.9612' in last


def test_errors_name_the_value():
  with pytest.raises(ValueError, match='initial is 7, total is 5'):
    with progress.progress(5, 'search', 7):
      pass


@pytest.mark.parametrize('seconds, said', [
    (7.6, '8 s'), (99, '99 s'), (130, '2 min'), (3900, '1 h 05 min'),
    (3 * 86400 + 4 * 3600, '3 d 04 h'), (-1, '0 s'),
])
def test_duration(seconds, said):
  assert progress.duration(seconds) == said


def test_scalars_resume(tmp_path):
  writer = progress.scalars(tmp_path / 'tb')
  writer.close()
  assert not (tmp_path / 'tb').exists()  # Nothing was written.
  for step in (0, 1, 2, 2, 1):  # A step twice, and one from the past.
    writer.write(step, {'reward': step / 10})
  writer.write(2, {'loss': 1.0})  # Another name has its own steps.
  writer.close()
  # Killed after its last checkpoint, at step 1: resumed from there.
  resumed = progress.scalars(tmp_path / 'tb')
  for step in (1, 2, 3):
    resumed.write(step, {'reward': step / 10})
  resumed.close()

  first, second = sorted((tmp_path / 'tb').iterdir())
  assert [e[:2] for e in _events(first)] == [
      ('reward', 0), ('reward', 1), ('reward', 2), ('loss', 2)]
  assert _events(second)[0] == ('START', 1, None)  # Hides 1 and 2 above.
  assert [e[:2] for e in _events(second)[1:]] == [
      ('reward', 1), ('reward', 2), ('reward', 3)]
  assert _events(second)[-1][2] == pytest.approx(0.3)


def _events(path):
  """(name or 'START', step, value) of every event but the first START at 0."""
  from tensorboardX.proto import event_pb2
  data, at, found = path.read_bytes(), 0, []
  while at < len(data):
    size, = struct.unpack('<Q', data[at:at + 8])
    event = event_pb2.Event.FromString(data[at + 12:at + 12 + size])
    at += 16 + size
    if event.HasField('session_log') and event.step:
      found.append(('START', event.step, None))
    found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
  return found
