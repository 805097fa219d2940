import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.spaces import genotypes
from nas_jax.supernets import monitor
from nas_jax.supernets import stopping

_NAMES = ('none', 'skip_connect', 'sep_conv_3x3')
_CANDIDATES = {'normal': [_NAMES] * 5, 'reduce': [_NAMES] * 5}
_RNG = np.random.default_rng(0)
_MATRIX = _RNG.normal(size=(12, 12)).astype(np.float32)
_MATRIX = (_MATRIX + _MATRIX.T) / 2
_ALPHAS = {'normal': jnp.asarray(_RNG.normal(size=(2, 3)), jnp.float32),
           'reduce': jnp.asarray(_RNG.normal(size=(3, 2)), jnp.float32)}


def _quadratic(alphas):
  x = jnp.concatenate([alphas['normal'].ravel(), alphas['reduce'].ravel()])
  return x @ _MATRIX @ x / 2 + x.sum()


def _genotype(*normal):
  edges = tuple((op, i % 2) for i, op in enumerate(normal))
  return genotypes.Genotype(edges, (2, 3), edges[::-1], (2, 3))


def test_census_counts_derived_and_leading_operations():
  weights = {'normal': np.array([[.5, .25, .25], [.1, .8, .1], [.2, .7, .1],
                                 [1, 0, 0], [0, 0, 2.]]),
             'reduce': np.full((5, 3), 1 / 3)}
  found = monitor.census(weights, _CANDIDATES, _genotype(
      'skip_connect', 'skip_connect', 'sep_conv_3x3', 'none'))
  normal = found['normal']
  assert normal[:4] == (4, 2, 1, 0)
  assert normal[4:8] == (5, 2, 2, 0)
  assert normal.largest == pytest.approx(np.mean([.5, .8, .7, 1, 1]))
  assert normal.candidates == 3
  assert found['reduce'].entropy == pytest.approx(np.log(3))
  assert monitor.census(weights, _CANDIDATES)['normal'].operations == 0
  cell = monitor.census({'cell': np.ones((6, 3))}, {'cell': [_NAMES] * 6},
                        ('skip_connect',) * 4 + ('none', 'nor_conv_3x3'))
  assert cell['cell'][:3] == (6, 4, 1)


def test_a_collapse_is_said_in_words():
  def warn(*normal, largest=.4, **kwargs):
    rows = np.full((5, 3), (1 - largest) / 2)
    rows[:, 0] = largest
    return monitor.warning(monitor.census(
        {kind: rows for kind in _CANDIDATES}, _CANDIDATES,
        _genotype(*normal)), **kwargs)

  assert warn('skip_connect', *['sep_conv_3x3'] * 3) is None
  assert warn(*['skip_connect'] * 2, *['sep_conv_3x3'] * 2) is None
  assert warn(*['skip_connect'] * 3, 'sep_conv_3x3') == (
      'The search seems to collapse: 3 of 4 operations of the derived normal '
      'cell are skips.')
  assert '1 of 4 operations of the derived reduce cell are noise' in warn(
      'noise', *['sep_conv_3x3'] * 3)
  assert 'architecture of epoch 10' in warn(
      *['sep_conv_3x3'] * 4, stop=stopping.Stop(22, 10))
  # At first weights are equal, and what is derived is chance.
  assert warn(*['skip_connect'] * 4, largest=.34) is None
  rows = {'cell': np.tile([.2, .6, .2], (6, 1))}
  for none, said in ((2, 'The search seems to collapse: 2 of 6 operations of '
                      'the derived cell are skips and 2 none.'), (1, None)):
    assert monitor.warning(monitor.census(
        rows, {'cell': [_NAMES] * 6}, ('skip_connect',) * 2 + (
            'none',) * none + ('nor_conv_3x3',) * (4 - none))) == said


def test_a_recurrent_cell_of_identities_is_warned_of():
  names = ['none', 'tanh', 'relu', 'sigmoid', 'identity']

  def warn(largest, *activations):
    rows = np.full((3, 5), (1 - largest) / 4)
    rows[:, 4] = largest
    return monitor.recurrent_warning(monitor.census(
        {'recurrent': rows}, {'recurrent': [names] * 3},
        activations)['recurrent'], activations)

  assert warn(.3, 'identity', 'identity') == (
      'The search seems to collapse: all 2 nodes of the derived cell are '
      'identities, so its states have no bounds, and its own training may '
      'diverge.')
  assert warn(.3, 'identity', 'tanh') is None
  assert warn(.205, 'identity', 'identity') is None  # Nothing is decided.


def _product(loss):
  """By differentiating twice in reverse."""
  @jax.jit
  def product(vector):
    _, pull = jax.vjp(jax.grad(loss), _ALPHAS)
    return pull(vector)[0]

  return product


def test_hessian_of_a_quadratic_is_exact():
  expected = _MATRIX + 1e-3 * np.eye(12)
  found = monitor.hessian(_product(_quadratic), _ALPHAS)
  assert np.array_equal(found, found.T)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  assert monitor.largest_eigenvalue(found) == pytest.approx(
      np.linalg.eigvalsh(expected)[-1], rel=1e-6)


def test_the_largest_eigenvalue_is_not_that_of_the_largest_magnitude():
  assert monitor.largest_eigenvalue(np.diag([-5., 2., 1.])) == 2


def test_lanczos_finds_the_same_eigenvalue_with_few_products():
  calls = []
  exact = _product(_quadratic)

  def product(vector):
    calls.append(1)
    return exact(vector)

  largest = np.linalg.eigvalsh(_MATRIX)[-1] + 1e-3
  assert monitor.lanczos(product, _ALPHAS, num_products=20) == pytest.approx(
      largest, rel=1e-5)
  assert len(calls) == 12  # No more products than alphas.
  below = monitor.lanczos(product, _ALPHAS, num_products=5)
  assert .9 * largest < below <= largest * (1 + 1e-5)
  # All vectors are eigenvectors: one is enough.
  assert monitor.lanczos(lambda v: v, _ALPHAS) == pytest.approx(1.001)
  with pytest.raises(ValueError, match='num_products.*got 0'):
    monitor.lanczos(product, _ALPHAS, num_products=0)
