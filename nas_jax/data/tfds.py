"""Any images of tensorflow-datasets, read without TensorFlow."""

import importlib.util
from typing import Any

import numpy as np

from nas_jax.data import source


def read(
    argument: str | None, data_dir: str | None, image_size: int | None
) -> source.Raw:
  """Reads the data set `argument` (name, or name/config) from data_dir.

  The features `image` and `label` are read with random access, for which the
  data set must be prepared as array_record (or parquet) files. TensorFlow is
  imported only to prepare a data set that is not; where it is not installed,
  the error says how to prepare. Splits other than train, validation
  and test are not read.

  Raises:
    ValueError: a package is missing; the data set is unknown, not prepared,
      prepared in another format, or has no split `train` or feature `image`
      or `label`; images of unequal size where `image_size` is None.
  """
  name = f'tfds:{argument}'
  folder = str(source.data_folder(name, data_dir).resolve())
  absent = _absent('tensorflow_datasets', 'array_record')
  if absent:
    raise ValueError(
        f'data set {name!r} needs the packages {absent}: pip install '
        'tensorflow-datasets array_record')
  builder = _prepared_builder(argument, folder)
  features = dict(builder.info.features)
  for feature in ('image', 'label'):
    if feature not in features:
      raise ValueError(
          f'data set {name!r} has no feature {feature!r}; found '
          f'{sorted(features)}')
  if 'train' not in builder.info.splits:
    raise ValueError(
        f"data set {name!r} has no split 'train'; found "
        f'{sorted(builder.info.splits)}')
  splits = {
      part: _read_split(builder, name, folder, part, image_size)
      for part in ('train', 'validation', 'test')
      if part in builder.info.splits}
  class_names = getattr(features['label'], 'names', None)
  return source.Raw(
      **splits, class_names=tuple(class_names) if class_names else None)


def _prepared_builder(argument: str, folder: str) -> Any:
  import tensorflow_datasets as tfds
  try:
    builder = tfds.builder(argument, data_dir=folder)
  except (tfds.core.DatasetNotFoundError, ValueError) as error:
    # Its message goes on with the names of all data sets.
    reason = str(error).split('\n', 1)[0]
    raise ValueError(
        f"data set 'tfds:{argument}' is neither prepared under "
        f'--data_dir={folder} nor known to tensorflow-datasets: {reason}'
        ) from None
  if builder.is_prepared():
    return builder
  absent = _absent('tensorflow', 'importlib_resources')
  if absent:
    raise ValueError(
        f"data set 'tfds:{argument}' is not prepared under "
        f'--data_dir={folder}, and packages that prepare it are not '
        f'installed {absent}: {_command(argument, folder)}')
  import tensorflow as tf
  # It would otherwise take the memory of the GPUs away from JAX.
  tf.config.set_visible_devices([], 'GPU')
  builder = tfds.builder(
      argument, data_dir=folder, file_format='array_record')
  builder.download_and_prepare()
  return builder


def _absent(*packages: str) -> list[str]:
  return [package for package in packages
          if importlib.util.find_spec(package) is None]


def _command(argument: str, folder: str) -> str:
  # Not `tfds build`, which needs Apache Beam too.
  return (
      'run `pip install tensorflow importlib_resources` and `python -c "import '
      f'tensorflow_datasets as tfds; tfds.builder({argument!r}, data_dir='
      f"{folder!r}, file_format='array_record').download_and_prepare()\"`, "
      'here or on another machine')


def _read_split(
    builder: Any, name: str, folder: str, part: str, image_size: int | None
) -> source.Split:
  try:
    rows = builder.as_data_source(split=part)
  except NotImplementedError:
    raise ValueError(
        f'data set {name!r} is prepared as '
        f'{builder.info.file_format.value} files, which have no random '
        'access: delete them, then '
        f'{_command(name.removeprefix("tfds:"), folder)}') from None
  images, labels = [], []
  for row in rows:
    image = row['image'] if row['image'].ndim == 3 else row['image'][..., None]
    images.append(
        image if image_size is None else source.resize(image, image_size))
    labels.append(row['label'])
  if not images:
    raise ValueError(f'data set {name!r}: the split {part!r} is empty')
  names = [f'{name} {part}[{i}]' for i in range(len(images))]
  return source.Split(source.stack(images, names), np.asarray(labels))
