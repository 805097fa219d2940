"""Searches where an evaluation costs nothing, over many seeds at once.

  python -m experiments.toy --workdir=runs/toy --task=nk --num_seeds=100
  python -m experiments.toy --workdir=runs/ones --task=number_of_ones

Tasks: number_of_ones, the demo of AutoDL Design with its controller and
hyper-parameters, beside a reference curve (nas_jax/autodl_demo.py); bits (100
bits, noisy mean, as in supplement C of Real et al., arXiv 1802.01548); nk, a
rugged landscape of Kauffman and Levin, 1987.
"""

import dataclasses
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from experiments import flags
from nas_jax import autodl_demo
from nas_jax import base
from nas_jax import checks
from nas_jax import records
from nas_jax import report
from nas_jax import search
from nas_jax import statistics
from nas_jax import workdir as workdirs
from nas_jax.evaluators import toy
from nas_jax.spaces import discrete
from nas_jax.spaces import genotypes
from nas_jax.strategies import evolution
from nas_jax.strategies import ppo
from nas_jax.strategies import q_learning
from nas_jax.strategies import random_search
from nas_jax.strategies import reinforce

TASKS = ('number_of_ones', 'bits', 'nk')
STRATEGIES = (None, 'regularized_evolution', 'reinforce', 'ppo', 'q_learning')
SCALES = dict(
    smoke=dict(task='nk', num_positions=20, num_choices=4),
    small=dict(task='nk', num_positions=20, num_choices=4, num_seeds=100),
    paper=dict(task='bits', num_seeds=100))

_NUM_POINTS = 200  # of a curve, about


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a toy search depends on; what follows the task is of bits and nk."""
  scale: str = 'paper'  # what the flags are that are not set
  seed: int = 0  # of everything
  num_seeds: int = 20  # searches at once; the first of them is logged
  num_evaluations: int | None = None  # per search; unset: 1000, the demo 10060
  task: str = 'bits'  # number_of_ones (has settings of its own), bits or nk
  strategy: str | None = None  # reinforce, ppo, q_learning; unset: evolution
  num_positions: int = 100  # of a genome, L
  num_choices: int = 2  # per position
  num_interactions: int = 3  # positions that one of nk depends on, K
  noise: float = 0.01  # standard deviation of a reward of bits
  population_size: int = 100  # the last so many children may be parents, P
  sample_size: int = 10  # of which the best is the parent, S
  batch_size: int = 10  # children per round of all but evolution
  learning_rate: float | None = None  # of all but evolution; unset: its own

  def __post_init__(self):
    checks.one_of('task', self.task, TASKS)
    checks.one_of('strategy', self.strategy, STRATEGIES)
    if self.is_demo and self.strategy:
      raise ValueError(f'strategy is {self.strategy!r}, but the task '
                       'number_of_ones has its own: leave it unset')
    if min(self.num_seeds, self.total) < 1:
      raise ValueError(f'num_seeds {self.num_seeds} and num_evaluations '
                       f'{self.total} must be at least 1')
    if self.total % self.children_per_round:
      raise ValueError(f'num_evaluations {self.total} is not a multiple of '
                       f'the {self.children_per_round} children of a round')

  @property
  def is_demo(self) -> bool:
    return self.task == 'number_of_ones'

  @property
  def children_per_round(self) -> int:
    return autodl_demo.BATCH_SIZE if self.is_demo else (
        1 if self.strategy in STRATEGIES[:2] else self.batch_size)

  @property
  def total(self) -> int:
    return self.num_evaluations if self.num_evaluations is not None else (
        autodl_demo.NUM_ROUNDS * autodl_demo.BATCH_SIZE if self.is_demo
        else 1000)


class Task(NamedTuple):
  space: base.Space
  evaluator: base.Evaluator
  strategy: base.Strategy
  family: str | None = None  # of networks that the genotypes describe


def main(workdir: pathlib.Path, settings: Settings):
  task = make_demo() if settings.is_demo else make_task(settings)
  space, batch = task.space, settings.children_per_round
  num_rounds = settings.total // batch
  workdirs.claim(workdir, 'toy', dataclasses.asdict(settings))
  workdirs.use_compilation_cache(workdir)
  keys = jax.vmap(lambda i: jax.random.fold_in(
      jax.random.key(settings.seed), i))(np.arange(settings.num_seeds))
  summary = workdirs.header('toy', settings.task, settings) | {
      'search': {'num_children': settings.total}}
  curves = {}
  for name, strategy in (
      ('result', task.strategy),
      ('random_search', random_search.random_search(space, batch_size=batch))):
    place = workdir if name == 'result' else workdir / name
    state, _ = search.run(
        keys[0], strategy, task.evaluator, num_rounds=num_rounds,
        genotype=space.genotype, workdir=place, checkpoint_every=100)
    genotypes.save(place / 'genotype.json', space.genotype(state.best_genome),
                   task.family)
    states, history = jax.jit(jax.vmap(lambda key, s=strategy: search.scan(
        key, s, task.evaluator, num_rounds=num_rounds, rewards_only=True)))(
            keys)
    best = np.asarray(states.best_reward)
    curves[name] = statistics.over_seeds(
        np.asarray(history.rewards), autodl_demo.WINDOW)
    summary[name] = {'mean_best_reward': float(best.mean()),
                     'std_best_reward': float(best.std()),
                     'mean_last_reward': curves[name]['mean'][-1],
                     'num_seeds': settings.num_seeds}
  curve = curves['result'] | {'random': curves['random_search']['mean'],
                              'rounds': range(num_rounds)}
  step = max(1, num_rounds // _NUM_POINTS)
  summary['curve'] = {
      k: np.round(v[::step], 4).tolist() for k, v in curve.items()} | {
          'label': f'mean of {settings.num_seeds} seeds',
          'note': f'Means over {autodl_demo.WINDOW} neighbouring rounds.'}
  if settings.is_demo:
    summary['curve'] |= autodl_demo.reference_curves()
    summary['curve']['note'] += f' Reference: {autodl_demo.REFERENCE_NAME}.'
    print(autodl_demo.comparison(curves['result']))
  records.write_json(workdir / 'summary.json', summary)
  print(report.terminal_summary(summary, report.write(workdir)))
  return summary


def make_demo() -> Task:
  space = autodl_demo.space()
  return Task(space, autodl_demo.evaluator(space), autodl_demo.strategy(space),
              'autodl')


def make_task(settings: Settings) -> Task:
  space = discrete.space(
      (tuple(range(settings.num_choices)),) * settings.num_positions)
  evaluator = toy.nk(
      space, num_interactions=settings.num_interactions, seed=settings.seed
  ) if settings.task == 'nk' else toy.number_of_ones(
      space, scale='mean', noise=settings.noise, clip=(0., 1.))
  return Task(space, evaluator, make_strategy(space, settings))


def make_strategy(space: base.Space, settings: Settings) -> base.Strategy:
  batch = dict(batch_size=settings.batch_size)
  if settings.learning_rate is not None:
    batch['learning_rate'] = settings.learning_rate
  if settings.strategy == 'reinforce':
    return reinforce.reinforce(space, **batch)
  if settings.strategy == 'ppo':
    return ppo.ppo(space, **batch)
  if settings.strategy == 'q_learning':
    return q_learning.q_learning(
        space, epsilon_schedule=q_learning.scaled_schedule(
            settings.total // settings.batch_size), **batch)
  return evolution.regularized_evolution(
      space, population_size=settings.population_size,
      sample_size=settings.sample_size)


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
