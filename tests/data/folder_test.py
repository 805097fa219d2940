import numpy as np
import pytest
from PIL import Image

from nas_jax.data import images
from tests.data.helpers import ids
from tests.data.helpers import message_of


def _write(path, value=0, width=6, height=5, mode='RGB'):
  path.parent.mkdir(parents=True, exist_ok=True)
  colour = value if mode in ('L', 'I;16') else (value, 10, 20, 255)[:len(mode)]
  Image.new(mode, (width, height), colour).save(path)


def _write_classes(folder, count, start=0, classes=('cat', 'dog')):
  for label, name in enumerate(classes):
    for i in range(count):
      _write(folder / name / f'{i:02}.png', start + label * count + i)


def test_classes_are_split_into_three(tmp_path):
  _write_classes(tmp_path, 20)
  (tmp_path / 'cat' / 'notes.txt').write_text('not an image')
  (tmp_path / '.hidden').mkdir()
  data = images.load(f'folder:{tmp_path}')
  assert data.train.images.shape == (29, 5, 6, 3)
  assert data.validation.images.shape == (3, 5, 6, 3)
  assert data.test.images.shape == (8, 5, 6, 3)
  parts = (data.train, data.validation, data.test)
  assert sorted(sum(map(ids, parts), [])) == list(range(40))
  for split in parts:
    assert split.labels.tolist() == [i // 20 for i in ids(split)]
  assert data.class_names == ('cat', 'dog')
  other = images.load(f'folder:{tmp_path}', seed=1)
  assert ids(other.test) == ids(data.test)
  assert ids(other.validation) != ids(data.validation)


def test_folders_train_validation_and_test_are_the_splits(tmp_path):
  _write_classes(tmp_path / 'train', 3)
  _write_classes(tmp_path / 'validation', 2, start=50)
  _write_classes(tmp_path / 'test', 1, start=90)
  data = images.load(f'folder:{tmp_path}')
  assert ids(data.train) == [0, 1, 2, 3, 4, 5]
  assert ids(data.validation) == [50, 51, 52, 53]
  assert ids(data.test) == [90, 91]
  assert data.test.labels.tolist() == [0, 1]


def test_validation_without_test_serves_for_test(tmp_path):
  _write_classes(tmp_path / 'train', 5)
  _write_classes(tmp_path / 'validation', 2, start=50)
  data = images.load(f'folder:{tmp_path}', validation_fraction=0.2)
  assert sorted(ids(data.train) + ids(data.validation)) == list(range(10))
  assert ids(data.test) == [50, 51, 52, 53]


def test_train_may_be_a_class(tmp_path):
  _write_classes(tmp_path, 5, classes=('bus', 'train'))
  assert images.load(f'folder:{tmp_path}').class_names == ('bus', 'train')


def test_other_folders_beside_train_are_refused(tmp_path):
  _write_classes(tmp_path / 'train', 2)
  _write_classes(tmp_path / 'tset', 2)
  assert message_of(images.load, f'folder:{tmp_path}') == (
      f"{tmp_path} holds the folders ['tset'] beside train; expected only "
      "['train', 'validation', 'test']")


def test_gray_images_have_one_channel(tmp_path):
  for i in range(6):
    _write(tmp_path / 'ab'[i % 2] / f'{i}.png', i, mode='L')
  data = images.load(f'folder:{tmp_path}', validation_fraction=0.4)
  assert data.train.images.shape[1:] == (5, 6, 1)


def test_gray_images_among_others_become_rgb(tmp_path):
  for i in range(6):
    mode = ('L', 'RGB', 'RGBA')[i % 3]
    _write(tmp_path / 'train' / 'ab'[i % 2] / f'{i}.png', i, mode=mode)
  _write_classes(tmp_path / 'test', 1, classes='ab')
  data = images.load(f'folder:{tmp_path}', validation_fraction=0.4)
  split = images.train_and_validation(data)
  gray = split.images[ids(split).index(3)]
  assert gray.shape == (5, 6, 3) and (gray == 3).all()


def test_jpeg_files_are_read_up_to_their_loss(tmp_path):
  _write(tmp_path / 'train' / 'a' / 'x.JPG', 200)
  _write(tmp_path / 'train' / 'a' / 'y.jpeg', 200)
  _write(tmp_path / 'test' / 'a' / 'z.jpg', 200)
  test = images.load(f'folder:{tmp_path}', validation_size=1).test
  np.testing.assert_allclose(
      test.images[0].astype(int), np.full((5, 6, 3), (200, 10, 20)), atol=3)


def test_unequal_sizes_are_refused_by_name(tmp_path):
  _write_classes(tmp_path, 4)
  _write(tmp_path / 'dog' / 'odd.png', 1, width=7, height=9)
  assert message_of(images.load, f'folder:{tmp_path}') == (
      f'images must be of one size: {tmp_path}/cat/00.png is 5 x 6 x 3 and '
      f'{tmp_path}/dog/odd.png is 9 x 7 x 3 (height x width x channels); '
      'pass image_size to resize all of them')


def test_image_size_makes_them_equal(tmp_path):
  _write_classes(tmp_path, 4)
  _write(tmp_path / 'dog' / 'odd.png', 100, width=7, height=9)
  data = images.load(
      f'folder:{tmp_path}', image_size=8, validation_fraction=0.3)
  assert data.train.images.shape[1:] == (8, 8, 3)
  seen = sum(map(ids, (data.train, data.validation, data.test)), [])
  assert sorted(seen) == [*range(8), 100]


def test_missing_folder_is_named(tmp_path):
  path = tmp_path / 'none'
  assert message_of(images.load, f'folder:{path}') == (
      f"data set 'folder:{path}': {path} is not a folder; expected one that "
      'holds a sub-folder of images per class')


def test_folder_without_classes_is_refused(tmp_path):
  _write(tmp_path / 'x.png')
  assert message_of(images.load, f'folder:{tmp_path}') == (
      f"data set 'folder:{tmp_path}': no class in {tmp_path}; expected a "
      'sub-folder of images per class')


def test_empty_class_is_refused(tmp_path):
  _write_classes(tmp_path, 2)
  (tmp_path / 'cow').mkdir()
  (tmp_path / 'cow' / 'notes.txt').write_text('not an image')
  assert message_of(images.load, f'folder:{tmp_path}') == (
      f'no image in the class folder {tmp_path}/cow; expected files that end '
      "in one of ['.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', "
      "'.tif', '.tiff', '.webp']")


def test_classes_must_be_the_same_in_all_splits(tmp_path):
  _write_classes(tmp_path / 'train', 2)
  _write_classes(tmp_path / 'test', 2, classes=('cat', 'cow'))
  assert message_of(images.load, f'folder:{tmp_path}') == (
      f"classes differ: ['cow', 'dog'] are in only one of {tmp_path}/train "
      f'and {tmp_path}/test')


@pytest.mark.parametrize('keep', [0, 20, 45])
def test_unreadable_image_is_named(tmp_path, keep):
  _write_classes(tmp_path, 2)
  path = tmp_path / 'cat' / '01.png'
  path.write_bytes(path.read_bytes()[:keep])
  assert message_of(images.load, f'folder:{tmp_path}').startswith(
      f'cannot read the image {path}: ')


def test_deep_pixels_are_refused(tmp_path):
  path = tmp_path / 'cat' / 'x.png'
  _write(path, 1000, mode='I;16')
  assert message_of(images.load, f'folder:{tmp_path}') == (
      f"{path} has pixels of mode 'I;16'; expected 8 bits per channel")
