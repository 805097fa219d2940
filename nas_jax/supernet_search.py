"""One gradient search of cells on images, from its folder.

A search is one descent, or several in turn, each in a folder of its own with
history.jsonl (a line per epoch: metrics, weights of the candidates, derived
architecture, counts, warning) and checkpoints/search/.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from nas_jax import base
from nas_jax import checkpoint
from nas_jax import descent
from nas_jax import parallel
from nas_jax import progress
from nas_jax import supernet_plan
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.data import splits
from nas_jax.networks import graph
from nas_jax.spaces import genotypes
from nas_jax.supernets import bench201
from nas_jax.supernets import bilevel
from nas_jax.supernets import curvature
from nas_jax.supernets import darts
from nas_jax.supernets import derive
from nas_jax.supernets import methods
from nas_jax.supernets import monitor
from nas_jax.supernets import relax
from nas_jax.supernets import stopping
from nas_jax.training import classify
from nas_jax.training import schedules

Plan = supernet_plan.Plan
Network = supernet_plan.Network
Record = dict[str, Any]
EVERY = 2  # epochs between two eigenvalues
# Steps between looks at the loss where a step should not be waited for.
_CHECK_EVERY = 20
_VALIDATION_ORDER = 1  # Sets its order apart from that of training images.


class Found(NamedTuple):
  """What came of a search."""
  genotype: base.Genotype
  records: list[Record]  # of all epochs
  seconds: float  # compiling and searching, those of earlier runs included
  ended: str  # why


def run(folder: pathlib.Path, plan: Plan, label: str) -> Found:
  """Searches to the end; the same call resumes.

  Args:
    folder: of this search.
    plan: what to do.
    label: what the progress is called.

  Raises:
    ValueError: nothing can be derived, or what does not fit.
  """
  network = supernet_plan.build(plan)
  state, derived, records = descend(folder, plan, network, label)
  return conclude(plan, network, derived, records)


def descend(
    folder: pathlib.Path, plan: Plan, network: Network, label: str, *,
    start: bilevel.State | None = None, keep: int = 3,
    stop: Callable[[Sequence[Record]], bool] | None = None,
) -> tuple[descent.DescentState, base.Genotype, list[Record]]:
  """One descent; see `descent.descend`.

  Args:
    folder: of this descent.
    plan: what to do.
    network: see `supernet_plan.build`.
    label: what the progress is called.
    start: a state of an earlier descent, with which to go on; at the end of
      an epoch.
    keep: checkpoints to keep, one of each epoch.
    stop: whether it ends early; by default what the method says.
  """
  data = plan.data
  train = (image_data.train_and_validation(data) if plan.method.all_images
           else data.train)
  train, validation = map(batches.to_device, (train, data.validation))
  per_epoch = schedules.steps_per_epoch(plan.recipe, len(train.labels))
  first = 0 if start is None else int(start.step)
  total = per_epoch * plan.recipe.epochs - first
  shapes = methods.shapes(_gates(plan.spec), plan.method.edges)
  relaxation = plan.method.relaxation(plan.context)
  search = bilevel.make(
      network.engine, plan.recipe, relaxation, shapes,
      functools.partial(derived_of, plan, network.candidates),
      steps_per_epoch=per_epoch, settings=plan.alphas, pick=network.pick)
  if start is not None:
    search = search._replace(init=lambda key: start)
  describe = _Describer(plan, network, relaxation, validation, per_epoch)
  done = max(checkpoint.steps(folder / 'checkpoints' / 'search'), default=0)
  board = progress.scalars(folder / 'tb' / 'search')
  with progress.progress(
      plan.recipe.epochs, label, unit='epoch',
      initial=(first + done) // per_epoch) as bar:
    def on_log(state, record):
      del state
      shown = {k: v for k, v in record['metrics'].items() if v is not None}
      bar.update(loss=shown.get('loss'),
                 accuracy=record['supernet_accuracy'])
      board.write(record['epoch'], shown | {
          'supernet_accuracy': record['supernet_accuracy']})
      progress.warn_of_search(label, record)
    found = descent.descend(
        jax.random.fold_in(jax.random.key(plan.seed), first), search,
        lambda step: pairs(plan, train, validation, first + step),
        num_steps=total, workdir=folder, checkpoint_every=per_epoch,
        log_every=per_epoch, keep=keep,
        check_every=1 if jax.default_backend() == 'cpu' else _CHECK_EVERY,
        describe=describe, stop=stop or functools.partial(
            _stops, plan, network.candidates), on_log=on_log)
  board.close()
  return found


def conclude(plan: Plan, network: Network, derived: base.Genotype,
             records: list[Record]) -> Found:
  """The architecture to return, and why the search ended."""
  stop = stop_of(plan, network.candidates, records)
  ended = 'all epochs'
  if stop is not None:
    ended = (f'stopped after epoch {stop.epoch} by {plan.method.stop}; the '
             f'architecture is that of epoch {stop.best}')
    derived = genotypes.from_json(records[stop.best]['genotype'])
  elif len(records) < plan.recipe.epochs:
    ended = f'diverged in epoch {len(records)}'
  return Found(
      derived, records, network.engine.compile_seconds + sum(
          r['seconds']['wall'] for r in records), ended)


def derived_of(plan: Plan, candidates: derive.Candidates, alphas: relax.Alphas
               ) -> base.Genotype:
  """What the method derives."""
  if 'cell' in candidates:
    return derive.bench201(alphas, candidates['cell'][0])
  return plan.method.derive(alphas, candidates, plan.context)


def stop_of(plan: Plan, candidates: derive.Candidates,
            records: Sequence[Record]) -> stopping.Stop | None:
  """Whether and where the search should have ended."""
  if plan.method.stop == 'skips':
    kind = 'cell' if 'cell' in candidates else 'normal'
    return stopping.two_skips([r['census'][kind]['skips'] for r in records])
  if plan.method.stop == 'ranking':
    return stopping.stable_ranking([
        stopping.ranking(r['weights'], candidates) for r in records])
  if plan.method.stop == 'eigenvalue':
    return stopping.eigenvalue_grows(
        eigenvalues(records), epochs=plan.recipe.epochs)
  return None


def eigenvalues(records: Sequence[Record]) -> list[tuple[int, float]]:
  """(epoch, largest eigenvalue), where there is one."""
  return [(r['epoch'], r['eigenvalue']) for r in records
          if r.get('eigenvalue') is not None]


def pairs(plan: Plan, train: image_data.Split, validation: image_data.Split,
          step: int) -> Iterator[tuple[Any, Any]]:
  """(training batch, validation batch) from a step on, without end.

  Training images come in a random order of each epoch; each validation batch
  is drawn anew from all validation images, as in the public code of DARTS.
  """
  size = len(train.labels)
  batch = plan.recipe.batch_size
  per_epoch = schedules.steps_per_epoch(plan.recipe, size)
  order = None
  while True:
    epoch, within = divmod(step, per_epoch)
    if order is None or not within:
      order = batches.epoch_batches(
          plan.seed, epoch, size, batch, drop_last=True,
          fill_last=plan.recipe.fill_last).indices
    chosen = splits.random_order(
        (plan.seed, step, _VALIDATION_ORDER), len(validation.labels))[:batch]
    yield (classify.take(train, order[within]),
           classify.take(validation, chosen))
    step += 1


class _Describer:
  """What a line says of an epoch."""

  def __init__(self, plan, network, relaxation, validation, per_epoch):
    self._plan = plan
    self._network = network
    self._relaxation = relaxation
    self._validation = validation
    self._per_epoch = per_epoch

  def __call__(self, state: bilevel.State, before: Sequence[Record]) -> Record:
    plan, network = self._plan, self._network
    epoch = int(state.step) // self._per_epoch - 1
    shown = methods.shown(plan.method, state.alphas)
    try:
      genotype = derived_of(plan._replace(context=dataclasses.replace(
          plan.context, strict=True)), network.candidates, state.alphas)
    except ValueError:  # Nothing is strong enough yet, in FairDARTS.
      genotype = None
    counts = monitor.census(shown, network.candidates, genotype)
    record = {
        'epoch': epoch,
        'supernet_accuracy': self._accuracy(state, shown, epoch),
        'genotype': genotype and genotypes.to_json(genotype),
        'weights': {k: np.round(np.asarray(v, float), 6).tolist()
                    for k, v in shown.items()},
        'candidates': {k: [list(names) for names in v]
                       for k, v in network.candidates.items()},
        'census': {k: v._asdict() for k, v in counts.items()}}
    grown = None
    last = epoch + 1 == plan.recipe.epochs
    if plan.eigenvalue != 'off' and (last or epoch % EVERY == 0):
      record['eigenvalue'] = self._eigenvalue(state, epoch)
      grown = stopping.eigenvalue_grows(
          eigenvalues([*before, record]), epochs=plan.recipe.epochs)
    return record | {'warning': monitor.warning(counts, grown)}

  def _gates(self, weights, epoch):
    values = {k: np.float32(v)
              for k, v in self._relaxation.values(epoch).items()}
    return bilevel.gates_of(weights, values)

  def _accuracy(self, state, shown, epoch) -> float:
    """Of the search network on the validation images."""
    plan = self._plan
    if plan.method.samples:  # One candidate at a time, as in training.
      shown = {kind: jax.nn.one_hot(k, shown[kind].shape[-1])
               for kind, k in relax.chosen(shown).items()}
    gates = self._gates(shown, epoch)
    predict = classify.Trainer(
        None, None, lambda weights, images: self._network.engine.logits(
            weights.params, weights.batch_stats, gates, images), 0.)
    return classify.evaluate(
        predict, plan.recipe, state.weights, self._validation)

  def _eigenvalue(self, state, epoch) -> float:
    """The largest of the Hessian in alpha, of one validation batch."""
    plan = self._plan
    chosen = splits.random_order(
        (plan.seed, epoch, _VALIDATION_ORDER + 1),
        len(self._validation.labels))[:plan.recipe.batch_size]
    images, labels = classify.take(self._validation, chosen)
    key = jax.random.fold_in(jax.random.key(plan.seed), epoch)
    variables = graph.Variables(*state.weights[:2])
    if plan.num_devices > 1:
      variables = parallel.first_copy(variables)
    kinds = {k: v for k, v in state.alphas.items() if relax.is_kind(k)}
    rows = (bench201 if isinstance(plan.spec, bench201.Spec) else darts).rows

    def gates_of(alphas):
      weights = methods.shown(plan.method, {**state.alphas, **alphas})
      return rows(self._gates(weights, epoch))

    product = curvature.hessian_product(
        self._network.engine.net, plan.recipe,
        classify.task_of(plan.data, plan.recipe.standardise), gates_of,
        variables, kinds, images, labels, key)
    decay = plan.alphas.weight_decay
    if plan.eigenvalue == 'lanczos':
      return monitor.lanczos(product, kinds, weight_decay=decay)
    return monitor.largest_eigenvalue(
        monitor.hessian(product, kinds, weight_decay=decay))


def _stops(plan, candidates, records) -> bool:
  return stop_of(plan, candidates, records) is not None


def _gates(spec: supernet_plan.Spec) -> dict[str, tuple[int, ...]]:
  module = bench201 if isinstance(spec, bench201.Spec) else darts
  return module.gate_shapes(spec)
