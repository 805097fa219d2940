"""Architectures that share weights, trained one sub-network at a time.

A family is a space whose architectures are graphs with common node names: the
name says which weights a node uses. A step runs the chosen paths alone
(networks/blocks.py), so the weights of others have no gradient, and nothing
is compiled for an architecture that another one did not need.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import base
from nas_jax import checks
from nas_jax import memory
from nas_jax import parallel
from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.training import classify
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

Array = jax.Array
DECAYS = ('used', 'all')
STATISTICS = ('batch', 'running')
_MOST_NETWORKS = 2048  # kept as lists of programs, which they share
_CHUNK = 8  # nodes that are not used, updated in one call


class Family(NamedTuple):
  """A space whose architectures share weights."""
  space: base.Space
  # The sub-network; equal node names mean equal weights, hence equal modules
  # and shapes of inputs. Nodes without variables may be called anything.
  build: Callable[[base.Genotype], graph.Graph]
  # Has every node with variables of every sub-network, see `union`; its
  # output means nothing.
  full: graph.Graph


class Weights(NamedTuple):
  """Shared weights and what is done with them.

  Attributes:
    init: key -> TrainState of the whole family, by node.
    step: (state, genotypes, images uint8[B, H, W, C], labels int32[B], key,
      pace) -> (state, Metrics). The batch is split into as many equal parts
      as there are genotypes, each part trains its own sub-network with its
      own batch statistics, the gradients are averaged, there is one update.
    score: (state, genotype, images uint8[B, H, W, C], labels int32[B]) ->
      (accuracy, mean cross-entropy), floats, of one batch.
    logits: (state, genotype, images uint8[B, H, W, C]) -> float[B, K].
  """
  init: Callable[[base.Key], steps.TrainState]
  step: Callable[..., tuple[steps.TrainState, steps.Metrics]]
  score: Callable[..., tuple[float, float]]
  logits: Callable[..., Array] | None = None


def make(
    family: Family,
    recipe: recipes.Recipe,
    task: steps.Task,
    *,
    decay: str = 'used',
    statistics: str = 'batch',
    same_batch: bool = False,
    num_devices: int = 1,
) -> Weights:
  """Training and scoring of shared weights.

  Args:
    family: what shares them.
    recipe: of the steps; batches may have any size.
    task: of the data set.
    decay: 'used': what a step does not use stays as it is, momentum included.
      'all': the L2 penalty is of all weights and every momentum goes on, as
      in the public codes of ENAS and NAO. With `recipe.decay_in_loss` the
      penalty of a part of the batch is of what it uses.
    statistics: of norms when scoring: those of the 'batch', or the 'running'
      ones, which fit no sub-network exactly.
    same_batch: whether every sub-network of a step trains on the whole batch,
      augmented alike, and the gradients are added up (FairNAS).
    num_devices: over which each part of a batch is split, with norms over the
      whole part. Scoring runs on one device.

  Raises:
    ValueError: an unknown choice, a recipe with parts of its own; when called,
      a batch that does not split, a sub-network with nodes that are not in
      `family.full`, or an auxiliary classifier without a weight or the other
      way round.
  """
  checks.one_of('decay', decay, DECAYS)
  checks.one_of('statistics', statistics, STATISTICS)
  if recipe.accumulate != 1:
    raise ValueError(f'accumulate is {recipe.accumulate}, but the parts of a '
                     'batch are those of the genotypes')
  if num_devices > 1:
    parallel.local_devices(num_devices)
    family = _on_devices(family)
  common = steps.shared_programs(recipe, task)
  combine, rest = _combine(recipe), _idle(recipe)
  shapes = graph.shapes(family.full)
  networks = _Networks(family, recipe, num_devices, statistics == 'batch')

  def part(state, genotype, images, labels, key, pace):
    """Gradients of one sub-network, its statistics, its metrics."""
    programs = networks.get(genotype, len(labels), train=True)
    images, labels, drop_key, loss_key = common.prepare(images, labels, key)
    logits, stats, pullbacks = blocks.forward(
        _variables(programs.net, state.params, state.batch_stats), programs,
        images, drop_key, float(pace.progress))
    (loss, accuracy), cotangents = common.head(logits, labels, loss_key)
    grads, squares, _ = blocks.backward(programs, pullbacks, cotangents)
    return grads, squares, {name: tree for name, tree in stats.items() if tree
                            }, steps.Metrics(loss, accuracy)

  def step(state, genotypes, images, labels, key, pace):
    count = 1 if same_batch else len(genotypes)
    if not genotypes or len(labels) % count:
      raise ValueError(f'a batch of {len(labels)} does not split into parts '
                       f'for {count} genotypes')
    found, collected, squares = {}, [], []
    if len(labels) // count % num_devices:
      raise ValueError(f'a part of {len(labels) // count} images does not '
                       f'split over {num_devices} devices')
    parts = [(images, labels)] * len(genotypes) if count == 1 else zip(*(
        steps.pieces(z, count) for z in (images, labels)))
    for i, (genotype, (x, y)) in enumerate(zip(genotypes, parts)):
      grads, squares, stats, metrics = part(
          state, genotype, x, y, jax.random.fold_in(key, i) if count > 1
          else key, pace)
      state = state._replace(batch_stats=state.batch_stats | stats)
      collected.append(metrics)
      for name, grad in grads.items():
        if grad:
          found.setdefault(name, []).append(grad)
    idle = [] if decay == 'used' else list(_chunks(shapes.params, found))
    if len(genotypes) > 1 or recipe.decay_in_loss:
      share = lambda grads: (
          len(grads) / count if decay == 'used' and not same_batch else 1.)
      pairs = {name: combine(state.params[name], grads, *map(
          np.float32, (count, share(grads)))) for name, grads in found.items()}
      grads = {name: grad for name, (grad, _) in pairs.items()}
      squares = [square for _, square in pairs.values()]
    else:
      grads = {name: grad for name, (grad,) in found.items()}
    for chunk in idle:
      squares += rest.squares([state.params[n] for n in chunk])[
          :len(dict.fromkeys(chunk))]
    norm = steps.global_norm(squares)
    params, optimizer = dict(state.params), dict(state.optimizer)
    for chunk in idle:
      moved = rest.update([params[n] for n in chunk],
                          [optimizer[n] for n in chunk], norm, pace)
      for name, (new, kept) in zip(chunk, moved):
        params[name], optimizer[name] = new, kept
    for name, grad in grads.items():
      params[name], optimizer[name] = common.update(
          params[name], grad, optimizer[name], norm, pace)
    return steps.TrainState(
        params, state.batch_stats, optimizer), steps.mean_metrics(collected)

  def logits(state, genotype, images):
    programs = networks.get(genotype, len(images), train=False)
    net = programs.net
    params = {node.name: optimizers.averaged(
        recipe, state.params[node.name], state.optimizer[node.name])
              for node in net.nodes if node.name in state.params}
    variables = _variables(net, params, state.batch_stats)
    if num_devices > 1:
      variables = parallel.first_copy(variables)
    return blocks.predict(variables, programs, common.normalise(images))

  def score(state, genotype, images, labels):
    return tuple(float(x) for x in _measure(
        logits(state, genotype, images), labels))

  return Weights(
      lambda key: steps.start(family.full, recipe, key), step, score, logits)


def trainer(
    weights: Weights,
    choose: Callable[[base.Key, float], Sequence[base.Genotype]],
) -> classify.Trainer:
  """Shared weights as what `classify.train_epoch` and `fit.fit` train.

  Args:
    weights: of a family.
    choose: (key, progress in [0, 1]) -> the genotypes of a step.

  Returns:
    A trainer that cannot predict: which sub-network should?
  """
  def step(state, images, labels, key, rate, progress, decay=np.float32(0)):
    choose_key, step_key = jax.random.split(key)
    return weights.step(
        state, choose(choose_key, float(progress)), images, labels, step_key,
        optimizers.Pace(rate, progress, decay))

  return classify.Trainer(weights.init, step, None, 0.)


def union(nets: Sequence[graph.Graph]) -> graph.Graph:
  """A graph with the nodes of all, each name once: `Family.full`.

  Args:
    nets: of one space; a few that together use every node are enough.

  Raises:
    ValueError: a name means another module or other inputs elsewhere.
  """
  nodes: list[graph.Node] = []
  place: dict[str, int] = {}
  known: dict[str, tuple] = {}
  for net in nets:
    for node in net.nodes:
      found = _described(net, node)
      if node.name not in place:
        nodes.append(node._replace(inputs=tuple(
            place[net.nodes[i - 1].name] if i > 0 else i
            for i in node.inputs)))
        place[node.name], known[node.name] = len(nodes), found
      elif known[node.name] != found and _has_variables(net, node):
        raise ValueError(f'node {node.name!r} is {known[node.name]} in one '
                         f'sub-network and {found} in another')
  return nets[0]._replace(nodes=tuple(nodes), auxiliary=None)


def _on_devices(family: Family) -> Family:
  over = lambda net: graph.averaged_over(net, parallel.BATCH_AXIS)
  return family._replace(
      build=lambda genotype: over(family.build(genotype)),
      full=over(family.full))


class _Networks:
  """The sub-networks met last, as lists of programs."""

  def __init__(self, family, recipe, num_devices, batch_statistics):
    self._build = family.build
    self._full = {node.name: _described(family.full, node)
                  for node in family.full.nodes}
    self._auxiliary = recipe.auxiliary_weight
    self._num_devices = num_devices
    self._batch_statistics = batch_statistics
    # The device is a part of what was compiled.
    self._known = functools.lru_cache(_MOST_NETWORKS)(self._compile)

  def get(self, genotype, size: int, train: bool) -> blocks.Programs:
    return self._known(genotype, size, train, jax.config.jax_default_device)

  def _compile(self, genotype, size, train, device):
    del device
    if memory.nearly_all_mapped():
      self._known.cache_clear()
      blocks.forget()
    net = self._build(genotype)
    if bool(net.auxiliary) != (self._auxiliary > 0):
      raise ValueError(
          f'auxiliary_weight is {self._auxiliary}, but the sub-network has '
          f'{"an" if net.auxiliary else "no"} auxiliary classifier')
    for node in net.nodes:
      found = _described(net, node)
      if self._full.get(node.name) != found and _has_variables(net, node):
        raise ValueError(
            f'node {node.name!r} of a sub-network is {found}, but '
            f'{self._full.get(node.name, "missing")} in the whole family')
    return blocks.compile_programs(
        net, size if train else None, None if train else size,
        self._num_devices, self._batch_statistics)


class _Idle(NamedTuple):
  """What becomes of nodes without a gradient, several at a time."""
  squares: Callable[..., list[Array]]
  update: Callable[..., list[Any]]


@functools.lru_cache
def _idle(recipe) -> _Idle:
  def gradient(params):
    return optimizers.penalised(
        recipe, params, jax.tree.map(jnp.zeros_like, params))

  def squares(trees):
    return [optimizers.squares(gradient(p)) for p in trees]

  def update(trees, states, norm, pace):
    return [optimizers.update(recipe, p, gradient(p), o, norm, pace)
            for p, o in zip(trees, states)]

  return _Idle(jax.jit(squares), jax.jit(update))


def _chunks(shapes: dict[str, Any], used: Collection[str]
            ) -> Iterator[list[str]]:
  """Names of nodes that are not used, those of one chunk with equal shapes.

  A chunk that is not full repeats its last name, so that all compile once.
  """
  alike: dict[Any, list[str]] = {}
  for name, tree in shapes.items():
    if tree and name not in used:
      leaves, structure = jax.tree.flatten(tree)
      alike.setdefault((structure, tuple(
          (x.shape, str(x.dtype)) for x in leaves)), []).append(name)
  for names in alike.values():
    for i in range(0, len(names), _CHUNK):
      chunk = names[i:i + _CHUNK]
      yield chunk + chunk[-1:] * (_CHUNK - len(chunk))


@functools.lru_cache
def _combine(recipe):
  """(parameters, gradients of parts, parts, share) -> (gradient, its square).

  The share is that of the parts whose penalty is of these parameters.
  """
  def combine(params, grads, count, share):
    total = jax.tree.map(
        lambda p, *g: sum(g, start=jnp.zeros_like(p)) / count, params, *grads)
    total = optimizers.penalised(
        recipe, jax.tree.map(lambda p: share * p, params), total)
    return total, optimizers.squares(total)

  return jax.jit(combine)


@jax.jit
def _measure(logits, labels):
  logits = logits.astype(jnp.float32)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  return jnp.mean(jnp.argmax(logits, -1) == labels), jnp.mean(losses)


def _variables(net: graph.Graph, params: dict[str, Any],
               batch_stats: dict[str, Any]) -> graph.Variables:
  """Of one sub-network; {} for nodes that the family need not know."""
  return graph.Variables(*(
      {node.name: tree.get(node.name, {}) for node in net.nodes}
      for tree in (params, batch_stats)))


def _described(net: graph.Graph, node: graph.Node) -> tuple:
  """The module and the shapes of its inputs, without the batch."""
  return node.module, tuple(
      net.nodes[i - 1].shape if i > 0 else (
          net.gates[-1 - i][1] if i else net.image_shape)
      for i in node.inputs)


def _has_variables(net: graph.Graph, node: graph.Node) -> bool:
  return bool(graph.variable_shapes(
      node.module, graph.input_shapes(net, node, 1)))
