"""Architectures as points: an encoder, a predictor and a decoder.

An LSTM reads the tokens of an architecture (spaces/sequences.py); its outputs
H, each of norm 1, and their mean e, made to norm 1, stand for it. A predictor
reads a score in 0..1 off e, and a decoder writes the tokens again from e and,
by attention, from H. A step of H along the gradient of the predicted score
is decoded to an architecture that should be better.

Reference: Luo et al., Neural Architecture Optimization, arXiv 1808.07233, sec.
  3, and its public codes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import base
from nas_jax.controllers import recurrent
from nas_jax.predictors import nao_settings
from nas_jax.spaces import sequences


class Model(NamedTuple):
  """Pure functions of N architectures, T tokens, S encoder steps, H units."""
  init: Callable[[base.Key], base.PyTree]
  # (key, tokens int32[N, T], scores float32[N], count, failed=None, start=None)
  # -> params. Higher scores are better. Rows from `count` on are ignored; of
  # those of which bool[N] says failed only the tokens are learned. `start` are
  # parameters to go on from, with a new optimizer.
  fit: Callable[..., base.PyTree]
  # (params, tokens [N, T]) -> H [N, S, H] and e [N, H]
  encode: Callable[..., tuple[jax.Array, jax.Array]]
  # (params, e) -> float32[N], 1 for the best of those learned from, 0 the worst
  predict: Callable[..., jax.Array]
  # (params, H, e) -> tokens, the likeliest one after the other
  decode: Callable[..., jax.Array]
  # (params, H, step size) -> H and e, a step up the predicted score
  improve: Callable[..., tuple[jax.Array, jax.Array]]
  # (params, H, e, tokens [N, T]) -> [N, T, V], -inf where a token is illegal
  logits: Callable[..., jax.Array]


def model(code: sequences.Code, settings: nao_settings.Settings) -> Model:
  """The model of a code; all its functions can be compiled and vectorised.

  The loss is lambda times the mean squared error of the predictor plus
  1 - lambda times the mean cross-entropy of tokens. Scores are scaled to 0..1
  over the data.

  Raises:
    ValueError: a setting out of range.

  Note: where the published codes multiply probabilities by a mask when they
  decode, illegal tokens have probability 0 here, in training too, as in the
  paper. Gates have no forget bias. Tokens are padded with 0 to a multiple of
  the group. With `symmetry`, an architecture is swapped at random (one node of
  each cell) in half of the cases; the codes always swap, the paper adds
  swapped ones. With `expand`, passes are swapped anew each time. Dropout of
  the decoder is 0 in all codes, and left out.
  """
  nao_settings.check(settings)
  h, vocabulary = settings.hidden_size, code.vocabulary
  length = len(code.positions)
  num_steps = -(-length // settings.group)
  swaps = code.swaps if settings.symmetry else code.swaps[:0]
  optimizer = _optimizer(settings)
  legal = np.asarray(code.legal)

  def init(key: base.Key) -> base.PyTree:
    return _init(key, vocabulary, settings)

  def encode(params, tokens, dropout_key=None):
    p = params['encoder']
    padded = jnp.pad(tokens, ((0, 0), (0, num_steps * settings.group - length)))
    x = recurrent.embed(p['embedding'], padded)
    x = x.reshape(len(tokens), num_steps, -1)
    x = _dropout(dropout_key, x, settings.encoder_dropout)
    sums = (x @ p['kernel'] + _bias(p)).swapaxes(0, 1)
    zeros = jnp.zeros((len(tokens), h))

    def step(carry, now):
      carry = recurrent.gates(now + carry[0] @ p['recurrent'], carry[1])
      return carry, carry[0]

    _, outputs = jax.lax.scan(step, (zeros, zeros), sums)
    return _points(outputs.swapaxes(0, 1))

  def raw(params, e, dropout_key=None):
    """What the predictor was trained for: a score, or an error."""
    x = e
    *hidden, last = params['predictor']
    for i, p in enumerate(hidden):
      x = jax.nn.relu(x @ p['kernel'] + p['bias'])
      key = None if dropout_key is None else jax.random.fold_in(dropout_key, i)
      x = _dropout(key, x, settings.predictor_dropout)
    return jax.nn.sigmoid(x @ last['kernel'] + last['bias'])[:, 0]

  def predict(params, e):
    return 1 - raw(params, e) if settings.errors else raw(params, e)

  def improve(params, memory, step_size):
    slope = jax.grad(lambda m: jnp.sum(predict(params, _points(m)[1])))(memory)
    return _points(memory + step_size * slope)

  def start(params, memory, e):
    """State of the decoder: h, c, context; and the keys of the memory."""
    keys = (memory @ params['attention']['memory']
            if settings.attention == 'bahdanau' else None)
    return (e, e, jnp.zeros_like(e)), keys

  def advance(params, memory, keys, carry, embedded):
    """One step of the decoder; what the token before adds is `embedded`."""
    p = params['decoder']
    state, cell, context = carry
    if settings.attention == 'bahdanau':
      before = jnp.concatenate([context, state], -1)
      state, cell = recurrent.gates(embedded + before @ p['recurrent'], cell)
      context = _bahdanau(params['attention'], memory, keys, state)
    else:
      state, cell = recurrent.gates(embedded + state @ p['recurrent'], cell)
    return (state, cell, context), state

  def read_out(params, memory, states):
    """Logits [..., N, V] of states [..., N, H]."""
    if settings.attention == 'dot':
      states = _dot(params['attention'], memory, states)
    p = params['output']
    return states @ p['kernel'] + p['bias']

  def inputs(params):
    """What each token adds to the sums of the decoder's gates, [V, 4 H]."""
    p = params['decoder']
    return p['embedding'] @ p['kernel'] + _bias(p)

  def logits(params, memory, e, tokens):
    before = jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)),
                     constant_values=sequences.START)
    carry, keys = start(params, memory, e)
    embedded = recurrent.embed(inputs(params), before.T)
    _, states = jax.lax.scan(
        lambda carry, now: advance(params, memory, keys, carry, now),
        carry, embedded)
    found = read_out(params, memory, states).swapaxes(0, 1)
    mask = jnp.asarray(legal)[np.arange(length), before]
    return jnp.where(mask, found, -jnp.inf)

  def decode(params, memory, e):
    carry, keys = start(params, memory, e)
    table = inputs(params)

    def step(carry, allowed):
      carry, token = carry
      carry, state = advance(params, memory, keys, carry, table[token])
      found = jnp.where(allowed[token], read_out(params, memory, state),
                        -jnp.inf)
      token = jnp.argmax(found, -1).astype(jnp.int32)
      return (carry, token), token

    first = jnp.full(len(e), sequences.START, jnp.int32)
    _, tokens = jax.lax.scan(step, (carry, first), jnp.asarray(legal))
    return tokens.T

  def loss(params, key, tokens, targets, weights, known):
    swap_key, encoder_key, predictor_key = jax.random.split(key, 3)
    tokens = swap_randomly(swap_key, tokens, swaps)
    memory, e = encode(params, tokens, encoder_key)
    squares = (raw(params, e, predictor_key) - targets)**2
    log_probs = jax.nn.log_softmax(logits(params, memory, e, tokens))
    # Not by a product: an illegal token has -inf.
    chosen = jnp.take_along_axis(log_probs, tokens[..., None], -1)[..., 0]
    error = jnp.sum(known * squares) / jnp.maximum(jnp.sum(known), 1)
    entropy = -jnp.sum(weights * jnp.mean(chosen, -1)) / jnp.sum(weights)
    return (settings.trade_off * error + (1 - settings.trade_off) * entropy)

  def fit(key, tokens, scores, count, failed=None, start=None):
    init_key, held_key, loop_key = jax.random.split(key, 3)
    size = scores.shape[0]
    batch = min(settings.batch_size, size)
    valid = jnp.arange(size) < count
    known = valid if failed is None else valid & ~failed
    targets = normalised(scores, known)
    if settings.errors:
      targets = 1 - targets
    number = count - jnp.floor(settings.held_out * count).astype(jnp.int32)
    noise = jax.random.uniform(held_key, (size,))
    rank = jnp.argsort(jnp.argsort(jnp.where(valid, noise, 2.)))
    member = rank < number
    total = settings.expand * number

    def step(i, carry, order, key):
      params, state = carry
      places = i * batch + jnp.arange(batch)
      rows = order[places % number]
      weights = (places < total).astype(jnp.float32)
      grads = jax.grad(loss)(
          params, jax.random.fold_in(key, i), tokens[rows], targets[rows],
          weights, weights * known[rows])
      updates, state = optimizer.update(grads, state, params)
      return optax.apply_updates(params, updates), state

    def epoch(e, carry):
      order_key, step_key = jax.random.split(jax.random.fold_in(loop_key, e))
      noise = jax.random.uniform(order_key, (size,))
      order = jnp.argsort(jnp.where(member, noise, 2.))
      return jax.lax.fori_loop(
          0, -(-total // batch),
          lambda i, carry: step(i, carry, order, step_key), carry)

    params = init(init_key) if start is None else start
    return jax.lax.fori_loop(
        0, settings.epochs, epoch, (params, optimizer.init(params)))[0]

  return Model(init, fit, encode, predict, decode, improve, logits)


def normalised(scores: jax.Array, known: jax.Array) -> jax.Array:
  """The scores from 0 for the worst known to 1 for the best, float32[N].

  All are 0 if no two known ones differ; unknown ones are 0.
  """
  low = jnp.min(jnp.where(known, scores, jnp.inf))
  high = jnp.max(jnp.where(known, scores, -jnp.inf))
  spread = high - low
  found = (scores - low) / jnp.where(spread > 0, spread, 1.)
  return jnp.where(known & (spread > 0), found, 0.)


def swap_randomly(key: base.Key, tokens: jax.Array, swaps: np.ndarray
                  ) -> jax.Array:
  """Exchanges the branches of one node of each cell, in half of the cases.

  Args:
    key: consumed.
    tokens: int32[N, T].
    swaps: int32[G, N, T], see `sequences.Code`.
  """
  if not len(swaps):
    return tokens
  node_key, chance_key = jax.random.split(key)
  n = len(tokens)
  chosen = jax.random.randint(node_key, (len(swaps), n), 0, swaps.shape[1])
  found = tokens
  for group, nodes in zip(swaps, chosen):
    found = jnp.take_along_axis(found, jnp.asarray(group)[nodes], 1)
  swapped = jax.random.bernoulli(chance_key, shape=(n, 1))
  return jnp.where(swapped, found, tokens)


def pairwise_accuracy(a: np.ndarray, b: np.ndarray) -> float:
  """The share of pairs i < j that both of float[N] put in one order."""
  i, j = np.triu_indices(len(a), 1)
  return float(np.mean((a[i] >= a[j]) == (b[i] >= b[j])))


def hamming_distance(a: np.ndarray, b: np.ndarray) -> float:
  """Mean number of tokens in which rows of int[N, T] differ."""
  return float(np.mean(np.sum(np.asarray(a) != np.asarray(b), -1)))


def _points(outputs):
  """H and e, of norm 1, of [N, S, H]."""
  memory = _unit(outputs)
  return memory, _unit(jnp.mean(memory, 1))


def _unit(x):
  squares = jnp.sum(x * x, -1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))


def _bahdanau(p, memory, keys, query):
  """The context [N, H]: weighted mean of the memory [N, S, H]."""
  direction = p['scale'] * p['vector'] / jnp.linalg.norm(p['vector'])
  mixed = jnp.tanh(keys + (query @ p['query'])[:, None] + p['bias'])
  weights = jax.nn.softmax(mixed @ direction)
  return jnp.einsum('ns,nsh->nh', weights, memory)


def _dot(p, memory, states):
  """States [..., N, H] mixed with what they attend to."""
  weights = jax.nn.softmax(jnp.einsum(
      '...nh,nsh->...ns', states @ p['query'], memory))
  context = jnp.einsum('...ns,nsh->...nh', weights, memory)
  return jnp.tanh(jnp.concatenate([context, states], -1) @ p['mix'])


def _bias(p):
  return p['bias'] + p['second_bias'] if 'second_bias' in p else p['bias']


def _dropout(key, x, rate):
  """Drops elements; nothing without a key."""
  if key is None or not rate:
    return x
  return jnp.where(
      jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0.)


def _optimizer(settings):
  decay = optax.add_decayed_weights(settings.weight_decay)
  clip = optax.clip_by_global_norm(settings.clip)
  first, second = (decay, clip) if settings.decay_in_loss else (clip, decay)
  return optax.chain(first, second, optax.adam(settings.learning_rate))


def _init(key, vocabulary, settings):
  h, torch = settings.hidden_size, settings.init == 'torch'
  keys = iter(jax.random.split(key, 64))

  def uniform(*shape, fan, scale=None):
    scale = scale or (fan**-.5 if torch else .1)
    return jax.random.uniform(next(keys), shape, jnp.float32, -scale, scale)

  def lstm(embedding, inputs, recurrent_rows):
    table = (jax.random.normal(next(keys), (vocabulary, embedding)) if torch
             else uniform(vocabulary, embedding, fan=1))
    found = {'embedding': table, 'kernel': uniform(inputs, 4 * h, fan=h),
             'recurrent': uniform(recurrent_rows, 4 * h, fan=h),
             'bias': uniform(4 * h, fan=h)}
    return found | ({'second_bias': uniform(4 * h, fan=h)} if torch else {})

  def dense(rows, columns, scale=None):
    return {'kernel': uniform(rows, columns, fan=rows, scale=scale),
            'bias': uniform(columns, fan=rows, scale=scale)}

  bahdanau = settings.attention == 'bahdanau'
  decoder = lstm(h, h, 2 * h if bahdanau else h)
  if not torch:
    whole = jax.nn.initializers.orthogonal()(
        next(keys), (h + len(decoder['recurrent']), 4 * h))
    decoder |= {'kernel': whole[:h], 'recurrent': whole[h:]}
  attention = {'query': uniform(h, h, fan=h)}
  if bahdanau:
    attention |= {
        'memory': uniform(h, h, fan=h), 'vector': uniform(h, fan=h),
        'scale': jnp.float32(h**-.5), 'bias': jnp.zeros(h)}
  else:
    attention['mix'] = uniform(2 * h, h, fan=2 * h)
  widths = h, *settings.layers, 1
  return {
      'encoder': lstm(settings.embedding_size,
                      settings.group * settings.embedding_size, h),
      'predictor': [dense(*pair, settings.predictor_scale)
                    for pair in zip(widths, widths[1:])],
      'decoder': decoder, 'attention': attention,
      'output': dense(h, vocabulary)}
