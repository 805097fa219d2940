r"""ENAS for language: recurrent cells that all share their weights.

Pham, Guan, Zoph, Le, Dean, ICML 2018, arXiv 1802.03268. Published: 55.8 test
perplexity on Penn Treebank with 24M parameters; the corrected public code
(google-research, enas_lm) has 57.3 +- 0.1 on a GPU. As recalled, a search
takes 10 hours on one GPU, and random cells have 81.2.

  python -m experiments.enas --domain=text --workdir=runs/enas_text
  python -m experiments.enas --domain=text --workdir=runs/ptb \
      --dataset=ptb --data_dir=DIR --scale=small

Each window of the training text trains the weights of one cell that the
controller samples; after each pass the controller learns from c / perplexity
on windows of the validation text. Random search trains shared weights of its
own for as many epochs, on uniformly drawn cells, and chooses among as many in
the same way; what the controller learns from, it does not spend.

Note: settings are those of the corrected code. Its published cell has eight
nodes, its search nine. How many cells the final choice is among is not
published; all are scored on one window. The validation text has as many rows
as a batch where it is long enough, and is read in order.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import flags
from nas_jax import base
from nas_jax import checks
from nas_jax import enas_search
from nas_jax import language_problem
from nas_jax import language_workflow
from nas_jax import workflow
from nas_jax.controllers import enas_chain
from nas_jax.evaluators import recurrent_shared as evaluator
from nas_jax.spaces import recurrent
from nas_jax.strategies import enas
from nas_jax.strategies import random_search
from nas_jax.supernets import alternating
from nas_jax.supernets import recurrent_shared
from nas_jax.supernets import recurrent_text
from nas_jax.supernets import shared

SMOKE = dict(
    dataset='grammar', num_nodes=5, recipe='fast_shared', hidden=24,
    controller_rounds=6, samples_per_round=5, controller_learning_rate=.01,
    final_recipe='fast', final_learning_rate=.02, final_hidden=48)
SMALL = dict(
    dataset='grammar', recipe='fast_shared', hidden=64, epochs=100,
    controller_rounds=10, controller_learning_rate=.002, num_children=50,
    children_per_round=50, num_finalists=3, final_recipe='fast',
    final_learning_rate=.02, final_hidden=96)
# The defaults of the settings are the published ones.
PAPER = dict(dataset='ptb')
SCALES = dict(smoke=SMOKE, small=SMALL, paper=PAPER)


@dataclasses.dataclass(frozen=True)
class Settings(language_problem.Settings):
  """What the run depends on."""
  domain: str = 'text'  # what makes it a search of recurrent cells
  num_children: int = 10  # cells sampled and scored in the end
  children_per_round: int = 10  # of them sampled and scored together
  recipe: str = 'enas_search'  # of the shared weights
  hidden: int = 200  # units of the layer that shares weights
  final_recipe: str = 'enas_final'  # of the result
  final_hidden: int = 800  # units of the result's layer
  num_nodes: int = 9  # of a cell, beside that of its inputs
  decay: str = 'used'  # what decays in a step: the weights used, or all
  reward_scale: float = 80.  # over the perplexity, c
  controller_rounds: int = 25  # steps of the controller per epoch
  samples_per_round: int = 10  # cells of one such step
  controller_size: int = 64  # hidden units of the controller's one layer
  controller_learning_rate: float = 0.00005  # of the controller
  tanh_constant: float = 2.25  # bound of logits
  temperature: float = 5.  # what logits are divided by before
  entropy_weight: float = 0.00001  # of entropy in the reward
  baseline_decay: float = 0.999  # of the moving average of rewards

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('domain', self.domain, ('text',))
    checks.one_of('decay', self.decay, shared.DECAYS)
    checks.at_least(self, 1, 'num_nodes', 'controller_rounds',
                    'samples_per_round')
    if not self.reward_scale > 0:
      raise ValueError(f'reward_scale is {self.reward_scale}, expected a '
                       'positive number')


def main(workdir: pathlib.Path, settings: Settings) -> dict[str, Any]:
  made = make(settings)
  weights = weights_of(settings, made)
  read = recurrent_text.read(made.corpus, made.child_recipe)
  policy = policy_of(settings)
  if done := workflow.begin(workdir, settings, experiment='enas'):
    return done
  learner = recurrent_text.learner(
      weights, made.child_recipe, read, seed=settings.seed,
      reward=settings.reward_scale)
  runs, logs, scorers = {}, {}, {}
  for name, place, label, policy, rounds in (
      ('result', workdir, 'enas', policy, settings.controller_rounds),
      ('random_search', workdir / 'random_search', 'random search',
       enas_search.uniform(made.space), 0)):
    state, logs[name] = enas_search.watched(
        functools.partial(
            alternating.in_turn, jax.random.key(settings.seed), learner,
            policy, num_epochs=made.child_recipe.epochs, num_rounds=rounds),
        place, label, num_epochs=made.child_recipe.epochs,
        shown=('train_perplexity', 'reward'))
    scorers[name] = scorer(settings, weights, read, state.weights)
    runs[name] = place, label, workflow.search_children(
        place, enas_search.chosen_by(
            policy, state.policy, settings.children_per_round),
        scorers[name], made.space, settings, f'{label}: choosing')
  return language_workflow.conclude(
      workdir, settings, made, runs, experiment='enas',
      cost={f'{name}_seconds'.replace('result', 'search'):
            enas_search.seconds(log) for name, log in logs.items()},
      more=_summary(settings, made.space, logs['result'],
                    runs['result'][2], scorers['result'], weights))


def make(settings: Settings) -> language_problem.Problem:
  """The search; its recipe of children is that of the shared weights.

  As in the public code, predictions have no biases.
  """
  made = language_problem.make(
      settings, recurrent.chain_space(settings.num_nodes), 'rnn_chain',
      floor=0., reward=lambda perplexity: settings.reward_scale / perplexity)
  sizes = dataclasses.replace(made.final_sizes, bias=False)
  if settings.final_recipe == 'enas_final':
    sizes = dataclasses.replace(sizes, init_range=.05)
  return made._replace(final_sizes=sizes)


def weights_of(settings: Settings, made: language_problem.Problem
               ) -> recurrent_shared.Weights:
  """What all cells share."""
  sizes = dataclasses.replace(
      language_problem.sizes_of(settings, made.corpus), bias=False)
  return recurrent_shared.make(
      settings.num_nodes, sizes, made.child_recipe, decay=settings.decay)


def policy_of(settings: Settings) -> alternating.Policy:
  """The controller, and how it learns."""
  controller = enas_chain.controller(
      settings.num_nodes, hidden_size=settings.controller_size,
      tanh_constant=settings.tanh_constant, temperature=settings.temperature)
  return enas_search.learned(
      controller, batch_size=settings.samples_per_round,
      learning_rate=settings.controller_learning_rate,
      optimizer=functools.partial(enas.adam, b1=.9, epsilon=1e-8),
      baseline_decay=settings.baseline_decay,
      entropy_weight=settings.entropy_weight)


def scorer(settings: Settings, weights: recurrent_shared.Weights,
           read: recurrent_text.Text, params: recurrent_shared.Params
           ) -> base.Evaluator:
  """Cells by their perplexity on the first window, the same for all."""
  return evaluator.shared(
      lambda genomes: recurrent_text.losses(
          weights, read, params, genomes, np.zeros(len(genomes), np.int32)),
      lambda losses: recurrent_text.rewards(losses, settings.reward_scale))


def _summary(settings: Settings, space: base.Space, log, children,
             scored: base.Evaluator, weights) -> dict[str, Any]:
  """What the controller has learned."""
  # Others than those of random search.
  key = jax.random.fold_in(jax.random.key(settings.seed), 1)
  drawn = base.Proposals(random_search.sample(key, space, len(children)))
  evaluation, _ = scored.evaluate(key, scored.init(key), drawn)
  return {
      'num_scored': len(log) * settings.controller_rounds
                    * settings.samples_per_round,
      'num_shared_params': weights.num_params,
      'controller_reward': float(np.mean([c['reward'] for c in children])),
      'uniform_reward': float(np.mean(evaluation.rewards)),
      **enas_search.learning(
          log, f'The mean of {settings.reward_scale:g} / perplexity, each on '
          'one window of the validation text, of the cells that the '
          'controller sampled in an epoch, with the shared weights of that '
          'epoch.')}


if __name__ == '__main__':
  flags.run(main, Settings, SCALES)
