"""The recurrent cell of NAS-RL: a tree over products of inputs and state."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from nas_jax.networks import recurrent
from nas_jax.networks import time_loop
from nas_jax.spaces import recurrent_tree as space

Array = jax.Array
COMBINATIONS: Mapping[str, Callable[[Array, Array], Array]] = {
    'add': jnp.add, 'elem_mult': jnp.multiply, 'max': jnp.maximum}
ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    **recurrent.ACTIVATIONS, 'sin': jnp.sin}


def tree(genotype: space.Tree | tuple[Any, ...], *, init_range: float = .04
         ) -> recurrent.Cell:
  """The cell that a tree describes; its equations are `space.equations`.

  With the genotype of NASCell it is that of TensorFlow, the kernels' columns
  in the order of its leaves. No biases, no projection.

  Parameters: 'input' float[I, base d], 'hidden' float[d, base d]. The state is
  (h, c), both float[B, d]; h is the output.

  Args:
    genotype: of the cell, see `space.Tree`.
    init_range: weights are uniform within +- this.

  Raises:
    ValueError: no tree.

  Reference: Zoph, Le, arXiv 1611.01578, sec. 3.4 and appendix A.
  """
  genotype = space.check(genotype)
  num_nodes = len(genotype.nodes)
  num_leaves = (num_nodes + 1) // 2
  below = space.children(num_nodes)
  new_c, injected = genotype.indices

  def init(key, num_inputs, num_units):
    keys = jax.random.split(key)
    return {name: recurrent.uniform(k, (rows, num_leaves * num_units),
                                    init_range)
            for k, name, rows in zip(keys, ('input', 'hidden'),
                                     (num_inputs, num_units))}

  def step(product, state, x, values, mask):
    del values
    h, c = state
    lefts = jnp.split(x, num_leaves, -1)
    rights = jnp.split(product('hidden', recurrent.masked(h, mask)),
                       num_leaves, -1)
    found, plain = [], []
    for i, (combination, activation) in enumerate(genotype.nodes):
      left, right = (lefts[i], rights[i]) if below[i] is None else (
          found[below[i][0]], found[below[i][1]])
      plain.append(COMBINATIONS[combination](left, right))
      value = ACTIVATIONS[activation](plain[i])
      if i == injected:
        combine, activate = genotype.inject
        value = ACTIVATIONS[activate](COMBINATIONS[combine](value, c))
      found.append(value)
    return (found[-1], plain[new_c]), found[-1]

  def run(params, inputs, state, masks=None, length=None):
    x, mask = recurrent.of_inputs(inputs, params['input'], masks)
    return time_loop.run(
        step, {'hidden': params['hidden']}, state, x, fixed=mask,
        length=length)

  return recurrent.Cell(init, recurrent.two_zeros, run, ('hidden',))
