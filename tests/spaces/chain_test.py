import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import search
from nas_jax.evaluators import toy
from nas_jax.networks import chain as chain_network
from nas_jax.networks import graph
from nas_jax.spaces import chain
from nas_jax.spaces import chain_code
from nas_jax.spaces import discrete
from nas_jax.spaces import presets_rl
from nas_jax.strategies import evolution

_ONE = (1, 1)


def _draw(space, n):
  keys = jax.random.split(jax.random.key(0), n)
  return np.asarray(jax.jit(jax.vmap(space.sample))(keys))


def _mutants(space, n, parent):
  keys = jax.random.split(jax.random.key(0), n)
  return np.asarray(jax.jit(jax.vmap(space.mutate, (0, None)))(keys, parent))


def _small(**kwargs):
  return chain.layout(**dict(
      depths=(2, 4), heights=(1, 3), widths=(1, 5, 7), filters=(8, 16))
      | kwargs)


def test_layout_of_the_paper():
  layout = chain.layout()
  assert layout.depths == (6, 8, 10, 12, 14, 16, 18, 20)
  assert layout.fields == ((1, 3, 5, 7), (1, 3, 5, 7), (24, 36, 48, 64))
  assert [layout.offset(i) for i in (1, 2, 3, 4)] == [1, 4, 8, 13]
  assert layout.length == len(layout.choices) == 1 + 20 * 3 + 190
  assert not layout.has_strides
  # Layer 3: three tokens, then whether it reads layers 1 and 2.
  assert layout.choices[8:13] == (*layout.fields, (0, 1), (0, 1))
  strided = chain.layout(strides=(1, 2, 3))
  assert strided.has_strides and strided.length == 1 + 20 * 5 + 190
  assert strided.fields[2:4] == ((1, 2, 3), (1, 2, 3))
  assert chain.layout(skips=False).length == 1 + 20 * 3


@pytest.mark.parametrize('depth', [6, 15])
def test_cardinality_without_strides(depth):
  size = chain.layout(depths=(depth,)).size(depth)
  assert size == 64**depth * 2**(depth * (depth - 1) // 2)
  assert size == discrete.size(chain.layout(depths=(depth,)).choices)
  assert f'{size:.3e}' == {6: '2.252e+15', 15: '5.022e+58'}[depth]


def test_cardinality_with_strides():
  layout = chain.layout(strides=(1, 2, 3))
  assert layout.size(20) == 576**20 * 2**190
  assert round(math.log10(layout.size(20)), 1) == 112.4
  assert chain.layout(skips=False).size(20) == 64**20


def test_genotype_by_hand():
  layout = _small(strides=(1, 2))
  space = chain.space(layout)
  genome = [0, 1, 2, 0, 1, 0, 0, 1, 1, 1, 1, 1]
  genome += [0] * (layout.length - len(genome))
  code = (('conv_3x7', (1, 2), 8, ()), ('conv_1x5', (2, 2), 16, (1,)))
  assert space.genotype(jnp.array(genome)) == code
  assert space.encode(code).tolist() == genome


def test_published_network():
  space = chain.space(chain.layout(depths=(15,)))
  genome = space.encode(presets_rl.NAS_RL_V1)
  found = space.genotype(genome)
  # No bit of the first layer: it reads the image.
  assert found[0] == ('conv_3x3', _ONE, 36, ())
  assert found[1:] == presets_rl.NAS_RL_V1[1:]
  assert (space.encode(found) == genome).all()
  plain = chain.space(chain.layout(depths=(15,), skips=False))
  code = chain_code.without_skips(presets_rl.NAS_RL_V1)
  assert plain.genotype(plain.encode(code)) == code


@pytest.mark.parametrize('options', [
    {}, {'strides': (1, 2, 3)}, {'skips': False}, {'depths': (3,)}])
def test_samples_are_canonical_and_round_trip(options):
  layout = _small(**options)
  space = chain.space(layout)
  for genome in _draw(space, 30):
    code = space.genotype(genome)
    hash(code)
    chain_code.check(code)
    assert len(code) in layout.depths
    assert np.array_equal(space.encode(code), genome)


def test_depths_and_every_choice_are_uniform():
  n = 20_000
  layout = _small()
  genomes = _draw(chain.space(layout), n)
  np.testing.assert_allclose(genomes[:, 0].mean(), 1 / 2, atol=0.018)
  deep = genomes[genomes[:, 0] == 1]
  for t, choice in enumerate(layout.choices[1:], 1):
    np.testing.assert_allclose(
        np.bincount(deep[:, t], minlength=len(choice)) / len(deep),
        1 / len(choice), atol=0.025)
  shallow = genomes[genomes[:, 0] == 0]
  assert not shallow[:, layout.offset(3):].any()


def test_a_mutation_edits_one_position_of_an_existing_layer():
  layout = _small(depths=(2, 3, 4))
  space = chain.space(layout)
  n = 20_000
  parent = space.encode((('conv_1x5', _ONE, 8, ()),
                         ('conv_3x7', _ONE, 16, (1,))))
  children = _mutants(space, n, parent)
  assert bool(jnp.all(discrete.is_legal(layout.choices, children)))
  end = layout.offset(3)
  changed = children != np.asarray(parent)
  # One of the depth, the six tokens and the bit, all alike.
  assert (changed[:, :end].sum(1) == 1).all()
  np.testing.assert_allclose(changed[:, :end].mean(0), 1 / 8, atol=0.012)
  same_depth = children[:, 0] == 0
  assert not children[same_depth, end:].any()
  # Layers that the larger depth adds are drawn.
  deep = children[children[:, 0] == 2]
  for t in range(end, layout.length):
    size = len(layout.choices[t])
    np.testing.assert_allclose(
        np.bincount(deep[:, t], minlength=size) / len(deep), 1 / size, atol=.08)
  assert not children[children[:, 0] == 1, layout.offset(4):].any()


def test_a_mutation_to_a_smaller_depth_cuts_layers_off():
  layout = _small()
  space = chain.space(layout)
  parent = space.sample(jax.random.key(3)).at[0].set(1)
  parent = chain.canonical(layout, parent)
  children = _mutants(space, 2000, parent)
  shallow = children[children[:, 0] == 0]
  end = layout.offset(3)
  assert len(shallow) > 0
  assert (shallow[:, 1:end] == parent[1:end]).all()
  assert not shallow[:, end:].any()


def test_decode_repairs_and_agrees_with_the_genotype():
  layout = _small(strides=(1, 2))
  space = chain.space(layout)
  genomes = _draw(space, 40)
  chains = jax.jit(jax.vmap(space.decode))(genomes)
  assert chains.values.dtype == jnp.int32 and chains.inputs.dtype == bool
  for k, genome in enumerate(genomes):
    code = space.genotype(genome)
    found = jax.tree.map(lambda x: np.asarray(x[k]), chains)
    assert found.depth == len(code)
    for i, (operation, strides, filters, inputs) in enumerate(code):
      height, width = map(int, operation[5:].split('x'))
      assert found.values[i].tolist() == [height, width, *strides, filters]
      assert np.flatnonzero(found.inputs[i]).tolist() == list(inputs or (0,))
    assert not found.inputs[len(code):].any()
    assert not found.values[len(code):].any()
    assert (np.flatnonzero(found.unread) + 1).tolist() == list(
        chain_code.unread(code))


def test_decode_of_chains_without_skips():
  layout = _small(skips=False)
  found = chain.space(layout).decode(jnp.zeros(layout.length, jnp.int32))
  assert found.depth == 2
  assert found.inputs.astype(int).tolist() == [
      [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0] * 5, [0] * 5]
  assert found.unread.tolist() == [False, True, False, False]


def _reads(net):
  names = ['image', *(node.name for node in net.nodes)]
  return {node.name: [names[i] for i in node.inputs] for node in net.nodes}


def test_three_repairs_of_a_sampled_network():
  """Layers 1 and 3 have no input, 2 and 4 no reader, and sizes differ."""
  layout = _small(strides=(1, 2))
  space = chain.space(layout)
  code = (('conv_1x1', (2, 1), 8, ()), ('conv_3x5', _ONE, 16, (1,)),
          ('conv_1x7', (1, 2), 8, ()), ('conv_3x1', _ONE, 8, (1, 3)))
  genome = space.encode(code)
  assert space.genotype(genome) == code
  net = chain_network.build(space.genotype(genome), image_shape=(8, 8, 3))
  shapes = {node.name: node.shape for node in net.nodes}
  assert _reads(net) == {
      'layer1': ['image'], 'layer2': ['layer1'], 'layer3': ['image'],
      'layer4_inputs': ['layer1', 'layer3'], 'layer4': ['layer4_inputs'],
      'classifier_inputs': ['layer2', 'layer4'],
      'classifier': ['classifier_inputs']}
  assert shapes['layer1'] == (4, 8, 8) and shapes['layer3'] == (8, 4, 8)
  assert shapes['layer4_inputs'] == (8, 8, 16)
  assert shapes['classifier_inputs'] == (8, 8, 24)


def test_strides_never_shrink_an_image_below_one_pixel():
  """Further strides have no effect: every network of the space runs."""
  layout = _small(depths=(4,), strides=(1, 3))
  space = chain.space(layout)
  code = tuple(('conv_3x5', (3, 3), 8, (i - 1,) if i > 1 else ())
               for i in range(1, 5))
  net = chain_network.build(
      space.genotype(space.encode(code)), image_shape=(8, 8, 1), num_classes=2)
  assert [node.shape for node in net.nodes] == [
      (3, 3, 8), (1, 1, 8), (1, 1, 8), (1, 1, 8), (2,)]
  variables = graph.init(jax.random.key(0), net)
  y = graph.GraphNet(net).apply(
      variables._asdict(), jnp.ones((2, 8, 8, 1))).main
  assert y.shape == (2, 2) and bool(jnp.isfinite(y).all())


def test_depth_schedule_of_the_paper():
  layout = chain.layout()
  numbers = np.array([0, 1599, 1600, 3199, 3200, 11_199, 11_200, 12_799,
                      12_800, 1_000_000])
  found = chain.depth_index(layout, numbers)
  assert found.dtype == jnp.int32
  depths = np.array(layout.depths)[found]
  assert depths.tolist() == [6, 6, 8, 8, 10, 18, 20, 20, 20, 20]
  inside = numbers < 12_800
  assert (depths[inside] == 6 + 2 * (numbers[inside] // 1600)).all()
  assert jax.jit(lambda n: chain.depth_index(layout, n, per_depth=4))(11) == 2
  with pytest.raises(ValueError, match='per_depth must be at least 1, got 0'):
    chain.depth_index(layout, 0, per_depth=0)


def test_evolution_finds_the_deepest_network_of_ones():
  layout = _small()
  space = chain.space(layout)
  state, _ = search.scan(
      jax.random.key(0), evolution.regularized_evolution(
          space, population_size=20, sample_size=10),
      toy.number_of_ones(space), num_rounds=800)
  # The depth, three tokens of each of four layers, six bits.
  assert state.best_reward == 1 + 12 + 6


@pytest.mark.parametrize('options, message', [
    ({'depths': ()}, 'depths must be positive and ascend, got ()'),
    ({'depths': (4, 2)}, 'depths must be positive and ascend, got (4, 2)'),
    ({'depths': (0, 2)}, 'depths must be positive and ascend, got (0, 2)'),
    ({'heights': (2,)}, 'heights must be among (1, 3, 5, 7), got (2,)'),
    ({'widths': ()}, 'widths must be different positive numbers, got ()'),
    ({'filters': (8, 8)}, 'filters must be different positive numbers'),
    ({'filters': (0, 8)}, 'filters must be different positive numbers'),
    ({'strides': (2,)}, 'strides must be (1,) or several, got (2,)'),
])
def test_options_are_checked(options, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    chain.layout(**options)


_TWO = (('conv_1x1', _ONE, 8, ()), ('conv_1x1', _ONE, 8, ()))


@pytest.mark.parametrize('code, options, message', [
    (_TWO[:1], {}, 'the network has 1 layers, expected one of 2, 4'),
    ((_TWO[0], ('max_pool_2x2', _ONE, 0, ())), {},
     "layer 2 is 'max_pool_2x2', but this space has convolutions only"),
    ((_TWO[0], ('conv_5x1', _ONE, 8, ())), {}, 'layer 2 has 5 in'),
    ((_TWO[0], ('conv_1x1', (1, 2), 8, ())), {},
     'layer 2 has strides (1, 2), but this space has none'),
    ((_TWO[0], ('conv_1x1', (1, 3), 8, ())), {'strides': (1, 2)},
     "layer 2 has 3 in ('conv_1x1', (1, 3), 8, ()), expected one of (1, 2)"),
    ((_TWO[0], ('conv_1x1', _ONE, 8, (0, 1))), {},
     'layer 2 reads (0, 1), expected layers in ascending order, or the image'),
    ((*_TWO, ('conv_1x1', _ONE, 8, (2, 1)), _TWO[0]), {},
     'layer 3 reads (2, 1), expected layers in ascending order'),
    (_TWO, {'skips': False}, 'layer 2 reads (), but this space has no skip '
     'connections: expected (1,)'),
    ((), {}, 'the network has no layer'),
])
def test_what_is_not_in_the_space(code, options, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    chain.space(_small(**options)).encode(code)


def test_the_image_may_be_named():
  space = chain.space(_small())
  named = tuple((*layer[:3], (0,)) for layer in _TWO)
  assert space.genotype(space.encode(named)) == _TWO
