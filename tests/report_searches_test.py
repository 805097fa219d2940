import pytest

from nas_jax import plot_weights
from nas_jax import records
from nas_jax import report
from nas_jax import report_searches

_NAMES = [['none', 'skip_connect']] * 2


def _line(epoch, skip, warning=None):
  counts = dict(operations=2, skips=1, none=0, noise=0, edges=2,
                leading_skips=1, leading_none=0, leading_noise=0, entropy=.6,
                largest=.5, candidates=2)
  return {'step': epoch, 'epoch': epoch, 'supernet_accuracy': .5,
          'metrics': {'loss': 1., 'train_accuracy': .3},
          'weights': {'normal': [[1 - skip, skip], [.5, .5]]},
          'candidates': {'normal': _NAMES}, 'census': {'normal': counts},
          'eigenvalue': .25 if epoch else None, 'warning': warning,
          'seconds': {'wall': 1.}}


def _write(place, lines):
  place.mkdir(parents=True)
  records.append(place / 'history.jsonl', lines)


@pytest.fixture
def folder(tmp_path):
  _write(tmp_path / 'searches' / '0', [
      _line(0, .4), _line(1, .6, 'It seems to <collapse>.')])
  _write(tmp_path / 'searches' / '10', [_line(0, .2)])
  return tmp_path


def test_a_run_without_gradient_searches_has_no_section(tmp_path):
  assert report_searches.section(tmp_path, {}) == []


def test_every_search_is_a_row_and_warnings_are_shown(folder):
  page = ''.join(report_searches.section(
      folder, {'method': 'DARTS & co', 'searches': [{'ended': 'all epochs'}]}))
  assert 'DARTS &amp; co' in page
  assert page.count('<tr>') == 3
  assert '1 of 2' in page and '0.25' in page and 'all epochs' in page
  assert 'not over' in page  # the other one
  assert 'from epoch 1 on' in page
  assert 'It seems to &lt;collapse&gt;.' in page
  assert page.count('<svg') == 4  # course and normal cell, of both


def test_parts_of_a_search_follow_each_other(folder):
  for part in (1, 2):
    _write(folder / 'searches' / '0' / f'part{part}',
           [_line(0, .5), _line(1, .5)])
  lines = report_searches._history(folder / 'searches' / '0')
  assert [r['epoch'] for r in lines] == [0, 1, 2, 3, 4, 5]


def test_the_report_of_a_run_shows_them(folder):
  text = report.write(folder).read_text('utf-8')
  assert 'Gradient searches' in text


def test_a_panel_is_drawn_for_every_edge(folder):
  lines = [_line(0, .4), _line(1, .6)]
  picture = plot_weights.weights_by_epoch(lines, 'normal')
  assert '0 to 2' in picture and '1 to 2' in picture
  assert picture.count('class="c1"') == 2 + 1  # two edges and the legend
  assert plot_weights.weights_by_epoch(lines, 'normal') == picture
  names = [plot_weights._name(e, 14, 'normal') for e in (1, 2, 13)]
  assert names == ['1 to 2', '0 to 3', '4 to 5']
  assert plot_weights._name(2, 6, 'cell') == '1 to 2'
