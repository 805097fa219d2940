"""Counts what an architecture costs, without computing anything.

  python -m scripts.count_architecture --architecture=DARTS_V2
  python -m scripts.count_architecture --architecture=PC-DARTS-ImageNet \\
      --network=imagenet --memory --batch_size=128
  python -m scripts.count_architecture --architecture=DARTS_V2_RNN \\
      --network=wikitext2
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
from nas_jax.networks import language
from nas_jax.networks import language_sizes
from nas_jax.networks import parts
from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent
from nas_jax.spaces import recurrent_tree
from nas_jax.training import classify
from nas_jax.training import recipes

Part = tuple[str, tuple[int, ...], cost.Cost]  # with the shape of its output

_FORMATS = ('text', 'json')
_IMAGES, _LANGUAGE = 'cifar', 'ptb'  # kinds of networks
# Settings that the others do not have.
_OF_IMAGES = ('num_classes', 'image_size', 'memory', 'compile')
_OF_LANGUAGE = ('vocabulary', 'embedding')
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
  network: str | None = None  # kind of network: cifar, imagenet, ptb, ...
  features: int | None = None  # F in the paper's convention; units of a layer
  num_cells: int | None = None  # cells in the paper's convention; layers
  num_classes: int | None = None  # classes
  image_size: int | None = None  # height and width of the images
  vocabulary: int | None = None  # tokens that a language model knows
  embedding: int | None = None  # of a language model's tokens; unset, features
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
  for name in ('batch_size', 'image_size', *_OF_LANGUAGE):
    value = getattr(settings, name)
    if value is not None and value < 1:
      raise ValueError(f'--{name} is {value}, expected at least 1')
  preset = presets.load(settings.architecture)
  is_language = preset.family in recurrent.FAMILIES
  for name in _OF_IMAGES if is_language else _OF_LANGUAGE:
    if getattr(settings, name) not in (None, False):
      raise ValueError(f'--{name} is not for the family {preset.family}')
  return (_language if is_language else _images)(preset, settings)


def listing(form: str = 'text', network: str | None = None) -> str:
  """All known architectures: name, family, parameters.

  Args:
    form: 'text' or 'json'.
    network: whose parameters are counted; without it, and of architectures
      that were published without it, the family's first kind of network.

  Raises:
    ValueError: an unknown format.
  """
  _check_format(form)
  found = []
  for name, preset in presets.PRESETS.items():
    is_language = preset.family in recurrent.FAMILIES
    kinds = (language_sizes.DEFAULTS[preset.family] if is_language else
             zoo.FAMILIES[preset.family].defaults)
    kind = network if network in kinds else next(iter(kinds))
    found.append({
        'name': name, 'family': preset.family, 'network': kind,
        'params': language_sizes.build(preset, kind).num_params if is_language
                  else graph.num_params(zoo.build(preset, kind))})
  if form == 'json':
    return json.dumps({'architectures': found}, indent=2)
  return '\n'.join(_table(
      ('architecture', 'family', 'network', 'params'),
      ((row['name'], row['family'], row['network'], f'{row["params"]:,}')
       for row in found), '<<<>'))


def build(preset: presets.Preset, settings: Settings) -> graph.Graph:
  """The network, with an auxiliary classifier where it can have one."""
  return zoo.build_whole(
      preset, settings.network or _IMAGES, features=settings.features,
      num_cells=settings.num_cells, num_classes=settings.num_classes,
      image_shape=None if settings.image_size is None else (
          settings.image_size, settings.image_size, 3))


def build_language(preset: presets.Preset, settings: Settings
                   ) -> language.Model:
  """The language model of a recurrent cell."""
  return language_sizes.build(
      preset, settings.network or _LANGUAGE, vocabulary=settings.vocabulary,
      embedding=settings.embedding, hidden=settings.features,
      num_layers=settings.num_cells)


def by_part(net: graph.Graph) -> list[Part]:
  """(name, shape of the output, cost) of each part of a network."""
  costs = [found for _, found in cost.by_node(net)]
  return [(part.name, part.shape, _sum(costs[i] for i in part.nodes))
          for part in parts.parts(net)]


def _images(preset: presets.Preset, settings: Settings) -> str:
  net = build(preset, settings)
  total = cost.count(net)
  found = {
      'architecture': settings.architecture, 'family': preset.family,
      'network': settings.network or _IMAGES,
      'image_shape': list(net.image_shape),
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
    return _as_json(found, by_part(net))
  return '\n'.join(_text(found, net))


def _language(preset: presets.Preset, settings: Settings) -> str:
  """As `_images`, of a language model."""
  model = build_language(preset, settings)
  costs = cost.by_layer(model)
  total = _sum(found for _, _, found in costs)
  found = {
      'architecture': settings.architecture, 'family': preset.family,
      'network': settings.network or _LANGUAGE,
      **dataclasses.asdict(model.sizes), 'params': total.params,
      'macs': total.macs}
  if settings.format == 'json':
    return _as_json(found, costs)
  head = (f'{found["architecture"]} (family {found["family"]}), network '
          f'{found["network"]}: {found["vocabulary"]:,} tokens, '
          f'{"tied" if found["tied"] else "untied"} embedding')
  equations = []
  if preset.family == 'rnn_tree':
    equations = ['', *recurrent_tree.equations(preset.genotype)]
  return '\n'.join([
      head, '', *_part_table(costs), '',
      f'params  {total.params:>13,}  parameters',
      f'macs    {total.macs:>13,}  multiply-adds of one token', *equations])


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
  yield from _part_table(by_part(net))
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


def _part_table(parts_: Sequence[Part]) -> Iterator[str]:
  """Equal parts in a row share a line."""
  rows = []
  for (shape, _), group in itertools.groupby(
      parts_, lambda row: (row[1], row[2])):
    names, _, costs = zip(*group)
    name = names[0] if len(names) == 1 else (
        f'{names[0]} .. {names[-1]} ({len(names)})')
    total = _sum(costs)
    rows.append((name, ' x '.join(map(str, shape)),
                 f'{total.params or total.auxiliary_params:,}',
                 f'{total.macs:,}'))
  yield from _table(('part', 'output', 'params', 'multiply-adds'), rows, '<<>>')


def _as_json(found: dict[str, Any], parts_: Sequence[Part]) -> str:
  return json.dumps(found | {'parts': [
      {'name': name, 'shape': list(shape), 'params': part.params,
       'macs': part.macs} for name, shape, part in parts_]}, indent=2)


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
