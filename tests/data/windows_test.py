import numpy as np
import pytest

from nas_jax.data import windows
from tests.data.helpers import message_of


def test_streams_are_contiguous_stretches_of_the_text():
  streams = windows.batchify(np.arange(11, dtype=np.int32), 3)
  assert streams.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
  assert streams.dtype == np.int32


def test_fixed_windows_predict_every_row_but_the_first():
  assert windows.fixed(9, 3) == [(0, 3), (3, 3), (6, 2)]
  assert windows.fixed(7, 3) == [(0, 3), (3, 3)]


def test_random_windows_follow_on_each_other_to_the_end():
  drawn = windows.random(3, 0, 2000, 35)
  starts = np.cumsum([0] + [w.length for w in drawn])
  assert [w.start for w in drawn] == starts[:-1].tolist()
  assert starts[-1] == 1999
  assert drawn == windows.random(3, 0, 2000, 35)
  assert drawn != windows.random(3, 1, 2000, 35)
  assert drawn != windows.random(4, 0, 2000, 35)


def test_random_lengths_have_the_published_distribution():
  lengths = np.array([window.length for window in windows.random(
      0, 0, 400_000, 35)][:-1])
  assert lengths.min() >= 5 and lengths.max() <= 55
  # .95 * 34.5 + .05 * 17, for the floor takes half a step.
  assert abs(lengths.mean() - 33.6) < .3
  assert abs(np.mean(lengths >= 35) - .95 * .5) < .02
  assert abs(np.mean(lengths >= 40) - .95 * .159) < .015
  assert abs(np.mean(lengths < 22) - (.05 * .816 + .95 * .005)) < .01


def test_without_deviation_lengths_are_whole_or_halved():
  lengths = [w.length for w in windows.random(
      0, 0, 20_000, 35, deviation=0.)][:-1]
  assert set(lengths) == {35, 17}
  assert .02 < np.mean(np.array(lengths) == 17) < .09


def test_no_random_window_exceeds_its_limits():
  assert {w.length for w in windows.random(
      0, 0, 3000, 1)[:-1]} <= set(range(5, 22))
  drawn = windows.random(0, 0, 3000, 35, deviation=100.)[:-1]
  assert {5, 55} <= {w.length for w in drawn} <= set(range(5, 56))


def test_windows_are_padded_to_few_sizes():
  assert windows.capacities(35, False) == (35,)
  assert windows.capacities(35, True) == (22, 32, 38, 44, 55)
  assert windows.capacities(4, True) == (5, 7, 13, 24)
  assert [windows.capacity_of(n, (22, 32, 55)) for n in (1, 22, 23, 55)] == [
      22, 22, 32, 55]
  assert 'no size of (22, 32) holds a window of 33' == message_of(
      windows.capacity_of, 33, (22, 32))


def test_a_window_reads_its_rows_and_predicts_the_next():
  streams = windows.batchify(np.arange(1, 13, dtype=np.int32), 2)
  inputs, targets = windows.at(streams, windows.Window(1, 2), 3)
  assert inputs.tolist() == [[2, 8], [3, 9], [0, 0]]
  assert targets.tolist() == [[3, 9], [4, 10], [0, 0]]
  assert inputs.dtype == targets.dtype == np.int32
  inputs, targets = windows.at(streams, windows.Window(0, 5), 5)
  assert targets[:, 0].tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize('window', [(0, 0), (-1, 2), (4, 2), (0, 4)])
def test_a_window_outside_its_bounds_is_refused(window):
  streams = np.zeros((6, 2), np.int32)
  assert 'does not fit into capacity 3 and streams of 6 rows' in message_of(
      windows.at, streams, windows.Window(*window), 3)


@pytest.mark.parametrize('call, message', [
    (lambda: windows.batchify(np.zeros(9), 0), 'batch_size 0 must be'),
    (lambda: windows.batchify(np.zeros(9), 5),
     'a text of 9 tokens is too short for batch_size 5'),
    (lambda: windows.fixed(9, 0), 'bptt 0: a window has at least 1 step'),
    (lambda: windows.capacities(0, True), 'bptt 0'),
    (lambda: windows.random(0, 0, 9, 0), 'bptt 0'),
    (lambda: windows.fixed(9, 9), 'streams of 9 steps hold no window of bptt '
     '9, which needs 10: lower batch_size or bptt'),
    (lambda: windows.random(0, 0, 9, 9), 'hold no window of bptt 9'),
    (lambda: windows.random(0, -1, 9, 2), 'epoch -1'),
    (lambda: windows.check(100, 10, 0), 'bptt 0'),
    (lambda: windows.check(100, 0, 5), 'batch_size 0'),
    (lambda: windows.check(100, 10, 10), 'a text of 100 tokens gives each of '
     'the 10 rows of a batch 10, but a window of bptt 10 needs 11')])
def test_texts_and_windows_that_do_not_fit_are_told(call, message):
  assert message in message_of(call)


def test_a_text_that_fits_exactly_is_accepted():
  windows.check(110, 10, 10)
  assert windows.fixed(11, 10) == [(0, 10)]
