"""Gradient searches that are more than one descent.

P-DARTS searches three networks in turn, DARTS-ADA goes back and decays the
weights more, DARTS-PT tunes the network between its decisions. The first part
of a search is in its folder, like a plain search; later ones are in part1,
part2, ... Each part resumes by itself.

References:
  Chen et al., P-DARTS, arXiv 1904.12760; chenxin061/pdarts.
  Zela et al., arXiv 1909.09656; automl/RobustDARTS (DARTS-ADA).
  Wang et al., arXiv 2108.04392; ruocwang/darts-pt.
"""

from collections.abc import Callable
import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from nas_jax import base
from nas_jax import checkpoint
from nas_jax import descent
from nas_jax import journal
from nas_jax import progress
from nas_jax import supernet_plan
from nas_jax import supernet_search
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.data import splits
from nas_jax.supernets import bench201
from nas_jax.supernets import bilevel
from nas_jax.supernets import darts
from nas_jax.supernets import engine as engines
from nas_jax.supernets import methods
from nas_jax.supernets import monitor
from nas_jax.supernets import perturbation
from nas_jax.supernets import relax
from nas_jax.supernets import stages
from nas_jax.supernets import stopping
from nas_jax.training import classify
from nas_jax.training import schedules

Plan = supernet_plan.Plan
Found = supernet_search.Found
# Of P-DARTS' and DARTS-PT's papers; other scales change depth and length.
_NUM_CELLS = 8
_EPOCHS = 50
_EPOCHS_PER_ROUND = 5
_JUDGED_ORDER = 3  # Sets it apart from the orders of training.
# So far back DARTS-ADA may go: 12 epochs.
_KEEP = 14


class Tuning(NamedTuple):
  """The state of DARTS-PT after the search."""
  search: bilevel.State
  selection: perturbation.Selection


def run(folder: pathlib.Path, plan: Plan, label: str) -> Found:
  """Searches to the end, whatever the method; the same call resumes.

  Args:
    folder: of this search.
    plan: what to do.
    label: what the progress is called.

  Raises:
    ValueError: nothing can be derived, or what does not fit.
  """
  if plan.method.stages:
    return _in_stages(folder, plan, label)
  if plan.method.stop == 'adapt':
    return _adapting(folder, plan, label)
  if plan.method.perturbs:
    return _by_perturbation(folder, plan, label)
  return supernet_search.run(folder, plan, label)


def stage_plan(plan: Plan, number: int, spec: darts.Spec) -> Plan:
  """The plan of one stage of P-DARTS.

  With 8 cells the stages have 5, 11 and 17, else proportionally many, 3 at
  least.

  Args:
    plan: of the search.
    number: of the stage, from 0.
    spec: the candidates that are left.
  """
  stage = stages.CIFAR10[number]
  return plan._replace(
      spec=spec,
      num_cells=max(3, round(stage.num_cells * plan.num_cells / _NUM_CELLS)),
      context=dataclasses.replace(
          plan.context, skip_dropout=stage.skip_dropout))


def tuning_plan(plan: Plan, num_rounds: int) -> tuple[Plan, int]:
  """The plan of DARTS-PT's tuning, and its epochs per round.

  After a search of 50 epochs 5 per round, else proportionally many. The
  learning rate starts at a tenth.
  """
  per_round = max(1, round(_EPOCHS_PER_ROUND * plan.recipe.epochs / _EPOCHS))
  recipe = dataclasses.replace(
      plan.recipe, epochs=per_round * (num_rounds - 1) + 1,
      schedule='cosine_per_epoch', warmup_epochs=0.,
      learning_rate=plan.recipe.learning_rate / 10,
      final_learning_rate=min(plan.recipe.final_learning_rate,
                              plan.recipe.learning_rate / 10),
      eval_batch_size=plan.recipe.batch_size)
  return plan._replace(recipe=recipe, alphas=dataclasses.replace(
      plan.alphas, warmup_epochs=0)), per_round


def _part(folder: pathlib.Path, number: int) -> pathlib.Path:
  return folder / f'part{number}' if number else folder


def _in_stages(folder, plan, label) -> Found:
  """P-DARTS."""
  if len(plan.spec.normal[0]) != stages.CIFAR10[0].candidates:
    raise ValueError(
        'the stages of P-DARTS need the 8 candidates of the space darts, this '
        f'one has {len(plan.spec.normal[0])}')
  spec, records, seconds = plan.spec, [], 0.
  for number, _ in enumerate(stages.CIFAR10):
    own = stage_plan(plan, number, spec)
    network = supernet_plan.build(own)
    state, derived, new = supernet_search.descend(
        _part(folder, number), own, network, f'{label}, stage {number + 1}')
    found = supernet_search.conclude(own, network, derived, new)
    records += [{**record, 'part': number} for record in new]
    seconds += found.seconds
    if number + 1 < len(stages.CIFAR10):
      spec = stages.narrow(spec, state.search.alphas,
                           stages.CIFAR10[number + 1].candidates)
  return found._replace(records=records, seconds=seconds,
                        ended=f'three stages, the last one: {found.ended}')


def _adapting(folder, plan, label) -> Found:
  """DARTS-ADA."""
  adaptive = stopping.Adaptive(plan.recipe.weight_decay)
  start, kept, seconds, went_back = None, [], 0., []
  while True:
    number = len(went_back)
    own = plan._replace(recipe=dataclasses.replace(
        plan.recipe, weight_decay=adaptive.weight_decay))
    decide = functools.partial(_adapt, own, adaptive)
    network = supernet_plan.build(own)
    place = _part(folder, number)
    state, derived, new = supernet_search.descend(
        place, own, network, label, start=start, keep=_KEEP,
        stop=lambda records, decide=decide: decide(records) is not None)
    found = supernet_search.conclude(own, network, derived, new)
    seconds += found.seconds
    new = [{**record, 'part': number} for record in new]
    decision = decide(new)
    if decision is None:
      break
    adaptive, restored = decision
    # Steps are counted from the start of the part.
    first = new[0]['epoch']
    per_epoch = (new[0]['step'] + 1)
    start = journal.at(
        place, (restored + 1 - first) * per_epoch, state).search
    went_back.append(restored)
    kept += [record for record in new if record['epoch'] <= restored]
  records = kept + new
  ended = 'all epochs' if len(records) == plan.recipe.epochs else (
      f'diverged in epoch {len(records)}')
  for restored in went_back:
    ended += f', after going back to epoch {restored} with more weight decay'
  return Found(derived, records, seconds, ended)


def _adapt(plan, adaptive, records):
  return stopping.adapt(adaptive, supernet_search.eigenvalues(records),
                        epochs=plan.recipe.epochs)


def _by_perturbation(folder, plan, label) -> Found:
  """DARTS-PT."""
  network = supernet_plan.build(plan)
  state, derived, records = supernet_search.descend(
      folder, plan, network, label)
  found = supernet_search.conclude(plan, network, derived, records)
  shown = methods.shown(plan.method, state.search.alphas)
  # The weights' momentum starts anew, that of the alphas goes on.
  weights = state.search.weights
  weights = weights._replace(
      optimizer=jax.tree.map(jax.numpy.zeros_like, weights.optimizer))
  first = Tuning(state.search._replace(step=np.int32(0), weights=weights),
                 perturbation.init(shown))
  own, per_round = tuning_plan(
      plan, perturbation.rounds_left(first.selection))
  state, genotype, new = _tune(
      _part(folder, 1), own, per_round, network, first,
      f'{label}, selection')
  return Found(
      genotype, records + [{**record, 'part': 1} for record in new],
      found.seconds + sum(r['seconds']['wall'] for r in new),
      f'{found.ended}; then decisions, {per_round} epoch(s) of tuning apart')


def _tune(folder, plan, per_round, network, first, label):
  """The descent between decisions; its steps start with one."""
  module = bench201 if isinstance(plan.spec, bench201.Spec) else darts
  task = classify.task_of(plan.data, plan.recipe.standardise)
  # As in the public code, accuracy is that with the statistics of batches.
  engine = engines.make(
      network.engine.net, plan.recipe, task, rows=module.rows,
      execution=plan.execution, num_devices=plan.num_devices,
      batch_statistics=True)
  train, validation = map(
      batches.to_device, (plan.data.train, plan.data.validation))
  per_epoch = schedules.steps_per_epoch(plan.recipe, len(train.labels))
  # Batches of their own statistics are mixed, and complete.
  order = splits.random_order((plan.seed, _JUDGED_ORDER),
                              len(validation.labels))
  order = order[:len(order) // plan.recipe.batch_size * plan.recipe.batch_size]
  judged = image_data.Split(*(x[order] for x in validation))
  relaxation = plan.method.relaxation(plan.context)
  shapes = {k: tuple(x.shape) for k, x in first.search.alphas.items()}

  @functools.lru_cache(maxsize=1)
  def search_of(frozen) -> base.GradientSearch:
    return bilevel.make(
        engine, plan.recipe, _projected(
            relaxation, _thawed(frozen), plan.context.epochs - 1), shapes,
        lambda alphas: None, steps_per_epoch=per_epoch, settings=plan.alphas)

  def accuracy(state: bilevel.State, weights: relax.Weights) -> float:
    gates = relax.gates(weights)
    return classify.evaluate(
        classify.Trainer(None, None, lambda own, images: engine.logits(
            own.params, own.batch_stats, gates, images), 0.),
        plan.recipe, state.weights, judged)

  def update(key, state: Tuning, *pair):
    keys = jax.random.split(key)
    selection, inner = state.selection, state.search
    if not int(inner.step) % (per_round * per_epoch):
      selection = perturbation.select(
          keys[0], selection, methods.shown(plan.method, inner.alphas),
          functools.partial(accuracy, inner))
    inner, metrics = search_of(_frozen(selection)).update(
        keys[1], inner, *pair)
    return Tuning(inner, selection), metrics

  def describe(state: Tuning, before) -> dict[str, Any]:
    del before
    left = perturbation.rounds_left(state.selection)
    weights = perturbation.apply(
        methods.shown(plan.method, state.search.alphas), state.selection)
    counts = monitor.census(
        weights, network.candidates, None if left else
        perturbation.genotype(state.selection, network.candidates))
    return {
        'epoch': int(state.search.step) // per_epoch - 1,
        'supernet_accuracy': accuracy(state.search, weights),
        'weights': {k: np.round(np.asarray(v, float), 6).tolist()
                    for k, v in weights.items()},
        'candidates': {k: [list(names) for names in v]
                       for k, v in network.candidates.items()},
        'rounds_left': left,
        'census': {k: v._asdict() for k, v in counts.items()},
        'warning': monitor.warning(counts)}

  done = max(checkpoint.steps(folder / 'checkpoints' / 'search'), default=0)
  with progress.progress(plan.recipe.epochs, label, unit='epoch',
                         initial=done // per_epoch) as bar:
    return descent.descend(
        jax.random.fold_in(jax.random.key(plan.seed), 1),
        base.GradientSearch(
            lambda key: first, update, lambda state: perturbation.genotype(
                state.selection, network.candidates), jittable=False),
        functools.partial(supernet_search.pairs, plan, train, validation),
        num_steps=per_epoch * plan.recipe.epochs, workdir=folder,
        checkpoint_every=per_epoch, log_every=per_epoch, describe=describe,
        on_log=lambda state, record: bar.update(
            accuracy=record['supernet_accuracy']))


def _projected(relaxation: bilevel.Relaxation,
               selection: perturbation.Selection, epoch: int
               ) -> bilevel.Relaxation:
  """With what is decided; other numbers are those of the last epoch."""
  def projected(function: Callable) -> Callable:
    return lambda *args: perturbation.apply(function(*args), selection)

  return relaxation._replace(
      weights=projected(relaxation.weights),
      values=lambda _: relaxation.values(epoch),
      perturb=relaxation.perturb and projected(relaxation.perturb),
      attack=relaxation.attack and projected(relaxation.attack))


def _frozen(selection: perturbation.Selection) -> tuple:
  """A hashable form."""
  return tuple(
      tuple((kind, tuple(np.asarray(x).tolist())) for kind, x in part.items())
      for part in selection)


def _thawed(frozen: tuple) -> perturbation.Selection:
  return perturbation.Selection(*(
      {kind: np.asarray(x) for kind, x in part} for part in frozen))
