"""What studies of ranks share: samples, trainings, intervals and pages."""

from collections.abc import Callable, Hashable, Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import jax
import numpy as np

from nas_jax import base
from nas_jax import pages
from nas_jax import problem
from nas_jax import progress
from nas_jax import records
from nas_jax import workdir as workdirs
from nas_jax.data import images as image_data

Metrics = list[dict[str, float]]  # of each child


def different(
    key: base.Key, space: base.Space, number: int,
    identity: Callable[[np.ndarray], Hashable] = np.ndarray.tobytes,
) -> np.ndarray:
  """Different random genomes, int32[number, L]; fewer if a space has fewer.

  Args:
    key: consumed.
    space: where they are drawn.
    number: of them.
    identity: genome -> what tells it from others.
  """
  draw = jax.jit(jax.vmap(space.sample))
  found: dict[Hashable, np.ndarray] = {}
  for _ in range(100):
    key, key_now = jax.random.split(key)
    for genome in np.asarray(draw(jax.random.split(key_now, number))):
      found.setdefault(identity(genome), genome)
    if len(found) >= number:
      break
  return np.stack(list(found.values())[:number])


def train(label: str, evaluator: base.Evaluator, genomes: np.ndarray, *,
          seed: int, at_a_time: int) -> Metrics:
  """The metrics of every genome; those that were trained are read.

  Args:
    label: what the progress is called.
    evaluator: which trains, and knows what it has trained.
    genomes: int32[N, L].
    seed: of the evaluator.
    at_a_time: genomes whose programs compile while others of them train.
  """
  key, found = jax.random.key(seed), []
  state = evaluator.init(key)
  with progress.progress(len(genomes), label) as bar:
    for start in range(0, len(genomes), at_a_time):
      proposals = base.Proposals(genomes[start:start + at_a_time])
      evaluation, state = evaluator.evaluate(key, state, proposals)
      found += by_child(evaluation.metrics)
      bar.update(len(proposals.genomes))
  return found


def by_child(metrics: Mapping[str, Sequence[float]]) -> Metrics:
  """A dict for each child, from a column for each metric."""
  return [dict(zip(metrics, map(float, values)))
          for values in zip(*metrics.values())]


def trained(rows: Sequence[Mapping[str, Any]], what: str
            ) -> list[Mapping[str, Any]]:
  """The rows that did not fail.

  Raises:
    ValueError: they are fewer than three, of which there are no ranks.
  """
  kept = [row for row in rows if not row['failed']]
  if len(kept) < 3:
    raise ValueError(
        f'only {len(kept)} of {len(rows)} {what} could be trained')
  return kept


def resamples(number: int, num_resamples: int, seed: int) -> np.ndarray:
  """Draws with replacement, int[1 + num_resamples, number]; first, all once."""
  draws = np.random.default_rng(seed).integers(
      number, size=(num_resamples, number))
  return np.concatenate([np.arange(number)[None], draws])


def interval(values: Sequence[float]) -> list[float | None]:
  """The value of all, then the 95 % interval of percentiles of the resamples.

  None where all of one measure are equal, so that there are no ranks.

  Args:
    values: float[1 + R], of each row of `resamples`.
  """
  values = np.asarray(values)
  if np.isnan(values[0]):
    return [None] * 3
  known = values[1:][~np.isnan(values[1:])]
  low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (-1., 1.)
  return [round(float(v), 4) for v in (values[0], low, high)]


def interval_text(found: Sequence[float | None]) -> str:
  """An `interval` as it stands in a table."""
  if found[0] is None:
    return 'all equal'
  return '{:+.3f} ({:+.3f} to {:+.3f})'.format(*found)


def header(name: str, settings: problem.DataSettings,
           data: image_data.ImageData, load_before: Sequence[float]
           ) -> dict[str, Any]:
  """What study.json says of how a study was made."""
  return workdirs.header(name, settings.dataset, settings) | {
      'command': workdirs.command(), 'load_before': list(load_before),
      'load_after': list(os.getloadavg()),
      'flags': dataclasses.asdict(settings),
      'num_train': len(data.train.labels),
      'num_validation': len(data.validation.labels),
      'num_test': len(data.test.labels)}


def page(study: Mapping[str, Any], title: str, facts: str,
         table: Sequence[Sequence[str]], pictures: Sequence[str]) -> str:
  """A page of HTML: verdict, facts, a table, pictures as SVG, the command."""
  return pages.page(title, [
      f'<h1>{pages.escape(title)}</h1>',
      f'<p class="verdict">{pages.escape(study["verdict"])}</p>',
      f'<p>{pages.escape(facts)}</p>', pages.html_table(table),
      *map(pages.figure, pictures), '<h2>To run it again</h2>',
      f'<pre>{pages.escape(study["command"])}</pre>'])


def write(workdir: pathlib.Path, study: Mapping[str, Any], html: str,
          table: Sequence[Sequence[str]]) -> None:
  """Writes study.json and study.html, and says what they say."""
  records.write_json(workdir / 'study.json', study)
  records.write_text(workdir / 'study.html', html)
  print(pages.table(table))
  print(f'{study["verdict"]}\nreport: {workdir / "study.html"}')
