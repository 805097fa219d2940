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
from nas_jax import workdir as workdirs
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes
from nas_jax.strategies import evolution
from nas_jax.strategies import random_search

TASKS = ('number_of_ones', 'bits', 'nk')
SCALES = dict(
    smoke=dict(task='number_of_ones', num_positions=20, num_choices=4),
    small=dict(task='nk', num_positions=20, num_choices=4, num_seeds=100),
    paper=dict(task='bits', num_seeds=100))


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a toy search depends on."""
  scale: str = 'paper'  # what the flags are that are not set
  task: str = 'bits'  # number_of_ones, bits or nk
  seed: int = 0  # of everything
  num_seeds: int = 20  # searches at once; the first of them is logged
  num_positions: int = 100  # of a genome, L
  num_choices: int = 2  # per position
  num_interactions: int = 3  # positions that one of nk depends on, K
  noise: float = 0.01  # standard deviation of a reward of bits
  num_evaluations: int = 1000  # per search
  population_size: int = 100  # the last so many children may be parents, P
  sample_size: int = 10  # of which the best is the parent, S

  def __post_init__(self):
    if self.task not in TASKS:
      raise ValueError(
          f'task is {self.task!r}, expected one of {", ".join(TASKS)}')
    if min(self.num_seeds, self.num_evaluations) < 1:
      raise ValueError(f'num_seeds {self.num_seeds} and num_evaluations '
                       f'{self.num_evaluations} must be at least 1')


def main(workdir: pathlib.Path, settings: Settings):
  space, evaluator = make_task(settings)
  strategies = {
      'result': evolution.regularized_evolution(
          space, population_size=settings.population_size,
          sample_size=settings.sample_size),
      'random_search': random_search.random_search(space)}
  workdirs.claim(workdir, 'toy', dataclasses.asdict(settings))
  workdirs.use_compilation_cache(workdir)
  keys = jax.vmap(lambda i: jax.random.fold_in(
      jax.random.key(settings.seed), i))(np.arange(settings.num_seeds))
  summary = workdirs.header('toy', settings.task, settings) | {
      'search': {'num_children': settings.num_evaluations}}
  for name, strategy in strategies.items():
    place = workdir if name == 'result' else workdir / name
    state, _ = search.run(
        keys[0], strategy, evaluator, num_rounds=settings.num_evaluations,
        genotype=space.genotype, workdir=place, checkpoint_every=100)
    genotypes.save(place / 'genotype.json', space.genotype(state.best_genome))
    best = np.asarray(jax.jit(jax.vmap(lambda key, s=strategy: search.scan(
        key, s, evaluator, num_rounds=settings.num_evaluations,
        rewards_only=True)[0].best_reward))(keys))
    summary[name] = {'mean_best_reward': float(best.mean()),
                     'std_best_reward': float(best.std()),
                     'num_seeds': settings.num_seeds}
  records.write_json(workdir / 'summary.json', summary)
  print(report.terminal_summary(summary, report.write(workdir)))
  return summary


def make_task(settings: Settings):
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
  flags.run(main, Settings, SCALES)
