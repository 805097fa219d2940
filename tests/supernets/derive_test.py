import dataclasses

import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import preset
from nas_jax.spaces import presets
from nas_jax.supernets import darts
from nas_jax.supernets import derive

_KINDS = ('normal', 'reduce')
_SPEC = dataclasses.asdict(darts.SPECS['darts'])
_OFFSETS = (0, 2, 5, 9)


def _alphas(genotype, spec, strengths=(2., 1.), none=5.):
  """Alphas of a published cell; 'none' is the largest everywhere."""
  found = {}
  for kind in _KINDS:
    names = spec[kind]
    rows = np.zeros((len(names), len(names[0])), np.float32)
    for row, operations in zip(rows, names):
      if 'none' in operations:
        row[operations.index('none')] = none
    for offset, edges in zip(
        _OFFSETS, genotypes.node_edges(genotype, kind)[0]):
      for (op, source), strength in zip(edges, strengths):
        edge = offset + source
        rows[edge, names[edge].index(op)] = strength
    found[kind] = rows
  return found


def _by_node(genotype):
  return [genotypes.node_edges(genotype, kind) for kind in _KINDS]


@pytest.mark.parametrize('name', [
    'DARTS_V1', 'DARTS_V2', 'PC-DARTS-CIFAR', 'PC-DARTS-ImageNet', 'SDARTS-RS',
    'SDARTS-ADV', 'GDAS_V1'])
def test_published_cells_are_derived_from_their_alphas(name):
  published = presets.load(name).genotype
  alphas = _alphas(published, _SPEC)
  assert derive.darts(alphas, _SPEC) == published
  assert derive.gdas(alphas, _SPEC) == published


def test_golden_alphas(shared_data):
  golden = np.load(shared_data / 'golden' / 'supernet_c4.npz')
  alphas = {kind: golden[f'alphas_{kind}'] for kind in _KINDS}
  found = derive.darts(alphas, _SPEC)
  for kind in _KINDS:
    assert [f'{op}:{source}' for op, source in getattr(found, kind)] == list(
        golden[f'genotype_{kind}'])
  assert found.normal_concat == found.reduce_concat == (2, 3, 4, 5)


def test_ties_go_to_the_first_operation_and_the_lower_states():
  zero = {kind: np.zeros((14, 8)) for kind in _KINDS}
  found = derive.darts(zero, _SPEC)
  assert found.normal == (('max_pool_3x3', 0), ('max_pool_3x3', 1)) * 4


def test_none_takes_part_in_the_softmax():
  candidates = {kind: [('none', 'skip_connect', 'sep_conv_3x3')] * 5
                for kind in _KINDS}
  rows = np.zeros((5, 3))
  rows[2:] = [[0, 0, 2], [3, 0, 2.5], [0, 0, 1]]
  found = derive.darts({kind: rows for kind in _KINDS}, candidates)
  # Of state 1 the operation has the largest alpha, yet the smallest share.
  assert found.normal[2:] == (('sep_conv_3x3', 0), ('sep_conv_3x3', 2))


def test_alphas_of_edges_multiply():
  alphas = {kind: np.zeros((14, 8)) for kind in _KINDS}
  alphas['normal'][:, 4] = 1
  alphas['edges_normal'] = np.float32(
      [0, 1, 2, 0, 1, 0, 1, 2, 3, 9, 9, 0, 0, 8])
  found = derive.darts(alphas, _SPEC)
  assert [source for _, source in found.normal] == [1, 0, 0, 2, 3, 2, 0, 1]
  assert found.reduce[0] == ('max_pool_3x3', 0)


@pytest.mark.parametrize('letter', 'abcdefg')
def test_published_cells_of_fair_darts(letter):
  published = presets.load(f'FairDARTS-{letter}').genotype
  spec = dataclasses.asdict(darts.SPECS['fair_darts'])
  alphas = _alphas(published, spec, strengths=(3., 2.))
  found = derive.fair_darts(alphas, spec)
  assert _by_node(found) == _by_node(published)
  sizes = {'a': 2_360_782, 'c': 2_598_814}
  if letter in sizes:
    assert _num_params(found) == sizes[letter]


def test_fair_darts_drops_weak_edges_but_not_all(caplog):
  spec = dataclasses.asdict(darts.SPECS['fair_darts'])
  alphas = {kind: np.full((14, 7), -5., np.float32) for kind in _KINDS}
  alphas['normal'][11, 3] = 1.74  # sigmoid .8507; of node 3, state 2.
  alphas['normal'][10, 3] = 1.73  # .8494
  alphas['reduce'][0, 0] = 9.
  found = derive.fair_darts(alphas, spec)
  assert found.normal == (('sep_conv_3x3', 5, 2),)
  assert found.reduce == (('max_pool_3x3', 2, 0),)
  assert not caplog.text
  # Nothing of the normal cell is .9: it has its strongest operation.
  assert derive.fair_darts(alphas, spec, threshold=.9) == found
  assert 'no operation of the normal cell' in caplog.text
  assert 'is 0.851' in caplog.text and 'reduce' not in caplog.text
  with pytest.raises(ValueError, match='no operation of the normal cell'):
    derive.fair_darts(alphas, spec, threshold=.9, strict=True)


def test_snas_keeps_every_edge():
  alphas = {kind: np.zeros((14, 8)) for kind in _KINDS}
  alphas['normal'][:2] = [[0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 2, 0, 0, 0]]
  found = derive.snas(alphas, _SPEC)
  assert len(found.normal) == len(found.reduce) == 14
  assert found.normal[:3] == (
      ('sep_conv_3x3', 2, 1), ('skip_connect', 2, 0), ('none', 3, 0))


def _stage(*rows):
  """A normal cell of two nodes with three candidates, and a reduction cell."""
  names = [('none', 'skip_connect', 'sep_conv_3x3')] * 5
  probabilities = np.float64(rows)
  return ({'normal': np.log(probabilities), 'reduce': np.log(probabilities)},
          {'normal': names, 'reduce': names})


def test_p_darts_restricts_skips_of_the_normal_cell():
  alphas, names = _stage(
      [.3, .6, .1], [.1, .5, .4], [.55, .35, .1], [.1, .7, .2], [.5, .2, .3])
  s, c = 'skip_connect', 'sep_conv_3x3'
  free = derive.p_darts(alphas, names, max_skips=8)
  # Edges are in order of their sources, not of strength.
  assert free.normal == ((s, 0), (s, 1), (s, 0), (s, 1))
  # The weakest kept skip is that of state 0 into node 1: without it that edge
  # has .1, so the edge from state 2 with a convolution takes its place.
  three = derive.p_darts(alphas, names, max_skips=3)
  assert three.normal == ((s, 0), (s, 1), (s, 1), (c, 2))
  two = derive.p_darts(alphas, names, max_skips=2)
  assert two.normal == ((s, 0), (c, 1), (s, 1), (c, 2))
  assert derive.p_darts(alphas, names).normal == two.normal
  none = derive.p_darts(alphas, names, max_skips=0)
  assert none.normal == ((c, 0), (c, 1), (c, 1), (c, 2))
  # The reduction cell is as it was.
  assert two.reduce == free.reduce == free.normal


def test_the_published_cell_of_p_darts():
  published = presets.load('P-DARTS').genotype
  assert derive.p_darts(_alphas(published, _SPEC), _SPEC) == published


def test_p_darts_needs_something_else_than_skips():
  alphas, names = _stage(*[[.2, .5, .3]] * 5)
  names['normal'] = [('none', 'skip_connect')] * 5
  alphas['normal'] = alphas['normal'][:, :2]
  with pytest.raises(ValueError, match='cannot do without the skips'):
    derive.p_darts(alphas, names)
  with pytest.raises(ValueError, match='max_skips must be at least 0, got -1'):
    derive.p_darts(alphas, names, max_skips=-1)


def test_nasbench201_takes_the_best_operation_of_each_edge():
  rows = np.eye(5)[[0, 1, 2, 3, 4, 3]]
  assert derive.bench201({'cell': rows}) == (
      'none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3',
      'nor_conv_3x3')
  with pytest.raises(ValueError, match=r'shape \(5, 5\), expected \(6, 5\)'):
    derive.bench201({'cell': rows[:5]})


def test_skips_are_counted_in_edges_of_both_forms():
  assert derive.num_skips(presets.load('DARTS_V1').genotype) == {
      'normal': 3, 'reduce': 3}
  assert derive.num_skips(presets.load('FairDARTS-g').genotype) == {
      'normal': 1, 'reduce': 2}


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match=r'normal cell have shape \(14, 7\), '
                     r'expected \(14, 8\)'):
    derive.darts({kind: np.zeros((14, 7)) for kind in _KINDS}, _SPEC)
  with pytest.raises(ValueError, match="no operation but 'none'"):
    derive.darts({kind: np.zeros((2, 1)) for kind in _KINDS},
                 {kind: [('none',)] * 2 for kind in _KINDS})


def _num_params(genotype):
  return graph.num_params(zoo.build(preset.Preset('darts', genotype)))
