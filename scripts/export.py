"""Exports a trained network to files that run without this package.

  python -m scripts.export --workdir=runs/first --output=exported
  cd exported && python -c 'import load; print(load.load())'
"""

import dataclasses
import pathlib

from experiments import flags
from nas_jax import export
from nas_jax import trained


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to export, and where."""
  workdir: str | None = None  # folder of a finished training or search
  output: str | None = None  # folder of the exported files
  batch_size: int | None = None  # images per call; any number if not set
  platforms: str = 'cpu,cuda,tpu'  # what the program shall run on


def main(settings: Settings) -> None:
  """Writes the files and says what they are.

  Raises:
    ValueError: no trained network, or settings out of range.
  """
  for name in ('workdir', 'output'):
    if not getattr(settings, name):
      raise ValueError(f'--{name} is not set')
  found = export.export(
      trained.load(settings.workdir), settings.output,
      platforms=tuple(filter(None, settings.platforms.split(','))),
      batch_size=settings.batch_size)
  size = (pathlib.Path(settings.output) / found['artifact']).stat().st_size
  shape = ', '.join(map(str, found['image_shape']))
  print(f'{settings.output}: {found["artifact"]} ({size / 1e6:.1f} MB for '
        f'{", ".join(found["platforms"])}), model.json, load.py')
  print(f'uint8[{found["batch_size"] or "B"}, {shape}] -> '
        f'float32[{found["batch_size"] or "B"}, {found["num_classes"]}]; '
        f'logits agree to {found["difference"]:.1e} of the largest')


if __name__ == '__main__':
  flags.run_script(main, Settings)
