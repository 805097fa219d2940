import numpy as np
import pytest

from nas_jax.supernets import darts
from nas_jax.supernets import derive
from nas_jax.supernets import stages


def _random(spec, seed):
  rng = np.random.default_rng(seed)
  return {kind: rng.normal(size=(14, len(getattr(spec, kind)[0])))
          for kind in darts.KINDS}


def test_stages_of_cifar10():
  assert [(s.num_cells, s.candidates, s.skip_dropout, s.epochs,
           s.warmup_epochs) for s in stages.CIFAR10] == [
               (5, 8, .1, 25, 10), (11, 5, .4, 25, 10), (17, 3, .7, 25, 10)]
  short = stages.scaled(stages.CIFAR10, epochs=5, num_cells=(3, 4, 5))
  assert [(s.num_cells, s.candidates, s.epochs, s.warmup_epochs)
          for s in short] == [(3, 8, 5, 2), (4, 5, 5, 2), (5, 3, 5, 2)]
  with pytest.raises(ValueError, match=r'each of 3 stages, got 5 and \(3, 4\)'):
    stages.scaled(stages.CIFAR10, epochs=5, num_cells=(3, 4))


def test_the_smallest_candidates_of_each_edge_leave():
  spec = darts.uniform(skip_dropout=True)
  alphas = {kind: np.tile(np.arange(8.), (14, 1)) for kind in darts.KINDS}
  alphas['normal'][3] = [5, 0, 4, 3, 0, 2, 0, 1]
  found = stages.narrow(spec, alphas, 5)
  assert found.skip_dropout
  assert found.normal[0] == darts.OPERATIONS[3:]
  assert found.normal[3] == ('none', 'avg_pool_3x3', 'skip_connect',
                             'sep_conv_5x5', 'dil_conv_5x5')
  # Of equal candidates the first leave.
  alphas['reduce'][:] = 0
  assert stages.narrow(spec, alphas, 5).reduce[7] == darts.OPERATIONS[3:]


def test_three_stages_end_in_a_cell():
  spec = darts.uniform(skip_dropout=True)
  for number, stage in enumerate(stages.CIFAR10):
    assert len(spec.normal[0]) == stage.candidates
    alphas = _random(spec, number)
    if number < 2:
      spec = stages.narrow(spec, alphas, stages.CIFAR10[number + 1].candidates)
  candidates = {kind: getattr(spec, kind) for kind in darts.KINDS}
  found = derive.p_darts(alphas, candidates)
  assert len(found.normal) == len(found.reduce) == 8
  assert derive.num_skips(found)['normal'] <= 2


def test_there_must_be_fewer_candidates():
  spec = darts.SPECS['s3']
  with pytest.raises(ValueError, match='keep must be 1 to 2 of the 3.*got 3'):
    stages.narrow(spec, _random(spec, 0), 3)
