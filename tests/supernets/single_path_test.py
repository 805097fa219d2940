import jax
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.spaces import discrete
from nas_jax.spaces import presets
from nas_jax.supernets import sampling
from nas_jax.supernets import shared
from nas_jax.supernets import single_path
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

_TASK = steps.Task((8, 8, 1), (.5,), (.3,))
_PACE = optimizers.Pace(*map(np.float32, (.1, 0., 0.)))
_SIZE = dict(image_shape=(8, 8, 1), num_classes=3, features=2)


@pytest.mark.parametrize('name, choices', [
    ('nasbench_macro', (3,) * 8), ('nasbench201', (5,) * 6)])
def test_architectures_share_what_has_one_name(name, choices):
  sizes = _SIZE | ({} if 'macro' in name else {'num_cells': 1})
  family = single_path.FAMILIES[name](**sizes)
  assert tuple(map(len, family.space.choices)) == choices
  shapes = graph.shapes(family.full).params
  for genome in jax.vmap(family.space.sample)(
      jax.random.split(jax.random.key(0), 20)):
    own = graph.shapes(family.build(family.space.genotype(genome))).params
    for node, tree in own.items():
      assert tree == shapes.get(node, {})


def test_the_choice_of_a_layer_is_part_of_the_name():
  family = single_path.macro(**_SIZE)
  names = [n.name for n in family.build((0, 1, 2, 0, 0, 1, 0, 2)).nodes]
  assert names == [
      'stem', 'stage1_block0_choice0', 'stage1_block1_branch_choice1',
      'stage1_block1_sum_choice1', 'stage2_block0_choice2',
      'stage3_block0_choice1', 'stage3_block2_branch_choice2',
      'stage3_block2_sum_choice2', 'tail', 'classifier']


def test_sizes_of_the_shared_network_of_spos():
  """Norms without scale and bias; two statistics for each channel."""
  shapes = graph.shapes(single_path.spos().full)
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
  assert count(shapes.params) == 8_388_176
  assert count(shapes.batch_stats) == 101_472


def test_layers_of_fairnas_are_one_of_six():
  family = single_path.fairnas()
  assert discrete.sizes_of(family.space.choices) == (6,) * 19
  published = presets.load('FairNAS-A').genotype
  names = {node.name for node in family.build(published).nodes}
  assert 'stage0_block0_choice3_7' in names
  assert names <= {node.name for node in family.full.nodes}


def _two_layers(genotype):
  """Each layer one of two convolutions."""
  builder = graph.Builder((8, 8, 1))
  x = builder.image
  for i, name in enumerate(genotype):
    size = {'a': 1, 'b': 3}[name]
    x = builder.add(f'layer{i}_{name}', ops.Conv(
        features=2, sizes=((size, size),)), [x])
  return builder.finish(builder.add('classifier', image.Classifier(3), [x]))


def test_a_fair_step_adds_up_the_gradients_of_one_batch():
  """One update by the sum over the sub-networks, each on all images."""
  space = discrete.space((('a', 'b'), ('a', 'b')))
  family = shared.Family(space, _two_layers, shared.union(
      [_two_layers(('a', 'a')), _two_layers(('b', 'b'))]))
  recipe = recipes.Recipe(
      epochs=1, batch_size=4, eval_batch_size=4, crop_padding=1, flip=True,
      clip_norm=None, weight_decay=.1)
  weights = shared.make(family, recipe, _TASK, same_batch=True)
  state = weights.init(jax.random.key(0))
  rng = np.random.default_rng(0)
  batch = (rng.integers(0, 256, (4, 8, 8, 1), np.uint8),
           rng.integers(0, 3, 4).astype(np.int32))
  genotypes = sampling.fair(space)(jax.random.key(1), 0.)
  after, metrics = weights.step(
      state, genotypes, *batch, jax.random.key(2), _PACE)
  plain = shared.make(family, recipes.override(
      recipe, recipes.Overrides(weight_decay=0.)), _TASK)
  alone = [plain.step(state, [g], *batch, jax.random.key(2), _PACE)
           for g in genotypes]
  assert float(metrics.loss) == pytest.approx(
      np.mean([float(m.loss) for _, m in alone]), rel=1e-5)
  used = {n.name for g in genotypes for n in family.build(g).nodes}
  for name, tree in state.params.items():
    for p, q, *others in zip(*map(jax.tree.leaves, (
        tree, after.params[name], *(s.params[name] for s, _ in alone)))):
      moved = sum(p - x for x in others) + .1 * .1 * p * (name in used)
      np.testing.assert_allclose(q, p - moved, atol=1e-5)
