"""Trained networks as files: written by every training, read by whoever uses
them.

`network.json` says which network it is, `checkpoints/weights/` holds its
weights (averaged ones, if the recipe averages) without the auxiliary head.
"""

from collections.abc import Callable, Sequence
import os
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import checkpoint
from nas_jax import records
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent
from nas_jax.training import classify

Array = jax.Array
Path = str | os.PathLike
_FILE = 'network.json'
_WEIGHTS = 'checkpoints/weights'
_FIELDS = ('family', 'genotype', 'network', 'features', 'num_cells',
           'image_shape', 'num_classes', 'class_names', 'mean', 'std', 'style')


class Trained(NamedTuple):
  """A trained network and what it was trained for."""
  net: graph.Graph  # without the auxiliary head
  variables: graph.Variables
  task: classify.Task
  class_names: tuple[str, ...]
  preset: presets.Preset
  config: dict[str, Any]  # network.json


class Score(NamedTuple):
  """How well labels are predicted."""
  accuracy: float
  confusion: np.ndarray  # int64[K, K], row: true class, column: predicted
  precision: np.ndarray  # float64[K], NaN for a class never predicted
  recall: np.ndarray  # float64[K], NaN for a class without images


def describe(
    preset: presets.Preset,
    data: image_data.ImageData,
    task: classify.Task,
    *,
    network: str,
    features: int | None,
    num_cells: int | None,
    style: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
  """The content of network.json.

  Args:
    preset: family and genotype.
    data: what it is trained on.
    task: how images reach the network.
    network: see `zoo.build`; so are features, num_cells and style.
    features: None for the family's own.
    num_cells: None for the family's own.
    style: changes of the family's style.
    **more: whatever else is worth keeping. `num_reductions` says that
      `image.cifar_net` built the network, with so many reduction cells.
  """
  return {
      'family': preset.family,
      'genotype': genotypes.to_json(preset.genotype),
      'sizes': [list(size) for size in preset.sizes], 'network': network,
      'features': features, 'num_cells': num_cells,
      'image_shape': list(task.image_shape), 'num_classes': data.num_classes,
      'class_names': list(data.class_names), 'mean': list(task.mean),
      'std': list(task.std), 'standardise': task.standardise, 'style': style,
      'dataset': data.name, **more}


def save_config(folder: Path, config: dict[str, Any]) -> None:
  """Writes network.json, before the training."""
  records.write_json(pathlib.Path(folder) / _FILE, config)


def save_weights(folder: Path, config: dict[str, Any],
                 variables: graph.Variables, step: int) -> None:
  """Writes the weights of a finished training; `step` names the file.

  Args:
    folder: of the training.
    config: its network.json.
    variables: of the network, with or without the auxiliary head.
    step: such as the number of epochs.
  """
  names = [node.name for node in build(config).nodes]
  checkpoint.save(
      pathlib.Path(folder) / _WEIGHTS, step, graph.Variables(*(
          {name: tree[name] for name in names} for tree in variables)), keep=1)


def build(config: dict[str, Any]) -> graph.Graph:
  """The network of network.json, without the auxiliary head.

  Raises:
    ValueError: what the family cannot build.
  """
  preset = _preset(config)
  common = dict(
      image_shape=tuple(config['image_shape']),
      num_classes=config['num_classes'], features=config['features'],
      num_cells=config['num_cells'])
  if 'num_reductions' in config:
    return image.cifar_net(
        tuple(preset.genotype), num_reductions=config['num_reductions'],
        style=ops.Style(**config['style']), **common)
  return zoo.build(preset, config['network'], **common, **config['style'])


def load(workdir: Path) -> Trained:
  """The network of a finished training.

  Args:
    workdir: of a search or of a training.

  Raises:
    ValueError: no training, one that is not finished, several seeds, or
      weights of another architecture.
  """
  folder = pathlib.Path(workdir)
  path = folder / _FILE
  if not path.exists():
    if seeds := _seeds(folder):
      raise ValueError(f'{folder} holds {len(seeds)} trained networks: name '
                       f'one of them, such as {seeds[0]}')
    raise ValueError(f'{folder} holds no trained network: it has no {_FILE}. '
                     'Name the --workdir of a training or of a search')
  config = records.read_json(path)
  if isinstance(config, dict) and config.get('family') in recurrent.FAMILIES:
    raise ValueError(f'{path} describes a language model, no network for '
                     'images')
  missing = [name for name in _FIELDS if name not in config] if isinstance(
      config, dict) else _FIELDS
  if missing:
    raise ValueError(f'{path} has no {missing[0]!r}: it does not describe a '
                     'network')
  try:
    net = build(config)
  except (TypeError, ValueError) as e:
    raise ValueError(f'{path}: {e}') from e
  template = graph.shapes(net)
  try:
    found = checkpoint.restore(folder / _WEIGHTS, template)
  except ValueError as e:
    raise ValueError(f'{folder} has the weights of another architecture than '
                     f'its {_FILE}: {e}') from e
  if found is None:
    raise ValueError(f'the training in {folder} is not finished: the command '
                     'in its config.json goes on')
  task = classify.Task(
      tuple(config['image_shape']), tuple(config['mean']),
      tuple(config['std']), config.get('standardise', 'channels'))
  return Trained(net, found[1], task, tuple(config['class_names']),
                 _preset(config), config)


def members(workdir: Path) -> list[pathlib.Path]:
  """The folders of the trained networks of a run: its seeds, or itself."""
  folder = pathlib.Path(workdir)
  return _seeds(folder) or [folder]


def logits_fn(trained: Trained) -> Callable[[Array], Array]:
  """(images uint8[B, H, W, C]) -> logits float32[B, K]; can be jitted."""
  model = graph.GraphNet(trained.net)

  def logits(images: Array) -> Array:
    x = classify.normalise(trained.task, images)
    return model.apply(trained.variables._asdict(), x).main.astype(jnp.float32)

  return logits


def probabilities(
    trained: Trained, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
  """Softmax outputs for any number of images.

  Args:
    trained: the network.
    images: uint8[N, H, W, C].
    batch_size: images at a time.

  Returns:
    float32[N, K].
  """
  run = jax.jit(lambda x: jax.nn.softmax(logits_fn(trained)(x)))
  size = min(batch_size, len(images))
  order = batches.eval_batches(len(images), size)
  found = [np.asarray(run(images[indices])) for indices in order.indices]
  return np.concatenate(found)[:len(images)]


def check_alike(networks: Sequence[Trained], names: Sequence[Path]) -> None:
  """That networks can be an ensemble.

  Args:
    networks: at least one.
    names: of their folders.

  Raises:
    ValueError: they differ in classes or in the shape of images.
  """
  first = networks[0]
  for name, other in zip(names, networks):
    for what, a, b in (
        ('classes', len(first.class_names), len(other.class_names)),
        ('images', _size(first), _size(other)),
        ('classes', list(first.class_names), list(other.class_names))):
      if a != b:
        raise ValueError(
            f'{names[0]} and {name} make no ensemble: the first is for {a} '
            f'{what}, the other for {b}')


def check_data(trained: Trained, name: Path, data: image_data.ImageData
               ) -> None:
  """That images and labels are of the kind that a network was trained for.

  Raises:
    ValueError: the number of classes or the shape of the images differs.
  """
  shape = data.test.images.shape[1:]
  if tuple(shape) != trained.task.image_shape:
    raise ValueError(
        f'{name} is for images of {_size(trained)}, but {data.name} has images '
        f'of {" x ".join(map(str, shape))}; --image_size resizes them')
  if data.num_classes != len(trained.class_names):
    raise ValueError(f'{name} tells {len(trained.class_names)} classes apart, '
                     f'but {data.name} has {data.num_classes}')


def score(predicted: np.ndarray, labels: np.ndarray, num_classes: int
          ) -> Score:
  """Accuracy, confusion matrix, and precision and recall of each class.

  Args:
    predicted: int[N].
    labels: int[N].
    num_classes: K.
  """
  confusion = np.zeros((num_classes, num_classes), np.int64)
  np.add.at(confusion, (labels, predicted), 1)
  right = np.diag(confusion)
  with np.errstate(invalid='ignore'):
    return Score(float(right.sum() / len(labels)), confusion,
                 right / confusion.sum(0), right / confusion.sum(1))


def _preset(config: dict[str, Any]) -> presets.Preset:
  return presets.Preset(
      config['family'], genotypes.from_json(config['genotype']),
      tuple(map(tuple, config.get('sizes', ()))))


def _seeds(folder: pathlib.Path) -> list[pathlib.Path]:
  found = [p for p in folder.glob('seed_*') if (p / _FILE).exists()]
  return sorted(found, key=lambda p: (len(p.name), p.name))


def _size(trained: Trained) -> str:
  return ' x '.join(map(str, trained.task.image_shape))
