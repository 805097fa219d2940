"""A parameter server in shards, as NAS-RL trains its controller with.

Reference: Zoph and Le, arXiv 1611.01578, section 3.2.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nas_jax import base
from nas_jax.strategies import policy


class Shard(NamedTuple):
  """Its part of the parameters; a server stacks them: one more axis S."""
  params: jax.Array  # float32[W], the last shards padded with zeros
  optimizer: base.PyTree
  gradient: jax.Array  # float32[W], the sum of those not yet applied
  pending: jax.Array  # int32[], how many those are


class Server(NamedTuple):
  """The functions of a server of S shards of W = ceil(P / S) parameters."""
  cut: Callable[[jax.Array], jax.Array]  # float32[P] -> float32[S, W]
  join: Callable[[jax.Array], jax.Array]  # float32[S, W] -> float32[P]
  init: Callable[[jax.Array], Shard]  # parameters float32[S, W] -> shards
  # (shards, gradients float32[S, W], sent bool[S]) -> shards
  receive: Callable[[Shard, jax.Array, jax.Array], Shard]


def server(
    optimizer: optax.GradientTransformation,
    *,
    num_params: int,
    num_shards: int,
    accumulate: int,
) -> Server:
  """Shards that each receive gradients and update their own parameters.

  Args:
    optimizer: of each shard; element by element, such as Adam.
    num_params: P.
    num_shards: S.
    accumulate: how many gradients a shard collects before it applies their
      mean.
  """
  width = -(-num_params // num_shards)

  def cut(params: jax.Array) -> jax.Array:
    padding = num_shards * width - num_params
    return jnp.pad(params, (0, padding)).reshape(num_shards, width)

  def join(shards: jax.Array) -> jax.Array:
    return shards.reshape(-1)[:num_params]

  def init(params: jax.Array) -> Shard:
    return jax.vmap(lambda params: Shard(
        params, optimizer.init(params), jnp.zeros_like(params),
        jnp.zeros((), jnp.int32)))(params)

  def receive_one(shard, gradient, sent):
    waiting = shard._replace(
        gradient=shard.gradient + gradient, pending=shard.pending + 1)
    updates, state = optimizer.update(
        waiting.gradient / accumulate, shard.optimizer, shard.params)
    updated = Shard(
        optax.apply_updates(shard.params, updates), state,
        jnp.zeros_like(gradient), jnp.zeros_like(shard.pending))
    received = policy.choose(waiting.pending == accumulate, updated, waiting)
    return policy.choose(sent, received, shard)

  return Server(cut, join, init, jax.vmap(receive_one))
