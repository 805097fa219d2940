"""Draws an architecture: its whole network and its cells, as SVG and PNG.

  python -m scripts.draw --architecture=DARTS_V2 --output=drawings
  python -m scripts.draw --architecture=runs/first --output=drawings
"""

import dataclasses
import pathlib
import re

from experiments import flags
from nas_jax import plot_architecture
from nas_jax import records
from nas_jax import svg
from nas_jax.spaces import presets


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to draw; sizes that are not set are the paper's, or the run's."""
  architecture: str | None = None  # a name, a genotype file or a workdir
  output: str = '.'  # folder of the pictures
  network: str | None = None  # kind of network: cifar, imagenet, ptb, ...
  features: int | None = None  # F in the paper's convention; units of a layer
  num_cells: int | None = None  # cells in the paper's convention; layers
  png: bool = True  # write PNG files too
  zoom: float = 2.  # pixels of PNG files per pixel of SVG files


def main(settings: Settings) -> list[pathlib.Path]:
  """Writes NAME_network and NAME_normal, _reduce, _block or _cell.

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
  path = pathlib.Path(settings.architecture)
  net = plot_architecture.build(
      preset, path if path.is_dir() else None, settings.network,
      settings.features, settings.num_cells)
  title = path.resolve().name if path.exists() else settings.architecture
  pictures = plot_architecture.pictures(preset, net, title)
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


if __name__ == '__main__':
  flags.run_script(main, Settings)
