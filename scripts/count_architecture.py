"""Counts what an architecture costs, without computing anything.

  python -m scripts.count_architecture --architecture=DARTS_V2
  python -m scripts.count_architecture --architecture=PC-DARTS-ImageNet \\
      --network=imagenet --memory --batch_size=128
  python -m scripts.count_architecture --list
"""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import functools
import itertools
import json
import operator
from typing import Any

from experiments import flags
from nas_jax import cost
from nas_jax.networks import graph
from nas_jax.networks import parts
from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.training import classify
from nas_jax.training import recipes

_FORMATS = ('text', 'json')
_NOTES = (
    ('params', 'parameters'),
    ('auxiliary_params', 'of the auxiliary classifier, in training only'),
    ('batch_stats', 'running statistics'),
    ('conv_macs', 'multiply-adds of convolutions, one image'),
    ('linear_macs', 'multiply-adds of linear layers'),
    ('macs', 'multiply-adds'),
    ('macs_with_norm', 'with 2 per output of a norm, 1 per output of a ReLU'))


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to count; sizes that are not set are the paper's."""
  architecture: str | None = None  # name, file, workdir, or 'list'
  list: bool = False  # list the known architectures
  network: str = 'cifar'  # kind of network, such as cifar or imagenet
  features: int | None = None  # F, in the convention of the paper
  num_cells: int | None = None  # cells, in the convention of the paper
  num_classes: int | None = None  # classes
  image_size: int | None = None  # height and width of the images
  format: str = 'text'  # text or json
  memory: bool = False  # estimate the memory of a training step
  compile: bool = False  # memory of the training step compiled here (slow)
  batch_size: int = 96  # images per training step


def main(settings: Settings) -> None:
  """Prints what `report` or `listing` says."""
  print(listing(settings.format, settings.network)
        if settings.list or settings.architecture == 'list'
        else report(settings))


def report(settings: Settings) -> str:
  """The cost of one architecture as text or as a JSON object.

  Raises:
    ValueError: no such architecture, or sizes that do not fit it.
  """
  _check_format(settings.format)
  if not settings.architecture:
    raise ValueError('--architecture is not set: give a name, a file or a '
                     'workdir; --list lists the names')
  for name in ('batch_size', 'image_size'):
    value = getattr(settings, name)
    if value is not None and value < 1:
      raise ValueError(f'--{name} is {value}, expected at least 1')
  preset = presets.load(settings.architecture)
  net = build(preset, settings)
  total = cost.count(net)
  found = {
      'architecture': settings.architecture, 'family': preset.family,
      'network': settings.network, 'image_shape': list(net.image_shape),
      'num_classes': net.nodes[-1].shape[-1], **total._asdict(),
      'macs': total.macs, 'macs_with_norm': total.macs_with_norm}
  memory = {}
  if settings.memory:
    memory['estimated'] = cost.estimate_memory(net, settings.batch_size)
  if settings.compile:
    memory['compiled'] = _compiled_memory(net, settings.batch_size)
  if memory:
    found['memory'] = {'batch_size': settings.batch_size, **{
        name: value._asdict() | {'total': value.total}
        for name, value in memory.items()}}
  if settings.format == 'json':
    return json.dumps(found | {'parts': [
        {'name': name, 'shape': list(shape), 'params': part.params,
         'macs': part.macs} for name, shape, part in by_part(net)]}, indent=2)
  return '\n'.join(_text(found, net))


def listing(form: str = 'text', network: str = 'cifar') -> str:
  """All known architectures: name, family, parameters.

  Args:
    form: 'text' or 'json'.
    network: whose parameters are counted; architectures that were published
      without it are counted as their family's first kind of network.

  Raises:
    ValueError: an unknown format.
  """
  _check_format(form)
  found = []
  for name, preset in presets.PRESETS.items():
    if preset.family not in zoo.FAMILIES:
      continue
    kinds = zoo.FAMILIES[preset.family].defaults
    kind = network if network in kinds else next(iter(kinds))
    found.append({
        'name': name, 'family': preset.family, 'network': kind,
        'params': graph.num_params(zoo.build(preset, kind))})
  if form == 'json':
    return json.dumps({'architectures': found}, indent=2)
  return '\n'.join(_table(
      ('architecture', 'family', 'network', 'params'),
      ((row['name'], row['family'], row['network'], f'{row["params"]:,}')
       for row in found), '<<<>'))


def build(preset: presets.Preset, settings: Settings) -> graph.Graph:
  """The network, with an auxiliary classifier where it can have one."""
  return zoo.build_whole(
      preset, settings.network, features=settings.features,
      num_cells=settings.num_cells, num_classes=settings.num_classes,
      image_shape=None if settings.image_size is None else (
          settings.image_size, settings.image_size, 3))


def by_part(net: graph.Graph) -> list[tuple[str, tuple[int, ...], cost.Cost]]:
  """(name, shape of the output, cost) of each part of a network."""
  costs = [found for _, found in cost.by_node(net)]
  return [(part.name, part.shape, _sum(costs[i] for i in part.nodes))
          for part in parts.parts(net)]


def _compiled_memory(net: graph.Graph, batch_size: int) -> cost.Memory:
  recipe = recipes.Recipe(
      epochs=1, batch_size=batch_size,
      auxiliary_weight=.4 if net.auxiliary else 0.)
  channels = net.image_shape[-1]
  task = classify.Task(net.image_shape, (0.,) * channels, (1.,) * channels)
  return cost.peak_memory(classify.lower_step(net, recipe, task))


def _text(found: dict[str, Any], net: graph.Graph) -> Iterator[str]:
  height, width, channels = found['image_shape']
  yield (f'{found["architecture"]} (family {found["family"]}), network '
         f'{found["network"]}: {height} x {width} x {channels} images, '
         f'{found["num_classes"]} classes')
  yield ''
  rows = []
  for (shape, _), group in itertools.groupby(
      by_part(net), lambda row: (row[1], row[2])):
    names, _, costs = zip(*group)
    name = names[0] if len(names) == 1 else (
        f'{names[0]} .. {names[-1]} ({len(names)})')
    total = _sum(costs)
    rows.append((name, ' x '.join(map(str, shape)),
                 f'{total.params or total.auxiliary_params:,}',
                 f'{total.macs:,}'))
  yield from _table(('part', 'output', 'params', 'multiply-adds'), rows, '<<>>')
  yield ''
  width = max(len(f'{found[name]:,}') for name, _ in _NOTES)
  for name, note in _NOTES:
    yield f'{name:<16}  {found[name]:>{width},}  {note}'
  for name, memory in found.get('memory', {}).items():
    if name != 'batch_size':
      total, temporary = (
          memory[key] / 2**30 for key in ('total', 'temporaries'))
      yield (f'memory, {name}: {total:.2f} GiB for a training step of '
             f'{found["memory"]["batch_size"]} images, of which '
             f'{temporary:.2f} temporary')


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], sides: str
           ) -> Iterator[str]:
  """Aligned lines; `sides` has < or > for each column."""
  rows = [tuple(header), *rows]
  widths = [max(map(len, column)) for column in zip(*rows)]
  for row in rows:
    yield '  '.join(f'{text:{side}{width}}' for text, side, width in zip(
        row, sides, widths)).rstrip()


def _sum(costs: Iterable[cost.Cost]) -> cost.Cost:
  return functools.reduce(
      lambda a, b: cost.Cost(*map(operator.add, a, b)), costs)


def _check_format(form: str) -> None:
  if form not in _FORMATS:
    raise ValueError(f'--format is {form!r}, expected one of '
                     f'{", ".join(_FORMATS)}')


if __name__ == '__main__':
  flags.run_script(main, Settings)
