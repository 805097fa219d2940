"""A loop over time whose weights are multiplied fast in both directions."""

from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
PyTree = Any
# (name of a weight, float[..., d]) -> float[..., n]
Product = Callable[[str, Array], Array]
# (product, state, x, values, fixed) -> (state, out)
Step = Callable[[Product, PyTree, PyTree, PyTree, PyTree],
                tuple[PyTree, PyTree]]
# Steps of one turn of a loop on an accelerator, where each is many small
# kernels: a fifth faster there than one by one (an H100), on a CPU slower.
_UNROLL = 5


def run(
    step: Step,
    weights: Mapping[str, Array],
    state: PyTree,
    xs: PyTree,
    *,
    values: PyTree = (),
    fixed: PyTree = (),
    length: Array | None = None,
) -> tuple[PyTree, PyTree]:
  """`lax.scan` of a step that multiplies its weights only by `product`.

  Automatic differentiation of a scan adds to the gradient of each weight in
  each step: a product over few rows, and a pass over all weights. Here a
  step's backward pass yields the gradients of products, and one product over
  all steps makes them the gradient of the weight.

  Args:
    step: (product, state, x, values, fixed) -> (state, out); all it
      multiplies by a weight is product(name, value) = value @ weights[name],
      once per name.
    weights: float[d, n] by name.
    state: before the first step; a tree of floats.
    xs: what each step reads; a tree of float[T, ...].
    values: a tree of floats that all steps read, such as the weights of
      candidates; differentiated.
    fixed: a tree that all steps read, such as masks; not differentiated.
    length: int32[]; the state stands still from that step on, and what comes
      out there means nothing.

  Returns:
    What came out, stacked [T, ...], and the last state.
  """
  state, outs = _run(step, dict(weights), state, xs, values, (fixed, length))
  return outs, state


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(step, weights, state, xs, values, fixed):
  return _forward(step, weights, state, xs, values, fixed)[0]


def _forward(step, weights, state, xs, values, fixed):
  def body(state, t_and_x):
    factors, products = {}, {}

    def product(name, value):
      if name in factors:
        raise ValueError(f'a step multiplies {name!r} twice')
      factors[name] = value
      products[name] = value @ weights[name]
      return products[name]

    new, out = _held(step, product, state, *t_and_x, values, fixed)
    return new, (out, state, factors, products)

  last, (outs, states, factors, products) = _scan(
      body, state, (_numbers(xs), xs))
  return (last, outs), (
      weights, states, xs, values, fixed, factors, products)


def _backward(step, residuals, cotangents):
  weights, states, xs, values, fixed, factors, products = residuals
  of_last, of_outs = cotangents

  def body(carry, inputs):
    of_new, of_values = carry
    t, x, state, made, of_out = inputs

    def again(state, x, values, made):
      def product(name, value):
        return _known(value, made[name], weights[name])

      return _held(step, product, state, t, x, values, fixed)

    _, pull = jax.vjp(again, state, x, values, made)
    of_state, of_x, more, of_made = pull((of_new, of_out))
    return (of_state, jax.tree.map(jnp.add, of_values, more)), (of_x, of_made)

  start = of_last, jax.tree.map(jnp.zeros_like, values)
  (of_state, of_values), (of_xs, of_products) = _scan(
      body, start, (_numbers(xs), xs, states, products, of_outs),
      reverse=True)
  of_weights = {name: _rows(factors[name]).T @ _rows(of_products[name])
                if name in factors else jnp.zeros_like(weight)
                for name, weight in weights.items()}
  return of_weights, of_state, of_xs, of_values, None


_run.defvjp(_forward, _backward)


def _scan(body, start, xs, **kwargs):
  unroll = 1 if jax.default_backend() == 'cpu' else _UNROLL
  return jax.lax.scan(body, start, xs, unroll=unroll, **kwargs)


def _held(step, product, state, t, x, values, fixed):
  """One step; beyond the length the state stays."""
  fixed, length = fixed
  new, out = step(product, state, x, values, fixed)
  if length is not None:
    new = jax.tree.map(lambda n, o: jnp.where(t < length, n, o), new, state)
  return new, out


@jax.custom_vjp
def _known(value, made, weight):
  """value @ weight, which is known already."""
  del value, weight
  return made


def _known_forward(value, made, weight):
  del value
  return made, weight


def _known_backward(weight, cotangent):
  return cotangent @ weight.T, cotangent, None


_known.defvjp(_known_forward, _known_backward)


def _numbers(xs):
  return jnp.arange(jax.tree.leaves(xs)[0].shape[0])


def _rows(x):
  return x.reshape(-1, x.shape[-1])
