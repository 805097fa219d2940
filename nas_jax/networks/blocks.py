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
import gc
import threading
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import graph

Array = jax.Array
Program = Callable[..., Any]


class Programs(NamedTuple):
  """The compiled programs of a graph, one of each per node."""
  net: graph.Graph
  train: tuple[tuple[Program, Program], ...]  # forward, backward
  predict: tuple[Program | None, ...]  # None for the auxiliary classifier


def compile_programs(
    net: graph.Graph, batch_size: int, eval_batch_size: int) -> Programs:
  """Compiles what no network before has needed; safe in several threads.

  Args:
    net: the graph.
    batch_size: examples per training step.
    eval_batch_size: examples per evaluation step.
  """
  train, predict = [], []
  for i, node in enumerate(net.nodes):
    first = not any(node.inputs)  # Nothing but the image.
    train.append(_compiled(
        'train', node.module, graph.input_shapes(net, node, batch_size),
        graph.drops(net, node), first))
    predict.append(None if i + 1 == net.auxiliary else _compiled(
        'predict', node.module,
        graph.input_shapes(net, node, eval_batch_size), False, first))
  return Programs(net, tuple(train), tuple(predict))


def forward(
    variables: graph.Variables, programs: Programs, images: Array, key: Array,
    progress: float,
) -> tuple[graph.Logits, dict[str, Any], list[Any]]:
  """Training pass.

  Args:
    variables: of the network.
    programs: of the network.
    images: float[B, H, W, C], of the shape compiled for.
    key: one key, for dropped paths.
    progress: fraction of the training done, in [0, 1].

  Returns:
    Logits, new batch statistics, and one pullback per node for `backward`.
  """
  net = programs.net
  values, stats, pullbacks = [graph.cast(net, images)], {}, []
  for i, node in enumerate(net.nodes):
    keep = graph.keep_probability(net, node, progress)
    y, pullback, stats[node.name] = programs.train[i][0](
        variables.params[node.name], variables.batch_stats[node.name],
        tuple(values[j] for j in node.inputs), key, np.int32(i),
        np.float32(keep))
    values.append(y)
    pullbacks.append(pullback)
  auxiliary = values[net.auxiliary] if net.auxiliary else None
  return graph.Logits(values[-1], auxiliary), stats, pullbacks


def backward(
    programs: Programs, pullbacks: list[Any], cotangents: graph.Logits
) -> tuple[dict[str, Any], list[Array]]:
  """The chain rule over the nodes.

  Returns:
    Gradients of all parameters by node, and each node's sum of squares.
  """
  net = programs.net
  pending: list[Array | None] = [None] * (len(net.nodes) + 1)
  pending[-1] = cotangents.main
  if net.auxiliary:
    pending[net.auxiliary] = cotangents.auxiliary
  grads, squares = {}, []
  for i, node in reversed(list(enumerate(net.nodes))):
    grads[node.name], inputs, square = programs.train[i][1](
        pullbacks[i], pending[i + 1])
    squares.append(square)
    pullbacks[i] = pending[i + 1] = None  # Frees the memory early.
    for j, cotangent in zip(node.inputs, inputs):
      if j:
        pending[j] = cotangent if pending[j] is None else _add(
            pending[j], cotangent)
  return grads, squares


def predict(
    variables: graph.Variables, programs: Programs, images: Array) -> Array:
  """Logits float[B, K] with running statistics."""
  values: list[Array | None] = [graph.cast(programs.net, images)]
  for i, node in enumerate(programs.net.nodes):
    run = programs.predict[i]
    values.append(run and run(
        variables.params[node.name], variables.batch_stats[node.name],
        tuple(values[j] for j in node.inputs)))
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


_add = jax.jit(jnp.add)
_cache: dict[Any, futures.Future] = {}
_lock = threading.Lock()


def _compiled(kind: str, module: nn.Module, inputs: tuple, drop: bool,
              first: bool) -> Program:
  """Compiled by the first thread that asks, awaited by the others."""
  key = (kind, module, inputs, drop, first, jax.config.jax_default_device)
  with _lock:
    future = _cache.get(key)
    mine = future is None
    if mine:
      future = _cache[key] = futures.Future()
  if mine:
    try:
      future.set_result(_compile(kind, module, inputs, drop, first))
    except BaseException as e:
      future.set_exception(e)
      with _lock:
        del _cache[key]
  return future.result()


def _compile(kind, module, inputs, drop, first) -> Program:
  key, i, keep = jax.eval_shape(
      lambda: (jax.random.key(0), jnp.int32(0), jnp.float32(0)))
  variables = graph.variable_shapes(module, inputs)
  params = variables.get('params', {})
  stats = variables.get('batch_stats', {})
  if kind == 'predict':
    return jax.jit(lambda params, stats, inputs: module.apply(
        {'params': params, 'batch_stats': stats}, *inputs, False)).lower(
            params, stats, inputs).compile()

  # Filled in when `forward` is traced: the pullback's structure, and for each
  # of its residuals whether it is an argument or stored, and which.
  layout: dict[str, Any] = {}

  def forward(params, stats, inputs, key, i, keep):
    key = jax.random.fold_in(key, i)

    def apply(params, inputs):
      y, updates = module.apply(
          {'params': params, 'batch_stats': stats}, *inputs, True,
          mutable=['batch_stats'], rngs={'dropout': key})
      y = graph.drop_path(key, y, keep) if drop else y
      return y, updates.get('batch_stats', {})

    if first:  # Nobody needs the gradient with respect to the image.
      y, pullback, stats = jax.vjp(
          lambda params: apply(params, inputs), params, has_aux=True)
    else:
      y, pullback, stats = jax.vjp(apply, params, inputs, has_aux=True)
    residuals, layout['structure'] = jax.tree.flatten(pullback)
    stored, layout['places'] = _without_repetition(
        residuals, jax.tree.leaves((params, inputs)))
    return y, stored, stats

  def backward(params, inputs, stored, cotangent):
    arguments = jax.tree.leaves((params, inputs))
    pullback = jax.tree.unflatten(layout['structure'], [
        (arguments if is_argument else stored)[place]
        for is_argument, place in layout['places']])
    params, *rest = pullback(cotangent)
    square = sum((jnp.sum(g * g) for g in jax.tree.leaves(params)),
                 start=jnp.float32(0))
    return params, rest[0] if rest else (), square

  lowered = jax.jit(forward).lower(params, stats, inputs, key, i, keep)
  y, stored, _ = lowered.out_info
  forward = lowered.compile()
  backward = jax.jit(backward).lower(params, inputs, stored, y).compile()

  def run(params, stats, inputs, key, i, keep):
    y, stored, stats = forward(params, stats, inputs, key, i, keep)
    return y, (params, inputs, stored), stats

  return run, lambda pullback, cotangent: backward(*pullback, cotangent)


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
