import importlib.util
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nas_jax.data import images
from tests.data.helpers import ids
from tests.data.helpers import message_of

tfds = pytest.importorskip('tensorflow_datasets')
pytest.importorskip('array_record')


def _define(name, feature, example, parts, label='label'):
  """A builder of a small data set that is prepared without TensorFlow."""

  def info(self):
    return tfds.core.DatasetInfo(
        builder=self, features=tfds.features.FeaturesDict({
            'image': feature,
            label: tfds.features.ClassLabel(names=['even', 'odd'])}))

  def generate(start, size):
    for i in range(start, start + size):
      yield i, {'image': example(i), label: i % 2}

  return type(name, (tfds.core.GeneratorBasedBuilder,), {
      '__module__': 'dots',  # Of no package, so that no source is looked up.
      'VERSION': tfds.core.Version('1.0.0'),
      '_info': info,
      '_split_generators': lambda self, manager: {
          part: generate(*numbers) for part, numbers in parts.items()},
      '_generate_examples': lambda self: None})


def _array(i):
  return np.full((8, 6, 3), i, np.uint8)


def _png(i):
  file = io.BytesIO()
  Image.fromarray(np.full((8 + i % 2, 6, 3), i, np.uint8)).save(file, 'PNG')
  return file.getvalue()


def _gray(i):
  return np.full((8, 6), i, np.uint8)


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('tfds')
  tensor = tfds.features.Tensor(shape=(8, 6, 3), dtype=np.uint8)
  gray = tfds.features.Tensor(shape=(8, 6), dtype=np.uint8)
  # Unregistered, so that they are read as a user's prepared data sets are.
  with tfds.core.registered.skip_registration():
    builders = [
        _define('Dots', tensor, _array, {'train': (0, 20), 'test': (100, 4)}),
        _define('DotsThree', tensor, _array, {
            'train': (0, 20), 'validation': (50, 4), 'test': (100, 4)}),
        _define('DotsValid', gray, _gray, {
            'train': (0, 20), 'validation': (50, 4)}),
        _define('DotsTrain', tensor, _array, {'train': (0, 20)}),
        _define('DotsTest', tensor, _array, {'test': (0, 20)}),
        _define('DotsTarget', tensor, _array, {'train': (0, 4)}, 'target'),
        _define('DotsImage', tfds.features.Image(), _png, {
            'train': (0, 20), 'test': (100, 4)})]
    for builder in builders:
      builder(data_dir=folder, file_format='array_record'
              ).download_and_prepare()
  return folder


def test_prepared_data_set_is_read(data_dir):
  data = images.load('tfds:dots', str(data_dir))
  assert data.train.images.shape == (18, 8, 6, 3)
  assert data.validation.images.shape == (2, 8, 6, 3)
  assert sorted(ids(data.train) + ids(data.validation)) == list(range(20))
  assert sorted(ids(data.test)) == [100, 101, 102, 103]
  for split in (data.train, data.validation, data.test):
    assert split.labels.tolist() == [i % 2 for i in ids(split)]
  assert data.class_names == ('even', 'odd')


def test_own_validation_split_is_kept(data_dir):
  data = images.load('tfds:dots_three', str(data_dir))
  assert sorted(ids(data.train)) == list(range(20))
  assert sorted(ids(data.validation)) == [50, 51, 52, 53]
  assert sorted(ids(data.test)) == [100, 101, 102, 103]


def test_validation_serves_for_test_where_there_is_none(data_dir):
  data = images.load('tfds:dots_valid', str(data_dir))
  assert data.train.images.shape == (18, 8, 6, 1)
  assert sorted(ids(data.train) + ids(data.validation)) == list(range(20))
  assert sorted(ids(data.test)) == [50, 51, 52, 53]


def test_test_is_split_off_where_there_is_neither(data_dir):
  data = images.load('tfds:dots_train', str(data_dir))
  parts = (data.train, data.validation, data.test)
  assert [len(split.labels) for split in parts] == [14, 2, 4]
  assert sorted(sum(map(ids, parts), [])) == list(range(20))


def test_encoded_images_are_read(data_dir):
  data = images.load('tfds:dots_image', str(data_dir), image_size=8)
  assert data.test.images.shape == (4, 8, 8, 3)
  assert sorted(ids(data.test)) == [100, 101, 102, 103]


def test_unequal_sizes_are_refused(data_dir):
  message = message_of(images.load, 'tfds:dots_image', str(data_dir))
  assert message.startswith(
      'images must be of one size: tfds:dots_image train[0] is ')
  assert message.endswith('pass image_size to resize all of them')


def test_tensorflow_is_not_imported(data_dir):
  code = (
      'import sys\n'
      'from nas_jax.data import images\n'
      f'data = images.load("tfds:dots", {str(data_dir)!r})\n'
      'print(len(data.train.labels), "tensorflow" in sys.modules)')
  result = subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert result.stdout == '18 False\n'


def _hide(monkeypatch, *hidden):
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(
      importlib.util, 'find_spec',
      lambda name, package=None: None if name in hidden
      else find_spec(name, package))


def test_unprepared_data_set_names_the_command(tmp_path, monkeypatch):
  tensor = tfds.features.Tensor(shape=(8, 6, 3), dtype=np.uint8)
  _define('DotsUnprepared', tensor, _array, {'train': (0, 20)})
  _hide(monkeypatch, 'tensorflow', 'importlib_resources')
  assert message_of(
      images.load, 'tfds:dots_unprepared', str(tmp_path)) == (
          "data set 'tfds:dots_unprepared' is not prepared under "
          f'--data_dir={tmp_path}, and packages that prepare it are not '
          "installed ['tensorflow', 'importlib_resources']: "
          'run `pip install tensorflow importlib_resources` and `python -c '
          '"import tensorflow_datasets as tfds; tfds.builder('
          f"'dots_unprepared', data_dir='{tmp_path}', file_format="
          "'array_record').download_and_prepare()\"`, here or on another "
          'machine')


@pytest.mark.parametrize('package', ['tensorflow_datasets', 'array_record'])
def test_missing_package_is_named(data_dir, monkeypatch, package):
  _hide(monkeypatch, package)
  assert message_of(images.load, 'tfds:dots', str(data_dir)) == (
      f"data set 'tfds:dots' needs the packages ['{package}']: pip install "
      'tensorflow-datasets array_record')


def test_unknown_data_set_is_named(tmp_path):
  assert message_of(images.load, 'tfds:no_such_dots', str(tmp_path)) == (
      "data set 'tfds:no_such_dots' is neither prepared under "
      f'--data_dir={tmp_path} nor known to tensorflow-datasets: Dataset '
      'no_such_dots not found.')


def test_data_dir_is_needed():
  assert message_of(images.load, 'tfds:dots') == (
      "data set 'tfds:dots' is read from files: pass --data_dir=DIR, the "
      'folder that holds them')


def test_missing_split_and_feature_are_named(data_dir):
  assert message_of(images.load, 'tfds:dots_test', str(data_dir)) == (
      "data set 'tfds:dots_test' has no split 'train'; found ['test']")
  assert message_of(images.load, 'tfds:dots_target', str(data_dir)) == (
      "data set 'tfds:dots_target' has no feature 'label'; found ['image', "
      "'target']")


def test_other_file_format_is_refused(data_dir, tmp_path):
  # What a data set prepared with the default settings looks like.
  source = data_dir / 'dots' / '1.0.0'
  folder = tmp_path / 'dots' / '1.0.0'
  folder.mkdir(parents=True)
  for path in source.iterdir():
    name = path.name.replace('array_record', 'tfrecord')
    (folder / name).write_bytes(path.read_bytes())
  info = json.loads((folder / 'dataset_info.json').read_text())
  info['fileFormat'] = 'tfrecord'
  (folder / 'dataset_info.json').write_text(json.dumps(info))
  assert message_of(images.load, 'tfds:dots', str(tmp_path)) == (
      "data set 'tfds:dots' is prepared as tfrecord files, which have no "
      'random access: delete them, then run `pip install tensorflow '
      'importlib_resources` and `python -c "import tensorflow_datasets as '
      f"tfds; tfds.builder('dots', data_dir='{tmp_path}', file_format="
      "'array_record').download_and_prepare()\"`, here or on another machine")
