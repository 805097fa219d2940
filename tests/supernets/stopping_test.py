import json

import numpy as np
import pytest

from nas_jax.supernets import stopping


@pytest.fixture(scope='module')
def runs(shared_data):
  """(space, data, weight decay, seed) -> run without dropped paths."""
  found = json.loads(
      (shared_data / 'robustdarts_search_curves.json').read_text())
  return {(r['space'], r['dataset'], r['weight_decay'], r['seed']): r
          for r in found if r['drop_path'] == 0}


# Trigger and returned epoch on the published eigenvalues.
@pytest.mark.parametrize('space, data, decay, stops', [
    ('s1', 'cifar10', 3e-4, [(22, 10), (22, 10), (30, 18)]),
    ('s1', 'cifar10', 9e-4, [(22, 10), (32, 20), (32, 20)]),
    ('s1', 'cifar10', 81e-4, [None, None, (48, 36)]),
    ('s3', 'svhn', 3e-4, [(34, 22), (30, 18), (24, 12)]),
    ('s3', 'svhn', 81e-4, [None, None, None])])
def test_published_eigenvalues_stop_where_robust_darts_does(
    runs, space, data, decay, stops):
  for seed, stop in enumerate(stops, 1):
    values = runs[space, data, decay, seed]['max_eig']
    assert stopping.eigenvalue_grows(values) == stop


@pytest.mark.parametrize('space, data, seed, ratio', [
    ('s1', 'cifar10', 1, 1.453), ('s1', 'cifar10', 2, 1.538),
    ('s1', 'cifar10', 3, 1.467), ('s3', 'svhn', 1, 1.55),
    ('s3', 'svhn', 2, 1.326), ('s3', 'svhn', 3, 1.314)])
def test_by_which_ratio_they_stop(runs, space, data, seed, ratio):
  values = runs[space, data, 3e-4, seed]['max_eig']
  stop = stopping.eigenvalue_grows(values)
  below = stopping.eigenvalue_grows(values, factor=ratio - .001)
  above = stopping.eigenvalue_grows(values, factor=ratio + .001)
  assert below == stop and above != stop


def test_the_search_may_not_stop_before_epoch_22_nor_at_the_last():
  growing = [(e, 2.**e) for e in range(0, 50, 2)]
  assert stopping.eigenvalue_grows(growing) == (22, 10)
  assert stopping.eigenvalue_grows(growing[:11]) is None  # Up to epoch 20.
  flat = [(e, 1.) for e in range(0, 48, 2)]
  assert stopping.eigenvalue_grows(flat + [(48, 1.), (49, 100.)]) is None
  assert stopping.eigenvalue_grows(flat + [(48, 100.)]) == (48, 36)
  # The middle of the windows moves with their width.
  assert stopping.eigenvalue_grows(growing, window=3, delta=2) == (16, 10)
  with pytest.raises(ValueError, match='window must be odd.*got 4'):
    stopping.eigenvalue_grows(growing, window=4)


def test_darts_plus_stops_at_the_second_skip(runs):
  skips = [runs['s1', 'cifar10', 3e-4, s]['skips_normal_per_epoch']
           for s in (1, 2, 3)]
  # After epochs 1, 6, 11, 16, 21 (counted from 1): 0, 1, 2, 4, 5.
  assert skips[0][0:21:5] == [0, 1, 2, 4, 5]
  assert [stopping.two_skips(s).best for s in skips] == [10, 0, 0]
  assert stopping.two_skips(skips[0][:10]) is None
  assert stopping.two_skips([0, 1, 2, 3], limit=3) == (3, 3)


def test_ranking_is_of_convolutions_only():
  candidates = {'normal': [['none', 'skip_connect', 'sep_conv_3x3',
                            'dil_conv_3x3']] * 2}
  alphas = {'normal': np.array([[9., 8., .1, .2], [0., 0., .3, .3]])}
  assert stopping.ranking(alphas, candidates) == (
      ('dil_conv_3x3', 'sep_conv_3x3'), ('sep_conv_3x3', 'dil_conv_3x3'))


def test_a_ranking_is_stable_after_ten_epochs_without_change():
  assert stopping.stable_ranking([('a',)] * 10) is None
  assert stopping.stable_ranking([('a',)] * 11) == (10, 10)
  assert stopping.stable_ranking([('a',)] * 6 + [('b',)] * 11) == (16, 16)


def test_adaptive_weight_decay(runs):
  values = runs['s1', 'cifar10', 3e-4, 1]['max_eig']
  state = stopping.Adaptive()
  until = [pair for pair in values if pair[0] <= 20]
  assert stopping.adapt(state, until) is None
  state, restored = stopping.adapt(state, values)
  assert (state.weight_decay, state.start, restored) == (
      pytest.approx(.003), 11, 10)
  # The same values again, those of the abandoned epochs left out: means from
  # epoch 16 on, of which the fifth is known at epoch 24.
  fresh = [pair for pair in values if pair[0] >= 11]
  assert stopping.adapt(state, values) == stopping.adapt(state, fresh)
  growing = [(e, 2.**e) for e in range(12, 50, 2)]
  state, restored = stopping.adapt(state, growing)
  assert (state.weight_decay, state.start, restored) == (
      pytest.approx(.03), 13, 12)
  assert stopping.adapt(state, growing) is None
  # The factor of the public code: 3e-4, 9e-4, ..., 243e-4.
  found, _ = stopping.adapt(stopping.Adaptive(), values, increase=3.,
                            max_weight_decay=243e-4)
  assert found.weight_decay == pytest.approx(9e-4)
