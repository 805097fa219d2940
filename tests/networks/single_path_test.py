"""Sizes of the networks of SPOS and FairNAS, exact, and what they compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import cost
from nas_jax.networks import graph
from nas_jax.networks import initializers
from nas_jax.networks import single_path
from nas_jax.networks import zoo
from nas_jax.spaces import presets


# Name; parameters; multiply-adds with the linear layer; printed numbers.
@pytest.mark.parametrize('name, params, macs, printed', [
    ('SPOS', 3_558_464, 321_894_720 + 1_024_000, '3.5M, 323M'),
    ('FairNAS-A', 4_651_352, 388_122_848, '388M'),
    ('FairNAS-B', 4_506_272, 345_297_632, '345M'),
    ('FairNAS-C', 4_397_864, 321_024_992, '321M')])
def test_published_networks(name, params, macs, printed):
  found = cost.count(zoo.build(presets.load(name), 'imagenet'))
  assert (found.params, found.macs) == (params, macs), f'printed: {printed}'


@pytest.mark.parametrize('choice, params, conv', [
    (0, 3_154_880, 294_818_496), (1, 3_211_968, 312_630_976),
    (2, 3_297_600, 339_349_696), (3, 3_870_816, 357_801_920)])
def test_spos_of_one_choice_throughout(choice, params, conv):
  found = cost.count(zoo.build(
      presets.Preset('spos', (choice,) * 20), 'imagenet'))
  assert (found.params, found.conv_macs) == (params, conv)


def test_every_second_channel_passes_a_block_of_stride_1():
  module = single_path.ShuffleBlock(8, 1, size=5)
  x = jax.random.normal(jax.random.key(0), (2, 6, 6, 8))
  variables = initializers.draw(jax.random.key(1), 0, graph.variable_shapes(
      module, (jax.ShapeDtypeStruct(x.shape, jnp.float32),)))
  y = module.apply(variables, x, False)
  assert y.shape == x.shape
  np.testing.assert_array_equal(y[..., :4], x[..., ::2])
  assert (np.asarray(y[..., 4:]) >= 0).all()


def test_shapes_of_the_stages():
  shapes = {n.name: n.shape for n in zoo.build(
      presets.load('SPOS'), 'imagenet').nodes}
  assert [shapes[f'stage{s}_block0'] for s in range(4)] == [
      (56, 56, 64), (28, 28, 160), (14, 14, 320), (7, 7, 640)]
  shapes = {n.name: n.shape for n in zoo.build(
      presets.load('FairNAS-A'), 'imagenet').nodes}
  assert shapes['stage5_block0'] == (7, 7, 320)
  # Residual where neither size nor width change.
  assert 'stage0_block1_sum' in shapes and 'stage0_block0' in shapes


@pytest.mark.parametrize('family, genotype, message', [
    ('spos', (0,) * 19, 'a genotype of spos is 20 choices of 0..3'),
    ('spos', (4,) * 20, 'a genotype of spos is 20 choices of 0..3'),
    ('fairnas', ((3, 4),) * 19, 'a genotype of fairnas is 19 pairs')])
def test_what_is_no_genotype(family, genotype, message):
  with pytest.raises(ValueError, match=message):
    zoo.build(presets.Preset(family, genotype), 'imagenet')
