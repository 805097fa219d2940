import os

import pytest

from nas_jax import records


def test_appended_records_come_back(tmp_path):
  path = tmp_path / 'history.jsonl'
  records.append(path, [{'child': 0, 'reward': 0.1}, {'child': 1}])
  records.append(path, [])
  records.append(path, [{'child': 2}])
  assert records.read(path) == [
      {'child': 0, 'reward': 0.1}, {'child': 1}, {'child': 2}]


def test_missing_file_has_no_records(tmp_path):
  assert records.read(tmp_path / 'nothing.jsonl') == []


def test_last_line_without_an_end_is_not_read(tmp_path):
  path = tmp_path / 'history.jsonl'
  path.write_text('{"child": 0}\n{"child": 1')
  assert records.read(path) == [{'child': 0}]
  # Whole, but its end may still be missing.
  path.write_text('{"child": 0}\n{"child": 1}')
  assert records.read(path) == [{'child': 0}]


def test_damaged_line_is_named(tmp_path):
  path = tmp_path / 'history.jsonl'
  path.write_bytes(b'{"child": 0}\n\xff\xfe\x00\n{"child": 2}\n')
  with pytest.raises(ValueError, match='history.jsonl, line 2 is not JSON'):
    records.read(path)


def test_what_json_cannot_say_is_refused_before_anything_is_written(tmp_path):
  path = tmp_path / 'history.jsonl'
  with pytest.raises(ValueError):
    records.append(path, [{'child': 0}, {'reward': float('nan')}])
  assert not path.exists()


def test_rewrite_replaces(tmp_path):
  path = tmp_path / 'history.jsonl'
  records.append(path, [{'child': i} for i in range(5)])
  records.rewrite(path, records.read(path)[:2])
  assert records.read(path) == [{'child': 0}, {'child': 1}]
  assert os.listdir(tmp_path) == ['history.jsonl']


def test_failed_rewrite_leaves_the_old_file(tmp_path):
  path = tmp_path / 'summary.json'
  records.write_json(path, {'accuracy': 0.5})
  with pytest.raises(ValueError):
    records.write_json(path, {'accuracy': float('inf')})
  assert records.read_json(path) == {'accuracy': 0.5}


def test_a_value_is_made_once(tmp_path):
  path = tmp_path / 'value.json'
  assert records.once(path, lambda: {'a': 1}) == {'a': 1}
  assert records.once(path, lambda: {'a': 2}) == {'a': 1}


def test_unreadable_json_says_which_file(tmp_path):
  with pytest.raises(ValueError, match='cannot read .*gone.json: No such file'):
    records.read_json(tmp_path / 'gone.json')
  (tmp_path / 'bad.json').write_text('{')
  with pytest.raises(ValueError, match='bad.json is not a JSON file'):
    records.read_json(tmp_path / 'bad.json')
