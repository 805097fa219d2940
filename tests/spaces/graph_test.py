"""The spaces of NAS-Bench-201 and NAS-Bench-101."""

import collections

import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from nas_jax.spaces import graph
from nas_jax.spaces import nasbench101
from nas_jax.spaces import nasbench101_keys
from nas_jax.spaces import nasbench201

_all_legal = jax.jit(jax.vmap(nasbench101_keys.is_legal))


def test_nasbench201_has_15625_cells_in_6466_and_12751_classes():
  space = graph.nasbench201()
  assert discrete.size(space.choices) == 15_625
  # With and without what follows from nothing: both published.
  assert len(np.unique(graph.isomorphism_classes())) == 6_466
  assert len(np.unique(graph.isomorphism_classes(zeros=False))) == 12_751


def test_341_cells_of_nasbench201_connect_nothing():
  space = graph.nasbench201()
  sizes = discrete.sizes_of(space.choices)
  assert sum(not nasbench201.is_connected(space.genotype(
      discrete.from_index(sizes, n))) for n in range(15_625)) == 341


def test_a_mutation_of_nasbench201_changes_one_edge():
  space = graph.nasbench201()
  genome = space.sample(jax.random.key(0))
  children = jax.vmap(space.mutate, (0, None))(
      jax.random.split(jax.random.key(1), 600), genome)
  changed = np.asarray(children != genome)
  assert (changed.sum(axis=1) == 1).all()
  # 24 neighbours, 25 times each on average.
  assert len(np.unique(np.asarray(children), axis=0)) == 24


@pytest.fixture(scope='module')
def sampled():
  space = graph.nasbench101()
  keys = jax.random.split(jax.random.key(0), 2000)
  return space, np.asarray(jax.jit(jax.vmap(space.sample))(keys))


def test_samples_of_nasbench101_are_legal_and_uniform(sampled):
  space, genomes = sampled
  cells = [nasbench101.cell(*space.genotype(g)) for g in genomes[:300]]
  assert max(sum(map(sum, c.matrix)) for c in cells) <= 9
  # Operations do not decide what is legal: each is as likely everywhere.
  counts = collections.Counter(genomes[:, 21:].ravel().tolist())
  for count in counts.values():
    assert abs(count - 10_000 / 3) < 5 * (10_000 * 2 / 9)**.5
  # The part of legal matrices with an edge from input to output.
  bits = np.random.default_rng(0).integers(0, 2, (100_000, 26))
  legal = np.asarray(_all_legal(bits))
  expected = bits[legal][:, 15].mean()
  assert abs(genomes[:, 15].mean() - expected) < 5 * .5 / 2000**.5


def test_genotypes_of_nasbench101_come_back(sampled):
  space, genomes = sampled
  for genome in genomes[:20]:
    assert (np.asarray(space.encode(space.genotype(genome))) == genome).all()
  with pytest.raises(ValueError, match='no path'):
    space.genotype(np.zeros(26, np.int32))


def test_mutations_of_nasbench101_are_legal_and_small(sampled):
  space, genomes = sampled
  children = np.asarray(jax.jit(jax.vmap(space.mutate))(
      jax.random.split(jax.random.key(1), len(genomes)), genomes))
  assert ((children != genomes).sum(axis=1) == 1).all()
  assert np.asarray(_all_legal(children)).all()
