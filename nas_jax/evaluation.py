"""Trained networks on images: each of them, and all together as an ensemble."""

from collections.abc import Sequence
import os
import pathlib
from typing import Any

import numpy as np

from nas_jax import checks
from nas_jax import pages
from nas_jax import records
from nas_jax import statistics
from nas_jax import trained
from nas_jax.data import images as image_data
from nas_jax.networks import graph

SPLITS = ('test', 'validation')
_MOST_CLASSES = 20  # of a confusion matrix on the terminal
_SEEN = 'validation images were among the training images of a final training'


def evaluate(
    workdirs: Sequence[str | os.PathLike],
    *,
    dataset: str | None = None,
    data_dir: str | None = None,
    image_size: int | None = None,
    split: str = 'test',
) -> dict[str, Any]:
  """Accuracy of each network and of the mean of their softmax outputs.

  Args:
    workdirs: of finished trainings; one of several seeds counts as its seeds.
    dataset: by default what the first network was trained on, at its size.
    data_dir: folder of the files of the data set.
    image_size: resize images to so many pixels.
    split: 'test' or 'validation'.

  Returns:
    What `evaluation.json` holds: `networks` with accuracies, `ensemble` if
    there are several, and `confusion` (row: true class, column: predicted) and
    `classes` of the ensemble, or of the only network. A precision is None for
    a class never predicted, a recall for a class without images.

  Raises:
    ValueError: no finished training, networks or data that do not fit
      together, an unknown split.
  """
  checks.one_of('split', split, SPLITS)
  folders = [member for workdir in workdirs
             for member in trained.members(workdir)]
  if not folders:
    raise ValueError('no workdirs: name the folder of a finished training')
  networks = [trained.load(folder) for folder in folders]
  trained.check_alike(networks, folders)
  first = networks[0]
  if dataset is None:
    dataset = first.config['dataset']
    height, width, _ = first.task.image_shape
    if image_size is None and height == width:
      image_size = height
  data = image_data.load(dataset, data_dir, image_size=image_size)
  trained.check_data(first, folders[0], data)
  part = getattr(data, split)
  outputs = [trained.probabilities(network, part.images)
             for network in networks]
  rows = [_row(network, folder, output, part.labels)
          for network, folder, output in zip(networks, folders, outputs)]
  mean = np.mean(outputs, axis=0)
  scored = trained.score(mean.argmax(-1), part.labels, data.num_classes)
  found = {
      'dataset': dataset, 'split': split, 'num_images': len(part.labels),
      'networks': rows, 'class_names': list(first.class_names),
      'confusion': scored.confusion.tolist(),
      'classes': [
          {'name': name, 'count': int(count), 'precision': _number(precision),
           'recall': _number(recall)}
          for name, count, precision, recall in zip(
              first.class_names, scored.confusion.sum(1), scored.precision,
              scored.recall)]}
  if len(networks) > 1:
    found['ensemble'] = {
        'accuracy': scored.accuracy,
        'num_params': sum(row['num_params'] for row in rows)}
  return found


def text(found: dict[str, Any]) -> str:
  """For the terminal."""
  parts = [f'{found["dataset"]}, {found["num_images"]:,} {found["split"]} '
           'images', pages.table(_accuracies(found)), _whose(found),
           pages.table(_classes(found))]
  if len(found['class_names']) <= _MOST_CLASSES:
    parts += ['row: true class, column: predicted class',
              pages.table(_confusion(found))]
  if found['split'] == 'validation':
    parts.append(f'note: {_SEEN}')
  return '\n\n'.join(parts)


def write(found: dict[str, Any], folder: str | os.PathLike) -> pathlib.Path:
  """Writes evaluation.json and evaluation.html; returns the latter's path."""
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  records.write_json(folder / 'evaluation.json', found)
  title = f'{found["dataset"]}, {found["num_images"]:,} {found["split"]} images'
  body = [f'<h1>{pages.escape(title)}</h1>', '<h2>Accuracy</h2>',
          pages.html_table(_accuracies(found)),
          f'<h2>Classes</h2><p>{pages.escape(_whose(found))}</p>',
          pages.html_table(_classes(found)),
          '<h2>Confusion</h2><p>A row is a true class, a column the predicted '
          'one.</p>', pages.html_table(_confusion(found))]
  if found['split'] == 'validation':
    body.append(f'<p class="dim">Note: {_SEEN}.</p>')
  path = folder / 'evaluation.html'
  records.write_text(path, pages.page(title, body))
  return path


def _row(network, folder, output, labels) -> dict[str, Any]:
  return {'workdir': os.fspath(folder), 'family': network.preset.family,
          'num_params': graph.num_params(network.net),
          'accuracy': float(np.mean(output.argmax(-1) == labels))}


def _accuracies(found) -> list[list[str]]:
  def line(name, row):
    low, high = statistics.wilson_interval(row['accuracy'], found['num_images'])
    return [name, _percent(row['accuracy']),
            f'{100 * low:.2f} to {100 * high:.2f} %', f'{row["num_params"]:,}']

  rows = [line(row['workdir'], row) for row in found['networks']]
  if 'ensemble' in found:
    rows.append(line(f'ensemble of {len(rows)}', found['ensemble']))
  return [['', 'accuracy', '95 % interval', 'parameters'], *rows]


def _classes(found) -> list[list[str]]:
  return [['class', 'images', 'precision', 'recall'], *(
      [c['name'], f'{c["count"]:,}', _percent(c['precision']),
       _percent(c['recall'])] for c in found['classes'])]


def _confusion(found) -> list[list[str]]:
  names = found['class_names']
  return [['', *names], *([name, *map(str, row)] for name, row in zip(
      names, found['confusion']))]


def _whose(found) -> str:
  return ('the ensemble by class' if 'ensemble' in found else
          f'{found["networks"][0]["workdir"]} by class')


def _percent(value: float | None) -> str:
  return '-' if value is None else f'{100 * value:.2f} %'


def _number(value: float) -> float | None:
  return float(value) if np.isfinite(value) else None
