import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.data import source
from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops
from nas_jax.spaces import discrete
from nas_jax.supernets import shared
from nas_jax.training import classify
from nas_jax.training import fit
from nas_jax.training import optimizers
from nas_jax.training import recipes
from nas_jax.training import steps

_TASK = steps.Task((4, 4, 1), (.5,), (.3,))
_RECIPE = recipes.Recipe(
    epochs=1, batch_size=8, eval_batch_size=4, crop_padding=0, flip=False,
    clip_norm=1., weight_decay=.1)
_PACE = optimizers.Pace(*map(np.float32, (.1, 0., 0.)))
_SPACE = discrete.space((('a', 'b'), ('a', 'b')))


def _build(genotype):
  """Two layers, each one of two convolutions; 'b' has another kernel."""
  builder = graph.Builder((4, 4, 1))
  x = builder.image
  for i, name in enumerate(genotype):
    size = {'a': 1, 'b': 3}[name]
    x = builder.add(f'layer{i}_{name}', ops.Conv(
        features=4, sizes=((size, size),)), [x])
  return builder.finish(builder.add('classifier', image.Classifier(3), [x]))


def _family(build=_build):
  return shared.Family(
      _SPACE, build, shared.union([build(('a', 'a')), build(('b', 'b'))]))


@pytest.fixture(scope='module')
def batch():
  rng = np.random.default_rng(0)
  return (rng.integers(0, 256, (8, 4, 4, 1), np.uint8),
          rng.integers(0, 3, 8).astype(np.int32))


def _same(a, b) -> bool:
  leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  return all((np.asarray(x) == np.asarray(y)).all() for x, y in leaves)


def _node(state, name):
  return (state.params[name], state.batch_stats[name], state.optimizer[name])


def _moved(state):
  """Weights, statistics and momentum that a first step would not give."""
  add = lambda tree: jax.tree.map(lambda x: x + .01, tree)
  return state._replace(optimizer=add(state.optimizer))


def test_the_whole_family_has_every_node_once():
  net = _family().full
  assert [node.name for node in net.nodes] == [
      'layer0_a', 'layer1_a', 'classifier', 'layer0_b', 'layer1_b']
  assert [node.inputs for node in net.nodes] == [(0,), (1,), (2,), (0,), (4,)]
  # Kernels, norms, classifier.
  assert graph.num_params(net) == (1 + 9) * (4 + 16) + 4 * 8 + 4 * 3 + 3


def test_a_step_of_one_sub_network_is_the_step_of_a_network_alone(batch):
  """Bit for bit; what it does not use stays, with its momentum."""
  weights = shared.make(_family(), _RECIPE, _TASK)
  state = _moved(weights.init(jax.random.key(0)))
  after, metrics = weights.step(
      state, [('a', 'b')], *batch, jax.random.key(1), _PACE)
  trainer = classify.compile_trainer(
      _build(('a', 'b')), _RECIPE, _TASK, execution='blocks')
  used = ('layer0_a', 'layer1_b', 'classifier')
  alone = steps.TrainState(*({name: tree[name] for name in used}
                             for tree in state))
  alone, expected = trainer.step(
      alone, *batch, jax.random.key(1), *_PACE)
  assert _same(metrics, expected)
  for name in used:
    assert _same(_node(after, name), _node(alone, name))
    assert not _same(after.params[name], state.params[name])
  for name in ('layer0_b', 'layer1_a'):
    assert _same(_node(after, name), _node(state, name))


def test_with_the_decay_of_all_unused_weights_shrink_and_coast(batch):
  weights = shared.make(_family(), _RECIPE, _TASK, decay='all')
  state = _moved(weights.init(jax.random.key(0)))
  after, _ = weights.step(
      state, [('a', 'b')], *batch, jax.random.key(1), _PACE)
  for name in ('layer0_b', 'layer1_a'):
    p, m = (jax.tree.leaves(tree)[-1] for tree in (
        state.params[name], state.optimizer[name].momentum))
    m = .9 * m + .1 * p  # momentum, decay
    np.testing.assert_allclose(
        jax.tree.leaves(after.params[name])[-1], p - .1 * m, rtol=1e-6)
    assert _same(after.batch_stats[name], state.batch_stats[name])


def test_ghost_batches_average_the_gradients_of_their_sub_networks(batch):
  """Against the chain rule over a weighted sum of both losses."""
  recipe = recipes.override(_RECIPE, recipes.Overrides(clip_norm=1e6))
  weights = shared.make(_family(), recipe, _TASK)
  state = weights.init(jax.random.key(0))
  after, metrics = weights.step(
      state, [('a', 'b'), ('a', 'a')], *batch, jax.random.key(1), _PACE)
  images, labels = batch

  def loss(params):
    total = 0.
    for rows, genotype in ((slice(4), ('a', 'b')), (slice(4, 8), ('a', 'a'))):
      net = _build(genotype)
      logits, _ = graph.GraphNet(net).apply(
          {'params': {n.name: params[n.name] for n in net.nodes},
           'batch_stats': {n.name: state.batch_stats[n.name]
                           for n in net.nodes}},
          steps.normalise(_TASK, images[rows]), train=True,
          mutable=['batch_stats'])
      chosen = jax.nn.log_softmax(logits.main)
      total -= jnp.mean(chosen[np.arange(4), labels[rows]]) / 2
    return total

  expected, grads = jax.jit(jax.value_and_grad(loss))(state.params)
  assert float(metrics.loss) == pytest.approx(float(expected), rel=1e-5)
  for name in ('layer0_a', 'layer1_a', 'layer1_b', 'classifier'):
    for p, g, q in zip(*map(jax.tree.leaves, (
        state.params[name], grads[name], after.params[name]))):
      np.testing.assert_allclose(q, p - .1 * (g + .1 * p), atol=1e-6)
  assert _same(_node(after, 'layer0_b'), _node(state, 'layer0_b'))
  # Each part moves the running statistics once.
  assert not _same(after.batch_stats['layer1_b'], state.batch_stats['layer1_b'])


def test_scores_use_the_statistics_of_the_batch(batch):
  images, labels = batch
  family = _family()
  state = shared.make(family, _RECIPE, _TASK).init(jax.random.key(0))
  found = {}
  for name in shared.STATISTICS:
    weights = shared.make(family, _RECIPE, _TASK, statistics=name)
    found[name] = weights.score(state, ('b', 'a'), images, labels)
  net = _build(('b', 'a'))
  variables = {key: {n.name: tree[n.name] for n in net.nodes} for key, tree in
               (('params', state.params), ('batch_stats', state.batch_stats))}
  for name, train in (('batch', True), ('running', False)):
    logits, _ = graph.GraphNet(net).apply(
        variables, steps.normalise(_TASK, images), train=train,
        mutable=['batch_stats'])
    chosen = jax.nn.log_softmax(logits.main)[np.arange(8), labels]
    accuracy, loss = found[name]
    assert loss == pytest.approx(-float(np.mean(chosen)), rel=1e-5)
    assert accuracy == np.mean(np.argmax(logits.main, -1) == labels)
  assert found['batch'] != found['running']


def test_an_architecture_met_again_is_not_built_again(batch):
  built = []

  def build(genotype):
    built.append(genotype)
    return _build(genotype)

  weights = shared.make(
      shared.Family(_SPACE, build, _family().full), _RECIPE, _TASK)
  state = weights.init(jax.random.key(0))
  for _ in range(2):
    state, _ = weights.step(state, [('a', 'a')], *batch, jax.random.key(1),
                            _PACE)
  assert built == [('a', 'a')]
  before = len(blocks._cache)
  # Both layers were compiled for other architectures already.
  weights.step(state, [('a', 'b')], *batch, jax.random.key(1), _PACE)
  assert len(blocks._cache) == before


def test_an_epoch_trains_what_is_chosen_step_by_step(batch, tmp_path):
  split = source.Split(*(np.concatenate([x, x]) for x in batch))
  recipe = recipes.override(_RECIPE, recipes.Overrides(
      epochs=8, learning_rate=.2, weight_decay=0., clip_norm=5.))
  weights = shared.make(_family(), recipe, _TASK)
  chosen = []

  def choose(key, progress):
    chosen.append(progress)
    return ([('a', 'b'), ('b', 'a')] if jax.random.bernoulli(key) else
            [('b', 'b')])

  trainer = shared.trainer(weights, choose)
  run = lambda epochs, folder: fit.fit(
      jax.random.key(3), trainer,
      dataclasses.replace(recipe, epochs=epochs, schedule='constant'), split,
      seed=0, workdir=folder)
  whole, log = run(8, None)
  assert chosen[:2] == [0, 1 / 16] and log[-1]['loss'] < .7 * log[0]['loss']
  run(2, tmp_path)
  assert _same(run(8, tmp_path)[0], whole)


def test_a_batch_must_split(batch):
  weights = shared.make(_family(), _RECIPE, _TASK)
  state = weights.init(jax.random.key(0))
  with pytest.raises(ValueError, match='8 does not split into parts for 3'):
    weights.step(state, [('a', 'a')] * 3, *batch, jax.random.key(0), _PACE)


@pytest.mark.parametrize('settings, message', [
    ({'decay': 'none'}, "decay is 'none'"),
    ({'statistics': 'none'}, "statistics is 'none'")])
def test_unknown_choices_are_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    shared.make(_family(), _RECIPE, _TASK, **settings)


def test_a_recipe_with_parts_of_its_own_is_refused():
  recipe = recipes.override(_RECIPE, recipes.Overrides(accumulate=2))
  with pytest.raises(ValueError, match='accumulate is 2'):
    shared.make(_family(), recipe, _TASK)


def test_a_node_must_be_the_same_everywhere(batch):
  def build(genotype):
    """The first layer has the same name whatever it is."""
    net = _build(genotype)
    return net._replace(nodes=(
        net.nodes[0]._replace(name='layer0'), *net.nodes[1:]))

  with pytest.raises(ValueError, match="node 'layer0' is"):
    _family(build)
  weights = shared.make(
      shared.Family(_SPACE, build, build(('a', 'a'))), _RECIPE, _TASK)
  state = weights.init(jax.random.key(0))
  with pytest.raises(ValueError, match="'layer0' of a sub-network is"):
    weights.step(state, [('b', 'a')], *batch, jax.random.key(0), _PACE)
