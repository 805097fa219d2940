"""A network with a fixed architecture: a directed acyclic graph of modules.

The graph is static and hashable. `GraphNet` runs it as one Flax module, hence
as one XLA program; `blocks.py` runs the same nodes as separately compiled
programs that all networks share.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from nas_jax.networks import initializers
from nas_jax.networks import ops

Array = jax.Array


class Defaults(NamedTuple):
  """What a family of networks is built with unless told otherwise."""
  features: int | None  # None: the family has no such choice
  num_cells: int | None
  style: ops.Style = ops.Style()
  dropout_keep: float = 1.  # before the classifier
  image_shape: tuple[int, int, int] = (32, 32, 3)
  num_classes: int = 10


class Node(NamedTuple):
  """One module and where its inputs come from."""
  name: str  # of its parameters
  module: nn.Module  # called as module(*inputs, train)
  # Value 0 is the image, value 1 + i is node i, value -1 - i is gate i.
  inputs: tuple[int, ...]
  shape: tuple[int, ...]  # of its output, without the batch
  # How deep in the network, in (0, 1]: its output is dropped with probability
  # depth * progress * (1 - keep); 0 where nothing is dropped.
  depth: float = 0.


class Graph(NamedTuple):
  """A network: nodes in topological order."""
  image_shape: tuple[int, int, int]  # (H, W, C)
  nodes: tuple[Node, ...]
  auxiliary: int | None  # the value of the auxiliary classifier, if any
  drop_path_keep: float = 1.  # of the deepest path at the end of training
  initializer: str = 'fan_out'  # a key of `initializers.RULES`
  dtype: str | None = None  # of the computation; float32 if not set
  # Names and shapes of what chooses among the paths of a supernet: inputs
  # beside the image, without a batch.
  gates: tuple[tuple[str, tuple[int, ...]], ...] = ()


class Variables(NamedTuple):
  """Of a network: node name -> tree, {} for a node that has none."""
  params: dict[str, Any]
  batch_stats: dict[str, Any]


class Logits(NamedTuple):
  main: Array  # float[B, K]
  auxiliary: Array | None  # float[B, K] in training with an auxiliary head


class Value(NamedTuple):
  """What a builder knows of a value of the graph."""
  index: int
  shape: tuple[int, ...]  # (height, width, channels), or (classes,)

  @property
  def size(self) -> tuple[int, ...]:
    return self.shape[:-1]

  @property
  def channels(self) -> int:
    return self.shape[-1]


class Builder:
  """Collects nodes while tracking the shape of every value."""

  def __init__(self, image_shape: tuple[int, int, int],
               style: ops.Style = ops.Style()):
    self.image = Value(0, tuple(image_shape))
    self.style = style
    self.nodes: list[Node] = []
    self.gates: list[tuple[str, tuple[int, ...]]] = []

  def gate(self, name: str, shape: tuple[int, ...]) -> Value:
    """An input beside the image, see `Graph.gates`.

    Raises:
      ValueError: the name is taken.
    """
    if name in dict(self.gates):
      raise ValueError(f'two gates are called {name!r}')
    self.gates.append((name, shape))
    return Value(-len(self.gates), shape)

  def add(self, name: str, module: nn.Module, inputs: list[Value],
          shape: tuple[int, ...] | None = None, depth: float = 0.) -> Value:
    """Appends a node.

    Args:
      name: of its parameters, its own in the network.
      module: called as module(*inputs, train).
      inputs: values of this builder.
      shape: of its output without the batch; found by tracing if not given.
      depth: see `Node`.

    Raises:
      ValueError: the name is taken.
    """
    if any(node.name == name for node in self.nodes):
      raise ValueError(f'two nodes are called {name!r}')
    if shape is None:
      shape = _output_shape(module, tuple(
          v.shape if v.index < 0 else (1, *v.shape) for v in inputs))
    self.nodes.append(
        Node(name, module, tuple(v.index for v in inputs), shape, depth))
    return Value(len(self.nodes), shape)

  def sum(self, name: str, values: list[Value]) -> Value:
    """The sum of values of one shape."""
    return self.add(name, Sum(), values, values[0].shape)

  def concat(self, name: str, values: list[Value]) -> Value:
    """Values of one size, concatenated on the channels."""
    channels = sum(v.channels for v in values)
    return self.add(name, Concat(), values, (*values[0].size, channels))

  def finish(self, output: Value, auxiliary: Value | None = None,
             drop_path_keep: float = 1.) -> Graph:
    """The graph of what `output` and `auxiliary` read, `output` last."""
    needed = {output.index} | ({auxiliary.index} if auxiliary else set())
    for i in range(len(self.nodes), 0, -1):
      if i in needed:
        needed |= {j for j in self.nodes[i - 1].inputs if j >= 0}
    # The output is the last node, whatever was added after it.
    kept = [0] + sorted(needed - {0, output.index}) + [output.index]
    place = {old: new for new, old in enumerate(kept)}
    nodes = tuple(
        self.nodes[i - 1]._replace(
            inputs=tuple(place.get(j, j) for j in self.nodes[i - 1].inputs))
        for i in kept[1:])
    return Graph(self.image.shape, nodes,
                 place[auxiliary.index] if auxiliary else None, drop_path_keep,
                 self.style.initializer, self.style.dtype, tuple(self.gates))


class Sum(nn.Module):
  """Adds its inputs, each float[B, H, W, F]."""

  @nn.compact
  def __call__(self, *inputs_and_train) -> Array:
    *inputs, _ = inputs_and_train
    return sum(inputs[1:], start=inputs[0])


class Concat(nn.Module):
  """Concatenates its inputs on the channels."""

  @nn.compact
  def __call__(self, *inputs_and_train) -> Array:
    *inputs, _ = inputs_and_train
    return jnp.concatenate(inputs, -1)


class GraphNet(nn.Module):
  """The whole graph as one Flax module.

  Attributes:
    graph: what to run.
  """
  graph: Graph

  @nn.compact
  def __call__(
      self, images: Array, *, train: bool = False, progress: Array | float = 1.,
      drop_key: Array | None = None, gates: dict[str, Array] | None = None,
  ) -> Logits:
    """Classifies images.

    Args:
      images: float[B, H, W, C], normalised.
      train: batch statistics, dropped paths and the auxiliary head.
      progress: fraction of the training done, in [0, 1]; scales drop path.
      drop_key: one key; without it no path is dropped.
      gates: name -> array, if the graph has any.

    Returns:
      `Logits`.
    """
    values = [cast(self.graph, images)]
    chosen = gate_values(self.graph, gates)
    for i, node in enumerate(self.graph.nodes):
      if i + 1 == self.graph.auxiliary and not (
          train or self.is_initializing()):
        values.append(None)
        continue
      module = node.module.clone(parent=self, name=node.name)
      y = module(
          *(values[j] if j >= 0 else chosen[-1 - j] for j in node.inputs),
          train)
      if train and drop_key is not None and drops(self.graph, node):
        y = drop_path(jax.random.fold_in(drop_key, i), y,
                      keep_probability(self.graph, node, progress))
      values.append(y)
    auxiliary = values[self.graph.auxiliary] if (
        train and self.graph.auxiliary) else None
    return Logits(values[-1], auxiliary)


def init(key: Array, net: Graph) -> Variables:
  """Initial variables of a network, drawn on the host (`initializers.draw`).

  Args:
    key: one key.
    net: the graph.
  """
  return _by_collection({
      node.name: initializers.draw(
          key, i, _shapes_of(net, node), net.initializer)
      for i, node in enumerate(net.nodes)})


def shapes(net: Graph) -> Variables:
  """Of what `init` returns, without drawing it."""
  return _by_collection({
      node.name: _shapes_of(net, node) for node in net.nodes})


def averaged_over(net: Graph, axis_name: str) -> Graph:
  """The network with batch statistics that are averaged over an axis."""
  def averaged(module):
    style = getattr(module, 'style', None)
    return module if style is None else module.clone(
        style=dataclasses.replace(style, axis_name=axis_name))

  return net._replace(nodes=tuple(
      node._replace(module=averaged(node.module)) for node in net.nodes))


def cast(net: Graph, images: Array) -> Array:
  """Images in the type that the network computes in."""
  return images.astype(net.dtype) if net.dtype else images


def gate_values(net: Graph, gates: dict[str, Array] | None) -> list[Array]:
  """The gates in the order of the graph.

  Raises:
    ValueError: one is missing, unknown, or of another shape.
  """
  found = {name: tuple(x.shape) for name, x in (gates or {}).items()}
  if found != dict(net.gates):
    raise ValueError(f'the gates have shapes {found}, this graph takes '
                     f'{dict(net.gates)}')
  return [gates[name] for name, _ in net.gates]


def input_shapes(net: Graph, node: Node, batch_size: int
                 ) -> tuple[jax.ShapeDtypeStruct, ...]:
  """What a node reads for a batch of images."""
  def shape(i):
    if i < 0:
      return net.gates[-1 - i][1]
    return (batch_size, *(net.nodes[i - 1].shape if i else net.image_shape))

  dtype = net.dtype or jnp.float32
  return tuple(
      jax.ShapeDtypeStruct(shape(i), dtype if i >= 0 else jnp.promote_types(
          dtype, jnp.float32)) for i in node.inputs)


def num_params(net: Graph, auxiliary: bool = False) -> int:
  """Trainable numbers, without those of the auxiliary classifier.

  Args:
    net: the network.
    auxiliary: count the auxiliary classifier too.
  """
  skipped = net.nodes[net.auxiliary - 1].name if (
      net.auxiliary and not auxiliary) else None
  return sum(math.prod(x.shape) for name, tree in shapes(net).params.items()
             if name != skipped for x in jax.tree.leaves(tree))


@functools.lru_cache(maxsize=None)
def variable_shapes(module: nn.Module, inputs: tuple) -> dict[str, Any]:
  """The variables of a module for inputs of these shapes.

  They are the same in training and evaluation; the latter traces faster.
  """
  with initializers.nothing_drawn():
    return jax.eval_shape(
        lambda key, inputs: module.init(
            {'params': key, 'dropout': key}, *inputs, False),
        jax.random.key(0), inputs)


@functools.lru_cache(maxsize=None)
def _output_shape(module: nn.Module, inputs: tuple) -> tuple[int, ...]:
  """Of a module, without the batch; the inputs have one."""
  with initializers.nothing_drawn():
    found, _ = jax.eval_shape(
        lambda key, inputs: module.init_with_output(
            {'params': key, 'dropout': key}, *inputs, False),
        jax.random.key(0),
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs])
  return tuple(found.shape[1:])


def drops(graph: Graph, node: Node) -> bool:
  """Whether drop path applies to this node's output."""
  return node.depth > 0 and graph.drop_path_keep < 1


def keep_probability(graph: Graph, node: Node, progress: Array | float):
  """ScheduledDropPath: linear in depth and in time (1707.07012, A.7)."""
  return 1. - progress * node.depth * (1. - graph.drop_path_keep)


def drop_path(key: Array, x: Array, keep: Array | float) -> Array:
  """Zeroes whole examples of a path, scales the rest by 1 / keep.

  Args:
    key: one key.
    x: float[B, H, W, C].
    keep: probability to keep, in (0, 1].

  Reference: Larsson et al., FractalNet, arXiv 1605.07648, sec. 3.
  """
  mask = jax.random.bernoulli(key, keep, (x.shape[0], 1, 1, 1))
  return jnp.where(mask, x / keep, 0.).astype(x.dtype)


def _shapes_of(net: Graph, node: Node) -> dict[str, Any]:
  """The variables of a node; they do not depend on the batch."""
  return variable_shapes(node.module, input_shapes(net, node, 1))


def _by_collection(trees: dict[str, dict[str, Any]]) -> Variables:
  """From node name -> collection -> tree."""
  return Variables(*({name: tree.get(collection, {})
                      for name, tree in trees.items()}
                     for collection in ('params', 'batch_stats')))
