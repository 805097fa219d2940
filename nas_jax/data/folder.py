"""Any images, from one sub-folder of image files per class."""

import pathlib

import numpy as np

from nas_jax.data import source

_ENDINGS = frozenset(
    '.png .jpg .jpeg .bmp .gif .webp .ppm .pgm .tif .tiff'.split())
_PARTS = ('train', 'validation', 'test')
_GRAY_MODES = ('1', 'L', 'LA')
_DEEP_MODES = ('I', 'F', 'I;16', 'I;16L', 'I;16B', 'I;16N')


def read(
    argument: str | None, data_dir: str | None, image_size: int | None
) -> source.Raw:
  """Reads the images below the folder `argument`, a class per sub-folder.

  Where there is a sub-folder `train` of folders, the classes are looked for
  in it, and in `validation` and `test` beside it, if these exist. Classes and
  files are in the order of their names; hidden files and files that do not
  end like an image are passed over. Images are gray [N, H, W, 1] where all
  of them are gray, and otherwise RGB [N, H, W, 3] (without transparency).

  Raises:
    ValueError: no such folder, an empty class, classes that differ between
      training and test, an unreadable image, or images of unequal size where
      `image_size` is None.
  """
  del data_dir
  root = pathlib.Path(argument).expanduser()
  if not root.is_dir():
    raise ValueError(
        f"data set 'folder:{argument}': {root} is not a folder; expected one "
        'that holds a sub-folder of images per class')
  parts = _find_parts(root)
  class_names = _subfolders(parts['train'])
  if not class_names:
    raise ValueError(
        f"data set 'folder:{argument}': no class in {parts['train']}; "
        'expected a sub-folder of images per class')
  files = {part: _list_files(parts['train'], folder, class_names)
           for part, folder in parts.items()}
  paths = [path for part in files.values() for path, _ in part]
  images = _match_channels([_read_image(path, image_size) for path in paths])
  images = source.stack(images, [str(path) for path in paths])
  splits, start = {}, 0
  for part, listed in files.items():
    labels = np.array([label for _, label in listed], np.int32)
    splits[part] = source.Split(images[start:start + len(labels)], labels)
    start += len(labels)
  return source.Raw(**splits, class_names=class_names)


def _find_parts(root: pathlib.Path) -> dict[str, pathlib.Path]:
  # A folder `train` that holds images is a class: a data set of vehicles.
  if not ((root / 'train').is_dir() and _subfolders(root / 'train')):
    return {'train': root}
  unknown = sorted(set(_subfolders(root)) - set(_PARTS))
  if unknown:
    raise ValueError(
        f'{root} holds the folders {unknown} beside train; expected only '
        f'{list(_PARTS)}')
  return {part: root / part for part in _PARTS if (root / part).is_dir()}


def _subfolders(folder: pathlib.Path) -> tuple[str, ...]:
  return tuple(sorted(
      path.name for path in folder.iterdir()
      if path.is_dir() and not path.name.startswith('.')))


def _list_files(
    train: pathlib.Path, folder: pathlib.Path, class_names: tuple[str, ...]
) -> list[tuple[pathlib.Path, int]]:
  different = sorted(set(_subfolders(folder)) ^ set(class_names))
  if different:
    raise ValueError(
        f'classes differ: {different} are in only one of {train} and {folder}')
  listed = []
  for label, name in enumerate(class_names):
    paths = sorted(
        path for path in (folder / name).iterdir()
        if path.suffix.lower() in _ENDINGS and not path.name.startswith('.'))
    if not paths:
      raise ValueError(
          f'no image in the class folder {folder / name}; expected files that '
          f'end in one of {sorted(_ENDINGS)}')
    listed += [(path, label) for path in paths]
  return listed


def _read_image(path: pathlib.Path, image_size: int | None) -> np.ndarray:
  from PIL import Image
  try:
    image = Image.open(path)
    image.load()
  except Exception as error:  # Decoders raise many types.
    raise ValueError(f'cannot read the image {path}: {error}') from None
  if image.mode in _DEEP_MODES:  # Conversion would clip them.
    raise ValueError(
        f'{path} has pixels of mode {image.mode!r}; expected 8 bits per '
        'channel')
  array = np.asarray(
      image.convert('L' if image.mode in _GRAY_MODES else 'RGB'))
  array = array if array.ndim == 3 else array[..., None]
  return array if image_size is None else source.resize(array, image_size)


def _match_channels(images: list[np.ndarray]) -> list[np.ndarray]:
  channels = max(image.shape[-1] for image in images)
  return [image if image.shape[-1] == channels
          else np.repeat(image, channels, axis=-1) for image in images]
