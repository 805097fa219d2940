"""Runs a graph as many small programs, one per kind of node.

Compiling one program per architecture costs more than training a small child
for a few epochs on a CPU. The nodes of all architectures of a space are the
same few modules at a few shapes: compiled one by one they are shared by every
child, so that only the first children of a search compile anything
(benchmarks/child_training.py compares). The function computed is the one of
`graph.GraphNet`; here the chain rule is applied over the nodes by hand.
"""

from collections.abc import Callable
from concurrent import futures
import functools
import gc
import os
import threading
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import parallel
from nas_jax.networks import graph

Array = jax.Array
# Nodes from which on a graph is compiled in several threads. Children of a
# search are smaller, and compile in threads of their own.
_MANY = 80
Program = Callable[..., Any]


class Programs(NamedTuple):
  """The compiled programs of a graph, one of each per node."""
  net: graph.Graph
  # Forward; backward; backward without the gradients of the parameters, None
  # in a graph without gates.
  train: tuple[tuple[Program, Program, Program | None], ...]
  predict: tuple[Program | None, ...]  # None for the auxiliary classifier
  num_devices: int = 1


def compile_programs(
    net: graph.Graph, batch_size: int | None, eval_batch_size: int | None,
    num_devices: int = 1, batch_statistics: bool = False,
    running_statistics: bool = False) -> Programs:
  """Compiles what no network before has needed; safe in several threads.

  Args:
    net: the graph. On several devices, its norms must average statistics over
      `parallel.BATCH_AXIS`.
    batch_size: examples per training step; None if there are no such steps.
    eval_batch_size: examples per evaluation step; None likewise.
    num_devices: over which the batch of a training step is split. Evaluation
      runs on one.
    batch_statistics: whether norms use those of the batch in evaluation too,
      as where no running ones fit a part of a supernet.
    running_statistics: whether norms use the running ones in training steps
      too, and nothing is dropped: gradients of the network as it is evaluated.
  """
  train, predict = [], []
  for i, node in enumerate(net.nodes):
    kind = lambda name, size, drop=False, gated=False: _Kind(
        name, node.module, graph.input_shapes(net, node, size),
        tuple(j < 0 for j in node.inputs), drop,
        not any(node.inputs),  # Nothing but the image.
        gated, num_devices)
    if batch_size:
      train.append(kind(
          'frozen' if running_statistics else 'train',
          batch_size // num_devices, graph.drops(net, node), bool(net.gates)))
    if eval_batch_size:
      predict.append(None if i + 1 == net.auxiliary else kind(
          'batch' if batch_statistics else 'predict', eval_batch_size))
  if len(net.nodes) > _MANY:
    here = jax.config.jax_enable_x64, jax.config.jax_default_device
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      list(pool.map(
          functools.partial(_compiled_like, here),
          dict.fromkeys(kind for kind in train + predict if kind)))
  train, predict = ([kind and _compiled(kind) for kind in kinds]
                    for kinds in (train, predict))
  return Programs(net, tuple(train), tuple(predict), num_devices)


def forward(
    variables: graph.Variables, programs: Programs, images: Array, key: Array,
    progress: float, gates: dict[str, Array] | None = None,
) -> tuple[graph.Logits, dict[str, Any], list[Any]]:
  """Training pass.

  Args:
    variables: of the network, or of more nodes than it has.
    programs: of the network.
    images: float[B, H, W, C], of the shape compiled for.
    key: one key, for dropped paths.
    progress: fraction of the training done, in [0, 1].
    gates: name -> array, if the graph has any.

  Returns:
    Logits, new batch statistics, and one pullback per node for `backward`.
  """
  net, devices = programs.net, programs.num_devices
  chosen = graph.gate_values(net, gates)
  values, stats, pullbacks = [graph.cast(net, images)], {}, []
  if devices > 1:
    values[0] = _per_device(values[0], devices)
  for i, node in enumerate(net.nodes):
    keep = graph.keep_probability(net, node, progress)
    y, pullback, stats[node.name] = programs.train[i][0](
        variables.params[node.name], variables.batch_stats[node.name],
        _inputs(node, values, chosen), key, np.int32(i), np.float32(keep))
    values.append(y)
    pullbacks.append(pullback)
  auxiliary = values[net.auxiliary] if net.auxiliary else None
  logits = graph.Logits(values[-1], auxiliary)
  if devices > 1:
    logits = jax.tree.map(_joined, logits)
  return logits, stats, pullbacks


def backward(
    programs: Programs, pullbacks: list[Any], cotangents: graph.Logits,
    weights: bool = True,
) -> tuple[dict[str, Any], list[Array], dict[str, Array]]:
  """The chain rule over the nodes.

  Args:
    programs: of the network.
    pullbacks: of `forward`; used up.
    cotangents: of the logits of the whole batch.
    weights: False if only the gates are wanted.

  Returns:
    Gradients of all parameters by node, each node's sum of squares (both
    empty without `weights`), and the gradients of the gates by name.
  """
  net, devices = programs.net, programs.num_devices
  if devices > 1:
    cotangents = jax.tree.map(
        lambda x: _per_device(x, devices), cotangents)
  pending: dict[int, Array] = {len(net.nodes): cotangents.main}
  if net.auxiliary:
    pending[net.auxiliary] = cotangents.auxiliary
  grads, squares = {}, []
  for i, node in reversed(list(enumerate(net.nodes))):
    run = programs.train[i][1 if weights else 2]
    grad, inputs, square = run(pullbacks[i], pending.pop(i + 1))
    if weights:
      grads[node.name] = grad
      squares.append(square)
    pullbacks[i] = None  # Frees the memory early.
    for j, cotangent in zip(node.inputs, inputs):
      if j:
        pending[j] = _add(pending[j], cotangent) if j in pending else cotangent
  return grads, squares, {
      name: pending[-1 - i] if -1 - i in pending else jnp.zeros(shape)
      for i, (name, shape) in enumerate(net.gates)}


def predict(
    variables: graph.Variables, programs: Programs, images: Array,
    gates: dict[str, Array] | None = None) -> Array:
  """Logits float[B, K], without dropout."""
  chosen = graph.gate_values(programs.net, gates)
  values: list[Array | None] = [graph.cast(programs.net, images)]
  for i, node in enumerate(programs.net.nodes):
    run = programs.predict[i]
    values.append(run and run(
        variables.params[node.name], variables.batch_stats[node.name],
        _inputs(node, values, chosen)))
  return values[-1]


def forget() -> None:
  """Drops all compiled programs that nobody uses now.

  Those that are needed again are compiled again, or read from the cache on
  the disk.
  """
  with _lock:
    for key in [k for k, future in _cache.items() if future.done()]:
      del _cache[key]
  jax.clear_caches()
  gc.collect()


class _Kind(NamedTuple):
  """What a node's programs depend on."""
  # train; frozen: its gradients with running statistics; predict; batch: the
  # same with the batch's statistics.
  kind: str
  module: nn.Module
  inputs: tuple  # shapes, on one device
  gates: tuple[bool, ...]  # which inputs are gates: the same on all devices
  drop: bool  # whether drop path applies
  first: bool  # whether nobody needs the gradient of the input
  gated: bool  # whether a backward pass without parameters is wanted
  num_devices: int


_add = jax.jit(jnp.add)
_per_device = jax.jit(
    lambda x, devices: x.reshape(devices, -1, *x.shape[1:]),
    static_argnums=1)
_joined = jax.jit(lambda x: x.reshape(-1, *x.shape[2:]))
_cache: dict[Any, futures.Future] = {}
_lock = threading.Lock()


def _inputs(node, values, gates):
  return tuple(values[j] if j >= 0 else gates[-1 - j] for j in node.inputs)


def _compiled_like(here, kind: _Kind) -> Program:
  """As in a thread with these settings, which every thread has for itself."""
  x64, device = here
  with jax.enable_x64(x64), jax.default_device(device):
    return _compiled(kind)


def _compiled(kind: _Kind) -> Program:
  """Compiled by the first thread that asks, awaited by the others."""
  key = (kind, jax.config.jax_default_device)
  with _lock:
    future = _cache.get(key)
    mine = future is None
    if mine:
      future = _cache[key] = futures.Future()
  if mine:
    try:
      future.set_result(_compile(kind))
    except BaseException as e:
      future.set_exception(e)
      with _lock:
        del _cache[key]
  return future.result()


def _compile(kind: _Kind) -> Program:
  module, devices = kind.module, kind.num_devices
  key, i, keep = jax.eval_shape(
      lambda: (jax.random.key(0), jnp.int32(0), jnp.float32(0)))
  # Variables are at least as wide as the computation.
  variables = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
          x.shape, jnp.promote_types(x.dtype, kind.inputs[0].dtype)),
      graph.variable_shapes(module, kind.inputs))
  params = variables.get('params', {})
  stats = variables.get('batch_stats', {})
  if kind.kind in ('predict', 'batch'):
    # Only norms differ by whether they train; dropout is no norm's node.
    batch = kind.kind == 'batch' and bool(stats)

    def evaluate(params, stats, inputs):
      return module.apply(
          {'params': params, 'batch_stats': stats}, *inputs, batch,
          mutable=['batch_stats'], rngs={'dropout': jax.random.key(0)})[0]

    return jax.jit(
        parallel.as_on_one(evaluate) if batch and devices > 1 else evaluate
    ).lower(params, stats, kind.inputs).compile()
  total = functools.partial(parallel.total, several=devices > 1)

  # Filled in when `forward` is traced: the pullback's structure, and for each
  # of its residuals whether it is an argument or stored, and which.
  layout: dict[str, Any] = {}

  def forward(params, stats, inputs, key, i, keep):
    key = parallel.own_key(jax.random.fold_in(key, i), several=devices > 1)

    def apply(params, inputs):
      y, updates = module.apply(
          {'params': params, 'batch_stats': stats}, *inputs,
          kind.kind == 'train', mutable=['batch_stats'], rngs={'dropout': key})
      y = graph.drop_path(key, y, keep) if kind.drop else y
      return y, updates.get('batch_stats', {})

    if kind.first:  # Nobody needs the gradient with respect to the image.
      y, pullback, new = jax.vjp(
          lambda params: apply(params, inputs), params, has_aux=True)
    else:
      y, pullback, new = jax.vjp(apply, params, inputs, has_aux=True)
    residuals, layout['structure'] = jax.tree.flatten(pullback)
    stored, layout['places'] = _without_repetition(
        residuals, jax.tree.leaves((params, inputs)))
    return y, stored, new

  def backward(params, inputs, stored, cotangent):
    arguments = jax.tree.leaves((params, inputs))
    pullback = jax.tree.unflatten(layout['structure'], [
        (arguments if is_argument else stored)[place]
        for is_argument, place in layout['places']])
    params, *rest = pullback(cotangent)
    # Each device has the sum over its part of the batch.
    params = total(params)
    inputs = tuple(
        total(x) if is_gate else x
        for x, is_gate in zip(rest[0], kind.gates)) if rest else ()
    square = sum((jnp.sum(g * g) for g in jax.tree.leaves(params)),
                 start=jnp.float32(0))
    return params, inputs, square

  def backward_inputs(*args):
    return {}, backward(*args)[1], ()

  places = tuple(None if is_gate else 0 for is_gate in kind.gates)
  spread = functools.partial(parallel.program, num_devices=devices)
  forward, out = spread(
      forward, (params, stats, kind.inputs, key, i, keep),
      in_axes=(None, None, places, None, None, None), out_axes=(0, 0, None))
  y, stored, _ = out
  programs = [spread(
      fn, (params, kind.inputs, stored, y), in_axes=(None, places, 0, 0),
      out_axes=(None, places if not kind.first else None, None))[0]
              for fn in (backward, backward_inputs)[:1 + kind.gated]]

  def run(params, stats, inputs, key, i, keep):
    y, stored, stats = forward(params, stats, inputs, key, i, keep)
    return y, (params, inputs, stored), stats

  def unpacked(program):
    return lambda pullback, cotangent: program(*pullback, cotangent)

  return (run, *map(unpacked, programs), *([] if kind.gated else [None]))


def _without_repetition(residuals: list[Array], arguments: list[Array]
                        ) -> tuple[list[Array], list[tuple[bool, int]]]:
  """What of the residuals must be stored, and where each one is found.

  XLA copies a result that is an argument or another result.
  """
  of_argument = {id(x): i for i, x in enumerate(arguments)}
  stored, of_stored, places = [], {}, []
  for x in residuals:
    if id(x) in of_argument:
      places.append((True, of_argument[id(x)]))
      continue
    if id(x) not in of_stored:
      of_stored[id(x)] = len(stored)
      stored.append(x)
    places.append((False, of_stored[id(x)]))
  return stored, places
