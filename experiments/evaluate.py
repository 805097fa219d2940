r"""Tests trained networks: each one, and all of them as an ensemble.

An ensemble is the mean of the softmax outputs. A workdir of several seeds
counts as its seeds.

  python -m experiments.evaluate --workdirs=runs/final
  python -m experiments.evaluate --workdirs=runs/a,runs/b --data_dir=DIR \
      --output=runs/both
"""

import dataclasses

from experiments import flags
from nas_jax import evaluation


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is tested on what."""
  workdirs: str | None = None  # of finished trainings, separated by commas
  dataset: str | None = None  # unset, what the first was trained on
  data_dir: str | None = None  # folder of the files of the data set
  image_size: int | None = None  # resize images to so many pixels
  split: str = 'test'  # test or validation
  output: str | None = None  # folder for evaluation.json and evaluation.html


def main(settings: Settings):
  workdirs = [part for part in (settings.workdirs or '').split(',') if part]
  if not workdirs:
    raise ValueError('--workdirs is not set: name the folders of finished '
                     'trainings, separated by commas')
  found = evaluation.evaluate(
      workdirs, dataset=settings.dataset, data_dir=settings.data_dir,
      image_size=settings.image_size, split=settings.split)
  print(evaluation.text(found))
  if settings.output:
    print(f'\nreport: {evaluation.write(found, settings.output)}')
  return found


if __name__ == '__main__':
  flags.run_script(main, Settings)
