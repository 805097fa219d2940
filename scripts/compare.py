"""Compares strategies: curves, ranks and significance as a page and pictures.

  python -m scripts.compare --places=runs/bench --output=comparison
  python -m scripts.compare --places=runs/a0,runs/a1,runs/b0 --output=comparison

A place is the workdir of experiments.nasbench, a file of runs (.npz), or the
workdir of a search; workdirs that differ only in their seed belong together.
"""

import dataclasses
import pathlib

from experiments import flags
from nas_jax import comparison
from nas_jax import pages
from nas_jax import problem
from nas_jax import svg


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to compare, and when."""
  places: str | None = None  # workdirs or files of runs, joined by commas
  output: str = 'comparison'  # folder of the page and the pictures
  evaluations: str | None = None  # compare after so many, such as 150,300
  budget_seconds: float | None = None  # compare after so much time as well
  title: str = 'Comparison'  # of the page
  png: bool = True  # write PNG files too
  zoom: float = 2.  # pixels of PNG files per pixel of SVG files


def main(settings: Settings) -> pathlib.Path:
  """Writes the page and prints its tables.

  Returns:
    The page.

  Raises:
    ValueError: nothing to compare, or a limit that a search did not reach.
  """
  if not settings.places:
    raise ValueError('--places is not set: name workdirs or files of runs, '
                     'joined by commas')
  if not 0.1 <= settings.zoom <= 10:
    raise ValueError(f'--zoom is {settings.zoom:g}, expected 0.1 to 10')
  entries = comparison.read(settings.places.split(','))
  limits = [comparison.Limit(n) for n in problem.integers(
      'evaluations', settings.evaluations)] if settings.evaluations else []
  if settings.budget_seconds is not None:
    limits.append(comparison.Limit(seconds=settings.budget_seconds))
  limits = limits or [comparison.common_limit(entries)]
  path = comparison.write(
      settings.output, entries, limits=limits, title=settings.title)
  note = ''
  if settings.png:
    try:
      for picture in sorted(path.parent.glob('*_by_*.svg')):
        picture.with_suffix('.png').write_bytes(
            svg.png(picture.read_text('utf-8'), settings.zoom))
    except ValueError as e:  # The page and the SVG files are there.
      note = f'no PNG files: {e}'
  for limit in limits:
    for measure in comparison.measures(entries) or [None]:
      print(f'{comparison.label(measure)} after {limit.text}')
      print(pages.table(comparison.rank_table(entries, measure, limit)))
  print('\n'.join(filter(None, [note, f'page: {path}'])))
  return path


if __name__ == '__main__':
  flags.run_script(main, Settings)
