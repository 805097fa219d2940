"""Draws an architecture: its cells and its whole network, as SVG and PNG.

  python -m scripts.draw --architecture=DARTS_V2 --output=drawings
  python -m scripts.draw --architecture=runs/first --output=drawings
"""

import dataclasses
import pathlib
import re

from experiments import flags
from nas_jax import plot_cells
from nas_jax import plot_network
from nas_jax import records
from nas_jax import svg
from nas_jax import trained
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to draw; sizes that are not set are the paper's, or the run's."""
  architecture: str | None = None  # a name, a genotype file or a workdir
  output: str = '.'  # folder of the pictures
  network: str | None = None  # kind of network, such as cifar or imagenet
  features: int | None = None  # F, in the convention of the paper
  num_cells: int | None = None  # cells, in the convention of the paper
  png: bool = True  # write PNG files too
  zoom: float = 2.  # pixels of PNG files per pixel of SVG files


def main(settings: Settings) -> list[pathlib.Path]:
  """Writes NAME_network and, of cells, NAME_normal and NAME_reduce.

  Returns:
    The files.

  Raises:
    ValueError: no such architecture, or sizes that do not fit it.
  """
  if not settings.architecture:
    raise ValueError('--architecture is not set: give a name, a file or a '
                     'workdir')
  if not 0.1 <= settings.zoom <= 10:
    raise ValueError(f'--zoom is {settings.zoom:g}, expected 0.1 to 10')
  preset = presets.load(settings.architecture)
  net = build(preset, settings)
  path = pathlib.Path(settings.architecture)
  title = path.resolve().name if path.exists() else settings.architecture
  pictures = {'network': plot_network.draw_network(net, title)}
  if isinstance(preset.genotype, genotypes.Genotype):
    pictures |= {kind: plot_cells.draw_cell(preset.genotype._asdict(), kind)
                 for kind in ('normal', 'reduce')}
  folder = pathlib.Path(settings.output)
  folder.mkdir(parents=True, exist_ok=True)
  stem = re.sub(r'[^\w.-]+', '_', title.removesuffix('.json'))
  written = []
  for kind, picture in pictures.items():
    written.append(folder / f'{stem}_{kind}.svg')
    records.write_text(written[-1], picture)
  note = ''
  if settings.png:
    try:
      for kind, picture in pictures.items():
        content = svg.png(picture, settings.zoom)
        written.append(folder / f'{stem}_{kind}.png')
        written[-1].write_bytes(content)
    except ValueError as e:  # The SVG files are there.
      note = f'no PNG files: {e}'
  print('\n'.join([*map(str, written), *filter(None, [note])]))
  return written


def build(preset: presets.Preset, settings: Settings) -> graph.Graph:
  """The network: as a run trained it, or with its auxiliary classifier."""
  config = pathlib.Path(settings.architecture) / 'network.json'
  sizes = settings.network, settings.features, settings.num_cells
  if config.exists() and sizes == (None, None, None):
    return trained.build(records.read_json(config))
  defaults = zoo.FAMILIES[preset.family].defaults if (
      preset.family in zoo.FAMILIES) else ('cifar',)
  network = settings.network or (
      'cifar' if 'cifar' in defaults else next(iter(defaults)))
  return zoo.build_whole(preset, network, features=settings.features,
                         num_cells=settings.num_cells)


if __name__ == '__main__':
  flags.run_script(main, Settings)
