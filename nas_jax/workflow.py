"""A whole run: search, select on validation, retrain, test once, report."""

from collections.abc import Callable
import dataclasses
import os
import pathlib
import time
from typing import Any

from absl import logging
import jax

from nas_jax import base
from nas_jax import parallel
from nas_jax import progress
from nas_jax import records
from nas_jax import report
from nas_jax import search
from nas_jax import workdir as workdirs
from nas_jax.data import batches
from nas_jax.data import images as image_data
from nas_jax.data import knn
from nas_jax.evaluators import scratch
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.spaces import cell
from nas_jax.spaces import genotypes
from nas_jax.strategies import random_search
from nas_jax.training import classify
from nas_jax.training import fit
from nas_jax.training import recipes

_NO_FLIP = ('digits', 'mnist')  # mirrored digits are not digits
_OPERATIONS = {'nasnet': cell.NASNET_OPERATIONS,
               'amoebanet': cell.AMOEBANET_OPERATIONS}


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a search of cells on images depends on.

  Fields called final_* are of the chosen network's training; the others of
  the children's.
  """
  dataset: str = 'digits'  # digits, cifar10, npz:PATH, folder:PATH, ...
  data_dir: str | None = None  # where its files are
  seed: int = 0  # of everything
  validation_fraction: float = 0.1  # of the training images
  max_train: int | None = None  # use at most so many training images
  image_size: int | None = None  # resize images to this many pixels
  operations: str = 'amoebanet'  # amoebanet (8) or nasnet (13)
  num_nodes: int = 5  # per cell
  num_children: int = 20000  # architectures to evaluate
  children_per_round: int = 1  # asked for and evaluated together
  population_size: int = 100  # P of evolution
  sample_size: int = 25  # S of evolution
  num_cells: int = 3  # normal cells per stage, N
  features: int = 24  # of the first stage, F
  num_reductions: int = 2  # reduction cells
  epochs: int = 25
  batch_size: int = 128
  learning_rate: float = 0.024
  weight_decay: float = 5e-4
  patience: int | None = None  # stop a child early, see Recipe
  crop_padding: int | None = None  # by default an eighth of the image
  flip: bool | None = None  # by default not for digits
  num_finalists: int = 1  # retrained to choose the result among them
  final_num_cells: int = 6
  final_features: int = 36
  final_epochs: int = 600
  final_batch_size: int = 128
  final_learning_rate: float = 0.024
  final_drop_path_keep: float = 0.7
  final_auxiliary_weight: float = 0.5
  final_cutout_length: int = 0
  execution: str = 'auto'  # whole, blocks or auto, see training/classify.py
  num_devices: int = 1  # children trained at a time, batch shards at the end

  def __post_init__(self):
    if self.operations not in _OPERATIONS:
      raise ValueError(f'operations is {self.operations!r}, expected one of '
                       f'{", ".join(_OPERATIONS)}')
    for name in ('num_children', 'children_per_round', 'num_finalists'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name} is {getattr(self, name)}, expected at least '
                         '1')
    if self.num_children % self.children_per_round:
      raise ValueError(
          f'num_children {self.num_children} is not a multiple of '
          f'children_per_round {self.children_per_round}')


def run(
    workdir: str | os.PathLike,
    settings: Settings,
    make_strategy: Callable[[base.Space], base.Strategy],
    *,
    experiment: str,
    baseline: bool = True,
) -> dict[str, Any]:
  """Searches cells on images; the same call resumes where it stopped.

  Args:
    workdir: of the run, see docs/architecture.md.
    settings: of the run.
    make_strategy: space -> strategy.
    experiment: its name, for the report.
    baseline: whether random search gets the same number of children and the
      same retraining.

  Returns:
    The content of `summary.json`.

  Raises:
    ValueError: bad settings, data, or a workdir of another run.
  """
  began = time.perf_counter()
  folder = pathlib.Path(workdir)
  # What can be wrong is found out before anything is written.
  space = cell.space(_OPERATIONS[settings.operations],
                     num_nodes=settings.num_nodes)
  strategy = make_strategy(space)
  data = _load(settings)
  parallel.local_devices(settings.num_devices)
  workdirs.claim(folder, experiment, dataclasses.asdict(settings))
  workdirs.use_compilation_cache(folder)
  evaluator = scratch.scratch(
      lambda genotype: child_network(genotype, settings, data),
      space.genotype, data, child_recipe(settings, data), seed=settings.seed,
      cache=folder / 'children.jsonl', execution=settings.execution,
      num_devices=settings.num_devices)
  runs = {'result': (folder, strategy)}
  if baseline:
    runs['random_search'] = (folder / 'random_search',
                             random_search.random_search(
                                 space, batch_size=settings.children_per_round))
  histories, results = {}, {}
  for name, (place, searcher) in runs.items():
    label = experiment if name == 'result' else 'random search'
    histories[name] = _search(place, searcher, evaluator, space, settings,
                              label)
  for name, (place, _) in runs.items():
    label = experiment if name == 'result' else 'random search'
    results[name] = _finish(place, histories[name], data, settings, label)
  summary = {
      'experiment': experiment, 'dataset': settings.dataset,
      'seed': settings.seed,
      'result': results['result'][0],
      'random_search': results.get('random_search', (None,))[0],
      'knn': {'test_accuracy': knn.knn_accuracy(data.train, data.test)},
      'search': _count(histories['result']),
      'cost': _cost(histories, results, time.perf_counter() - began),
      'hardware': workdirs.hardware(settings.num_devices),
      'versions': workdirs.versions(),
  }
  records.write_json(folder / 'summary.json', summary)
  path = report.write(folder)
  print(report.terminal_summary(summary, path), flush=True)
  return summary


def child_recipe(settings: Settings, data: image_data.ImageData
                 ) -> recipes.Recipe:
  """How children are trained."""
  return recipes.Recipe(
      epochs=settings.epochs, batch_size=settings.batch_size,
      learning_rate=settings.learning_rate,
      weight_decay=settings.weight_decay, patience=settings.patience,
      eval_batch_size=min(500, len(data.validation.labels)),
      **_augmentation(settings, data))


def final_recipe(settings: Settings, data: image_data.ImageData
                 ) -> recipes.Recipe:
  """How the chosen network is trained."""
  return recipes.Recipe(
      epochs=settings.final_epochs, batch_size=settings.final_batch_size,
      learning_rate=settings.final_learning_rate,
      weight_decay=settings.weight_decay,
      drop_path_keep=settings.final_drop_path_keep,
      auxiliary_weight=settings.final_auxiliary_weight,
      cutout_length=settings.final_cutout_length,
      eval_batch_size=min(500, len(data.validation.labels)),
      **_augmentation(settings, data))


def child_network(genotype, settings: Settings, data: image_data.ImageData):
  """The graph of a child."""
  return image.cifar_net(
      tuple(genotype), image_shape=data.train.images.shape[1:],
      num_classes=data.num_classes, num_cells=settings.num_cells,
      features=settings.features, num_reductions=settings.num_reductions)


def final_network(genotype, settings: Settings, data: image_data.ImageData,
                  style: ops.Style = ops.Style()):
  """The graph of the chosen network."""
  return image.cifar_net(
      tuple(genotype), image_shape=data.train.images.shape[1:],
      num_classes=data.num_classes, num_cells=settings.final_num_cells,
      features=settings.final_features,
      num_reductions=settings.num_reductions,
      auxiliary=settings.final_auxiliary_weight > 0,
      drop_path_keep=settings.final_drop_path_keep, style=style)


def _load(settings: Settings) -> image_data.ImageData:
  return image_data.load(
      settings.dataset, settings.data_dir,
      validation_fraction=settings.validation_fraction, seed=settings.seed,
      max_train=settings.max_train, image_size=settings.image_size)


def _augmentation(settings: Settings, data: image_data.ImageData):
  padding, flip = settings.crop_padding, settings.flip
  if padding is None:
    padding = data.train.images.shape[1] // 8
  if flip is None:
    flip = settings.dataset not in _NO_FLIP
  return {'crop_padding': padding, 'flip': flip}


def _search(folder, strategy, evaluator, space, settings, label):
  """The records of all children; resumes."""
  total = settings.num_children
  done = len(records.read(folder / 'history.jsonl'))
  best = -float('inf')
  board = progress.scalars(folder / 'tb' / 'search')
  with progress.progress(total, label, initial=done) as bar:
    def on_child(record):
      nonlocal best
      best = max(best, record['reward'])
      bar.update(best=best)
      board.write(record['child'], {
          'reward': record['reward'], 'best_reward': best,
          **{k: v for k, v in record['metrics'].items() if v is not None}})
    _, history = search.run(
        jax.random.key(settings.seed), strategy, evaluator,
        num_rounds=total // settings.children_per_round,
        genotype=space.genotype, workdir=folder, on_child=on_child)
  board.close()
  return history


def _finish(folder, history, data, settings, label):
  """Selects, retrains and tests; (result, seconds by phase)."""
  ranked = {}
  for record in sorted(history, key=lambda r: -r['reward']):
    ranked.setdefault(str(record['genotype']), record)
  finalists = list(ranked.values())[:settings.num_finalists]
  seconds = {'selection': 0., 'retrain': 0.}
  if len(finalists) > 1:
    scored = []
    for i, record in enumerate(finalists):
      trainer, state, spent = _train_final(
          folder / 'finalists' / f'{i:02d}', record, data, data.train, settings,
          f'{label}: finalist {i + 1}/{len(finalists)}')
      seconds['selection'] += spent
      scored.append((classify.evaluate(
          trainer, final_recipe(settings, data), state, data.validation), -i))
    accuracy, index = max(scored)
    chosen = finalists[-index]
  else:
    chosen, = finalists
    accuracy = chosen['metrics']['validation_accuracy']
  genotype = genotypes.from_json(chosen['genotype'])
  genotypes.save(folder / 'genotype.json', genotype)
  trainer, state, seconds['retrain'] = _train_final(
      folder, chosen, data, image_data.train_and_validation(data), settings,
      f'{label}: retraining')
  test = classify.evaluate(
      trainer, final_recipe(settings, data), state, data.test)
  return {
      'validation_accuracy': accuracy, 'test_accuracy': test,
      'test_error_percent': 100 * (1 - test),
      'num_test': len(data.test.labels),
      'num_params': sum(
          x.size for name, tree in state.params.items()
          if name != 'auxiliary' for x in jax.tree.leaves(tree)),
  }, seconds


def _train_final(folder, record, data, train, settings, label):
  """(trainer, state, seconds) of the chosen architecture; resumes."""
  recipe = final_recipe(settings, data)
  style = ops.Style(
      axis_name=parallel.BATCH_AXIS if settings.num_devices > 1 else None)
  trainer = classify.compile_trainer(
      final_network(genotypes.from_json(record['genotype']), settings, data,
                    style),
      recipe, classify.task_of(data), execution=settings.execution,
      num_devices=settings.num_devices)
  board = progress.scalars(folder / 'tb' / 'training')
  done = len(records.read(folder / 'training.jsonl'))
  with progress.progress(recipe.epochs, label, initial=done,
                         unit='epoch') as bar:
    def on_epoch(line):
      shown = {k: v for k, v in line.items()
               if k in ('loss', 'train_accuracy') and v is not None}
      bar.update(**shown)
      board.write(line['epoch'], shown)
    state, log = fit.fit(
        jax.random.fold_in(jax.random.key(settings.seed), 1), trainer, recipe,
        batches.to_device(train), seed=settings.seed, workdir=folder,
        on_epoch=on_epoch)
  board.close()
  if fit.diverged(log):
    logging.warning('%s diverged in epoch %d', label, log[-1]['epoch'])
  return trainer, state, trainer.compile_seconds + sum(
      line['seconds'] for line in log)


def _count(history):
  trained = {str(r['genotype']): r for r in history}
  best = max(history, key=lambda r: r['reward'])
  return {
      'num_children': len(history), 'num_trained': len(trained),
      'num_failed': sum(bool(r['metrics']['failed']) for r in history),
      'best_reward': best['reward'], 'best_child': best['child']}


def _cost(histories, results, wall):
  """Seconds; a child that both searches met is counted for the first."""
  cost, met = {}, set()
  for name, history in histories.items():
    prefix = '' if name == 'result' else f'{name}_'
    new = {str(r['genotype']): r for r in history
           if str(r['genotype']) not in met}
    met |= set(new)
    for part in ('compile', 'train'):
      cost[f'{prefix}{part}_seconds'] = sum(
          r['seconds'][part] for r in new.values())
    cost[f'{prefix}search_seconds'] = (
        cost[f'{prefix}compile_seconds'] + cost[f'{prefix}train_seconds'])
    for phase, value in results[name][1].items():
      cost[f'{prefix}{phase}_seconds'] = value
  return cost | {'wall_seconds': wall}
