"""Recurrent cells made by hand: LSTM, recurrent highway network, AWD-LSTM."""

import jax
import jax.numpy as jnp

from nas_jax.networks import recurrent
from nas_jax.networks import time_loop

Array = jax.Array


def lstm(genotype: tuple[()] = (), *, init_range: float | None = .04,
         num_biases: int = 1) -> recurrent.Cell:
  """The long short-term memory without peepholes.

  [i, f, g, o] = x W + h U + b, c' = sigmoid(f) c + sigmoid(i) tanh(g) and
  h' = sigmoid(o) tanh(c').

  Parameters: 'input' float[I, 4d], 'hidden' float[d, 4d], 'bias' float[4d],
  and a second 'hidden_bias' where there are two. The state is (h, c), both
  float[B, d].

  Args:
    genotype: (); there is nothing to choose.
    init_range: weights are uniform within +- this, by 1 / sqrt(d) if None;
      biases start at 0.
    num_biases: 1, or 2 as cuDNN's cell has, hence AWD-LSTM.

  Raises:
    ValueError: another genotype or number of biases.

  Reference: Zaremba et al., arXiv 1409.2329.
  """
  if genotype != ():
    raise ValueError(f'an LSTM has the genotype (), got {genotype!r}')
  if num_biases not in (1, 2):
    raise ValueError(f'num_biases is {num_biases}, expected 1 or 2')
  biases = ('bias', 'hidden_bias')[:num_biases]

  def init(key, num_inputs, num_units):
    keys = jax.random.split(key)
    scale = num_units ** -.5 if init_range is None else init_range
    params = {name: recurrent.uniform(k, (rows, 4 * num_units), scale)
              for k, name, rows in zip(keys, ('input', 'hidden'),
                                       (num_inputs, num_units))}
    return params | {name: jnp.zeros(4 * num_units) for name in biases}

  def step(product, state, x, values, mask):
    del values
    h, c = state
    i, f, g, o = jnp.split(
        x + product('hidden', recurrent.masked(h, mask)), 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h

  def run(params, inputs, state, masks=None, length=None):
    x, mask = recurrent.of_inputs(inputs, params['input'], masks)
    return time_loop.run(
        step, {'hidden': params['hidden']}, state,
        x + sum(params[name] for name in biases), fixed=mask, length=length)

  return recurrent.Cell(init, recurrent.two_zeros, run, ('hidden',))


def awd_lstm(genotype: tuple[()] = (), *, init_range: float | None = None
             ) -> recurrent.Cell:
  """The LSTM of AWD-LSTM: two biases, recurrent weights that can be dropped.

  What else makes up AWD-LSTM is said by the model's sizes (400 features,
  layers of 1150, 1150 and 400 units, tied), its rates (`Rates.weight` drops
  recurrent weights) and its training.

  Args:
    genotype: ().
    init_range: see `lstm`.

  Raises:
    ValueError: another genotype.

  Reference: Merity et al., arXiv 1708.02182.
  """
  return lstm(genotype, init_range=init_range, num_biases=2)


def rhn(genotype: tuple[int] = (10,), *, init_range: float = .04,
        transform_bias: float = -2.) -> recurrent.Cell:
  """The recurrent highway network: several highway layers in each step.

  With s_0 = h: [t, g] = s_{l-1} R_l + b_l, of which the first has + x W, and
  s_l = s_{l-1} + sigmoid(t) (tanh(g) - s_{l-1}): the carry gate is coupled.

  Parameters: 'input' float[I, 2d], 'layers' a list of float[d, 2d], 'biases'
  a list of float[2d]. The state is float[B, d].

  Args:
    genotype: (depth,).
    init_range: weights are uniform within +- this.
    transform_bias: what the biases of t start from; the others from 0.

  Raises:
    ValueError: a genotype that is no depth.

  Reference: Zilly et al., arXiv 1607.03474; the variational network of depth
    10 and 830 units for Penn Treebank.

  Note: the default of transform_bias is our choice: steps start near the
    identity.
  """
  if not (isinstance(genotype, tuple) and len(genotype) == 1 and
          type(genotype[0]) is int and genotype[0] > 0):
    raise ValueError('a recurrent highway network has the genotype (depth,), '
                     f'got {genotype!r}')
  depth, = genotype

  def init(key, num_inputs, num_units):
    first, *others = jax.random.split(key, 1 + depth)
    draw = lambda key, rows: recurrent.uniform(
        key, (rows, 2 * num_units), init_range)
    # Arrays of their own, which a step that takes them over can have.
    bias = lambda: jnp.zeros(2 * num_units).at[:num_units].set(transform_bias)
    return {'input': draw(first, num_inputs),
            'layers': [draw(k, num_units) for k in others],
            'biases': [bias() for _ in range(depth)]}

  def step(product, state, x, biases, mask):
    s = state
    for i in range(depth):
      gates = product(str(i), recurrent.masked(s, mask)) + biases[i]
      s = recurrent.highway(s, gates if i else gates + x, 'tanh')
    return s, s

  def run(params, inputs, state, masks=None, length=None):
    x, mask = recurrent.of_inputs(inputs, params['input'], masks)
    weights = {str(i): layer for i, layer in enumerate(params['layers'])}
    return time_loop.run(
        step, weights, state, x, values=params['biases'], fixed=mask,
        length=length)

  return recurrent.Cell(init, recurrent.zeros, run)
