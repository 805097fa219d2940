"""Keys that compile without loops draw what JAX's own draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import keys

_KEY = jax.random.fold_in(jax.random.key(7), 3)


@pytest.fixture
def key():
  return keys.unrolled(jax.random.key_data(_KEY))


@pytest.mark.parametrize('draw', [
    lambda k: jax.random.bits(k),
    lambda k: jax.random.bits(k, (6, 3)),
    lambda k: jax.random.bits(k, (9,), 'uint16'),
    lambda k: jax.random.bits(k, (9,), 'uint8'),
    lambda k: jax.random.gumbel(k, (6, 5)),
    lambda k: jax.random.normal(k, (7,)),
    lambda k: jax.random.randint(k, (7,), 0, 3),
    lambda k: jax.random.permutation(k, 20)])
def test_draws_are_equal(draw, key):
  np.testing.assert_array_equal(draw(key), draw(_KEY))


@pytest.mark.parametrize('derive', [
    lambda k: jax.random.split(k, 5),
    lambda k: jax.random.split(k, (2, 3)),
    lambda k: jax.random.fold_in(k, 2**32 - 1)])
def test_keys_derived_are_equal(derive, key):
  np.testing.assert_array_equal(
      jax.random.key_data(derive(key)), jax.random.key_data(derive(_KEY)))


def test_many_keys_at_once_and_no_loop(key):
  data = jax.random.key_data(jax.random.split(_KEY, 4))
  draw = jax.jit(jax.vmap(
      lambda d: jax.random.bits(keys.unrolled(d), (6,))))
  np.testing.assert_array_equal(draw(data), jax.vmap(
      lambda k: jax.random.bits(k, (6,)))(jax.random.split(_KEY, 4)))
  assert 'while' not in draw.lower(data).as_text()


def test_the_hash_of_the_reference():
  """Random123's known answers for Threefry-2x32-20."""
  for key, counter, expected in (
      ((0, 0), (0, 0), (0x6b200159, 0x99ba4efe)),
      ((0xffffffff,) * 2, (0xffffffff,) * 2, (0x1cb996fc, 0xbb002be7))):
    found = keys._hash(jnp.uint32(key), *jnp.uint32(counter))
    assert tuple(map(int, found)) == expected
