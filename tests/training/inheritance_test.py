"""Inherited weights are the parent's, bit by bit, where id and shape agree."""

import jax
import numpy as np
import pytest

from nas_jax.networks import dna as networks
from nas_jax.networks import graph
from nas_jax.spaces import dna as dnas
from nas_jax.spaces import mutations
from nas_jax.training import inheritance


@pytest.fixture(scope='module')
def parent():
  """(DNA with two convolutions, its weights)."""
  rng = np.random.default_rng(99)
  dna = dnas.initial(rng)
  for _ in range(2):
    dna = mutations.insert_convolution(rng, dna, 3)
  # Of a skip and of channels that differ from the image's.
  dna = mutations.add_skip(rng, mutations.alter_number_of_channels(
      rng, dna, 3), 3)
  return dna, inheritance.flatten(
      graph.init(jax.random.key(0), networks.build(dna)))


def inherited(dna, weights):
  """(names of the child's variables, names of those inherited, values)."""
  fresh = graph.init(jax.random.key(1), networks.build(dna))
  variables, names = inheritance.inherit(fresh, weights)
  return inheritance.flatten(fresh), names, inheritance.flatten(variables)


def test_an_equal_child_inherits_all_bits(parent):
  dna, weights = parent
  _, names, found = inherited(dna, weights)
  assert sorted(names) == sorted(weights) == sorted(found)
  for name, value in weights.items():
    assert found[name].tobytes() == value.tobytes()


def test_another_filter_size_loses_one_tensor(parent):
  dna, weights = parent
  rng, seen = np.random.default_rng(3), 0
  for _ in range(8):
    child = mutations.filter_size(rng, dna, 3)
    if child == dna:
      continue
    fresh, names, found = inherited(child, weights)
    lost = set(fresh) - set(names)
    assert len(lost) == 1 and next(iter(lost)).endswith('Convolution_0/kernel')
    for name in lost:
      assert found[name].tobytes() == fresh[name].tobytes()
    seen += 1
  assert seen


def test_another_stride_keeps_all(parent):
  dna, weights = parent
  child = mutations.alter_stride(np.random.default_rng(1), dna, 3)
  fresh, names, _ = inherited(child, weights)
  assert set(names) == set(fresh)


def test_more_channels_lose_what_reads_them(parent):
  dna, weights = parent
  conv = [e for e in dna.edges if e.type == 'conv'][0]
  child = dna._replace(edges=tuple(
      e._replace(depth_factor=5.) if e.id == conv.id else e
      for e in dna.edges))
  fresh, names, _ = inherited(child, weights)
  lost = set(fresh) - set(names)
  assert f'params/edge_{conv.id}/Convolution_0/kernel' in lost
  assert all(fresh[name].shape != weights[name].shape for name in lost)


def test_reset_weights_keep_none(parent):
  dna, weights = parent
  child = mutations.reset_weights(np.random.default_rng(0), dna, 3)
  fresh, names, found = inherited(child, weights)
  assert not names
  for name in fresh:
    assert found[name].tobytes() == fresh[name].tobytes()


def test_an_inserted_convolution_is_the_only_new_part(parent):
  dna, weights = parent
  child = mutations.insert_one_to_one(np.random.default_rng(0), dna, 3)
  fresh, names, _ = inherited(child, weights)
  new = child.edges[-1].target
  assert all(new in name for name in set(fresh) - set(names))
