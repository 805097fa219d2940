"""JAX's random numbers, without loops in the compiled program.

On CPUs JAX compiles the 20 rounds of its hash, Threefry-2x32 (Salmon et al.,
2011), as a loop, which is quick to compile and right for few large arrays. A
search that draws a few numbers per step for a thousand seeds spends most of
its time on such loops. Keys from `unrolled` have the same bits throughout:
what is drawn from them, split from them and folded into them is equal.
"""

import math

import jax
from jax.extend import random as extension
import jax.numpy as jnp

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def unrolled(data: jax.Array) -> jax.Array:
  """The key with the data uint32[..., 2] of one of JAX's own."""
  return jax.random.wrap_key_data(data, impl=_IMPLEMENTATION)


def _hash(key, high, low):
  """Threefry-2x32 of two words under a key, uint32[2]: two words."""
  words = key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY)
  x, y = high + words[0], low + words[1]
  for i in range(5):
    for rotation in _ROTATIONS[i % 2]:
      x = x + y
      y = x ^ (y << rotation | y >> (32 - rotation))
    x = x + words[(i + 1) % 3]
    y = y + words[(i + 2) % 3] + jnp.uint32(i + 1)
  return x, y


def _counted(key, shape):
  """Hashes of 0, 1, ..., in the shape."""
  size = math.prod(shape)
  low = jax.lax.iota(jnp.uint32, size).reshape(shape)
  return _hash(key, jnp.zeros(shape, jnp.uint32), low)


def _split(key, shape):
  return jnp.stack(_counted(key, shape), axis=-1)


def _bits(key, width, shape):
  x, y = _counted(key, shape)
  return (x ^ y).astype(jnp.dtype(f'uint{width}'))


def _fold_in(key, number):
  return jnp.stack(_hash(key, jnp.uint32(0), number.astype(jnp.uint32)))


def _seed(number):
  return jnp.stack([jnp.uint32(0), number.astype(jnp.uint32)])


_IMPLEMENTATION = extension.define_prng_impl(
    key_shape=(2,), seed=_seed, split=_split, random_bits=_bits,
    fold_in=_fold_in, name='threefry2x32_unrolled', tag='unr')
