"""What a network costs: parameters, multiply-adds, memory of a training step.

Operations are counted in the jaxpr of the evaluation forward pass, so that
whatever a module calls is counted, whoever wrote it.
"""

from collections.abc import Callable, Iterator
import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax import ad_checkpoint
from jax.extend import core
import jax.numpy as jnp

from nas_jax.networks import block
from nas_jax.networks import graph
from nas_jax.networks import language
from nas_jax.networks import norm
from nas_jax.networks import separable
from nas_jax.spaces import block_code

_NORMS = (nn.BatchNorm, norm.BatchNorm)
_MARK = 'batch_norm'


class Operations(NamedTuple):
  """Of one call of a function."""
  conv_macs: int  # multiply-adds of convolutions, padding counted as pixels
  linear_macs: int  # multiply-adds of matrix products of vectors
  norm_elements: int  # outputs of batch norms
  relu_elements: int  # outputs of ReLUs


class Cost(NamedTuple):
  """Of a network; the auxiliary classifier counts only where it is named."""
  params: int
  auxiliary_params: int
  batch_stats: int  # floats of running statistics
  conv_macs: int
  linear_macs: int
  norm_elements: int
  relu_elements: int

  @property
  def macs(self) -> int:
    """Multiply-adds of convolutions and linear layers."""
    return self.conv_macs + self.linear_macs

  @property
  def macs_with_norm(self) -> int:
    """Two more per output of a batch norm and one per output of a ReLU.

    The published 557M of P-DARTS, 586M and 597M of PC-DARTS count so.
    """
    return self.macs + 2 * self.norm_elements + self.relu_elements


class Memory(NamedTuple):
  """Bytes of one device while a program runs."""
  arguments: int
  outputs: int
  temporaries: int
  aliased: int  # of the outputs, written over arguments
  code: int

  @property
  def total(self) -> int:
    return (self.arguments + self.outputs + self.temporaries - self.aliased
            + self.code)


def count(net: graph.Graph) -> Cost:
  """Parameters, and multiply-adds of one image in evaluation mode.

  The auxiliary classifier does not run. Separable convolutions count as a
  depthwise and a pointwise convolution, however they are lowered.

  Args:
    net: the network; nothing is computed.

  Raises:
    ValueError: see `count_function`.
  """
  return functools.reduce(_add, (cost for _, cost in by_node(net)),
                          Cost(*[0] * len(Cost._fields)))


def by_node(net: graph.Graph) -> list[tuple[graph.Node, Cost]]:
  """The parts of `count`, in the order of the graph."""
  main = _main(net)
  found = []
  for i, node in enumerate(net.nodes):
    inputs = graph.input_shapes(net, node, 1)
    params, stats = _sizes(node.module, inputs)
    if i in main:
      operations = _count_module(node.module, inputs)
      found.append((node, Cost(params, 0, stats, *operations)))
    else:
      found.append((node, Cost(0, params, 0, 0, 0, 0, 0)))
  return found


def by_layer(model: language.Model
             ) -> list[tuple[str, tuple[int, ...], Cost]]:
  """(name, shape of the output, cost) of each part of a language model.

  Multiply-adds are those of one token: every matrix of a cell is multiplied
  once in a step, and to look a token up in the embedding costs none.
  """
  sizes = model.sizes
  params = jax.eval_shape(model.init, jax.random.key(0))
  layers = [jax.tree.leaves(layer) for layer in params['layers']]
  size = lambda leaves: sum(math.prod(leaf.shape) for leaf in leaves)
  found = [('embedding', (sizes.embedding,), size([params['embedding']]), 0)]
  for i, (leaves, (_, units)) in enumerate(zip(layers, sizes.layers()), 1):
    found.append((f'layer {i}', (units,), size(leaves),
                  size(leaf for leaf in leaves if leaf.ndim == 2)))
  own = size(params[k] for k in ('decoder', 'bias') if k in params)
  found.append(('decoder', (sizes.vocabulary,), own,
                sizes.vocabulary * sizes.layers()[-1][1]))
  return [(name, shape, Cost(count, 0, 0, 0, macs, 0, 0))
          for name, shape, count, macs in found]


def block_multiply_adds(
    code: block_code.Code, features: int, image_size: int, *,
    widen: bool = False,
) -> int:
  """The FLOPs of BlockQNN's reward: one block, n_in k^2 n_out m^2 by layer.

  Args:
    code: a block, see block_code.py.
    features: F, the channels of its input and of its convolutions.
    image_size: m, the height and width of its images.
    widen: whether concatenations keep all channels; otherwise the 1x1
      convolutions that bring back F count, see `block.add_block`.

  Raises:
    ValueError: a code that describes no block, or no features or pixels.

  Note: a block without convolutions has no multiply-adds, and the logarithm of
  0 would make it the best of all. Here no block has fewer than its m m F
  values.

  References: Zhong et al., arXiv 1708.05552; the count by layers is that of He
    and Sun, Convolutional neural networks at constrained time cost.
  """
  for name, value in (('features', features), ('image_size', image_size)):
    if value < 1:
      raise ValueError(f'{name} is {value}, expected at least 1')
  builder = graph.Builder((image_size, image_size, features))
  output = block.add_block(
      builder, builder.image, code, features, 'block', builder.style, widen)
  found = count(builder.finish(output)).macs if output.index else 0
  return max(found, image_size**2 * features)


def count_function(function: Callable[..., Any], *args: Any) -> Operations:
  """What a function does, from its jaxpr.

  A matrix product counts as a convolution if an operand has the four axes of
  images, otherwise as linear. A loop counts as often as it runs, of branches
  the one with most multiply-adds.

  Args:
    function: whatever JAX can trace.
    *args: arrays or their shapes (`jax.ShapeDtypeStruct`).

  Raises:
    ValueError: a loop of unknown length around something that counts.
  """
  with nn.intercept_methods(_mark_norm), separable.forced('grouped'):
    closed = jax.make_jaxpr(function)(*args)
  return _count_jaxpr(closed.jaxpr)


def peak_memory(step: jax.stages.Lowered | jax.stages.Compiled) -> Memory:
  """Memory of a compiled program, before it runs.

  `classify.lower_step` gives the training step of a network.

  Args:
    step: compiled here if it is only lowered.

  Raises:
    ValueError: the backend does not tell.
  """
  if isinstance(step, jax.stages.Lowered):
    step = step.compile()
  found = step.memory_analysis()
  if found is None:
    raise ValueError(
        f'the backend {jax.default_backend()!r} does not tell the memory of a '
        'program; estimate_memory needs no backend')
  return Memory(
      found.argument_size_in_bytes, found.output_size_in_bytes,
      found.temp_size_in_bytes, found.alias_size_in_bytes,
      found.generated_code_size_in_bytes)


def estimate_memory(net: graph.Graph, batch_size: int) -> Memory:
  """Memory of a training step with momentum, without compiling it.

  Temporaries are the gradients and all that JAX saves for the backward pass.

  Note: XLA computes part of it anew instead. Compiled for a CPU, steps of
  small NASNet and DARTS networks took 0.6 of this estimate.

  Args:
    net: the network.
    batch_size: B.
  """
  saved, total = set(), 0
  for node in net.nodes:
    inner, inputs = _saved(
        node.module, graph.input_shapes(net, node, batch_size))
    total += inner
    # Gates, below 0, are small.
    saved |= {i for i, kept in zip(node.inputs, inputs) if kept and i >= 0}
  total += sum(
      batch_size * math.prod(net.nodes[i - 1].shape if i else net.image_shape)
      * jnp.dtype(net.dtype or jnp.float32).itemsize for i in saved)
  params, stats = (sum(map(_bytes, jax.tree.leaves(tree)))
                   for tree in graph.shapes(net))
  state = 2 * params + stats
  images = batch_size * (math.prod(net.image_shape) + 4)
  return Memory(state + images, state, params + total, state, 0)


def _count_jaxpr(jaxpr: core.Jaxpr) -> Operations:
  return functools.reduce(
      _add, map(_count_equation, jaxpr.eqns), Operations(0, 0, 0, 0))


def _count_equation(eqn: core.JaxprEqn) -> Operations:
  name, params = eqn.primitive.name, eqn.params
  nothing = Operations(0, 0, 0, 0)
  if name == 'conv_general_dilated':
    kernel = eqn.invars[1].aval.shape
    features = kernel[params['dimension_numbers'].rhs_spec[0]]
    return nothing._replace(
        conv_macs=_size(eqn.outvars[0]) * math.prod(kernel) // features)
  if name == 'dot_general':
    left, right = (v.aval.shape for v in eqn.invars)
    (contracted, _), _ = params['dimension_numbers']
    macs = _size(eqn.outvars[0]) * math.prod(left[i] for i in contracted)
    images = max(len(left), len(right)) >= 4
    return nothing._replace(
        **{'conv_macs' if images else 'linear_macs': macs})
  if name == 'name' and params['name'] == _MARK:
    return nothing._replace(norm_elements=_size(eqn.outvars[0]))
  if name == 'max' and any(
      isinstance(v, core.Literal) and v.val == 0 for v in eqn.invars):
    return nothing._replace(relu_elements=_size(eqn.outvars[0]))
  inner = [_count_jaxpr(jaxpr) for jaxpr in _jaxprs(params)]
  if name == 'cond':
    return max(inner, key=lambda found: found.conv_macs + found.linear_macs)
  total = functools.reduce(_add, inner, nothing)
  if name == 'while' and any(total):
    raise ValueError('a while loop of unknown length cannot be counted: '
                     'write it as lax.scan, or lax.fori_loop between integers')
  times = params['length'] if name == 'scan' else 1
  return Operations(*(times * n for n in total))


def _jaxprs(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
  """What an equation calls."""
  for value in params.values():
    for part in value if isinstance(value, (tuple, list)) else [value]:
      if isinstance(part, core.ClosedJaxpr):
        yield part.jaxpr
      elif isinstance(part, core.Jaxpr):
        yield part


def _mark_norm(call, args, kwargs, context):
  """Names the output of a batch norm in the jaxpr."""
  y = call(*args, **kwargs)
  if (isinstance(context.module, _NORMS)
      and context.method_name == '__call__'):
    y = ad_checkpoint.checkpoint_name(y, _MARK)
  return y


@functools.lru_cache(maxsize=None)
def _count_module(module: nn.Module, inputs: tuple) -> Operations:
  """Of a node; networks repeat few kinds of node."""
  return count_function(
      lambda variables, xs: module.apply(variables, *xs, False),
      graph.variable_shapes(module, inputs), inputs)


@functools.lru_cache(maxsize=None)
def _sizes(module: nn.Module, inputs: tuple) -> tuple[int, int]:
  """Parameters and floats of running statistics of a node."""
  variables = graph.variable_shapes(module, inputs)
  return tuple(
      sum(x.size for x in jax.tree.leaves(variables.get(collection, {})))
      for collection in ('params', 'batch_stats'))


@functools.lru_cache(maxsize=None)
def _saved(module: nn.Module, inputs: tuple) -> tuple[int, tuple[bool, ...]]:
  """Bytes that a node saves in training, and which inputs it saves too."""
  variables = dict(graph.variable_shapes(module, inputs))
  params = variables.pop('params', {})

  def pullback(xs, params, others):
    def forward(params, xs):
      return module.apply({'params': params, **others}, *xs, True,
                          mutable=list(others), rngs={'dropout': key})
    key = jax.random.key(0)
    return jax.vjp(forward, params, xs, has_aux=True)[1]

  jaxpr = jax.make_jaxpr(pullback)(inputs, params, variables).jaxpr
  kept = {v for v in jaxpr.outvars if isinstance(v, core.Var)}
  inner = kept - set(jaxpr.invars) - set(jaxpr.constvars)
  return (sum(_bytes(v.aval) for v in inner),
          tuple(v in kept for v in jaxpr.invars[:len(inputs)]))


def _main(net: graph.Graph) -> set[int]:
  """The nodes that the output reads."""
  needed = {len(net.nodes)}
  for i in range(len(net.nodes), 0, -1):
    if i in needed:
      needed |= set(net.nodes[i - 1].inputs)
  return {i - 1 for i in needed if i > 0}


def _size(variable: core.Var) -> int:
  return math.prod(variable.aval.shape)


def _bytes(shape: Any) -> int:
  return math.prod(shape.shape) * shape.dtype.itemsize


def _add(a, b):
  return type(a)(*map(sum, zip(a, b)))
