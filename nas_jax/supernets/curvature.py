"""Second derivatives of a search network's loss, node by node.

A Hessian-vector product is the gradient of <gradient, vector>. As the network
runs as programs of its nodes (networks/blocks.py), so does this: the reverse of
the backward pass goes forward through the graph, that of the forward pass
backward. Compiling the whole network differentiated twice takes a CPU too
long.
"""

from collections.abc import Callable
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.supernets import relax
from nas_jax.training import recipes
from nas_jax.training import steps

Array = jax.Array
Product = Callable[[relax.Alphas], relax.Alphas]


def hessian_product(
    net: graph.Graph,
    recipe: recipes.Recipe,
    task: steps.Task,
    gates_of: Callable[[relax.Alphas], dict[str, Array]],
    variables: graph.Variables,
    alphas: relax.Alphas,
    images: Array,
    labels: Array,
    key: Array,
) -> Product:
  """The exact Hessian in alpha of the training loss of one batch.

  Args:
    net: the search network, without auxiliary classifier and scheduled drop
      path. It runs on one device, also if it was made for several.
    recipe: settings of augmentation and loss.
    task: of the data.
    gates_of: alphas -> gates of `net`; jittable, and differentiable forward
      and in reverse.
    variables: of the network; norms use the statistics of the batch.
    alphas: where.
    images: uint8[B, H, W, C], B the batch size of the recipe.
    labels: int32[B].
    key: of augmentation and of what is dropped.

  Returns:
    From a vector like the alphas to the Hessian times it.

  Raises:
    ValueError: an auxiliary classifier, or no gates.
  """
  if net.auxiliary or not net.gates:
    raise ValueError('the Hessian in alpha is of a network with gates and '
                     'without auxiliary classifier, this one has '
                     f'{len(net.gates)} gates' + (
                         ' and one' if net.auxiliary else ''))
  net = _on_one_device(net)
  programs = blocks.compile_programs(net, recipe.batch_size, None)
  images, labels, key, loss_key = steps.shared_programs(recipe, task).prepare(
      images, labels, key)
  gates = jax.jit(gates_of)(alphas)
  chosen = graph.gate_values(net, gates)
  last = len(net.nodes)
  values = [graph.cast(net, images)]
  arguments, pulls = [], []  # Of each node.
  for i, node in enumerate(net.nodes):
    arguments.append((
        variables.params[node.name], variables.batch_stats[node.name],
        _inputs(node, values, chosen), key, np.int32(i)))
    forward, _, backward = programs.train[i]
    y, pullback, _ = forward(*arguments[-1], np.float32(1))
    values.append(y)
    pulls.append(functools.partial(backward, pullback))
  logits = values.pop()
  # How the loss changes with each value, and with the gates.
  slopes = {last: _head(recipe, logits, labels, loss_key)}
  of_gates = _backward(net, pulls, slopes)

  def of_graph(vector: dict[str, Array]) -> dict[str, Array]:
    """The Hessian in the gates times a vector."""
    directions = [vector[name] for name, _ in net.gates]
    tangents = [jnp.zeros_like(values[0])]
    bends: dict[int, Array] = {}
    for i, node in enumerate(net.nodes):
      found, tangent = _bend(
          node.module, *arguments[i], slopes[i + 1],
          _inputs(node, tangents, directions))
      tangents.append(tangent)
      _collect(bends, node, found)
    bends[last] = _bend_head(recipe, logits, labels, loss_key, tangents[-1])
    return _backward(net, pulls, bends)

  # There are few alphas: what makes gates of them is one program.
  @jax.jit
  def enter(vector):
    return jax.jvp(gates_of, (alphas,), (vector,))[1]

  @jax.jit
  def leave(of_graph, of_gates, vector):
    def pull(alphas):
      return jax.vjp(gates_of, alphas)[1](of_gates)[0]

    curved = jax.jvp(pull, (alphas,), (vector,))[1]
    return jax.tree.map(
        jnp.add, curved, jax.vjp(gates_of, alphas)[1](of_graph)[0])

  alphas = dict(alphas)

  def product(vector: relax.Alphas) -> relax.Alphas:
    vector = {name: jnp.asarray(vector[name], x.dtype)
              for name, x in alphas.items()}
    return leave(of_graph(enter(vector)), of_gates, vector)

  return product


def _on_one_device(net: graph.Graph) -> graph.Graph:
  """Norms do not ask other devices for their statistics."""
  def alone(module):
    style = getattr(module, 'style', None)
    return module if style is None or style.axis_name is None else (
        module.clone(style=dataclasses.replace(style, axis_name=None)))

  return net._replace(nodes=tuple(
      node._replace(module=alone(node.module)) for node in net.nodes))


def _inputs(node, values, gates):
  return tuple(values[j] if j >= 0 else gates[-1 - j] for j in node.inputs)


def _backward(net, pulls, slopes: dict[int, Array]) -> dict[str, Array]:
  """The chain rule.

  Args:
    net: the graph.
    pulls: of each node, slope of the output -> (..., slopes of inputs, ...).
    slopes: of values, to which those that come from later nodes are added; of
      gates from -1 downwards.

  Returns:
    Those of the gates.
  """
  for i, node in reversed(list(enumerate(net.nodes))):
    _collect(slopes, node, pulls[i](slopes[i + 1])[1])
  return {name: slopes.get(-1 - i, jnp.zeros(shape))
          for i, (name, shape) in enumerate(net.gates)}


def _collect(slopes, node, found) -> None:
  for j, slope in zip(node.inputs, found):
    if j:
      slopes[j] = slopes[j] + slope if j in slopes else slope


@functools.partial(jax.jit, static_argnums=0)
def _bend(module, params, stats, inputs, key, i, slope, tangents):
  """How <slopes of the inputs, tangents> changes.

  Returns:
    With each input; and with the slope, which is the tangent of the output.
  """
  def apply(inputs):
    return module.apply(
        {'params': params, 'batch_stats': stats}, *inputs, True,
        mutable=['batch_stats'],
        rngs={'dropout': jax.random.fold_in(key, i)})[0]

  def pull(inputs, slope):
    return jax.vjp(apply, inputs)[1](slope)[0]

  return jax.vjp(pull, inputs, slope)[1](tangents)


def _loss(recipe, logits, labels, key):
  return steps.objective(recipe, key)(graph.Logits(logits, None), labels)[0]


@functools.partial(jax.jit, static_argnums=0)
def _head(recipe, logits, labels, key):
  return jax.grad(_loss, 1)(recipe, logits, labels, key)


@functools.partial(jax.jit, static_argnums=0)
def _bend_head(recipe, logits, labels, key, tangent):
  return jax.vjp(lambda x: jax.grad(_loss, 1)(recipe, x, labels, key),
                 logits)[1](tangent)[0]
