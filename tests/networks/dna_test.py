"""Networks of DNA: worked examples, sizes, and what mutations do to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import dna as networks
from nas_jax.networks import graph
from nas_jax.networks import zoo
from nas_jax.spaces import dna as dnas
from nas_jax.spaces import mutations
from nas_jax.spaces import presets


def rng(seed=0):
  return np.random.default_rng(seed)


def num_params(dna, **options):
  return graph.num_params(networks.build(dna, **options))


@pytest.fixture(scope='module')
def wide():
  """An image of 3 channels, a convolution to 8, BN-ReLU."""
  dna = mutations.insert_convolution(rng(), dnas.initial(rng(99)), 3)
  new = dna.edges[-1]._replace(depth_factor=8 / 3, stride_scale=0)
  image, middle, output = dna.vertices
  return dna._replace(
      vertices=(image, middle._replace(type='bn_relu'), output),
      edges=(*dna.edges[:-1], new))


def test_a_smaller_image_is_repeated_and_missing_channels_are_zero():
  x = jnp.zeros((1, 2, 2, 2)).at[0, ..., 0].set(jnp.array([[1, 2], [3, 4]]))
  y = networks.fit(x, (4, 4, 3))
  assert y[0, ..., 0].tolist() == [
      [1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
  assert not y[0, ..., 2].any() and y.shape == (1, 4, 4, 3)


def test_a_larger_image_is_sampled_and_channels_are_cut():
  x = jnp.arange(8 * 8 * 5.).reshape(1, 8, 8, 5)
  np.testing.assert_array_equal(
      networks.fit(x, (4, 4, 3)), x[:, ::2, ::2, :3])


def test_sizes_that_do_not_divide_are_rounded_down():
  x = jnp.arange(5.).reshape(1, 5, 1, 1)
  assert networks.fit(x, (3, 1, 1)).ravel().tolist() == [0, 1, 3]


def test_the_first_individual_has_40_parameters_and_400():
  dna = dnas.initial(rng(99))
  assert num_params(dna) == 40
  assert num_params(dna, num_classes=100) == 400


def test_an_inserted_convolution_has_9_d_d_weights(wide):
  before = num_params(wide)
  assert before == 3 * 8 * 9 + 2 * 8 + 8 * 10 + 10
  image, middle, output = wide.vertices
  kinds = set()
  for seed in range(30):
    child = mutations.insert_convolution(rng(seed), wide, 3)
    new = child.edges[-1]
    if new.source == image.id:
      continue  # In front of the convolution: of 3 channels.
    kind, = (v.type for v in child.vertices if v.id == new.target)
    kinds.add(kind)
    assert num_params(child) == before + 9 * 64 + 16 * (kind == 'bn_relu')
  assert kinds == {'linear', 'bn_relu'}


def test_mutations_that_have_no_weights(wide):
  for name in ('identity', 'alter_learning_rate', 'add_skip', 'reset_weights'):
    child = mutations.MUTATIONS[name](rng(), wide, 3)
    assert num_params(child) == num_params(wide)
  child = mutations.insert_one_to_one(rng(1), wide, 3)
  assert num_params(child) - num_params(wide) in (0, 2 * 3, 2 * 8)


def test_a_skip_adds_the_fitted_image(wide):
  """From 32 x 32 x 3 to 16 x 16 x 8: no parameter, the rule of a fit."""
  strided = wide._replace(edges=tuple(
      e._replace(stride_scale=1) if e.type == 'conv' else e
      for e in wide.edges))
  child = mutations.add_skip(rng(), strided, 3)
  nets = [networks.build(d) for d in (strided, child)]
  variables = graph.init(jax.random.key(0), nets[0])
  x = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
  plain, added = (
      graph.GraphNet(net).apply(variables._asdict(), x).main for net in nets)
  head = variables.params[f'output_{wide.vertices[-1].id}']['Dense_0']
  fitted = jnp.mean(networks.fit(x, (16, 16, 8)), (1, 2))
  np.testing.assert_allclose(
      added - plain, fitted @ head['kernel'], atol=1e-5)
  assert networks.initial_scales(child) == networks.initial_scales(strided)


def test_convolutions_that_are_added_start_smaller(wide):
  conv, = (e for e in wide.edges if e.type == 'conv')
  assert networks.initial_scales(wide) == {f'edge_{conv.id}': 1}
  child = mutations.insert_one_to_one(rng(), dnas.initial(rng(99)), 3)
  image, middle, output = child.vertices
  child = child._replace(edges=(
      dnas.identity(rng(), image.id, middle.id, dnas.BACKBONE),
      dnas.convolution(rng(), middle.id, output.id, 0)._replace(id='d'),
      dnas.identity(rng(), image.id, output.id, dnas.SKIP)))
  assert networks.initial_scales(child) == {'edge_d': pytest.approx(2**-.5)}


def test_leaky_units():
  x = jnp.array([[[[-2., 2.]]]])
  module = networks.NormRelu(.5)
  y = module.apply(module.init(jax.random.key(0), x, False), x, False)
  np.testing.assert_allclose(y.ravel(), [-1, 2], rtol=1e-4)


def test_the_family_is_one_of_the_zoo():
  preset = presets.Preset('large_scale', dnas.initial(rng(99)))
  assert graph.num_params(zoo.build(preset)) == 40
  with pytest.raises(ValueError, match='features is 8'):
    zoo.build(preset, features=8)
  with pytest.raises(ValueError, match='a DNA is'):
    zoo.build(presets.Preset('large_scale', (1, 2)))


def test_huge_strides_leave_one_pixel(wide):
  child = wide._replace(edges=tuple(
      e._replace(stride_scale=100) if e.type == 'conv' else e
      for e in wide.edges))
  net = networks.build(child)
  assert net.nodes[0].shape == (1, 1, 8)
  variables = graph.init(jax.random.key(0), net)
  y = graph.GraphNet(net).apply(
      variables._asdict(), jnp.ones((1, 32, 32, 3)))
  assert np.isfinite(y.main).all()
