"""What an architecture will score, predicted from its tokens.

Predictors read architectures of any number of blocks (spaces/progressive.py)
and are trained from scratch in a moment, several at once as an ensemble. All
arrays have the shapes of the largest training set, so that training compiles
once.

Reference: Liu et al., Progressive Neural Architecture Search, arXiv
  1712.00559, sec. 4.2.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import base
from nas_jax.controllers import recurrent
from nas_jax.spaces import progressive

_OUTPUT_BIAS = 1.8  # sigmoid(1.8) = 0.858, the mean accuracy of one block
_EMBEDDING_SCALE = .1
_FEW, _MANY = 1 << 9, 1 << 12  # architectures of one call that predicts


class Predictor(NamedTuple):
  """An ensemble of M predictors."""
  # (key, tokens int32[N, B, F], scores float32[N], count, learning rate)
  # -> params, each leaf with a leading axis M. Rows from `count` on are
  # ignored. Jitted.
  fit: Callable[..., base.PyTree]
  # (params, tokens [n, B, F]) -> float32[n], the mean of the members.
  predict: Callable[[base.PyTree, np.ndarray], np.ndarray]
  # (params, tokens int32[n, B, F]) -> float32[M, n]; jittable.
  members: Callable[[base.PyTree, jax.Array], jax.Array]


def ensemble(
    vocabulary: progressive.Vocabulary,
    *,
    kind: str = 'mlp',
    num_members: int = 5,
    hidden_size: int = 100,
    epochs: int = 50,
    batch_size: int = 32,
) -> Predictor:
  """Predictors trained by Adam on the absolute error (L1).

  Each of M members leaves out its own M-th part of the data: of five, each is
  trained on 4/5. A single one is trained on all.

  Args:
    vocabulary: of the tokens.
    kind: 'mlp' or 'rnn'.
    num_members: M.
    hidden_size: of embeddings and hidden layers.
    epochs: passes over the data.
    batch_size: examples per step.

  Raises:
    ValueError: an argument out of range.

  Note: epochs and batch size are not published, nor are the initial weights
  apart from those of the embeddings.
  """
  if kind not in _MODULES:
    raise ValueError(f'unknown predictor {kind!r}, expected one of '
                     f'{", ".join(_MODULES)}')
  for name, value in dict(
      num_members=num_members, hidden_size=hidden_size, epochs=epochs,
      batch_size=batch_size).items():
    if value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}')
  module = network(vocabulary, kind, hidden_size)
  optimizer = optax.scale_by_adam()

  def fit_one(key, features, scores, member, rate):
    """One member; `member` is bool[N], the rows that it learns from."""
    init_key, order_key = jax.random.split(key)
    params = init(init_key, module)
    size = scores.shape[0]
    number = jnp.sum(member)
    padded = -(-size // batch_size) * batch_size

    def loss(params, rows, weights):
      found = jax.vmap(lambda x: module.apply({'params': params}, x))(
          jax.tree.map(lambda x: x[rows], features))
      return jnp.sum(weights * jnp.abs(found - scores[rows])) / jnp.sum(weights)

    def step(i, carry, order):
      params, state = carry
      places = i * batch_size + jnp.arange(batch_size)
      grads = jax.grad(loss)(params, order[places], 1. * (places < number))
      updates, state = optimizer.update(grads, state)
      return jax.tree.map(lambda p, u: p - rate * u, params, updates), state

    def epoch(e, carry):
      noise = jax.random.uniform(jax.random.fold_in(order_key, e), (size,))
      order = jnp.argsort(jnp.where(member, noise, 2.))
      order = jnp.pad(order, (0, padded - size))
      return jax.lax.fori_loop(
          0, -(-number // batch_size), functools.partial(step, order=order),
          carry)

    params, _ = jax.lax.fori_loop(
        0, epochs, epoch, (params, optimizer.init(params)))
    return params

  @jax.jit
  def fit(key, tokens, scores, count, rate):
    fold_key, *keys = jax.random.split(key, num_members + 1)
    rows = jnp.arange(scores.shape[0])
    valid = rows < count
    # A random part of the data for each example.
    noise = jax.random.uniform(fold_key, scores.shape)
    rank = jnp.argsort(jnp.argsort(jnp.where(valid, noise, 2.)))
    folds = rank % num_members
    members = valid & ((folds != np.arange(num_members)[:, None])
                       | (num_members == 1) | (count < num_members))
    features = jax.vmap(module.features)(tokens)
    return jax.vmap(fit_one, (0, None, None, 0, None))(
        jnp.stack(keys), features, scores, members, rate)

  def members(params, tokens):
    features = jax.vmap(module.features)(tokens)
    return jax.vmap(lambda p: jax.vmap(
        lambda x: module.apply({'params': p}, x))(features))(params)

  mean = jax.jit(lambda params, tokens: jnp.mean(members(params, tokens), 0))

  def predict(params, tokens):
    n = len(tokens)
    size = _FEW if n <= _FEW else _MANY
    found = []
    for i in range(0, n, size):
      part = tokens[i:i + size]
      rest = size - len(part)
      found.append(np.asarray(mean(params, np.pad(
          part, ((0, rest), (0, 0), (0, 0)))))[:len(part)])
    return np.concatenate(found) if found else np.zeros(0, np.float32)

  return Predictor(fit, predict, members)


def network(vocabulary: progressive.Vocabulary, kind: str,
            hidden_size: int = 100) -> nn.Module:
  """One member: `features` of tokens int32[B, F], which it scores in 0..1."""
  return _MODULES[kind](vocabulary.slots, vocabulary.sizes, hidden_size)


def init(key: base.Key, module: nn.Module) -> base.PyTree:
  """Parameters of a member."""
  tokens = jnp.zeros((1, len(module.slots)), jnp.int32)
  return module.init(key, module.features(tokens))['params']


class Mlp(nn.Module):
  """Two hidden layers on the mean over blocks of concatenated embeddings."""
  slots: tuple[int, ...]
  sizes: tuple[int, ...]
  hidden_size: int

  def features(self, tokens: jax.Array) -> list[jax.Array]:
    """For each of F tokens, the share of blocks that have each value."""
    exists = jnp.any(tokens != progressive.ABSENT, axis=1)
    number = jnp.sum(exists)
    return [jnp.sum(jax.nn.one_hot(tokens[:, f], self.sizes[table]), 0)
            / jnp.maximum(number, 1) for f, table in enumerate(self.slots)]

  @nn.compact
  def __call__(self, features: list[jax.Array]) -> jax.Array:
    tables = _embeddings(self)
    h = self.hidden_size
    kernel = self.param('kernel0', nn.initializers.lecun_normal(),
                        (len(self.slots) * h, h))
    x = self.param('bias0', nn.initializers.zeros_init(), (h,))
    # Embedding and first layer as one matrix: it is small, the batch is not.
    for f, table in enumerate(self.slots):
      x = x + features[f] @ (tables[table] @ kernel[f * h:(f + 1) * h])
    x = nn.relu(nn.Dense(h, name='hidden1')(nn.relu(x)))
    return _output(x)


class Rnn(nn.Module):
  """An LSTM that reads the tokens of one block after another."""
  slots: tuple[int, ...]
  sizes: tuple[int, ...]
  hidden_size: int

  def features(self, tokens: jax.Array) -> tuple[jax.Array, ...]:
    """Values and tables, both int32[B F], absent ones last; their number."""
    flat = tokens.ravel()
    tables = jnp.tile(jnp.array(self.slots, jnp.int32), tokens.shape[0])
    absent = flat == progressive.ABSENT
    order = jnp.argsort(absent, stable=True)
    offsets = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
    entries = jnp.where(absent, 0, flat + jnp.asarray(offsets)[tables])
    return entries[order], jnp.sum(~absent)

  @nn.compact
  def __call__(self, features: tuple[jax.Array, ...]) -> jax.Array:
    entries, number = features
    inputs = jnp.concatenate(_embeddings(self))[entries]
    lstm = recurrent.Stack(self.hidden_size, self.hidden_size, 1,
                           _EMBEDDING_SCALE, name='lstm')
    return _output(lstm.unroll(inputs)[jnp.maximum(number - 1, 0)])


_MODULES: dict[str, Callable[..., nn.Module]] = {'mlp': Mlp, 'rnn': Rnn}
KINDS = tuple(_MODULES)


def _embeddings(module: nn.Module) -> list[jax.Array]:
  """The tables, [size, H] each; to be called in a compact method."""
  return [module.param(f'embedding{i}', recurrent.uniform(_EMBEDDING_SCALE),
                       (size, module.hidden_size))
          for i, size in enumerate(module.sizes)]


def _output(x: jax.Array) -> jax.Array:
  """The last layer: [H] -> [] in 0..1; to be called in a compact method."""
  return nn.sigmoid(nn.Dense(
      1, bias_init=nn.initializers.constant(_OUTPUT_BIAS), name='output')(
          x))[0]
