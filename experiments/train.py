r"""Trains one architecture on a data set and tests it once.

The architecture is a file such as the genotype.json of a search, or a published
one by name: NASNet-A, AmoebaNet-A to -D. The settings are those that a search
trains its result with.

  python -m experiments.train --workdir=runs/final \
      --architecture=runs/amoeba/genotype.json
"""

import dataclasses
import pathlib

from experiments import amoeba
from experiments import flags
from nas_jax import cells_on_images
from nas_jax import workflow


@dataclasses.dataclass(frozen=True)
class Settings(cells_on_images.FinalSettings):
  """What the run depends on."""
  architecture: str | None = None  # a genotype.json, or AmoebaNet-A, ...

  def __post_init__(self):
    super().__post_init__()
    if not self.architecture:
      raise ValueError('--architecture is not set: name a file of cells, for '
                       'example the genotype.json of a search, or a preset')


def main(workdir: pathlib.Path, settings: Settings):
  return workflow.train_cells(
      workdir, settings, settings.architecture, experiment='train')


if __name__ == '__main__':
  flags.run(main, Settings, amoeba.SCALES)
