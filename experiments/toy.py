"""Searches where an evaluation costs nothing, over many seeds at once.

  python -m experiments.toy --workdir=runs/toy --task=nk --num_seeds=100

Tasks: number_of_ones; bits (100 bits, noisy mean, as in supplement C of Real et
al., arXiv 1802.01548); nk, a rugged landscape of Kauffman and Levin, 1987.
"""

import dataclasses
import pathlib

import jax
import numpy as np

from experiments import flags
from nas_jax import records
from nas_jax import report
from nas_jax import search
from nas_jax import workdir
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.strategies import evolution
from nas_jax.strategies import random_search

TASKS = ('number_of_ones', 'bits', 'nk')


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a toy search depends on."""
  task: str = 'bits'  # one of TASKS
  seed: int = 0  # of everything
  num_seeds: int = 20  # runs under one vmap, the first is the logged one
  num_positions: int = 100  # L
  num_choices: int = 2  # per position
  num_interactions: int = 3  # K of nk
  noise: float = 0.01  # standard deviation of a reward of bits
  num_evaluations: int = 1000  # per run
  population_size: int = 100
  sample_size: int = 10

  def __post_init__(self):
    if self.task not in TASKS:
      raise ValueError(
          f'task is {self.task!r}, expected one of {", ".join(TASKS)}')


SCALES = dict(
    smoke=dict(task='number_of_ones', num_positions=20, num_choices=4),
    small=dict(task='nk', num_positions=20, num_choices=4, num_seeds=100),
    paper=dict(task='bits', num_seeds=100))
read_settings = flags.define_settings(Settings, SCALES)


def main():
  settings = read_settings()
  folder = pathlib.Path(flags.workdir_path())
  space, evaluator = make_task(settings)
  strategies = {
      'result': evolution.regularized_evolution(
          space, population_size=settings.population_size,
          sample_size=settings.sample_size),
      'random_search': random_search.random_search(space)}
  workdir.claim(folder, 'toy', dataclasses.asdict(settings))
  key = jax.random.key(settings.seed)
  keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(
      np.arange(settings.num_seeds))
  summary = {'experiment': 'toy', 'dataset': settings.task,
             'seed': settings.seed,
             'hardware': workdir.hardware(1), 'versions': workdir.versions()}
  for name, strategy in strategies.items():
    place = folder if name == 'result' else folder / name
    search.run(keys[0], strategy, evaluator, workdir=place,
               num_rounds=settings.num_evaluations, genotype=space.genotype,
               checkpoint_every=100)
    best = np.asarray(jax.jit(jax.vmap(lambda key, s=strategy: search.scan(
        key, s, evaluator, num_rounds=settings.num_evaluations,
        rewards_only=True)[0].best_reward))(keys))
    summary[name] = {'mean_best_reward': float(best.mean()),
                     'std_best_reward': float(best.std()),
                     'num_seeds': settings.num_seeds}
    print(f'{name}: best reward {best.mean():.4f} +- {best.std():.4f} over '
          f'{settings.num_seeds} seeds')
  records.write_json(folder / 'summary.json', summary)
  print(f'report: {report.write(folder)}')
  return summary


def make_task(settings: Settings):
  """(space, evaluator) of a task."""
  space = discrete.space(
      (tuple(range(settings.num_choices)),) * settings.num_positions)
  if settings.task == 'nk':
    return space, toy.nk(space, num_interactions=settings.num_interactions,
                         seed=settings.seed)
  if settings.task == 'bits':
    return space, toy.number_of_ones(
        space, scale='mean', noise=settings.noise, clip=(0., 1.))
  return space, toy.number_of_ones(space)


if __name__ == '__main__':
  flags.run_main(main)
